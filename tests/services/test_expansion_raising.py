"""A night's findings become opportunities and messages, once each, whatever the night does again."""

import json
from contextlib import suppress
from datetime import date, timedelta

import pytest
from sqlalchemy import Engine, func, insert, select
from sqlalchemy.exc import IntegrityError

from app.db import reading, transaction
from app.models.audit import AuditEntry
from app.models.expansion import ExpansionMove, ExpansionOpportunity
from app.models.webhooks import WebhookMessage
from app.services.expansion import Move, move_opportunity
from app.services.expansion_links import read_link
from app.services.expansion_messages import Links
from app.services.expansion_raising import Budget, Findings, raise_opportunities
from tests.services.expansion_company import LINKS, Nights, finding, nights_of


@pytest.fixture
def nights(engine: Engine) -> Nights:
    return nights_of(engine)


def rows(nights: Nights) -> list[ExpansionOpportunity]:
    with reading(nights.engine) as session:
        return list(session.scalars(select(ExpansionOpportunity).order_by(ExpansionOpportunity.id)))


def messages(nights: Nights) -> list[dict]:
    with reading(nights.engine) as session:
        return [json.loads(row.body) for row in session.scalars(select(WebhookMessage).order_by(WebhookMessage.id))]


def move(nights: Nights, opportunity_id: int, action: str, **said) -> None:
    with transaction(nights.engine) as session:
        move_opportunity(session, Move(opportunity_id, action, **said), actor="user:7", at=nights.at)


def told(nights: Nights) -> list[tuple[str, str]]:
    return [(message["type"].rpartition(".")[2], message["data"]["state"]) for message in messages(nights)]


def test_what_is_found_is_flagged_and_told(nights: Nights) -> None:
    raised = nights.run(finding(1), finding(2, product_id=1, motion="upsell", quantity=3, likelihood="high"))
    assert (raised.flagged, raised.seen, raised.waiting) == (2, 0, 0)
    upsell, cross_sell = rows(nights)
    assert (upsell.account_id, upsell.motion, upsell.quantity, upsell.episode) == (2, "upsell", 3, 1)
    assert (cross_sell.state, cross_sell.flagged_on, cross_sell.seen_on) == ("flagged", nights.day, nights.day)
    assert told(nights) == [("flagged", "flagged")] * 2
    with reading(nights.engine) as session:
        moves = session.execute(select(ExpansionMove.to_state, ExpansionMove.actor)).all()
        assert [tuple(each) for each in moves] == [("flagged", "night")] * 2
        entry = session.scalars(select(AuditEntry)).one()
        assert (entry.actor, entry.details["flagged"]) == ("night", 2)


def test_the_message_says_all_that_sales_needs_and_no_name_of_a_person(nights: Nights) -> None:
    nights.run(finding(1, amount_minor=123_450))
    (message,) = messages(nights)
    data = message["data"]
    links = data.pop("links")
    assert message["type"] == "expansion_opportunity.flagged"
    assert data == {
        "id": rows(nights)[0].id,
        "state": "flagged",
        "motion": "cross_sell",
        "account": {
            "id": 1,
            "name": "青葉商事",
            "external_ids": [{"system": "crm", "kind": "crm", "external_id": "A-1"}],
        },
        "product": {"sku": "PLUS", "name": "Plus"},
        "quantity": None,
        "likelihood": "medium",
        "probability": None,
        "worth": {"amount": "1234.50", "currency": "USD"},
        "expected_value": None,
        "measure": "arr",
        "why_now": "7 of the 90 accounts that did not have Plus took it in the last 6 months.",
        "evidence": ["7 of the 90 accounts that did not have Plus took it in the last 6 months."],
        "episode": 1,
        "flagged_on": "2026-03-01",
        "snoozed_until": None,
        "is_reminder": False,
    }
    assert links.pop("account") == "https://tenure.example/accounts/1"
    with reading(nights.engine) as session:
        message_id = session.scalars(select(WebhookMessage.message_id)).one()
    for action, url in links.items():
        prefix, _, token = url.rpartition("/")
        linked = read_link(token, secret_keys=[LINKS.secret_key], now=nights.at)
        assert prefix == "https://tenure.example/answers"
        assert (linked.opportunity_id, linked.action, linked.message_id) == (data["id"], action, message_id)
    assert set(links) == {"accept", "reject", "snooze"}


def test_a_message_of_a_service_that_does_not_know_its_address_has_no_links(nights: Nights) -> None:
    findings = Findings(nights.day, 1, "USD", [finding(1)], {}, None)
    with transaction(nights.engine) as session:
        links = Links(None, LINKS.secret_key)
        raise_opportunities(session, findings, budget=nights.budget, links=links, at=nights.at)
    (message,) = messages(nights)
    assert message["data"]["links"] == {}


def test_the_same_night_twice_raises_nothing_twice(nights: Nights) -> None:
    nights.run(finding(1), finding(2))
    again = nights.run(finding(1), finding(2))
    assert (again.flagged, again.seen) == (0, 2)
    assert len(rows(nights)) == len(messages(nights)) == 2


def test_what_is_found_again_is_noted_and_told_no_second_time(nights: Nights) -> None:
    nights.run(finding(1, amount_minor=100))
    nights.later().run(finding(1, amount_minor=999))
    (row,) = rows(nights)
    assert (row.seen_on, row.flagged_on) == (nights.day, nights.day - timedelta(days=1))
    assert row.amount_minor == 100, "what was told stays as it was told"
    assert len(messages(nights)) == 1


def test_a_night_that_dies_leaves_neither_opportunity_nor_message(nights: Nights) -> None:
    def explode() -> list:
        raise ZeroDivisionError

    with suppress(ZeroDivisionError):
        nights.run(finding(1), finding(2, explain=explode))
    assert rows(nights) == messages(nights) == []
    nights.run(finding(1), finding(2))
    assert len(rows(nights)) == len(messages(nights)) == 2


def test_the_best_are_flagged_first_and_the_others_on_later_nights(nights: Nights) -> None:
    nights.budget = Budget(2, 5)
    found = [
        finding(1, amount_minor=500),
        finding(2, amount_minor=900),
        finding(3, amount_minor=10, likelihood="high"),
        finding(4, amount_minor=700),
        finding(5, amount_minor=600),
    ]
    first = nights.run(*found)
    assert (first.flagged, first.waiting) == (2, 3)
    assert [row.account_id for row in rows(nights)] == [3, 2]
    assert nights.run(*found).flagged == 0, "the same night has spent its budget"
    second = nights.later().run(*found)
    assert (second.flagged, second.seen, second.waiting) == (2, 2, 1)
    third = nights.later().run(*found)
    assert (third.flagged, third.waiting) == (1, 0)
    assert [row.account_id for row in rows(nights)] == [3, 2, 4, 5, 1]


def test_an_account_has_no_more_at_once_than_the_budget_says(nights: Nights) -> None:
    nights.budget = Budget(100, 2)
    three = [finding(1, product_id) for product_id in (1, 2, 3)]
    assert (nights.run(*three).flagged, nights.run(*three).waiting) == (2, 1)
    move(nights, rows(nights)[0].id, "reject", reason="no_budget")
    later = nights.later().run(*three)
    assert (later.flagged, later.resting, later.waiting) == (1, 1, 0)


def test_what_is_not_found_for_long_lapses_and_that_is_told(nights: Nights) -> None:
    nights.run(finding(1), finding(2))
    seen_on = nights.day
    move(nights, rows(nights)[1].id, "accept")
    assert nights.later(6).run(lapse_before=seen_on).lapsed == 0
    assert nights.later(1).run(lapse_before=seen_on + timedelta(days=1)).lapsed == 1
    assert [row.state for row in rows(nights)] == ["lapsed", "accepted"], "an accepted one is sales' own"
    assert told(nights)[-1] == ("updated", "lapsed")
    assert messages(nights)[-1]["data"]["reason"] == "not_found"
    assert nights.run(lapse_before=seen_on + timedelta(days=1)).lapsed == 0


def test_an_account_in_trouble_is_left_alone_and_what_stood_lapses(nights: Nights) -> None:
    nights.run(finding(1), finding(2))
    raised = nights.later().run(finding(1), finding(2), finding(3), held_back={1: "churn_risk", 3: "escalation"})
    assert (raised.lapsed, raised.seen, raised.flagged) == (1, 1, 0)
    assert [(row.account_id, row.state) for row in rows(nights)] == [(1, "lapsed"), (2, "flagged")]
    assert messages(nights)[-1]["data"]["reason"] == "churn_risk"
    assert nights.later(7).run(finding(1)).resting == 1, "so that an account on the edge is not told of every week"
    assert nights.later(30).run(finding(1)).flagged == 1


def test_a_snoozed_one_comes_back_on_its_day_with_the_figures_of_that_night(nights: Nights) -> None:
    nights.run(finding(1, amount_minor=100))
    (row,) = rows(nights)
    move(nights, row.id, "snooze", until=nights.day + timedelta(days=40))
    assert nights.later(39).run(lapse_before=nights.day).lapsed == 0, "who sleeps is not missed"
    raised = nights.later(1).run(finding(1, amount_minor=300), lapse_before=nights.day)
    assert (raised.woken, raised.flagged) == (1, 0)
    (row,) = rows(nights)
    assert (row.state, row.snoozed_until, row.amount_minor) == ("flagged", None, 300)
    assert told(nights)[-1] == ("flagged", "flagged")
    assert messages(nights)[-1]["data"]["is_reminder"] is True
    assert nights.run(finding(1)).woken == 0


def test_a_snoozed_one_that_is_no_longer_found_does_not_come_back(nights: Nights) -> None:
    nights.run(finding(1))
    move(nights, rows(nights)[0].id, "snooze", until=nights.day + timedelta(days=10))
    raised = nights.later(10).run(lapse_before=nights.day - timedelta(days=1))
    assert (raised.woken, raised.lapsed) == (0, 1)


@pytest.mark.parametrize(
    ("moves", "days"),
    [
        ([("reject", "no_budget")], 180),
        ([("accept", None), ("lose", "price")], 180),
        ([("accept", None), ("win", None)], 90),
    ],
)
def test_what_was_ended_rests_before_it_is_flagged_again(nights: Nights, moves, days: int) -> None:
    nights.run(finding(1))
    for action, reason in moves:
        move(nights, rows(nights)[0].id, action, reason=reason)
    assert nights.later(days - 1).run(finding(1)).resting == 1
    assert nights.later(1).run(finding(1)).flagged == 1
    assert [row.episode for row in rows(nights)] == [1, 2]


def test_the_database_itself_refuses_a_second_undecided_one(nights: Nights) -> None:
    nights.run(finding(1))
    (row,) = rows(nights)
    copy = {column.name: getattr(row, column.name) for column in ExpansionOpportunity.__table__.columns}
    for changed in ({"episode": 2}, {"state": "rejected"}):
        with pytest.raises(IntegrityError), transaction(nights.engine) as session:
            session.execute(insert(ExpansionOpportunity), [copy | {"id": 99} | changed])
    with transaction(nights.engine) as session:
        session.execute(insert(ExpansionOpportunity), [copy | {"id": 99, "episode": 2, "state": "rejected"}])
    with reading(nights.engine) as session:
        assert session.scalar(select(func.count()).select_from(ExpansionOpportunity)) == 2


def test_a_thousand_are_raised_in_one_night(nights: Nights) -> None:
    nights.budget = Budget(1_000, 2_000)
    many = [finding(1, product_id, score=float(n), motion=f"kind {n}") for n in range(400) for product_id in (1, 2, 3)]
    raised = nights.run(*many)
    assert (raised.flagged, raised.waiting) == (1_000, 200)
    assert len(messages(nights)) == 1_000
    assert nights.later().run(*many).flagged == 200


def test_the_days_are_those_of_the_night_not_of_the_clock(nights: Nights) -> None:
    nights.day = date(2026, 2, 1)
    nights.run(finding(1))
    assert rows(nights)[0].flagged_on == date(2026, 2, 1)

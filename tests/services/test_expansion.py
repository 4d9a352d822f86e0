"""What people and their programs do with an opportunity: the table of moves, kept and told."""

import json
from datetime import date, timedelta

import pytest
from sqlalchemy import Engine, select

from app.db import reading, transaction
from app.domain.expansion_moves import MOVES, STATES
from app.errors import Conflict, Invalid, NotFound
from app.models.audit import AuditEntry
from app.models.expansion import ExpansionMove, ExpansionOpportunity
from app.models.persons import FreeText
from app.models.webhooks import WebhookMessage
from app.queries.expansion import OpportunityDetail
from app.services.audit import verify_audit
from app.services.expansion import Move, move_opportunity
from tests.services.expansion_company import Nights, finding, nights_of

REASON = {"reject": "no_budget", "lose": "price"}
ACTIONS = sorted({action for _, action in MOVES})


@pytest.fixture
def nights(engine: Engine) -> Nights:
    nights = nights_of(engine)
    nights.run(finding(1))
    return nights


def move(nights: Nights, action: str, **said) -> OpportunityDetail:
    reason = {"reason": REASON[action]} if action in REASON and "reason" not in said else {}
    with transaction(nights.engine) as session:
        return move_opportunity(session, Move(1, action, **reason, **said), actor="user:7", at=nights.at)


def put_into(nights: Nights, state: str) -> None:
    with transaction(nights.engine) as session:
        row = session.get_one(ExpansionOpportunity, 1)
        row.state, row.moved_at = state, nights.at


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_table_of_moves_is_all_that_can_be_done(nights: Nights, state: str, action: str) -> None:
    put_into(nights, state)
    wanted = MOVES.get((state, action))
    if wanted is None:
        with pytest.raises(Conflict, match=f"It is {state} since 2026-03-01"):
            move(nights, action)
    else:
        assert move(nights, action).opportunity.state == wanted


def test_a_move_is_kept_with_who_when_and_why_audited_and_told(nights: Nights) -> None:
    found = move(nights, "reject", reason="bad_timing", note="  Ask again after the merger.  ")
    (flagged, rejected) = found.moves
    assert (flagged.from_state, flagged.to_state, flagged.actor) == (None, "flagged", "night")
    assert (rejected.from_state, rejected.to_state, rejected.actor) == ("flagged", "rejected", "user:7")
    assert (rejected.reason, rejected.note, rejected.moved_at) == (
        "bad_timing",
        "Ask again after the merger.",
        nights.at,
    )
    assert found.actions == ["undo"]
    with reading(nights.engine) as session:
        entry = session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()
        assert entry is not None
        assert (entry.action, entry.subject, entry.actor) == (
            "expansion_opportunity.reject",
            "expansion_opportunity:1",
            "user:7",
        )
        assert entry.details == {"from": "flagged", "to": "rejected", "reason": "bad_timing"}
        assert verify_audit(session).broken_id is None
        message = session.scalars(select(WebhookMessage).order_by(WebhookMessage.id.desc())).first()
        assert message is not None
        body = json.loads(message.body)
        assert (body["type"], body["data"]["state"]) == ("expansion_opportunity.updated", "rejected")
        assert (body["data"]["from_state"], body["data"]["reason"]) == ("flagged", "bad_timing")
        assert "merger" not in message.body, "free text stays in the table of texts"
        assert "links" not in body["data"]
        assert session.scalars(select(FreeText.body)).all() == ["Ask again after the merger."]


@pytest.mark.parametrize(
    ("action", "said", "words"),
    [
        ("reject", {"reason": None}, "Say why; the reasons are: not_needed"),
        ("reject", {"reason": "price"}, "Say why"),
        ("accept", {"reason": "price"}, "A reason goes with a rejection"),
        ("accept", {"until": date(2026, 4, 1)}, "A day goes with a snooze"),
        ("snooze", {"until": date(2026, 3, 1)}, "between tomorrow and 365 days"),
        ("snooze", {"until": date(2027, 3, 2)}, "between tomorrow and 365 days"),
        ("accept", {"note": "x" * 2_001}, "at most 2,000 characters"),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_does_not_fit_is_refused_and_nothing_is_written(nights: Nights, action, said, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        move(nights, action, **said)
    with reading(nights.engine) as session:
        assert session.get_one(ExpansionOpportunity, 1).state == "flagged"
        assert len(session.scalars(select(ExpansionMove)).all()) == 1


def test_a_snooze_lasts_thirty_days_unless_somebody_says_until_when(nights: Nights) -> None:
    assert move(nights, "snooze").opportunity.snoozed_until == date(2026, 3, 31)
    until = date(2026, 12, 24)
    assert move(nights, "snooze", until=until).opportunity.snoozed_until == until
    assert move(nights, "accept").opportunity.snoozed_until is None


def test_an_answer_can_be_taken_back_for_a_week(nights: Nights) -> None:
    move(nights, "reject")
    nights.later(7)
    assert move(nights, "undo").opportunity.state == "flagged"
    move(nights, "accept")
    nights.later(8)
    with pytest.raises(Conflict, match="can be undone for 7 days"):
        move(nights, "undo")


def test_what_was_taken_back_stands_for_a_while_though_no_night_found_it(nights: Nights) -> None:
    move(nights, "reject")
    taken_back = move(nights.later(6), "undo")
    assert taken_back.opportunity.seen_on == nights.day
    assert nights.run(lapse_before=nights.day).lapsed == 0


def test_the_second_of_two_at_once_is_told_how_it_stands(nights: Nights) -> None:
    move(nights, "accept")
    with pytest.raises(
        Conflict, match="It is accepted since 2026-03-01; what can be done with it now: win, lose, undo"
    ):
        move(nights, "accept")


def test_there_is_nothing_to_move_where_there_is_no_opportunity(nights: Nights) -> None:
    with pytest.raises(NotFound, match="no expansion opportunity 99"), transaction(nights.engine) as session:
        move_opportunity(session, Move(99, "accept"), actor="user:7", at=nights.at + timedelta(days=1))

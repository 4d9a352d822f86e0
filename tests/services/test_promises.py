"""Promises: said to be kept, broken or dropped, taken back, and what a sync and a restored deal leave of that."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import Engine, func, select, update

from app.db import reading, transaction
from app.errors import Conflict, Invalid, NotFound
from app.models.audit import AuditEntry
from app.models.crm import DealPromise
from app.models.deals import Deal, DealVersion
from app.queries.promises import DealPromised, list_promises, load_overdue_promises
from app.services.audit import verify_audit
from app.services.changes import recording
from app.services.health import Said
from app.services.promises import PromiseMove, move_promise, record_promises, withdraw_promises
from app.services.sources import Source
from integrations.crm.client import CrmDeal, Promise
from integrations.files.rows import ClosedDeal, DealRow
from tests.small_company import NOW, write_small_company

DUE_ON = date(2026, 2, 20)
GOAL = Promise("goal", "goal", "Ten teams live by spring", DUE_ON)
NOTE = Promise("note", "note", "They like to be called on Mondays")


@pytest.fixture
def company(engine: Engine) -> Engine:
    """Two promises with the deal of account 1."""
    write_small_company(engine)
    sync(engine, [GOAL, NOTE])
    return engine


def sync(engine: Engine, promises: Sequence[Promise], *, at: datetime = NOW) -> None:
    with transaction(engine) as session, recording(session, "sync of crm", clock=lambda: at) as change:
        name = session.scalars(select(Deal.external_id).where(Deal.id == 1)).one()
        row = DealRow(name, name="Deal", opened_on=DUE_ON, closed_on=DUE_ON)
        deal = CrmDeal(ClosedDeal(row, ()), promises=tuple(promises))
        record_promises(session, change, source=Source("crm", at), deals=[(1, deal)])


def withdraw(engine: Engine) -> None:
    with transaction(engine) as session, recording(session, "sync of crm", clock=lambda: NOW) as change:
        withdraw_promises(session, change, deal_ids=[1])


def listed(engine: Engine, *, known_at: datetime | None = None) -> dict[str, DealPromised]:
    with reading(engine) as session:
        return {each.kind: each for each in list_promises(session, 1, known_at=known_at)}


def move(engine: Engine, promise_id: int, state: str, reason: str = "", *, hours: int = 1) -> int:
    at = NOW + timedelta(hours=hours)
    with transaction(engine) as session:
        return move_promise(session, PromiseMove(promise_id, state, reason), said=Said("user:7", at, at.date()))


def test_what_became_of_a_promise_is_on_record_with_who_when_and_why(company: Engine) -> None:
    promise_id = listed(company)["goal"].id
    new_id = move(company, promise_id, "broken", " The export came too late. ")
    goal = listed(company)["goal"]
    assert (goal.id, goal.state, goal.text, goal.due_on) == (new_id, "broken", GOAL.text, DUE_ON)
    [step] = goal.steps
    assert (step.state, step.actor, step.reason) == ("broken", "user:7", "The export came too late.")
    assert step.moved_at == NOW + timedelta(hours=1)
    before = listed(company, known_at=NOW + timedelta(minutes=30))["goal"]
    assert (before.id, before.state, before.steps) == (promise_id, "open", ())
    with reading(company) as session:
        entry = session.scalars(select(AuditEntry)).one()
        assert (entry.action, entry.subject, entry.actor) == ("promise.moved", f"promise:{promise_id}", "user:7")
        assert entry.details == {"account_id": 1, "deal_id": 1, "from": "open", "to": "broken"}
        assert verify_audit(session).broken_id is None


def test_what_was_said_is_taken_back_and_stays_in_the_history(company: Engine) -> None:
    first = move(company, listed(company)["goal"].id, "kept")
    second = move(company, first, "open", hours=2)
    move(company, second, "dropped", "They changed their plans.", hours=3)
    steps = listed(company)["goal"].steps
    assert [(step.state, step.reason) for step in steps] == [
        ("dropped", "They changed their plans."),
        ("open", None),
        ("kept", None),
    ]


def test_two_people_do_not_both_move_a_promise(company: Engine) -> None:
    promise_id = listed(company)["goal"].id
    new_id = move(company, promise_id, "kept")
    for stale in (promise_id, new_id):
        with pytest.raises(Conflict):
            move(company, stale, "broken", "No.", hours=2)
    assert listed(company)["goal"].state == "kept"
    with pytest.raises(Conflict):
        move(company, listed(company)["note"].id, "open")


@pytest.mark.parametrize(("state", "reason"), [("dropped", ""), ("broken", "  "), ("won", "x"), ("kept", "x" * 2_001)])
def test_a_move_that_says_too_little_or_nothing_sensible_changes_nothing(
    company: Engine, state: str, reason: str
) -> None:
    with pytest.raises(Invalid):
        move(company, listed(company)["goal"].id, state, reason)
    assert listed(company)["goal"].state == "open"


def test_a_promise_that_is_not_there_cannot_be_moved(company: Engine) -> None:
    with pytest.raises(NotFound):
        move(company, 999, "kept")


def test_a_sync_that_changes_the_words_leaves_what_became_of_it(company: Engine) -> None:
    move(company, listed(company)["goal"].id, "broken", "Too late.")
    reworded = Promise("goal", "goal", "Twelve teams live by spring", DUE_ON)
    sync(company, [reworded, NOTE], at=NOW + timedelta(hours=2))
    goal = listed(company)["goal"]
    assert (goal.state, goal.text) == ("broken", reworded.text)
    assert [(step.state, step.actor, step.reason) for step in goal.steps] == [("broken", "user:7", "Too late.")]


def test_a_deal_that_comes_back_brings_what_became_of_its_promises(company: Engine) -> None:
    move(company, listed(company)["goal"].id, "kept")
    withdraw(company)
    assert listed(company) == {}
    sync(company, [GOAL, NOTE], at=NOW + timedelta(hours=3))
    assert {kind: each.state for kind, each in listed(company).items()} == {"goal": "kept", "note": "open"}
    with reading(company) as session:
        in_force = DealPromise.superseded_change_id.is_(None)
        assert session.scalar(select(func.count()).select_from(DealPromise).where(in_force)) == 2


@pytest.mark.parametrize(("day", "count"), [(DUE_ON, 0), (DUE_ON + timedelta(days=1), 1)])
def test_a_promise_is_overdue_from_the_day_after_it_was_due(company: Engine, day: date, count: int) -> None:
    with reading(company) as session:
        overdue = load_overdue_promises(session, csm=(), today=day, limit=5)
        nobodys = load_overdue_promises(session, csm=(999,), today=day, limit=5)
    assert (overdue.count, nobodys.count) == (count, 0)
    assert [(row.account_id, row.account, row.text) for row in overdue.rows] == [(1, "青葉商事", GOAL.text)] * count
    assert listed(company)["goal"].is_overdue(day) is bool(count)
    assert not listed(company)["note"].is_overdue(date.max)


def test_a_promise_that_was_kept_is_not_overdue(company: Engine) -> None:
    move(company, listed(company)["goal"].id, "kept")
    with reading(company) as session:
        assert load_overdue_promises(session, csm=(), today=date(2027, 1, 1), limit=5).count == 0


@pytest.mark.parametrize("stage", ["open", "lost"])
def test_what_was_said_with_a_deal_that_is_not_won_was_not_promised(company: Engine, stage: str) -> None:
    with transaction(company) as session:
        session.execute(update(DealVersion).where(DealVersion.deal_id == 1).values(stage=stage))
    assert listed(company) == {}
    with reading(company) as session:
        assert load_overdue_promises(session, csm=(), today=date(2027, 1, 1), limit=5).count == 0

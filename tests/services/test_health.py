"""Overrides and pulses: kept beside the calculated score, ended, taken back, and judged a year later."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Engine, func, select

from app.db import reading, transaction
from app.errors import Conflict, Invalid, NotFound
from app.models.audit import AuditEntry
from app.models.health import HealthOverride
from app.models.persons import FreeText
from app.models.scores import Score
from app.queries.facts import Known
from app.queries.health_overrides import JudgedOverrides, Override, find_overrides, judge_all_overrides, list_overrides
from app.queries.pulses import GivenPulse, list_pulses
from app.queries.settings import CompanySettings
from app.services.audit import verify_audit
from app.services.changes import recording
from app.services.health import Said, WantedOverride, end_override, give_pulse, set_override, undo_override
from tests.small_company import AS_OF, NOW, publish_small_run, write_small_company

EXPIRES_ON = AS_OF + timedelta(days=30)
LATER = NOW + timedelta(hours=1)


@pytest.fixture
def company(engine: Engine) -> Engine:
    write_small_company(engine)
    publish_small_run(engine)
    return engine


def said(at: datetime = NOW, *, actor: str = "user:7") -> Said:
    return Said(actor, at, at.date())


def set_by_hand(
    engine: Engine, account_id: int = 1, *, band: str = "at_risk", at: datetime = NOW, until: date = EXPIRES_ON
) -> int:
    with transaction(engine) as session:
        wanted = WantedOverride(account_id, band, "They look at another vendor.", until)
        return set_override(session, wanted, said=said(at))


def undo(engine: Engine, at: datetime, account_id: int = 1) -> None:
    with transaction(engine) as session:
        undo_override(session, account_id, said=said(at, actor="user:8"))


def end(engine: Engine, at: datetime, account_id: int = 1) -> None:
    with transaction(engine) as session:
        end_override(session, account_id, said=said(at, actor="user:8"))


def history(engine: Engine, account_id: int = 1) -> list[Override]:
    with reading(engine) as session:
        return list_overrides(session, account_id)


def in_force(engine: Engine, on: date = AS_OF) -> dict[int, str]:
    with reading(engine) as session:
        return {i: each.band for i, each in find_overrides(session, range(1, 8), today=on).items()}


def test_an_override_stands_beside_the_score_and_changes_none(company: Engine) -> None:
    with reading(company) as session:
        before = session.execute(select(Score.account_id, Score.health, Score.band)).all()
    set_by_hand(company)
    with reading(company) as session:
        assert session.execute(select(Score.account_id, Score.health, Score.band)).all() == before
    [row] = history(company)
    assert (row.band, row.score, row.calculated, row.actor) == ("at_risk", 20.0, 72.5, "user:7")
    assert (row.reason, row.begins_at, row.expires_on) == ("They look at another vendor.", NOW, EXPIRES_ON)
    assert in_force(company) == {1: "at_risk"}


def test_it_expires_by_itself_on_its_day(company: Engine) -> None:
    set_by_hand(company)
    assert in_force(company, EXPIRES_ON - timedelta(days=1)) == {1: "at_risk"}
    assert in_force(company, EXPIRES_ON) == {}


def test_another_one_ends_the_one_before(company: Engine) -> None:
    set_by_hand(company)
    set_by_hand(company, band="watch", at=LATER)
    newest, before = history(company)
    assert (before.ended_at, before.ended_by) == (LATER, "user:7")
    assert (newest.band, newest.ended_at) == ("watch", None)
    assert in_force(company) == {1: "watch"}


def test_one_set_after_another_had_expired_was_ended_by_nobody(company: Engine) -> None:
    set_by_hand(company, until=AS_OF + timedelta(days=1))
    set_by_hand(company, at=NOW + timedelta(days=3))
    assert [row.ended_by for row in history(company)] == [None, "expiry"]


def test_ended_by_hand_the_calculated_score_stands_alone_again(company: Engine) -> None:
    set_by_hand(company)
    end(company, LATER)
    assert in_force(company) == {}
    assert (history(company)[0].ended_at, history(company)[0].ended_by) == (LATER, "user:8")
    with pytest.raises(Conflict, match="in force"):
        end(company, LATER)


def test_what_was_set_is_taken_back_and_what_it_replaced_is_set_again(company: Engine) -> None:
    set_by_hand(company, band="watch")
    set_by_hand(company, band="at_risk", at=LATER)
    undo(company, LATER + timedelta(hours=1))
    assert in_force(company) == {1: "watch"}
    assert [row.band for row in history(company)] == ["watch", "at_risk", "watch"]


def test_the_first_that_was_set_is_taken_back_and_that_is_taken_back(company: Engine) -> None:
    set_by_hand(company)
    undo(company, LATER)
    assert in_force(company) == {}
    undo(company, LATER + timedelta(hours=1))
    assert in_force(company) == {1: "at_risk"}


def test_nothing_on_record_is_changed_by_taking_an_end_back(company: Engine) -> None:
    set_by_hand(company)
    end(company, LATER)
    before = history(company)
    undo(company, LATER + timedelta(days=1))
    newest, *older = history(company)
    assert older == before
    assert (newest.reason, newest.expires_on, newest.begins_at) == (
        before[0].reason,
        EXPIRES_ON,
        LATER + timedelta(days=1),
    )


@pytest.mark.parametrize("days", [8, 31])
def test_after_a_week_there_is_nothing_to_take_back(company: Engine, days: int) -> None:
    set_by_hand(company)
    with pytest.raises(Conflict):
        undo(company, NOW + timedelta(days=days))


@pytest.mark.parametrize(
    ("band", "reason", "until"),
    [
        ("green", "x", EXPIRES_ON),
        ("watch", "  ", EXPIRES_ON),
        ("watch", "x" * 2_001, EXPIRES_ON),
        ("watch", "x", AS_OF),
        ("watch", "x", AS_OF + timedelta(days=366)),
    ],
)
def test_what_does_not_fit_is_refused(company: Engine, band: str, reason: str, until: date) -> None:
    with pytest.raises(Invalid), transaction(company) as session:
        set_override(session, WantedOverride(1, band, reason, until), said=said())
    assert history(company) == []


@pytest.mark.parametrize(("account_id", "error"), [(4, Conflict), (5, Conflict), (7, NotFound), (99, NotFound)])
def test_only_an_account_that_pays_can_be_set(company: Engine, account_id: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        set_by_hand(company, account_id)


def test_where_the_score_is_withheld_one_can_be_set_beside_nothing(company: Engine) -> None:
    set_by_hand(company, 3)
    assert (history(company, 3)[0].calculated, history(company, 3)[0].calculated_risk) == (None, None)


def test_each_step_is_in_the_audit_and_the_reason_is_not(company: Engine) -> None:
    set_by_hand(company)
    end(company, LATER)
    undo(company, LATER + timedelta(hours=1))
    with reading(company) as session:
        acts = session.execute(select(AuditEntry.action, AuditEntry.actor, AuditEntry.details)).all()
        assert verify_audit(session).broken_id is None
    assert [(act.action, act.actor) for act in acts] == [
        ("health_override.set", "user:7"),
        ("health_override.ended", "user:8"),
        ("health_override.set_again", "user:8"),
    ]
    assert "vendor" not in str([act.details for act in acts])


def test_pulses_are_kept_one_after_the_other(company: Engine) -> None:
    for hours, value, note in ((0, 2, "Their champion is gone."), (1, 4, " "), (2, 5, None)):
        with transaction(company) as session:
            give_pulse(session, 1, value=value, note=note, said=said(NOW + timedelta(hours=hours)))
    with reading(company) as session:
        rows = list_pulses(session, 1)
        assert list_pulses(session, 2) == []
    assert [(row.value, row.note) for row in rows] == [(5, None), (4, None), (2, "Their champion is gone.")]
    assert isinstance(rows[0], GivenPulse)


@pytest.mark.parametrize(("value", "note"), [(0, None), (6, None), (3, "x" * 2_001)])
def test_a_pulse_that_does_not_fit_is_refused(company: Engine, value: int, note: str | None) -> None:
    with pytest.raises(Invalid), transaction(company) as session:
        give_pulse(session, 1, value=value, note=note, said=said())


# --- Judged a year later ---

# account, score that was set, risk that was calculated, set on
Row = tuple[int, float, float | None, date]
LEFT, STAYED, IN_GRACE, WITHHELD, WAITING = (
    (4, 20.0, 0.04, date(2025, 1, 15)),  # paid until 2025-12-31
    (1, 20.0, 0.04, date(2025, 4, 2)),
    (2, 20.0, 0.04, date(2025, 7, 2)),  # its term ended on 2026-06-30, and nobody knows whether it renews
    (1, 20.0, None, date(2025, 4, 3)),
    (3, 85.0, 0.04, date(2026, 2, 1)),
)


def judge(
    engine: Engine, *rows: Row, on: date = date(2026, 7, 10), ended_after: timedelta | None = None
) -> JudgedOverrides:
    with transaction(engine) as session, recording(session, "test", clock=lambda: NOW) as change:
        for account_id, score, risk, day in rows:
            reason = FreeText(body="Said so.", change_id=change.id)
            session.add(reason)
            session.flush()
            begins_at = datetime(day.year, day.month, day.day, 9, tzinfo=UTC)
            session.add(
                HealthOverride(
                    account_id=account_id, band="at_risk", score=score, reason_id=reason.id, calculated=70.0,
                    calculated_risk=risk, actor="user:7", begins_at=begins_at, expires_on=day + timedelta(days=60),
                    ended_at=begins_at + (ended_after or timedelta(days=60)), ended_by="user:7",
                )
            )  # fmt: skip
    with reading(engine) as session:
        return judge_all_overrides(session, Known(on, NOW, CompanySettings()))


def test_an_override_is_judged_by_what_came_in_its_year(company: Engine) -> None:
    """A score of 20 stands for 40 % (10 at 50 %, 40 at 20 %): (.36 + .16) / 2 against (.9216 + .0016) / 2."""
    found = judge(company, LEFT, STAYED)
    assert (found.judgement.n, found.judgement.left, found.waiting, found.left_out) == (2, 1, 0, 0)
    assert found.judgement.override.value == pytest.approx(0.26)
    assert found.judgement.score.value == pytest.approx(0.4616)
    assert found.judgement.nearer == "unknown"


def test_what_cannot_be_judged_is_counted_apart(company: Engine) -> None:
    found = judge(company, IN_GRACE, WITHHELD, WAITING)
    assert (found.judgement.n, found.waiting, found.left_out) == (0, 1, 2)


def test_what_was_taken_back_on_the_same_day_is_not_judged(company: Engine) -> None:
    found = judge(company, LEFT, ended_after=timedelta(hours=2))
    assert (found.judgement.n, found.left_out) == (0, 1)


def test_what_was_ended_and_set_again_counts_once(company: Engine) -> None:
    set_by_hand(company)
    end(company, LATER + timedelta(days=1))
    undo(company, LATER + timedelta(days=2))
    with transaction(company) as session:
        assert session.scalar(select(func.count()).select_from(HealthOverride)) == 2
    with reading(company) as session:
        found = judge_all_overrides(session, Known(AS_OF, NOW, CompanySettings()))
    assert found.waiting == 1


def test_of_no_overrides_nothing_is_said(company: Engine) -> None:
    assert judge(company).judgement.nearer == "unknown"

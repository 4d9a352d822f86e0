"""What the nights store of why health moved, and that it adds up along them."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from app.db import reading, transaction
from app.domain.health_change import CALCULATED_PARTS, PARTS
from app.errors import Invalid
from app.models.scores import ModelRun, Score
from app.models.settings import SettingVersion
from app.models.success import Ticket
from app.models.versions import Change
from app.queries.health_change import load_chain, load_health_move
from app.services.changes import recording
from jobs.nightly import run_night
from tests.installation import work_on
from tests.jobs.growing_company import AS_OF, import_company

NIGHTS = (AS_OF - timedelta(days=40), AS_OF - timedelta(days=12), AS_OF)


@pytest.fixture
def company(engine: Engine, tmp_path: Path) -> Engine:
    """Sixty accounts, each with a ticket a month, told on its day; a score is withheld of none."""
    import_company(engine, tmp_path)

    def write(session: Session, change: Change) -> None:
        for name, value in (("minimum_coverage", "0"), ("grace_days", 10)):
            session.add(_setting(name, value, change))
        for account_id in range(1, 61):
            for month in range(14):
                on = AS_OF - timedelta(days=1 + 30 * month + account_id % 30)
                session.add(_ticket(change, account_id, on=on, urgent=(account_id + month) % 4 == 0))

    record(engine, write)
    return engine


def _setting(name: str, value: Any, change: Change) -> SettingVersion:
    return SettingVersion(
        name=name, value=value, valid_from=date(2000, 1, 1), available_at=instant(AS_OF), change_id=change.id
    )


def _ticket(change: Change, account_id: int, *, on: date, told_on: date | None = None, urgent: bool = False) -> Ticket:
    return Ticket(
        system="desk", external_id=f"{account_id}/{on}/{told_on}", account_id=account_id, occurred_on=on,
        is_escalated=urgent, available_at=instant(told_on or on), change_id=change.id,
    )  # fmt: skip


def instant(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 1, tzinfo=UTC)


def record(engine: Engine, write: Callable[[Session, Change], None]) -> None:
    with transaction(engine) as session, recording(session, "test") as change:
        write(session, change)


def night(engine: Engine, day: date, **options: Any) -> int:
    return int(run_night(work_on(engine), day, **options)["fit"]["run_id"])


def moves_of(engine: Engine, run_id: int) -> dict[int, dict[str, float]]:
    with reading(engine) as session:
        rows = session.execute(
            select(Score.account_id, Score.health_moves).where(Score.run_id == run_id, Score.health_moves.is_not(None))
        )
        return {
            i: dict(zip(CALCULATED_PARTS, np.frombuffer(moves, dtype="<f8").tolist(), strict=True)) for i, moves in rows
        }


def scores_of(engine: Engine, run_id: int) -> dict[int, float]:
    with reading(engine) as session:
        rows = session.execute(select(Score.account_id, Score.health).where(Score.run_id == run_id))
        return {i: health for i, health in rows if health is not None}


def test_moves_add_up_from_night_to_night_and_between_any_two(company: Engine) -> None:
    runs = [night(company, day) for day in NIGHTS]
    assert moves_of(company, runs[0]) == {}
    for earlier, later in pairwise(runs):
        then, now, moves = (scores_of(company, earlier), scores_of(company, later), moves_of(company, later))
        both = set(then) & set(now)
        assert both == set(moves)
        assert len(both) > 40
        for i in both:
            assert sum(moves[i].values()) == pytest.approx(now[i] - then[i], abs=1e-9)
    with reading(company) as session:
        assert [(link.run_id, link.as_of) for link in load_chain(session)] == list(
            zip(runs[::-1], NIGHTS[::-1], strict=True)
        )
        for i in both:
            whole = load_health_move(session, i, from_on=NIGHTS[0] + timedelta(days=3), to_on=AS_OF)
            assert (whole.earlier.as_of, whole.later.as_of) == (NIGHTS[0], NIGHTS[2])
            assert whole.parts is not None
            assert sum(whole.parts.values()) == pytest.approx(whole.later.health - whole.earlier.health, abs=1e-9)
            assert load_health_move(session, i, from_on=NIGHTS[1], to_on=NIGHTS[1]).parts == dict.fromkeys(PARTS, 0.0)
        with pytest.raises(Invalid, match=f"first scores are of {NIGHTS[0]}"):
            load_health_move(session, i, from_on=NIGHTS[0] - timedelta(days=1), to_on=AS_OF)
        with pytest.raises(Invalid, match="change them over"):
            load_health_move(session, i, from_on=NIGHTS[2], to_on=NIGHTS[0])


@pytest.mark.one_database
def test_a_night_made_anew_is_compared_with_what_the_first_was_and_takes_its_place_in_the_chain(
    company: Engine,
) -> None:
    runs = [night(company, day) for day in NIGHTS[:2]]
    first = moves_of(company, runs[1])
    anew = night(company, NIGHTS[1], is_again=True)
    assert moves_of(company, anew) == first
    with reading(company) as session:
        assert [link.run_id for link in load_chain(session)] == [anew, runs[0]]


@pytest.mark.one_database
def test_a_ticket_told_late_is_late_data_and_one_of_the_meantime_is_behaviour(company: Engine) -> None:
    night(company, NIGHTS[1])
    late, new = _two_that_stay(company)

    def write(session: Session, change: Change) -> None:
        told_on = NIGHTS[1] + timedelta(days=5)
        for back in range(3):
            session.add(_ticket(change, late, on=NIGHTS[1] - timedelta(days=3 + back), told_on=told_on, urgent=True))
            session.add(_ticket(change, new, on=told_on - timedelta(days=back), urgent=True))

    record(company, write)
    moves = moves_of(company, night(company, NIGHTS[2]))
    assert moves[late]["late_data"] < 0.0 < abs(moves[late]["behaviour"])
    assert moves[new]["late_data"] == 0.0
    assert moves[new]["behaviour"] < moves[late]["behaviour"]
    others = [each["late_data"] for i, each in moves.items() if i != late]
    assert max(map(abs, others)) == 0.0


def _two_that_stay(engine: Engine) -> tuple[int, int]:
    with reading(engine) as session:
        ids = session.scalars(select(Score.account_id).where(Score.status == "live").order_by(Score.account_id)).all()
    return ids[0], ids[1]


@pytest.mark.one_database
def test_weights_set_between_two_nights_are_configuration(company: Engine) -> None:
    runs = [night(company, NIGHTS[1])]
    record(company, lambda session, change: session.add(_setting("health_weights", {"": {"support": 3.0}}, change)))
    runs.append(night(company, NIGHTS[2]))
    moves = moves_of(company, runs[1])
    assert max(abs(each["configuration"]) for each in moves.values()) > 0.2
    then, now = (scores_of(company, run) for run in runs)
    for i, each in moves.items():
        assert sum(each.values()) == pytest.approx(now[i] - then[i], abs=1e-9)
    third = moves_of(company, night(company, NIGHTS[2] + timedelta(days=1)))
    assert max(abs(each["configuration"]) for each in third.values()) < 1e-9


def test_an_account_without_a_score_for_a_night_is_compared_with_the_last_that_had_one(company: Engine) -> None:
    """As one in grace is: there is no forecast of it until it renews."""
    runs = [night(company, day) for day in NIGHTS[:2]]
    away = min(moves_of(company, runs[1]))
    nothing = dict.fromkeys(("risk", "health", "band", "contributions", "health_moves"))
    with transaction(company) as session:
        session.execute(update(Score).where(Score.run_id == runs[1], Score.account_id == away).values(**nothing))
    last = night(company, NIGHTS[2])
    move = moves_of(company, last)[away]
    assert sum(move.values()) == pytest.approx(scores_of(company, last)[away] - scores_of(company, runs[0])[away])
    assert move["late_data"] == 0.0
    with reading(company) as session:
        whole = load_health_move(session, away, from_on=NIGHTS[0], to_on=AS_OF)
        assert whole.parts == pytest.approx(move | {"override": 0.0})
        gap = load_health_move(session, away, from_on=NIGHTS[1], to_on=AS_OF)
        assert (gap.parts, gap.why_none) == (None, "no_score")


@pytest.mark.one_database
def test_a_score_that_is_withheld_moves_nothing_that_is_shown(company: Engine) -> None:
    runs = [night(company, day) for day in NIGHTS[:2]]
    account = min(moves_of(company, runs[1]))
    with transaction(company) as session:
        session.execute(
            update(Score).where(Score.run_id == runs[0], Score.account_id == account).values(health=None, band=None)
        )
    with reading(company) as session:
        move = load_health_move(session, account, from_on=NIGHTS[0], to_on=AS_OF)
    assert (move.parts, move.why_none) == (None, "withheld")


@pytest.mark.one_database
def test_a_model_of_another_version_is_the_models_part(company: Engine) -> None:
    first = night(company, NIGHTS[1])
    with transaction(company) as session:
        session.execute(update(ModelRun).where(ModelRun.id == first).values(document='{"version": 0}'))
    second = night(company, NIGHTS[2])
    then, now, moves = scores_of(company, first), scores_of(company, second), moves_of(company, second)
    assert len(moves) > 40
    for i, each in moves.items():
        assert sum(each.values()) == pytest.approx(now[i] - then[i], abs=1e-9)


@pytest.mark.one_database
def test_what_an_older_version_did_not_record_is_said_to_be_unknown(company: Engine) -> None:
    runs = [night(company, day) for day in NIGHTS[:2]]
    account = min(moves_of(company, runs[1]))
    with transaction(company) as session:
        session.execute(update(Score).where(Score.run_id == runs[1]).values(health_moves=None))
    with reading(company) as session:
        move = load_health_move(session, account, from_on=NIGHTS[0], to_on=AS_OF)
    assert (move.parts, move.why_none) == (None, "not_recorded")

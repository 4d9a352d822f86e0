"""A night part by part: the same figures however many accounts are looked at together, and after a death in between."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from app.db import make_engine, reading
from app.domain.backtest import rank_accounts
from app.domain.fact_tables import DATED, OF_ACCOUNTS, join_facts
from app.domain.features import Facts
from app.domain.survival import HazardModel
from app.models.scores import FeatureSnapshot, GroupDraws, ModelRun, Score
from jobs.fit import draw_learned
from jobs.groups import GroupTotals
from jobs.night import Night
from jobs.nightly import STEPS
from jobs.scoring import Scoring
from jobs.shelf import Shelf
from jobs.steps import open_run, run_steps
from jobs.work import Work
from tests.databases import copied, figures
from tests.domain.awkward_facts import random_facts
from tests.installation import work_on
from tests.jobs.growing_company import ACCOUNTS, AS_OF, import_company
from tests.processes import CONTEXT


@pytest.fixture
def company(engine: Engine, tmp_path: Path) -> Engine:
    import_company(engine, tmp_path)
    return engine


def make_night(work: Work, *, accounts_at_once: int) -> None:
    run = open_run(work, "nightly", as_of=AS_OF, is_again=False)
    run_steps(Night(work, run, accounts_at_once=accounts_at_once), STEPS)


def unlike(one: dict[str, list], other: dict[str, list]) -> set[str]:
    return {name for name, rows in one.items() if rows != other[name]}


@contextmanager
def made(engine: Engine, *, accounts_at_once: int) -> Iterator[Engine]:
    with copied(engine) as copy:
        make_night(work_on(copy), accounts_at_once=accounts_at_once)
        yield copy


@pytest.mark.parametrize("accounts_at_once", [7, 31])
def test_the_figures_are_the_same_to_the_byte_however_many_accounts_are_looked_at_together(
    company: Engine, accounts_at_once: int
) -> None:
    with made(company, accounts_at_once=ACCOUNTS) as whole:
        expected = figures(whole)
        sums = revenue_by_group(whole)
    with made(company, accounts_at_once=accounts_at_once) as parts:
        assert unlike(figures(parts), expected) <= {"group_draws"}
        assert revenue_by_group(parts).keys() == sums.keys()
        for group, found in revenue_by_group(parts).items():  # sums over accounts are added up in another order
            for one, other, rtol in zip(found, sums[group], (1e-12, 1e-6, 1e-6), strict=True):
                np.testing.assert_allclose(one, other, rtol=rtol)


def revenue_by_group(engine: Engine) -> dict[tuple[str, str], tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Of each group what is expected, its joint draws, and the covariance of chance; the latter two in four bytes."""
    with reading(engine) as session:
        columns = (GroupDraws.expected, GroupDraws.draws, GroupDraws.process)
        rows = session.execute(select(GroupDraws.group_by, GroupDraws.group, *columns))
        return {
            (cut, name): (np.frombuffer(expected), *(np.frombuffer(blob, dtype="<f4") for blob in drawn))
            for cut, name, expected, *drawn in rows
        }


def die_in_the_third_part(url: str, folder: Path) -> None:
    """Write two parts of the scores, and be gone before the third is committed."""
    engine, written = make_engine(url), 0

    def fence(session: Session) -> None:
        nonlocal written
        written = session.scalar(select(func.count()).select_from(Score)) or 0
        if written >= 40:
            os.kill(os.getpid(), signal.SIGKILL)

    make_night(replace(work_on(engine, folder=folder), fence=fence), accounts_at_once=20)


def test_killed_between_two_parts_the_night_is_completed_as_if_nothing_had_been(
    company: Engine, database_url: str, tmp_path: Path
) -> None:
    with made(company, accounts_at_once=20) as undisturbed:
        expected = figures(undisturbed)
    company.dispose()
    process = CONTEXT.Process(target=die_in_the_third_part, args=(database_url, tmp_path))
    process.start()
    process.join(100)
    assert process.exitcode == -signal.SIGKILL
    with reading(company) as session:
        assert session.scalar(select(func.count()).select_from(Score)) == 40, "two of three parts were left behind"
        assert (session.scalar(select(func.count()).select_from(FeatureSnapshot)) or 0) > 0
    make_night(work_on(company), accounts_at_once=30)
    assert unlike(figures(company), expected) <= {"group_draws"}


@pytest.mark.parametrize("sizes", [(40,), (13, 0, 20, 7), (1, 39)])
def test_what_is_laid_down_is_taken_up_again_part_by_part(sizes: tuple[int, ...], tmp_path: Path) -> None:
    facts = random_facts(4, accounts=40)
    ends = np.cumsum(sizes).tolist()
    shelf = Shelf(tmp_path)
    for start, stop in zip([0, *ends[:-1]], ends, strict=True):
        shelf.add(contracts_of(facts, start, stop))
    rng = np.random.default_rng(2)
    for name in DATED:
        table = getattr(facts, name)
        order = rng.permutation(len(table.account))  # tables come in an order of their own, in pieces
        shelf.lay_down(name, (take(table, rows) for rows in np.array_split(order, 3)))
    again = join_facts([shelf.take(number) for number in range(len(shelf))])
    for name in OF_ACCOUNTS:
        assert sorted(rows_of(getattr(again, name))) == sorted(rows_of(getattr(facts, name))), name
    np.testing.assert_array_equal(again.account_ids, facts.account_ids)
    assert not list(tmp_path.iterdir()), "what is laid down has no name"


def contracts_of(facts: Facts, start: int, stop: int) -> Facts:
    own = {}
    for name in OF_ACCOUNTS:
        table = getattr(facts, name)
        rows = np.flatnonzero((table.account >= start) & (table.account < stop) & (name not in DATED))
        own[name] = replace(take(table, rows), account=table.account[rows] - start)
    return replace(facts, account_ids=facts.account_ids[start:stop], **own)


def take(table, rows):
    return replace(table, **{name: getattr(table, name)[rows] for name in table.__dataclass_fields__})


def rows_of(table) -> list[tuple[str, ...]]:
    columns = [getattr(table, name).tolist() for name in table.__dataclass_fields__]
    return [tuple(map(repr, row)) for row in zip(*columns, strict=True)]


def test_of_a_large_company_the_panel_is_learned_from_and_as_many_of_those_that_churned() -> None:
    facts = random_facts(8, accounts=400)
    churned = np.zeros(400, dtype=bool)
    churned[facts.spells.account[facts.spells.churned]] = True
    drawn = draw_learned(facts, panel=60)
    rank = rank_accounts(facts.account_ids)
    assert ((drawn > 0) & churned).sum() == 60 < churned.sum()
    assert ((drawn > 0) & ~churned == (rank < 60) & ~churned).all()
    assert (drawn[churned & (rank < 60)] > 0).all(), "who is on the panel is learned from"
    for kind in (churned, ~churned):
        weights = 1.0 / drawn[kind & (drawn > 0)]
        assert weights.sum() == pytest.approx(kind.sum()), "they stand for all of their kind"
    assert (draw_learned(facts, panel=400) == 1).all()


def test_a_part_that_comes_out_of_turn_is_refused(company: Engine) -> None:
    work = work_on(company)
    night = Night(work, open_run(work, "nightly", as_of=AS_OF, is_again=False), accounts_at_once=20)
    run_id = run_steps(night, STEPS[:1])["fit"]["run_id"]
    with reading(company) as session:
        model = HazardModel.from_json(session.get_one(ModelRun, run_id).document)
    scoring = Scoring(night, basis="account", model=model)
    totals, parts = GroupTotals(scoring), list(scoring.parts())
    totals.add(parts[0])
    with pytest.raises(ValueError, match="not the next"):
        totals.add(parts[0])


def test_a_span_of_days_between_two_nights_moves_health_alike_in_parts(company: Engine) -> None:
    found = []
    for accounts_at_once in (ACCOUNTS, 11):
        with copied(company) as copy:
            for day in (AS_OF - timedelta(days=31), AS_OF):
                work = work_on(copy)
                run = open_run(work, "nightly", as_of=day, is_again=False)
                run_steps(Night(work, run, accounts_at_once=accounts_at_once), STEPS)
            with reading(copy) as session:
                moves = select(Score.account_id, Score.run_id, Score.health_moves).order_by(
                    Score.run_id, Score.account_id
                )
                found.append([tuple(row) for row in session.execute(moves)])
    assert any(row[2] for row in found[0])
    assert found[0] == found[1]

"""How likely accounts buy more seats, learned from those that did, and how right that was in the half years past."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date

import numpy as np
from sqlalchemy import delete, insert
from sqlalchemy.orm import Session

from app.domain.backtest import draw_accounts
from app.domain.expansion_hazard import (
    MONTHS,
    SeatRows,
    UpsellHazard,
    UpsellResult,
    describe_seats,
    fit_upsell,
    follow_seats,
    judge_upsell,
)
from app.domain.expansion_moves import UPSELL
from app.domain.expansion_rankers import FEWEST_BUYERS, ORIGINS_FOR_LEVEL, RIGHT_LEVEL
from app.domain.expansion_seats import SeatUse, known_windows, measure_pressure
from app.domain.features import Facts, Floats
from app.domain.months import Days, Ints, add_months, whole_months_between
from app.models.scores import Backtest
from app.queries.expansion_facts import load_survival
from app.services.expansion_raising import Chances
from jobs.flag_people import busiest_days

MOST_ACCOUNTS = 5_000
STEP_MONTHS, LANDMARKS = 3, 12  # three years back
WAY = "seats"


@dataclass(frozen=True, slots=True)
class Learned:
    """The hazard where its level was right twice in a row, and what the account's seats look like tonight."""

    run_id: int
    hazard: UpsellHazard | None
    results: tuple[UpsellResult, ...]
    rows: SeatRows
    account_ids: Ints

    def chances(self, session: Session, account_ids: Ints) -> Mapping[int, Chances]:
        """P(more seats) of these accounts; empty where no level may be said."""
        if self.hazard is None or not len(account_ids):
            return {}
        survival = load_survival(session, self.run_id, account_ids=account_ids.tolist(), months=MONTHS)
        known = [each for each in account_ids.tolist() if each in survival]
        places = np.searchsorted(self.account_ids, np.array(known, dtype=np.int64))
        columns = self.rows.columns[places]
        curves = np.concatenate([np.ones((len(known), 1)), np.array([survival[each] for each in known])], axis=1)
        churn = 1.0 - curves[:, 1:] / np.maximum(curves[:, :-1], 1e-300)
        within = [self.hazard.probability(columns, churn=churn, months=months).tolist() for months in (3, MONTHS)]
        return {
            account_id: Chances(three, six)
            for account_id, three, six in zip(known, *within, strict=True)
            if np.isfinite(six)
        }


def learn_upsell(panel: Facts, *, tonight: Facts, as_of: date, run_id: int) -> Learned:
    """Fit on landmarks every three months back, and judge the fits of the two half years before.

    The past is that of the `panel`; `tonight` are the facts of the last year of all accounts.
    """
    sample = draw_accounts(panel, most=MOST_ACCOUNTS)
    landmarks = [add_months(as_of, -STEP_MONTHS * n) for n in range(1, LANDMARKS + 1)]
    past = {landmark: describe_landmark(sample, landmark, as_of=as_of) for landmark in landmarks}
    results = []
    for n in range(1, ORIGINS_FOR_LEVEL + 1):
        origin = add_months(as_of, -MONTHS * n)
        before = [rows for landmark, rows in past.items() if add_months(landmark, MONTHS) <= origin]
        hazard = fit_upsell(before)
        if hazard is not None:
            results.append(judge_upsell(hazard, past[origin]))
    hazard = fit_upsell(list(past.values())) if _is_level_right(results) else None
    return Learned(run_id, hazard, tuple(results), describe_landmark(tonight, as_of, as_of=as_of), tonight.account_ids)


def _is_level_right(results: list[UpsellResult]) -> bool:
    ratios = [each.ratio for each in results if each.observed >= FEWEST_BUYERS]
    low, high = RIGHT_LEVEL
    return len(ratios) == ORIGINS_FOR_LEVEL and all(ratio is not None and low <= ratio <= high for ratio in ratios)


def describe_landmark(facts: Facts, landmark: date, *, as_of: date) -> SeatRows:
    """One row an account: its seats as known at the landmark, and what became of them up to `as_of`."""
    day = np.datetime64(landmark)
    seats = seats_on(facts, day)
    since, is_running = _running_spells(facts, day)
    people, first_day, last_day = busiest_days(facts, as_of=landmark)
    people[~known_windows(since, first_day=first_day, last_day=last_day, as_of=landmark)] = np.nan
    people[(seats <= 0) | ~is_running] = np.nan
    use = SeatUse(people, np.where(seats > 0, seats, np.nan))
    tenure = whole_months_between(np.where(is_running, since, day), np.broadcast_to(day, since.shape))
    columns = describe_seats(use, measure_pressure(use), tenure_months=tenure)
    ahead = [add_months(landmark, months) for months in range(MONTHS + 1)]
    paid = [seats_on(facts, np.datetime64(each)) if each <= as_of else np.full(len(seats), np.nan) for each in ahead]
    event, last = follow_seats(np.column_stack(paid))
    return SeatRows(landmark, columns, event, last)


def seats_on(facts: Facts, day: np.datetime64) -> Floats:
    """Seats paid for on a day by account, by the lines in force."""
    lines = facts.lines
    is_live = np.isnat(lines.replaced_on) & (lines.starts_on <= day) & ~(lines.stops_on <= day) & ~np.isnan(lines.seats)
    seats: Floats = np.bincount(lines.account[is_live], lines.seats[is_live], len(facts.account_ids)).astype(np.float64)
    return seats


def _running_spells(facts: Facts, day: np.datetime64) -> tuple[Days, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Since when each account's spell of that day has run, NaT and False where none did."""
    spells = facts.spells
    running = (spells.started_on <= day) & ~(spells.ended_on <= day)
    since = np.full(len(facts.account_ids), np.datetime64("NaT", "D"))
    since[spells.account[running]] = spells.started_on[running]
    return since, ~np.isnat(since)


def record_upsell(session: Session, learned: Learned) -> None:
    """Keep the results with the run, in place of those that a night made before with the same run."""
    session.execute(delete(Backtest).where(Backtest.run_id == learned.run_id, Backtest.kind == UPSELL))
    rows = [
        {
            "run_id": learned.run_id,
            "kind": UPSELL,
            "origin": result.origin,
            "way": WAY,
            "report": {name: value for name, value in asdict(result).items() if name != "origin"}
            | {"has_level": learned.hazard is not None},
        }
        for result in learned.results
    ]
    if rows:
        session.execute(insert(Backtest), rows)

"""A simulated subscription company whose true churn hazard is known, and its oracle.

Month c of the world is the month of the clock [day(c - 1), day(c)), with day(60) the day of the fit.
An account that joins in month J is first seen at day(J); month t of its tenure is month J + t.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np

from app.domain.features import FeatureSpec, FeatureTable, Floats, Spells
from app.domain.hazard_clock import boundaries_from, month_offsets, training_landmarks
from app.domain.months import Days, Ints, add_months_to_days
from app.domain.survival import FitOptions, HazardModel, Prediction, fit_hazard, predict
from tests.domain.notices import nobody_leaves

FITTED_AT, LAST_MONTH = 60, 84
AS_OF = date(2024, 12, 1)
RHO, SD_E, SD_Q = 0.85, 0.8, 0.6

SPECS = (
    FeatureSpec("usage", "sd", "adoption", "Usage in the last month", None, True, -0.45, 0.3),
    FeatureSpec("usage_mean_3", "sd", "adoption", "Mean usage of three months", None, True, 0.0),
    FeatureSpec("usage_change_6", "sd", "adoption", "Usage against the six months before", None, True, 0.0),
    FeatureSpec("small", "0/1", "commercial", "A small account", None, False, 0.0),
    FeatureSpec("log_mrr", "log", "commercial", "Log of MRR", None, False, 0.0),
)


@dataclass(frozen=True)
class World:
    joined: Ints  # month
    annual: np.ndarray
    small: np.ndarray
    mrr: Floats
    q: Floats
    e: Floats  # n x (LAST_MONTH + 1), by month of the world
    churned_in: Ints  # month of the world; 999 if not by LAST_MONTH
    shift: float  # added to every hazard's logit

    @property
    def usage(self) -> Floats:
        return self.q[:, None] + self.e


def true_hazard(world: World, *, tenure: Ints, usage: Floats) -> Floats:
    """The hazard in month `tenure` given last month's usage; both n, or n x k."""
    shape = (-1,) + (1,) * (usage.ndim - 1)
    small, annual = world.small.reshape(shape), world.annual.reshape(shape)
    monthly = np.log(0.018 / 0.982) + 0.8 * (tenure <= 3) - 0.9 * usage + 0.4 * small
    due = np.log(0.12 / 0.88) - 1.1 * usage + 0.4 * small
    between = np.log(0.002 / 0.998) - 0.6 * usage + 0.4 * small
    eta = np.where(annual, np.where(tenure % 12 == 0, due, between), monthly)
    return 1.0 / (1.0 + np.exp(-eta - world.shift))


def simulate_world(n_accounts: int, *, seed: int, shift: float = 0.0) -> World:
    rng = np.random.default_rng(seed)
    small = rng.random(n_accounts) < 0.6
    e = np.empty((n_accounts, LAST_MONTH + 1))
    e[:, 0] = rng.normal(0, SD_E, n_accounts)
    for month in range(1, LAST_MONTH + 1):
        e[:, month] = RHO * e[:, month - 1] + rng.normal(0, SD_E * np.sqrt(1 - RHO**2), n_accounts)
    world = World(
        joined=rng.integers(0, 59, n_accounts),
        annual=rng.random(n_accounts) < 0.5,
        small=small,
        mrr=np.exp(rng.normal(6.0 + 0.6 * ~small, 0.6)),
        q=rng.normal(0, SD_Q, n_accounts),
        e=e,
        churned_in=np.full(n_accounts, 999),
        shift=shift,
    )
    for month in range(1, LAST_MONTH + 1):
        alive = (world.joined < month) & (world.churned_in == 999)
        hazard = true_hazard(world, tenure=month - world.joined, usage=world.usage[:, month - 1])
        world.churned_in[alive & (rng.random(n_accounts) < hazard)] = month
    return world


def oracle_curves(world: World, rows: Ints, *, seed: int, paths: int = 400, months: int = 24) -> Floats:
    """True S(1..months) of accounts alive at FITTED_AT: the mean over paths simulated on from their own q and e."""
    rng = np.random.default_rng(seed)
    some = World(**{name: getattr(world, name)[rows] for name in _BY_ACCOUNT}, shift=world.shift)
    e = np.repeat(some.e[:, FITTED_AT, None], paths, axis=1)
    surviving = np.ones((len(rows), paths))
    curves = np.empty((len(rows), months))
    for month in range(1, months + 1):
        tenure = np.broadcast_to((FITTED_AT + month - some.joined)[:, None], e.shape)
        surviving *= 1.0 - true_hazard(some, tenure=tenure, usage=some.q[:, None] + e)
        curves[:, month - 1] = surviving.mean(axis=1)
        e = RHO * e + rng.normal(0, SD_E * np.sqrt(1 - RHO**2), e.shape)
    return curves


_BY_ACCOUNT = ("joined", "annual", "small", "mrr", "q", "e", "churned_in")


def start_days(world: World, as_of: date = AS_OF) -> Days:
    """A start inside month `joined`, so that the first unpaid day of tenure t lies in month joined + t."""
    first = boundaries_from(as_of, world.joined - FITTED_AT - 1)
    return first + np.timedelta64(9, "D") + (np.arange(len(world.joined)) % 9).astype("timedelta64[D]")


def spells_of(world: World, *, known_to_month: int, as_of: date = AS_OF) -> Spells:
    start = start_days(world, as_of)
    churned = world.churned_in <= known_to_month
    ended = add_months_to_days(start, np.where(churned, world.churned_in - world.joined, 0))
    index = np.arange(len(start))
    ended = np.where(churned, ended, np.datetime64("NaT"))
    return Spells(index, np.ones_like(index), start, ended, churned, np.full(len(index), -1))


def table_at(world: World, offsets: Ints, as_of: date = AS_OF) -> FeatureTable:
    """Features of all accounts alive at each landmark, `offsets` months from as_of (0 or negative)."""
    months = FITTED_AT + offsets
    account, month = np.nonzero((world.joined[:, None] <= months) & (world.churned_in[:, None] > months))
    month = months[month]
    start = start_days(world, as_of)[account]
    annual = world.annual[account]
    renewal = add_months_to_days(start, 12 * ((month - world.joined[account]) // 12 + 1))
    return FeatureTable(
        account=account,
        spell=account,
        landmark=boundaries_from(as_of, month - FITTED_AT),
        started_on=start,
        term_months=np.where(annual, 12, 1),
        renewal_on=np.where(annual, renewal, np.datetime64("NaT")),
        committed_until=np.full(len(account), np.datetime64("NaT"), dtype="datetime64[D]"),
        **nobody_leaves(len(account)),
        mrr=world.mrr[account],
        names=tuple(spec.name for spec in SPECS),
        values=np.column_stack(
            [*_usage_features(world, account, month), world.small[account], np.log(world.mrr[account])]
        ),
    )


def _usage_features(world: World, account: Ints, month: Ints) -> tuple[Floats, Floats, Floats]:
    usage, joined = world.usage, world.joined[account]

    def mean_of(first: int, last: int) -> Floats:
        back = np.arange(first, last)
        at = month[:, None] - back
        seen = at >= joined[:, None]
        total = np.where(seen, usage[account[:, None], np.maximum(at, 0)], 0.0).sum(axis=1)
        count = seen.sum(axis=1)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    last = usage[account, month]
    return last, mean_of(0, 3), last - mean_of(1, 7)


@dataclass(frozen=True)
class Scored:
    """A world fitted at month 60 and scored for the accounts then alive."""

    world: World
    model: HazardModel
    table: FeatureTable  # as of month 60
    training: FeatureTable
    prediction: Prediction
    truth: Floats  # the oracle's S(1..24)

    def churned_within(self, months: int) -> np.ndarray:
        return self.world.churned_in[self.table.account] <= FITTED_AT + months

    @property
    def annual(self) -> np.ndarray:
        return self.world.annual[self.table.account]


def fit_world(world: World, *, tracked_from_month: int, as_of: date = AS_OF) -> tuple[HazardModel, FeatureTable]:
    tracked_from = boundaries_from(as_of, np.array([tracked_from_month - FITTED_AT]))[0].item()
    landmarks = training_landmarks(as_of, tracked_from, n_accounts=len(world.joined))
    training = table_at(world, month_offsets(as_of, landmarks), as_of)
    spells = spells_of(world, known_to_month=FITTED_AT, as_of=as_of)
    return fit_hazard(training, spells, specs=SPECS, options=FitOptions(as_of, tracked_from)), training


def score_world(n_accounts: int, *, seed: int, shift: float, tracked_from_month: int, paths: int) -> Scored:
    world = simulate_world(n_accounts, seed=seed, shift=shift)
    model, training = fit_world(world, tracked_from_month=tracked_from_month)
    table = table_at(world, np.array([0]))
    truth = oracle_curves(world, table.account, seed=10_000 + seed, paths=paths)
    return Scored(world, model, table, training, predict(model, table), truth)

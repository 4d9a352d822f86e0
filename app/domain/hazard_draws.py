"""Joint draws of what is left of groups of accounts: what an interval of a group rests on.

Every draw is one set of coefficients for all accounts, so that what is uncertain about them all is
uncertain about their sum, and a lasting deviation of each account's own (app/domain/lasting_spread.py),
which hardly moves the sum of many. The draws of an account scatter about its fitted curve.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from app.domain.features import Bools, FeatureTable, Floats
from app.domain.hazard_map import expit
from app.domain.hazard_model import HazardModel
from app.domain.leaving import end_retention
from app.domain.months import Ints
from app.domain.renewal_tail import take_factor
from app.domain.survival import (
    FORECAST_MONTHS,
    LARGEST_HAZARD,
    Inputs,
    build_inputs,
    log_curve_sd,
    row_chunks,
    surviving,
    take_rows,
)

N_DRAWS = 200
FEWEST_DRAWN = 300  # accounts by which a group is drawn where it has more
_FATE, _LASTING = 1, 4  # uses of an account's own chance; 0, 2 and 3 are the model's
_AT_ONCE = 8  # accounts: 200 draws of 60 months of them fit into the cache, four times as fast as memory
_HASH = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """Which group (0..n_groups-1) each row of a table is in, and what it weighs: its MRR, or 1 to count accounts."""

    group: Ints
    weight: Floats
    n_groups: int


@dataclass(frozen=True, slots=True, eq=False)
class GroupDraws:
    """Joint draws (draws x groups x months) of the money, or the accounts, that are left.

    `expected` varies with the coefficients alone; `realised` also lets each account live or die.
    """

    expected: Floats
    realised: Floats


def group_draws(
    model: HazardModel, table: FeatureTable, *, groups: Groups, seed: int, n_draws: int = N_DRAWS
) -> GroupDraws:
    """Joint draws by group of the sum of weight x R(k), k = 1..60, for the accounts of `table`.

    With the same seed the coefficients are the same in the same order, and each account's own chance is that of its
    number, whoever stands beside it: however a table is cut, the draws of its parts add up to those of the whole.
    """
    drawn = _draw_model(model, n_draws=n_draws, seed=seed)
    expected, realised = np.zeros((2, groups.n_groups, FORECAST_MONTHS, n_draws))
    for rows in row_chunks(len(table.account)):
        fate = np.array([stream.random(n_draws) for stream in _own_streams(table.account[rows], seed=seed, use=_FATE)])
        own = _draw_lasting(table.account[rows], n_draws=n_draws, seed=seed)
        for part, retention in _draw_retention(model, take_rows(table, rows), drawn=drawn, own=own):
            members = _members(groups, rows[part])
            expected += np.tensordot(members, retention, axes=1)
            realised += np.tensordot(members, retention > fate[part, None], axes=1)
    return GroupDraws(expected=expected.transpose(2, 0, 1), realised=realised.transpose(2, 0, 1))


def expected_draws(
    model: HazardModel, table: FeatureTable, *, cuts: Sequence[Groups], retention: Floats, seed: int
) -> list[Floats]:
    """`group_draws(...).expected` of several cuts of the same rows at once: draws x groups x months each.

    `retention` (n x 60) is the fitted R of the rows. A group of more than some 300 accounts is drawn by a
    sample of them, each taken with a probability in proportion to what it weighs in the group that needs
    it most, and weighted up by it: the spread of the sum is that of the coefficients, which 300 accounts
    tell as well as 30,000; of what is each account's own a sampled one has its share, so that the sum varies
    as that of all would. A sample's draws are moved by the ratio of the group's fitted sum to its own.
    Groups of fewer are drawn whole, and not moved.
    """
    rows, share = sample_accounts(table.account, cuts)
    sample = Sampled(take_rows(table, rows), share, retention[rows])
    fitted = [sum_by_group(cut, retention) for cut in cuts] if len(rows) < len(table.account) else None
    own = [Groups(cut.group[rows], cut.weight[rows], cut.n_groups) for cut in cuts]
    return sampled_draws(model, sample, cuts=own, fitted=fitted, seed=seed)


@dataclass(frozen=True, slots=True, eq=False)
class Sampled:
    """Accounts by which groups are drawn (`sample_accounts`): with what probability each was taken, and fitted R."""

    table: FeatureTable
    share: Floats
    retention: Floats


def sampled_draws(
    model: HazardModel, sample: Sampled, *, cuts: Sequence[Groups], fitted: Sequence[Floats] | None, seed: int
) -> list[Floats]:
    """`expected_draws` from the sampled accounts alone, cut by `cuts`; `fitted` are the groups' own sums of weight x R
    (groups x months), None where everyone was sampled.
    """
    table, share = sample.table, sample.share
    drawn = _draw_model(model, n_draws=N_DRAWS, seed=seed)
    sampled = [Groups(cut.group, cut.weight / share, cut.n_groups) for cut in cuts]
    sums = [np.zeros((cut.n_groups, FORECAST_MONTHS, N_DRAWS)) for cut in cuts]
    for chunk in row_chunks(len(share)):
        own = _draw_lasting(table.account[chunk], n_draws=N_DRAWS, seed=seed) * np.sqrt(share[chunk])[:, None]
        for part, kept in _draw_retention(model, take_rows(table, chunk), drawn=drawn, own=own):
            for i, group in enumerate(sampled):
                sums[i] += np.tensordot(_members(group, chunk[part]), kept, axes=1)
    for i, whole in enumerate(fitted or ()):
        sampled_sum = sum_by_group(sampled[i], sample.retention)
        ratio = np.divide(whole, sampled_sum, out=np.ones(whole.shape), where=sampled_sum > 0)
        sums[i] *= ratio[:, :, None]
    return [total.transpose(2, 0, 1) for total in sums]


def sum_by_group(groups: Groups, values: Floats) -> Floats:
    """The sum of weight x values (n x months) of each group, groups x months."""
    sums = np.zeros((groups.n_groups, values.shape[1]))
    order = np.argsort(groups.group, kind="stable")
    for rows in np.array_split(order, len(order) // 10_000 + 1):
        if len(rows):
            found, starts = np.unique(groups.group[rows], return_index=True)
            sums[found] += np.add.reduceat(values[rows] * groups.weight[rows][:, None], starts, axis=0)
    return sums


def sample_accounts(account: Ints, cuts: Sequence[Groups], *, fewest: int = FEWEST_DRAWN) -> tuple[Ints, Floats]:
    """The rows to draw, and with what probability each was taken: 1 where each group has at most `fewest`.

    Chosen by a hash of the account, so that the order of rows has no say.
    """
    share = np.zeros(len(account))
    for cut in cuts:
        count = np.bincount(cut.group, minlength=cut.n_groups)[cut.group]
        total = np.bincount(cut.group, cut.weight, cut.n_groups)[cut.group]
        even = np.where(total > 0, cut.weight / np.maximum(total, 1e-300), 1.0 / np.maximum(count, 1))
        share = np.maximum(share, np.where(count <= fewest, 1.0, np.minimum(1.0, fewest * even)))
    hashed = ((account.astype(np.uint64) + np.uint64(1)) * _HASH) >> np.uint64(40)
    rows = np.flatnonzero(hashed.astype(np.float64) < share * 2.0**24)
    return rows, share[rows]


def _members(groups: Groups, rows: Ints) -> Floats:
    is_member: Bools = groups.group[rows] == np.arange(groups.n_groups)[:, None]
    members: Floats = is_member * groups.weight[rows]
    return members


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """One set of coefficients a draw: of each fit, and of how churn slows with age."""

    thetas: Floats  # fits x draws x A x B
    tail: Floats  # draws x beta-geometrics; standard normal, times the posterior's scale


def _draw_lasting(account: Ints, *, n_draws: int, seed: int) -> Floats:
    """Standard normals, accounts x draws."""
    drawn = [stream.standard_normal(n_draws) for stream in _own_streams(account, seed=seed, use=_LASTING)]
    return np.array(drawn).reshape(-1, n_draws)


def _own_streams(account: Ints, *, seed: int, use: int) -> Iterator[np.random.Generator]:
    """A stream of chance for each account, whoever the others are; one for each use."""
    return (np.random.default_rng([seed, use, one]) for one in account.tolist())


def _draw_retention(
    model: HazardModel, table: FeatureTable, *, drawn: _Drawn, own: Floats
) -> Iterator[tuple[Ints, Floats]]:
    """A few rows at a time, and R of each by month and draw (rows x months x draws); `own` is each one's deviation."""
    inputs = build_inputs(model, table, months=FORECAST_MONTHS)
    power = _centring_power(model, inputs)
    exposed = 1.0 - inputs.clock.committed
    lasting = model.lasting.by_month(FORECAST_MONTHS)
    for start in range(0, len(table.account), _AT_ONCE):
        rows = np.arange(start, min(start + _AT_ONCE, len(table.account)))
        deviation = lasting[:, None] * own[rows][:, None, :]
        kept = 1.0 - _draw_hazard(inputs, rows, drawn=drawn, deviation=deviation) * exposed[rows][:, :, None]
        for month in range(1, FORECAST_MONTHS):
            kept[:, month] *= kept[:, month - 1]
        kept **= power[rows][:, :, None]
        for month in range(1, FORECAST_MONTHS):
            np.minimum(kept[:, month], kept[:, month - 1], out=kept[:, month])
        yield rows, end_retention(kept, take_rows(table, rows))


def _draw_hazard(inputs: Inputs, rows: Ints, *, drawn: _Drawn, deviation: Floats) -> Floats:
    """The hazard by month and draw, all fits together (rows x months x draws), its logit moved by `deviation`."""
    fits, draws, size, terms = drawn.thetas.shape
    hazard = np.zeros((len(rows), FORECAST_MONTHS, draws))
    for fit in range(fits):
        by_feature = drawn.thetas[fit].reshape(draws * size, terms).T
        predictor = (inputs.z[rows] @ by_feature).reshape(len(rows), draws, size).transpose(0, 2, 1)
        hazard += expit(inputs.phi[rows] @ np.ascontiguousarray(predictor) + deviation)
    tail = take_factor(inputs.tail, rows)
    hazard *= tail.ratio_for(np.exp(tail.log_sum[:, None] + tail.log_sum_sd[:, None] * drawn.tail[:, tail.curve].T))
    return np.minimum(hazard, LARGEST_HAZARD, out=hazard)


def _centring_power(model: HazardModel, part: Inputs) -> Floats:
    """The power (n x months) that makes drawn curves scatter about the fitted, calibrated one.

    Plainly they expect up to a tenth more churn, hazards being convex; log(-log R) is taken as normal.
    """
    at_risk = part.hazards(model) * (1.0 - part.clock.committed)
    exposure = -np.log(np.clip(surviving(at_risk.sum(axis=0)), 1e-300, 1.0 - 1e-12))
    sd = log_curve_sd(model, part, hazards=at_risk) / exposure
    nodes, weights = np.polynomial.hermite_e.hermegauss(12)
    mean = sum(w * np.exp(-exposure * np.exp(sd * x)) for x, w in zip(nodes, weights / weights.sum(), strict=True))
    return np.asarray(exposure / -np.log(np.clip(mean, 1e-300, 1.0 - 1e-13)))


def _draw_model(model: HazardModel, *, n_draws: int, seed: int) -> _Drawn:
    """Each fit by its own stream, so that another cause with a fit of its own moves no draw of the others."""
    streams = [np.random.default_rng([seed, 0]), *(np.random.default_rng([seed, 2, c]) for c in model.own_causes)]
    scale = model.options.posterior_scale
    modes = [
        mode + stream.standard_normal((n_draws, len(mode))) @ np.linalg.cholesky(covariance).T * scale
        for stream, mode, covariance in zip(streams, model.modes, model.covariances, strict=True)
    ]
    tail = np.random.default_rng([seed, 3]).standard_normal((n_draws, model.tail_alpha.size)) * scale
    return _Drawn(model.place_terms(np.array(modes) @ model.to_terms.T), tail)

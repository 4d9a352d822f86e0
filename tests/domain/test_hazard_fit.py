"""The fit by cause, and from a sample: what it finds is what was put in, and it is as sure as it may be."""

import os
import subprocess
import sys
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from app.domain import hazard_rows
from app.domain.causes import CAUSES
from app.domain.features import FeatureSpec, FeatureTable, Floats, Spells
from app.domain.hazard_clock import boundaries_from
from app.domain.months import add_months_to_days
from app.domain.survival import (
    FitOptions,
    HazardModel,
    build_inputs,
    fit_hazard,
    predict,
    predict_incidence,
    take_rows,
)
from tests.domain.notices import nobody_leaves

AS_OF, TRACKED_FROM = date(2024, 12, 1), date(2022, 12, 1)
OPTIONS = FitOptions(AS_OF, TRACKED_FROM)
SPECS = (
    FeatureSpec("usage", "sd", "adoption", "Usage", None, True, -0.45, 0.3),
    FeatureSpec("card", "sd", "commercial", "How near the card's end is", None, False, 0.0),
)
MONTHS = 24


def company(n: int, *, seed: int, payment: float = -5.0) -> tuple[FeatureTable, Spells, Floats]:
    """Monthly accounts from the first tracked month on; usage makes them leave, their card makes payment fail.

    The hazards that were used come along (n x 2): of leaving, and of a payment that fails.
    """
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 2))
    eta = np.stack([-4.0 - 0.9 * features[:, 0], payment + 0.9 * features[:, 1]], axis=1)
    hazards = 1 / (1 + np.exp(-eta))
    drawn = rng.random((n, MONTHS))
    voluntary, failed = hazards[:, :1], hazards.sum(axis=1, keepdims=True)
    leaves = drawn < failed
    month = np.where(leaves.any(axis=1), leaves.argmax(axis=1), MONTHS)
    at = drawn[np.arange(n), np.minimum(month, MONTHS - 1)]
    cause = np.where(month == MONTHS, -1, np.where(at < voluntary[:, 0], 0, 1))
    start = np.full(n, np.datetime64(TRACKED_FROM, "D"))
    ended = np.where(
        month < MONTHS, add_months_to_days(start, month + 1) - np.timedelta64(5, "D"), np.datetime64("NaT")
    )
    index = np.arange(n)
    spells = Spells(index, np.ones(n, dtype=int), start, ended, month < MONTHS, cause)
    offsets = np.arange(-MONTHS, 1, 3)
    account, at_landmark = np.nonzero(month[:, None] >= offsets[None, :] + MONTHS)
    none = np.full(len(account), np.datetime64("NaT"), dtype="datetime64[D]")
    return (
        FeatureTable(
            account=account,
            spell=account,
            landmark=boundaries_from(AS_OF, offsets[at_landmark]),
            started_on=start[account],
            term_months=np.ones(len(account), dtype=int),
            renewal_on=none,
            committed_until=none,
            **nobody_leaves(len(account)),
            mrr=np.ones(len(account)),
            names=("usage", "card"),
            values=features[account],
        ),
        spells,
        hazards,
    )


def today(table: FeatureTable) -> FeatureTable:
    return take_rows(table, np.flatnonzero(table.landmark == np.datetime64(AS_OF)))


@pytest.fixture(scope="module")
def two_causes() -> tuple[HazardModel, FeatureTable, Floats]:
    table, spells, hazards = company(6_000, seed=1)
    return fit_hazard(table, spells, specs=SPECS, options=OPTIONS), today(table), hazards


def test_each_cause_follows_what_drives_it(two_causes: tuple[HazardModel, FeatureTable, Floats]) -> None:
    model, _, _ = two_causes
    assert model.own_causes.tolist() == [CAUSES.index("payment_failure")]
    assert model.cause_churns.sum() == model.n_churns
    assert model.cause_shares.tolist() == [1.0, 0.0, 0.0]
    leaving, failing = model.thetas[:, 0, 1:]
    assert leaving == pytest.approx([-0.9, 0.0], abs=0.12)
    assert failing == pytest.approx([0.0, 0.9], abs=0.12)


def test_the_incidence_by_cause_is_the_true_one() -> None:
    table, spells, hazards = company(6_000, seed=1)
    model = fit_hazard(table, spells, specs=SPECS, options=OPTIONS)
    a_year_ago = take_rows(table, np.flatnonzero(table.landmark == np.datetime64("2023-12-01")))
    found = predict_incidence(model, a_year_ago, months=12)
    mine = hazards[a_year_ago.account]
    alive = (1 - mine.sum(axis=1, keepdims=True)) ** np.arange(12)
    true = mine[:, None, :] * np.cumsum(alive, axis=1)[:, :, None]
    assert found[:, 11, :2].mean(axis=0) == pytest.approx(true[:, 11].mean(axis=0), rel=0.06)
    for cause in (0, 1):
        assert np.corrcoef(found[:, 11, cause], true[:, 11, cause])[0, 1] > 0.98


def test_probabilities_by_cause_are_the_incidence_and_add_up_to_what_is_lost(
    two_causes: tuple[HazardModel, FeatureTable, Floats],
) -> None:
    model, table, _ = two_causes
    found, prediction = predict_incidence(model, table), predict(model, table)
    assert found.sum(axis=2) == pytest.approx(1 - prediction.survival, abs=1e-12)
    assert prediction.cause_probabilities == pytest.approx(found[:, [0, 2, 5, 11]], abs=1e-12)
    short = predict(model, table, months=4).cause_probabilities
    assert short[:, :2] == pytest.approx(found[:, [0, 2]])
    assert np.isnan(short[:, 2:]).all()


def test_a_cause_of_few_churns_has_a_constant_share(two_causes: tuple[HazardModel, FeatureTable, Floats]) -> None:
    table, spells, _ = company(1_500, seed=2, payment=-8.0)
    model = fit_hazard(table, spells, specs=SPECS, options=OPTIONS)
    voluntary, failed, closed = model.cause_churns
    assert 0 < failed < 20
    assert not len(model.own_causes)
    assert model.cause_shares == pytest.approx(np.array([voluntary + 0.5, failed, closed]) / (model.n_churns + 0.5))
    split = predict(model, today(table)).cause_probabilities
    assert split / split.sum(axis=2, keepdims=True) == pytest.approx(np.broadcast_to(model.cause_shares, split.shape))


def test_who_gave_no_cause_decided_to_leave() -> None:
    table, spells, _ = company(1_500, seed=3)
    unknown = replace(spells, cause=np.full_like(spells.cause, -1))
    decided = replace(spells, cause=np.where(spells.churned, 0, -1))
    first, second = (fit_hazard(table, s, specs=SPECS, options=OPTIONS) for s in (unknown, decided))
    assert first.to_json() == second.to_json()
    assert first.cause_churns.tolist() == [first.n_churns, 0, 0]


def test_two_causes_are_kept_by_json(two_causes: tuple[HazardModel, FeatureTable, Floats]) -> None:
    model, table, _ = two_causes
    copy = HazardModel.from_json(model.to_json())
    assert copy.to_json() == model.to_json()
    assert predict(copy, table).log_survival_sd.tobytes() == predict(model, table).log_survival_sd.tobytes()


def test_the_delta_method_over_two_causes_and_the_tail_is_that_of_small_steps(
    two_causes: tuple[HazardModel, FeatureTable, Floats],
) -> None:
    """Each coefficient of each fit, and the tail's, moved a little: the same variance by plain differences."""
    model, table, _ = two_causes
    model = replace(model, last_supported_tenure=40, lasting_sd=0.0)
    some = take_rows(table, np.arange(3))
    base, step = np.log(predict(model, some).survival), 1e-5
    variance = np.zeros_like(base)
    for fit, covariance in enumerate(model.covariances):
        moves = np.linalg.cholesky(covariance).T
        for move in moves:
            name = "mode" if fit == 0 else "own_mode"
            moved = replace(model, **{name: getattr(model, name) + step * move})
            variance += ((np.log(predict(moved, some).survival) - base) / step) ** 2
    factor = np.exp(step)
    grown = replace(model, tail_alpha=model.tail_alpha * factor, tail_beta=model.tail_beta * factor)
    by_tail = (np.log(predict(grown, some).survival) - base) / step * model.tail_log_sum_sd[0, 0]
    assert predict(model, some).log_survival_sd == pytest.approx(np.sqrt(variance + by_tail**2), rel=1e-3)


@pytest.mark.slow
def test_a_sample_tells_the_same_and_says_that_it_is_less_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over companies: the weights of usage and card scatter about those of all rows as much as is stated."""
    off, added, own = [], [], []
    for seed in range(20):
        table, spells, _ = company(1_200, seed=100 + seed)
        whole = fit_hazard(table, spells, specs=SPECS, options=OPTIONS)
        with monkeypatch.context() as patch:
            patch.setattr(hazard_rows, "MOST_CASES", 1_200)
            found = fit_hazard(table, spells, specs=SPECS, options=OPTIONS)
        assert found.n_churns == whole.n_churns
        assert found.account_months == pytest.approx(whole.account_months, rel=0.05)
        off.append((found.mode - whole.mode)[1:3])
        own.append(np.diag(whole.covariance)[1:3])
        added.append(np.diag(found.covariance)[1:3] - own[-1])
    scatter = np.mean(np.square(off), axis=0) / np.mean(added, axis=0)
    assert ((scatter > 0.4) & (scatter < 2.0)).all()
    assert (np.abs(np.mean(off, axis=0)) < 3 * np.std(off, axis=0) / np.sqrt(len(off))).all()
    assert (np.mean(added, axis=0) > 0.3 * np.mean(own, axis=0)).all()


def test_the_same_data_give_the_same_bytes_in_another_process() -> None:
    table, spells, _ = company(400, seed=5)
    code = (
        "from tests.domain.test_hazard_fit import OPTIONS, SPECS, company;"
        "from app.domain.survival import fit_hazard;"
        "table, spells, _ = company(400, seed=5);"
        "print(fit_hazard(table, spells, specs=SPECS, options=OPTIONS).sha256)"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == fit_hazard(table, spells, specs=SPECS, options=OPTIONS).sha256


def test_what_keeps_accounts_apart_widens_the_interval_as_small_steps_say(
    two_causes: tuple[HazardModel, FeatureTable, Floats],
) -> None:
    """The logits of both causes moved a little, each month by its own weight: added to what the coefficients tell."""
    model, table, _ = two_causes
    some = take_rows(table, np.arange(3))
    alone = predict(replace(model, lasting_sd=0.0), some)
    apart = predict(replace(model, lasting_sd=0.7, lasting_memory=0.9), some)
    inputs = build_inputs(model, some, months=60)
    step = 1e-5 * 0.7 * (1.0 - 0.9 ** np.arange(60))
    hazard = np.zeros((3, 60))
    for theta in model.thetas:
        logit = np.einsum("nka,na->nk", inputs.phi, inputs.z @ theta.T)
        hazard += inputs.tail.ratio / (1.0 + np.exp(-logit - step))
    moved = (np.log(np.cumprod(1.0 - hazard, axis=1)) - np.log(alone.survival)) / 1e-5
    assert apart.survival == pytest.approx(alone.survival)
    assert apart.log_survival_sd[:, 0] == pytest.approx(alone.log_survival_sd[:, 0])
    assert apart.log_survival_sd == pytest.approx(np.sqrt(alone.log_survival_sd**2 + moved**2), rel=1e-3)


def leave_within_a_year(as_of: date, *, begun_on: date, term_months: int, tracked_months: int) -> float:
    """Of an account that nobody like has ever left; there is nothing to go by but when it began."""
    offsets = np.arange(-tracked_months, 1)
    landmark = boundaries_from(as_of, offsets)
    landmark = landmark[landmark > np.datetime64(begun_on)]
    n = len(landmark)
    index, start = np.zeros(n, dtype=np.int64), np.full(n, np.datetime64(begun_on))
    terms = 1 + sum((add_months_to_days(start, np.full(n, 12 * k)) < landmark).astype(np.int64) for k in (1, 2))
    renewal = add_months_to_days(start, 12 * terms) if term_months > 1 else np.full(n, np.datetime64("NaT", "D"))
    table = FeatureTable(
        *(index, index, landmark, start, np.full(n, term_months), renewal, np.full(n, np.datetime64("NaT", "D"))),
        **nobody_leaves(n),
        mrr=np.ones(n),
        names=(),
        values=np.empty((n, 0)),
    )
    one, nat = np.zeros(1, dtype=np.int64), np.full(1, np.datetime64("NaT", "D"))
    spells = Spells(one, one + 1, start[:1], nat, np.zeros(1, dtype=bool), one - 1)
    tracked_from = boundaries_from(as_of, offsets[:1])[0].item()
    model = fit_hazard(table, spells, specs=(), options=FitOptions(as_of, tracked_from))
    return float(predict(model, take_rows(table, np.array([n - 1]))).churn_within(12)[0])


DAYS = [date(2026, 1, 1), date(2026, 1, 15), date(2026, 1, 30), date(2026, 2, 28), date(2026, 3, 31)]


@pytest.mark.parametrize("begun_day", [1, 15, 29, 31])
def test_without_a_churn_the_level_is_the_default_whatever_the_day(begun_day: int) -> None:
    """1.5 % a month, in 11 or 12 months with a day to leave; a year's term runs out once, at logit(.015) + 1.5."""
    begun_on = date(2025, 10, begun_day)
    for as_of in DAYS:
        found = leave_within_a_year(as_of, begun_on=begun_on, term_months=1, tracked_months=1)
        assert 1 - 0.985**11 - 0.012 <= found <= 1 - 0.985**12
        found = leave_within_a_year(as_of, begun_on=begun_on, term_months=12, tracked_months=1)
        assert found == pytest.approx(1 - (1 - 0.00339) ** 11 * (1 - 0.06389), rel=0.05)


@pytest.mark.parametrize("term_months", [1, 12])
def test_two_years_without_a_churn_say_the_same_on_any_day(term_months: int) -> None:
    found = [
        leave_within_a_year(as_of, begun_on=date(2024, 1, day), term_months=term_months, tracked_months=24)
        for as_of in DAYS
        for day in (1, 15, 28)
    ]
    assert max(found) <= 1.15 * min(found)

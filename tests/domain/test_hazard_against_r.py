"""The hazard and its curves against R's `survival` and `glm`, on the same rows."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from app.domain.causes import cumulative_incidence
from app.domain.features import FeatureTable, Floats, Spells
from app.domain.hazard_map import Prior, fit_posterior, scale_terms
from app.domain.kaplan_meier import estimate_survival
from app.domain.survival import fit_hazard, predict, predict_incidence, take_rows
from tests.domain.test_hazard_against_others import as_rows, lives, problem_of_a_world
from tests.domain.test_hazard_fit import OPTIONS, SPECS, TRACKED_FROM, company

RSCRIPT = shutil.which("Rscript")
SCRIPT = Path(__file__).with_name("hazard_in_r.R")


def has_survival() -> bool:
    return (
        RSCRIPT is not None
        and subprocess.run([RSCRIPT, "-e", "library(survival)"], capture_output=True, check=False).returncode == 0
    )


pytestmark = pytest.mark.skipif(not has_survival(), reason="R with the package survival is not installed")


def late_entries() -> tuple[Floats, Floats, Floats]:
    """Entry, end and whether it is a churn: constant hazard .03 a month, seen from a random month on for two years."""
    rng = np.random.default_rng(12)
    lifetime, entry = rng.exponential(1 / 0.03, 6_000), rng.uniform(0, 40, 6_000)
    seen = lifetime > entry
    end = np.minimum(lifetime, entry + 24)
    return entry[seen], np.ceil(end[seen] * 30) / 30, (lifetime <= entry + 24)[seen]  # days: some leave on the same


@pytest.fixture(scope="module")
def young() -> tuple[FeatureTable, Spells]:
    table, spells, _ = company(5_000, seed=8)
    return table, spells


def begun(table: FeatureTable) -> FeatureTable:
    return take_rows(table, np.flatnonzero(table.landmark == np.datetime64(TRACKED_FROM)))


@pytest.fixture(scope="module")
def in_r(young: tuple[FeatureTable, Spells], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which R has answered."""
    folder, (table, spells) = tmp_path_factory.mktemp("in_r"), young
    entry, end, churned = late_entries()
    pd.DataFrame({"entry": entry, "end": end, "churned": churned.astype(int)}).to_csv(folder / "late.csv", index=False)
    left, cause = lives(spells)
    usage, card = begun(table).values[:, :2].T
    frame = pd.DataFrame({"left": left, "cause": cause, "usage": usage, "card": card})
    frame.to_csv(folder / "lives.csv", index=False)
    design, target, weight = as_rows(problem_of_a_world())
    rows = pd.DataFrame(design, columns=[f"term{n}" for n in range(design.shape[1])])
    rows.assign(target=target, weight=weight).to_csv(folder / "rows.csv", index=False)
    environment = os.environ | {"LC_ALL": "C"}
    subprocess.run([str(RSCRIPT), "--vanilla", SCRIPT, folder], check=True, timeout=120, env=environment)
    return folder


def read(folder: Path, name: str) -> Floats:
    return pd.read_csv(folder / name).to_numpy(dtype=np.float64)


def test_kaplan_meier_with_late_entry_and_its_interval_are_those_of_r(in_r: Path) -> None:
    month, survival, lower, upper = read(in_r, "late_in_r.csv").T
    entry, end, churned = late_entries()
    curve = estimate_survival(end, churned, entry_months=entry)
    assert len(np.unique(end[churned])) < churned.sum(), "some leave at the same time"
    assert curve.at(month) == pytest.approx(survival, abs=1e-9)
    assert np.array(curve.interval_at(month)) == pytest.approx(np.array([lower, upper]), abs=1e-6)


def test_incidence_from_counts_is_that_of_aalen_johansen_in_r(in_r: Path, young: tuple[FeatureTable, Spells]) -> None:
    left, cause = lives(young[1])
    months = np.arange(1, 13)
    in_month = np.ceil(left).astype(int)
    at_risk = (in_month >= months[:, None]).sum(axis=1)
    hazards = np.array([((in_month == months[:, None]) & (cause == code)).sum(axis=1) / at_risk for code in (1, 2)])
    ours = cumulative_incidence(hazards.T[None])[0]
    assert ours[[2, 5, 11]] == pytest.approx(read(in_r, "states_in_r.csv")[:, 1:], abs=1e-9)


def test_the_mean_incidence_of_the_fit_is_that_of_aalen_johansen_in_r(
    in_r: Path, young: tuple[FeatureTable, Spells]
) -> None:
    model = fit_hazard(*young, specs=SPECS, options=OPTIONS)
    ours = predict_incidence(model, begun(young[0]), months=12).mean(axis=0)
    assert ours[[2, 5, 11], :2] == pytest.approx(read(in_r, "states_in_r.csv")[:, 1:], abs=0.012)


def test_who_began_is_kept_as_the_weibull_model_of_r_keeps_them(in_r: Path, young: tuple[FeatureTable, Spells]) -> None:
    table, spells = young
    one_cause = replace(spells, cause=np.full_like(spells.cause, -1))
    model = fit_hazard(table, one_cause, specs=SPECS, options=OPTIONS)
    ours = predict(model, begun(table), months=12).survival[:, [2, 5, 11]]
    theirs = read(in_r, "weibull_in_r.csv")
    assert ours.mean(axis=0) == pytest.approx(theirs.mean(axis=0), abs=0.012)
    for fifth in np.array_split(np.argsort(theirs[:, 2]), 5):
        assert ours[fifth].mean(axis=0) == pytest.approx(theirs[fifth].mean(axis=0), abs=0.035)
    assert np.corrcoef(ours[:, 2], theirs[:, 2])[0, 1] > 0.97


def test_without_a_prior_the_coefficients_and_their_errors_are_those_of_glm_in_r(in_r: Path) -> None:
    problem = problem_of_a_world()
    scaling, terms = scale_terms(problem), int(problem.mask.sum())
    start = np.zeros(terms)
    start[0] = -3.0
    found = fit_posterior(problem, scaling, prior=Prior(np.zeros(terms), np.full(terms, 1e5)), start=start)
    matrix = scaling.matrix()
    coefficient, error = read(in_r, "rows_in_r.csv").T
    assert matrix @ found.mode == pytest.approx(coefficient, abs=1e-4)
    assert np.sqrt(np.diag(matrix @ found.covariance @ matrix.T)) == pytest.approx(error, rel=1e-4)

"""The fit of the hazard and the scoring of accounts, each beside other ways and beside its floor.

    python -m benchmarks.hazard [ACCOUNTS]

On the features of a generated company of 10,000 accounts, in seconds of processor time. The fit is held against
statsmodels on the same person-months and the same columns (without a prior: it ends where it ends), and against
lifelines' Cox model with entry times on one row a spell. Lifelines and the ORM get fewer rows, and what they took is
scaled up; the table says so. Only ratios count.
"""

import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import statsmodels.api as sm
from lifelines import CoxPHFitter
from sqlalchemy import delete
from sqlalchemy.orm import Session

from app.db import make_engine, reading, transaction
from app.domain.fact_tables import keep_accounts
from app.domain.feature_catalog import feature_specs
from app.domain.feature_table import build_features
from app.domain.features import Facts, FeatureTable, Floats
from app.domain.hazard_clock import build_clock, clock_columns
from app.domain.hazard_model import standardise, term_mask
from app.domain.hazard_rows import build_training_rows
from app.domain.ltv import LtvTerms, lifetime_value
from app.domain.survival import (
    FORECAST_MONTHS,
    FitOptions,
    HazardModel,
    band,
    build_inputs,
    fit_hazard,
    predict,
    row_chunks,
    surviving,
    take_rows,
    training_landmarks,
)
from app.models.scores import Score
from app.queries.facts import Known, load_facts
from app.queries.settings import load_company_settings
from app.services.bulk import add_columns
from benchmarks.company import AS_OF
from benchmarks.night import generate

ACCOUNTS, OF_STATSMODELS, OF_LIFELINES, OF_THE_ORM = 10_000, 1_000, 2_000, 2_000
KNOWN_AT = datetime(2100, 1, 1, tzinfo=UTC)


def cpu_seconds(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def tell(what: str, seconds: float, *, beside: float, note: str = "") -> None:
    print(f"{what:58} {seconds:9.2f} s {seconds / beside:8.1f} x  {note}", flush=True)


def measure_fit(facts: Facts, landmarks: Any, *, options: FitOptions) -> HazardModel:
    """The fit on all accounts, and on a few of them beside the others."""
    table, specs = build_features(facts, landmarks), feature_specs(facts)
    model: list[HazardModel] = []
    whole = cpu_seconds(lambda: model.append(fit_hazard(table, facts.spells, specs=specs, options=options)))
    print(f"fit, {len(table.account):,} cases x {len(specs)} features: {whole:.2f} s of the processor")
    few = keep_accounts(facts, np.arange(len(facts.account_ids)) < OF_STATSMODELS)
    own = take_rows(table, np.flatnonzero(table.account < OF_STATSMODELS))
    ours = cpu_seconds(lambda: fit_hazard(own, few.spells, specs=specs, options=options))
    design, target, weight = _lay_design(own, few, options=options, specs=specs)
    name = f"fit, {len(target):,} person-months x {design.shape[1]} columns"
    tell(name, ours, beside=ours, note="the night's, with prior, causes, tail and spread")
    tell("  statsmodels GLM", cpu_seconds(lambda: _fit_glm(design, target, weight=weight)), beside=ours)
    spells = _lay_spells(facts, table)
    cox = cpu_seconds(lambda: _fit_cox(spells.iloc[:OF_LIFELINES]))
    note = f"{OF_LIFELINES:,} spells, for {len(spells):,} scaled up; its baseline is wrong"
    tell("  lifelines CoxPHFitter(entry_col)", cox * len(spells) / OF_LIFELINES, beside=whole, note=note)
    return model[0]


def _lay_design(table: FeatureTable, facts: Facts, *, options: FitOptions, specs: Any) -> tuple[Floats, Floats, Floats]:
    """The person-months of the fit with every product of a clock column and a feature that it has a term for."""
    rows = build_training_rows(
        table, facts.spells, as_of=options.as_of, tracked_from=options.tracked_from, horizon_months=24
    )
    cases = take_rows(table, rows.table_row)
    phi = clock_columns(build_clock(cases, as_of=options.as_of, months=24))
    z = standardise(cases.values, np.nanmean(cases.values, axis=0), sd=np.nanstd(cases.values, axis=0))
    clock, feature = np.nonzero(term_mask(specs))
    case, month = np.nonzero(rows.weight)
    target = (rows.event_month[case] == month + 1).astype(np.float64)
    return phi[case, month][:, clock] * z[case][:, feature], target, rows.weight[case, month]


def _fit_glm(design: Floats, target: Floats, *, weight: Floats) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sm.GLM(target, design, family=sm.families.Binomial(), freq_weights=weight).fit(maxiter=10)


def _lay_spells(facts: Facts, table: FeatureTable) -> pd.DataFrame:
    """One row a spell with its latest features, entering in the first month in which it was seen."""
    last = np.unique(table.spell[::-1], return_index=True)[1]
    rows = len(table.spell) - 1 - last
    frame = pd.DataFrame(np.nan_to_num(table.values[rows]), columns=list(table.names))
    frame = frame.loc[:, frame.std() > 0].sample(frac=1.0, random_state=1)
    spells, of = facts.spells, table.spell[rows][frame.index]
    ended = np.where(np.isnat(spells.ended_on[of]), np.datetime64(AS_OF), spells.ended_on[of])
    frame["months"] = np.maximum((ended - spells.started_on[of]).astype(np.int64) / 30.4, 1.0)
    frame["entry"], frame["churned"] = 0.0, spells.churned[of]
    return frame.reset_index(drop=True)


def _fit_cox(spells: pd.DataFrame) -> CoxPHFitter:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return CoxPHFitter(penalizer=0.1).fit(spells, "months", "churned", entry_col="entry")


def measure_scoring(facts: Facts, model: HazardModel) -> None:
    """Curves over 60 months and LTV of the live accounts, without intervals and with them."""
    table = build_features(facts, np.array([AS_OF], dtype="datetime64[D]"))
    n, terms = len(table.account), LtvTerms()
    cells = np.random.default_rng(1).random((n, FORECAST_MONTHS))
    floor = cpu_seconds(lambda: np.exp(-cells))

    def score() -> None:
        for rows in row_chunks(n):
            part = take_rows(table, rows)
            hazards = build_inputs(model, part, months=FORECAST_MONTHS).hazards(model)
            lifetime_value(part.mrr, surviving(hazards.sum(axis=0)), terms=terms)

    def score_with_intervals() -> None:
        made = predict(model, table)
        for curve in (made.retention, *band(made.retention, made.log_retention_sd, level=0.9)):
            lifetime_value(table.mrr, curve, terms=terms)

    plain = cpu_seconds(score)
    tell(f"score, {n:,} accounts: 60 months and LTV", plain, beside=plain)
    tell("  with intervals, causes and tail", cpu_seconds(score_with_intervals), beside=plain)
    tell("  floor: one exp a cell", floor, beside=plain)
    spells = _lay_spells(facts, table)
    cox = _fit_cox(spells.iloc[:OF_LIFELINES])
    months = np.arange(1, FORECAST_MONTHS + 1)
    took = cpu_seconds(lambda: cox.predict_survival_function(spells.iloc[:OF_LIFELINES], times=months))
    note = f"{OF_LIFELINES:,} accounts, scaled up; no intervals"
    tell("  lifelines, all at once", took * n / OF_LIFELINES, beside=plain, note=note)
    took = cpu_seconds(lambda: [cox.predict_survival_function(spells.iloc[[i]], times=months) for i in range(20)])
    tell("  lifelines, one after the other", took * n / 20, beside=plain, note="20 accounts, scaled up; no intervals")


def measure_writing(url: str, n: int) -> None:
    """Scores with three curves, by columns and by the ORM."""
    curve, engine = np.ones((n, FORECAST_MONTHS), dtype="<f4"), make_engine(url)
    ids, blobs = np.arange(1, n + 1), ("survival", "survival_lower", "survival_upper")
    words = {"status": np.full(n, "live", dtype=object), "basis": np.full(n, "account", dtype=object)}
    columns = {"run_id": np.ones(n, dtype=np.int64), "account_id": ids, "arr_minor": ids} | words

    def write(add: Callable[[Session], None]) -> float:
        with transaction(engine) as session:
            session.connection().exec_driver_sql("PRAGMA defer_foreign_keys = ON")
            took = cpu_seconds(lambda: (add(session), session.flush()))
            session.execute(delete(Score))
            return took

    def add_objects(session: Session) -> None:
        own = dict.fromkeys(blobs, curve[0].tobytes())
        words = {"run_id": 1, "status": "live", "basis": "account"}
        session.add_all(Score(account_id=i, arr_minor=i, **words, **own) for i in range(1, OF_THE_ORM + 1))

    fast = write(lambda session: add_columns(session, Score, columns=columns | dict.fromkeys(blobs, curve)))
    tell(f"write, {n:,} scores with three curves", fast, beside=fast)
    note = f"{OF_THE_ORM:,} scores, scaled up"
    tell("  ORM, add_all", write(add_objects) * n / OF_THE_ORM, beside=fast, note=note)


def main(accounts: int = ACCOUNTS) -> None:
    with tempfile.TemporaryDirectory(prefix="tenure-bench-") as scratch:
        url = f"sqlite:///{Path(scratch) / 'company.db'}"
        generate(url, accounts)
        with reading(make_engine(url)) as session:
            settings = load_company_settings(session, as_of=AS_OF, known_at=KNOWN_AT)
            facts = load_facts(session, Known(AS_OF, KNOWN_AT, settings))
        first_on = facts.spells.started_on.min().item()
        options = FitOptions(AS_OF, first_on)
        landmarks = training_landmarks(AS_OF, first_on, n_accounts=len(facts.account_ids))
        measure_scoring(facts, measure_fit(facts, landmarks, options=options))
        measure_writing(url, accounts)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ACCOUNTS)

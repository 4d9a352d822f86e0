"""Customers of whom only their length of stay is told, as one landmark at tenure 0: what they are, they are throughout.

Month s of the forecast is month s of tenure.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np

from app.domain.features import Bools, FeatureSpec, FeatureTable, Floats, Spells
from app.domain.hazard_clock import boundaries_from
from app.domain.months import Ints, add_months, add_months_to_days
from app.domain.survival import FitOptions, HazardModel, fit_hazard, predict
from tests.domain.notices import nobody_leaves

FIRST_ON = date(2014, 1, 1)
NAT = np.datetime64("NaT", "D")
FOLDS = 5


@dataclass(frozen=True)
class CrossSection:
    """`tenure` in months, 1 or more: the one that they left in, or that they were last seen in."""

    tenure: Ints
    churned: Bools
    names: tuple[str, ...]
    values: Floats
    term_months: Ints
    fading: frozenset[str] = frozenset()  # features whose say may change with tenure

    @property
    def longest_months(self) -> int:
        return int(self.tenure.max())


def table_of(customers: CrossSection, rows: Ints) -> FeatureTable:
    """Everyone began ten days before the landmark, so that the t-th payment falls due inside month t.

    When a term runs out is not told, so that there is no renewal to see coming.
    """
    n = len(rows)
    return FeatureTable(
        account=rows,
        spell=np.arange(n),
        landmark=np.full(n, np.datetime64(FIRST_ON)),
        started_on=np.full(n, np.datetime64(FIRST_ON) - np.timedelta64(10, "D")),
        term_months=customers.term_months[rows],
        renewal_on=np.full(n, NAT),
        committed_until=np.full(n, NAT),
        **nobody_leaves(n),
        mrr=np.ones(n),
        names=customers.names,
        values=customers.values[rows],
    )


def fit(customers: CrossSection, rows: Ints) -> HazardModel:
    """Who left at tenure t left in month t; who is still there was so through month t. No default weight but nought."""
    months = customers.longest_months
    as_of = add_months(FIRST_ON, months)
    table, churned = table_of(customers, rows), customers.churned[rows]
    left_on = add_months_to_days(table.started_on, customers.tenure[rows])
    seen_to = boundaries_from(as_of, customers.tenure[rows] - months)
    n = len(rows)
    spells = Spells(
        account=rows,
        number=np.ones(n, dtype=np.int64),
        started_on=table.started_on,
        ended_on=np.where(churned, left_on, seen_to),
        churned=churned,
        cause=np.full(n, -1),
    )
    specs = tuple(
        FeatureSpec(name, "", "commercial", name, None, name in customers.fading, 0.0) for name in customers.names
    )
    return fit_hazard(table, spells, specs=specs, options=FitOptions(as_of, FIRST_ON, months))


def survive_out_of_fold(customers: CrossSection, *, seed: int) -> Floats:
    """Everyone's S by month of tenure, by a model that did not see them."""
    n, months = len(customers.tenure), customers.longest_months
    fold = np.random.default_rng(seed).permutation(n) % FOLDS
    survival = np.empty((n, months))
    for number in range(FOLDS):
        left_out = np.flatnonzero(fold == number)
        model = fit(customers, np.flatnonzero(fold != number))
        survival[left_out] = predict(model, table_of(customers, left_out), months=months).survival
    return survival

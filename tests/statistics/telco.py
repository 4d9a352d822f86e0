"""IBM Telco's customers as one landmark at tenure 0: what they hold is taken to hold from the first month on.

Month s of the forecast is month s of tenure. TotalCharges is left out, for it is tenure times price.
"""

import csv
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from app.domain.features import Bools, FeatureSpec, FeatureTable, Floats, Spells
from app.domain.hazard_clock import boundaries_from
from app.domain.months import Ints, add_months_to_days
from app.domain.survival import FitOptions, HazardModel, fit_hazard

LONGEST_MONTHS = 72
AS_OF = date(2020, 1, 1)
FIRST_ON = date(2014, 1, 1)
NAT = np.datetime64("NaT", "D")
SERVICES = (
    *("PhoneService", "MultipleLines", "OnlineSecurity", "OnlineBackup", "DeviceProtection"),
    *("TechSupport", "StreamingTV", "StreamingMovies", "PaperlessBilling", "Partner", "Dependents"),
)
TERMS = ("One year", "Two year")
LEVELS = {
    "InternetService": ("DSL", "Fiber optic"),
    "Contract": TERMS,
    "PaymentMethod": ("Electronic check", "Credit card (automatic)", "Bank transfer (automatic)"),
}


@dataclass(frozen=True)
class Telco:
    tenure: Ints
    churned: Bools
    names: tuple[str, ...]
    values: Floats
    points: Floats  # equal points: the higher, the safer

    def specs(self) -> tuple[FeatureSpec, ...]:
        """No default weights but nought; the contract's say may change with tenure."""
        return tuple(
            FeatureSpec(name, "", "commercial", name, None, name.startswith("Contract"), 0.0) for name in self.names
        )


def read_telco(path: Path) -> Telco:
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if int(row["tenure"]) > 0]
    columns = {name: [row[name] == "Yes" for row in rows] for name in SERVICES}
    columns |= {"SeniorCitizen": [row["SeniorCitizen"] == "1" for row in rows]}
    columns |= {"Female": [row["gender"] == "Female" for row in rows]}
    for field, levels in LEVELS.items():
        columns |= {f"{field}: {level}": [row[field] == level for row in rows] for level in levels}
    values = np.column_stack([*columns.values(), [float(row["MonthlyCharges"]) for row in rows]]).astype(np.float64)
    good = ("OnlineSecurity", "TechSupport", "OnlineBackup", "DeviceProtection", "Partner", "Dependents")
    signs = dict.fromkeys(good, 1) | {"Contract: One year": 1, "Contract: Two year": 2}
    signs |= {"PaymentMethod: Credit card (automatic)": 1, "PaymentMethod: Electronic check": -1}
    signs |= {"PaperlessBilling": -1, "InternetService: Fiber optic": -1, "SeniorCitizen": -1}
    return Telco(
        tenure=np.array([int(row["tenure"]) for row in rows]),
        churned=np.array([row["Churn"] == "Yes" for row in rows]),
        names=(*columns, "MonthlyCharges"),
        values=values,
        points=sum((sign * np.array(columns[name]) for name, sign in signs.items()), np.zeros(len(rows))),
    )


def table_of(telco: Telco, rows: Ints) -> FeatureTable:
    """Everyone began ten days before the landmark, so that the t-th payment falls due inside month t.

    Terms are those of their contracts; when one runs out is not told, so that there is no renewal to see coming.
    """
    n, one, two = len(rows), *(telco.values[rows, telco.names.index(f"Contract: {each}")] for each in TERMS)
    return FeatureTable(
        account=rows,
        spell=np.arange(n),
        landmark=np.full(n, np.datetime64(FIRST_ON)),
        started_on=np.full(n, np.datetime64(FIRST_ON) - np.timedelta64(10, "D")),
        term_months=np.where(two > 0, 24, np.where(one > 0, 12, 1)),
        renewal_on=np.full(n, NAT),
        committed_until=np.full(n, NAT),
        mrr=np.ones(n),
        names=telco.names,
        values=telco.values[rows],
    )


def fit_telco(telco: Telco, rows: Ints) -> HazardModel:
    """Who left at tenure t left in month t; who is still there was so through month t."""
    table, churned = table_of(telco, rows), telco.churned[rows]
    left_on = add_months_to_days(table.started_on, telco.tenure[rows])
    seen_to = boundaries_from(AS_OF, telco.tenure[rows] - LONGEST_MONTHS)
    ended_on = np.where(churned, left_on, seen_to)
    n = len(rows)
    spells = Spells(rows, np.ones(n, dtype=np.int64), table.started_on, ended_on, churned, np.full(n, -1))
    return fit_hazard(table, spells, specs=telco.specs(), options=FitOptions(AS_OF, FIRST_ON, LONGEST_MONTHS))

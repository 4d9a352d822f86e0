"""IBM Telco's customers. TotalCharges is left out, for it is tenure times price."""

import csv
from pathlib import Path

import numpy as np

from app.domain.features import Floats
from tests.statistics.cross_section import CrossSection

SERVICES = (
    *("PhoneService", "MultipleLines", "OnlineSecurity", "OnlineBackup", "DeviceProtection"),
    *("TechSupport", "StreamingTV", "StreamingMovies", "PaperlessBilling", "Partner", "Dependents"),
)
TERM_MONTHS = {"One year": 12, "Two year": 24}
LEVELS = {
    "InternetService": ("DSL", "Fiber optic"),
    "Contract": tuple(TERM_MONTHS),
    "PaymentMethod": ("Electronic check", "Credit card (automatic)", "Bank transfer (automatic)"),
}


# What a team that counts points would take for a sign that somebody stays.
POINTS = {
    **dict.fromkeys(("OnlineSecurity", "TechSupport", "OnlineBackup", "DeviceProtection", "Partner", "Dependents"), 1),
    "Contract: One year": 1,
    "Contract: Two year": 2,
    "PaymentMethod: Credit card (automatic)": 1,
    "PaymentMethod: Electronic check": -1,
    "PaperlessBilling": -1,
    "InternetService: Fiber optic": -1,
    "SeniorCitizen": -1,
}


def read_telco(path: Path) -> CrossSection:
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if int(row["tenure"]) > 0]
    columns = {name: [row[name] == "Yes" for row in rows] for name in SERVICES}
    columns |= {"SeniorCitizen": [row["SeniorCitizen"] == "1" for row in rows]}
    columns |= {"Female": [row["gender"] == "Female" for row in rows]}
    for field, levels in LEVELS.items():
        columns |= {f"{field}: {level}": [row[field] == level for row in rows] for level in levels}
    charges = [float(row["MonthlyCharges"]) for row in rows]
    return CrossSection(
        tenure=np.array([int(row["tenure"]) for row in rows]),
        churned=np.array([row["Churn"] == "Yes" for row in rows]),
        names=(*columns, "MonthlyCharges"),
        values=np.column_stack([*columns.values(), charges]).astype(np.float64),
        term_months=np.array([TERM_MONTHS.get(row["Contract"], 1) for row in rows]),
        fading=frozenset(f"Contract: {term}" for term in TERM_MONTHS),
    )


def count_points(telco: CrossSection) -> Floats:
    """The more, the safer."""
    signs = np.array([POINTS.get(name, 0) for name in telco.names], dtype=np.float64)
    points: Floats = telco.values @ signs
    return points

"""A company whose churn follows from nothing: the null case, in which a model must find nothing and say so.

Churn is the first event that is no reactivation, tenure counts from signup; with the day of signup, or the calendar,
as a feature the C would be .69, of censoring alone.
"""

import csv
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from lifelines.utils import concordance_index

from app.domain.backtest import STILL_THERE, judge_order
from app.domain.months import whole_months_between
from tests.statistics.cross_section import CrossSection, survive_out_of_fold

pytestmark = [pytest.mark.data, pytest.mark.slow]
LAST_ON = date(2024, 12, 31)
LEVELS = ("industry", "country", "referral_source", "plan_tier", "is_trial")


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def customers(third_party_data: Callable[[str], Path]) -> CrossSection:
    accounts = read(third_party_data("ravenstack/ravenstack_accounts.csv"))
    left: dict[str, date] = {}
    for event in read(third_party_data("ravenstack/ravenstack_churn_events.csv")):
        if event["is_reactivation"].upper() == "FALSE":
            on = date.fromisoformat(event["churn_date"])
            left[event["account_id"]] = min(on, left.get(event["account_id"], on))
    signed = np.array([row["signup_date"] for row in accounts], dtype="datetime64[D]")
    ends = np.array([left.get(row["account_id"], LAST_ON) for row in accounts], dtype="datetime64[D]")
    columns = {
        f"{field}: {level}": [row[field] == level for row in accounts]
        for field in LEVELS
        for level in sorted({row[field] for row in accounts})
    }
    return CrossSection(
        tenure=whole_months_between(signed, np.maximum(ends, signed)) + 1,
        churned=np.array([row["account_id"] in left for row in accounts]),
        names=(*columns, "log_seats"),
        values=np.column_stack([*columns.values(), [np.log1p(int(row["seats"])) for row in accounts]]).astype(float),
        term_months=np.ones(len(accounts), dtype=np.int64),
    )


def test_nothing_is_found_where_nothing_is(customers: CrossSection) -> None:
    survival = survive_out_of_fold(customers, seed=0)
    found = concordance_index(customers.tenure, survival.sum(axis=1), customers.churned)
    sys.stdout.write(f"\nC: {found:.3f} (bar: .44 to .60)")
    assert 0.44 <= found <= 0.60
    known = (customers.tenure > 12) | customers.churned
    month = np.where(customers.churned, customers.tenure, STILL_THERE)[known]
    report = judge_order(1.0 - survival[known, 11:12], month, undecided=0)
    assert report.churns >= 20
    assert report.ranking == "chance"

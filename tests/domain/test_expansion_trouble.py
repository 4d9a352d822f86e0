"""To whom nothing is to be sold, and why."""

from datetime import date

import numpy as np
import pytest

from app.domain.expansion_trouble import Situation, holding_reasons

AS_OF = date(2026, 7, 1)


def account(**said) -> Situation:
    usual = {
        "status": "live",
        "buys": True,
        "is_escalated": False,
        "is_leaving": False,
        "churn_3_months": 0.05,
        "renewal_on": np.datetime64("NaT", "D"),
        "renewal_churn": np.nan,
    } | said
    return Situation(**{name: np.array([value]) for name, value in usual.items()})


def day(text: str) -> np.datetime64:
    return np.datetime64(text, "D")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({}, None),
        ({"churn_3_months": 0.2}, None),
        ({"churn_3_months": 0.2001}, "churn_risk"),
        ({"churn_3_months": np.nan}, "not_scored"),
        ({"renewal_on": day("2026-09-28"), "renewal_churn": 0.31}, "renewal"),
        ({"renewal_on": day("2026-09-29"), "renewal_churn": 0.31}, None),
        ({"renewal_on": day("2026-07-01"), "renewal_churn": 0.31}, "renewal"),
        ({"renewal_on": day("2026-08-01"), "renewal_churn": 0.30}, None),
        ({"renewal_on": day("2026-08-01")}, "renewal"),
        ({"is_escalated": True}, "escalation"),
        ({"is_leaving": True, "churn_3_months": 0.0}, "leaving"),
        ({"is_leaving": True, "is_escalated": True}, "leaving"),
        ({"is_leaving": True, "status": "in_grace"}, "not_live"),
        ({"is_escalated": True, "churn_3_months": 0.9}, "escalation"),
        ({"status": "in_grace"}, "not_live"),
        ({"status": "churned"}, "not_live"),
        ({"status": "upcoming"}, "not_live"),
        ({"status": "merged"}, "not_live"),
        ({"status": ""}, "not_live"),
        ({"status": "not_applicable", "churn_3_months": np.nan}, None),
        ({"status": "not_applicable", "churn_3_months": np.nan, "buys": False}, "not_live"),
        ({"status": "not_applicable", "churn_3_months": np.nan, "is_escalated": True}, "escalation"),
    ],
)
def test_plays_are_held_back_for_a_stated_reason(said, reason) -> None:
    assert holding_reasons(account(**said), as_of=AS_OF).tolist() == [reason]

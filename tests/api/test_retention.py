"""Kaplan-Meier curves through the API."""

from tests.api.conftest import Ask


def test_a_group_has_its_curve_with_bounds_and_numbers_at_risk(ask: Ask) -> None:
    found = ask("/retention?group_by=segment").json
    assert [each["group"] for each in found["data"]] == ["enterprise", "smb"]
    assert found["data"][1] == {
        "group": "smb",
        "accounts": 10,
        "churned": 2,
        "level": 0.95,
        "months": [0, 1, 2],
        "retention": [1.0, 0.9, 0.81],
        "lower": [1.0, 0.8, 0.6],
        "upper": [1.0, 0.95, 0.9],
        "at_risk": [10, 9, 8],
    }
    assert found["meta"]["definitions"] == ["retention_km@1"]
    assert found["meta"]["model_run_id"] == 1


def test_all_accounts_are_one_group_unless_asked_otherwise(ask: Ask) -> None:
    assert [each["group"] for each in ask("/retention").json["data"]] == ["all"]
    assert ask("/retention?group_by=cohort").json["data"] == []
    assert "Must be one of" in ask("/retention?group_by=colour").json["detail"]


def test_as_csv_each_month_is_a_line(ask: Ask) -> None:
    lines = ask("/retention?format=csv").data.decode("utf-8-sig").split("\r\n")
    assert lines[:3] == [
        "group,month,retention,lower,upper,at_risk,level,as_of,known_at",
        "all,0,1.0,1.0,1.0,10,0.95,2026-03-01,2026-02-28T20:00:00Z",
        "all,1,0.9,0.8,0.95,9,0.95,2026-03-01,2026-02-28T20:00:00Z",
    ]

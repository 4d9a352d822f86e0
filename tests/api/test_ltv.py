"""Lifetime value through the API, worked out by pencil."""

import csv
import io
from decimal import Decimal
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from tests.api.conftest import Ask


def amount(money: Any) -> Decimal:
    assert money["currency"] == "USD"
    return Decimal(money["amount"])


def test_two_months_without_discount_are_two_payments(ask: Ask) -> None:
    """Account 1 pays 8,000 a year and keeps .99, then .9801 of it: 666.67 x (.99 + .9801)."""
    found = ask("/accounts/1/ltv?horizon_months=2&annual_discount_rate=0&gross_margin=1").json
    assert amount(found["ltv_residual"]) == Decimal("1313.40")
    assert amount(found["ltv_residual_lower"]) == Decimal("1293.80")  # R squared: .9801 + .96059601
    assert amount(found["ltv_residual_upper"]) == Decimal("1323.32")  # its root: .99498744 + .99
    assert found["terms"] == {"horizon_months": 2, "annual_discount_rate": 0.0, "gross_margin": 1.0}
    assert found["level"] == 90


def test_a_months_money_counts_at_its_end_on_margin(ask: Ask) -> None:
    """666.67 x .99 x .8 / 1.44^(1/12)."""
    found = ask("/accounts/1/ltv?horizon_months=1&annual_discount_rate=0.44&gross_margin=0.8").json
    assert amount(found["ltv_residual"]) == Decimal("512.20")


def test_growth_of_those_that_stay_is_a_line_of_its_own(ask: Ask) -> None:
    """666.67 x .99 x (e^.01 - 1); both lines make the total."""
    found = ask("/accounts/1/ltv?horizon_months=1&annual_discount_rate=0&gross_margin=1").json
    assert amount(found["ltv_expansion"]) == Decimal("6.63")
    assert amount(found["ltv_total"]) == Decimal("666.63")


def test_the_formula_is_margin_over_the_segments_churn_and_null_without_churn(ask: Ask) -> None:
    """Account 2: 6,600 / 12 x .8 / .02 = 22,000; account 1's segment lost nobody."""
    assert amount(ask("/accounts/2/ltv").json["ltv_formula"]) == Decimal("22000.00")
    assert ask("/accounts/1/ltv").json["ltv_formula"] is None


def test_a_committed_term_keeps_its_revenue(ask: Ask) -> None:
    """Account 2 cannot leave for four months: 4 x 550."""
    found = ask("/accounts/2/ltv?horizon_months=4&annual_discount_rate=0&gross_margin=1").json
    assert amount(found["ltv_residual"]) == Decimal("2200.00")


def test_what_lies_beyond_the_observed_tenure_is_told(ask: Ask) -> None:
    assert ask("/accounts/1/ltv?horizon_months=24").json["extrapolated_share"] == 0.0
    share = ask("/accounts/1/ltv?horizon_months=25&annual_discount_rate=0").json["extrapolated_share"]
    assert share == pytest.approx(0.99**25 / sum(0.99**k for k in range(1, 26)), abs=1e-6)


def test_ltv_grows_with_the_horizon_falls_with_the_discount_and_is_linear_in_margin(ask: Ask) -> None:
    def value(**terms: Any) -> Decimal:
        query = "&".join(f"{name}={given}" for name, given in terms.items())
        return amount(ask(f"/accounts/3/ltv?{query}").json["ltv_residual"])

    horizons = [value(horizon_months=months) for months in (1, 12, 36, 60)]
    assert horizons == sorted(set(horizons))
    discounts = [value(annual_discount_rate=rate) for rate in (0, 0.1, 0.5, 2)]
    assert discounts == sorted(set(discounts), reverse=True)
    assert abs(value(gross_margin=1) - 2 * value(gross_margin=0.5)) <= Decimal("0.02")
    assert value(gross_margin=0) == 0


def test_the_companys_own_terms_are_used_where_none_are_given(ask: Ask) -> None:
    found = ask("/accounts/1/ltv").json
    assert found["terms"] == {"horizon_months": 60, "annual_discount_rate": 0.1, "gross_margin": 0.8}
    given = ask("/accounts/1/ltv?horizon_months=60&annual_discount_rate=0.10&gross_margin=0.80").json
    assert given["ltv_residual"] == found["ltv_residual"]


BAD_TERMS = (
    *("horizon_months=0", "horizon_months=61", "horizon_months=1.5", "gross_margin=1.01", "gross_margin=NaN"),
    *("annual_discount_rate=-0.1", "annual_discount_rate=Infinity", "annual_discount_rate=1e400", "discount=0.1"),
)


def test_terms_out_of_their_range_are_refused_by_name(ask: Ask) -> None:
    for terms in BAD_TERMS:
        for path in ("/accounts/1/ltv", "/ltv/summary"):
            answer = ask(f"{path}?{terms}")
            assert answer.status_code == 400, terms
            assert terms.partition("=")[0] in answer.json["detail"]


def test_an_account_that_left_has_no_value_and_says_why(ask: Ask) -> None:
    found = ask("/accounts/4/ltv").json
    assert found["ltv_residual"] is None
    assert found["ltv_total"] is None
    assert "has left" in found["note"]


def test_a_group_is_worth_the_sum_of_its_months(ask: Ask) -> None:
    """650.00 a month for twelve months; draws from -10 % to +10 %, of which 90 % lie within 9 %."""
    found = ask("/ltv/summary?group_by=segment&horizon_months=12&annual_discount_rate=0&gross_margin=1").json
    smb = next(each for each in found["data"] if each["group"] == "smb")
    assert amount(smb["ltv_residual"]) == Decimal("7800.00")
    assert amount(smb["ltv_residual_lower"]) == Decimal("7098.00")
    assert amount(smb["ltv_residual_upper"]) == Decimal("8502.00")
    assert amount(smb["ltv_expansion"]) == Decimal("780.00")
    assert amount(smb["ltv_total"]) == Decimal("8580.00")
    assert amount(smb["arr"]) == Decimal("7800.00")
    assert smb["accounts"] == 2
    assert smb["left_out"] == {"accounts": 1, "arr": {"amount": "120.00", "currency": "USD"}}
    assert smb["extrapolated_share"] == 0.0


def test_the_formula_of_a_group_is_of_one_account_of_it(ask: Ask) -> None:
    """7,800 / 12 / 2 accounts x .5 / .02."""
    found = ask("/ltv/summary?group_by=segment&gross_margin=0.5").json
    values = {each["group"]: each["ltv_formula_per_account"] for each in found["data"]}
    assert values == {"smb": {"amount": "8125.00", "currency": "USD"}, "enterprise": None}


def test_beyond_the_observed_tenure_a_share_of_a_group_is_extrapolated(ask: Ask) -> None:
    """Months 25 to 48 at 60 %: half of the money, so 30 %."""
    found = ask("/ltv/summary?horizon_months=48&annual_discount_rate=0").json["data"][0]
    assert found["extrapolated_share"] == pytest.approx(0.3)


def test_a_wider_level_is_a_wider_interval(ask: Ask) -> None:
    widths = []
    for level in (80, 90, 95):
        found = ask(f"/ltv/summary?level={level}").json
        assert found["level"] == level
        group = found["data"][0]
        widths.append(amount(group["ltv_residual_upper"]) - amount(group["ltv_residual_lower"]))
    assert widths == sorted(set(widths))
    assert ask("/ltv/summary?level=50").status_code == 400


def test_groups_that_the_night_has_not_made_are_an_empty_list(ask: Ask) -> None:
    assert ask("/ltv/summary?group_by=plan").json["data"] == []
    assert ask("/ltv/summary?group_by=csm").status_code == 400


def test_the_list_is_sorted_by_value_and_filtered(ask: Ask) -> None:
    found = ask("/ltv?status=live").json
    assert [each["account"]["id"] for each in found["data"]] == [1, 2, 3]
    first = found["data"][0]
    assert amount(first["ltv_residual"]) == Decimal("16000.00")
    assert amount(first["ltv_residual_lower"]) == Decimal("8000.00")
    assert amount(first["ltv_total"]) == Decimal("16010.00")
    assert found["terms"]["horizon_months"] == 60
    assert [each["account"]["id"] for each in ask("/ltv?segment=smb&sort=ltv&limit=1").json["data"]] == [3]


def test_what_will_come_in_scatters_by_chance_about_what_is_expected(ask: Ask) -> None:
    """7,800 dollars a year, a tenth more or less (alike likely), and by chance a twentieth (a standard deviation)."""
    found = ask("/ltv/summary?group_by=segment&horizon_months=12&annual_discount_rate=0&gross_margin=1").json
    smb = next(row for row in found["data"] if row["group"] == "smb")
    rng = np.random.default_rng(1)
    of = 7_800 * (rng.uniform(0.9, 1.1, 400_000) + rng.normal(0, 0.05, 400_000))
    bounds = [float(amount(smb["realised"][bound])) for bound in ("lower", "upper")]
    assert bounds == pytest.approx(np.quantile(of, [0.05, 0.95]), rel=0.003)
    assert bounds[0] < float(amount(smb["ltv_residual_lower"]))
    assert bounds[1] > float(amount(smb["ltv_residual_upper"]))


def test_both_lists_come_as_csv(ask: Ask) -> None:
    def rows(path: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(ask(path).data.decode("utf-8-sig"), newline="")))

    accounts = rows("/ltv?format=csv")
    assert (accounts[0]["account_id"], accounts[0]["ltv_residual"], accounts[0]["currency"]) == ("1", "16000.00", "USD")
    groups = rows("/ltv/summary?format=csv&group_by=segment&horizon_months=12&annual_discount_rate=0&gross_margin=1")
    smb = next(row for row in groups if row["group"] == "smb")
    assert (smb["ltv_residual"], smb["currency"], smb["horizon_months"]) == ("7800.00", "USD", "12")


def test_a_level_moves_the_bounds_of_an_account_about_the_same_value(ask: Ask) -> None:
    """At 90 % R is between R squared and its root; the power 2 becomes 2^(z / z90) at another level."""
    terms = "horizon_months=1&annual_discount_rate=0&gross_margin=1"
    power = 2 ** (NormalDist().inv_cdf(0.975) / NormalDist().inv_cdf(0.95))
    found = ask(f"/accounts/1/ltv?{terms}&level=95").json
    assert amount(found["ltv_residual"]) == Decimal("660.00")
    assert float(amount(found["ltv_residual_lower"])) == pytest.approx(8000 / 12 * 0.99**power, abs=0.006)
    assert float(amount(found["ltv_residual_upper"])) == pytest.approx(8000 / 12 * 0.99 ** (1 / power), abs=0.006)
    assert found["level"] == 95


def test_what_an_account_earned_to_date_is_added_up_at_a_margin_of_ones_own(ask: Ask) -> None:
    """Account 3 pays 100 a month since January: two months by 1 March. Account 4 paid 50 a month through 2025."""
    assert amount(ask("/accounts/3/ltv?gross_margin=0.5").json["ltv_historical"]) == Decimal("100.00")
    assert amount(ask("/accounts/4/ltv?gross_margin=1").json["ltv_historical"]) == Decimal("600.00")
    assert amount(ask("/accounts/5/ltv?gross_margin=1").json["ltv_historical"]) == Decimal("300.00")


def test_the_list_is_valued_at_any_terms_as_each_account_is(ask: Ask) -> None:
    terms = "horizon_months=7&annual_discount_rate=0.3&gross_margin=0.6&level=80"
    listed = {each["account"]["id"]: each for each in ask(f"/ltv?{terms}").json["data"]}
    names = ("ltv_residual", "ltv_residual_lower", "ltv_residual_upper", "ltv_expansion", "ltv_total")
    for account_id in (1, 2, 3, 4):
        alone = ask(f"/accounts/{account_id}/ltv?{terms}").json
        assert [listed[account_id][name] for name in names] == [alone[name] for name in names]
    assert ask(f"/ltv?{terms}").json["terms"]["horizon_months"] == 7

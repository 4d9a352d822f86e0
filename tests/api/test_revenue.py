"""Bookings and ARR through the API, worked out by pencil (see tests/small_company.py)."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import delete, select

from app.db import transaction
from app.http import Application
from app.models.contracts import ChurnNotice, ContractLineVersion
from app.models.deals import Deal, DealVersion
from app.models.settings import FxRate
from app.services.changes import recording
from app.services.settings import record_settings
from app.services.versions import record_versions, withdraw_versions
from tests.api.conftest import Ask
from tests.small_company import NOW, RECORDED_AT


def amounts(answer: Any, name: str = "arr") -> dict[str, str]:
    assert answer.status_code == 200, answer.text
    return {each["group"]: f"{each[name]['amount']} {each[name]['currency']}" for each in answer.json["data"]}


def later(app: Application, table: Any, key: list[str], row: dict[str, Any]) -> None:
    """Record a row an hour after the import."""
    hour = RECORDED_AT + timedelta(hours=1)
    with transaction(app.engine) as session, recording(session, "correction", clock=lambda: hour) as change:
        record_versions(session, change, table=table, key=key, rows=[{**row, "available_at": hour}])


def test_arr_adds_up_lines_at_the_rate_of_the_day(ask: Ask) -> None:
    """JPY 1,200,000 / 150 + EUR 6,000 x 1.10 + USD 1,200."""
    answer = ask("/revenue/arr")
    assert amounts(answer) == {"all": "15800.00 USD"}
    assert answer.json["data"][0]["accounts"] == 3
    assert answer.json["data"][0]["lines"] == 3
    assert answer.json["fx"] == {"currency": "USD", "basis": "period_end", "on": None, "reason": None}
    assert answer.json["meta"]["as_of"] == "2026-03-01"
    assert answer.json["meta"]["known_at"] == "2026-02-28T20:00:00Z"
    assert answer.json["meta"]["model_run_id"] is None


GROUPS = {
    "segment": {"enterprise": "8000.00 USD", "smb": "7800.00 USD"},
    "channel": {"partner": "8000.00 USD", "web": "7800.00 USD"},
    "plan": {"basic": "7800.00 USD", "premium": "8000.00 USD"},
    "product": {"CORE": "7800.00 USD", "PLUS": "8000.00 USD"},
    "account": {"1": "8000.00 USD", "2": "6600.00 USD", "3": "1200.00 USD"},
    "currency": {"EUR": "6000.00 EUR", "JPY": "1200000 JPY", "USD": "1200.00 USD"},
}


def test_every_way_of_grouping_adds_up_to_the_same(ask: Ask) -> None:
    for group_by, found in GROUPS.items():
        assert amounts(ask(f"/revenue/arr?group_by={group_by}")) == found, group_by
    labels = {each["group"]: each["label"] for each in ask("/revenue/arr?group_by=account").json["data"]}
    assert labels["1"] == "青葉商事"


def test_arr_of_a_past_day_is_of_the_lines_then(ask: Ask) -> None:
    assert amounts(ask("/revenue/arr?as_of=2025-12-31&group_by=account")) == {
        "1": "8000.00 USD",
        "2": "6600.00 USD",
        "4": "600.00 USD",
    }
    assert amounts(ask("/revenue/arr?as_of=2025-01-01")) == {"all": "600.00 USD"}
    assert ask("/revenue/arr?as_of=2024-12-31").json["data"] == []


def test_a_line_that_lapsed_is_in_grace_for_thirty_days(ask: Ask) -> None:
    on_first = ask("/revenue/arr?as_of=2026-01-01&group_by=account").json["data"]
    dune = next(each for each in on_first if each["group"] == "4")
    assert dune["in_grace"] == dune["arr"] == {"amount": "600.00", "currency": "USD"}
    assert "4" in amounts(ask("/revenue/arr?as_of=2026-01-30&group_by=account"))
    assert "4" not in amounts(ask("/revenue/arr?as_of=2026-01-31&group_by=account"))


def test_fx_may_be_chosen_and_turned_off(ask: Ask) -> None:
    assert amounts(ask("/revenue/arr?currency=USD&fx=booked")) == {"all": "15800.00 USD"}
    each = ask("/revenue/arr?fx=none").json
    assert [item["arr"]["currency"] for item in each["data"]] == ["EUR", "JPY", "USD"]
    assert each["meta"]["currency"] is None
    assert each["fx"]["reason"]


def test_rates_are_of_the_close_date_the_day_or_one_day_for_all(ask: Ask, company: Application) -> None:
    rate = {"day": date(2026, 1, 1), "base": "EUR", "quote": "USD", "rate": Decimal("1.20"), "source": "a test"}
    later(company, FxRate, ["base", "quote", "day"], rate)
    euro = {basis: amounts(ask(f"/revenue/arr?group_by=account&{basis}"))["2"] for basis in FX}
    assert euro == FX
    needs = ask("/revenue/arr?fx=constant")
    assert needs.status_code == 400
    assert "fx_on" in needs.json["detail"]
    assert ask("/revenue/arr?fx=constant&fx_on=2025-12-31").json["fx"]["on"] == "2025-12-31"
    assert ask("/revenue/bookings?fx=constant").json["fx"]["on"] == "2025-01-01"  # the first booking


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/revenue/bookings?fx_on=2025-01-01", "fx_on"),
        ("/revenue/arr?fx=period_end&fx_on=2025-01-01", "fx_on"),
        ("/revenue/bookings?fx=none&currency=EUR", "currency"),
        ("/revenue/arr?group_by=currency&currency=EUR", "currency"),
        ("/revenue/arr?group_by=currency&fx=booked", "fx"),
    ],
)
def test_a_parameter_that_would_be_ignored_is_refused(ask: Ask, path: str, field: str) -> None:
    answer = ask(path)
    assert answer.status_code == 400
    assert [each["field"] for each in answer.json["errors"]] == [field]


FX = {
    "fx=booked": "6600.00 USD",
    "fx=period_end": "7200.00 USD",
    "fx=constant&fx_on=2025-12-31": "6600.00 USD",
    "fx=constant&fx_on=2026-01-01": "7200.00 USD",
}


def test_without_a_rate_currencies_are_never_added(ask: Ask, company: Application) -> None:
    with transaction(company.engine) as session:
        session.execute(delete(FxRate).where(FxRate.base == "EUR"))
    each = ask("/revenue/arr")
    assert {item["arr"]["currency"] for item in each.json["data"]} == {"EUR", "JPY", "USD"}
    assert "EUR" in each.json["fx"]["reason"]
    for query in ("fx=period_end", "fx=booked", "currency=USD"):
        answer = ask(f"/revenue/arr?{query}")
        assert answer.status_code == 409
        assert "no exchange rate from EUR to USD" in answer.json["detail"]


def test_a_correction_changes_what_is_known_and_not_what_was_known(ask: Ask, company: Application) -> None:
    before = ask("/revenue/bookings?group_by=account&fx=none")
    deal = {"deal_id": 3, "amount": "250", "amount_minor": 25_000}
    later(company, DealVersion, ["deal_id"], deal)
    after = amounts(ask("/revenue/bookings?group_by=account&fx=none"), "amount")
    assert after["3"] == "250.00 USD"
    known = before.json["meta"]["known_at"]
    again = ask(f"/revenue/bookings?group_by=account&fx=none&known_at={known}")
    assert again.data == before.data
    assert amounts(again, "amount")["3"] == "100.00 USD"
    early = (RECORDED_AT - timedelta(seconds=1)).isoformat().replace("+", "%2B")
    assert ask(f"/revenue/bookings?known_at={early}").json["data"] == []


def test_a_notice_ends_a_line_from_the_day_it_takes_effect(ask: Ask, company: Application) -> None:
    notice = {
        "system": "crm",
        "external_id": "N-1",
        "account_id": 3,
        "contract_line_id": 3,
        "occurred_on": date(2026, 2, 1),
        "effective_on": date(2026, 2, 15),
        "cause": "voluntary",
        "is_reactivation": False,
    }
    later(company, ChurnNotice, ["system", "external_id"], notice)
    assert amounts(ask("/revenue/arr?as_of=2026-02-14&group_by=account"))["3"] == "1200.00 USD"
    assert "3" not in amounts(ask("/revenue/arr?as_of=2026-02-15&group_by=account"))


def test_bookings_are_won_deals_by_close_date_one_off_sales_too(ask: Ask) -> None:
    """2025: 8,000 + 6,600 + 50 + 300 dollars; 2026: 100."""
    answer = ask("/revenue/bookings?grain=year")
    found = [(each["period"], each["amount"]["amount"], each["deals"]) for each in answer.json["data"]]
    assert found == [("2025", "14950.00", 4), ("2026", "100.00", 1)]
    assert answer.json["fx"]["basis"] == "booked"
    assert amounts(ask("/revenue/bookings"), "amount") == {"all": "15050.00 USD"}


def test_periods_are_cut_out_and_cut_up(ask: Ask) -> None:
    assert amounts(ask("/revenue/bookings?period=2025-Q4"), "amount") == {"all": "300.00 USD"}
    assert amounts(ask("/revenue/bookings?period=2025-11"), "amount") == {"all": "300.00 USD"}
    assert ask("/revenue/bookings?period=2025-10").json["data"] == []
    months = ask("/revenue/bookings?period=2025&grain=month").json["data"]
    assert [each["period"] for each in months] == ["2025-01", "2025-04", "2025-07", "2025-11"]
    assert (months[0]["first_on"], months[0]["last_on"]) == ("2025-01-01", "2025-01-31")
    assert amounts(ask("/revenue/bookings?as_of=2025-07-01"), "amount") == {"all": "14650.00 USD"}
    for period in ("2025-13", "last-year", "2025-Q5"):
        answer = ask(f"/revenue/bookings?period={period}")
        assert answer.status_code == 400
        assert "2026-Q1" in answer.json["detail"]


def test_bookings_by_product_channel_and_account_add_up(ask: Ask) -> None:
    whole = Decimal("15050.00")
    for group_by, groups in (("product", 3), ("channel", 3), ("account", 5)):
        found = amounts(ask(f"/revenue/bookings?group_by={group_by}"), "amount")
        assert len(found) == groups
        assert sum(Decimal(each.split()[0]) for each in found.values()) == whole
    assert amounts(ask("/revenue/bookings?group_by=product"), "amount")["SETUP"] == "300.00 USD"
    assert amounts(ask("/revenue/bookings?group_by=channel"), "amount")["(unknown)"] == "50.00 USD"


def test_an_open_deal_is_not_booked_and_a_deal_without_lines_is(ask: Ask, company: Application) -> None:
    later(company, DealVersion, ["deal_id"], {"deal_id": 5, "stage": "open"})
    assert "5" not in amounts(ask("/revenue/bookings?group_by=account"), "amount")
    with transaction(company.engine) as session, recording(session, "test", clock=lambda: NOW) as change:
        session.add(Deal(id=6, system="crm", external_id="D-6", change_id=change.id))
        session.flush()
        row = {
            "deal_id": 6,
            "account_id": 3,
            "stage": "won",
            "type": "new",
            "closed_on": date(2026, 2, 2),
            "amount": "7",
            "amount_minor": 700,
            "currency": "USD",
            "available_at": NOW,
        }
        record_versions(session, change, table=DealVersion, key=["deal_id"], rows=[row])
    assert amounts(ask("/revenue/bookings?group_by=product"), "amount")["(unknown)"] == "7.00 USD"


def test_by_product_a_deal_counts_whole_whatever_is_known_of_its_lines(ask: Ask, company: Application) -> None:
    """USD 100 with a line of 100; a corrected amount of 110 leaves 10 that no line explains."""
    later(company, DealVersion, ["deal_id"], {"deal_id": 3, "amount": "110", "amount_minor": 11_000})
    by_product = amounts(ask("/revenue/bookings?group_by=product&period=2026-01"), "amount")
    assert by_product == {"(unknown)": "10.00 USD", "CORE": "100.00 USD"}
    with transaction(company.engine) as session, recording(session, "correction", clock=lambda: NOW) as change:
        own = select(ContractLineVersion.id).where(ContractLineVersion.contract_line_id == 3)
        withdraw_versions(session, change, table=ContractLineVersion, ids=session.scalars(own).all())
    by_product = amounts(ask("/revenue/bookings?group_by=product&period=2026-01"), "amount")
    assert by_product == {"(unknown)": "110.00 USD"}


def test_quarters_follow_the_fiscal_year(ask: Ask, company: Application) -> None:
    with transaction(company.engine) as session:
        session.execute(delete(ContractLineVersion))  # the fiscal year is fixed once there are lines
        with recording(session, "settings", clock=lambda: NOW) as change:
            record_settings(session, change, values={"fiscal_year_start_month": 4})
    found = ask("/revenue/bookings?grain=quarter").json["data"]
    assert [each["period"] for each in found] == ["2024-Q4", "2025-Q1", "2025-Q2", "2025-Q3", "2025-Q4"]


def test_nobody_is_told_what_will_be_known(ask: Ask) -> None:
    tomorrow = (NOW + timedelta(days=1)).isoformat().replace("+", "%2B")
    for path in ("/revenue/arr", "/revenue/bookings"):
        answer = ask(f"{path}?known_at={tomorrow}")
        assert answer.status_code == 400
        assert "future" in answer.json["detail"]


BAD = ("currency=XXX", "currency=usd", "fx=spot", "as_of=yesterday", "known_at=2026-01-01", "group_by=owner", "fx_on=1")


def test_a_bad_parameter_is_named(ask: Ask) -> None:
    for query in BAD:
        answer = ask(f"/revenue/arr?{query}")
        assert answer.status_code == 400, query
        assert query.partition("=")[0] in answer.json["detail"]


def test_csv_has_plain_numbers_with_their_currency_beside_them(ask: Ask) -> None:
    answer = ask("/revenue/arr?group_by=currency&format=csv")
    arr = answer.data.decode("utf-8-sig").split("\r\n")
    assert arr[0] == "group,label,arr,in_grace,currency,accounts,lines,fx,fx_on,as_of,known_at"
    assert arr[2] == "JPY,JPY,1200000,0,JPY,1,1,,,2026-03-01,2026-02-28T20:00:00Z"
    assert "revenue-arr-2026-03-01.csv" in answer.headers["Content-Disposition"]
    constant = ask("/revenue/arr?fx=constant&fx_on=2026-01-01&format=csv").data.decode("utf-8-sig").split("\r\n")
    assert constant[1] == "all,all,15800.00,0.00,USD,3,3,constant,2026-01-01,2026-03-01,2026-02-28T20:00:00Z"
    bookings = ask("/revenue/bookings?period=2026&format=csv").data.decode("utf-8-sig").split("\r\n")
    assert bookings[1] == "2026,2026-01-01,2026-03-01,all,all,100.00,USD,1,1,,,2026-03-01,2026-02-28T20:00:00Z"

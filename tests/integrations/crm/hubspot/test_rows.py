"""What HubSpot's properties come to: terms, prices, stages, types, days. By pencil, and as the ledger settles it."""

from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.months import add_months
from integrations.crm.client import CrmDeal, Promise
from integrations.crm.hubspot.properties import Period, last_day
from integrations.crm.hubspot.rows import Account, Parts, Rows, merged_ids
from integrations.crm.hubspot.wire import Link, Thing
from integrations.crm.mapping import read_crm_mapping
from tests.integrations.crm.stories import booked

AT = datetime(2026, 3, 10, 12, tzinfo=UTC)
TOKYO = Account("JPY", ZoneInfo("Asia/Tokyo"), {"s-won": "won", "s-lost": "lost", "s-open": "open"})
WON = {"hs_is_closed": "true", "hs_is_closed_won": "true", "closedate": "2026-03-10", "deal_currency_code": "USD"}


def rows(mapping: str = "") -> Rows:
    return Rows(read_crm_mapping(f'kind = "hubspot"\n{mapping}'), TOKYO)


def thing(id_: str = "1", **properties: str) -> Thing:
    return Thing(id_, properties, AT)


def deal(*lines: dict[str, str], mapping: str = "", **properties: str) -> CrmDeal:
    things = [thing(str(number), **line) for number, line in enumerate(lines, start=1)]
    changed = rows(mapping).deal(thing(**(WON | properties)), Parts(things, [Link("77", frozenset({341}))]))
    assert changed.row is not None
    return changed.row


def line(**properties: str) -> dict[str, str]:
    return {"hs_product_id": "9", "price": "100", "quantity": "2", "amount": "200.000"} | properties


MONTHLY, YEARLY = {"recurringbillingfrequency": "monthly"}, {"recurringbillingfrequency": "annually"}
START = {"hs_recurring_billing_start_date": "2026-04-01"}

# The properties of a line of 200 a period in a deal closed on 2026-03-10: (ARR in cents, first day, last day).
TERMS: list[tuple[dict[str, str], int | None, str, str | None]] = [
    ({}, None, "2026-03-10", None),
    (YEARLY | {"hs_recurring_billing_period": "P12M"}, 200_00, "2026-03-10", "2027-03-09"),
    (YEARLY | {"hs_recurring_billing_period": "P3Y"}, 200_00, "2026-03-10", "2029-03-09"),
    (YEARLY | {"hs_recurring_billing_period": "36"}, 200_00, "2026-03-10", "2029-03-09"),
    (MONTHLY | {"hs_recurring_billing_period": "P1Y6M"}, 2400_00, "2026-03-10", "2027-09-09"),
    (MONTHLY | {"hs_recurring_billing_number_of_payments": "6"}, 2400_00, "2026-03-10", "2026-09-09"),
    (MONTHLY, 2400_00, "2026-03-10", None),
    (MONTHLY | START | {"hs_recurring_billing_period": "P12M"}, 2400_00, "2026-04-01", "2027-03-31"),
    ({"recurringbillingfrequency": "quarterly"}, 800_00, "2026-03-10", None),
    ({"recurringbillingfrequency": "per_six_months"}, 400_00, "2026-03-10", None),
    ({"recurringbillingfrequency": "per_two_years"}, 100_00, "2026-03-10", None),
    ({"recurringbillingfrequency": "weekly"}, 10_400_00, "2026-03-10", None),
    ({"recurringbillingfrequency": "biweekly"}, 5_200_00, "2026-03-10", None),
    ({"hs_recurring_billing_period": "P24M"}, 100_00, "2026-03-10", "2028-03-09"),  # the amount is for all of it
    ({"hs_recurring_billing_period": "P4W"}, 2607_14, "2026-03-10", "2026-04-06"),  # 200 x 365 / 28
    (MONTHLY | {"hs_billing_start_delay_days": "30"}, 2400_00, "2026-04-09", None),
    (MONTHLY | {"hs_billing_start_delay_months": "2"}, 2400_00, "2026-05-10", None),
]  # fmt: skip


@pytest.mark.parametrize(("told", "arr", "first", "last"), TERMS)
def test_a_line_is_worth_and_lasts_what_it_says(
    told: dict[str, str], arr: int | None, first: str, last: str | None
) -> None:
    found = deal(line(**told))
    (one,) = booked(found)
    assert (one.arr_minor, one.starts_on, one.ends_on) == (
        arr, date.fromisoformat(first), None if last is None else date.fromisoformat(last),
    )  # fmt: skip
    assert one.kind == ("one_time" if arr is None else "recurring")
    assert found.unmapped == ()


def test_a_deal_may_say_the_term_of_lines_that_say_none() -> None:
    fields = '[fields]\nstarts_on = "begins"\nends_on = "ends"\nterm_months = "months"\n'
    own = line(**MONTHLY, hs_recurring_billing_period="P12M", hs_recurring_billing_start_date="2026-04-01")
    first, second = booked(deal(own, line(**MONTHLY), mapping=fields, begins="2026-05-01", ends="2026-12-31"))
    assert (first.starts_on, first.ends_on) == (date(2026, 4, 1), date(2027, 3, 31))
    assert (second.starts_on, second.ends_on, second.arr_minor) == (date(2026, 5, 1), date(2026, 12, 31), 2400_00)
    (third,) = booked(deal(line(**YEARLY), mapping=fields, months="24"))
    assert (third.ends_on, third.arr_minor) == (date(2028, 3, 9), 200_00)


def test_lines_without_recurrence_are_what_the_mapping_says() -> None:
    assert [each.kind for each in booked(deal(line()))] == ["one_time"]
    (one,) = booked(deal(line(), mapping='[line_kinds]\n"" = "recurring"\n'))
    assert (one.kind, one.arr_minor, one.ends_on) == ("recurring", 200_00, None)
    words = '[fields]\nline_kind = "sort"\n[line_kinds]\nmetered = "usage_based"\npilot = "trial"\n'
    kinds = booked(deal(line(sort="metered"), line(sort="pilot"), line(sort="other"), mapping=words))
    assert [each.kind for each in kinds] == ["usage_based", "trial", "one_time"]


def test_a_deal_without_lines_is_a_contract_where_a_product_is_named_for_it() -> None:
    assert deal(amount="1200.50").closed.lines == ()
    assert deal(amount="1200.50").closed.deal.amount == Decimal("1200.50")
    named = '[fields]\nterm_months = "months"\n[options]\nproduct_of_deals_without_lines = "9"\n'
    (one,) = booked(deal(mapping=named, amount="2400.50", months="24"))
    assert (one.product, one.amount_minor, one.arr_minor, one.ends_on) == ("9", 2400_50, 1200_25, date(2028, 3, 9))
    lost = {"hs_is_closed": "true", "hs_is_closed_won": "false", "amount": "5"}
    assert deal(mapping=named, **lost).closed.lines == ()


@pytest.mark.parametrize(
    ("told", "mapping", "stage"),
    [
        ({"hs_is_closed": "true", "hs_is_closed_won": "true"}, "", "won"),
        ({"hs_is_closed": "true", "hs_is_closed_won": "false"}, "", "lost"),
        ({"hs_is_closed": "false", "hs_is_closed_won": "false", "dealstage": "s-won"}, "", "open"),
        ({"dealstage": "s-won"}, "", "won"),
        ({"dealstage": "s-lost"}, "", "lost"),
        ({"dealstage": "unknown"}, "", "open"),
        ({"hs_is_closed": "false", "dealstage": "signed"}, '[stages]\nsigned = "won"\n', "won"),
    ],
)
def test_a_stage_is_what_the_mapping_else_the_deal_else_its_pipeline_says(
    told: dict[str, str], mapping: str, stage: str
) -> None:
    row = rows(mapping).deal(thing(**told), Parts()).row
    assert row is not None
    assert row.closed.deal.stage == stage


def test_a_type_is_its_pipelines_or_its_words_and_an_unknown_word_is_told() -> None:
    assert deal(dealtype="existingbusiness").closed.deal.type == "expansion"
    assert deal().closed.deal.type == "new"
    unknown = deal(dealtype="swap")
    assert (unknown.closed.deal.type, unknown.unmapped) == ("new", ("dealtype: 'swap' is none of [types]",))
    by_pipeline = '[options]\npipeline_types = { "5" = "renewal" }\n'
    assert deal(mapping=by_pipeline, pipeline="5", dealtype="newbusiness").closed.deal.type == "renewal"


def test_a_day_is_the_accounts_own_and_midnight_in_utc_is_a_day_without_a_time() -> None:
    days = [
        deal(closedate=told).closed.deal.closed_on
        for told in ("2026-03-10T16:00:00Z", "2026-03-10T00:00:00.000Z", "2026-03-10", "1773158400000")
    ]  # in Tokyo the first and the last are at one in the morning of the 11th
    assert days == [date(2026, 3, 11), date(2026, 3, 10), date(2026, 3, 10), date(2026, 3, 11)]


@pytest.mark.parametrize(
    "told",
    [
        {"recurringbillingfrequency": "fortnightly"},
        {"recurringbillingfrequency": "monthly", "hs_recurring_billing_period": "a year"},
        {"recurringbillingfrequency": "monthly", "hs_recurring_billing_period": "P"},
        {"recurringbillingfrequency": "monthly", "hs_recurring_billing_period": "P999Y"},
        {"recurringbillingfrequency": "monthly", "hs_recurring_billing_period": "0"},
        {"recurringbillingfrequency": "monthly", "hs_recurring_billing_start_date": "2026-02-30"},
        {"price": "1e3"},
        {"amount": "NaN"},
        {"quantity": "２"},
    ],
)
def test_what_cannot_be_read_is_told_and_not_guessed_in_silence(told: dict[str, str]) -> None:
    found = deal(line(**told))
    assert len(found.unmapped) == 1
    assert any(name in found.unmapped[0] for name in told)
    assert len(found.closed.lines) == 1


def test_a_deal_says_where_it_came_from_what_it_renews_and_what_was_promised() -> None:
    fields = """
[fields]
partner = "partner"
renewal_of = "renews"
notice_days = "notice"
non_cancellable = "fixed"
billing_period_months = "billed"
cancels_on = "leaves_on"
cancel_cause = "why"
[[promises]]
kind = "date"
field = "go_live"
due_field = "go_live_on"
"""
    told = {"partner": "Hoshi KK", "renews": "5", "notice": "30", "fixed": "true", "billed": "3.0"}
    found = deal(mapping=fields, dealtype="churn", go_live="Live by May", go_live_on="2026-05-01", **told)
    row = found.closed.deal
    assert (row.account, row.partner, row.renewal_of) == ("77", "Hoshi KK", "5")
    assert (row.notice_days, row.non_cancellable, row.billing_period_months) == (30, True, 3)
    assert found.promises == (Promise("go_live", "date", "Live by May", date(2026, 5, 1)),)
    assert (found.cancels_on, found.cancel_cause) == (date(2026, 3, 10), "voluntary")
    said = deal(mapping=fields, dealtype="churn", leaves_on="2026-06-30", why="closed")
    assert (said.cancels_on, said.cancel_cause) == (date(2026, 6, 30), "closed")
    assert deal(mapping=fields, leaves_on="2026-06-30").cancels_on is None


def test_a_currency_is_the_deals_else_the_mappings_else_the_accounts() -> None:
    assert deal(deal_currency_code="EUR", mapping='currency = "USD"').closed.deal.currency == "EUR"
    without: Any = {name: value for name, value in WON.items() if name != "deal_currency_code"}
    for mapping, currency in (('currency = "USD"', "USD"), ("", "JPY")):
        row = rows(mapping).deal(thing(**without), Parts()).row
        assert row is not None
        assert row.closed.deal.currency == currency


def test_a_company_and_a_product_are_what_their_fields_say() -> None:
    fields = '[fields]\nsegment = "tier"\ncsm = "csm"\ninside_sales = "sdr"\n'
    told = {"domain": "aoba.example", "numberofemployees": "250", "tier": "A", "csm": "8", "sdr": "9"}
    more = {"hubspot_owner_id": "7", "hs_parent_company_id": "3", "createdate": "2025-01-02T03:04:05.678Z"}
    row = rows(fields).company(thing("2", **told, **more)).row
    assert row is not None
    assert (row.name, row.employees, row.segment, row.parent) == ("aoba.example", 250, "A", "3")
    assert (row.csm, row.account_owner, row.inside_sales) == ("8", "7", "9")
    assert row.available_on == date(2025, 1, 2)
    product = rows().product(thing("4", name="Core", hs_sku="CORE", recurringbillingfrequency="monthly")).row
    once = rows().product(thing("5", name="Setup")).row
    assert product is not None
    assert once is not None
    assert (product.id, product.sku, product.is_recurring) == ("4", "CORE", True)
    assert (once.sku, once.is_recurring) == ("5", False)


def test_ids_that_were_merged_are_read_in_both_spellings() -> None:
    assert merged_ids(thing("9", hs_merged_object_ids="1;2; 3;9")) == ("1", "2", "3")
    assert merged_ids(thing("9", hs_calculated_merged_vids="1:1700000000000;9:1700000000001")) == ("1",)
    assert merged_ids(thing("9")) == ()


DECIMALS = st.decimals(min_value=0, max_value=10**7, places=3)


@settings(max_examples=200, deadline=None)
@given(
    price=DECIMALS,
    quantity=DECIMALS,
    percent=st.none() | st.decimals(min_value=0, max_value=100, places=2),
    off=DECIMALS,
)
def test_without_an_amount_a_line_costs_price_less_discount_times_quantity_exactly(
    price: Decimal, quantity: Decimal, percent: Decimal | None, off: Decimal
) -> None:
    told = {"hs_product_id": "9", "price": f"{price:f}", "quantity": f"{quantity:f}", "discount": f"{off:f}"}
    if percent is not None:
        told["hs_discount_percentage"] = f"{percent:f}"
    (one,) = deal(told).closed.lines
    less = Fraction(off) if percent is None else Fraction(price) * Fraction(percent) / 100
    assert Fraction(one.amount) == (Fraction(price) - less) * Fraction(quantity)


@settings(max_examples=300, deadline=None)
@given(day=st.dates(date(1990, 1, 1), date(2100, 1, 1)), months=st.integers(1, 240))
def test_a_term_ends_where_the_ledger_ends_it(day: date, months: int) -> None:
    assert last_day(day, Period(months=months)).toordinal() == add_months(day, months).toordinal() - 1

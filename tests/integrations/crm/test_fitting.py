"""What people type into a CRM is cut, refused or left as it is; nothing of it can stop a sync."""

import re
from dataclasses import fields, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from app.db import reading
from app.models.accounts import AccountVersion
from app.models.persons import Person
from app.services.deal_terms import DealRefused, settle
from integrations.crm.client import CrmDeal, Noun, Promise
from integrations.crm.fitting import Unfit, fit
from integrations.files.rows import AccountRow, ClosedDeal, ContactRow, DealRow, LineRow, ProductRow
from tests.jobs.crm_world import open_world

DEAL = DealRow("1", "A", "Core", closed_on=date(2026, 1, 1), currency="USD")
LINE = LineRow("1", "CORE", Decimal(1200), key="1", price_months=12)


def deal(*lines: LineRow, **values: Any) -> CrmDeal:
    return CrmDeal(ClosedDeal(replace(DEAL, **values), lines))


def test_what_can_be_kept_is_left_as_it_is() -> None:
    for row in (
        AccountRow("1", "青葉商事 🙂", employees=12),
        ContactRow("1", "2", "Kim", role="Head of Everything"),
        ProductRow("1", "CORE", "Core", price=Decimal("9.99"), currency="USD"),
        deal(LINE),
    ):
        assert fit(row) is row


def test_what_describes_is_cut_and_loses_what_no_database_takes() -> None:
    account = fit(AccountRow("1", "A\0B\ud800" + "x" * 400, industry="y" * 101, employees=5_000_000_000))
    assert account == AccountRow("1", "AB?" + "x" * 297, industry="y" * 100)
    assert fit(ContactRow("1", "2", "Kim", phone="0" * 51, role="r" * 51)).role == "r" * 50
    told = replace(deal(), promises=(Promise("goal", "goal", "a\0b", date(20, 1, 1)),))
    assert fit(told).promises == (Promise("goal", "goal", "ab"),)


@pytest.mark.parametrize(
    ("row", "field"),
    [
        (AccountRow("1" * 201, "A"), "id"),
        (AccountRow("1", "A", parent="1"), "parent"),
        (ContactRow("1", "2\0", "Kim"), "account"),
        (ProductRow("1", "S", "Core", price=Decimal(1)), "price"),
        (deal(renewal_of="\ud800"), "renewal_of"),
        (deal(closed_on=date(20, 1, 1)), "closed_on"),
        (deal(stage="maybe"), "stage"),
        (deal(currency="DOLLARS"), "currency"),
        (deal(notice_days=2**40), "notice_days"),
        (deal(amount=Decimal("1e-40")), "amount"),
        (deal(amount=Decimal("1e999999")), "amount"),
        (deal(replace(LINE, quantity=Decimal("NaN"))), "quantity"),
        (deal(replace(LINE, price_months=0)), "price_months"),
        (deal(replace(LINE, price_months=None)), "ends_on"),
        (deal(replace(LINE, starts_on=date(2026, 2, 1), ends_on=date(2026, 1, 1))), "ends_on"),
        (replace(deal(), cancels_on=date(9999, 1, 1)), "cancels_on"),
    ],
)
def test_what_names_or_is_reckoned_with_is_refused(row: Any, field: str) -> None:
    with pytest.raises(Unfit) as refused:
        fit(row)
    assert refused.value.field == field


odd_text = st.one_of(st.none(), st.text(max_size=5), st.sampled_from(["x" * 500, "\ud800", "a\0", "USD", "won"]))
odd_day = st.one_of(st.none(), st.dates(), st.dates(date(2025, 1, 1), date(2027, 1, 1)))
odd_number = st.one_of(st.decimals(), st.sampled_from([Decimal(0), Decimal(12), Decimal("1e99")]))
odd_whole = st.one_of(st.none(), st.integers(-2, 40), st.integers())
ODD = {"str": odd_text, "date": odd_day, "Decimal": odd_number, "int": odd_whole, "bool": st.booleans()}


@st.composite
def odd(draw: st.DrawFn, row: Any) -> Any:
    """The row with some of its fields replaced by what people and programs come up with."""
    changes = {}
    for field in fields(row):
        name = re.findall(r"\b(?:str|date|Decimal|int|bool)\b", str(field.type))[0]
        if field.name not in {"id", "deal"} and draw(st.integers(0, 4)) == 0:
            value = draw(ODD[name])
            changes[field.name] = getattr(row, field.name) if value is None and "None" not in str(field.type) else value
    return replace(row, **changes)


@given(odd(DEAL), st.lists(odd(LINE), max_size=3))
def test_whatever_a_deal_says_it_is_settled_or_refused_with_a_reason(row: DealRow, lines: list[LineRow]) -> None:
    try:
        terms = settle(fit(CrmDeal(ClosedDeal(row, tuple(lines)))).closed)
    except (Unfit, DealRefused) as error:
        reason = f"{error.field}: {error}"
    else:
        assert len(terms.lines) == len(lines)
        return
    assert re.fullmatch(r"[a-z_]+: .*[a-z0-9)'].*", reason, re.DOTALL)


def test_what_does_not_fit_stops_nothing_else_on_either_database(engine: Engine, tmp_path: Path) -> None:
    world = open_world(engine, tmp_path)
    company = world.stage.create_company("B" * 301)
    world.crm.put(Noun.CONTACT, lambda id_: ContactRow(id_, company, "Kim\0", phone="0" * 60, role="r" * 60))
    good = world.sold(company)
    bad = [world.sold(company, name=f"Deal {n}") for n in range(3)]
    odd_ones = ({"currency": "DOLLARS"}, {"renewal_of": "x" * 500}, {"account": None})
    for id_, values in zip(bad, odd_ones, strict=True):
        thing = world.crm.things[Noun.DEAL][id_]
        closed = thing.row.closed
        thing.row = replace(thing.row, closed=replace(closed, deal=replace(closed.deal, **values)))
    assert world.sync().failed == 0
    assert set(world.lines()) == {good}
    assert world.refused() == {
        bad[0]: "currency: 'DOLLARS' is not a currency; use an ISO 4217 code such as USD, EUR or JPY",
        bad[1]: "renewal_of: it is longer than 200 characters",
        bad[2]: "a won deal with lines needs an account",
    }
    with reading(engine) as session:
        assert session.scalar(select(AccountVersion.name)) == "B" * 300
        assert session.execute(select(Person.name, Person.phone, Person.role)).one() == ("Kim", "0" * 50, "r" * 50)

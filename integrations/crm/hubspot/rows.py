"""What HubSpot's things are to us: accounts, contacts, products and deals with their lines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from integrations.crm.client import Changed, CrmDeal, Promise
from integrations.crm.hubspot.properties import Period, Reader, last_day, local_day
from integrations.crm.hubspot.wire import Link, Thing, read_instant
from integrations.crm.mapping import CrmMapping
from integrations.files.rows import AccountRow, ClosedDeal, ContactRow, DealRow, LineRow, ProductRow, StaffRow

PRIMARY_COMPANY = 5  # HubSpot's number of the association of a deal with its primary company
MONTHS = {
    "monthly": 1, "quarterly": 3, "per_six_months": 6, "annually": 12,
    "per_two_years": 24, "per_three_years": 36, "per_four_years": 48, "per_five_years": 60,
}  # fmt: skip
TIMES_A_YEAR = {"weekly": 52, "biweekly": 26}  # no whole months: what a year costs is said instead
MERGED = ("hs_merged_object_ids", "hs_calculated_merged_vids")

_OURS = {
    "companies": ("segment", "industry", "country", "employees", "channel", "csm", "inside_sales"),
    "contacts": ("contact_role", "departed_on"),
    "products": ("sku",),
    "deals": (
        *("lead_source", "campaign", "partner", "renewal_of", "supersedes", "starts_on", "ends_on", "term_months"),
        *("notice_days", "non_cancellable", "billing_period_months", "cancels_on", "cancel_cause"),
    ),
    "line_items": ("sku", "line_kind", "line_starts_on", "line_ends_on", "line_term_months", "discount"),
}
_THEIRS = {
    "companies": ("name", "domain", "hs_parent_company_id", "hubspot_owner_id", "createdate", MERGED[0]),
    "contacts": ("firstname", "lastname", "email", "phone", "associatedcompanyid", *MERGED),
    "products": ("name", "recurringbillingfrequency", "hs_recurring_billing_period", "createdate", MERGED[0]),
    "deals": (
        *("dealname", "dealstage", "pipeline", "hs_is_closed", "hs_is_closed_won", "closedate", "createdate"),
        *("amount", "deal_currency_code", "dealtype", "hubspot_owner_id", MERGED[0]),
    ),
    "line_items": (
        *("name", "price", "quantity", "amount", "discount", "hs_product_id", "hs_line_item_currency_code"),
        *("recurringbillingfrequency", "hs_recurring_billing_period", "hs_recurring_billing_number_of_payments"),
        *("hs_recurring_billing_start_date", "hs_billing_start_delay_days", "hs_billing_start_delay_months"),
    ),
}


@dataclass(frozen=True, slots=True)
class Account:
    """What is said once for all of HubSpot's account."""

    currency: str | None
    zone: ZoneInfo
    stages: Mapping[str, str]  # id -> open, won, lost, as the pipelines say


@dataclass(frozen=True, slots=True)
class Parts:
    """A deal's lines and companies."""

    lines: Sequence[Thing] = ()
    companies: Sequence[Link] = ()


def wanted_properties(kind: str, mapping: CrmMapping) -> list[str]:
    named = [mapping.fields[ours] for ours in _OURS[kind] if ours in mapping.fields]
    if kind == "deals":
        named += [name for each in mapping.promises for name in (each.field, each.due_field) if name]
    return list(dict.fromkeys([*_THEIRS[kind], *named]))


class Rows:
    """Makes rows by the mapping of one company and what its HubSpot account says of itself."""

    def __init__(self, mapping: CrmMapping, account: Account) -> None:
        self._mapping, self._account = mapping, account

    def company(self, thing: Thing) -> Changed[AccountRow]:
        read = self._read(thing)
        row = AccountRow(
            id=thing.id,
            name=read.text("name") or read.text("domain") or thing.id,
            segment=read.mapped("segment"),
            industry=read.mapped("industry"),
            country=read.mapped("country"),
            employees=read.whole("employees"),
            channel=read.mapped("channel"),
            parent=read.text("hs_parent_company_id"),
            csm=read.mapped("csm"),
            account_owner=read.text("hubspot_owner_id"),
            inside_sales=read.mapped("inside_sales"),
            available_on=read.day("createdate"),
        )
        return _changed(thing, row)

    def contact(self, thing: Thing) -> Changed[ContactRow]:
        """A person of no company is nobody's contact."""
        read = self._read(thing)
        if (account := read.text("associatedcompanyid")) is None:
            return _changed(thing, None)
        name = " ".join(part for part in (read.text("firstname"), read.text("lastname")) if part)
        row = ContactRow(
            id=thing.id,
            account=account,
            name=name or read.text("email") or thing.id,
            email=read.text("email"),
            phone=read.text("phone"),
            role=read.mapped("contact_role"),
            departed_on=read.mapped_day("departed_on"),
        )
        return _changed(thing, row)

    def product(self, thing: Thing) -> Changed[ProductRow]:
        """Its price is left out: HubSpot has one in each currency, and a line has the one that was agreed."""
        read = self._read(thing)
        name = read.text("name") or thing.id
        is_recurring = any(read.text(key) for key in ("recurringbillingfrequency", "hs_recurring_billing_period"))
        row = ProductRow(
            id=thing.id,
            sku=read.mapped("sku") or thing.id,
            name=name,
            is_recurring=is_recurring,
            available_on=read.day("createdate"),
        )
        return _changed(thing, row)

    def owner(self, given: Mapping[str, Any], *, is_archived: bool) -> Changed[StaffRow]:
        """Who has left stays the owner of what was sold."""
        at = read_instant(given.get("updatedAt"))
        id_, email = str(given.get("id")), given.get("email") or None
        name = " ".join(str(given[part]) for part in ("firstName", "lastName") if given.get(part))
        left_on = local_day(at, zone=self._account.zone) if is_archived else None
        return Changed(id_, at, StaffRow(id_, name or email or id_, email=email, departed_on=left_on))

    def is_won(self, thing: Thing) -> bool:
        return self._stage(self._read(thing)) == "won"

    def deal(self, thing: Thing, parts: Parts) -> Changed[CrmDeal]:
        read = self._read(thing)
        stage, type_, closed_on = self._stage(read), self._type(read), read.day("closedate")
        deal = DealRow(
            id=thing.id,
            account=_company_of(parts.companies),
            name=read.text("dealname"),
            stage=stage,
            type=type_,
            opened_on=read.day("createdate"),
            closed_on=closed_on,
            currency=read.text("deal_currency_code") or self._mapping.currency or self._account.currency,
            lead_source=read.mapped("lead_source"),
            campaign=read.mapped("campaign"),
            partner=read.mapped("partner"),
            owner=read.text("hubspot_owner_id"),
            renewal_of=read.mapped("renewal_of"),
            supersedes=read.mapped("supersedes"),
            notice_days=read.whole("notice_days"),
            non_cancellable=read.mapped("non_cancellable") == "true",
            billing_period_months=read.whole("billing_period_months"),
            available_on=read.day("createdate"),
        )
        amount = read.number("amount")
        lines = tuple(self._line(line, deal, of_deal=read) for line in parts.lines)
        product = self._mapping.options.get("product_of_deals_without_lines")
        if stage == "won" and not lines and amount is not None and product is not None:
            lines = (self._line_of_amount(deal, amount, product=str(product), of_deal=read),)
        row = CrmDeal(
            ClosedDeal(deal if lines else replace(deal, amount=amount), lines),
            promises=self._promises(read),
            cancels_on=(read.mapped_day("cancels_on") or closed_on) if type_ == "cancellation" else None,
            cancel_cause=read.mapped("cancel_cause") or "voluntary",
            unmapped=tuple(read.unread),
        )
        return _changed(thing, row)

    def _read(self, thing: Thing) -> Reader:
        return Reader(thing.properties, self._mapping.fields, self._account.zone)

    def _stage(self, read: Reader) -> str:
        id_ = read.text("dealstage") or ""
        if (said := self._mapping.stages.get(id_)) is not None:
            return said
        if read.text("hs_is_closed_won") == "true":
            return "won"
        if read.text("hs_is_closed") == "true":
            return "lost"
        return self._account.stages.get(id_, "open") if read.text("hs_is_closed") is None else "open"

    def _type(self, read: Reader) -> str:
        by_pipeline = self._mapping.options.get("pipeline_types", {})
        if (said := by_pipeline.get(read.text("pipeline"))) is not None:
            return str(said)
        word = read.text("dealtype")
        if word is not None and word not in self._mapping.types:
            read.unread.append(f"dealtype: {word[:80]!r} is none of [types]")
        return self._mapping.types.get(word or "", "new")

    def _line(self, thing: Thing, deal: DealRow, *, of_deal: Reader) -> LineRow:
        read = Reader(thing.properties, self._mapping.fields, self._account.zone, of_deal.unread)
        said, price = read.number("quantity"), read.number("price")
        quantity = Decimal(1) if said is None else said
        amount = _net(read, price=price, quantity=quantity)
        row = LineRow(
            deal=deal.id,
            product=read.text("hs_product_id") or read.mapped("sku") or read.text("name") or thing.id,
            amount=amount,
            key=thing.id,
            kind=self._line_kind(read),
            quantity=quantity,
            unit_price=price,
            discount=_discount(read, price=price),
            starts_on=_starts_on(read, deal, of_deal=of_deal),
            currency=read.text("hs_line_item_currency_code"),
        )
        return self._with_term(row, deal, read=read, of_deal=of_deal) if row.kind == "recurring" else row

    def _line_kind(self, read: Reader) -> str:
        if (said := self._mapping.line_kinds.get(read.mapped("line_kind") or "")) is not None:
            return said
        is_recurring = read.text("recurringbillingfrequency") or read.mapped("line_term_months")
        return "recurring" if is_recurring else "one_time"

    def _line_of_amount(self, deal: DealRow, amount: Decimal, *, product: str, of_deal: Reader) -> LineRow:
        row = LineRow(deal.id, product, amount, key="deal", starts_on=of_deal.mapped_day("starts_on"))
        return self._with_term(row, deal, read=Reader({}, {}, self._account.zone), of_deal=of_deal)

    def _with_term(self, row: LineRow, deal: DealRow, *, read: Reader, of_deal: Reader) -> LineRow:
        """How long it is agreed for, and what its amount buys: one period of its frequency, or else all of the term."""
        frequency = read.text("recurringbillingfrequency") or ""
        price_months = 12 if frequency in TIMES_A_YEAR else MONTHS.get(frequency)
        amount = row.amount * TIMES_A_YEAR.get(frequency, 1)
        if frequency and price_months is None:
            of_deal.unread.append(f"recurringbillingfrequency: {frequency[:80]!r} is none that is known")
        term, ends_on = self._term(read, price_months=price_months), read.mapped_day("line_ends_on")
        if term is None and ends_on is None:
            term, ends_on = of_deal.period("term_months"), of_deal.mapped_day("ends_on")
        starts_on = row.starts_on or deal.closed_on
        if ends_on is None and term is not None and term.days and starts_on is not None:
            ends_on = last_day(starts_on, term)
        if ends_on is not None:
            return replace(row, amount=amount, ends_on=ends_on, price_months=price_months)
        months = (term.months or None) if term is not None else None
        if months is None:
            return replace(row, amount=amount, price_months=price_months or 12, auto_renew=True)
        return replace(row, amount=amount, term_months=months, price_months=price_months)

    def _term(self, read: Reader, *, price_months: int | None) -> Period | None:
        if (period := read.period("line_term_months")) is not None:
            return period
        payments = read.number("hs_recurring_billing_number_of_payments")
        if payments is None or price_months is None or read.text("recurringbillingfrequency") in TIMES_A_YEAR:
            return None
        term = Period(months=int(payments) * price_months)
        return term if term.is_sensible else None

    def _promises(self, read: Reader) -> tuple[Promise, ...]:
        return tuple(
            Promise(each.field, each.kind, text, due_on=read.day(each.due_field) if each.due_field else None)
            for each in self._mapping.promises
            if (text := read.text(each.field)) is not None
        )


def merged_ids(thing: Thing) -> tuple[str, ...]:
    """The ids that live on in a thing: `1;2`, of contacts also `1:WHEN;2:WHEN`."""
    parts = [part for name in MERGED for part in thing.properties.get(name, "").split(";")]
    ids = dict.fromkeys(part.partition(":")[0].strip() for part in parts)
    return tuple(id_ for id_ in ids if id_ and id_ != thing.id)


def _changed(thing: Thing, row: Any) -> Changed[Any]:
    return Changed(thing.id, thing.modified_at, row, merged=merged_ids(thing))


def _company_of(links: Sequence[Link]) -> str | None:
    primary = [link for link in links if PRIMARY_COMPANY in link.types]
    return next((link.id for link in (*primary, *links)), None)


def _net(read: Reader, *, price: Decimal | None, quantity: Decimal) -> Decimal:
    """What HubSpot says one period costs; where it says nothing, price less discount, times quantity."""
    if (amount := read.number("amount")) is not None:
        return amount
    off = read.number("discount") or Decimal(0)
    if (percent := read.number("hs_discount_percentage")) is not None and price is not None:
        off = price * percent / 100
    return ((price or Decimal(0)) - off) * quantity


def _discount(read: Reader, *, price: Decimal | None) -> Decimal | None:
    """As a part of 1, to six places."""
    percent = read.number(read.fields["discount"]) if "discount" in read.fields else None
    if percent is not None:
        return percent / 100
    off = read.number("discount")
    return round(off / price, 6) if off and price else None


def _starts_on(read: Reader, deal: DealRow, *, of_deal: Reader) -> date | None:
    """The line's own day, or so long after closing as its delay, or the deal's day; None: the day of closing."""
    if (said := read.mapped_day("line_starts_on")) is not None:
        return said
    months, days = (int(read.number(f"hs_billing_start_delay_{unit}") or 0) for unit in ("months", "days"))
    if deal.closed_on is not None and (delay := Period(months, days)).is_sensible:
        return last_day(deal.closed_on, delay) + timedelta(days=1)
    return of_deal.mapped_day("starts_on")

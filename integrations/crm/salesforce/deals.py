"""An opportunity with its line items, as a deal.

A line's TotalPrice is Quantity x UnitPrice less Discount, exact as Salesforce rounds it. What that buys: as many months
as the line's price period says; without one the whole term, of the line or of its deal; without either `price_months`
of the options, and the line renews until somebody ends it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import TypeVar

from integrations.crm.client import CrmDeal, CrmNonsense, Promise
from integrations.crm.mapping import CrmMapping, PromiseField
from integrations.crm.salesforce.schema import day_at, decimal_at, text_at, value_at, whole_at
from integrations.crm.salesforce.session import Record
from integrations.files.rows import ClosedDeal, DealRow, LineRow

CAUSES = ("voluntary", "payment_failure", "closed")
Value = TypeVar("Value")


@dataclass(slots=True)
class _Reading:
    """One deal being read, with what the mapping has no word for."""

    mapping: CrmMapping
    record: Record
    unmapped: list[str] = field(default_factory=list)

    def text(self, name: str, record: Record | None = None) -> str | None:
        return text_at(record or self.record, self.mapping.fields.get(name))

    def whole(self, name: str, record: Record | None = None) -> int | None:
        return self._read(name, record or self.record, read=whole_at)

    def day(self, name: str, record: Record | None = None) -> date | None:
        return self._read(name, record or self.record, read=day_at)

    def _read(self, name: str, record: Record, *, read: Callable[[Record, str | None], Value]) -> Value | None:
        path = self.mapping.fields.get(name)
        try:
            return read(record, path)
        except ValueError:
            self.miss(name, text_at(record, path))
            return None

    def miss(self, name: str, said: str | None) -> None:
        if (word := f"{name}: {said}") not in self.unmapped:
            self.unmapped.append(word)


def read_deal(record: Record, lines: list[Record], *, mapping: CrmMapping) -> CrmDeal:
    """What a deal is now; lines only where it is won."""
    reading = _Reading(mapping, record)
    stage = _stage(record, mapping)
    type_ = _type(reading)
    currency = text_at(record, "CurrencyIsoCode") or mapping.currency
    closed_on = day_at(record, "CloseDate") if stage != "open" else None
    rows = tuple(_line(reading, line, currency=currency) for line in lines) if stage == "won" else ()
    cancels_on = reading.day("cancels_on") or (closed_on if type_ == "cancellation" else None)
    return CrmDeal(
        closed=ClosedDeal(_deal(reading, stage=stage, type_=type_, closed_on=closed_on, currency=currency), rows),
        promises=tuple(each for of in mapping.promises if (each := _promise(reading, of)) is not None),
        cancels_on=cancels_on if stage == "won" else None,
        cancel_cause=_cause(reading),
        unmapped=tuple(reading.unmapped),
    )


def _deal(reading: _Reading, *, stage: str, type_: str, closed_on: date | None, currency: str | None) -> DealRow:
    record = reading.record
    return DealRow(
        id=str(record["Id"]),
        account=text_at(record, "AccountId"),
        name=text_at(record, "Name"),
        stage=stage,
        type=type_,
        opened_on=day_at(record, "CreatedDate"),
        closed_on=closed_on,
        amount=decimal_at(record, "Amount"),
        currency=currency,
        lead_source=reading.text("lead_source"),
        campaign=reading.text("campaign"),
        partner=reading.text("partner"),
        owner=text_at(record, "OwnerId"),
        renewal_of=reading.text("renewal_of"),
        supersedes=reading.text("supersedes"),
        notice_days=reading.whole("notice_days"),
        non_cancellable=value_at(record, reading.mapping.fields.get("non_cancellable")) is True,
        billing_period_months=_period(reading, record, path=reading.mapping.fields.get("billing_period_months")),
    )


def _stage(record: Record, mapping: CrmMapping) -> str:
    said = "won" if value_at(record, "IsWon") else "lost" if value_at(record, "IsClosed") else "open"
    return mapping.stages.get(text_at(record, "StageName") or "", said)


def _type(reading: _Reading) -> str:
    said = text_at(reading.record, reading.mapping.options.get("type_field"))
    if said is not None and said not in reading.mapping.types:
        reading.miss("types", said)
    return reading.mapping.types.get(said or "", "new")


def _cause(reading: _Reading) -> str:
    said = reading.text("cancel_cause")
    if said is not None and said not in CAUSES:
        reading.miss("cancel_cause", said)
    return said if said in CAUSES else "voluntary"


def _line(reading: _Reading, line: Record, *, currency: str | None) -> LineRow:
    mapping = reading.mapping
    product, amount = text_at(line, "Product2Id"), decimal_at(line, "TotalPrice")
    if product is None or amount is None:
        raise CrmNonsense("Salesforce gives a line of a deal without its product or price.")
    kind = _kind(reading, line)
    ends_on = reading.day("line_ends_on", line) or reading.day("ends_on")
    term_months = reading.whole("line_term_months", line) or reading.whole("term_months")
    is_evergreen = kind == "recurring" and ends_on is None and term_months is None
    period = _period(reading, line, path=mapping.options.get("price_period")) if kind == "recurring" else None
    quantity, discount = decimal_at(line, "Quantity"), decimal_at(line, mapping.fields.get("discount"))
    return LineRow(
        deal=str(reading.record["Id"]),
        product=product,
        amount=amount,
        key=str(line["Id"]),
        kind=kind,
        quantity=Decimal(1) if quantity is None else quantity,
        unit_price=decimal_at(line, "UnitPrice"),
        discount=None if discount is None else discount / 100,
        starts_on=reading.day("line_starts_on", line) or reading.day("starts_on"),
        ends_on=ends_on,
        term_months=term_months,
        price_months=period or (int(mapping.options.get("price_months", 12)) if is_evergreen else None),
        auto_renew=is_evergreen,
        currency=currency,
    )


def _kind(reading: _Reading, line: Record) -> str:
    said = reading.text("line_kind", line)
    if said is not None and said not in reading.mapping.line_kinds:
        reading.miss("line_kinds", said)
    default: str = reading.mapping.options.get("line_kind", "recurring")
    return reading.mapping.line_kinds.get(said or "", default)


def _period(reading: _Reading, record: Record, *, path: str | None) -> int | None:
    """Months, from a number or one of the words of `periods`."""
    said = text_at(record, path)
    if said is None:
        return None
    months = reading.mapping.options.get("periods", {}).get(said)
    if isinstance(months, int):
        return months
    try:
        return whole_at(record, path)
    except ValueError:
        reading.miss("periods", said)
        return None


def _promise(reading: _Reading, of: PromiseField) -> Promise | None:
    said = text_at(reading.record, of.field)
    if said is None:
        return None
    due_path = of.due_field or (of.field if of.kind == "date" else None)
    try:
        due_on = day_at(reading.record, due_path)
    except ValueError:
        reading.miss(due_path or "", text_at(reading.record, due_path))
        due_on = None
    return Promise(key=of.field, kind=of.kind, text=said, due_on=due_on)

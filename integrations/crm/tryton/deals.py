"""Tryton's opportunities, with the sales that won them, as deals."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from integrations.crm.client import CrmDeal, Promise
from integrations.crm.mapping import CrmMapping
from integrations.crm.tryton.rows import fields_of, is_unit_of_time, plain_quantity
from integrations.crm.tryton.values import day_at, number_at, text_at, value_at, whole_at
from integrations.crm.tryton.wire import Record
from integrations.files.rows import ClosedDeal, DealRow, LineRow

SALE_IS_WON = frozenset({"confirmed", "processing", "done"})
PRICE_MONTHS_UNSAID = 12
_OF_A_DEAL = (
    *("lead_source", "campaign", "partner", "renewal_of", "supersedes", "starts_on", "ends_on", "term_months"),
    *("notice_days", "non_cancellable", "billing_period_months", "cancels_on", "cancel_cause"),
)
_OF_A_LINE = ("line_kind", "line_starts_on", "line_ends_on", "line_term_months", "discount")
_DEAL = (
    *("number", "description", "state", "party", "employee", "currency.code", "amount", "start_date", "end_date"),
    *("create_date", "write_date", "sales.create_date", "sales.write_date", "sales.state", "sales.sale_date"),
    *("sales.currency.code", "sales.untaxed_amount"),
)
_LINE = (*("create_date", "write_date", "type", "product", "summary", "quantity", "unit.name", "unit_price", "amount"),)


def deal_fields(mapping: CrmMapping) -> list[str]:
    """All that is asked for of an opportunity."""
    options = [mapping.options[name] for name in ("type_field",) if name in mapping.options]
    promises = [name for each in mapping.promises for name in (each.field, each.due_field) if name]
    lines = [f"sales.lines.{name}" for name in (*_LINE, *fields_of(mapping, _OF_A_LINE))]
    return list(dict.fromkeys([*_DEAL, *options, *fields_of(mapping, _OF_A_DEAL), *promises, *lines]))


def deal_of(record: Record, mapping: CrmMapping) -> CrmDeal:
    """An opportunity is won by its sales: while each of them is a draft again, it is open, whatever it says."""
    unmapped: list[str] = []
    sales = [sale for sale in record["sales"] if sale["state"] in SALE_IS_WON]
    stage = _meaning(mapping.stages, record["state"], name="stages", unmapped=unmapped) or "open"
    if stage == "won" and not sales:
        stage = "open"
    won = sales if stage == "won" else []
    word = text_at(record, mapping.options.get("type_field"))
    type_ = None if word is None else _meaning(mapping.types, word, name="types", unmapped=unmapped)
    lines = [(line, sale) for sale in won for line in sale["lines"] if line["type"] == "line"]
    rows = [_Line(line, sale, record, mapping).row(unmapped) for line, sale in lines]
    return CrmDeal(
        ClosedDeal(_deal_row(record, mapping, won=won, stage=stage, type_=type_ or "new"), tuple(rows)),
        tuple(_promises(record, mapping)),
        cancels_on=day_at(record, mapping.fields.get("cancels_on")),
        cancel_cause=text_at(record, mapping.fields.get("cancel_cause")) or "voluntary",
        unmapped=tuple(dict.fromkeys(unmapped)),
    )


def _meaning(table: Mapping[str, str], word: str, *, name: str, unmapped: list[str]) -> str | None:
    if word not in table:
        unmapped.append(f"{name}: {word}")
    return table.get(word)


def _deal_row(record: Record, mapping: CrmMapping, *, won: Sequence[Record], stage: str, type_: str) -> DealRow:
    of, closed_on = mapping.fields, _closed_on(record, won, stage=stage)
    currencies = {text_at(sale, "currency.code") for sale in won} or {text_at(record, "currency.code")}
    has_lines = any(line["type"] == "line" for sale in won for line in sale["lines"])
    return DealRow(
        str(record["id"]),
        account=text_at(record, "party"),
        name=text_at(record, "description") or text_at(record, "number"),
        stage=stage,
        type=type_,
        opened_on=day_at(record, "start_date"),
        closed_on=closed_on,
        amount=None if has_lines else number_at(record, "amount"),
        currency=(currencies.pop() if len(currencies) == 1 else None) or mapping.currency,
        lead_source=text_at(record, of.get("lead_source")),
        campaign=text_at(record, of.get("campaign")),
        partner=text_at(record, of.get("partner")),
        owner=text_at(record, "employee"),
        renewal_of=text_at(record, of.get("renewal_of")),
        supersedes=text_at(record, of.get("supersedes")),
        notice_days=whole_at(record, of.get("notice_days")),
        non_cancellable=bool(value_at(record, of.get("non_cancellable"))),
        billing_period_months=whole_at(record, of.get("billing_period_months")),
        available_on=_available_on(record, closed_on),
    )


def _closed_on(record: Record, won: Sequence[Record], *, stage: str) -> date | None:
    """The day of the last order: Tryton leaves an `end_date` that has passed as it was expected. None while open."""
    ordered = [day for sale in won if (day := day_at(sale, "sale_date"))]
    return max(ordered) if ordered else None if stage == "open" else day_at(record, "end_date")


def _available_on(record: Record, closed_on: date | None) -> date | None:
    """Nobody knew how it would close on the day on which it was entered as a lead."""
    entered_on = day_at(record, "create_date")
    return max((day for day in (entered_on, closed_on) if day), default=None)


def _promises(record: Record, mapping: CrmMapping) -> Iterator[Promise]:
    for each in mapping.promises:
        if text := text_at(record, each.field):
            yield Promise(each.field, each.kind, text, due_on=day_at(record, each.due_field))


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a sale that was won. The unit that it is sold in says its term, unless a field does."""

    line: Record
    sale: Record
    opportunity: Record
    mapping: CrmMapping

    def row(self, unmapped: list[str]) -> LineRow:
        line, of = self.line, self.mapping.fields
        kind = self._kind(unmapped)
        quantity, price = number_at(line, "quantity"), number_at(line, "unit_price")
        starts_on, ends_on = self._day("starts_on"), self._day("ends_on")
        term = LineRow(
            str(self.opportunity["id"]),
            text_at(line, "product") or text_at(line, "summary") or "-",
            number_at(line, "amount") or Decimal(0),
            key=str(line["id"]),
            kind=kind,
            quantity=plain_quantity(Decimal(1) if quantity is None else quantity),
            unit_price=price,
            discount=number_at(line, of.get("discount")),
            starts_on=starts_on or day_at(self.sale, "sale_date"),
            currency=text_at(self.sale, "currency.code"),
        )
        return term if kind != "recurring" else replace(term, ends_on=ends_on, **self._term(ends_on))

    def _kind(self, unmapped: list[str]) -> str:
        word = text_at(self.line, self.mapping.fields.get("line_kind"))
        said = None if word is None else _meaning(self.mapping.line_kinds, word, name="line_kinds", unmapped=unmapped)
        if said is not None:
            return said
        has_term = self._day("ends_on") is not None or self._term_months() is not None
        is_recurring = has_term or is_unit_of_time(self._unit, self.mapping)
        return "recurring" if is_recurring else "one_time"

    def _term(self, ends_on: date | None) -> dict[str, Any]:
        """What one piece pays for: the term, or a period of it. Without either it goes on by the year until notice."""
        term, period = self._term_months(), self.mapping.options["price_months"].get(self._unit)
        if ends_on is None and term is None:
            return {"price_months": period or PRICE_MONTHS_UNSAID, "auto_renew": True}
        return {"term_months": term, "price_months": period}

    def _term_months(self) -> int | None:
        of = self.mapping.fields
        said = whole_at(self.line, of.get("line_term_months")) or whole_at(self.opportunity, of.get("term_months"))
        unit: int | None = self.mapping.options["term_months"].get(self._unit)
        return said or unit

    def _day(self, name: str) -> date | None:
        """A day of the line, or else of its deal."""
        of = self.mapping.fields
        return day_at(self.line, of.get(f"line_{name}")) or day_at(self.opportunity, of.get(name))

    @property
    def _unit(self) -> str | None:
        return text_at(self.line, "unit.name")

"""Contracts of an account on its page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from app.queries.contracts import ContractOnPaper, LineOnPaper
from app.web.formats import show_day, show_money_exactly, show_percent, show_price, show_quantity
from app.web.texts import gettext as _
from app.web.texts import ngettext
from app.web.words import DEAL_TYPES, LINE_KINDS, LINE_STATES, UNITS, word


@dataclass(frozen=True, slots=True)
class LineRow:
    product: str
    about: str
    arr: str
    state: str
    is_ended: bool


@dataclass(frozen=True, slots=True)
class ContractCard:
    title: str
    kind: str
    period: str
    terms: str
    state: str
    tone: str
    is_ended: bool
    lines: tuple[LineRow, ...]


@dataclass(frozen=True, slots=True)
class ContractList:
    present: tuple[ContractCard, ...]  # those that run, or will
    earlier: tuple[ContractCard, ...]
    earlier_text: str


TONES = {"live": "good", "in_grace": "watch"}


def describe_contracts(contracts: Sequence[ContractOnPaper]) -> ContractList:
    cards = [_describe_contract(contract) for contract in contracts]
    earlier = tuple(card for card in cards if card.is_ended)
    text = ngettext("%(num)s earlier contract", "%(num)s earlier contracts", len(earlier))
    return ContractList(tuple(card for card in cards if not card.is_ended), earlier, text)


def _describe_contract(contract: ContractOnPaper) -> ContractCard:
    state = contract.state.value
    return ContractCard(
        title=contract.deal_name or _("Contract %(number)s", number=contract.contract_id),
        kind=word(DEAL_TYPES, contract.deal_type),
        period=_period(contract),
        terms=" · ".join(_terms(contract)),
        state=word(LINE_STATES, state),
        tone=TONES.get(state, "none"),
        is_ended=state == "ended",
        lines=tuple(_describe_line(line) for line in contract.lines),
    )


def _period(contract: ContractOnPaper) -> str:
    if contract.ends_on is None:
        return _("from %(start)s until notice", start=show_day(contract.starts_on))
    return _("%(start)s to %(end)s", start=show_day(contract.starts_on), end=show_day(contract.ends_on))


def _terms(contract: ContractOnPaper) -> list[str]:
    terms = []
    if contract.term_months:
        terms.append(ngettext("%(num)s-month term", "%(num)s-month term", contract.term_months))
    if contract.auto_renew:
        terms.append(_("renews by itself"))
    if contract.notice_days:
        terms.append(ngettext("%(num)s day's notice", "%(num)s days' notice", contract.notice_days))
    if contract.non_cancellable:
        terms.append(_("cannot be cancelled within the term"))
    return terms


def _describe_line(line: LineOnPaper) -> LineRow:
    state = word(LINE_STATES, line.state)
    if line.stops_on:
        state = _("last paid day %(day)s", day=show_day(line.stops_on - timedelta(days=1)))
    has_arr = line.kind == "recurring" and line.arr_minor is not None
    return LineRow(
        product=line.product,
        about=" · ".join(_line_terms(line)),
        arr=_("%(money)s a year", money=show_money_exactly(line.arr_minor, line.currency))
        if has_arr
        else show_money_exactly(line.amount_minor, line.currency),
        state=state,
        is_ended=line.state == "ended",
    )


def _line_terms(line: LineOnPaper) -> list[str]:
    terms = [] if line.kind == "recurring" else [word(LINE_KINDS, line.kind)]
    quantity = f"{show_quantity(line.quantity)} {word(UNITS, line.unit)}" if line.unit != "flat" else ""
    if line.unit_price is not None and quantity:
        quantity = f"{quantity} × {show_price(line.unit_price, line.currency)}"
    terms += [quantity] if quantity else []
    if line.discount:
        terms.append(_("%(share)s discount", share=show_percent(float(line.discount), digits=0)))
    return terms

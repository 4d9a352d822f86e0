"""What winning accounts costs: LTV to CAC and payback by channel, and the form that costs are entered in."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from app.domain.acquisition import Estimate
from app.domain.money import MINOR_DIGITS, MoneyError, parse_money
from app.domain.months import add_months
from app.http import database, now
from app.queries.acquisition import NO_COST, NO_RATE, NOBODY, TOO_FEW, ChannelCost, load_acquisition, load_costs
from app.queries.groups import UNKNOWN
from app.web.formats import NONE, show_money, show_money_exactly, show_money_range, show_number
from app.web.ltv_terms import AskedTerms
from app.web.moment import Moment
from app.web.texts import gettext as _
from app.web.texts import lazy_gettext as _l
from app.web.texts import ngettext
from app.web.words import Words
from integrations.files.rows import AcquisitionCostRow

LONGEST_CHANNEL = 100
MOST_SHOWN = 60
REASONS: Words = {
    NO_COST: _l("No cost is recorded for these months."),
    NO_RATE: _l("There is no exchange rate for a cost; add one."),
    NOBODY: _l("Nobody began in the months that have a cost."),
    TOO_FEW: _l("Not enough data: fewer than 5 accounts began in the last 12 months."),
}


@dataclass(frozen=True, slots=True)
class ChannelRow:
    name: str
    is_total: bool
    spent: str
    months: str
    won: str
    cac: str
    cac_interval: str
    ratio: str
    ratio_interval: str
    payback: str
    payback_interval: str
    reason: str


@dataclass(frozen=True, slots=True)
class CostRow:
    month: str
    channel: str
    cost: str


@dataclass(frozen=True, slots=True)
class AcquisitionCard:
    rows: tuple[ChannelRow, ...]
    costs: tuple[CostRow, ...]
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CostForm:
    channel: str
    month: str
    amount: str
    currency: str
    channels: tuple[str, ...]


def read_cost(given: dict[str, str]) -> AcquisitionCostRow | str:
    """The row, or what is wrong with it."""
    if not 0 < len(given["channel"]) <= LONGEST_CHANNEL:
        return _("Name the channel as the accounts have it.")
    month = _read_month(given["month"])
    if month is None:
        return _("Give a month such as 2026-03.")
    currency = given["currency"].upper()
    if currency not in MINOR_DIGITS:
        return _("Give a currency such as USD.")
    amount = _read_amount(given["amount"], currency)
    if amount is None:
        return _("Give an amount of 0 or more such as 1200.00, without signs between the digits.")
    return AcquisitionCostRow(given["channel"], month, amount, currency)


def _read_month(text: str) -> date | None:
    try:
        month = date.fromisoformat(f"{text}-01")
    except ValueError:
        return None
    return month if 1900 <= month.year < 2200 else None


def _read_amount(text: str, currency: str) -> Decimal | None:
    try:
        money = parse_money(text, currency)
    except MoneyError:
        return None
    return money.amount if money.minor >= 0 else None


def describe_acquisition(asked: AskedTerms) -> AcquisitionCard:
    found = load_acquisition(database(), given=asked.given, level=asked.level, now=now())
    currency = found.run.currency
    costs = load_costs(database(), known_at=found.costs_known_at)
    every = [*found.channels, *([found.total] if len(found.channels) > 1 else [])]
    return AcquisitionCard(
        rows=tuple(_describe_channel(each, currency) for each in every),
        costs=tuple(
            CostRow(f"{each.month:%Y-%m}", each.channel, show_money_exactly(each.cost.minor, each.cost.currency))
            for each in costs[:MOST_SHOWN]
        ),
        channels=tuple(each.channel for each in found.channels if each.channel != UNKNOWN),
    )


def describe_cost_form(moment: Moment, given: dict[str, str], *, channels: tuple[str, ...]) -> CostForm:
    last_month = add_months(moment.today.replace(day=1), -1)
    return CostForm(
        channel=given.get("channel", ""),
        month=given.get("month", f"{last_month:%Y-%m}"),
        amount=given.get("amount", ""),
        currency=given.get("currency", moment.currency),
        channels=channels,
    )


def _describe_channel(found: ChannelCost, currency: str) -> ChannelRow:
    is_total = not found.channel
    cac = found.cac or Estimate(None, None, None)
    return ChannelRow(
        name=_("All accounts") if is_total else _("Unknown") if found.channel == UNKNOWN else found.channel,
        is_total=is_total,
        spent=show_money(found.spent_minor, currency) if found.months else NONE,
        months=ngettext("%(num)s month", "%(num)s months", found.months) if found.months else "",
        won=show_number(found.won) if found.months else NONE,
        cac=show_money(None if cac.value is None else round(cac.value), currency),
        cac_interval=_money_range(cac, currency),
        ratio=show_number(found.ltv_to_cac.value, digits=1) if found.ltv_to_cac else NONE,
        ratio_interval=_range(found.ltv_to_cac, digits=1),
        payback=_show_payback(found.payback_months),
        payback_interval=_range(found.payback_months, digits=0, beyond=_("later")),
        reason=str(REASONS[found.reason]) if found.reason else "",
    )


def _show_payback(found: Estimate | None) -> str:
    if found is None:
        return NONE
    if found.value is None:
        return _("not within 60 months")
    return ngettext("%(num)s month", "%(num)s months", int(found.value))


def _money_range(found: Estimate, currency: str) -> str:
    if found.lower is None or found.upper is None:
        return ""
    return show_money_range(round(found.lower), round(found.upper), currency=currency)


def _range(found: Estimate | None, *, digits: int, beyond: str = "") -> str:
    if found is None or found.lower is None:
        return ""
    upper = beyond if found.upper is None else show_number(found.upper, digits=digits)
    return f"{show_number(found.lower, digits=digits)} – {upper}" if upper else ""

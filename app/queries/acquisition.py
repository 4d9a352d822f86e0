"""What winning accounts cost, and what those won are worth beside it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.acquisition import Estimate, Worth, estimate_cost, payback, value_to_cost
from app.domain.features import Floats
from app.domain.fx import MissingRate, RateTable
from app.domain.ltv import LtvTerms, draws_value
from app.domain.money import Money
from app.domain.months import MONTHS_OF_A_YEAR, add_months
from app.models.billing import AcquisitionCost
from app.queries.fx import load_rates
from app.queries.groups import ALL
from app.queries.known import in_force, resolve_known_at
from app.queries.ltv import GivenTerms
from app.queries.new_customers import NewLtv, load_new_ltv
from app.queries.runs import Run


@dataclass(frozen=True, slots=True)
class MonthCost:
    """What a channel cost in a month, named by its first day."""

    channel: str
    month: date
    cost: Money


@dataclass(frozen=True, slots=True, eq=False)
class ChannelCost:
    """Of the months that have a cost. `ltv` is None where fewer than 5 began in the last 12 months; see `reason`."""

    channel: str
    months: int
    spent_minor: int | None  # in the run's currency; None where a rate is missing
    won: int
    cac: Estimate | None
    ltv: NewLtv | None
    ltv_to_cac: Estimate | None
    payback_months: Estimate | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Acquisition:
    """`costs_known_at`: costs are those known now, not those the run knew. `total` is of all accounts and all spend."""

    run: Run
    terms: LtvTerms
    level: int
    since: date
    until: date
    costs_known_at: datetime
    channels: list[ChannelCost]
    total: ChannelCost


EVERY = ""  # channel
NO_COST = "No cost is recorded for these months."
NO_RATE = "There is no exchange rate for a cost; add one."
NOBODY = "Nobody began in the months that have a cost."
TOO_FEW = "Not enough data: fewer than 5 accounts began in the last 12 months."


def load_costs(session: Session, *, known_at: datetime) -> list[MonthCost]:
    """All costs as known at an instant, the latest months first."""
    row = AcquisitionCost
    found = session.execute(
        select(row.channel, row.month, row.amount_minor, row.currency)
        .where(in_force(row, known_at))
        .order_by(row.month.desc(), row.channel)
    )
    return [MonthCost(channel, month, Money(minor, currency)) for channel, month, minor, currency in found]


def load_acquisition(session: Session, *, given: GivenTerms, level: int, now: datetime) -> Acquisition:
    """LTV to CAC and payback by channel, over the 12 whole calendar months before the run's date.

    Raises NotReady, Invalid for a horizon beyond the forecast.
    """
    known_at = resolve_known_at(session, None, now=now)
    by_channel = load_new_ltv(session, "channel", given=given, level=level)
    everyone = load_new_ltv(session, ALL, given=given, level=level).groups
    run = by_channel.run
    until = run.as_of.replace(day=1)
    since = add_months(until, -MONTHS_OF_A_YEAR)
    costs = [each for each in load_costs(session, known_at=known_at) if since <= each.month < until]
    rates = load_rates(session, known_at=known_at)
    worth = {group.group: group for group in by_channel.groups}
    spent: dict[str, dict[str, list[Money]]] = defaultdict(lambda: defaultdict(list))
    for each in costs:
        spent[each.channel][f"{each.month:%Y-%m}"].append(each.cost)
        spent[EVERY][f"{each.month:%Y-%m}"].append(each.cost)

    def judge(channel: str, ltv: NewLtv | None) -> ChannelCost:
        converted = _convert(spent[channel], rates, run=run)
        return _judge(channel, ltv, spent=converted, terms=by_channel.terms, level=level)

    channels = [judge(name, worth.get(name)) for name in sorted({*worth, *spent} - {EVERY})]
    total = judge(EVERY, everyone[0] if everyone else None)
    return Acquisition(run, by_channel.terms, level, since, until, known_at, channels, total)


def _convert(spent: Mapping[str, list[Money]], rates: RateTable, *, run: Run) -> dict[str, int | None]:
    def convert(costs: list[Money]) -> Iterator[int]:
        for cost in costs:
            yield rates.convert(cost, run.currency, on=run.as_of).minor

    found: dict[str, int | None] = {}
    for month, costs in spent.items():
        try:
            found[month] = sum(convert(costs))
        except MissingRate:
            found[month] = None
    return found


def _judge(
    channel: str, ltv: NewLtv | None, *, spent: Mapping[str, int | None], terms: LtvTerms, level: int
) -> ChannelCost:
    """`spent` by month, in minor units of the run's currency; None: in a currency without a rate."""
    total = None if None in spent.values() else sum(minor for minor in spent.values() if minor is not None)
    won = sum(ltv.began.get(month, 0) for month in spent) if ltv else 0
    reason = _reason(ltv, spent=spent, won=won)
    cac = ratio = back = None
    if total is not None and won:
        cac = estimate_cost(total, won, level=level / 100)
        if ltv and ltv.values and ltv.draws is not None and ltv.expected is not None:
            worth = _worth(ltv.values.residual, ltv.expected, draws=ltv.draws, terms=terms)
            ratio = value_to_cost(worth, spent=total, n_won=won, level=level / 100)
            back = payback(worth, spent=total, n_won=won, level=level / 100)
    return ChannelCost(channel, len(spent), total, won, cac, ltv, ratio, back, reason)


def _worth(value: float, expected: Floats, *, draws: Floats, terms: LtvTerms) -> Worth:
    margin = terms.gross_margin
    return Worth(value, margin * expected, draws_value(draws[:, None], terms=terms)[:, 0], margin * draws)


def _reason(ltv: NewLtv | None, *, spent: Mapping[str, int | None], won: int) -> str | None:
    """Why a figure is missing, in words."""
    if not spent:
        return NO_COST
    if None in spent.values():
        return NO_RATE
    if not won:
        return NOBODY
    return None if ltv and ltv.values else TOO_FEW

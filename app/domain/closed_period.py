"""The report of a closed month: figures in, the same bytes out, for ever.

Money is text in major units beside its currency, a ratio is text with six digits beside the two sums it is made of,
keys are sorted: nothing in the bytes depends on who writes them, or when.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from app.domain.definitions import find_definition
from app.domain.money import Money
from app.domain.periods import Period
from app.domain.revenue_retention import Category, Ratio

DEFINITION = "closed_period@1"
RESTS_ON = (
    *("arr@1", "movements@1", "bookings@1", "nrr@1", "nrr_with_reactivation@1", "nrr_aggregate@1", "grr@1"),
    *("grr_aggregate@1", "logo_retention@1", "quick_ratio@1", DEFINITION),
)
MOVED = tuple(category for category in Category if category is not Category.FX)  # each currency stands for itself here


@dataclass(frozen=True, slots=True)
class Bridge:
    """ARR of a product (None: of all) in a currency: opening + moved = closing, in minor units."""

    product: str | None
    currency: str
    opening: int
    moved: Mapping[Category, int]

    @property
    def closing(self) -> int:
        return self.opening + sum(self.moved.values())


@dataclass(frozen=True, slots=True)
class Booked:
    """Won deals of the month, of a product (None: of all), in a currency."""

    product: str | None
    currency: str
    amount: int
    deals: int


@dataclass(frozen=True, slots=True)
class Retention:
    """Retention over a window by definition. `currency` None: all currencies, in the reporting one at the rates of t0.

    `reason`: why there is none, a rate that is missing for one.
    """

    currency: str | None
    ratios: Mapping[str, Ratio]
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What a closed month says; `window` is the day t0 of its retention. `counts` by name."""

    period: Period
    known_at: datetime
    settings: Mapping[str, Any]
    bridges: tuple[Bridge, ...]
    bookings: tuple[Booked, ...]
    window: date
    retentions: tuple[Retention, ...]
    counts: Mapping[str, int]


def write_report(report: Report) -> bytes:
    """The report as JSON, UTF-8, keys sorted, without white space."""
    content = {
        "definition": DEFINITION,
        "period": report.period.name,
        "first_on": report.period.first_on.isoformat(),
        "last_on": report.period.last_on.isoformat(),
        "as_of": report.period.last_on.isoformat(),
        "known_at": report.known_at.isoformat().replace("+00:00", "Z"),
        "settings": report.settings,
        "arr": [_bridge(each) for each in report.bridges],
        "bookings": [_booked(each) for each in report.bookings],
        "retention": {
            "since": report.window.isoformat(),
            "until": report.period.last_on.isoformat(),
            "by_currency": [_retention(each) for each in report.retentions],
        },
        "counts": report.counts,
        "definitions": [_definition(each) for each in RESTS_ON],
    }
    return json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def total_bridges(bridges: Iterable[Bridge]) -> list[Bridge]:
    """The bridges of all products together, by currency."""
    opening: dict[str, int] = {}
    moved: dict[str, dict[Category, int]] = {}
    for each in bridges:
        opening[each.currency] = opening.get(each.currency, 0) + each.opening
        sums = moved.setdefault(each.currency, {})
        for category, amount in each.moved.items():
            sums[category] = sums.get(category, 0) + amount
    return [Bridge(None, currency, opening[currency], moved[currency]) for currency in sorted(opening)]


def _bridge(bridge: Bridge) -> dict[str, Any]:
    def text(minor: int) -> str:
        return Money(minor, bridge.currency).text

    moved = {category.value: text(bridge.moved.get(category, 0)) for category in MOVED}
    ends = {"opening": text(bridge.opening), "closing": text(bridge.closing)}
    return {"product": bridge.product, "currency": bridge.currency, **ends, **moved}


def _booked(booked: Booked) -> dict[str, Any]:
    amount = Money(booked.amount, booked.currency).text
    return {"product": booked.product, "currency": booked.currency, "amount": amount, "deals": booked.deals}


def _retention(retention: Retention) -> dict[str, Any]:
    ratios = {name: _ratio(ratio) for name, ratio in retention.ratios.items()}
    return {"currency": retention.currency, "reason": retention.reason, "ratios": ratios}


def _ratio(ratio: Ratio) -> dict[str, Any]:
    value = None if ratio.value is None else f"{ratio.value:f}"
    parts = {"numerator_minor": str(ratio.numerator), "denominator_minor": str(ratio.denominator)}
    return {"value": value, "reason": ratio.reason, **parts}


def _definition(name: str) -> dict[str, Any]:
    found = asdict(find_definition(name))
    return found | {"parameters": dict(found["parameters"])}

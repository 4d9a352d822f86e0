"""Exchange rates with dates. Amounts in two currencies meet only through one of these."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Context, Decimal

from app.domain.money import Money, MoneyError, check_currency, convert

_INVERSE = Context(prec=28)


class MissingRate(MoneyError):
    """No stored rate covers this pair of currencies on this day."""


@dataclass(frozen=True, slots=True)
class Rate:
    """On that day one unit of `base` was worth `rate` units of `quote`."""

    on: date
    base: str
    quote: str
    rate: Decimal

    def __post_init__(self) -> None:
        check_currency(self.base)
        check_currency(self.quote)
        if not self.rate.is_finite() or self.rate <= 0:
            raise MoneyError(f"{self.rate} is not an exchange rate; a rate is a number above 0")


class RateTable:
    """Look up the rate of a pair on a day: the latest stored on or before it.

    The pair itself comes first, then the inverse of its opposite (28 digits). Nothing is
    triangulated or carried backwards: what is not covered raises MissingRate.
    """

    def __init__(self, rates: Iterable[Rate]) -> None:
        self._by_pair: dict[tuple[str, str], tuple[list[date], list[Decimal]]] = {}
        for rate in sorted(rates, key=lambda rate: rate.on):
            days, values = self._by_pair.setdefault((rate.base, rate.quote), ([], []))
            days.append(rate.on)
            values.append(rate.rate)

    def rate(self, base: str, quote: str, *, on: date) -> Decimal:
        """Units of `quote` for one unit of `base` on that day; 1 where they are the same."""
        if base == quote:
            return Decimal(1)
        direct = self._latest((base, quote), on)
        if direct is not None:
            return direct
        inverse = self._latest((quote, base), on)
        if inverse is not None:
            return _INVERSE.divide(Decimal(1), inverse)
        raise MissingRate(f"there is no exchange rate from {base} to {quote} on or before {on}; add one")

    def rates_between(self, base: str, quote: str, *, first_on: date, last_on: date) -> list[Decimal]:
        """The rates that held on any of the days, both included; MissingRate where none covers the last."""
        stored = {day for pair in ((base, quote), (quote, base)) for day in self._by_pair.get(pair, ([], []))[0]}
        days = sorted(day for day in stored if first_on <= day <= last_on)
        held = [self.rate(base, quote, on=day) for day in [*days, last_on]]
        try:
            return [self.rate(base, quote, on=first_on), *held]
        except MissingRate:
            return held

    def _latest(self, pair: tuple[str, str], on: date) -> Decimal | None:
        days, values = self._by_pair.get(pair, ([], []))
        position = bisect_right(days, on)
        return values[position - 1] if position else None

    def convert(self, money: Money, quote: str, *, on: date) -> Money:
        """The money in another currency at that day's rate, rounded half-even once."""
        if money.currency == quote:
            return money
        return convert(money, quote, rate=self.rate(money.currency, quote, on=on))

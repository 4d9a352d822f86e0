"""What an opportunity is worth: whole minor units, from prices that were really paid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from app.domain.money import divide_half_even

LEAST_SALES = 3  # of a segment, for its own price


@dataclass(frozen=True, slots=True)
class Price:
    """`minor` is a year's ARR of a recurring product, or the booking of one that is sold once."""

    minor: int
    segment: str | None  # whose sales it is the median of; None: of all accounts
    sales: int


def seats_worth(arr_minor: int, seats: Fraction, *, quantity: int) -> int:
    """ARR of `quantity` more seats at what the account pays for one now: arr x quantity / seats, half-even once.

    ValueError where there are no seats.
    """
    if seats <= 0:
        raise ValueError("there are no seats to have a price")
    return round(Fraction(arr_minor) * quantity / seats)


def expected_value(amount_minor: int, *, probability: float, margin: float, months: float | None) -> int:
    """probability x ARR / 12 x margin x months expected; probability x amount x margin of what is sold once.

    `months` is the sum of R(k) over the horizon, the months of revenue to expect; None for what is sold once.
    In minor units, a forecast.
    """
    times = 1.0 if months is None else months / 12.0
    return round(probability * amount_minor * margin * times)


def median_minor(amounts: Sequence[int]) -> int:
    """The middle one, or the half-even mean of the two in the middle. ValueError where there is none."""
    ordered = sorted(amounts)
    if not ordered:
        raise ValueError("there is no amount to have a median")
    half = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[half]
    return divide_half_even(ordered[half - 1] + ordered[half], 2)


def typical_prices(
    sales: Mapping[tuple[int, str | None], Sequence[int]],
) -> dict[tuple[int, str | None], Price]:
    """By (product, segment) the median of recent sales' amounts.

    That of the segment where it has three sales, under (product, segment); that of all sales under
    (product, None). A product without a sale is left out.
    """
    found: dict[tuple[int, str | None], Price] = {}
    every: dict[int, list[int]] = {}
    for (product, segment), amounts in sales.items():
        every.setdefault(product, []).extend(amounts)
        if segment is not None and len(amounts) >= LEAST_SALES:
            found[product, segment] = Price(median_minor(amounts), segment, len(amounts))
    for product, amounts in every.items():
        found[product, None] = Price(median_minor(amounts), None, len(amounts))
    return found


def price_for(prices: Mapping[tuple[int, str | None], Price], product: int, *, segment: str | None) -> Price | None:
    """The segment's price, else that of all."""
    return prices.get((product, segment)) or prices.get((product, None))

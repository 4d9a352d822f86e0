"""What an opportunity is worth: whole minor units, from prices that were really paid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from app.domain.money import divide_half_even

OWN, SEGMENT, ALL, LIST = "own", "segment", "all", "list"  # where a price is from
LEAST_SALES = 3  # of a segment, for its own price


@dataclass(frozen=True, slots=True)
class Price:
    """`minor` is a year's ARR of a recurring product, or the booking of one that is sold once."""

    minor: int
    source: str  # own, segment, all, list
    sales: int  # how many it is the median of


def seats_worth(arr_minor: int, seats: Fraction, *, quantity: int) -> int:
    """ARR of `quantity` more seats at what the account pays for one now: arr x quantity / seats, half-even once.

    ValueError where there are no seats.
    """
    if seats <= 0:
        raise ValueError("there are no seats to have a price")
    return round(Fraction(arr_minor) * quantity / seats)


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
    sales: Mapping[tuple[int, str | None], Sequence[int]], list_prices: Mapping[int, int]
) -> dict[tuple[int, str | None], Price]:
    """The price by (product, segment) from recent sales' amounts, each more general one as a fallback.

    The median of the segment's sales where there are three, under (product, segment); of all sales
    where there is any, else the list price, under (product, None). A product without any is left out.
    """
    found: dict[tuple[int, str | None], Price] = {}
    every: dict[int, list[int]] = {}
    for (product, segment), amounts in sales.items():
        every.setdefault(product, []).extend(amounts)
        if segment is not None and len(amounts) >= LEAST_SALES:
            found[product, segment] = Price(median_minor(amounts), SEGMENT, len(amounts))
    for product, minor in list_prices.items():
        found[product, None] = Price(minor, LIST, 0)
    for product, amounts in every.items():
        found[product, None] = Price(median_minor(amounts), ALL, len(amounts))
    return found


def price_for(prices: Mapping[tuple[int, str | None], Price], product: int, *, segment: str | None) -> Price | None:
    """The segment's price, else that of all."""
    return prices.get((product, segment)) or prices.get((product, None))

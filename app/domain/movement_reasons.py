"""Why the ARR of an account that stays became more or less."""

from decimal import Decimal
from enum import StrEnum

from app.domain.money import divide_half_even


class Reason(StrEnum):
    PRICE = "price"
    SEATS = "seats"  # another quantity, or another line of a product that it goes on having
    PLAN = "plan"  # another product of the same family took the place of one
    PRODUCT = "product"  # one that it had not, or has no more
    PAUSE = "pause"
    RESUME = "resume"


def reasons_of_difference(
    old_minor: int, new_minor: int, *, old_quantity: Decimal, new_quantity: Decimal
) -> list[tuple[Reason, int]]:
    """Split `new_minor - old_minor`, the ARR of a line that continues another, by what was changed; exact in sum.

    The quantity at the old price of one is `seats`, rounded half-even once, and the rest `price`. A rest that the
    rounding of the two ARRs explains alone is `seats` too. Parts of 0 are left out. Without two quantities above 0 all
    is `price`.
    """
    difference = new_minor - old_minor
    if difference == 0 and old_quantity == new_quantity:
        return []
    if old_quantity == new_quantity or old_quantity <= 0 or new_quantity <= 0:
        return [(Reason.PRICE, difference)] if difference else []
    bought, of = new_quantity.as_integer_ratio()
    times, per = old_quantity.as_integer_ratio()
    bought, of = bought * per, of * times  # the new quantity is `bought` / `of` of the old one
    seats = divide_half_even(old_minor * bought, of) - old_minor
    rest = difference - seats
    if 2 * abs(new_minor * of - old_minor * bought) <= bought + of:
        seats, rest = difference, 0
    return [(reason, amount) for reason, amount in ((Reason.SEATS, seats), (Reason.PRICE, rest)) if amount]

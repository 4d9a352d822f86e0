"""What a billing export and the ledger can differ by: the checks, in the order in which they are asked."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta

from app.domain.contracts import ONE_DAY
from app.domain.reconciliation import Check, Found, Part, Position, Reason, Takes, explain
from app.domain.reconciliation_billing import (
    BillingItem,
    Charge,
    LedgerLine,
    Moment,
    Priced,
    Sides,
    by_days_of_its_month,
    match_sides,
    rounding_of,
)

A_YEAR = timedelta(days=366)
OTHER_ID = "other_id"
DISCOUNT = "billing_discount"
DISCOUNT_WORDS = "Charged less a discount that was not sold."
OTHER_ID_WORDS = "Charged under another id, which looks like one of the account."


def _repeated_rows(item: BillingItem, _remaining: int) -> Iterator[Found]:
    for each in item.in_force:
        if each.charge.repeats is not None:
            yield Found(each.annual, (each.charge.repeats, each.charge.row))


def _other_id_alone(item: BillingItem, remaining: int) -> Iterator[Found]:
    """Where nothing is charged under its own id, what is charged under the other is its own if it comes near it."""
    for found in _other_id(item, remaining):
        if not item.in_force and abs(item.difference - found.minor) < abs(item.difference):
            yield found


def _other_id(item: BillingItem, _remaining: int) -> Iterator[Found]:
    if item.guesses:
        yield Found(-sum(each.annual for each in item.guesses), tuple(each.charge.row for each in item.guesses))


def _in_grace(item: BillingItem, _remaining: int) -> Iterable[Found]:
    return (Found(-line.arr_minor, (), (line.key,)) for line in item.in_arr if line.is_in_grace(item.as_of))


def _other_day(item: BillingItem, remaining: int) -> Iterator[Found]:
    """One side says on the day what the other says on the nearest other day of the window, if that is anything."""
    explained = item.difference - remaining
    for day in _days_of_change(item):
        then = [each for each in item.charges if each.charge.covers(day) and not each.charge.is_guess]
        other = sum(each.annual for each in then)
        if then and abs(other - explained - item.ledger) <= rounding_of(item.in_arr, then):
            moved = {each.charge.row for each in then} ^ {each.charge.row for each in item.in_force}
            if moved:
                yield Found(remaining, tuple(sorted(moved)))
                return
        lines = [line for line in item.lines if line.is_in_arr(day)]
        ledger = sum(line.arr_minor for line in lines)
        if lines and abs(item.other - explained - ledger) <= rounding_of(lines, item.in_force):
            moved = {line.key for line in lines} ^ {line.key for line in item.in_arr}
            if moved:
                yield Found(remaining, (), tuple(sorted(moved)))
                return


def _days_of_change(item: BillingItem) -> list[date]:
    """The days of the window on which either side differs from the day before, and those days before; nearest first."""
    changes = {day for line in item.lines for day in line.days_of_change}
    changes |= {each.charge.starts_on for each in item.charges}
    changes |= {each.charge.ends_on + ONE_DAY for each in item.charges if each.charge.ends_on}
    days = {day for change in changes for day in (change, change - ONE_DAY)}
    near = [day for day in days if 0 < abs((day - item.as_of).days) <= item.window_days]
    return sorted(near, key=lambda day: (abs((day - item.as_of).days), day))


def _part_month(item: BillingItem, remaining: int) -> Iterator[Found]:
    """Periods of some days of a month: worth as much as the ledger says by the days of that month, not of a year."""
    by_month = [(each, by_days_of_its_month(each.charge)) for each in item.in_force if not item.is_converted]
    parts = [(each, worth) for each, worth in by_month if worth is not None]
    moved = sum(each.annual - worth for each, worth in parts)
    if parts and abs(remaining - moved) <= item.tolerance:
        yield Found(remaining, tuple(each.charge.row for each, _ in parts))


def _other_rate(item: BillingItem, remaining: int) -> Iterator[Found]:
    """At some rate that held between the sale and the day, what was charged is what the ledger says."""
    if not item.is_converted or not item.in_force:
        return
    wanted = item.ledger + item.difference - remaining
    lowest, highest = sum(each.lowest for each in item.in_force), sum(each.highest for each in item.in_force)
    if lowest - item.tolerance <= wanted <= highest + item.tolerance:
        yield Found(remaining, item.theirs, item.ours)


def _billed_twice(item: BillingItem, _remaining: int) -> Iterable[Found]:
    groups: dict[tuple[object, ...], list[Priced]] = defaultdict(list)
    for each in item.in_force:
        charge = each.charge
        if charge.repeats is None:
            groups[charge.product, charge.starts_on, charge.ends_on, charge.minor, charge.currency].append(each)
    again = ((first, each) for first, *more in groups.values() for each in more)
    return (Found(each.annual, (first.charge.row, each.charge.row)) for first, each in again)


def _one_time_in_ledger(item: BillingItem, _remaining: int) -> Iterable[Found]:
    """A charge that recurs, of the amount of a sale that does not."""
    found = []
    used: set[int] = set()
    for each in item.in_force:
        sold = next((line for line in item.sold_once if line.key not in used and _is_sale_of(line, each.charge)), None)
        if sold is not None:
            used.add(sold.key)
            found.append(Found(each.annual, (each.charge.row,), (sold.key,)))
    return found


def _one_time_in_billing(item: BillingItem, _remaining: int) -> Iterable[Found]:
    """A recurring line of the amount of a charge that does not recur."""
    found = []
    used: set[int] = set()
    for line in item.in_arr:
        once = next((each for each in item.charged_once if each.row not in used and _is_sale_of(line, each)), None)
        if once is not None:
            used.add(once.row)
            found.append(Found(-line.arr_minor, (once.row,), (line.key,)))
    return found


def _is_sale_of(line: LedgerLine, charge: Charge) -> bool:
    """The same amount, at about the same time: under which product it is charged says little of what is sold once."""
    is_same = charge.minor == line.minor and charge.currency == line.currency
    return is_same and abs(charge.starts_on - line.starts_on) <= A_YEAR


def _discount_in_billing(item: BillingItem, _remaining: int) -> Iterable[Found]:
    return (
        Found(each.annual - each.undiscounted, (each.charge.row,))
        for each in (*item.in_force, *item.guesses)
        if each.undiscounted != each.annual
    )


def _all_discounted(item: BillingItem, remaining: int) -> Iterator[Found]:
    """The discounts that the export itself names are all of it: no day on which it would be otherwise is asked for."""
    found = list(_discount_in_billing(item, remaining))
    if found and abs(remaining - sum(each.minor for each in found)) <= item.tolerance:
        yield Found(remaining, tuple(row for each in found for row in each.theirs))


def _discount_in_ledger(item: BillingItem, _remaining: int) -> Iterable[Found]:
    return (
        Found(round(line.arr_minor / (1 - line.discount)) - line.arr_minor, (), (line.key,))
        for line in item.in_arr
        if line.discount is not None and 0 < line.discount < 1
    )


def _credits(item: BillingItem, _remaining: int) -> Iterable[Found]:
    """What is sold or charged below zero, and has nothing beside it on the other side."""
    lines = (Found(-line.arr_minor, (), (line.key,)) for line in item.in_arr if line.arr_minor < 0)
    charges = (Found(each.annual, (each.charge.row,)) for each in item.in_force if each.annual < 0)
    return (*lines, *charges)


def _nothing_billed(item: BillingItem, remaining: int) -> Iterator[Found]:
    is_guessed = bool(item.guesses) and remaining != item.difference  # then what is left is of what that charges
    if not item.in_force and not is_guessed:
        yield Found(remaining, (), item.ours)


def _nothing_in_ledger(item: BillingItem, remaining: int) -> Iterator[Found]:
    if not item.in_arr:
        yield Found(remaining, item.theirs)


def _line_not_billed(item: BillingItem, remaining: int) -> Iterator[Found]:
    for line in item.in_arr:
        if remaining < 0 and abs(remaining + line.arr_minor) <= item.tolerance:
            yield Found(remaining, (), (line.key,))
            return


def _charge_not_in_ledger(item: BillingItem, remaining: int) -> Iterator[Found]:
    for each in reversed(item.in_force):
        if remaining > 0 and abs(remaining - each.annual) <= item.tolerance:
            yield Found(remaining, (each.charge.row,))
            return


R, ALWAYS, ALL, PARTS = Reason, Takes.ALWAYS, Takes.ALL, Takes.PARTS
CHECKS: tuple[Check[BillingItem], ...] = (
    Check("repeated_row", R.DUPLICATE, ALWAYS, _repeated_rows, "The export has the row more than once."),
    Check(OTHER_ID, R.ID_MISMATCH, ALWAYS, _other_id_alone, OTHER_ID_WORDS),
    Check(OTHER_ID, R.ID_MISMATCH, PARTS, _other_id, OTHER_ID_WORDS),
    Check("in_grace", R.TIMING, PARTS, _in_grace, "The term lapsed: in grace in the ledger, charged no longer."),
    Check(DISCOUNT, R.DISCOUNT, ALL, _all_discounted, DISCOUNT_WORDS),
    Check("other_day", R.TIMING, ALL, _other_day, "One side says on the day what the other says some days from it."),
    Check("part_month", R.TIMING, ALL, _part_month, "A part of a month, charged by the days of that month."),
    Check("other_rate", R.FX, ALL, _other_rate, "Charged in another currency, at another rate than that of the day."),
    Check("billed_twice", R.DUPLICATE, PARTS, _billed_twice, "The same product, period and amount is charged again."),
    Check("sold_once", R.ONE_TIME, PARTS, _one_time_in_ledger, "It recurs in the export; it was sold once."),
    Check("charged_once", R.ONE_TIME, PARTS, _one_time_in_billing, "It recurs in the ledger; it is charged once."),
    Check(DISCOUNT, R.DISCOUNT, PARTS, _discount_in_billing, DISCOUNT_WORDS),
    Check("ledger_discount", R.DISCOUNT, PARTS, _discount_in_ledger, "Sold less a discount that is not charged."),
    Check("credit", R.DISCOUNT, PARTS, _credits, "A negative line or charge without its like on the other side."),
    Check("nothing_billed", R.MISSING_IN_BILLING, ALL, _nothing_billed, "In the ledger, and not charged."),
    Check("nothing_sold", R.MISSING_IN_LEDGER, ALL, _nothing_in_ledger, "Charged, and not in the ledger."),
    Check("line_not_billed", R.MISSING_IN_BILLING, ALL, _line_not_billed, "One line of several is not charged."),
    Check("charge_not_sold", R.MISSING_IN_LEDGER, ALL, _charge_not_in_ledger, "One charge of several was not sold."),
)


def compare_account(sides: Sides, moment: Moment, *, account: int) -> list[Position]:
    """An account's yearly worth in the ledger and in the export, by currency, and the reasons of the difference.

    A charge in another currency than its line counts in the line's, at the rate of the day. What was charged under an
    id that only looks like the account's is no part of its other side: it is a position of its own
    (`compare_stranger`), told by the rows of the parts named `other_id`.
    """
    by_currency: dict[str, list[BillingItem]] = defaultdict(list)
    for item in match_sides(sides, moment):
        by_currency[item.currency].append(item)
    return [_position(items, account=account, currency=currency) for currency, items in sorted(by_currency.items())]


def _position(items: Sequence[BillingItem], *, account: int, currency: str) -> Position:
    return Position(
        account=account,
        customer=None,
        currency=currency,
        ledger_minor=sum(item.ledger for item in items),
        other_minor=sum(item.other for item in items),
        parts=tuple(part for item in items for part in explain(item, CHECKS)),
    )


def rows_under_another_id(positions: Iterable[Position]) -> set[int]:
    """The rows that were taken to be an account's, though their id is not."""
    return {row for each in positions for part in each.parts if part.check == OTHER_ID for row in part.theirs}


def compare_stranger(
    charges: Sequence[Charge], moment: Moment, *, customer: str, elsewhere: set[int]
) -> list[Position]:
    """What somebody whom the ledger does not know is charged; `elsewhere` are `rows_under_another_id`."""
    by_currency: dict[str, list[Charge]] = defaultdict(list)
    for charge in charges:
        if charge.covers(moment.as_of):
            by_currency[charge.currency].append(charge)
    found = []
    for currency, own in sorted(by_currency.items()):
        parts = tuple(_strangers(own, elsewhere))
        total = sum(part.minor for part in parts)
        found.append(Position(None, customer, currency, 0, total, parts))
    return found


def _strangers(charges: Sequence[Charge], elsewhere: set[int]) -> Iterator[Part]:
    named = (
        (OTHER_ID, Reason.ID_MISMATCH, [each for each in charges if each.row in elsewhere]),
        ("nothing_sold", Reason.MISSING_IN_LEDGER, [each for each in charges if each.row not in elsewhere]),
    )
    for check, reason, own in named:
        once = [each for each in own if each.repeats is None]
        if once:
            worth = sum(each.annual(each.minor) for each in once)
            yield Part(reason, check, worth, tuple(each.row for each in once))
        for each in own:
            if each.repeats is not None:
                yield Part(Reason.DUPLICATE, "repeated_row", each.annual(each.minor), (each.repeats, each.row))

"""Which accounts run out of seats: how many they use by the company's usage, and what more seats are worth."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import numpy as np
from sqlalchemy.orm import Session

from app.domain.contracts import LineState, line_state
from app.domain.expansion_moves import ARR, UPSELL
from app.domain.expansion_seats import (
    SeatPressure,
    SeatUse,
    known_windows,
    measure_pressure,
    seat_likelihood,
    seats_to_add,
)
from app.domain.expansion_words import Evidence
from app.domain.expansion_worth import seats_worth
from app.domain.features import Facts, Floats
from app.domain.fx import MissingRate, RateTable
from app.domain.money import Money
from app.domain.months import Ints
from app.queries.contract_lines import RecurringLine
from app.queries.expansion_facts import load_distinct_people
from app.queries.facts import Known
from app.queries.fx import load_rates
from app.services.expansion_raising import Finding
from jobs.flag_people import busiest_days
from jobs.flag_seats import Learned
from jobs.night import Night

SEAT = "seat"


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """The accounts that pay for seats, with how they use them; `is_distinct` where people were told apart."""

    account_id: Ints
    use: SeatUse
    is_distinct: np.ndarray[tuple[int], np.dtype[np.bool_]]

    def take(self, rows: Ints) -> "Measured":
        use = SeatUse(self.use.people[rows], self.use.seats[rows])
        return Measured(self.account_id[rows], use, self.is_distinct[rows])


def find_upsell(session: Session, night: Night, *, open_to: Ints, learned: Learned) -> list[Finding]:
    """A finding for each of the accounts `open_to` (sorted ids) whose seats fill up."""
    known = night.known
    measured = measure_seats(session, known, facts=night.seat_facts)
    measured = measured.take(np.flatnonzero(np.isin(measured.account_id, open_to)))
    pressure = measure_pressure(measured.use)
    words = seat_likelihood(pressure)
    rows = [row for row, word in enumerate(words) if word is not None]
    rates = load_rates(session, known_at=known.known_at)
    quantity = seats_to_add(measured.use, pressure)
    chances = learned.chances(session, measured.account_id[rows])
    found, lines = [], night.lines_of(measured.account_id[rows])
    for row in rows:
        sold = _main_product(lines[int(measured.account_id[row])], known=known, rates=rates)
        if sold is None:
            continue
        amount = seats_worth(sold.arr_minor, sold.seats, quantity=int(quantity[row]))
        asked = _asked(sold, known, quantity=int(quantity[row]))
        found.append(
            Finding(
                account_id=int(measured.account_id[row]),
                motion=UPSELL,
                product_id=sold.product_id,
                likelihood=str(words[row]),
                score=float(pressure.share[row]),
                quantity=int(quantity[row]),
                measure=ARR,
                amount_minor=amount,
                explain=partial(_explain, measured, pressure, row=row, asked=asked),
                chances=chances.get(int(measured.account_id[row])),
            )
        )
    return [finding for finding in found if finding.amount_minor > 0]


def measure_seats(session: Session, known: Known, *, facts: Facts) -> Measured:
    """Seats paid for on the night's date, and people in each of the six windows before it.

    People are those told apart by their own events where there are any in the last window, else those of
    the busiest day.
    """
    as_of = np.datetime64(known.as_of)
    lines = facts.lines
    is_live = np.isnat(lines.replaced_on) & (lines.starts_on <= as_of) & ~(lines.stops_on <= as_of)
    counted = is_live & ~np.isnan(lines.seats)
    seats: Floats = np.bincount(lines.account[counted], lines.seats[counted], len(facts.account_ids)).astype(np.float64)
    spells = facts.spells
    since = np.full(len(facts.account_ids), np.datetime64("NaT", "D"))
    running = np.isnat(spells.ended_on)
    since[spells.account[running]] = spells.started_on[running]
    people, first_day, last_day = busiest_days(facts, as_of=known.as_of)
    is_distinct = np.zeros(len(facts.account_ids), dtype=np.bool_)
    place = {account_id: row for row, account_id in enumerate(facts.account_ids.tolist())}
    for account_id, own in load_distinct_people(session, known).items():
        row = place.get(account_id)
        if row is not None and own[-1] > 0:
            # Before they were first told apart there is nothing to compare with: another way of counting says less.
            people[row], is_distinct[row] = np.where(own.cumsum() > 0, own, np.nan), True
    can_be_known = known_windows(since, first_day=first_day, last_day=last_day, as_of=known.as_of)
    people[~can_be_known] = np.nan
    rows = np.flatnonzero(seats > 0)
    return Measured(facts.account_ids, SeatUse(people, seats), is_distinct).take(rows)


def _explain(measured: Measured, pressure: SeatPressure, *, row: int, asked: Evidence) -> list[Evidence]:
    use = measured.use
    evidence: list[Evidence] = [
        {
            "kind": "seats_in_use",
            "people": float(use.people[row, -1]),
            "seats": float(use.seats[row]),
            "counted": "distinct" if measured.is_distinct[row] else "busiest_day",
        }
    ]
    months = int((~np.isnan(use.people[row])).sum())
    slope, left = round(float(pressure.slope[row]), 1), float(pressure.windows_left[row])
    if slope > 0:
        evidence.append({"kind": "growth", "people_a_month": slope, "months": months})
    if slope > 0 and np.isfinite(left) and left <= 12:
        evidence.append({"kind": "limit", "months_left": round(left, 1)})
    return [*evidence, asked]


@dataclass(frozen=True, slots=True)
class SeatProduct:
    """What an account pays a year for the seats of one product, in the reporting currency."""

    product_id: int
    arr_minor: int
    seats: Fraction


def _main_product(lines: Sequence[RecurringLine], *, known: Known, rates: RateTable) -> SeatProduct | None:
    """Of the live lines sold by seat, the product with the most seats; None where its price has no rate."""
    arr: dict[int, int] = {}
    seats: dict[int, Fraction] = {}
    currency = known.settings.reporting_currency
    try:
        for line in (line for line in lines if line.unit == SEAT and _is_live(line, known)):
            paid = rates.convert(Money(line.life.line.arr_minor, line.currency), currency, on=known.as_of)
            arr[line.product_id] = arr.get(line.product_id, 0) + paid.minor
            seats[line.product_id] = seats.get(line.product_id, Fraction(0)) + Fraction(line.quantity)
    except MissingRate:
        return None
    main = max(seats, key=lambda product_id: (seats[product_id], -product_id), default=None)
    return None if main is None or seats[main] <= 0 else SeatProduct(main, arr[main], seats[main])


def _asked(sold: SeatProduct, known: Known, *, quantity: int) -> Evidence:
    currency = known.settings.reporting_currency
    price = Money(seats_worth(sold.arr_minor, sold.seats, quantity=1), currency)
    return {"kind": "seats_asked", "quantity": quantity, "price": {"amount": price.text, "currency": currency}}


def _is_live(line: RecurringLine, known: Known) -> bool:
    return line_state(line.life, known.as_of) is LineState.LIVE

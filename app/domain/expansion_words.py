"""The evidence of an expansion opportunity in English sentences, for messages and files.

Evidence is a list of dictionaries: `kind`, and the numbers its sentence is made of; the first says
why now. Pages may word the same numbers in another language.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from app.domain.expansion_seats import WINDOW_DAYS

Evidence = Mapping[str, Any]

COUNTED = {
    "distinct": "{seats} seats are paid for, and {people} people were active in the last {days} days ({share:.0%}).",
    "busiest_day": "{people} of {seats} paid seats ({share:.0%}) were in use on the busiest of the last {days} days.",
}


def _seats_in_use(item: Evidence) -> str:
    people, seats = item["people"], item["seats"]
    return COUNTED[item["counted"]].format(
        people=_number(people), seats=_number(seats), share=people / seats, days=WINDOW_DAYS
    )


def _growth(item: Evidence) -> str:
    a_month = item["people_a_month"]
    if a_month <= 0:
        return f"Over the last {item['months']} months use has not grown."
    return f"Over the last {item['months']} months use has grown by {_number(a_month)} people a month."


def _limit(item: Evidence) -> str:
    months = item["months_left"]
    if months <= 0:
        return "The limit is reached."
    return f"At this rate the seats run out in {_number(months)} {'month' if months == 1 else 'months'}."


def _seats_asked(item: Evidence) -> str:
    quantity = item["quantity"]
    seats = f"{quantity} more {'seat' if quantity == 1 else 'seats'}"
    worth = f"at the {item['price']['amount']} {item['price']['currency']} a year that the account pays for one now"
    return f"{seats}, {worth}."


def _adoption(item: Evidence) -> str:
    return (
        f"{item['adopters']} of the {item['non_owners']} accounts that did not have {item['product']} "
        f"took it in the last {item['months']} months."
    )


def _owned_with(item: Evidence) -> str:
    return (
        f"This account has {item['owned']}. Of the {item['owners']} accounts that do, {item['both']} also have "
        f"{item['product']}: {item['ratio']:.1f} times as many as chance would have it."
    )


def _typical_price(item: Evidence) -> str:
    buyers = f"accounts of the segment {item['segment']}" if item["segment"] else "any account"
    what = "a year's revenue from" if item["measure"] == "arr" else "the amount of"
    sales = "the one sale" if item["sales"] == 1 else f"the middle one of {item['sales']} sales"
    return f"It is worth {what} {sales} of {item['product']} to {buyers} in the last {item['months']} months."


def _chance(item: Evidence) -> str:
    within = f"{item['days_180']:.0%} within six months"
    if item["days_90"] is not None:
        within = f"{item['days_90']:.0%} within three months, {within}"
    return f"The chance that it comes is {within}; forecasts like this were right in the two half years before."


SENTENCES: Mapping[str, Callable[[Evidence], str]] = {
    "seats_in_use": _seats_in_use,
    "growth": _growth,
    "limit": _limit,
    "seats_asked": _seats_asked,
    "adoption": _adoption,
    "owned_with": _owned_with,
    "typical_price": _typical_price,
    "chance": _chance,
}


def evidence_sentences(evidence: Sequence[Evidence]) -> list[str]:
    """One sentence for each. KeyError for a kind that is not in SENTENCES."""
    return [SENTENCES[item["kind"]](item) for item in evidence]


def _number(value: float) -> str:
    """Whole where it is, else with one digit."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"

"""The evidence of an expansion opportunity in the reader's language: the same numbers as in the messages."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from babel import numbers
from flask_babel import get_locale

from app.domain.expansion_seats import WINDOW_DAYS
from app.web.formats import show_number, show_percent
from app.web.texts import gettext as _
from app.web.texts import ngettext

Evidence = Mapping[str, Any]


def describe_evidence(item: Evidence) -> str:
    """One sentence. A kind that has no words here is shown by its name."""
    sentence = SENTENCES.get(item["kind"])
    return sentence(item) if sentence else str(item["kind"])


def _seats_in_use(item: Evidence) -> str:
    values = {
        "people": _exactly(item["people"]),
        "seats": _exactly(item["seats"]),
        "share": show_percent(item["people"] / item["seats"], digits=0),
        "days": WINDOW_DAYS,
    }
    if item["counted"] == "distinct":
        return _(
            "%(seats)s seats are paid for, and %(people)s people were active in the last %(days)s days (%(share)s).",
            **values,
        )
    return _(
        "%(people)s of %(seats)s paid seats (%(share)s) were in use on the busiest of the last %(days)s days.",
        **values,
    )


def _growth(item: Evidence) -> str:
    months = item["months"]
    if item["people_a_month"] <= 0:
        return _("Over the last %(months)s months use has not grown.", months=months)
    people = _exactly(item["people_a_month"])
    return _(
        "Over the last %(months)s months use has grown by %(people)s people a month.", months=months, people=people
    )


def _limit(item: Evidence) -> str:
    months = item["months_left"]
    if months <= 0:
        return _("The limit is reached.")
    return ngettext(
        "At this rate the seats run out in %(months)s month.",
        "At this rate the seats run out in %(months)s months.",
        1 if months == 1 else 2,
        months=_exactly(months),
    )


def _seats_asked(item: Evidence) -> str:
    return ngettext(
        "%(count)s more seat, at the %(price)s a year that the account pays for one now.",
        "%(count)s more seats, at the %(price)s a year that the account pays for one now.",
        item["quantity"],
        count=show_number(item["quantity"]),
        price=numbers.format_currency(Decimal(item["price"]["amount"]), item["price"]["currency"], locale=get_locale()),
    )


def _adoption(item: Evidence) -> str:
    return _(
        "%(adopters)s of the %(others)s accounts that did not have %(product)s took it in the last %(months)s months.",
        adopters=show_number(item["adopters"]),
        others=show_number(item["non_owners"]),
        product=item["product"],
        months=item["months"],
    )


def _owned_with(item: Evidence) -> str:
    return _(
        "This account has %(owned)s. Of the %(owners)s accounts that do, %(both)s also have %(product)s: "
        "%(ratio)s times as many as chance would have it.",
        owned=item["owned"],
        owners=show_number(item["owners"]),
        both=show_number(item["both"]),
        product=item["product"],
        ratio=show_number(item["ratio"], digits=1),
    )


def _typical_price(item: Evidence) -> str:
    values = {"product": item["product"], "sales": show_number(item["sales"]), "months": item["months"]}
    if item["segment"]:
        return ngettext(
            "Reckoned from the one sale of %(product)s to the segment %(segment)s in the last %(months)s months.",
            "Reckoned from the middle one of %(sales)s sales of %(product)s to the segment %(segment)s in the last "
            "%(months)s months.",
            item["sales"],
            segment=item["segment"],
            **values,
        )
    return ngettext(
        "Reckoned from the one sale of %(product)s in the last %(months)s months.",
        "Reckoned from the middle one of %(sales)s sales of %(product)s in the last %(months)s months.",
        item["sales"],
        **values,
    )


def _chance(item: Evidence) -> str:
    within = show_percent(item["days_180"], digits=0)
    if item["days_90"] is None:
        return _(
            "The chance that it comes is %(six)s within six months; forecasts like this were right in the two half "
            "years before.",
            six=within,
        )
    return _(
        "The chance that it comes is %(three)s within three months, %(six)s within six months; forecasts like this "
        "were right in the two half years before.",
        three=show_percent(item["days_90"], digits=0),
        six=within,
    )


def _exactly(value: float) -> str:
    """Whole where it is, else with one digit."""
    return show_number(value, digits=0 if float(value).is_integer() else 1)


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

"""An opportunity as a row: on its list, on its own page, and on the page of the day."""

from dataclasses import dataclass

from flask import url_for
from flask_babel import LazyString

from app.queries.account_list import Companion
from app.queries.expansion import Opportunity
from app.web.expansion_evidence import describe_evidence
from app.web.expansion_words import LIKELIHOODS, MOTIONS, STATE_TONES, STATES
from app.web.formats import show_day, show_money, show_number, show_percent
from app.web.texts import gettext as _
from app.web.texts import lazy_gettext as _l
from app.web.texts import ngettext
from app.web.words import word

MEASURES: dict[str, LazyString] = {"arr": _l("a year"), "bookings": _l("once")}


@dataclass(frozen=True, slots=True)
class Row:
    id: int
    url: str
    account: str
    account_url: str
    about: str
    motion: str
    product: str
    worth: str
    measure: str
    expected: str  # "" where no probability is said
    likelihood: str
    chance: str
    likelihood_tone: str
    why: str
    state: str
    state_tone: str
    flagged: str
    until: str


def describe_row(opportunity: Opportunity, companion: Companion | None = None) -> Row:
    worth = opportunity.worth
    until = opportunity.snoozed_until
    return Row(
        id=opportunity.id,
        url=url_for("web.opportunity", opportunity_id=opportunity.id),
        account=opportunity.account_name,
        account_url=url_for("web.account", account_id=opportunity.account_id),
        about=" · ".join(part for part in (companion.plan, companion.csm) if part) if companion else "",
        motion=word(MOTIONS, opportunity.motion),
        product=_product_text(opportunity),
        worth=show_money(worth.minor, worth.currency),
        measure=str(MEASURES[opportunity.measure]),
        expected=_expected_text(opportunity),
        likelihood=word(LIKELIHOODS, opportunity.likelihood),
        chance=_chance_text(opportunity),
        likelihood_tone="good" if opportunity.likelihood == "high" else "none",
        why=describe_evidence(opportunity.evidence[0]) if opportunity.evidence else "",
        state=word(STATES, opportunity.state),
        state_tone=STATE_TONES.get(opportunity.state, "none"),
        flagged=show_day(opportunity.flagged_on),
        until=_("until %(day)s", day=show_day(until)) if until else "",
    )


def _expected_text(opportunity: Opportunity) -> str:
    expected = opportunity.expected_value
    return "" if expected is None else _("expected %(money)s", money=show_money(expected.minor, expected.currency))


def _chance_text(opportunity: Opportunity) -> str:
    if opportunity.probability is None:
        return ""
    return _("%(share)s in six months", share=show_percent(opportunity.probability, digits=0))


def _product_text(opportunity: Opportunity) -> str:
    if opportunity.quantity is None:
        return opportunity.product_name
    return ngettext(
        "%(product)s, %(count)s more seat",
        "%(product)s, %(count)s more seats",
        opportunity.quantity,
        product=opportunity.product_name,
        count=show_number(opportunity.quantity),
    )


def show_worths(sums: dict[tuple[str, str], int]) -> str:
    """What is worth so much a year is never added to what is sold once, nor one currency to another."""
    parts = [
        _("%(money)s %(measure)s", money=show_money(minor, currency), measure=str(MEASURES[measure]))
        for (measure, currency), minor in sorted(sums.items())
    ]
    return _(" + ").join(parts)

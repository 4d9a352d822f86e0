"""What moves a health score, in words. A driver is a feature of the account, or its place on the contract's clock."""

from collections.abc import Callable
from math import expm1

from flask_babel import LazyString

from app.web.formats import show_percent
from app.web.texts import gettext as _
from app.web.texts import lazy_gettext as _l
from app.web.texts import ngettext

# What is measured. The words claim no direction of the feature itself: which way it points was learned,
# and is shown by the sign.
FEATURES: dict[str, LazyString] = {
    "usage_level": _l("Use per seat last month, against others"),
    "usage_mean_3m": _l("Use per seat over three months, against others"),
    "usage_trend": _l("Use last month, against its own half-year"),
    "seats_used": _l("Seats in use, of those paid for"),
    "breadth": _l("How many product features are in use"),
    "days_since_use": _l("Days since the product was last used"),
    "onboarding_late": _l("Onboarding steps done late or not at all"),
    "onboarding_overdue": _l("Onboarding steps that are still open"),
    "trainings_12m": _l("Trainings attended in a year"),
    "tickets_90d": _l("Support tickets in 90 days"),
    "escalations_90d": _l("Escalated tickets in 90 days"),
    "nps": _l("Latest recommendation (NPS)"),
    "nps_missing": _l("No recommendation (NPS) in a year"),
    "csat": _l("Latest satisfaction (CSAT)"),
    "csat_missing": _l("No satisfaction rating (CSAT) in a year"),
    "days_since_contact": _l("Days since we last spoke"),
    "overdue_days": _l("Days that an invoice is overdue"),
    "log_mrr": _l("Size of the subscription"),
    "returned": _l("Left once and came back"),
    "tenure": _l("Time as a customer"),
    "contract": _l("Contract and its renewal"),
    "notice": _l("Notice given"),
}


def driver_words(name: str) -> str:
    """The words of a driver by its name in the model; segments and channels carry their own."""
    if name in FEATURES:
        return str(FEATURES[name])
    kind, _colon, level = name.partition(": ")
    if kind == "segment":
        return _("Segment: %(name)s", name=level)
    if kind == "channel":
        return _("Acquisition channel: %(name)s", name=level)
    return name


# Nobody can do anything about these: they are named after what somebody can.
GIVEN = ("segment", "channel", "log_mrr", "tenure", "returned")


def is_given(name: str) -> bool:
    return name.partition(": ")[0] in GIVEN


def finding_words(name: str, value: float | None) -> str:
    """What was found at the account, with its figure; the driver's own words where there is none."""
    found = FINDINGS.get(name)
    return driver_words(name) if found is None or value is None else found(value)


def _against_others(value: float) -> str:
    if value < 0:
        return _("Use per seat last month is %(share)s below others", share=_apart(value))
    return _("Use per seat last month is %(share)s above others", share=_apart(value))


def _against_others_for_months(value: float) -> str:
    if value < 0:
        return _("Use per seat over three months is %(share)s below others", share=_apart(value))
    return _("Use per seat over three months is %(share)s above others", share=_apart(value))


def _against_itself(value: float) -> str:
    if value < 0:
        return _("Use last month is %(share)s below its own half-year", share=_apart(value))
    return _("Use last month is %(share)s above its own half-year", share=_apart(value))


def _apart(value: float) -> str:
    """A difference of logs as a share: -0.51 is 40 % below, +0.51 is 67 % above."""
    return show_percent(abs(expm1(value)), digits=0)


FINDINGS: dict[str, Callable[[float], str]] = {
    "usage_level": _against_others,
    "usage_mean_3m": _against_others_for_months,
    "usage_trend": _against_itself,
    "seats_used": lambda value: _("%(share)s of the paid seats are in use", share=show_percent(value, digits=0)),
    "breadth": lambda value: _("%(share)s of the product's features are in use", share=show_percent(value, digits=0)),
    "days_since_use": lambda value: ngettext("Last used %(num)s day ago", "Last used %(num)s days ago", round(value)),
    "onboarding_late": lambda value: _(
        "%(share)s of the onboarding steps were done late or not at all", share=show_percent(value, digits=0)
    ),
    "onboarding_overdue": lambda value: _(
        "%(share)s of the onboarding steps are still open", share=show_percent(value, digits=0)
    ),
    "trainings_12m": lambda value: ngettext(
        "%(num)s training attended in a year", "%(num)s trainings attended in a year", round(value)
    ),
    "tickets_90d": lambda value: ngettext(
        "%(num)s support ticket in 90 days", "%(num)s support tickets in 90 days", round(value)
    ),
    "escalations_90d": lambda value: ngettext(
        "%(num)s escalated ticket in 90 days", "%(num)s escalated tickets in 90 days", round(value)
    ),
    "overdue_days": lambda value: (
        ngettext("An invoice is %(num)s day overdue", "An invoice is %(num)s days overdue", round(value))
        if value
        else _("No invoice is overdue")
    ),
    "nps": lambda value: _("Would recommend us: %(score)s of 10", score=f"{value:g}"),
    "csat": lambda value: _("Satisfaction: %(score)s of 5", score=f"{value:g}"),
    "days_since_contact": lambda value: ngettext(
        "Last contact %(num)s day ago", "Last contact %(num)s days ago", round(value)
    ),
}


# From where on a finding is good news. Such a one can go with a risk, as use does before a project ends; but as a
# reason for a call it reads as nonsense.
GOOD_FROM: dict[str, float] = {"usage_level": 0, "usage_mean_3m": 0, "usage_trend": 0, "nps": 9, "csat": 4}
GOOD_AT_NONE = frozenset({"overdue_days", "tickets_90d", "escalations_90d", "onboarding_late", "onboarding_overdue"})


def is_good_news(name: str, value: float | None) -> bool:
    if value is None:
        return False
    return (name in GOOD_FROM and value >= GOOD_FROM[name]) or (name in GOOD_AT_NONE and not value)


def effect_words(contribution: float) -> str:
    return _("raises the risk") if contribution > 0 else _("lowers the risk")


def weight_words(*, is_learned: bool, churns: int) -> str:
    if not is_learned:
        return _("default weight")
    return ngettext("learned from %(num)s churn", "learned from %(num)s churns", churns)

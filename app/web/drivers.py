"""What moves a health score, in words. A driver is a feature of the account, or its place on the contract's clock."""

from flask_babel import LazyString

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
    "tickets_90d": _l("Support tickets in 90 days"),
    "escalations_90d": _l("Escalated tickets in 90 days"),
    "nps": _l("Latest recommendation (NPS)"),
    "nps_missing": _l("No recommendation (NPS) in a year"),
    "csat": _l("Latest satisfaction (CSAT)"),
    "csat_missing": _l("No satisfaction rating (CSAT) in a year"),
    "days_since_contact": _l("Days since we last spoke"),
    "log_mrr": _l("Size of the subscription"),
    "returned": _l("Left once and came back"),
    "tenure": _l("Time as a customer"),
    "contract": _l("Contract and its renewal"),
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


def effect_words(contribution: float) -> str:
    return _("raises the risk") if contribution > 0 else _("lowers the risk")


def weight_words(*, is_learned: bool, churns: int) -> str:
    if not is_learned:
        return _("default weight")
    return ngettext("learned from %(num)s churn", "learned from %(num)s churns", churns)

"""Words for what the database holds as codes. A code without words is shown as it is."""

from collections.abc import Mapping

from flask_babel import LazyString

from app.web.texts import lazy_gettext as _l

Words = Mapping[str, LazyString]

BANDS: Words = {
    "healthy": _l("Healthy"),
    "watch": _l("Watch"),
    "at_risk": _l("At risk"),
    "none": _l("Not enough data"),
    "churned": _l("Churned"),
    "upcoming": _l("Not started"),
    "in_grace": _l("In grace"),
    "not_applicable": _l("Not applicable"),
}
DIMENSIONS: Words = {
    "adoption": _l("Adoption"),
    "onboarding": _l("Onboarding"),
    "support": _l("Support"),
    "sentiment": _l("Sentiment"),
    "engagement": _l("Engagement"),
    "commercial": _l("Commercial"),
}
LINE_STATES: Words = {
    "not_started": _l("Not started"),
    "live": _l("Live"),
    "in_grace": _l("In grace"),
    "ended": _l("Ended"),
}
LINE_KINDS: Words = {
    "recurring": _l("Recurring"),
    "one_time": _l("One-time"),
    "usage_based": _l("Usage-based"),
    "trial": _l("Trial"),
}
UNITS: Words = {"flat": _l("flat"), "seat": _l("seats"), "metered": _l("metered")}
DEAL_TYPES: Words = {
    "new": _l("New business"),
    "renewal": _l("Renewal"),
    "expansion": _l("Expansion"),
    "contraction": _l("Contraction"),
    "cancellation": _l("Cancellation"),
}
DEAL_STAGES: Words = {"open": _l("open"), "won": _l("won"), "lost": _l("lost")}
TOUCHES: Words = {
    "call": _l("Call"),
    "meeting": _l("Meeting"),
    "mail": _l("Mail"),
    "review": _l("Review"),
    "training": _l("Training"),
}
CAUSES: Words = {
    "voluntary": _l("by choice"),
    "payment_failure": _l("payment failed"),
    "closed": _l("acquired or closed"),
}
PRIORITIES: Words = {
    "low": _l("low priority"),
    "medium": _l("medium priority"),
    "normal": _l("normal priority"),
    "high": _l("high priority"),
    "urgent": _l("urgent"),
}
STEP_STATES: Words = {
    "done": _l("Done"),
    "done_late": _l("Done late"),
    "overdue": _l("Overdue"),
    "upcoming": _l("To come"),
}
ENTRY_KINDS: Words = {
    "touch": _l("Touches"),
    "ticket": _l("Tickets"),
    "survey": _l("Surveys"),
    "training": _l("Trainings"),
    "invoice": _l("Invoices"),
    "deal": _l("Deals"),
    "notice": _l("Notices"),
}


def word(words: Words, code: str | None) -> str:
    return "" if code is None else str(words.get(code, code))

"""Words for opportunities: motions, states, likelihoods, moves and the reasons for them."""

from app.web.texts import gettext as _
from app.web.texts import lazy_gettext as _l
from app.web.words import Words

MOTIONS: Words = {"upsell": _l("Upsell"), "cross_sell": _l("Cross-sell")}
LIKELIHOODS: Words = {"high": _l("High"), "medium": _l("Medium")}
STATES: Words = {
    "flagged": _l("New"),
    "snoozed": _l("Snoozed"),
    "accepted": _l("Accepted"),
    "rejected": _l("Rejected"),
    "won": _l("Won"),
    "lost": _l("Lost"),
    "lapsed": _l("Lapsed"),
}
STATE_TONES = {"won": "good", "accepted": "good", "rejected": "none", "lost": "risk", "flagged": "watch"}
REASONS: Words = {
    "not_needed": _l("They do not need it"),
    "no_budget": _l("No budget"),
    "bad_timing": _l("Not the time"),
    "has_another_solution": _l("They have something else for it"),
    "already_in_talks": _l("We are talking with them already"),
    "price": _l("Price"),
    "chose_another": _l("They chose another vendor"),
    "no_decision": _l("No decision was made"),
    "other": _l("Another reason"),
    "not_found": _l("The night no longer finds it"),
    "not_live": _l("The account is no longer live"),
    "not_scored": _l("The account has no score"),
    "leaving": _l("The account has given notice"),
    "escalation": _l("An escalated ticket is open"),
    "churn_risk": _l("The account is likely to leave soon"),
    "renewal": _l("The renewal is near and in danger"),
}


def actor_words(actor: str, *, name: str | None) -> str:
    """Who did it: the name of a user or token, else what kind of actor it was."""
    if name:
        return name
    kind = actor.partition(":")[0]
    known = {
        "night": _("the night"),
        "link": _("a signed link"),
        "command": _("the command line"),
        "deliver": _("the delivery"),
        "nobody": _("nobody"),
    }
    return known.get(kind, actor)

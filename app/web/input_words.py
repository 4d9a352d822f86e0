"""What the score looks at, in words: each input's meaning and unit, and where it comes from."""

from app.web.texts import lazy_gettext as _l
from app.web.words import Words

MEANINGS: Words = {
    "usage_level": _l("Activity in the last month per paid seat, against the company's average"),
    "usage_mean_3m": _l("Activity in the last three months per paid seat, against the company's average"),
    "usage_trend": _l("Activity in the last month against the account's own six months before"),
    "seats_used": _l("People active on the busiest day of the last month, of the seats paid for"),
    "breadth": _l("Product features used in the last month, of those that any account has used"),
    "days_since_use": _l("Days since the product was last used"),
    "onboarding_late": _l("Onboarding milestones due in the last year that were done late or not at all"),
    "onboarding_overdue": _l("Onboarding milestones due in the last year that are still open"),
    "trainings_12m": _l("Product trainings that people of the account attended in the last twelve months"),
    "tickets_90d": _l("Support tickets opened in the last 90 days"),
    "escalations_90d": _l("Tickets of the last 90 days that were escalated"),
    "nps": _l("The latest answer of the last year to 'would you recommend us'"),
    "nps_missing": _l("Nobody answered 'would you recommend us' in the last year"),
    "csat": _l("The latest satisfaction rating of the last year"),
    "csat_missing": _l("Nobody rated their satisfaction in the last year"),
    "days_since_contact": _l("Days since we last spoke with the account"),
    "overdue_days": _l("Days since the oldest invoice of the last year that is still unpaid was due"),
    "log_mrr": _l("Recurring revenue a month, in the reporting currency"),
    "returned": _l("A customer that had left before and came back"),
    "segment": _l("The account's segment, each with a weight of its own"),
    "channel": _l("How the account was won, each channel with a weight of its own"),
    "tenure": _l("Months since the account began"),
    "contract": _l("Monthly or longer terms, and how far away the next renewal is"),
}
UNITS: Words = {
    "log of actions": _l("log of actions"),
    "log ratio": _l("log ratio"),
    "share": _l("share"),
    "days": _l("days"),
    "days, 30 at most": _l("days, 30 at most"),
    "days, 90 at most": _l("days, 90 at most"),
    "days, 180 at most": _l("days, 180 at most"),
    "trainings": _l("trainings"),
    "tickets": _l("tickets"),
    "0 to 10": _l("0 to 10"),
    "1 to 5": _l("1 to 5"),
    "yes or no": _l("yes or no"),
    "log of a month's revenue": _l("log of a month's revenue"),
    "months": _l("months"),
}
FEEDS: Words = {
    "usage": _l("Usage"),
    "milestones": _l("Onboarding"),
    "tickets": _l("Tickets"),
    "surveys": _l("Surveys"),
    "touches": _l("Conversations"),
    "trainings": _l("Trainings"),
    "invoices": _l("Invoices"),
}

"""What moves recurring revenue and what is kept of it, in words: the definitions of revenue_retention.py."""

from app.domain.definition import Definition

_WINDOW = {
    "as_of": "t1, the last day of the window; a line that begins on it counts",
    "known_at": "the instant of recording up to which facts count",
    "months": "how long the window is; t0 is the same day so many months before, 12 unless asked otherwise",
}
_COHORT = (
    "The cohort is the accounts with ARR above zero at the end of t0; nobody won later is in it. An account that was "
    "merged into another counts as that one throughout. "
)
_FX = "Each currency stands for itself; all of them together are at the exchange rates of t0, both sides."

REVENUE_DEFINITIONS = (
    Definition(
        id="movements@1",
        name="Movements of ARR",
        unit="money a year",
        formula="opening + new + reactivation + expansion + contraction + churn + transfer + fx = closing, signed",
        words="One movement is one change of one line on one day. Its category is decided for the account on that day: "
        "new had never paid before; reactivation had paid before and had nothing; churn leaves nothing; else expansion "
        "or contraction by the sign of the day's net in that currency, so that a swap of products stays together. A "
        "term that lapsed leaves when its grace does. Transfer is the day on which one account was merged into "
        "another; fx is what other exchange rates did, and none where each currency stands for itself.",
        parameters={
            "as_of": "the last day that counts",
            "known_at": _WINDOW["known_at"],
            "period": "a month, fiscal quarter or fiscal year",
            "grace_days": "a setting of the company, 30",
        },
    ),
    Definition(
        id="nrr@1",
        name="Net revenue retention",
        unit="ratio",
        formula="sum of a1 / sum of a0, over the cohort; a1 = 0 where the account left inside the window",
        words=_COHORT
        + "a0 is what each pays a year at t0, a1 at t1. Whoever had nothing on some day between counts 0, "
        "even if it came back. Undefined where the cohort is empty. " + _FX,
        parameters=_WINDOW,
    ),
    Definition(
        id="nrr_with_reactivation@1",
        name="Net revenue retention, those that came back counted",
        unit="ratio",
        formula="sum of a1 / sum of a0, over the cohort",
        words="As nrr@1, but whoever left and came back inside the window counts what they pay at t1.",
        parameters=_WINDOW,
    ),
    Definition(
        id="nrr_aggregate@1",
        name="Net revenue retention from movements",
        unit="ratio",
        formula="1 + (expansion + reactivation + contraction + churn) / opening, signed",
        words="What some tools show: over the movements of all accounts in the window, so that expansion of customers "
        "won inside it counts, and so does the return of those who had left before it. Opening is all ARR at the end "
        "of t0. Undefined where that is not above zero. " + _FX,
        parameters=_WINDOW,
    ),
    Definition(
        id="grr@1",
        name="Gross revenue retention",
        unit="ratio",
        formula="sum of min(a1, a0) / sum of a0, over the cohort; a1 = 0 where the account left inside the window",
        words=_COHORT + "As nrr@1, but each account counts at most what it paid at t0: growth of one hides no loss of "
        "another, and it is never above 1. Undefined where the cohort is empty. " + _FX,
        parameters=_WINDOW,
    ),
    Definition(
        id="grr_aggregate@1",
        name="Gross revenue retention from movements",
        unit="ratio",
        formula="1 + (contraction + churn) / opening, signed, and not below 0",
        words="What some tools show: what all accounts lost in the window, those won inside it too, over all ARR at "
        "the end of t0. Undefined where that is not above zero. " + _FX,
        parameters=_WINDOW,
    ),
    Definition(
        id="logo_retention@1",
        name="Logo retention",
        unit="ratio of accounts",
        formula="accounts with ARR above zero at t0 and at t1 / accounts with ARR above zero at t0",
        words=_COHORT
        + "Accounts are counted, however much they pay, in whatever currency. One that left and came back "
        "is there at t1. Undefined where the cohort is empty.",
        parameters=_WINDOW,
    ),
    Definition(
        id="movements_net@1",
        name="Movements, net of two dates",
        unit="money a year",
        formula="by account and currency a1 - a0: new, reactivation, expansion, contraction or churn by what it had",
        words="What is seen by comparing two days and nothing between: an account that had nothing at t0 and pays at "
        "t1 is new, or a reactivation if it ever paid before; nothing at t1 is churn; the rest by sign. What "
        "went up and down again inside the window does not show. Adds up to closing less opening, as movements@1 does.",
        parameters=_WINDOW,
    ),
    Definition(
        id="renewal_rate@1",
        name="Renewal rate",
        unit="ratio",
        formula="sum of min(renewed, due) / (sum of due - sum of open), over the renewals due in the period",
        words="Of the yearly worth of the terms that ended in the period, what was renewed, each at most what was due. "
        "Another denominator than that of grr@1: a term that does not end is not due. What is not decided by as_of is "
        "open and left out: the term or its grace is not over. A line until notice is due term by term, one "
        "that goes on by the month never. Undefined where nothing is decided.",
        parameters={
            "as_of": "the day by which it is decided",
            "known_at": _WINDOW["known_at"],
            "period": "in which terms ended",
        },
    ),
    Definition(
        id="quick_ratio@1",
        name="Quick ratio",
        unit="ratio",
        formula="(new + reactivation + expansion) / -(contraction + churn), signed",
        words="How much recurring revenue came for each unit that went. Undefined where none went.",
        parameters=_WINDOW,
    ),
    Definition(
        id="carr@1",
        name="Committed annual recurring revenue",
        unit="money a year",
        formula="ARR + signed and not yet started - notified and not yet left",
        words="arr@1, and what is signed to begin after as_of, less what notices, known by then, will end after it.",
        parameters={"as_of": "the day asked about", "known_at": _WINDOW["known_at"]},
    ),
    Definition(
        id="annual_churn@1",
        name="Churn a year from churn a month",
        unit="ratio",
        formula="1 - (1 - c)^12",
        words="c is the share lost in a month. Never 12 x c, which counts those who have left already.",
    ),
    Definition(
        id="closed_period@1",
        name="Closed month",
        unit="a report",
        formula="as of the month's last day, as known at the close; the same bytes for ever, with their SHA-256",
        words="ARR at the opening (the end of the month before), movements by category and ARR at the closing, by "
        "product and currency; bookings; retention over the twelve months to its last day; counts; the settings and "
        "definitions it rests on. known_at is the last recording that the close knew of. What is recorded later about "
        "the month or days before it changes nothing in here.",
    ),
    Definition(
        id="restatement@1",
        name="Restatement",
        unit="money a year; of bookings, money",
        formula="closed + restatements = current, by line of the report, exactly",
        words="What a change recorded after the close did to the figures of the closed month: by day, account, "
        "contract line, product, currency and category what it added and took away, net. An opening "
        "is what later knowledge of earlier days did to the ARR that a closed month began with.",
        parameters={"period": "a closed month; all of them, if left out", "known_at": _WINDOW["known_at"]},
    ),
)

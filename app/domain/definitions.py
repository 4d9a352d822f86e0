"""What each figure means, in words. A published version never changes; a new meaning is a new version."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Definition:
    """`id` is name@version; `parameters` are what an asker, or the company, may choose."""

    id: str
    name: str
    unit: str
    formula: str
    words: str
    parameters: Mapping[str, str] = field(default_factory=dict)


_LTV_PARAMETERS = {
    "horizon_months": "H, months ahead that are counted; 60 unless the company says otherwise",
    "annual_discount_rate": "d, what a year of waiting costs; 0.10 unless the company says otherwise",
    "gross_margin": "m, what is left of revenue; 0.80 unless the company says otherwise",
}
_MOMENT = {
    "as_of": "the day asked about; lines that begin on it count",
    "known_at": "the instant of recording up to which facts count",
}

DEFINITIONS = (
    Definition(
        id="bookings@1",
        name="Bookings",
        unit="money",
        formula="sum of the amounts of won deals with first_on <= close date <= last_on",
        words="What was sold, by close date, one-off sales too. A source's amount finer than its currency is rounded "
        "half-even once a deal; the remainder is spread over its lines by largest remainder. So is a conversion.",
        parameters=_MOMENT
        | {
            "as_of": "the last day that counts; deals closed on it do",
            "period": "a month, fiscal quarter or fiscal year",
            "fx": "whose day's rate converts",
        },
    ),
    Definition(
        id="arr@1",
        name="Annual recurring revenue",
        unit="money a year",
        formula="sum over live lines of amount x 12 / months (whole months), else amount x 365 / days",
        words="Each recurring line is rounded half-even once; all sums are of these integers. A line counts from its "
        "start, not its signature. One that lapsed without a word stays in for the grace, shown as in_grace. One-time, "
        "usage-based and trial lines are not in it.",
        parameters=_MOMENT | {"grace_days": "a setting of the company, 30", "fx": "whose day's rate converts"},
    ),
    Definition(
        id="churn@1",
        name="Churn probability",
        unit="probability",
        formula="P(k) = 1 - S(k), S(k) = product over months j = 1..k of (1 - h(j))",
        words="The probability that the account has left within k months from as_of, from a discrete-time hazard "
        "fitted on all earlier months. Its interval is at 90 %. The basis says what it rests on.",
    ),
    Definition(
        id="account_retention@1",
        name="Retention of an account",
        unit="probability",
        formula="S(k); and R(k), the product of (1 - h(j)) over the months outside a committed, non-cancellable term",
        words="The probability that the account, and that its revenue, is still there k months from as_of. Beyond "
        "supported_months the curve is extrapolated.",
    ),
    Definition(
        id="retention_km@1",
        name="Retention of a group",
        unit="share of accounts",
        formula="Kaplan-Meier: product over months t of (1 - churned(t) / at risk(t)), with late entry",
        words="The share of accounts still there by tenure in whole months, from what happened, without a model. The "
        "interval is exponential Greenwood at 95 %. Accounts come under observation when they start, or when the "
        "company's records of churn do; one that left and came back is counted as another.",
    ),
    Definition(
        id="health@1",
        name="Health score",
        unit="points from 0 to 100",
        formula="p* of 0 / 5 / 20 / 50 / 100 % maps to 100 / 70 / 40 / 10 / 0, linear between",
        words="p* is the churn probability over the longer of 12 months and the months through the next renewal, a "
        "year. Contributions are Aumann-Shapley values of logit p* from the reference account. A missing input "
        "contributes nothing and lowers coverage; under a limit the score is withheld.",
        parameters={
            "reference_churn": "the company's usual churn a year; scales the bands",
            "minimum_coverage": "below it the score is withheld",
        },
    ),
    Definition(
        id="ltv_residual@1",
        name="Residual lifetime value",
        unit="money",
        formula="sum over k = 1..H of m x MRR x R(k) / (1 + d)^(k/12)",
        words="What the account's present revenue is worth from as_of on, on margin, discounted, given its age. A "
        "group's interval comes from joint draws.",
        parameters=_LTV_PARAMETERS,
    ),
    Definition(
        id="ltv_expansion@1",
        name="Lifetime value of expansion",
        unit="money",
        formula="sum over k = 1..H of m x MRR x (exp(mu x min(k, 12)) - 1) x R(k) / (1 + d)^(k/12)",
        words="What growth, or shrinking, of those that stay adds. mu is the shrunken mean monthly log change among "
        "survivors of the segment, at most 2 % a month, frozen after 12 months.",
        parameters=_LTV_PARAMETERS,
    ),
    Definition(
        id="ltv_total@1",
        name="Total lifetime value",
        unit="money",
        formula="ltv_residual@1 + ltv_expansion@1",
        words="Both lines together.",
        parameters=_LTV_PARAMETERS,
    ),
    Definition(
        id="ltv_formula@1",
        name="Formula lifetime value",
        unit="money an account",
        formula="monthly revenue an account x m / logo churn a month over the last 12 months",
        words="What other tools show, for comparison: no age, no horizon, no discount. Null where nothing churned. An "
        "account's uses its own revenue and its segment's churn; a group's is of one average account, never "
        "of all. Months at risk are whole ones.",
        parameters={"gross_margin": _LTV_PARAMETERS["gross_margin"]},
    ),
)

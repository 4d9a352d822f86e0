"""What each figure means, in words. A published version never changes; a new meaning is a new version."""

from app.domain.definition import Definition
from app.domain.definitions_revenue import REVENUE_DEFINITIONS

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
        id="churn@2",
        name="Churn probability",
        unit="probability",
        formula="P(k) = 1 - S(k), S(k) = product over months j = 1..k of (1 - h(j)); 0 or 1 by a notice",
        words="As churn@1, but whoever has given notice for all that they pay for leaves for sure, in the month of the "
        "first unpaid day and not before; the hazard is of those that have given none.",
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
        id="account_retention@2",
        name="Retention of an account",
        unit="probability",
        formula="S(k); and R(k), the product of (1 - h(j)) over the months outside a committed, non-cancellable term, "
        "times the share of revenue that no notice ends",
        words="As account_retention@1, but a notice that ends all lines of the account sets S to 1 before the month of "
        "its first unpaid day and to 0 from it on, and R to the share of revenue that is still there; one that ends "
        "some of them multiplies R by that share. There is no interval about what a notice says.",
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
        id="health@2",
        name="Health score",
        unit="points from 0 to 100",
        formula="p* of 0 / 5 / 20 / 50 / 100 % maps to 100 / 70 / 40 / 10 / 0, linear between",
        words="As health@1, with two differences: p* is of the decision to leave alone, as if nobody failed to pay or "
        "closed down; and the company may weight what a dimension contributes, by segment: logit p* is that of the "
        "reference plus the sum of weight x contribution. An override by hand is shown beside it, never in it.",
        parameters={
            "reference_churn": "the company's usual churn a year; scales the bands",
            "minimum_coverage": "below it the score is withheld",
            "health_weights": "by segment and dimension, 1 unless the company says otherwise",
        },
    ),
    Definition(
        id="health@3",
        name="Health score",
        unit="points from 0 to 100",
        formula="p* of 0 / 5 / 20 / 50 / 100 % maps to 100 / 70 / 40 / 10 / 0, linear between",
        words="As health@2, but whoever has given notice by their own decision has a p* of 1 - 1e-6 and so no point "
        "left, whatever is known beside; a contribution of its own, not weighted, makes up what is missing to it.",
        parameters={
            "reference_churn": "the company's usual churn a year; scales the bands",
            "minimum_coverage": "below it the score is withheld",
            "health_weights": "by segment and dimension, 1 unless the company says otherwise",
        },
    ),
    Definition(
        id="health_change@1",
        name="Change of health",
        unit="points",
        formula="later - earlier = behaviour + calendar + late data + model refit + configuration + override",
        words="The causes are replaced in this order, from the earlier day's to the later's, and each part is what the "
        "score moves by at its replacement; between days further apart the parts of the nights are added up. Behaviour "
        "is what happened since; calendar is tenure and the contract's clock; late data is what was learned only since "
        "of the days before, later than its kind usually comes, and what a feed that fell silent no longer says; the "
        "override's part is what is shown beyond what is "
        "calculated.",
        parameters={"compare_with": "the earlier day", "compare_until": "the later day"},
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
    Definition(
        id="ltv_new@1",
        name="Lifetime value of a new account",
        unit="money an account",
        formula="sum over k = 1..H of m x MRR x R(k) / (1 + d)^(k/12) from tenure 0, the mean over the accounts of the "
        "group that began in the 12 months before as_of",
        words="What one that begins now is to bring. The curve of each of those accounts is that of its first month's "
        "features, with tenure and contract set back to their first day. The interval is of the model's joint draws "
        "and of who happened to begin (a Bayesian bootstrap over the accounts). Of fewer than 5 nothing is said. First "
        "starts alone count: who comes back is not new.",
        parameters=_LTV_PARAMETERS,
    ),
    Definition(
        id="ltv_historical@1",
        name="Historical lifetime value",
        unit="money",
        formula="sum over won contract lines of m x revenue earned before as_of",
        words="The gross margin earned to date, not discounted. A recurring line earns its ARR by the month, the days "
        "of a month begun in proportion; by days of 365 where its term is not whole months; nothing while in grace. "
        "Any other line earns its amount by the days of its term, at once if it has none. The margin is that in force "
        "at the time, unless the asker names one. Amounts are at the exchange rates of as_of.",
        parameters={"gross_margin": _LTV_PARAMETERS["gross_margin"]},
    ),
    Definition(
        id="ltv_to_cac@1",
        name="LTV to CAC",
        unit="ratio",
        formula="ltv_new@1 of the channel / CAC; CAC = acquisition cost of the months / accounts that began in them",
        words="What a new account of a channel is worth for each unit of money that winning one costs. The months are "
        "those of the 12 whole calendar months before as_of for which a cost was recorded: spend counts for those who "
        "began in its month, without a lag. Costs are at the exchange rates of as_of. The interval takes the number "
        "won as chance, too (Poisson). Null where nobody began.",
        parameters=_LTV_PARAMETERS,
    ),
    Definition(
        id="cac_payback@1",
        name="Payback",
        unit="months",
        formula="the smallest k with sum over j = 1..k of m x MRR x R(j) >= CAC",
        words="The month by whose end a new account of the channel is expected to have earned what winning one costs, "
        "those that leave counted, not discounted. Null where 60 months do not do it.",
        parameters={"gross_margin": _LTV_PARAMETERS["gross_margin"]},
    ),
    Definition(
        id="reconciliation@1",
        name="Reconciliation",
        unit="money a year; of a CRM, money",
        formula="ledger + sum of the reasons = the other side, for each account and currency",
        words="A billing export beside the ledger: the recurring charges whose period covers as_of, each as a year's "
        "worth (amount x 12 / months for whole months, else amount x 365 / days, rounded half-even once), beside the "
        "ARR of the account's lines on that day. A charge in another currency than its line counts in the line's, at "
        "the rate of as_of. A CRM beside the ledger: its own amounts of won deals closed by as_of, added up exactly "
        "and rounded once, beside what was booked of their lines. The difference is split into timing, fx, discount, "
        "one_time, rounding, missing_in_billing, missing_in_ledger, duplicate and id_mismatch by checks in a fixed "
        "order, each with the records that show it; what none explains is unexplained.",
        parameters=_MOMENT | {"window_days": "how many days apart both sides may say the same thing; 31"},
    ),
    *REVENUE_DEFINITIONS,
)
_BY_ID = {each.id: each for each in DEFINITIONS}


class UnknownDefinition(LookupError):
    """No definition has that id."""


def find_definition(definition_id: str) -> Definition:
    """The definition of that id, old versions too; UnknownDefinition says which versions there are of that name."""
    if definition_id in _BY_ID:
        return _BY_ID[definition_id]
    name = definition_id.partition("@")[0]
    near = [each for each in _BY_ID if each.partition("@")[0] == name] or sorted(_BY_ID)
    raise UnknownDefinition(f"There is no definition {definition_id[:60]!r}; there are: {', '.join(near)}.")

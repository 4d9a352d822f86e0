"""What the cells of a row must be to one another. Each check gives the field and the reason, or nothing."""

from collections.abc import Callable
from typing import Any

from integrations.files.rows import (
    AccountRow,
    AcquisitionCostRow,
    ChargeRow,
    ChurnRow,
    DealRow,
    FxRateRow,
    InvoiceRow,
    LineRow,
    MilestoneRow,
    PauseRow,
    ProductRow,
    SurveyRow,
    TrainingRow,
    UsageDayRow,
)

Problem = tuple[str, str] | None


def check_account(row: AccountRow) -> Problem:
    return ("parent", "an account cannot be its own parent") if row.parent == row.id else None


def check_product(row: ProductRow) -> Problem:
    if row.valid_from and row.valid_to and row.valid_to < row.valid_from:
        return "valid_to", f"the price's validity ends on {row.valid_to}, before it begins on {row.valid_from}"
    if row.price is not None and row.currency is None:
        return "price", "a price needs a currency; set `currency` in the mapping"
    return None


def check_fx_rate(row: FxRateRow) -> Problem:
    if row.rate <= 0:
        return "rate", f"{row.rate} is not an exchange rate; a rate is a number above 0"
    return ("quote", "an exchange rate needs two currencies") if row.base == row.quote else None


def check_deal(row: DealRow) -> Problem:
    if row.stage == "won" and row.account is None:
        return "account", "a won deal needs an account"
    if row.stage == "won" and row.closed_on is None:
        return "closed_on", "a won deal needs the day on which it was closed"
    if row.opened_on and row.closed_on and row.closed_on < row.opened_on:
        return "closed_on", f"the deal was closed on {row.closed_on}, before it was opened on {row.opened_on}"
    return ("amount", "an amount needs a currency") if row.amount is not None and row.currency is None else None


def check_line(row: LineRow) -> Problem:
    if row.starts_on and row.ends_on and row.ends_on < row.starts_on:
        return "ends_on", f"the term ends on {row.ends_on}, before it begins on {row.starts_on}"
    for name, months in (("term_months", row.term_months), ("price_months", row.price_months)):
        if months is not None and not 0 < months <= 1200:
            return name, f"{months} is not a number of months from 1 to 1200"
    is_open = row.ends_on is None and row.term_months is None and row.price_months is None
    if row.kind == "recurring" and is_open:
        return "ends_on", "a recurring line needs an end, a term in months, or the months that its price buys"
    return None


def check_churn(row: ChurnRow) -> Problem:
    if row.account is None and row.deal is None:
        return "account", "a churn notice names an account or a deal"
    return ("line", "a line is named together with its deal") if row.line and row.deal is None else None


def check_pause(row: PauseRow) -> Problem:
    if row.resumes_on is not None and row.resumes_on <= row.pauses_on:
        return "resumes_on", f"it resumes on {row.resumes_on}, not after it paused on {row.pauses_on}"
    return None


def check_usage(row: UsageDayRow) -> Problem:
    return ("account", "usage names an account or a deal") if row.account is None and row.deal is None else None


def check_survey(row: SurveyRow) -> Problem:
    lowest, highest = (0, 10) if row.kind == "nps" else (1, 5)
    if not lowest <= row.score <= highest:
        return "score", f"{row.score:g} is not a score from {lowest} to {highest}, as {row.kind} has them"
    return None


def check_training(row: TrainingRow) -> Problem:
    return ("attendees", f"{row.attendees} people cannot have attended") if row.attendees < 1 else None


def check_invoice(row: InvoiceRow) -> Problem:
    if row.due_on < row.issued_on:
        return "due_on", f"the invoice is due on {row.due_on}, before it was issued on {row.issued_on}"
    return ("amount", "an amount needs a currency") if row.amount is not None and row.currency is None else None


def check_acquisition_cost(row: AcquisitionCostRow) -> Problem:
    if row.amount < 0:
        return "amount", f"{row.amount} is not a cost; what was spent is 0 or more"
    return ("amount", "an amount needs a currency; set `currency` in the mapping") if row.currency is None else None


def check_charge(row: ChargeRow) -> Problem:
    if row.ends_on and row.ends_on < row.starts_on:
        return "ends_on", f"the period ends on {row.ends_on}, before it begins on {row.starts_on}"
    if row.price_months is not None and not 0 < row.price_months <= 1200:
        return "price_months", f"{row.price_months} is not a number of months from 1 to 1200"
    if row.kind == "recurring" and row.ends_on is None and row.price_months is None:
        return "ends_on", "a recurring charge needs the end of its period, or the months that it pays for"
    if row.discount < 0:
        return "discount", f"{row.discount} is not a discount; what is taken off is 0 or more"
    return ("amount", "an amount needs a currency; set `currency` in the mapping") if row.currency is None else None


def check_milestone(row: MilestoneRow) -> Problem:
    return ("position", "a position counts from 1") if row.position < 1 else None


CHECKS: dict[str, Callable[[Any], Problem]] = {
    "account": check_account,
    "product": check_product,
    "fx_rate": check_fx_rate,
    "deal": check_deal,
    "line": check_line,
    "churn": check_churn,
    "pause": check_pause,
    "usage": check_usage,
    "survey": check_survey,
    "milestone": check_milestone,
    "training": check_training,
    "invoice": check_invoice,
    "acquisition_cost": check_acquisition_cost,
    "charge": check_charge,
}

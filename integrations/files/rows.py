"""What a file says, once it has been read and checked: plain values, ids as the source writes them.

Money is exact and as the source has it (`Decimal` in major units, with its currency); rounding is
for whoever records it. `available_on` is the source's own day of creation, where it has one.
"""

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

Custom = str | float | bool | None


@dataclass(frozen=True, slots=True)
class AccountRow:
    id: str
    name: str
    segment: str | None = None
    industry: str | None = None
    country: str | None = None
    employees: int | None = None
    channel: str | None = None
    campaign: str | None = None
    parent: str | None = None
    csm: str | None = None
    account_owner: str | None = None
    inside_sales: str | None = None
    valid_from: date | None = None
    available_on: date | None = None
    custom: dict[str, Custom] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ContactRow:
    id: str
    account: str
    name: str
    email: str | None = None
    phone: str | None = None
    role: str | None = None
    departed_on: date | None = None


@dataclass(frozen=True, slots=True)
class StaffRow:
    """One of the company's own people: who sells and who looks after accounts."""

    id: str
    name: str
    email: str | None = None
    phone: str | None = None
    role: str | None = None
    departed_on: date | None = None


@dataclass(frozen=True, slots=True)
class ProductRow:
    id: str
    sku: str
    name: str
    family: str | None = None
    plan: str | None = None
    tier: int | None = None
    is_recurring: bool = True
    unit: str = "flat"
    price: Decimal | None = None
    currency: str | None = None
    valid_from: date | None = None
    valid_to: date | None = None
    available_on: date | None = None


@dataclass(frozen=True, slots=True)
class FxRateRow:
    day: date
    base: str
    quote: str
    rate: Decimal
    source: str | None = None
    available_on: date | None = None


@dataclass(frozen=True, slots=True)
class DealRow:
    """A deal in any stage, without its lines."""

    id: str
    account: str | None = None
    name: str | None = None
    stage: str = "won"
    type: str = "new"
    opened_on: date | None = None
    closed_on: date | None = None
    amount: Decimal | None = None
    currency: str | None = None
    lead_source: str | None = None
    campaign: str | None = None
    partner: str | None = None
    owner: str | None = None
    renewal_of: str | None = None
    supersedes: str | None = None
    notice_days: int | None = None
    non_cancellable: bool = False
    billing_period_months: int | None = None
    available_on: date | None = None


@dataclass(frozen=True, slots=True)
class LineRow:
    """A line of a deal. What it says of its term is in docs/import.md, "Terms and prices"."""

    deal: str
    product: str
    amount: Decimal
    key: str = ""  # none: its number in the deal
    kind: str = "recurring"
    quantity: Decimal = Decimal(1)
    unit_price: Decimal | None = None
    discount: Decimal | None = None
    starts_on: date | None = None
    ends_on: date | None = None
    term_months: int | None = None
    price_months: int | None = None
    auto_renew: bool = False
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class ClosedDeal:
    """A deal with all of its lines: one thing, recorded whole or not at all. Open and lost ones have none."""

    deal: DealRow
    lines: tuple[LineRow, ...] = ()


@dataclass(frozen=True, slots=True)
class ChurnRow:
    """Names a deal (one line of it, or all) or else an account as a whole."""

    id: str
    effective_on: date
    account: str | None = None
    deal: str | None = None
    line: str | None = None
    given_on: date | None = None
    cause: str = "voluntary"
    reason: str | None = None
    is_reactivation: bool = False
    text: str | None = None
    available_on: date | None = None


@dataclass(frozen=True, slots=True)
class PauseRow:
    """A deal (one line of it, or each that recurs) is not paid for from `pauses_on` up to, not on, `resumes_on`."""

    id: str
    deal: str
    pauses_on: date
    resumes_on: date | None = None
    line: str | None = None
    available_on: date | None = None


@dataclass(frozen=True, slots=True)
class UsageDayRow:
    """Without an id of its own, a row is known by what it counts, for whom, and its day."""

    day: date
    id: str | None = None
    account: str | None = None
    deal: str | None = None
    product: str | None = None
    metric: str = "activity"
    feature: str | None = None
    amount: float = 1.0
    available_on: date | None = None


@dataclass(frozen=True, slots=True)
class TicketRow:
    id: str
    account: str
    opened_on: date
    closed_on: date | None = None
    priority: str | None = None
    is_escalated: bool = False
    satisfaction: float | None = None
    contact: str | None = None
    text: str | None = None
    available_on: date | None = None


@dataclass(frozen=True, slots=True)
class SurveyRow:
    id: str
    account: str
    answered_on: date
    kind: str
    score: float
    contact: str | None = None
    text: str | None = None
    available_on: date | None = None


@dataclass(frozen=True, slots=True)
class TouchRow:
    id: str
    account: str
    occurred_on: date
    kind: str
    staff: str | None = None
    contact: str | None = None
    text: str | None = None
    available_on: date | None = None


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """A product training that people of the account attended; `feature` as usage names what was taught."""

    id: str
    account: str
    occurred_on: date
    topic: str
    feature: str | None = None
    attendees: int = 1
    contact: str | None = None
    text: str | None = None
    available_on: date | None = None


@dataclass(frozen=True, slots=True)
class InvoiceRow:
    """An invoice that the account was sent; `due_on` is the last day on which its payment is in time."""

    id: str
    account: str
    issued_on: date
    due_on: date
    paid_on: date | None = None
    amount: Decimal | None = None
    currency: str | None = None
    available_on: date | None = None


@dataclass(frozen=True, slots=True)
class MilestoneRow:
    """A step of the onboarding plan that a deal opened."""

    deal: str
    position: int
    name: str
    due_on: date
    done_on: date | None = None
    owner: str | None = None
    template: str = "imported"
    started_on: date | None = None
    available_on: date | None = None


@dataclass(frozen=True, slots=True)
class AcquisitionCostRow:
    """What was spent on winning accounts through a channel in the month that the day lies in."""

    channel: str
    month: date
    amount: Decimal
    currency: str | None = None
    available_on: date | None = None


@dataclass(frozen=True, slots=True)
class ChargeRow:
    """A line of a billing export: what an account was charged for a period. It is reconciled, never recorded.

    `discount` is an amount; `is_net`: it has been taken off `amount` already.
    """

    account: str
    amount: Decimal
    starts_on: date
    id: str | None = None
    invoice: str | None = None
    name: str | None = None
    product: str | None = None
    kind: str = "recurring"
    ends_on: date | None = None
    price_months: int | None = None
    discount: Decimal = Decimal(0)
    is_net: bool = True
    currency: str | None = None

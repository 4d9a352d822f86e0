"""What a mapping can make of a file: the nouns, their fields, and the type of each."""

from dataclasses import dataclass, field

from integrations.files import rows

CHURN_CAUSES = ("voluntary", "payment_failure", "closed")
DEAL_STAGES = ("open", "won", "lost")
DEAL_TYPES = ("new", "renewal", "expansion", "contraction", "cancellation")
LINE_KINDS = ("recurring", "one_time", "usage_based", "trial")
PRODUCT_UNITS = ("flat", "seat", "metered")
SURVEY_KINDS = ("nps", "csat")
RECONCILED = "charge"  # held against the ledger; the other nouns are imported

RowType = type[
    rows.AccountRow
    | rows.ContactRow
    | rows.StaffRow
    | rows.ProductRow
    | rows.FxRateRow
    | rows.DealRow
    | rows.LineRow
    | rows.ChurnRow
    | rows.PauseRow
    | rows.UsageDayRow
    | rows.TicketRow
    | rows.SurveyRow
    | rows.TouchRow
    | rows.TrainingRow
    | rows.InvoiceRow
    | rows.MilestoneRow
    | rows.AcquisitionCostRow
    | rows.ChargeRow
]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a noun. `like` names the field whose column serves where the mapping gives none."""

    type: str  # text, date, integer, decimal, number, boolean, choice, currency
    required: bool = False
    longest: int = 200  # characters of a text
    choices: tuple[str, ...] = ()
    like: str | None = None


@dataclass(frozen=True, slots=True)
class Noun:
    row: RowType
    fields: dict[str, Field] = field(default_factory=dict)
    has_custom_fields: bool = False


ID = Field("text", required=True)
REFERENCE = Field("text")
SHORT = Field("text", longest=100)
NAME = Field("text", longest=300, like="id")
DATE = Field("date")
NEEDED_DATE = Field("date", required=True)
INTEGER = Field("integer")
DECIMAL = Field("decimal")
BOOLEAN = Field("boolean")
CURRENCY = Field("currency")
FREE_TEXT = Field("text", longest=100_000)

_PERSON = {
    "name": NAME,
    "email": Field("text", longest=320),
    "phone": Field("text", longest=50),
    "role": Field("text", longest=50),
    "departed_on": DATE,
}
_ACCOUNT_FACT = {"contact": REFERENCE, "text": FREE_TEXT, "available_on": DATE}

NOUNS: dict[str, Noun] = {
    "staff": Noun(rows.StaffRow, {"id": ID, **_PERSON}),
    "account": Noun(
        rows.AccountRow,
        {
            "id": ID,
            "name": NAME,
            "segment": SHORT,
            "industry": SHORT,
            "country": SHORT,
            "employees": INTEGER,
            "channel": SHORT,
            "campaign": REFERENCE,
            "parent": REFERENCE,
            "csm": REFERENCE,
            "account_owner": REFERENCE,
            "inside_sales": REFERENCE,
            "valid_from": DATE,
            "available_on": DATE,
        },
        has_custom_fields=True,
    ),
    "contact": Noun(rows.ContactRow, {"id": ID, "account": ID, **_PERSON}),
    "product": Noun(
        rows.ProductRow,
        {
            "id": ID,
            "sku": Field("text", required=True, like="id"),
            "name": Field("text", longest=300, like="sku"),
            "family": REFERENCE,
            "plan": SHORT,
            "tier": INTEGER,
            "is_recurring": BOOLEAN,
            "unit": Field("choice", choices=PRODUCT_UNITS),
            "price": DECIMAL,
            "currency": CURRENCY,
            "valid_from": DATE,
            "valid_to": DATE,
            "available_on": DATE,
        },
    ),
    "fx_rate": Noun(
        rows.FxRateRow,
        {
            "day": NEEDED_DATE,
            "base": Field("currency", required=True),
            "quote": Field("currency", required=True),
            "rate": Field("decimal", required=True),
            "source": SHORT,
            "available_on": DATE,
        },
    ),
    "deal": Noun(
        rows.DealRow,
        {
            "id": ID,
            "account": REFERENCE,
            "name": Field("text", longest=300),
            "stage": Field("choice", choices=DEAL_STAGES),
            "type": Field("choice", choices=DEAL_TYPES),
            "opened_on": DATE,
            "closed_on": DATE,
            "amount": DECIMAL,
            "currency": CURRENCY,
            "lead_source": SHORT,
            "campaign": REFERENCE,
            "partner": REFERENCE,
            "owner": REFERENCE,
            "renewal_of": REFERENCE,
            "supersedes": REFERENCE,
            "notice_days": INTEGER,
            "non_cancellable": BOOLEAN,
            "billing_period_months": INTEGER,
            "available_on": DATE,
        },
    ),
    "line": Noun(
        rows.LineRow,
        {
            "deal": ID,
            "product": ID,
            "amount": Field("decimal", required=True),
            "key": REFERENCE,
            "kind": Field("choice", choices=LINE_KINDS),
            "quantity": DECIMAL,
            "unit_price": DECIMAL,
            "discount": DECIMAL,
            "starts_on": DATE,
            "ends_on": DATE,
            "term_months": INTEGER,
            "price_months": INTEGER,
            "auto_renew": BOOLEAN,
            "currency": CURRENCY,
        },
    ),
    "milestone": Noun(
        rows.MilestoneRow,
        {
            "deal": ID,
            "position": Field("integer", required=True),
            "name": ID,
            "due_on": NEEDED_DATE,
            "done_on": DATE,
            "owner": REFERENCE,
            "template": REFERENCE,
            "started_on": DATE,
            "available_on": DATE,
        },
    ),
    "churn": Noun(
        rows.ChurnRow,
        {
            "id": ID,
            "effective_on": NEEDED_DATE,
            "account": REFERENCE,
            "deal": REFERENCE,
            "line": REFERENCE,
            "given_on": DATE,
            "cause": Field("choice", choices=CHURN_CAUSES),
            "reason": REFERENCE,
            "is_reactivation": BOOLEAN,
            "text": FREE_TEXT,
            "available_on": DATE,
        },
    ),
    "pause": Noun(
        rows.PauseRow,
        {
            "id": ID,
            "deal": ID,
            "pauses_on": NEEDED_DATE,
            "resumes_on": DATE,
            "line": REFERENCE,
            "available_on": DATE,
        },
    ),
    "usage": Noun(
        rows.UsageDayRow,
        {
            "day": NEEDED_DATE,
            "id": REFERENCE,
            "account": REFERENCE,
            "deal": REFERENCE,
            "product": REFERENCE,
            "metric": SHORT,
            "feature": REFERENCE,
            "amount": Field("number"),
            "available_on": DATE,
        },
    ),
    "ticket": Noun(
        rows.TicketRow,
        {
            "id": ID,
            "account": ID,
            "opened_on": NEEDED_DATE,
            "closed_on": DATE,
            "priority": Field("text", longest=30),
            "is_escalated": BOOLEAN,
            "satisfaction": Field("number"),
            **_ACCOUNT_FACT,
        },
    ),
    "survey": Noun(
        rows.SurveyRow,
        {
            "id": ID,
            "account": ID,
            "answered_on": NEEDED_DATE,
            "kind": Field("choice", required=True, choices=SURVEY_KINDS),
            "score": Field("number", required=True),
            **_ACCOUNT_FACT,
        },
    ),
    "touch": Noun(
        rows.TouchRow,
        {
            "id": ID,
            "account": ID,
            "occurred_on": NEEDED_DATE,
            "kind": Field("text", required=True, longest=30),
            "staff": REFERENCE,
            **_ACCOUNT_FACT,
        },
    ),
    "training": Noun(
        rows.TrainingRow,
        {
            "id": ID,
            "account": ID,
            "occurred_on": NEEDED_DATE,
            "topic": ID,
            "feature": REFERENCE,
            "attendees": INTEGER,
            **_ACCOUNT_FACT,
        },
    ),
    "invoice": Noun(
        rows.InvoiceRow,
        {
            "id": ID,
            "account": ID,
            "issued_on": NEEDED_DATE,
            "due_on": NEEDED_DATE,
            "paid_on": DATE,
            "amount": DECIMAL,
            "currency": CURRENCY,
            "available_on": DATE,
        },
    ),
    "acquisition_cost": Noun(
        rows.AcquisitionCostRow,
        {
            "channel": Field("text", required=True, longest=100),
            "month": NEEDED_DATE,
            "amount": Field("decimal", required=True),
            "currency": CURRENCY,
            "available_on": DATE,
        },
    ),
    RECONCILED: Noun(
        rows.ChargeRow,
        {
            "account": ID,
            "amount": Field("decimal", required=True),
            "starts_on": NEEDED_DATE,
            "id": REFERENCE,
            "invoice": REFERENCE,
            "name": Field("text", longest=300),
            "product": REFERENCE,
            "kind": Field("choice", choices=LINE_KINDS),
            "ends_on": DATE,
            "price_months": INTEGER,
            "discount": DECIMAL,
            "is_net": BOOLEAN,
            "currency": CURRENCY,
        },
    ),
}
"""In the order in which they are recorded: each refers only to those before it."""

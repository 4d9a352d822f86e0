"""Closed months and their restatements, in and out."""

from marshmallow import Schema, fields, validate

from app.schemas.fields import Day, Instant, Meta, MoneyField, Text
from app.schemas.parameters import MOST_ROWS, form, one_of, said

KNOWN_AT = said("ISO 8601 with zone; now, if left out; an earlier instant gives the books as then")


class CurrentParameters(Schema):
    known_at = Instant(metadata=KNOWN_AT)


class RestatementParameters(Schema):
    period = fields.String(validate=validate.Length(1, 20), metadata=said("2026-05: a closed month; all, if left out"))
    kind = fields.List(
        fields.String(validate=one_of("movement", "booking", "opening")),
        metadata=said("may be repeated; movement and booking, if left out"),
    )
    known_at = Instant(metadata=KNOWN_AT)
    cursor = fields.String(validate=validate.Length(1, 2000), metadata=said("from the Link header of the page before"))
    limit = fields.Integer(load_default=50, validate=validate.Range(1, MOST_ROWS))
    format = form("a table has all rows; beats Accept")


class ClosedItem(Schema):
    period = fields.String(metadata=said("2026-05"))
    first_on = Day()
    last_on = Day()
    known_at = Instant(metadata=said("the last recording that the close knew of"))
    closed_at = Instant()
    closed_by = fields.String(metadata=said("user:7, token:3, command"))
    sha256 = fields.String(metadata=said("of the bytes that /periods/{month} answers"))


class ClosedList(Schema):
    data = fields.List(fields.Nested(ClosedItem), metadata=said("newest first"))


class ReportBridge(Schema):
    product = Text(metadata=said("SKU; null: all of them"))
    currency = fields.String()
    opening = fields.String(metadata=said("ARR at the end of the month before; opening + all below = closing"))
    new = fields.String()
    reactivation = fields.String()
    expansion = fields.String()
    contraction = fields.String(metadata=said("below zero"))
    churn = fields.String(metadata=said("below zero"))
    transfer = fields.String(metadata=said("between accounts that were merged; adds up to zero"))
    closing = fields.String()


class ReportBookings(Schema):
    product = Text(metadata=said("SKU; null: all of them"))
    currency = fields.String()
    amount = fields.String()
    deals = fields.Integer()


class ReportRatio(Schema):
    value = Text(metadata=said("six digits after the point; null where it is undefined"))
    reason = Text(metadata=said("why it is undefined"))
    numerator_minor = fields.String()
    denominator_minor = fields.String()


class ReportCurrency(Schema):
    currency = Text(metadata=said("null: all, in the reporting currency at the rates of the window's first day"))
    reason = Text(metadata=said("why all together cannot be said"))
    ratios = fields.Dict(keys=fields.String(), values=fields.Nested(ReportRatio), metadata=said("by definition"))


class ReportRetention(Schema):
    since = Day(metadata=said("t0: its end is the window's beginning"))
    until = Day()
    by_currency = fields.List(fields.Nested(ReportCurrency))


class ReportDefinition(Schema):
    id = fields.String()
    name = fields.String()
    unit = fields.String()
    formula = fields.String()
    words = fields.String()
    parameters = fields.Dict(keys=fields.String(), values=fields.String())


class PeriodReport(Schema):
    definition = fields.String()
    period = fields.String()
    first_on = Day()
    last_on = Day()
    as_of = Day()
    known_at = Instant()
    settings = fields.Dict(keys=fields.String(), metadata=said("of the company, that the figures rest on"))
    arr = fields.List(fields.Nested(ReportBridge))
    bookings = fields.List(fields.Nested(ReportBookings))
    retention = fields.Nested(ReportRetention)
    counts = fields.Dict(keys=fields.String(), values=fields.Integer())
    definitions = fields.List(fields.Nested(ReportDefinition))


class RestatementItem(Schema):
    period = fields.String(metadata=said("the closed month"))
    kind = fields.String(metadata=said("movement, booking, or opening"))
    category = fields.String(metadata=said("new, expansion, churn ...; booking; opening"))
    on = Day(metadata=said("the day that it is about"))
    delta = MoneyField(metadata=said("closed + all deltas = current"))
    account_id = fields.Integer(allow_none=True)
    product = Text(metadata=said("SKU"))
    contract_line_id = fields.Integer(allow_none=True)
    deal_id = fields.Integer(allow_none=True)
    deal_system = Text(metadata=said("whose deal it is"))
    deal_external_id = Text(metadata=said("its id there"))
    cause = fields.String(metadata=said("in words"))
    source = fields.String(metadata=said("who or what recorded it: user:7, token:3, command, sync hubspot ..."))
    change_id = fields.Integer(metadata=said("what was recorded at once has one"))
    recorded_at = Instant(attribute="at")


class RestatementList(Schema):
    data = fields.List(fields.Nested(RestatementItem), metadata=said("by month, then in the order of recording"))
    meta = fields.Nested(Meta)

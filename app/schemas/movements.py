"""Movements of recurring revenue on their way out."""

from marshmallow import Schema, fields

from app.schemas.fields import Day, Meta, MoneyField
from app.schemas.parameters import said


class BridgeItem(Schema):
    period = fields.String()
    first_on = Day()
    last_on = Day()
    group = fields.String()
    label = fields.String()
    opening = MoneyField(metadata=said("ARR on the evening before first_on; opening + all movements = closing"))
    new = MoneyField()
    reactivation = MoneyField()
    expansion = MoneyField()
    contraction = MoneyField(metadata=said("signed: below zero"))
    churn = MoneyField(metadata=said("signed: below zero"))
    transfer = MoneyField(metadata=said("between accounts that were merged; zero in total"))
    closing = MoneyField(metadata=said("ARR on the evening of last_on"))


class BridgeAnswer(Schema):
    group_by = fields.String()
    data = fields.List(fields.Nested(BridgeItem))
    meta = fields.Nested(Meta)

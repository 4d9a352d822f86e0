"""Retention of revenue and of accounts on its way out."""

from marshmallow import Schema, fields

from app.schemas.fields import Day, Meta, Text
from app.schemas.parameters import said
from app.schemas.revenue import Fx


class RatioItem(Schema):
    period = fields.String()
    since = Day(metadata=said("t0: the window is from the evening of this day"))
    last_on = Day(metadata=said("t1: to the evening of this one"))
    group = fields.String()
    label = fields.String()
    definition = fields.String(metadata=said("what it means is in /definitions/{id}"))
    value = Text(metadata=said("a decimal number of six digits: 1.030000 is 103 %; null where it is undefined"))
    numerator = fields.String(metadata=said("in currency; the numerators of groups sum up to that of all"))
    denominator = fields.String()
    currency = Text(metadata=said("of both; null where accounts are counted"))
    reason = Text(metadata=said("why there is no value"))


class RevenueRetentionAnswer(Schema):
    group_by = fields.String()
    months = fields.Integer()
    data = fields.List(fields.Nested(RatioItem))
    fx = fields.Nested(Fx)
    meta = fields.Nested(Meta)

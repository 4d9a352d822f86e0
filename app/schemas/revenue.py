"""Bookings and recurring revenue on their way out."""

from marshmallow import Schema, fields

from app.schemas.fields import Day, Meta, MoneyField, Text
from app.schemas.parameters import said


class Fx(Schema):
    """How amounts in other currencies were converted."""

    currency = Text(metadata=said("null: each amount is in its own"))
    basis = Text(metadata=said("booked, constant or period_end; null: nothing had to be converted"))
    on = Day(attribute="constant_on", allow_none=True, metadata=said("the day of a constant rate"))
    reason = Text(metadata=said("why nothing was converted, where that was needed"))


class BookingsItem(Schema):
    period = fields.String()
    first_on = Day()
    last_on = Day()
    group = fields.String()
    label = fields.String()
    amount = MoneyField()
    accounts = fields.Integer()
    deals = fields.Integer(metadata=said("that have any of it; one of several products is in each of them"))


class BookingsAnswer(Schema):
    group_by = fields.String()
    data = fields.List(fields.Nested(BookingsItem))
    fx = fields.Nested(Fx)
    meta = fields.Nested(Meta)


class ArrItem(Schema):
    group = fields.String()
    label = fields.String()
    arr = MoneyField()
    in_grace = MoneyField(metadata=said("the part of it that is no longer paid, in grace"))
    accounts = fields.Integer()
    lines = fields.Integer()


class ArrAnswer(Schema):
    group_by = fields.String()
    data = fields.List(fields.Nested(ArrItem))
    fx = fields.Nested(Fx)
    meta = fields.Nested(Meta)

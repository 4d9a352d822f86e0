"""Renewals on their way out."""

from marshmallow import Schema, fields

from app.schemas.fields import Day, Meta, MoneyField, Number
from app.schemas.parameters import said


class RenewalsItem(Schema):
    period = fields.String()
    first_on = Day()
    last_on = Day()
    group = fields.String()
    label = fields.String()
    due = MoneyField(metadata=said("ARR whose term is over in the period; renewed + reduced + lost + open"))
    renewed = MoneyField(metadata=said("what goes on of it, at most what was due of each line"))
    reduced = MoneyField(metadata=said("what those that renewed took less of"))
    lost = MoneyField()
    open = MoneyField(metadata=said("not decided by as_of: the term, or its grace, is not over"))
    renewal_rate = Number(metadata=said("renewed / (due - open); null where nothing is decided"))
    accounts = fields.Integer()
    lines = fields.Integer()


class RenewalsAnswer(Schema):
    group_by = fields.String()
    data = fields.List(fields.Nested(RenewalsItem))
    meta = fields.Nested(Meta)


class DueLineItem(Schema):
    due_on = Day(metadata=said("the first day after the term"))
    account_id = fields.Integer()
    account = fields.String()
    product_id = fields.Integer()
    line_id = fields.Integer()
    due = MoneyField()
    renewed = MoneyField()
    state = fields.String(metadata=said("open, renewed or lost"))


class DueLinesAnswer(Schema):
    data = fields.List(fields.Nested(DueLineItem))
    meta = fields.Nested(Meta)

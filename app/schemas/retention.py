"""Kaplan-Meier curves on their way out."""

from marshmallow import Schema, fields

from app.schemas.fields import Meta, Number, Numbers, Text
from app.schemas.parameters import said


class GroupRetention(Schema):
    group = fields.String()
    accounts = fields.Integer(metadata=said("under observation; one that left and came back counts twice"))
    churned = fields.Integer(metadata=said("of them"))
    level = Number(metadata=said("of the bounds; .95 is 95 %"))
    months = fields.List(fields.Integer(), metadata=said("of tenure, from 0"))
    retention = Numbers(metadata=said("the share of accounts still there"))
    lower = Numbers()
    upper = Numbers()
    at_risk = fields.List(fields.Integer(), metadata=said("accounts under observation just before the month"))


class RetentionAnswer(Schema):
    group_by = fields.String()
    data = fields.List(fields.Nested(GroupRetention))
    note = Text()
    meta = fields.Nested(Meta)

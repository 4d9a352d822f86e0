"""What winning accounts costs, on its way in and out."""

import re
from datetime import date
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from app.domain.money import MoneyError, parse_money
from app.schemas.fields import Day, Instant, Meta, MoneyField, Number, Text, Whole, check_currency, check_year
from app.schemas.ltv import Terms
from app.schemas.parameters import said

MOST_COSTS = 500
_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])", re.ASCII)


class Month(fields.Field[date]):
    """YYYY-MM."""

    def _serialize(self, value: date | None, *_args: Any, **_kwargs: Any) -> Any:
        return None if value is None else f"{value:%Y-%m}"

    def _deserialize(self, value: Any, *_args: Any, **_kwargs: Any) -> date:
        found = _MONTH.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            raise ValidationError("Must be a month such as 2026-03.")
        month = date(max(1, int(found[1])), int(found[2]), 1)
        check_year(month)
        return month


class Amount(Schema):
    amount = fields.String(required=True, validate=validate.Length(1, 40), metadata=said('a decimal, "1200.00"'))
    currency = fields.String(required=True, validate=check_currency)

    @validates_schema
    def refuse_what_is_no_cost(self, data: dict[str, Any], **_: Any) -> None:
        try:
            money = parse_money(data["amount"], data["currency"])
        except MoneyError as error:
            raise ValidationError(str(error), "amount") from None
        if money.minor < 0:
            raise ValidationError("What was spent is 0 or more.", "amount")


class AcquisitionCost(Schema):
    channel = fields.String(
        required=True, validate=validate.Length(1, 100), metadata=said("as accounts have it: their acquisition channel")
    )
    month = Month(required=True, metadata=said("YYYY-MM"))
    cost = fields.Nested(Amount, required=True, metadata=said("marketing and sales together"))


class AcquisitionCosts(Schema):
    data = fields.List(fields.Nested(AcquisitionCost), required=True, validate=validate.Length(1, MOST_COSTS))

    @validates_schema
    def refuse_two_of_one_month(self, data: dict[str, Any], **_: Any) -> None:
        named = [(each["channel"], each["month"]) for each in data["data"]]
        twice = next((each for each in named if named.count(each) > 1), None)
        if twice:
            raise ValidationError(f"{twice[0]} has two costs in {twice[1]:%Y-%m}; send one.", "data")


class AcquisitionReceipt(Schema):
    added = fields.Integer()
    changed = fields.Integer()
    unchanged = fields.Integer()


class RecordedCost(Schema):
    channel = fields.String()
    month = Month()
    cost = MoneyField()


class RecordedCosts(Schema):
    data = fields.List(fields.Nested(RecordedCost))
    known_at = Instant(allow_none=True)


class MoneyEstimate(Schema):
    value = MoneyField(allow_none=True)
    lower = MoneyField(allow_none=True)
    upper = MoneyField(allow_none=True)


class NumberEstimate(Schema):
    value = Number()
    lower = Number()
    upper = Number(metadata=said("null: there is none; of payback, later than 60 months"))


class ChannelCost(Schema):
    channel = Text(metadata=said("null: all accounts and all spend together"))
    months = fields.Integer(metadata=said("that have a cost, of the 12"))
    spent = MoneyField(allow_none=True)
    won = Whole(metadata=said("accounts that began for the first time in those months"))
    cac = fields.Nested(MoneyEstimate, allow_none=True)
    ltv_new = MoneyField(allow_none=True)
    ltv_to_cac = fields.Nested(NumberEstimate, allow_none=True)
    cac_payback_months = fields.Nested(NumberEstimate, allow_none=True)
    note = Text(metadata=said("why a figure is missing"))


class Acquisition(Schema):
    data = fields.List(fields.Nested(ChannelCost))
    total = fields.Nested(ChannelCost)
    since = Day(metadata=said("the first day of the months that count"))
    until = Day(metadata=said("the day after the last"))
    costs_known_at = Instant(metadata=said("costs are those known at that instant, values those of the run"))
    terms = fields.Nested(Terms)
    level = fields.Integer(metadata=said("of the intervals, in %"))
    meta = fields.Nested(Meta)

"""Lifetime values on their way out."""

from marshmallow import Schema, fields

from app.schemas.accounts import AccountItem
from app.schemas.fields import Meta, MoneyField, Number, Numbers, Text
from app.schemas.parameters import said


class Terms(Schema):
    horizon_months = fields.Integer()
    annual_discount_rate = Number()
    gross_margin = Number()


class Values(Schema):
    ltv_residual = MoneyField(allow_none=True)
    ltv_residual_lower = MoneyField(allow_none=True)
    ltv_residual_upper = MoneyField(allow_none=True)
    ltv_expansion = MoneyField(allow_none=True, metadata=said("what growth, or shrinking, of those that stay adds"))
    ltv_total = MoneyField(allow_none=True, metadata=said("residual and expansion"))


HISTORICAL = "gross margin earned to date, not discounted"
FORMULA = "ARPA x margin / logo churn a month over the last 12 months; other tools' LTV"


class FullValues(Values):
    extrapolated_share = Number(metadata=said("of the residual value: from months beyond the observed tenure"))


class AccountLtv(FullValues):
    ltv_formula = MoneyField(allow_none=True, metadata=said(f"{FORMULA}; its own revenue, its segment's churn"))
    ltv_historical = MoneyField(allow_none=True, metadata=said(HISTORICAL))
    account_id = fields.Integer()
    status = fields.String()
    arr = MoneyField(allow_none=True)
    level = fields.Integer(metadata=said("of the interval, in %"))
    terms = fields.Nested(Terms)
    note = Text()
    meta = fields.Nested(Meta)


class AccountBrief(AccountItem):
    class Meta:
        fields = ("id", "name", "segment", "channel", "status", "basis", "renewal_on", "tenure_months")


class LtvItem(Values):
    account = fields.Nested(AccountBrief)
    arr = MoneyField(allow_none=True)
    churn_probability = Number()
    ltv_historical = MoneyField(allow_none=True, metadata=said(f"{HISTORICAL}, at the company's own margins"))


class LtvList(Schema):
    data = fields.List(fields.Nested(LtvItem))
    terms = fields.Nested(Terms)
    level = fields.Integer(metadata=said("of the intervals, in %"))
    meta = fields.Nested(Meta)


class LeftOut(Schema):
    accounts = fields.Integer(metadata=said("in ARR, but without a forecast: in grace, or begun on the very day"))
    arr = MoneyField(metadata=said("of those accounts"))


class Realised(Schema):
    lower = MoneyField()
    upper = MoneyField()


class GroupLtv(FullValues):
    realised = fields.Nested(
        Realised,
        allow_none=True,
        metadata=said("interval of what will come in: that of the value, and the chance of who leaves, together"),
    )
    ltv_formula_per_account = MoneyField(
        allow_none=True, metadata=said(f"{FORMULA}; of one average account of the group, not of all of them together")
    )
    group = fields.String(metadata=said("of products the SKU, of owners the id of the person"))
    label = fields.String(metadata=said("what people call it"))
    accounts = fields.Integer(metadata=said("live on the day and scored"))
    arr = MoneyField(metadata=said("of those accounts"))
    left_out = fields.Nested(LeftOut)


class LtvSummary(Schema):
    group_by = fields.String()
    data = fields.List(fields.Nested(GroupLtv))
    terms = fields.Nested(Terms)
    level = fields.Integer(metadata=said("of the intervals, in %; from joint draws, not from adding bounds"))
    note = Text()
    meta = fields.Nested(Meta)


class RetentionSeries(Schema):
    estimate = Numbers()
    lower = Numbers()
    upper = Numbers()


class NewLtv(Schema):
    group = fields.String()
    accounts = fields.Integer(metadata=said("that began in the 12 months before as_of, whose mean this is"))
    mrr = MoneyField(metadata=said("of one of them, in its first month"))
    ltv_new = MoneyField(allow_none=True)
    ltv_new_lower = MoneyField(allow_none=True)
    ltv_new_upper = MoneyField(allow_none=True)
    ltv_expansion = MoneyField(allow_none=True, metadata=said("what growth, or shrinking, of those that stay adds"))
    ltv_total = MoneyField(allow_none=True, metadata=said("both"))
    ltv_formula = MoneyField(allow_none=True, metadata=said(FORMULA))
    extrapolated_share = Number(metadata=said("of ltv_new: from months beyond the observed tenure"))
    revenue_retention = fields.Nested(
        RetentionSeries, allow_none=True, metadata=said("R by month from 0 to 60, of the revenue of its first month")
    )
    note = Text()


class NewLtvList(Schema):
    group_by = fields.String()
    data = fields.List(fields.Nested(NewLtv))
    terms = fields.Nested(Terms)
    level = fields.Integer(metadata=said("of the intervals, in %"))
    note = Text()
    meta = fields.Nested(Meta)

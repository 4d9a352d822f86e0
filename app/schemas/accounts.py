"""Accounts on their way out."""

from marshmallow import Schema, fields

from app.domain.health_change import PARTS
from app.schemas.fields import Day, Meta, MoneyField, Number, Numbers, Text, Whole
from app.schemas.health import OverrideItem
from app.schemas.parameters import said


class LeaveItem(Schema):
    given_on = Day()
    leaves_on = Day(metadata=said("the first day that is not paid for"))
    cause = Text(metadata=said("voluntary, payment_failure, closed"))


LEAVING = said("where a notice ends all that the account pays for; no forecast is made of it then")


class AccountItem(Schema):
    id = fields.Integer()
    name = Text()
    segment = Text()
    industry = Text()
    country = Text()
    employees = Whole()
    channel = Text(metadata=said("of acquisition"))
    campaign = Text()
    parent_id = Whole()
    status = Text(metadata=said("live, in_grace, churned, upcoming, not_applicable; null: not scored yet"))
    basis = Text(metadata=said("what the figures rest on: account, segment, prior or not_applicable"))
    started_on = Day(allow_none=True)
    tenure_months = Whole()
    renewal_on = Day(allow_none=True, metadata=said("the first day after the present term"))
    arr = MoneyField(allow_none=True)
    health = Number(metadata=said("0 to 100; null: withheld, or none"))
    band = Text(metadata=said("healthy, watch, at_risk"))
    coverage = Number(metadata=said("0 to 1: how much of what health rests on is known"))
    override = fields.Nested(OverrideItem, allow_none=True, metadata=said("what somebody has set beside it, in force"))
    churn_probability = Number(metadata=said("within 12 months"))
    leaving = fields.Nested(LeaveItem, allow_none=True, metadata=LEAVING)
    ltv_residual = MoneyField(allow_none=True, metadata=said("at the company's horizon, discount and margin"))


class AccountList(Schema):
    data = fields.List(fields.Nested(AccountItem))
    meta = fields.Nested(Meta)


class ExternalIdItem(Schema):
    system = fields.String()
    kind = fields.String()
    external_id = fields.String()


class ProductItem(Schema):
    sku = fields.String()
    name = fields.String()
    plan = Text()


class AccountFull(AccountItem):
    custom = fields.Dict(keys=fields.String(), metadata=said("the fields that the company declared"))
    external_ids = fields.List(fields.Nested(ExternalIdItem))
    products = fields.List(fields.Nested(ProductItem), metadata=said("of live contract lines"))
    note = Text(metadata=said("why figures are missing, if they are"))
    meta = fields.Nested(Meta)


class ByCause(Schema):
    voluntary = Number(metadata=said("they decide to leave"))
    payment_failure = Number()
    closed = Number(metadata=said("acquired, or out of business"))


class ChurnWithin(Schema):
    months = fields.Integer()
    probability = Number()
    lower = Number()
    upper = Number()
    by_cause = fields.Nested(ByCause, allow_none=True, metadata=said("they add up to the probability"))


class Driver(Schema):
    name = fields.String(metadata=said("of an input of the model, tenure, contract, or notice where one was given"))
    dimension = fields.String()
    contribution = Number(metadata=said("in the logit of the risk; above 0 is risk"))
    value = Number(metadata=said("null: missing"))
    is_known = fields.Boolean(metadata=said("false: missing, or as last known before its feed fell silent"))
    is_learned = fields.Boolean(metadata=said("from this company's churns; otherwise the default weight"))
    churns = Whole(metadata=said("how many churns it was learned from"))


class Dimension(Schema):
    name = fields.String()
    contribution = Number()
    is_known = fields.Boolean(metadata=said("false: no data, or none that is fresh"))


class HealthOn(Schema):
    on = Day(metadata=said("the day asked about"))
    as_of = Day(metadata=said("of the run that it is taken from: the last one as of that day or before"))
    health = Number(metadata=said("as calculated, 0 to 100; null: withheld, or none"))
    band = Text()
    override = Number(metadata=said("what somebody had set instead by the end of the day; null: nobody"))
    override_band = Text()
    shown = Number(metadata=said("the override where there is one, else the calculated"))


class HealthPart(Schema):
    name = fields.String(metadata=said(", ".join(PARTS)))
    points = Number(metadata=said("what it moved the shown score by"))


class DriverMove(Schema):
    name = fields.String()
    dimension = fields.String()
    earlier_value = Number(metadata=said("null: missing"))
    later_value = Number(metadata=said("null: missing"))
    moved = Number(metadata=said("of its contribution, in the logit of the risk; above 0 is more risk"))


class HealthChange(Schema):
    earlier = fields.Nested(HealthOn)
    later = fields.Nested(HealthOn)
    moved = Number(metadata=said("points, later less earlier; null where it cannot be split"))
    parts = fields.List(
        fields.Nested(HealthPart), metadata=said("in the order in which they were replaced; they add up")
    )
    drivers = fields.List(fields.Nested(DriverMove), metadata=said("whose contribution moved most, first"))
    note = Text(metadata=said("why there are no parts, if there are none"))


class AccountHealth(Schema):
    account_id = fields.Integer()
    status = fields.String()
    health = Number(metadata=said("0 to 100; null: withheld, or none"))
    band = Text()
    coverage = Number()
    risk = Number(metadata=said("the yearly churn probability that health maps"))
    override = fields.Nested(OverrideItem, allow_none=True, metadata=said("what somebody has set beside it, in force"))
    leaving = fields.Nested(LeaveItem, allow_none=True, metadata=LEAVING)
    churn_within = fields.List(fields.Nested(ChurnWithin), metadata=said("bounds at 90 %"))
    renewal_churn_probability = Number(metadata=said("up to and at the next renewal"))
    renewal_on = Day(allow_none=True)
    arr_at_risk = MoneyField(allow_none=True, metadata=said("ARR x probability of churn within 12 months"))
    reference_logit = Number(metadata=said("of the reference account; the contributions are added to it"))
    drivers = fields.List(fields.Nested(Driver), metadata=said("the largest first"))
    dimensions = fields.List(fields.Nested(Dimension))
    change = fields.Nested(HealthChange, allow_none=True, metadata=said("with compare_with: what moved it since"))
    note = Text()
    meta = fields.Nested(Meta)


class CurveSeries(Schema):
    estimate = Numbers()
    lower = Numbers()
    upper = Numbers()


class AccountRetention(Schema):
    account_id = fields.Integer()
    status = fields.String()
    level = fields.Integer(metadata=said("of the bounds, in %"))
    months = fields.List(fields.Integer(), metadata=said("ahead of as_of, from 0"))
    account_retention = fields.Nested(
        CurveSeries, allow_none=True, metadata=said("S: the probability that the account is still there")
    )
    revenue_retention = fields.Nested(
        CurveSeries, allow_none=True, metadata=said("R: of its revenue; skips risk inside a non-cancellable term")
    )
    supported_months = Whole(metadata=said("beyond this month the curve is extrapolated"))
    note = Text()
    meta = fields.Nested(Meta)

"""Definitions and the model on their way out."""

from marshmallow import Schema, fields

from app.schemas.fields import Meta
from app.schemas.parameters import said


class DefinitionItem(Schema):
    id = fields.String()
    name = fields.String()
    unit = fields.String()
    formula = fields.String()
    words = fields.String()
    parameters = fields.Dict(keys=fields.String(), values=fields.String())


class DefinitionList(Schema):
    data = fields.List(fields.Nested(DefinitionItem))


class Estimate(Schema):
    value = fields.Float(allow_none=True)
    lower = fields.Float(allow_none=True)
    upper = fields.Float(allow_none=True)


class Ranking(Schema):
    months = fields.Integer()
    churns = fields.Integer(metadata=said("how many left within these months"))
    auc = fields.Nested(Estimate)


class RiskGroup(Schema):
    accounts = fields.Integer()
    forecast = fields.Float(metadata=said("mean probability to leave within 12 months"))
    expected = fields.Float()
    observed = fields.Integer()
    observed_share = fields.Nested(Estimate)


class BacktestFigures(Schema):
    accounts = fields.Integer()
    churns = fields.Integer()
    undecided = fields.Integer(metadata=said("left out: their term is over, and nobody knows yet whether they renew"))
    expected = fields.Float()
    ratio = fields.Nested(Estimate, metadata=said("expected over observed"))
    rankings = fields.List(fields.Nested(Ranking))
    brier = fields.Float()
    accuracy = fields.Nested(
        Estimate, metadata=said("IPA: 1 - Brier score / that of Kaplan-Meier by kind of contract, from each age on")
    )
    slope = fields.Float(allow_none=True, metadata=said("of calibration; 1 is right, below is too bold"))
    calibration_error = fields.Float()
    lift = fields.Float(allow_none=True, metadata=said("of the riskiest tenth"))
    groups = fields.List(fields.Nested(RiskGroup), metadata=said("tenths by forecast, the safest first"))
    ranking = fields.String(metadata=said("learned, chance (no better than), or unknown (fewer than 20 churns)"))
    total = fields.String(metadata=said("right, too_many, too_few, or unknown"))


class MissedAccount(Schema):
    account_id = fields.Integer()
    probability = fields.Float()
    rank = fields.Integer(metadata=said("1 is the safest"))
    churned_on = fields.Date()


class BacktestReport(Schema):
    reason = fields.String(
        allow_none=True, metadata=said("why there is none: not_run, too_young, nobody, no_fit, segment, not_applicable")
    )
    origin_on = fields.Date(allow_none=True, metadata=said("the day of the forecast; the year after it is what came"))
    learned_from_churns = fields.Integer()
    is_sample = fields.Boolean(metadata=said("of a part of the accounts, drawn at random"))
    backtest = fields.Nested(BacktestFigures, allow_none=True, metadata=said("intervals at 95 %"))
    n_missed = fields.Integer(metadata=said("left although half of all or more had been rated riskier"))
    missed = fields.List(fields.Nested(MissedAccount), metadata=said("the safest of them"))


class CurrentModel(Schema):
    id = fields.Integer(attribute="run.id")
    kind = fields.String(attribute="run.kind")
    basis = fields.String(attribute="run.basis")
    basis_reason = fields.String(attribute="run.basis_reason")
    sha256 = fields.String(attribute="run.sha256", metadata=said("of the fitted model's numbers"))
    report = fields.Dict(keys=fields.String(), metadata=said("what the run says of itself: counts, guards"))
    evaluation = fields.Nested(
        BacktestReport, metadata=said("the model of a year ago, held against the year that came")
    )
    meta = fields.Nested(Meta)

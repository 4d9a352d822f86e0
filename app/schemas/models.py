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


class Slice(Schema):
    by = fields.String(metadata=said("contract (term or monthly) or segment"))
    name = fields.String()
    accounts = fields.Integer()
    expected = fields.Float()
    observed = fields.Integer()
    ratio = fields.Nested(Estimate, metadata=said("expected over observed"))


class TopList(Schema):
    accounts = fields.Integer(
        metadata=said("as many of the riskiest as the team can work on: the setting team_capacity")
    )
    churns = fields.Float(metadata=said("how many of them left; of ties at the edge what chance would take"))
    precision = fields.Nested(Estimate, metadata=said("share of the list that left"))
    caught = fields.Nested(Estimate, metadata=said("share of those that left who were on the list"))
    lift = fields.Nested(Estimate, metadata=said("precision over the share of all that left"))


class BacktestFigures(Schema):
    way = fields.String(
        metadata=said(
            "learned, defaults (the default weights), or a rule to beat: kaplan_meier (by contract), usage_trend (of "
            "the last 90 days), days_to_renewal, equal_points. The last three only put accounts into an order: "
            "figures of how many are null"
        )
    )
    accounts = fields.Integer(attribute="figures.accounts")
    churns = fields.Integer(attribute="figures.churns")
    undecided = fields.Integer(
        attribute="figures.undecided",
        metadata=said("left out: their term is over, and nobody knows yet whether they renew"),
    )
    expected = fields.Float(attribute="figures.expected", allow_none=True)
    ratio = fields.Nested(Estimate, attribute="figures.ratio", metadata=said("expected over observed"))
    rankings = fields.List(fields.Nested(Ranking), attribute="figures.rankings")
    brier = fields.Nested(Estimate, attribute="figures.brier")
    accuracy = fields.Nested(
        Estimate,
        attribute="figures.accuracy",
        metadata=said("IPA: 1 - Brier score / that of Kaplan-Meier by kind of contract, from each age on"),
    )
    slope = fields.Nested(
        Estimate, attribute="figures.slope", metadata=said("of calibration; 1 is right, below is too bold")
    )
    calibration_error = fields.Nested(
        Estimate, attribute="figures.calibration_error", metadata=said("mean gap of the tenths")
    )
    error_by_chance = fields.Float(
        attribute="figures.error_by_chance",
        allow_none=True,
        metadata=said("the calibration error that a right forecast stays below in 19 of 20"),
    )
    lift = fields.Nested(Estimate, attribute="figures.lift", metadata=said("of the riskiest tenth"))
    top = fields.Nested(TopList, attribute="figures.top")
    groups = fields.List(
        fields.Nested(RiskGroup), attribute="figures.groups", metadata=said("tenths by forecast, the safest first")
    )
    slices = fields.List(fields.Nested(Slice), attribute="figures.slices")
    ranking = fields.String(
        attribute="figures.ranking",
        metadata=said("learned, chance (no better than), or unknown (fewer than 20 churns)"),
    )
    total = fields.String(attribute="figures.total", metadata=said("right, too_many, too_few, or unknown"))


class MissedAccount(Schema):
    account_id = fields.Integer()
    probability = fields.Float()
    rank = fields.Integer(metadata=said("1 is the safest"))
    churned_on = fields.Date()


class YearBehind(Schema):
    origin_on = fields.Date(metadata=said("the day of the forecasts; the year after it is what came"))
    reason = fields.String(allow_none=True, metadata=said("why there is no forecast: too_young, nobody, no_fit"))
    learned_from_churns = fields.Integer(metadata=said("what was known by then"))
    ways = fields.List(fields.Nested(BacktestFigures), metadata=said("intervals at 95 %"))
    n_missed = fields.Integer(metadata=said("left although half of all or more had been rated riskier"))
    missed = fields.List(fields.Nested(MissedAccount), metadata=said("the safest of them"))


class Gate(Schema):
    verdict = fields.String(metadata=said("learned or defaults: which weights are shown"))
    reason = fields.String(metadata=said("passed, few (under 20 churns), not_judged, less_accurate, wrong_total"))
    years = fields.Integer(metadata=said("how many of the years behind it rests on"))
    accounts = fields.Integer()
    churns = fields.Integer()
    gain = fields.Nested(Estimate, metadata=said("IPA of what was learned less that of the default weights"))
    standard_error = fields.Float(allow_none=True, metadata=said("of the gain"))
    ratio = fields.Nested(Estimate, metadata=said("expected over observed of what was learned"))


class InputDrift(Schema):
    name = fields.String()
    mean_then = fields.Float(allow_none=True, metadata=said("over the months that were learned from"))
    mean_now = fields.Float(allow_none=True, metadata=said("of the accounts that are scored"))
    missing_then = fields.Float(metadata=said("share"))
    missing_now = fields.Float()
    index = fields.Float(metadata=said("population stability index: 0.1 is a shift, 0.25 a change"))
    index_by_chance = fields.Float(
        metadata=said("what chance, or a day like any other, would show; a verdict only beyond it")
    )
    verdict = fields.String(metadata=said("stable, shifted, changed, or unknown (fewer than 20 accounts)"))


class Since(Schema):
    run_id = fields.Integer()
    as_of = fields.Date()
    months = fields.Integer(attribute="found.months")
    accounts = fields.Integer(attribute="found.accounts")
    churns = fields.Integer(attribute="found.churns")
    undecided = fields.Integer(attribute="found.undecided")
    expected = fields.Float(attribute="found.expected")
    ratio = fields.Nested(Estimate, attribute="found.ratio")
    auc = fields.Nested(Estimate, attribute="found.auc")
    total = fields.String(attribute="found.total", metadata=said("right, too_many, too_few, or unknown"))


class Evaluation(Schema):
    reason = fields.String(
        allow_none=True,
        metadata=said("why no year was looked back on: not_run, too_young, nobody, no_fit, segment, not_applicable"),
    )
    is_sample = fields.Boolean(metadata=said("of a part of the accounts, drawn at random"))
    gate = fields.Nested(Gate, metadata=said("whether what was learned is shown, or the default weights"))
    years = fields.List(fields.Nested(YearBehind), metadata=said("the latest first"))
    since = fields.List(
        fields.Nested(Since), metadata=said("what published runs said, against what has happened since")
    )
    inputs = fields.List(
        fields.Nested(InputDrift), metadata=said("the accounts that are scored, against the months learned from")
    )


class CurrentModel(Schema):
    id = fields.Integer(attribute="run.id")
    kind = fields.String(attribute="run.kind")
    basis = fields.String(attribute="run.basis")
    basis_reason = fields.String(attribute="run.basis_reason")
    sha256 = fields.String(attribute="run.sha256", metadata=said("of the fitted model's numbers"))
    report = fields.Dict(keys=fields.String(), metadata=said("what the run says of itself: counts, guards"))
    evaluation = fields.Nested(Evaluation, metadata=said("how right the model was, and whether it still fits"))
    meta = fields.Nested(Meta)

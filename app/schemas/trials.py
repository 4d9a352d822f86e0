"""Weights of health that are tried out, in and out."""

from marshmallow import Schema, fields, validate

from app.schemas.fields import Instant, Number, Text
from app.schemas.health import EstimateItem
from app.schemas.parameters import said

BY_SEGMENT = (
    'by segment ("" is every other) and dimension, what multiplies its contribution to the logit of the risk: 0 to 3, '
    "1 is as calculated; one that is not named is 1"
)


class AccuracyItem(Schema):
    auc = fields.Nested(EstimateItem)
    brier = fields.Nested(EstimateItem)
    ratio = fields.Nested(EstimateItem, metadata=said("expected over observed"))


class AlertsItem(Schema):
    in_force = Number()
    tried = Number()


class AccuraciesItem(Schema):
    in_force = fields.Nested(AccuracyItem)
    tried = fields.Nested(AccuracyItem)


class GainItem(Schema):
    brier = fields.Nested(EstimateItem, metadata=said("of those in force less of those tried: above 0 is better"))
    verdict = fields.String(metadata=said("nearer, farther, no_difference; too_few: fewer than 20 left"))


class FlippedItem(Schema):
    account_id = fields.Integer()
    before = fields.String(metadata=said("the band under the weights in force"))
    after = fields.String(metadata=said("under those tried"))


class FoundItem(Schema):
    as_of = fields.String(metadata=said("of the published run, by whose model the bands of today are compared"))
    weights_in_force = fields.Dict(
        keys=fields.String(),
        values=fields.Dict(),
        metadata=said("when it was replayed: what those tried are held against"),
    )
    accounts = fields.Integer(metadata=said("of which both bands of today were compared"))
    flips = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        metadata=said("accounts by the move of their band, as watch>at_risk"),
    )
    flipped = fields.List(fields.Nested(FlippedItem), metadata=said("200 at most, those with the highest ARR first"))
    origin_on = fields.String(metadata=said("the day a year ago on which the model is fitted, on what was known then"))
    followed = fields.Integer(metadata=said("accounts whose year was replayed; of more than 20,000 a sample"))
    is_sample = fields.Boolean()
    alerts_a_day = fields.Nested(
        AlertsItem, metadata=said("accounts of the whole company that came to be at risk, month by month, a day")
    )
    judged = fields.Integer(metadata=said("accounts whose year after that day is known"))
    left = fields.Integer(metadata=said("of these, by their own choice"))
    left_otherwise = fields.Integer(metadata=said("not judged: they left for another cause"))
    undecided = fields.Integer(metadata=said("not judged: in grace at the end"))
    accuracy = fields.Nested(AccuraciesItem, metadata=said("of both over that year, bounds at 95 %"))
    gain = fields.Nested(GainItem)


class ReplayItem(Schema):
    done = fields.Integer()
    steps = fields.Integer()
    found = fields.Nested(FoundItem, metadata=said("at the end"))


class TrialItem(Schema):
    id = fields.Integer()
    name = fields.String()
    state = fields.String(metadata=said("waiting, running, replayed, published or failed"))
    weights = fields.Dict(keys=fields.String(), values=fields.Dict(), metadata=said(BY_SEGMENT))
    actor = fields.String()
    created_at = Instant()
    replay = fields.Nested(ReplayItem, allow_none=True)
    replayed_at = Instant(allow_none=True)
    error = Text(metadata=said("why it could not be replayed"))
    published_at = Instant(allow_none=True)
    published_by = Text()


class TrialList(Schema):
    data = fields.List(fields.Nested(TrialItem), metadata=said("newest first"))


class TrialBody(Schema):
    name = fields.String(required=True, validate=validate.Length(1, 200))
    weights = fields.Dict(required=True, keys=fields.String(), values=fields.Dict(), metadata=said(BY_SEGMENT))

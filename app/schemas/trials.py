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
    as_calculated = Number()
    tried = Number()


class AccuraciesItem(Schema):
    as_calculated = fields.Nested(AccuracyItem)
    tried = fields.Nested(AccuracyItem)


class FoundItem(Schema):
    origin_on = fields.String(metadata=said("the day a year ago on which the model is fitted, on what was known then"))
    accounts = fields.Integer(metadata=said("of which both bands were compared; of many a sample"))
    flips = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        metadata=said("accounts by the move of their band, as watch>at_risk"),
    )
    flipped = fields.List(fields.Integer(), metadata=said("their ids, 50 at most"))
    alerts_a_day = fields.Nested(AlertsItem, metadata=said("accounts that came to be at risk, month by month, a day"))
    judged = fields.Integer(metadata=said("accounts whose year after that day is known"))
    left = fields.Integer()
    accuracy = fields.Nested(AccuraciesItem, metadata=said("of both over that year, bounds at 95 %"))


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

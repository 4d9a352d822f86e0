"""Health that people set beside the calculated one, and the pulse, in and out."""

from marshmallow import Schema, fields, validate

from app.schemas.fields import Day, Instant, Number, Text
from app.schemas.parameters import BANDS, one_of, said

LONGEST_TEXT = 2_000


class OverrideItem(Schema):
    band = fields.String(metadata=said("what somebody has set beside the calculated band; that one stays what it is"))
    score = Number(metadata=said("the middle of the band, 0 to 100"))
    reason = Text(metadata=said("null without the scope notes:read"))
    actor = fields.String(metadata=said("who: user:7, token:3"))
    begins_at = Instant()
    expires_on = Day(metadata=said("the first day on which it no longer counts"))
    calculated = Number(metadata=said("the score when it was set; null: withheld, or none"))


class OverrideFull(OverrideItem):
    id = fields.Integer()
    is_in_force = fields.Boolean()
    ended_at = Instant(allow_none=True, metadata=said("by hand or by the next one; null: it expires by itself"))
    ended_by = Text(metadata=said("who ended it; expiry: the next one was set after it had expired"))


class OverrideList(Schema):
    data = fields.List(fields.Nested(OverrideFull), metadata=said("newest first"))


class OverrideBody(Schema):
    band = fields.String(required=True, validate=one_of(*BANDS))
    reason = fields.String(required=True, validate=validate.Length(1, LONGEST_TEXT))
    expires_on = Day(required=True, metadata=said("tomorrow at the earliest, 365 days from now at the latest"))


class EstimateItem(Schema):
    value = Number()
    lower = Number()
    upper = Number()


class OverrideJudgement(Schema):
    n = fields.Integer(metadata=said("overrides whose year is over and of which is known what came"))
    accounts = fields.Integer()
    left = fields.Integer(metadata=said("accounts of these that left within the year, by their choice"))
    override_brier = fields.Nested(EstimateItem, attribute="override", metadata=said("bounds at 95 %; 0 is best"))
    score_brier = fields.Nested(EstimateItem, attribute="score", metadata=said("of the score on the same days"))
    gain = fields.Nested(
        EstimateItem, metadata=said("the score's less the override's: above 0 the override was nearer")
    )
    nearer = fields.String(metadata=said("override, score, neither, or unknown: not enough data"))
    waiting = fields.Integer(metadata=said("their year is not over"))
    left_out = fields.Integer(metadata=said("no score beside it, taken back the same day, or nobody knows what came"))


class PulseItem(Schema):
    value = fields.Integer(metadata=said("1 (bad) to 5 (good)"))
    note = Text(metadata=said("null without the scope notes:read"))
    actor = fields.String()
    given_at = Instant()


class PulseList(Schema):
    data = fields.List(fields.Nested(PulseItem), metadata=said("newest first"))


class PulseBody(Schema):
    value = fields.Integer(required=True, strict=True, validate=validate.Range(1, 5))
    note = fields.String(load_default=None, allow_none=True, validate=validate.Length(0, LONGEST_TEXT))

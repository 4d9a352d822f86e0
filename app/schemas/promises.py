"""What sales promised along with deals, in and out."""

from marshmallow import Schema, fields, validate

from app.schemas.fields import Day, Instant, Text
from app.schemas.parameters import one_of, said

LONGEST_REASON = 2_000
OPEN = "open"
STATES = (OPEN, "kept", "broken", "dropped")


class PromiseStep(Schema):
    state = fields.String()
    actor = fields.String(metadata=said("who: user:7, token:3"))
    moved_at = Instant()
    reason = Text(metadata=said("null: none was given, or without the scope notes:read"))


class PromiseItem(Schema):
    id = fields.Integer(metadata=said("of the promise as it stands now: another once something of it changes"))
    deal_id = fields.Integer()
    deal = Text(metadata=said("the name of the deal that it came with"))
    kind = fields.String(metadata=said("goal, date, stakeholder or note"))
    text = Text(metadata=said("null without the scope notes:read"))
    due_on = Day(allow_none=True)
    state = fields.String(metadata=said("open, kept, broken, or dropped"))
    is_overdue = fields.Boolean(metadata=said("open, and its day has passed"))
    steps = fields.List(fields.Nested(PromiseStep), metadata=said("what was said of it, newest first"))


class PromiseList(Schema):
    data = fields.List(fields.Nested(PromiseItem), metadata=said("open ones first, by the day they are due"))


class PromiseBody(Schema):
    state = fields.String(
        required=True, validate=one_of(*STATES), metadata=said("open takes back what was said of it before")
    )
    reason = fields.String(
        load_default="",
        validate=validate.Length(0, LONGEST_REASON),
        metadata=said("needed for broken and dropped"),
    )

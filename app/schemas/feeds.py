"""Feeds out: whether data still comes, and how far a CRM was read."""

from marshmallow import Schema, fields

from app.schemas.fields import Instant, Text, Whole


class Reading(Schema):
    noun = fields.String(metadata={"description": "owner, company, contact, product or deal: read in this order"})
    synced_until = Instant(allow_none=True, metadata={"description": "all that changed in the CRM before was read"})
    is_first = fields.Boolean(metadata={"description": "it was never read to its end"})
    is_under_way = fields.Boolean()
    read = fields.Integer(metadata={"description": "of what is under way, or was read last"})
    total = Whole(metadata={"description": "of how many; null where the CRM does not say"})
    seconds_left = Whole(metadata={"description": "at the pace since it began; null where that cannot be told"})


class WaitingReview(Schema):
    noun = fields.String()
    gone = fields.Integer(metadata={"description": "so many are gone from the CRM; nothing was withdrawn"})
    known = fields.Integer()
    opened_at = Instant()


class CrmOfFeed(Schema):
    kind = fields.String()
    paused_at = Instant(allow_none=True)
    is_loading = fields.Boolean(metadata={"description": "the first load is under way"})
    readings = fields.List(fields.Nested(Reading))
    refused = fields.Integer(metadata={"description": "things that could not be recorded, or wait for another"})
    reviews = fields.List(fields.Nested(WaitingReview), metadata={"description": "what waits for a person"})


class Feed(Schema):
    kind = fields.String(metadata={"description": "import, events, sync (a CRM) or api"})
    name = fields.String()
    last_seen_at = Instant(allow_none=True)
    expected_hours = Whole(metadata={"description": "data should come at least this often; null: it is not watched"})
    silent_since = Instant(allow_none=True)
    error = Text(metadata={"description": "why nothing could be taken in; null once it could"})
    failed_at = Instant(allow_none=True)
    crm = fields.Nested(CrmOfFeed, allow_none=True, metadata={"description": "of a CRM that is connected"})


class FeedList(Schema):
    data = fields.List(fields.Nested(Feed))

"""Webhook endpoints and deliveries in and out. A secret goes out once, an address never."""

from marshmallow import Schema, fields, validate

from app.schemas.fields import Instant, Text, Whole
from app.schemas.parameters import MOST_ROWS, one_of, said

# The services know what these mean; here they are what may be sent and answered.
TYPES = ("expansion_opportunity.flagged", "expansion_opportunity.updated", "feed.stale")
FORMATS = ("standard",)
STATES = ("pending", "delivered", "dead", "dropped")
SECRET = said("whsec_...: what receivers verify signatures with; it is shown this once")


def _types(*, is_required: bool) -> fields.List[str]:
    return fields.List(
        fields.String(validate=one_of(*TYPES)),
        required=is_required,
        validate=validate.Length(1, len(TYPES)),
        metadata=said("which messages it gets"),
    )


class NewEndpointBody(Schema):
    name = fields.String(required=True, validate=validate.Length(1, 100))
    url = fields.String(required=True, validate=validate.Length(1, 2000), metadata=said("https; kept encrypted"))
    types = _types(is_required=True)
    format = fields.String(load_default="standard", validate=one_of(*FORMATS))


class EndpointBody(Schema):
    name = fields.String(validate=validate.Length(1, 100))
    url = fields.String(validate=validate.Length(1, 2000), metadata=said("https; kept encrypted"))
    types = _types(is_required=False)
    format = fields.String(validate=one_of(*FORMATS))
    is_enabled = fields.Boolean(
        truthy={True}, falsy={False}, metadata=said("switching off drops what is pending; nothing is kept meanwhile")
    )


class RotateBody(Schema):
    overlap_hours = fields.Integer(
        strict=True,
        load_default=24,
        validate=validate.Range(0, 168),
        metadata=said("how long messages carry the old signature, too; 0 ends a secret that became known"),
    )


class EndpointItem(Schema):
    id = fields.Integer()
    name = fields.String()
    origin = fields.String(metadata=said("scheme, host and port of its address"))
    types = fields.List(fields.String())
    format = fields.String()
    is_enabled = fields.Boolean()
    disabled_at = Instant(allow_none=True)
    disabled_reason = Text(metadata=said("switched_off, gone (it answered 410), given_up (five messages in a row)"))
    old_secrets_until = Instant(allow_none=True, metadata=said("until when a replaced secret's signature is sent, too"))
    last_delivered_at = Instant(allow_none=True)
    pending = fields.Integer(metadata=said("messages on their way"))
    dead = fields.Integer(metadata=said("messages given up, of the last 30 days"))
    created_at = Instant()


class EndpointList(Schema):
    data = fields.List(fields.Nested(EndpointItem))


class MadeEndpoint(EndpointItem):
    secret = fields.String(metadata=SECRET)


class NewSecret(Schema):
    secret = fields.String(metadata=SECRET)
    old_until = Instant(metadata=said("until when the old secret counts, too"))


class Tested(Schema):
    delivery_id = fields.Integer()
    message_id = fields.String(metadata=said("the header webhook-id"))
    state = fields.String(metadata=said("delivered, dead, or dropped (it answered 410)"))
    status = Whole(metadata=said("of the answer; null where there was none"))
    error = Text(metadata=said("why there was no answer"))
    duration_ms = fields.Integer()


class DeliveryParameters(Schema):
    endpoint_id = fields.Integer(validate=validate.Range(1, 10**15))
    state = fields.List(fields.String(validate=one_of(*STATES)), metadata=said("may be repeated; any of them"))
    cursor = fields.String(validate=validate.Length(1, 2000), metadata=said("from the Link header of the page before"))
    limit = fields.Integer(load_default=50, validate=validate.Range(1, MOST_ROWS))


class DeliveryItem(Schema):
    id = fields.Integer()
    message_id = fields.String(metadata=said("the header webhook-id, the same in every attempt"))
    type = fields.String()
    opportunity_id = Whole(metadata=said("of the expansion opportunity that it is about"))
    endpoint_id = fields.Integer()
    endpoint_name = fields.String()
    origin = fields.String()
    state = fields.String(metadata=said("pending, delivered, dead (given up), dropped (the endpoint was switched off)"))
    attempts = fields.Integer(metadata=said("since it was posted or replayed"))
    created_at = Instant(metadata=said("when the message was posted"))
    due_at = Instant(metadata=said("of the next attempt, while it is pending"))
    ended_at = Instant(allow_none=True)
    last_status = Whole(metadata=said("what the receiver answered last"))
    last_error = Text(metadata=said("why there was no answer"))


class DeliveryList(Schema):
    data = fields.List(fields.Nested(DeliveryItem))


class AttemptItem(Schema):
    started_at = Instant()
    duration_ms = fields.Integer()
    status = Whole()
    error = Text()


class DeliveryFull(DeliveryItem):
    body = fields.String(metadata=said("exactly what is signed and sent"))
    tries = fields.List(fields.Nested(AttemptItem), metadata=said("every attempt, oldest first"))

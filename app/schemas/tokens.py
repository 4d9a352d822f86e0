"""Tokens in and out. The secret goes out once, with the answer that made it."""

from marshmallow import Schema, fields, validate

from app.schemas.fields import Instant


class NewTokenBody(Schema):
    name = fields.String(
        required=True, validate=validate.Length(1, 100), metadata={"description": "what the token is for"}
    )
    scopes = fields.List(fields.String(), required=True, validate=validate.Length(1, 20))
    source = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.Length(1, 100),
        metadata={"description": "of a key with ingest:write alone: the name of the event source it belongs to"},
    )
    expires_in_days = fields.Integer(strict=True, load_default=365, validate=validate.Range(1, 3650))


class TokenSummary(Schema):
    id = fields.Integer()
    name = fields.String()
    prefix = fields.String(metadata={"description": "the first characters, to recognise it by"})
    scopes = fields.List(fields.String())
    source = fields.String(allow_none=True, metadata={"description": "the event source a key belongs to"})
    created_at = Instant()
    expires_at = Instant(allow_none=True)
    last_used_at = Instant(allow_none=True)
    revoked_at = Instant(allow_none=True)


class TokenList(Schema):
    data = fields.List(fields.Nested(TokenSummary))


class NewToken(TokenSummary):
    class Meta:
        exclude = ("last_used_at", "revoked_at")

    token = fields.String(metadata={"description": "the secret itself; it is shown this once"})

"""The audit out."""

from marshmallow import Schema, fields, validate

from app.schemas.fields import Instant
from app.schemas.parameters import MOST_ROWS, one_of, said


class AuditParameters(Schema):
    actor = fields.String(validate=validate.Length(1, 100), metadata=said("user:7, token:3, command, night ..."))
    action = fields.String(
        validate=validate.Length(1, 60), metadata=said("begins so: login, or user.role_changed and no other")
    )
    cursor = fields.Integer(
        validate=validate.Range(1, 10**15 - 1), metadata=said("from the Link header of the page before")
    )
    limit = fields.Integer(load_default=50, validate=validate.Range(1, MOST_ROWS))
    format = fields.String(validate=one_of("json", "csv"))


class AuditEntry(Schema):
    id = fields.Integer()
    at = Instant()
    actor = fields.String(metadata=said("user:7, token:3, link:12, command, night or nobody"))
    action = fields.String()
    subject = fields.String(allow_none=True)
    details = fields.Dict(keys=fields.String())
    digest = fields.String(metadata=said("SHA-256 over the entry and the digest before it, hexadecimal"))


class AuditPage(Schema):
    data = fields.List(fields.Nested(AuditEntry))

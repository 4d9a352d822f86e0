"""Users in and out."""

from marshmallow import Schema, fields, validate

from app.schemas.fields import Instant

ROLES = ("admin", "csm", "sales", "finance")


def _role() -> fields.String:
    return fields.String(required=True, validate=validate.OneOf(ROLES, error="Must be one of: {choices}."))


def _password() -> fields.String:
    return fields.String(
        required=True, load_only=True, validate=validate.Length(12, 1000), metadata={"description": "12 characters"}
    )


class NewUserBody(Schema):
    name = fields.String(required=True, validate=validate.Length(1, 200))
    email = fields.String(required=True, validate=validate.Length(3, 200))
    password = _password()
    role = _role()


class RoleBody(Schema):
    role = _role()


class PasswordBody(Schema):
    password = _password()


class User(Schema):
    id = fields.Integer()
    name = fields.String()
    email = fields.String(allow_none=True)
    role = fields.String()
    is_active = fields.Boolean()
    created_at = Instant()
    last_seen_at = Instant(allow_none=True, metadata={"description": "of a session that is still open"})


class UserList(Schema):
    data = fields.List(fields.Nested(User))

"""What the doorbell of a CRM answers."""

from marshmallow import Schema, fields


class PushAnswer(Schema):
    is_rung = fields.Boolean(metadata={"description": "false: it was rung less than ten seconds ago, or is paused"})

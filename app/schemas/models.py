"""Definitions and the model on their way out."""

from marshmallow import Schema, fields

from app.schemas.fields import Meta
from app.schemas.parameters import said


class DefinitionItem(Schema):
    id = fields.String()
    name = fields.String()
    unit = fields.String()
    formula = fields.String()
    words = fields.String()
    parameters = fields.Dict(keys=fields.String(), values=fields.String())


class DefinitionList(Schema):
    data = fields.List(fields.Nested(DefinitionItem))


class CurrentModel(Schema):
    id = fields.Integer(attribute="run.id")
    kind = fields.String(attribute="run.kind")
    basis = fields.String(attribute="run.basis")
    basis_reason = fields.String(attribute="run.basis_reason")
    sha256 = fields.String(attribute="run.sha256", metadata=said("of the fitted model's numbers"))
    report = fields.Dict(keys=fields.String(), metadata=said("what the run says of itself: counts, guards"))
    meta = fields.Nested(Meta)

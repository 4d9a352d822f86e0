"""Other books held against the ledger, in and out."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from app.schemas.fields import Day, Instant, Meta, MoneyField, Text
from app.schemas.parameters import MOST_ROWS, one_of, said

MOST_CONTENT = 900_000  # characters; the whole body has a limit of its own
LONGEST_REASON = 2_000
FILE_NAME = r"[^/\\\x00-\x1f.][^/\\\x00-\x1f]{0,99}"
OF_BILLING = ("mapping", "file_name", "content")
CURSOR = said("from the Link header of the page before")


class RunListParameters(Schema):
    cursor = fields.Integer(validate=validate.Range(1, 10**15 - 1), metadata=CURSOR)
    limit = fields.Integer(load_default=50, validate=validate.Range(1, MOST_ROWS))


class RunParameters(RunListParameters):
    is_open = fields.Boolean(load_default=False, metadata=said("only what nothing explains and nobody let stand"))
    format = fields.String(validate=one_of("json", "csv", "xlsx"), metadata=said("a table has a line for each reason"))


class ReconciliationBody(Schema):
    kind = fields.String(required=True, validate=one_of("billing", "crm"))
    as_of = Day(required=True, metadata=said("the day that both sides are of; of a month, its last"))
    known_at = Instant(metadata=said("the ledger as known then; now, if left out"))
    window_days = fields.Integer(
        strict=True,
        validate=validate.Range(0, 92),
        metadata=said("of billing: how far apart both may say the same; 31"),
    )
    mapping = fields.String(validate=validate.Length(1, 100_000), metadata=said("of billing: the mapping, as TOML"))
    file_name = fields.String(
        validate=validate.Regexp(FILE_NAME + r"\Z", error="Must be a file's name of 1 to 100 characters."),
        metadata=said("of billing: as the mapping knows it, such as charges-2026-05.csv"),
    )
    content = fields.String(
        validate=validate.Length(1, MOST_CONTENT),
        metadata=said("of billing: the export, as CSV; a larger one by `tenure reconcile`"),
    )
    system = fields.String(
        validate=validate.Length(1, 100), metadata=said("of crm: the one of this name; all, if left out")
    )

    @validates_schema
    def refuse_what_does_not_belong(self, data: dict[str, Any], **_: Any) -> None:
        is_billing = data["kind"] == "billing"
        for name in OF_BILLING:
            if is_billing and name not in data:
                raise ValidationError("Is needed for billing.", name)
        for name in ("system",) if is_billing else (*OF_BILLING, "window_days"):
            if name in data:
                raise ValidationError(f"Has no meaning for {data['kind']}; leave it out.", name)


class LetStandBody(Schema):
    reason = fields.String(
        required=True, validate=validate.Length(1, LONGEST_REASON), metadata=said("why the difference may stand")
    )


class ReasonTotal(Schema):
    reason = fields.String(metadata=said("timing, fx, discount, one_time, rounding, missing_in_billing ..."))
    amount = MoneyField(metadata=said("how much the other side is above the ledger for it"))


class ReconciledTotal(Schema):
    ledger = MoneyField()
    other = MoneyField(metadata=said("the billing system's, or the CRM's"))
    difference = MoneyField(metadata=said("other less ledger; the reasons add up to it"))
    reasons = fields.List(fields.Nested(ReasonTotal))


class ReconciliationItem(Schema):
    id = fields.Integer()
    kind = fields.String(metadata=said("billing or crm"))
    system = Text(metadata=said("whose books; null: of every CRM"))
    as_of = Day()
    known_at = Instant(metadata=said("the ledger as known then"))
    window_days = fields.Integer(metadata=said("how far apart both may say the same"))
    file_name = Text()
    file_sha256 = Text()
    made_by = fields.String(metadata=said("user:7, token:3, command"))
    made_at = Instant()
    rows = fields.Integer(metadata=said("of the export, or deals"))
    compared = fields.Integer(metadata=said("accounts by currency"))
    agreed = fields.Integer(metadata=said("of them without any difference"))
    differing = fields.Integer()
    open_differences = fields.Integer(metadata=said("that nothing explains and nobody let stand"))
    totals = fields.List(fields.Nested(ReconciledTotal), metadata=said("one a currency"))


class ReconciliationList(Schema):
    data = fields.List(fields.Nested(ReconciliationItem), metadata=said("newest first"))


class ReconciledDeal(Schema):
    id = fields.Integer(metadata=said("ours"))
    system = fields.String()
    deal = fields.String(metadata=said("its id in that system"))


class ReconciledLine(ReconciledDeal):
    line = fields.String(metadata=said("the deal's line, by the source's key"))


class ReasonPart(Schema):
    reason = fields.String()
    check = fields.String(metadata=said("which check found it"))
    words = fields.String(metadata=said("what it found"))
    amount = MoneyField()
    rows = fields.List(fields.Integer(), metadata=said("of the export, by line; the first hundred"))
    deals = fields.List(fields.Nested(ReconciledDeal), metadata=said("of the CRM; the first hundred"))
    records = fields.Integer(metadata=said("how many rows or deals there are"))
    contract_lines = fields.List(fields.Nested(ReconciledLine), metadata=said("of the ledger; the first hundred"))


class DifferenceOverride(Schema):
    reason = fields.String()
    made_by = fields.String()
    made_at = Instant()


class DifferenceItem(Schema):
    id = fields.Integer()
    account_id = fields.Integer(allow_none=True, metadata=said("null: nobody that the ledger knows"))
    account_name = Text(metadata=said("as it is called now"))
    external_id = Text(metadata=said("as the export calls somebody whom the ledger does not know"))
    ledger = MoneyField()
    other = MoneyField()
    difference = MoneyField(metadata=said("other less ledger; the parts add up to it"))
    unexplained = MoneyField(metadata=said("gross: above and below do not cancel"))
    is_open = fields.Boolean()
    parts = fields.List(fields.Nested(ReasonPart))
    override = fields.Nested(DifferenceOverride, allow_none=True, metadata=said("who let it stand, and why"))


class ReconciliationFull(Schema):
    run = fields.Nested(ReconciliationItem)
    changes_since = fields.Integer(
        metadata=said("contract lines and notices of that time that changed after known_at; above 0: reconcile again")
    )
    data = fields.List(fields.Nested(DifferenceItem))
    meta = fields.Nested(Meta)


class DifferenceAnswer(Schema):
    data = fields.Nested(DifferenceItem)

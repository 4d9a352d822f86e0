"""What other systems tell of accounts, on its way in."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from app.schemas.fields import Day, check_currency
from app.schemas.parameters import one_of, said

MOST_SIGNALS = 500
LONGEST_ID, LONGEST_TEXT = 200, 100_000


def _text(longest: int = LONGEST_ID, *, required: bool = False, what: str = "") -> fields.String:
    about: dict[str, Any] = {"metadata": said(what)} if what else {}
    if required:
        return fields.String(required=True, validate=validate.Length(1, longest), **about)
    return fields.String(load_default=None, allow_none=True, validate=validate.Length(0, longest), **about)


def _day(*, required: bool = False) -> Day:
    return Day(required=True) if required else Day(load_default=None, allow_none=True)


class Signal(Schema):
    id = _text(required=True, what="the system's own: the same id again is the same thing, corrected")
    account = _text(required=True, what="whose ids these are is said in account_system")


class SignalOfPerson(Signal):
    contact = _text(what="the system's id of the contact")
    text = _text(LONGEST_TEXT, what="what was written; kept apart, and read with notes:read alone")


class Survey(SignalOfPerson):
    answered_on = _day(required=True)
    kind = fields.String(required=True, validate=one_of("nps", "csat"))
    score = fields.Float(required=True, metadata=said("nps: 0 to 10; csat: 1 to 5"))


class Ticket(SignalOfPerson):
    opened_on = _day(required=True)
    closed_on = _day()
    priority = _text(30)
    is_escalated = fields.Boolean(load_default=False)
    satisfaction = fields.Float(load_default=None, allow_none=True)


class Touch(SignalOfPerson):
    occurred_on = _day(required=True)
    kind = _text(30, required=True, what="call, meeting, mail, review, ...")
    staff = _text(what="the system's id of our own person")


class Training(SignalOfPerson):
    occurred_on = _day(required=True)
    topic = _text(required=True)
    feature = _text(what="what was taught, as usage names it")
    attendees = fields.Integer(strict=True, load_default=1, validate=validate.Range(1, 2**31 - 1))


class Invoice(Signal):
    issued_on = _day(required=True)
    due_on = _day(required=True)
    paid_on = _day()
    amount = fields.Decimal(load_default=None, allow_none=True, allow_nan=False, metadata=said("a decimal text"))
    currency = fields.String(load_default=None, allow_none=True, validate=check_currency)


class SignalsBody(Schema):
    system = _text(100, required=True, what="what tells: helpdesk, academy, ...; its name on the page of feeds")
    account_system = fields.String(
        load_default="tenure",
        validate=validate.Length(1, 100),
        metadata=said("whose ids name the accounts: tenure, those of /accounts; else a system that an import named"),
    )

    @validates_schema(skip_on_field_errors=True)
    def refuse_an_id_twice(self, data: dict[str, Any], **_: Any) -> None:
        seen: set[str] = set()
        for row in data["data"]:
            if row["id"] in seen:
                raise ValidationError(f"The id {row['id'][:40]!r} is there twice; send each once.", "data")
            seen.add(row["id"])


def body_of(kind: type[Signal]) -> Schema:
    """The body of an endpoint that takes signals of this kind, up to MOST_SIGNALS at once."""
    rows = fields.List(fields.Nested(kind), required=True, validate=validate.Length(1, MOST_SIGNALS))
    return SignalsBody.from_dict({"data": rows}, name=f"{kind.__name__}Body")()


class RefusedSignal(Schema):
    index = fields.Integer(attribute="position", metadata=said("in data, from 0"))
    field = fields.String()
    reason = fields.String()


class SignalsReceipt(Schema):
    added = fields.Integer(attribute="outcome.added")
    changed = fields.Integer(attribute="outcome.changed", metadata=said("known before, and now said otherwise"))
    unchanged = fields.Integer(attribute="outcome.unchanged")
    refused = fields.List(fields.Nested(RefusedSignal), attribute="refusals", metadata=said("the others are recorded"))

"""Expansion opportunities in and out."""

from marshmallow import Schema, fields, validate

from app.domain.expansion_moves import LIKELIHOODS, MOTIONS, REASONS, SNOOZE_DAYS, STATES
from app.schemas.fields import Day, Instant, MoneyField, Number, Text, Whole
from app.schemas.parameters import MOST_ROWS, one_of, said

SORTS = ("worth", "flagged")
LONGEST_NOTE = 2_000


class OpportunityParameters(Schema):
    state = fields.List(fields.String(validate=one_of(*STATES)), metadata=said("may be repeated; any of them"))
    motion = fields.List(fields.String(validate=one_of(*MOTIONS)))
    likelihood = fields.List(fields.String(validate=one_of(*LIKELIHOODS)))
    account_id = fields.Integer(validate=validate.Range(1, 10**15))
    min_worth = fields.Decimal(validate=validate.Range(0, 10**12), metadata=said("in the reporting currency"))
    sort = fields.String(
        load_default="-worth",
        validate=one_of(*SORTS, *(f"-{name}" for name in SORTS)),
        metadata=said("with - in front: largest or latest first"),
    )
    cursor = fields.String(validate=validate.Length(1, 2000), metadata=said("from the Link header of the page before"))
    limit = fields.Integer(load_default=50, validate=validate.Range(1, MOST_ROWS))
    format = fields.String(validate=one_of("json", "csv"), metadata=said("csv holds up to 100,000 rows; beats Accept"))


class OpportunityAccount(Schema):
    id = fields.Integer()
    name = fields.String()


class OpportunityProduct(Schema):
    sku = fields.String()
    name = fields.String()


class OpportunityItem(Schema):
    id = fields.Integer()
    state = fields.String(metadata=said(", ".join(STATES)))
    motion = fields.String(metadata=said("upsell: more of what it has; cross_sell: something it does not have"))
    account = fields.Nested(OpportunityAccount)
    product = fields.Nested(OpportunityProduct)
    quantity = Whole(metadata=said("seats more; null for a cross-sell"))
    likelihood = fields.String(metadata=said("high or medium, by a rule; never a probability"))
    probability = Number(
        metadata=said("that it comes within six months; null unless forecasts were right in two half years in a row")
    )
    worth = MoneyField(metadata=said("what it would add"))
    expected_value = MoneyField(
        allow_none=True,
        metadata=said("probability x gross margin x what it adds over the months the account is expected to stay"),
    )
    measure = fields.String(metadata=said("of the worth: arr is a year's recurring revenue, bookings is once"))
    why_now = Text()
    evidence = fields.List(fields.String(), metadata=said("in sentences, the first says why now"))
    episode = fields.Integer(metadata=said("how often the same was flagged for the account"))
    flagged_on = Day()
    seen_on = Day(metadata=said("the last night that found it again"))
    snoozed_until = Day(allow_none=True)
    moved_at = Instant(metadata=said("when it came to its state"))
    model_run_id = fields.Integer(metadata=said("the run whose risks allowed it"))


class OpportunityList(Schema):
    data = fields.List(fields.Nested(OpportunityItem))


class OpportunityMove(Schema):
    at = Instant()
    from_state = Text()
    to_state = fields.String()
    actor = fields.String(metadata=said("user:7, token:3, link:12 (a link of a message), night"))
    reason = Text()
    note = Text()


class OpportunityFull(OpportunityItem):
    score = Number(metadata=said("what it was ordered by: the share of the seats in use, or the ranker's score"))
    moves = fields.List(fields.Nested(OpportunityMove), metadata=said("oldest first"))
    actions = fields.List(fields.String(), metadata=said("what can be done with it now"))


class NoteBody(Schema):
    note = fields.String(load_default=None, allow_none=True, validate=validate.Length(0, LONGEST_NOTE))


class RejectBody(NoteBody):
    reason = fields.String(required=True, validate=one_of(*REASONS["reject"]))


class LostBody(NoteBody):
    reason = fields.String(required=True, validate=one_of(*REASONS["lose"]))


class SnoozeBody(NoteBody):
    until = Day(load_default=None, allow_none=True, metadata=said(f"{SNOOZE_DAYS} days from now, if left out"))

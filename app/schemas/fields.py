"""Fields that every answer shares: money, instants, and what a figure rests on."""

from datetime import date
from typing import Any

from marshmallow import Schema, ValidationError, fields

from app.domain.money import MINOR_DIGITS, Money


class _AsItIs:
    """Goes out as it is: the JSON encoder knows dates, instants and numbers, and writes them once."""

    def _serialize(self, value: Any, *_args: Any, **_kwargs: Any) -> Any:
        return value


class MoneyField(fields.Field[Money]):
    """{"amount": "1234.50", "currency": "USD"}: a decimal string, so that no reader rounds it."""

    def _serialize(self, value: Money | None, *_args: Any, **_kwargs: Any) -> Any:
        return None if value is None else {"amount": value.text, "currency": value.currency}


def check_year(value: date) -> None:
    """At the ends of the calendar no month can be added and no time zone applied."""
    if not 1900 <= value.year < 2200:
        raise ValidationError("Must lie in the years 1900 to 2199.")


class Instant(_AsItIs, fields.AwareDateTime):
    """ISO 8601; goes out in UTC with a Z."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=check_year, **kwargs)


class Day(_AsItIs, fields.Date):
    """YYYY-MM-DD."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=check_year, **kwargs)


class Number(_AsItIs, fields.Float):
    """A number, or null."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_none=True, **kwargs)


class Text(_AsItIs, fields.String):
    """Text, or null."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_none=True, **kwargs)


class Whole(_AsItIs, fields.Integer):
    """A whole number, or null."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_none=True, **kwargs)


class Numbers(_AsItIs, fields.List[Any]):
    """A series, one number for each of the months beside it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(fields.Float(), **kwargs)


def check_currency(code: str) -> None:
    if code not in MINOR_DIGITS:
        raise ValidationError(f"{code[:10]!r} is no ISO 4217 currency, such as USD, EUR or JPY.")


class Freshness(Schema):
    """How old an answer is."""

    facts_recorded_at = Instant(metadata={"description": "the last fact that the figures rest on was recorded then"})
    scored_at = Instant(allow_none=True, metadata={"description": "when the model run was made, if one was used"})
    stale_feeds = fields.List(
        fields.String(),
        metadata={
            "description": "CRMs that cannot be read just now, and feeds that fell silent: the figures are those of "
            "before. Empty where `known_at` or a run was asked for"
        },
    )


class Meta(Schema):
    """What the figures of an answer rest on: enough to ask for the same again."""

    definitions = fields.List(fields.String(), metadata={"description": "see /definitions; a version never changes"})
    as_of = Day(allow_none=True, metadata={"description": "the day asked about; see the definition"})
    known_at = Instant(allow_none=True, metadata={"description": "from what was recorded up to this instant"})
    currency = Text(metadata={"description": "of the figures; null where each stands in its own"})
    freshness = fields.Nested(Freshness, allow_none=True)
    model_run_id = Whole()
    basis = Text(metadata={"description": "account, segment, prior (not enough data) or not_applicable"})
    basis_reason = Text(metadata={"description": "the basis in words"})

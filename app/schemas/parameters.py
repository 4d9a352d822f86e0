"""What may be asked: the query strings of the endpoints."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from app.schemas.fields import Day, Instant, check_currency

SORTS = ("name", "arr", "health", "churn_probability", "ltv", "renewal", "tenure")
BANDS = ("healthy", "watch", "at_risk")
STATUSES = ("live", "in_grace", "churned", "upcoming", "not_applicable")
NEW_CUTS = ("all", "segment", "channel")
RUN_CUTS = ("all", "segment", "plan", "channel", "campaign", "cohort")
LTV_CUTS = (*RUN_CUTS, "owner", "product")
LEVELS = (80, 90, 95)
MOST_ROWS = 1000
TABLES = ("csv", "xlsx")
RETENTION_DEFINITIONS = (
    *("nrr@1", "nrr_with_reactivation@1", "nrr_aggregate@1", "grr@1", "grr_aggregate@1"),
    *("logo_retention@1", "quick_ratio@1"),
)


def said(text: str) -> dict[str, str]:
    return {"description": text}


def one_of(*choices: str | int) -> validate.OneOf:
    return validate.OneOf(choices, error="Must be one of: {choices}.")


def form(text: str = "beats Accept") -> fields.String:
    return fields.String(validate=one_of("json", *TABLES), metadata=said(text))


class AccountParameters(Schema):
    segment = fields.List(fields.String(), metadata=said("may be repeated; any of them"))
    plan = fields.List(fields.String(), metadata=said("has a live line of this plan"))
    product = fields.List(fields.String(), metadata=said("has a live line of this SKU"))
    channel = fields.List(fields.String(), metadata=said("acquisition channel"))
    country = fields.List(fields.String())
    band = fields.List(fields.String(validate=one_of(*BANDS)), metadata=said("of health"))
    status = fields.List(fields.String(validate=one_of(*STATUSES)))
    q = fields.String(validate=validate.Length(1, 200), metadata=said("part of the name"))
    min_arr = fields.Decimal(validate=validate.Range(0, 10**12), metadata=said("in the reporting currency"))
    max_arr = fields.Decimal(validate=validate.Range(0, 10**12), metadata=said("in the reporting currency"))
    renewal_before = Day(metadata=said("the present term ends before this day"))
    sort = fields.String(
        load_default="name",
        validate=one_of(*SORTS, *(f"-{name}" for name in SORTS)),
        metadata=said("with - in front: largest first; accounts without the value come last either way"),
    )
    cursor = fields.String(validate=validate.Length(1, 2000), metadata=said("from the Link header of the page before"))
    limit = fields.Integer(load_default=50, validate=validate.Range(1, MOST_ROWS))
    format = form("csv and xlsx hold up to 100,000 rows; beats Accept")


class HealthParameters(Schema):
    compare_with = Day(metadata=said("an earlier day: what moved the health since, in parts that add up"))
    compare_until = Day(metadata=said("with compare_with: the later day; today if left out"))


class HorizonParameters(Schema):
    horizon_months = fields.Integer(validate=validate.Range(1, 60), metadata=said("months ahead"))


class LtvTermParameters(HorizonParameters):
    annual_discount_rate = fields.Decimal(validate=validate.Range(0, 5), metadata=said("0.10 is 10 % a year"))
    gross_margin = fields.Decimal(validate=validate.Range(0, 1), metadata=said("0.80 is 80 %"))
    level = fields.Integer(load_default=90, validate=one_of(*LEVELS), metadata=said("of the interval, in %"))


class LtvListParameters(AccountParameters, LtvTermParameters):
    sort = fields.String(
        load_default="-ltv",
        validate=one_of(*SORTS, *(f"-{name}" for name in SORTS)),
        metadata=said(
            "with - in front: largest first; accounts without the value come last either way; "
            "ltv goes by the company's own terms"
        ),
    )


class LtvSummaryParameters(LtvTermParameters):
    group_by = fields.String(load_default="all", validate=one_of(*LTV_CUTS))
    format = form()


class NewLtvParameters(LtvTermParameters):
    group_by = fields.String(load_default="segment", validate=one_of(*NEW_CUTS))
    format = form()


class AcquisitionParameters(LtvTermParameters):
    format = form()


class RetentionParameters(Schema):
    group_by = fields.String(load_default="all", validate=one_of(*RUN_CUTS))
    format = form("csv and xlsx have a line for each group and month; beats Accept")


class RevenueParameters(Schema):
    as_of = Day(metadata=said("today, if left out; a past day gives what was then"))
    known_at = Instant(
        metadata=said("ISO 8601 with zone; now, if left out; an earlier instant gives the books as then")
    )
    currency = fields.String(validate=check_currency, metadata=said("the reporting currency, if left out"))
    fx = fields.String(
        validate=one_of("booked", "constant", "period_end", "none"),
        metadata=said("whose day's rate converts: the close date's, fx_on's, the last day's; none: no conversion"),
    )
    fx_on = Day(metadata=said("the day of a constant rate"))
    format = form()

    @validates_schema
    def refuse_what_would_be_ignored(self, data: dict[str, Any], **_: Any) -> None:
        if "fx_on" in data and data.get("fx") != "constant":
            raise ValidationError("Is the day of a constant rate; send fx=constant with it.", "fx_on")
        if "currency" in data and data.get("fx") == "none":
            raise ValidationError("With fx=none nothing is converted; leave out one of the two.", "currency")


class BookingsParameters(RevenueParameters):
    period = fields.String(
        validate=validate.Length(1, 20), metadata=said("2026, 2026-Q1 or 2026-03; years and quarters are fiscal")
    )
    grain = fields.String(validate=one_of("month", "quarter", "year"))
    group_by = fields.String(load_default="all", validate=one_of("all", "product", "account", "channel"))


class ArrParameters(RevenueParameters):
    group_by = fields.String(
        load_default="all",
        validate=one_of("all", "segment", "channel", "plan", "product", "currency", "account"),
    )

    @validates_schema
    def refuse_to_convert_currencies(self, data: dict[str, Any], **_: Any) -> None:
        for name in {"currency", "fx"} & set(data):
            if data["group_by"] == "currency" and data[name] != "none":
                raise ValidationError("By currency each stands for itself; leave this out.", name)


class RenewalLineParameters(Schema):
    period = fields.String(
        validate=validate.Length(1, 20),
        metadata=said("2026, 2026-Q1 or 2026-03, in which they are due; the fiscal year of as_of, if left out"),
    )
    as_of = Day(metadata=said("today, if left out: what is still open then"))
    known_at = Instant(
        metadata=said("ISO 8601 with zone; now, if left out; an earlier instant gives the books as then")
    )
    currency = fields.String(validate=check_currency, metadata=said("the reporting currency, if left out"))
    format = form()


class BridgeParameters(Schema):
    period = fields.String(
        validate=validate.Length(1, 20),
        metadata=said("2026, 2026-Q1 or 2026-03; the fiscal year of as_of, if left out"),
    )
    as_of = Day(metadata=said("today, if left out: the last day that counts"))
    known_at = Instant(
        metadata=said("ISO 8601 with zone; now, if left out; an earlier instant gives the books as then")
    )
    grain = fields.String(validate=one_of("month", "quarter", "year"))
    group_by = fields.String(
        load_default="all",
        validate=one_of("all", "segment", "channel", "plan", "product", "currency", "account"),
    )
    format = form()


class RevenueRetentionParameters(Schema):
    period = fields.String(
        validate=validate.Length(1, 20),
        metadata=said("2026, 2026-Q1 or 2026-03; a window ends with each of its parts"),
    )
    grain = fields.String(
        validate=one_of("month", "quarter", "year"),
        metadata=said("of those parts, of the fiscal year of as_of where there is no period; else one ends on as_of"),
    )
    months = fields.Integer(
        load_default=12, validate=validate.Range(1, 60), metadata=said("how long each window is, before its last day")
    )
    as_of = Day(metadata=said("today, if left out: the last day that counts"))
    known_at = Instant(
        metadata=said("ISO 8601 with zone; now, if left out; an earlier instant gives the books as then")
    )
    group_by = fields.String(load_default="all", validate=one_of("all", "segment", "channel", "account"))
    definition = fields.List(
        fields.String(validate=one_of(*RETENTION_DEFINITIONS)), metadata=said("may be repeated; all, if left out")
    )
    currency = fields.String(validate=check_currency, metadata=said("the reporting currency, if left out"))
    fx = fields.String(
        validate=one_of("constant", "none"),
        metadata=said("constant, as the definitions say: at the rates of since, both sides; none: no conversion"),
    )
    format = form()

    @validates_schema
    def refuse_what_would_be_ignored(self, data: dict[str, Any], **_: Any) -> None:
        if "currency" in data and data.get("fx") == "none":
            raise ValidationError("With fx=none nothing is converted; leave out one of the two.", "currency")


class RenewalParameters(RenewalLineParameters):
    grain = fields.String(validate=one_of("month", "quarter", "year"))
    group_by = fields.String(
        load_default="all", validate=one_of("all", "segment", "channel", "plan", "product", "account")
    )

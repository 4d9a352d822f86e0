"""Lifetime value: of one account, of all in a list, of groups."""

from collections.abc import Mapping
from typing import Any

from app.api.accounts import ask
from app.api.endpoint import Reply, endpoint
from app.api.meta import money, note_on, run_meta
from app.api.tables import wants_table
from app.domain.features import Floats
from app.domain.ltv import LtvTerms
from app.http import database
from app.queries.accounts import AccountRow
from app.queries.ltv import (
    CURVE_LEVEL,
    AccountLtv,
    GivenTerms,
    GroupLtv,
    ListedLtv,
    PackedValues,
    complete_terms,
    load_account_ltv,
    load_historical,
    load_listed_ltv,
)
from app.queries.ltv import load_ltv_summary as load_summary
from app.queries.new_customers import FEWEST_NEW, NewLtv, load_new_ltv
from app.queries.runs import Run
from app.schemas import ltv as schemas
from app.schemas.parameters import LtvListParameters, LtvSummaryParameters, LtvTermParameters, NewLtvParameters

DEFINITIONS = ("ltv_residual@1", "ltv_expansion@1", "ltv_total@1", "ltv_formula@1")
ACCOUNT_DEFINITIONS = (*DEFINITIONS, "ltv_historical@1")
NEW_DEFINITIONS = ("ltv_new@1", "ltv_expansion@1", "ltv_formula@1", "account_retention@2")
CURVE = ("estimate", "lower", "upper")
DIGITS = 7  # all that a stored float32 holds
VALUES = ("ltv_residual", "ltv_residual_lower", "ltv_residual_upper", "ltv_expansion", "ltv_total")
CSV_HEADER = (
    *("account_id", "name", "segment", "channel", "status", "basis", "arr", *VALUES, "ltv_historical", "currency"),
    *("horizon_months", "annual_discount_rate", "gross_margin", "level"),
)
NEW_VALUES = ("ltv_new", "ltv_new_lower", "ltv_new_upper", "ltv_expansion", "ltv_total", "ltv_formula")
NEW_CSV_HEADER = (
    *("group", "accounts", "mrr", *NEW_VALUES, "extrapolated_share", "currency"),
    *("horizon_months", "annual_discount_rate", "gross_margin", "level"),
)
SUMMARY_CSV_HEADER = (
    *("group", "label", "accounts", "arr", *VALUES, "ltv_formula_per_account", "extrapolated_share", "currency"),
    *("left_out_accounts", "left_out_arr"),
    *("horizon_months", "annual_discount_rate", "gross_margin", "level"),
)


@endpoint(
    "/accounts/<id:account_id>/ltv",
    scope="ltv:read",
    parameters=LtvTermParameters(),
    answer=schemas.AccountLtv(),
)
def show_account_ltv(account_id: int, parameters: dict[str, Any]) -> Reply:
    """The lifetime value of one account, at any horizon, discount, margin and level, and what it earned to date.

    Its interval takes all months to err together, so it is a little wide.
    """
    found = load_account_ltv(database(), account_id, given=_given(parameters), level=parameters["level"])
    score = found.score
    return Reply(
        _values(found, score.run, extrapolated_share=found.extrapolated_share)
        | {
            "ltv_historical": money(found.historical, score.run.currency),
            "ltv_formula": money(found.formula, score.run.currency),
            "account_id": account_id,
            "status": score.status,
            "arr": money(score.arr_minor, score.run.currency),
            "level": found.level,
            "terms": found.terms,
            "note": note_on(score, run=score.run),
            "meta": run_meta(score.run, *ACCOUNT_DEFINITIONS),
        }
    )


def _given(parameters: Mapping[str, Any]) -> GivenTerms:
    return GivenTerms(**{name: parameters.get(name) for name in GivenTerms.__dataclass_fields__})


@endpoint("/ltv", scope="finance:read", parameters=LtvListParameters(), answer=schemas.LtvList(), csv_header=CSV_HEADER)
def list_ltv(parameters: dict[str, Any]) -> Reply:
    """Lifetime values of accounts, filtered and sorted, a page at a time, at any terms and level."""
    page, given, level = ask(parameters), _given(parameters), parameters["level"]
    terms = complete_terms(database(), page.run, given=given) if page.run else None
    ids = [row.id for row in page.rows]
    historical = load_historical(database(), ids, run=page.run) if page.run else {}
    if terms is None or (given == GivenTerms() and level == CURVE_LEVEL):
        values = {row.id: _stored(row) for row in page.rows}
    else:
        values = load_listed_ltv(database(), ids, run=page.run, terms=terms, level=level) if page.run else {}
    items = [_item(row, values[row.id], run=page.run, historical=historical.get(row.id)) for row in page.rows]
    body = {
        "data": items,
        "terms": terms,
        "level": level,
        "meta": run_meta(page.run, *ACCOUNT_DEFINITIONS[:3], "ltv_historical@1"),
    }
    stated = [*_stated(terms), level] if terms else [None] * 4
    rows = [[*_csv_row(item, page.run), *stated] for item in items] if wants_table(parameters) else None
    return Reply(body, page.next_cursor, rows)


def _stored(row: AccountRow) -> ListedLtv:
    """At the company's own terms, as the night stored it to sort by."""
    bounds = (row.ltv_residual_lower_minor, row.ltv_residual_upper_minor)
    return ListedLtv(row.ltv_residual_minor, *bounds, row.ltv_expansion_minor)


def _item(row: AccountRow, values: ListedLtv, *, run: Run | None, historical: int | None) -> dict[str, Any]:
    currency = run.currency if run else ""
    return _values(values, run) | {
        "account": row,
        "arr": money(row.arr_minor, currency),
        "churn_probability": row.churn_probability,
        "ltv_historical": money(historical, currency),
    }


def _csv_row(item: Mapping[str, Any], run: Run | None) -> list[Any]:
    account = item["account"]
    amounts = [item[name].amount if item[name] is not None else None for name in ("arr", *VALUES, "ltv_historical")]
    words = [getattr(account, name) for name in ("id", "name", "segment", "channel", "status", "basis")]
    return [*words, *amounts, run.currency if run else None]


def _stated(terms: LtvTerms) -> list[Any]:
    return [terms.horizon_months, terms.annual_discount_rate, terms.gross_margin]


@endpoint(
    "/ltv/summary",
    scope="finance:read",
    parameters=LtvSummaryParameters(),
    answer=schemas.LtvSummary(),
    csv_header=SUMMARY_CSV_HEADER,
)
def show_ltv_summary(parameters: dict[str, Any]) -> Reply:
    """The lifetime value of groups of live accounts, with intervals from joint draws.

    Accounts in grace, and those that begin on the day of the run, have no forecast: they are counted in
    `left_out`, and with it the ARR is that of /revenue/arr on the run's day. An account is in one plan,
    that of its largest line; by product it counts with each that it has, by its share of the revenue.
    Computed from what the night stored for each group, whatever the horizon, discount and margin.
    """
    found = load_summary(database(), parameters["group_by"], given=_given(parameters), level=parameters["level"])
    groups = [_group(group, found.run) for group in found.groups]
    body = {
        "group_by": parameters["group_by"],
        "data": groups,
        "terms": found.terms,
        "level": found.level,
        "note": None if found.run.basis == "account" else found.run.basis_reason,
        "meta": run_meta(found.run, *DEFINITIONS),
    }
    rows = [_summary_csv_row(group, found.terms, level=found.level) for group in groups]
    return Reply(body, rows=rows if wants_table(parameters) else None)


def _group(group: GroupLtv, run: Run) -> dict[str, Any]:
    realised = group.values.realised and [money(bound, run.currency) for bound in group.values.realised]
    return _values(group.values, run, extrapolated_share=group.values.extrapolated_share) | {
        "ltv_formula_per_account": money(group.formula, run.currency),
        "realised": realised and dict(zip(("lower", "upper"), realised, strict=True)),
        "group": group.group,
        "label": group.label,
        "accounts": group.accounts,
        "arr": money(group.arr_minor, run.currency),
        "left_out": {"accounts": group.left_out_accounts, "arr": money(group.left_out_arr_minor, run.currency)},
    }


def _values(found: AccountLtv | PackedValues | ListedLtv, run: Run | None, **more: Any) -> dict[str, Any]:
    currency = run.currency if run else ""
    of = {
        "ltv_residual": found.residual,
        "ltv_residual_lower": found.lower,
        "ltv_residual_upper": found.upper,
        "ltv_expansion": found.expansion,
        "ltv_total": found.total,
    }
    return {name: money(value, currency) for name, value in of.items()} | more


def _summary_csv_row(group: Mapping[str, Any], terms: LtvTerms, *, level: int) -> list[Any]:
    names = ("arr", *VALUES, "ltv_formula_per_account")
    amounts = [group[name].amount if group[name] is not None else None for name in names]
    left_out = [group["left_out"]["accounts"], group["left_out"]["arr"].amount]
    figures = [*amounts, group["extrapolated_share"], group["arr"].currency]
    return [group["group"], group["label"], group["accounts"], *figures, *left_out, *_stated(terms), level]


@endpoint(
    "/ltv/new",
    scope="finance:read",
    parameters=NewLtvParameters(),
    answer=schemas.NewLtvList(),
    csv_header=NEW_CSV_HEADER,
)
def show_new_ltv(parameters: dict[str, Any]) -> Reply:
    """The lifetime value of one account that begins now, by segment or channel, from its first day on.

    The mean of those that began in the last 12 months, as they were in their first; of fewer than 5 nothing is said.
    """
    found = load_new_ltv(database(), parameters["group_by"], given=_given(parameters), level=parameters["level"])
    groups = [_new(group, found.run) for group in found.groups]
    body = {
        "group_by": parameters["group_by"],
        "data": groups,
        "terms": found.terms,
        "level": found.level,
        "note": None if found.run.basis == "account" else found.run.basis_reason,
        "meta": run_meta(found.run, *NEW_DEFINITIONS),
    }
    rows = [
        [
            *(group["group"], group["accounts"]),
            *(None if group[name] is None else group[name].amount for name in ("mrr", *NEW_VALUES)),
            *(group["extrapolated_share"], found.run.currency, *_stated(found.terms), found.level),
        ]
        for group in groups
    ]
    return Reply(body, rows=rows if wants_table(parameters) else None)


def _new(group: NewLtv, run: Run) -> dict[str, Any]:
    values = group.values
    of = (values.residual, values.lower, values.upper, values.expansion, values.total) if values else (None,) * 5
    too_few = f"Not enough data: {group.accounts} began in the last 12 months; it takes {FEWEST_NEW}."
    return {name: money(value, run.currency) for name, value in zip(NEW_VALUES, (*of, group.formula), strict=True)} | {
        "group": group.group,
        "accounts": group.accounts,
        "mrr": money(group.mrr_minor, run.currency),
        "extrapolated_share": values.extrapolated_share if values else None,
        "revenue_retention": group.curve and {name: _series(getattr(group.curve, name)) for name in CURVE},
        "note": None if values else too_few,
    }


def _series(values: Floats) -> list[float]:
    """With month 0, at which everything is there."""
    series: list[float] = [1.0, *values.round(DIGITS).tolist()]
    return series

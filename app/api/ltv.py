"""Lifetime value: of one account, of all in a list, of groups."""

from collections.abc import Mapping
from typing import Any

from app.api.accounts import ask
from app.api.endpoint import Reply, endpoint, wants_csv
from app.api.meta import money, note_on, run_meta
from app.domain.ltv import LtvTerms
from app.http import database
from app.queries.accounts import AccountRow
from app.queries.ltv import CURVE_LEVEL, AccountLtv, GivenTerms, GroupLtv, complete_terms, load_account_ltv
from app.queries.ltv import load_ltv_summary as load_summary
from app.queries.runs import Run
from app.schemas import ltv as schemas
from app.schemas.parameters import LtvListParameters, LtvParameters, LtvSummaryParameters

DEFINITIONS = ("ltv_residual@1", "ltv_expansion@1", "ltv_total@1", "ltv_formula@1")
VALUES = ("ltv_residual", "ltv_residual_lower", "ltv_residual_upper", "ltv_expansion", "ltv_total")
CSV_HEADER = ("account_id", "name", "segment", "channel", "status", "basis", "arr", *VALUES, "currency")
SUMMARY_CSV_HEADER = (
    *("group", "accounts", "arr", *VALUES, "ltv_formula_per_account", "extrapolated_share", "currency"),
    *("left_out_accounts", "left_out_arr"),
    *("horizon_months", "annual_discount_rate", "gross_margin", "level"),
)


@endpoint(
    "/accounts/<id:account_id>/ltv",
    scope="ltv:read",
    parameters=LtvParameters(),
    answer=schemas.AccountLtv(),
)
def show_account_ltv(account_id: int, parameters: dict[str, Any]) -> Reply:
    """The lifetime value of one account, at any horizon, discount and margin.

    Its interval takes all months to err together, so it is a little wide.
    """
    found = load_account_ltv(database(), account_id, given=GivenTerms(**parameters))
    score = found.score
    return Reply(
        _values(found, score.run)
        | {
            "ltv_formula": money(found.formula, score.run.currency),
            "account_id": account_id,
            "status": score.status,
            "arr": money(score.arr_minor, score.run.currency),
            "level": found.level,
            "terms": found.terms,
            "note": note_on(score, run=score.run),
            "meta": run_meta(score.run, *DEFINITIONS),
        }
    )


@endpoint("/ltv", scope="finance:read", parameters=LtvListParameters(), answer=schemas.LtvList(), csv_header=CSV_HEADER)
def list_ltv(parameters: dict[str, Any]) -> Reply:
    """Lifetime values of accounts, filtered and sorted, a page at a time, at the company's own terms."""
    page = ask(parameters)
    items = [_item(row, page.run) for row in page.rows]
    body = {
        "data": items,
        "terms": complete_terms(database(), page.run, given=GivenTerms()) if page.run else None,
        "level": CURVE_LEVEL,
        "meta": run_meta(page.run, *DEFINITIONS[:3]),
    }
    rows = [_csv_row(item, page.run) for item in items] if wants_csv(parameters) else None
    return Reply(body, page.next_cursor, rows)


def _item(row: AccountRow, run: Run | None) -> dict[str, Any]:
    currency = run.currency if run else ""
    residual, expansion = row.ltv_residual_minor, row.ltv_expansion_minor
    return {
        "account": row,
        "arr": money(row.arr_minor, currency),
        "churn_probability": row.churn_probability,
        "ltv_residual": money(residual, currency),
        "ltv_residual_lower": money(row.ltv_residual_lower_minor, currency),
        "ltv_residual_upper": money(row.ltv_residual_upper_minor, currency),
        "ltv_expansion": money(expansion, currency),
        "ltv_total": None if residual is None or expansion is None else money(residual + expansion, currency),
    }


def _csv_row(item: Mapping[str, Any], run: Run | None) -> list[Any]:
    account = item["account"]
    amounts = [item[name].amount if item[name] is not None else None for name in ("arr", *VALUES)]
    words = [getattr(account, name) for name in ("id", "name", "segment", "channel", "status", "basis")]
    return [*words, *amounts, run.currency if run else None]


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
    that of its largest line. Computed from what the night stored for each group, whatever the horizon,
    discount and margin.
    """
    given = {name: parameters.get(name) for name in GivenTerms.__dataclass_fields__}
    found = load_summary(database(), parameters["group_by"], given=GivenTerms(**given), level=parameters["level"])
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
    return Reply(body, rows=rows if wants_csv(parameters) else None)


def _group(group: GroupLtv, run: Run) -> dict[str, Any]:
    return _values(group, run) | {
        "ltv_formula_per_account": money(group.formula, run.currency),
        "group": group.group,
        "accounts": group.accounts,
        "arr": money(group.arr_minor, run.currency),
        "left_out": {"accounts": group.left_out_accounts, "arr": money(group.left_out_arr_minor, run.currency)},
    }


def _values(found: AccountLtv | GroupLtv, run: Run) -> dict[str, Any]:
    of = {
        "ltv_residual": found.residual,
        "ltv_residual_lower": found.lower,
        "ltv_residual_upper": found.upper,
        "ltv_expansion": found.expansion,
        "ltv_total": found.total,
    }
    amounts = {name: money(value, run.currency) for name, value in of.items()}
    return {**amounts, "extrapolated_share": found.extrapolated_share}


def _summary_csv_row(group: Mapping[str, Any], terms: LtvTerms, *, level: int) -> list[Any]:
    names = ("arr", *VALUES, "ltv_formula_per_account")
    amounts = [group[name].amount if group[name] is not None else None for name in names]
    stated = [terms.horizon_months, terms.annual_discount_rate, terms.gross_margin, level]
    left_out = [group["left_out"]["accounts"], group["left_out"]["arr"].amount]
    figures = [*amounts, group["extrapolated_share"], group["arr"].currency]
    return [group["group"], group["accounts"], *figures, *left_out, *stated]

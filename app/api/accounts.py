"""Accounts: a list, one, and what the model says of one."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from app.api.endpoint import Reply, endpoint
from app.api.health_said import known_now, present_override
from app.api.meta import money, note_on, run_meta
from app.api.tables import wants_table
from app.auth import may
from app.domain.features import Floats
from app.domain.notices import Leave
from app.errors import Invalid, NotAllowed
from app.http import database, now
from app.queries.accounts import AccountFilter, AccountPage, AccountQuery, AccountRow, list_accounts_now, load_account
from app.queries.cursors import Sort
from app.queries.health_change import NO_SCORE, NOT_RECORDED, WITHHELD, load_health_move
from app.queries.health_overrides import find_overrides
from app.queries.leaves import find_leaves
from app.queries.ltv import CURVE_LEVEL
from app.queries.runs import Run
from app.queries.scores import AccountScore, Curve, load_score
from app.schemas import accounts as schemas
from app.schemas.parameters import AccountParameters, HealthParameters, HorizonParameters

MOST_CSV_ROWS = 100_000
MONTHS_SHOWN = (1, 3, 6, 12)
DIGITS = 7  # all that a stored float32 holds
ACCOUNT_DEFINITIONS = ("arr@1", "churn@2", "health@3", "ltv_residual@1")
MOVE_NOTES = {
    WITHHELD: "The score was withheld on one of the days, so there is none to compare.",
    NO_SCORE: "The account had no score of its own on one of the days.",
    NOT_RECORDED: "The nights between were made by a version that did not record what moved the score.",
}
CSV_HEADER = (
    *("id", "name", "segment", "industry", "country", "employees", "channel", "campaign", "parent_id"),
    *("status", "basis", "started_on", "tenure_months", "renewal_on", "arr", "currency"),
    *("health", "band", "coverage", "override_band", "override_score", "override_expires_on"),
    *("churn_probability", "leaves_on", "ltv_residual"),
)


def ask(parameters: Mapping[str, Any]) -> AccountPage:
    """The page of accounts that the parameters describe; an order by what one may not see would tell it."""
    if parameters["sort"].endswith("ltv") and not may("ltv:read"):
        raise NotAllowed("Sorting by ltv needs the scope ltv:read; sort by something else.")
    chosen = {name: parameters[name] for name in AccountFilter.__dataclass_fields__ if name in parameters}
    query = AccountQuery(
        filter=AccountFilter(**chosen, search=parameters.get("q")),
        sort=Sort(parameters["sort"].removeprefix("-"), parameters["sort"].startswith("-")),
        cursor=parameters.get("cursor"),
        limit=MOST_CSV_ROWS if wants_table(parameters) else parameters["limit"],
    )
    return list_accounts_now(database(), query, now=now())


def present(
    row: AccountRow, run: Run | None, *, override: Mapping[str, Any] | None = None, leaving: Leave | None = None
) -> dict[str, Any]:
    currency = run.currency if run else ""
    shown = {name: getattr(row, name) for name in AccountRow.__dataclass_fields__}
    shown["override"] = override
    shown["leaving"] = leaving
    shown["arr"] = money(row.arr_minor, currency)
    shown["ltv_residual"] = money(row.ltv_residual_minor, currency) if may("ltv:read") else None
    return shown


@endpoint(
    "/accounts",
    scope="accounts:read",
    parameters=AccountParameters(),
    answer=schemas.AccountList(),
    csv_header=CSV_HEADER,
)
def list_accounts(parameters: dict[str, Any]) -> Reply:
    """Accounts, filtered and sorted, a page at a time.

    Attributes are today's; figures are those of the published run and null before the first night.
    `ltv_residual` is null, and not to be sorted by, without the scope ltv:read.
    The Link header leads to the next page, which stays with the run of the first.
    """
    page = ask(parameters)
    overrides = {i: present_override(each, today=page.today) for i, each in page.overrides.items()}
    leaves = find_leaves(database(), page.run, churn={row.id: row.churn_probability for row in page.rows})
    items = [present(row, page.run, override=overrides.get(row.id), leaving=leaves.get(row.id)) for row in page.rows]
    body = {"data": items, "meta": run_meta(page.run, *ACCOUNT_DEFINITIONS)}
    rows = [_csv_row(item, page.run) for item in items] if wants_table(parameters) else None
    return Reply(body, page.next_cursor, rows)


def _csv_row(item: Mapping[str, Any], run: Run | None) -> list[Any]:
    cells = {name: item.get(name) for name in CSV_HEADER}
    for name, value in (item["override"] or {}).items():
        if f"override_{name}" in cells:
            cells[f"override_{name}"] = value
    cells["leaves_on"] = item["leaving"].leaves_on if item["leaving"] else None
    for name in ("arr", "ltv_residual"):
        cells[name] = item[name].amount if item[name] is not None else None
    return list((cells | {"currency": run.currency if run else None}).values())


@endpoint("/accounts/<id:account_id>", scope="accounts:read", answer=schemas.AccountFull())
def show_account(account_id: int) -> Reply:
    """One account with its ids in other systems and what it has."""
    today = known_now().as_of
    found = load_account(database(), account_id, today=today)
    leaving = _find_leave(found.run, found.row.id, churn=found.row.churn_probability)
    return Reply(
        present(found.row, found.run, override=present_override(found.override, today=today), leaving=leaving)
        | {
            "custom": found.custom,
            "external_ids": found.external_ids,
            "products": found.products,
            "note": note_on(found.row, run=found.run),
            "meta": run_meta(found.run, *ACCOUNT_DEFINITIONS),
        }
    )


def _find_override(account_id: int) -> dict[str, Any] | None:
    today = known_now().as_of
    return present_override(find_overrides(database(), [account_id], today=today).get(account_id), today=today)


def _find_leave(run: Run | None, account_id: int, *, churn: float | None) -> Leave | None:
    return find_leaves(database(), run, churn={account_id: churn}).get(account_id)


@endpoint(
    "/accounts/<id:account_id>/health",
    scope="accounts:read",
    parameters=HealthParameters(),
    answer=schemas.AccountHealth(),
)
def show_account_health(account_id: int, parameters: dict[str, Any]) -> Reply:
    """Health of one account, its churn probabilities, and why.

    The contributions of the drivers add up to the logit of the risk above that of the reference. With
    `compare_with`, an earlier day, `change` says what moved the score since: what the account did, the calendar, what
    was learned late, the model, its configuration and overrides.
    """
    score = load_score(database(), account_id)
    explanation = score.explanation or {}
    drivers = sorted(explanation.get("drivers", []), key=lambda driver: -abs(driver["contribution"]))
    at_risk = None if score.churn_probability is None else score.arr_minor * score.churn_probability
    return Reply(
        {
            **{name: getattr(score, name) for name in ("account_id", "status", "health", "band", "coverage", "risk")},
            "override": _find_override(account_id),
            "leaving": _find_leave(score.run, account_id, churn=score.churn_probability),
            "churn_within": _churn_within(score.survival, score.by_cause) if score.survival else [],
            "renewal_churn_probability": score.renewal_churn_probability,
            "renewal_on": score.renewal_on,
            "arr_at_risk": money(at_risk, score.run.currency),
            "reference_logit": explanation.get("reference_logit"),
            "drivers": drivers,
            "dimensions": explanation.get("dimensions", []),
            "change": _change(account_id, parameters),
            "note": _health_note(score),
            "meta": run_meta(score.run, "health@3", "churn@2", *(["health_change@1"] if parameters else [])),
        }
    )


def _change(account_id: int, parameters: Mapping[str, Any]) -> dict[str, Any] | None:
    if "compare_with" not in parameters:
        if parameters:
            raise Invalid("compare_until goes with compare_with, the earlier day.")
        return None
    until = parameters.get("compare_until") or known_now().as_of
    move = load_health_move(database(), account_id, from_on=parameters["compare_with"], to_on=until)
    parts = move.parts or {}
    return {
        "earlier": move.earlier,
        "later": move.later,
        "moved": sum(parts.values()) if parts else None,
        "parts": [{"name": name, "points": points} for name, points in parts.items()],
        "drivers": move.drivers,
        "note": MOVE_NOTES.get(move.why_none or ""),
    }


def _churn_within(survival: Curve, by_cause: Mapping[int, Mapping[str, float]] | None) -> list[dict[str, Any]]:
    """The bounds change places: the lower curve of survival is the upper bound of churn."""
    return [
        {
            "months": months,
            "probability": round(1.0 - float(survival.estimate[months - 1]), DIGITS),
            "lower": round(1.0 - float(survival.upper[months - 1]), DIGITS),
            "upper": round(1.0 - float(survival.lower[months - 1]), DIGITS),
            "by_cause": by_cause and {cause: round(p, DIGITS) for cause, p in by_cause[months].items()},
        }
        for months in MONTHS_SHOWN
    ]


def _health_note(score: AccountScore) -> str | None:
    note = note_on(score, run=score.run)
    if note is None and score.health is None and score.coverage is not None:
        return f"Withheld: only {score.coverage:.0%} of what health rests on is known of this account."
    return note


@endpoint(
    "/accounts/<id:account_id>/retention",
    scope="accounts:read",
    parameters=HorizonParameters(),
    answer=schemas.AccountRetention(),
)
def show_account_retention(account_id: int, parameters: dict[str, Any]) -> Reply:
    """The retention curves of one account, from now on: of itself (S) and of its revenue (R)."""
    score = load_score(database(), account_id)
    months = parameters.get("horizon_months")
    length = len(score.survival.estimate[:months]) if score.survival else 0
    return Reply(
        {
            "account_id": account_id,
            "status": score.status,
            "level": CURVE_LEVEL,
            "months": list(range(length + 1)) if length else [],
            "account_retention": _series(score.survival, months),
            "revenue_retention": _series(score.retention, months),
            "supported_months": score.supported_months,
            "note": note_on(score, run=score.run),
            "meta": run_meta(score.run, "account_retention@2"),
        }
    )


def _series(curve: Curve | None, months: int | None) -> dict[str, list[float]] | None:
    """With month 0, at which everything is still there."""

    def from_one(values: Floats) -> list[float]:
        series: list[float] = np.concatenate([[1.0], values[:months]]).round(DIGITS).tolist()
        return series

    if curve is None:
        return None
    return {name: from_one(getattr(curve, name)) for name in ("estimate", "lower", "upper")}

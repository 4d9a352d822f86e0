"""Renewals: what comes up in a period and what became of it, exact and as known at an instant."""

from typing import Any

from app.api.endpoint import Reply, endpoint
from app.api.meta import moment_meta
from app.api.tables import wants_table
from app.domain.money import Money
from app.domain.periods import Grain
from app.http import database, now
from app.queries.facts import Known
from app.queries.moments import load_moment
from app.queries.renewals import DueLine, GroupRenewals, RenewalsQuestion, load_due, load_renewals
from app.schemas.parameters import RenewalLineParameters, RenewalParameters
from app.schemas.renewals import DueLinesAnswer, RenewalsAnswer

PARTS = ("due", "renewed", "reduced", "lost", "open")
CSV_HEADER = (
    *("period", "first_on", "last_on", "group", "label", *PARTS),
    *("currency", "renewal_rate", "accounts", "lines"),
)
LINES_CSV_HEADER = (
    *("due_on", "account_id", "account", "product_id", "line_id", "due", "renewed", "currency", "state"),
)
DEFINITION = "renewal_rate@1"


@endpoint(
    "/revenue/renewals",
    scope="finance:read",
    parameters=RenewalParameters(),
    answer=RenewalsAnswer(),
    csv_header=CSV_HEADER,
)
def show_renewals(parameters: dict[str, Any]) -> Reply:
    """ARR whose term is over in a period: renewed, reduced, lost, or still open; by group.

    Lines until notice come up term by term, those that go on month by month never. Other currencies are converted at
    the rate of as_of.
    """
    known, grain = _moment(parameters), parameters.get("grain")
    question = RenewalsQuestion(
        period=parameters.get("period"),
        grain=Grain(grain) if grain else None,
        group_by=parameters["group_by"],
        currency=parameters.get("currency"),
    )
    currency, found = load_renewals(database(), question, known=known)
    items = [_item(each, currency) for each in found]
    body = {
        "group_by": parameters["group_by"],
        "data": items,
        "meta": moment_meta(known, DEFINITION, currency=currency),
    }
    rows = [
        [item[name].amount if name in PARTS else currency if name == "currency" else item[name] for name in CSV_HEADER]
        for item in items
    ]
    return Reply(body, rows=rows if wants_table(parameters) else None)


@endpoint(
    "/revenue/renewals/lines",
    scope="finance:read",
    parameters=RenewalLineParameters(),
    answer=DueLinesAnswer(),
    csv_header=LINES_CSV_HEADER,
)
def list_renewal_lines(parameters: dict[str, Any]) -> Reply:
    """The contract lines behind /revenue/renewals, oldest first: the calendar of renewals."""
    known = _moment(parameters)
    due = load_due(database(), parameters.get("period"), known=known, currency=parameters.get("currency"))
    items = [_line_item(each, due.currency) for each in due.lines]
    body = {"data": items, "meta": moment_meta(known, DEFINITION, currency=due.currency)}
    rows = [
        [
            item[name].amount if name in PARTS else due.currency if name == "currency" else item[name]
            for name in LINES_CSV_HEADER
        ]
        for item in items
    ]
    return Reply(body, rows=rows if wants_table(parameters) else None)


def _moment(parameters: dict[str, Any]) -> Known:
    return load_moment(database(), as_of=parameters.get("as_of"), known_at=parameters.get("known_at"), now=now())


def _line_item(found: DueLine, currency: str) -> dict[str, Any]:
    renewal = found.renewal
    return {
        "due_on": renewal.due_on,
        "account_id": found.account_id,
        "account": found.account,
        "product_id": found.line.product_id,
        "line_id": renewal.line,
        "due": Money(renewal.due_minor, currency),
        "renewed": Money(renewal.renewed_minor, currency),
        "state": renewal.state.value,
    }


def _item(found: GroupRenewals, currency: str) -> dict[str, Any]:
    minor = {name: getattr(found.totals, f"{name}_minor") for name in PARTS}
    return {
        "period": found.period.name,
        "first_on": found.period.first_on,
        "last_on": found.period.last_on,
        "group": found.group,
        "label": found.label,
        **{name: Money(amount, currency) for name, amount in minor.items()},
        "renewal_rate": found.totals.rate,
        "accounts": found.accounts,
        "lines": found.totals.lines,
    }

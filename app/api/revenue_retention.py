"""What is kept of recurring revenue and of accounts: net, gross and logo retention, by the published definitions."""

from typing import Any

from app.api.endpoint import Reply, endpoint
from app.api.meta import moment_meta
from app.api.tables import wants_table
from app.domain.money import Money
from app.domain.periods import Grain
from app.domain.revenue import FxBasis
from app.http import database, now
from app.queries.moments import load_moment
from app.queries.revenue import FxChoice
from app.queries.revenue_retention import GroupRatio, RetentionQuestion, load_revenue_retention
from app.schemas.parameters import RETENTION_DEFINITIONS, RevenueRetentionParameters
from app.schemas.revenue_retention import RevenueRetentionAnswer

CSV_HEADER = (
    *("period", "since", "last_on", "group", "label", "definition"),
    *("value", "numerator", "denominator", "currency", "reason"),
)


@endpoint(
    "/revenue/retention",
    scope="finance:read",
    parameters=RevenueRetentionParameters(),
    answer=RevenueRetentionAnswer(),
    csv_header=CSV_HEADER,
)
def show_revenue_retention(parameters: dict[str, Any]) -> Reply:
    """Net, gross and logo retention and the quick ratio of windows that end on a day or with each part of a period.

    Each with the two sums it is made of; those of groups add up to those of all. Groups are those of accounts as of the
    day. Other currencies are converted at the rates of the day on which a window begins, both sides. Where a rate is
    missing and no conversion was asked for, each currency stands for itself.
    """
    known = load_moment(database(), as_of=parameters.get("as_of"), known_at=parameters.get("known_at"), now=now())
    converted, found = load_revenue_retention(database(), _question(parameters), known=known, fx=_fx(parameters))
    wanted = tuple(parameters.get("definition") or RETENTION_DEFINITIONS)
    items = [_item(each) for each in found if each.definition in wanted]
    body = {
        "group_by": parameters["group_by"],
        "months": parameters["months"],
        "data": items,
        "fx": converted,
        "meta": moment_meta(known, *dict.fromkeys((*wanted, "arr@1")), currency=converted.currency),
    }
    rows = [[item[name] for name in CSV_HEADER] for item in items]
    return Reply(body, rows=rows if wants_table(parameters) else None)


def _question(parameters: dict[str, Any]) -> RetentionQuestion:
    grain = parameters.get("grain")
    return RetentionQuestion(
        period=parameters.get("period"),
        grain=Grain(grain) if grain else None,
        months=parameters["months"],
        group_by=parameters["group_by"],
    )


def _fx(parameters: dict[str, Any]) -> FxChoice:
    chosen = parameters.get("fx")
    return FxChoice(
        currency=parameters.get("currency"),
        basis=FxBasis.CONSTANT if chosen == "constant" else None,
        is_off=chosen == "none",
    )


def _item(found: GroupRatio) -> dict[str, Any]:
    ratio, currency = found.ratio, found.currency
    return {
        "period": found.part.name,
        "since": found.since,
        "last_on": found.part.last_on,
        "group": found.group,
        "label": found.label,
        "definition": found.definition,
        "value": None if ratio.value is None else f"{ratio.value:f}",
        "numerator": Money(ratio.numerator, currency).text if currency else str(ratio.numerator),
        "denominator": Money(ratio.denominator, currency).text if currency else str(ratio.denominator),
        "currency": currency,
        "reason": ratio.reason,
    }

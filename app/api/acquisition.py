"""What winning accounts costs, and what they are worth beside it."""

from decimal import Decimal
from typing import Any

from app.api.endpoint import Reply, endpoint
from app.api.meta import money, run_meta
from app.api.tables import wants_table
from app.auth import current_actor
from app.domain.acquisition import Estimate
from app.http import database, now
from app.queries.acquisition import ChannelCost, load_acquisition, load_costs
from app.queries.known import resolve_known_at
from app.queries.ltv import GivenTerms
from app.schemas import acquisition as schemas
from app.schemas.parameters import AcquisitionParameters
from app.services.acquisition import record_acquisition_costs
from app.services.changes import recording
from app.services.sources import Source
from integrations.files.rows import AcquisitionCostRow

DEFINITIONS = ("ltv_to_cac@1", "cac_payback@1", "ltv_new@1")
CSV_HEADER = (
    *("channel", "months", "spent", "won", "cac", "cac_lower", "cac_upper", "ltv_new"),
    *("ltv_to_cac", "ltv_to_cac_lower", "ltv_to_cac_upper"),
    *("payback_months", "payback_months_lower", "payback_months_upper", "currency", "level"),
)


@endpoint("/acquisition-costs", scope="finance:read", answer=schemas.RecordedCosts())
def list_acquisition_costs() -> Reply:
    """What winning accounts cost, by month and channel, the latest months first."""
    known_at = resolve_known_at(database(), None, now=now())
    return Reply({"data": load_costs(database(), known_at=known_at), "known_at": known_at})


@endpoint(
    "/acquisition-costs",
    method="POST",
    scope="finance:write",
    body=schemas.AcquisitionCosts(),
    answer=schemas.AcquisitionReceipt(),
)
def record_acquisition_cost(body: dict[str, Any]) -> Reply:
    """Record what channels cost in a month, marketing and sales together.

    It is the whole cost of that month: the same channel and month again replaces it, and what was known before
    can still be asked for.
    """
    rows = [
        AcquisitionCostRow(each["channel"], each["month"], Decimal(each["cost"]["amount"]), each["cost"]["currency"])
        for each in body["data"]
    ]
    with recording(database(), current_actor(), clock=now) as change:
        source = Source(system="api", now=now())
        recorded = record_acquisition_costs(database(), change, source=source, rows=rows)
    return Reply(recorded.outcome)


@endpoint(
    "/ltv/acquisition",
    scope="finance:read",
    parameters=AcquisitionParameters(),
    answer=schemas.Acquisition(),
    csv_header=CSV_HEADER,
)
def show_acquisition(parameters: dict[str, Any]) -> Reply:
    """LTV to CAC and payback by acquisition channel, with intervals.

    Over the 12 whole calendar months before the run's day, of which those with a recorded cost count: what was
    spent in them against the accounts that began in them.
    """
    given = GivenTerms(**{name: parameters.get(name) for name in GivenTerms.__dataclass_fields__})
    found = load_acquisition(database(), given=given, level=parameters["level"], now=now())
    currency = found.run.currency
    every = [_channel(each, currency) for each in (*found.channels, found.total)]
    body = {
        "data": every[:-1],
        "total": every[-1],
        "since": found.since,
        "until": found.until,
        "costs_known_at": found.costs_known_at,
        "terms": found.terms,
        "level": found.level,
        "meta": run_meta(found.run, *DEFINITIONS),
    }
    rows = [_csv_row(each, level=found.level, currency=currency) for each in every]
    return Reply(body, rows=rows if wants_table(parameters) else None)


def _channel(found: ChannelCost, currency: str) -> dict[str, Any]:
    values = found.ltv.values if found.ltv else None
    cac = found.cac or Estimate(None, None, None)
    return {
        "channel": found.channel or None,
        "months": found.months,
        "spent": money(found.spent_minor, currency),
        "won": found.won,
        "cac": {name: money(getattr(cac, name), currency) for name in ("value", "lower", "upper")},
        "ltv_new": money(values.residual if values else None, currency),
        "ltv_to_cac": found.ltv_to_cac,
        "cac_payback_months": found.payback_months,
        "note": found.reason,
    }


def _csv_row(item: dict[str, Any], *, level: int, currency: str) -> list[Any]:
    def three(estimate: Any) -> list[Any]:
        return [getattr(estimate, name, None) for name in ("value", "lower", "upper")]

    cac = [None if amount is None else amount.amount for amount in item["cac"].values()]
    spent, ltv = (None if item[name] is None else item[name].amount for name in ("spent", "ltv_new"))
    counts = [item["channel"] or "all", item["months"], spent, item["won"]]
    return [*counts, *cac, ltv, *three(item["ltv_to_cac"]), *three(item["cac_payback_months"]), currency, level]

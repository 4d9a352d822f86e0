"""Closed months: closing one, what it said, what it says now, and what changed in between."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from app.api.endpoint import Reply, endpoint
from app.api.meta import moment_meta
from app.api.tables import wants_table
from app.auth import current_actor
from app.domain.closed_period import DEFINITION
from app.http import database, now
from app.queries.moments import load_moment
from app.queries.periods import find_closed, list_closed, load_closed_report, parse_month
from app.queries.restatements import Asked, Restatement, decode_key, encode_key, list_restatements
from app.schemas import periods as schemas
from app.services.changes import recording
from app.services.periods import derive_period, prepare_close, record_close

READ, WRITE = "finance:read", "finance:write"
PAGE = 1_000
USUAL = ("movement", "booking")
CSV_HEADER = (
    *("period", "kind", "category", "on", "delta", "currency", "account_id", "product", "contract_line_id"),
    *("deal_id", "deal_system", "deal_external_id", "cause", "source", "change_id", "recorded_at"),
)


@endpoint("/periods", scope=READ, answer=schemas.ClosedList())
def list_periods() -> Reply:
    """The months whose books are closed, the newest first."""
    return Reply({"data": list_closed(database())})


@endpoint("/periods/<month>", scope=READ, answer=schemas.PeriodReport())
def show_period(month: str) -> Reply:
    """The report of a closed month, byte for byte as it was closed.

    ARR at both ends and what moved it, by product and currency; bookings; retention over twelve months; counts; the
    settings and definitions it rests on. Its SHA-256 is in /periods.
    """
    return Reply(load_closed_report(database(), parse_month(month)))


@endpoint("/periods/<month>/current", scope=READ, parameters=schemas.CurrentParameters(), answer=schemas.PeriodReport())
def show_current_period(month: str, parameters: dict[str, Any]) -> Reply:
    """The same report from what is known now, or was at an instant; of open months, too.

    With the known_at of a closed month it is what was closed, to the byte.
    """
    period = parse_month(month)
    known = load_moment(database(), as_of=period.last_on, known_at=parameters.get("known_at"), now=now())
    return Reply(derive_period(database(), period, known=known))


@endpoint("/periods/<month>/close", method="POST", scope=WRITE, answer=schemas.ClosedItem(), status=201)
def close_period(month: str) -> Reply:
    """Close the books of a month, for ever.

    It must be over, and the one after the last closed month; its reconciliations must leave nothing unexplained. What
    is recorded about it later is listed as a restatement. Recorded in the audit.
    """
    session, at = database(), now()
    prepared = prepare_close(session, parse_month(month), now=at)
    with recording(session, current_actor(), clock=now) as change:
        closed = record_close(session, change, prepared=prepared, actor=current_actor(), at=at)
    return Reply(closed, status=201)


@endpoint(
    "/restatements",
    scope=READ,
    parameters=schemas.RestatementParameters(),
    answer=schemas.RestatementList(),
    csv_header=CSV_HEADER,
)
def show_restatements(parameters: dict[str, Any]) -> Reply:
    """What was recorded after a month was closed and changes what it said.

    By change, with the deal it comes from, its cause and who recorded it. What was closed and all deltas give what is
    current, exactly, for movements and bookings; kind=opening shows how the ARR that a month began with changed.
    """
    session = database()
    known = load_moment(session, as_of=None, known_at=parameters.get("known_at"), now=now())
    period = parse_month(parameters["period"]) if "period" in parameters else None
    if period is not None and find_closed(session, period) is None:
        load_closed_report(session, period)  # says that it is open
    after = decode_key(parameters["cursor"]) if "cursor" in parameters else None
    kinds = tuple(dict.fromkeys(parameters.get("kind") or USUAL))
    asked = Asked(known.known_at, period, kinds, after, parameters["limit"])
    page = list_restatements(session, asked)
    body = {"data": page.items, "meta": moment_meta(known, "restatement@1", DEFINITION, currency=None)}
    if wants_table(parameters):
        return Reply(body, rows=_rows(asked))
    return Reply(body, encode_key(page.next_after) if page.next_after else None)


def _rows(asked: Asked) -> Iterator[list[Any]]:
    """All of them, a page at a time."""
    asked = replace(asked, after=None, limit=PAGE)
    while True:
        page = list_restatements(database(), asked)
        yield from map(_row, page.items)
        if page.next_after is None:
            return
        asked = replace(asked, after=page.next_after)


def _row(item: Restatement) -> list[Any]:
    what = (item.period, item.kind, item.category, item.on, item.delta.amount, item.delta.currency)
    whose = (item.account_id, item.product, item.contract_line_id, item.deal_id)
    deal = (item.deal_system, item.deal_external_id)
    return [*what, *whose, *deal, item.cause, item.source, item.change_id, item.at]

"""Expansion opportunities: a list, one, and what sales makes of it."""

from collections.abc import Mapping
from typing import Any

from app.api.endpoint import Reply, endpoint
from app.api.health_said import known_now
from app.api.tables import wants_table
from app.auth import current_actor
from app.domain.expansion_moves import ACCEPT, LOSE, REJECT, SNOOZE, UNDO, WIN
from app.domain.expansion_words import evidence_sentences
from app.http import database, now
from app.queries.cursors import Sort
from app.queries.expansion import Opportunity, OpportunityDetail, OpportunityFilter, OpportunityQuery, find_opportunity
from app.queries.expansion import list_opportunities as load_opportunities
from app.schemas import expansion as schemas
from app.services.expansion import Move, move_opportunity

MOST_CSV_ROWS = 100_000
READ, WRITE = "opportunities:read", "opportunities:write"
PATH = "/expansion-opportunities"
ONE = f"{PATH}/<id:opportunity_id>"
CSV_HEADER = (
    *("id", "state", "motion", "account_id", "account", "sku", "product", "quantity", "likelihood"),
    *("worth", "currency", "expected_value", "probability", "measure", "why_now", "episode"),
    *("flagged_on", "seen_on", "snoozed_until"),
)


def present(row: Opportunity) -> dict[str, Any]:
    sentences = evidence_sentences(row.evidence)
    shown = {name: getattr(row, name) for name in Opportunity.__dataclass_fields__}
    return shown | {
        "account": {"id": row.account_id, "name": row.account_name},
        "product": {"sku": row.sku, "name": row.product_name},
        "why_now": sentences[0] if sentences else None,
        "evidence": sentences,
        "model_run_id": row.run_id,
    }


@endpoint(
    PATH,
    scope=READ,
    parameters=schemas.OpportunityParameters(),
    answer=schemas.OpportunityList(),
    csv_header=CSV_HEADER,
    has_moment=False,
)
def list_opportunities(parameters: dict[str, Any]) -> Reply:
    """Expansion opportunities, filtered and sorted, a page at a time.

    The dearest come first. Without a filter those that ended are among them; `state=flagged` are the
    ones that wait for an answer. The Link header leads to the next page.
    """
    chosen = {name: parameters[name] for name in OpportunityFilter.__dataclass_fields__ if name in parameters}
    asked = OpportunityQuery(
        filter=OpportunityFilter(**chosen),
        sort=Sort(parameters["sort"].removeprefix("-"), parameters["sort"].startswith("-")),
        cursor=parameters.get("cursor"),
        limit=MOST_CSV_ROWS if wants_table(parameters) else parameters["limit"],
    )
    page = load_opportunities(database(), asked, today=known_now().as_of)
    rows = [_csv_row(row) for row in page.rows] if wants_table(parameters) else None
    return Reply({"data": [present(row) for row in page.rows]}, page.next_cursor, rows)


def _csv_row(row: Opportunity) -> list[Any]:
    cells = present(row) | {
        "account": row.account_name,
        "product": row.product_name,
        "worth": row.worth.amount,
        "currency": row.worth.currency,
        "expected_value": None if row.expected_value is None else row.expected_value.amount,
    }
    return [cells[name] for name in CSV_HEADER]


@endpoint(ONE, scope=READ, answer=schemas.OpportunityFull())
def show_opportunity(opportunity_id: int) -> Reply:
    """One opportunity, what became of it, and what can be done with it now."""
    return Reply(_full(find_opportunity(database(), opportunity_id, now=now())))


def _full(found: OpportunityDetail) -> dict[str, Any]:
    moves = [
        {"at": move.moved_at} | {name: getattr(move, name) for name in move.__dataclass_fields__}
        for move in found.moves
    ]
    return present(found.opportunity) | {"moves": moves, "actions": found.actions}


@endpoint(f"{ONE}/accept", method="POST", scope=WRITE, body=schemas.NoteBody(), answer=schemas.OpportunityFull())
def accept_opportunity(opportunity_id: int, body: dict[str, Any]) -> Reply:
    """Accept an opportunity: sales takes it up."""
    return _move(opportunity_id, ACCEPT, said=body)


@endpoint(f"{ONE}/reject", method="POST", scope=WRITE, body=schemas.RejectBody(), answer=schemas.OpportunityFull())
def reject_opportunity(opportunity_id: int, body: dict[str, Any]) -> Reply:
    """Reject an opportunity, with a reason.

    The same is flagged again after 180 days at the earliest.
    """
    return _move(opportunity_id, REJECT, said=body)


@endpoint(f"{ONE}/snooze", method="POST", scope=WRITE, body=schemas.SnoozeBody(), answer=schemas.OpportunityFull())
def snooze_opportunity(opportunity_id: int, body: dict[str, Any]) -> Reply:
    """Put an opportunity off until a day, on which it is flagged once more."""
    return _move(opportunity_id, SNOOZE, said=body)


@endpoint(f"{ONE}/won", method="POST", scope=WRITE, body=schemas.NoteBody(), answer=schemas.OpportunityFull())
def win_opportunity(opportunity_id: int, body: dict[str, Any]) -> Reply:
    """Say that an accepted opportunity was won."""
    return _move(opportunity_id, WIN, said=body)


@endpoint(f"{ONE}/lost", method="POST", scope=WRITE, body=schemas.LostBody(), answer=schemas.OpportunityFull())
def lose_opportunity(opportunity_id: int, body: dict[str, Any]) -> Reply:
    """Say that an accepted opportunity was lost, with a reason."""
    return _move(opportunity_id, LOSE, said=body)


@endpoint(f"{ONE}/undo", method="POST", scope=WRITE, body=schemas.NoteBody(), answer=schemas.OpportunityFull())
def undo_opportunity(opportunity_id: int, body: dict[str, Any]) -> Reply:
    """Take the last answer back, within seven days.

    An opportunity that was accepted, rejected or snoozed is flagged again; one that was won or lost is
    accepted again.
    """
    return _move(opportunity_id, UNDO, said=body)


def _move(opportunity_id: int, action: str, *, said: Mapping[str, Any]) -> Reply:
    move = Move(opportunity_id, action, **said)
    return Reply(_full(move_opportunity(database(), move, actor=current_actor(), at=now())))

"""The pulse: how a customer success manager feels about an account."""

from dataclasses import asdict
from typing import Any

from app.api.endpoint import Reply, endpoint
from app.api.health_said import READ, WRITE, known_now, said_now
from app.auth import may
from app.http import database
from app.queries import pulses
from app.queries.accounts import load_account
from app.schemas import health as schemas
from app.services import health

PULSES = "/accounts/<id:account_id>/pulses"


@endpoint(PULSES, scope=READ, answer=schemas.PulseList())
def list_pulses(account_id: int) -> Reply:
    """How people felt about an account, the newest first.

    A pulse is kept apart from the calculated score, and no figure rests on it.
    """
    load_account(database(), account_id, today=known_now().as_of)
    return _listed(account_id)


@endpoint(PULSES, method="POST", scope=WRITE, body=schemas.PulseBody(), answer=schemas.PulseList(), status=201)
def give_pulse(account_id: int, body: dict[str, Any]) -> Reply:
    """Give the pulse of an account, 1 (bad) to 5 (good); those before stay."""
    health.give_pulse(database(), account_id, value=body["value"], note=body["note"], said=said_now())
    return _listed(account_id, status=201)


def _listed(account_id: int, *, status: int = 200) -> Reply:
    shows_notes = may("notes:read")
    rows = pulses.list_pulses(database(), account_id)
    return Reply({"data": [asdict(row) | ({} if shows_notes else {"note": None}) for row in rows]}, status=status)

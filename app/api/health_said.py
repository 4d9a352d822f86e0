"""What people say of an account's health: overrides beside the calculated score."""

from dataclasses import asdict
from datetime import date
from typing import Any

from app.api.endpoint import Reply, endpoint
from app.auth import current_actor, may
from app.http import database, now
from app.queries.accounts import load_account
from app.queries.facts import Known
from app.queries.health_overrides import Override, judge_all_overrides, list_overrides
from app.queries.moments import load_moment
from app.schemas import health as schemas
from app.services.health import Said, WantedOverride, end_override, set_override, undo_override

READ, WRITE = "accounts:read", "health:write"
OVERRIDES = "/accounts/<id:account_id>/health-overrides"


def known_now() -> Known:
    """The day in the company's time zone: overrides end with it."""
    return load_moment(database(), as_of=None, known_at=None, now=now())


def said_now() -> Said:
    return Said(current_actor(), now(), known_now().as_of)


def present_override(override: Override | None, *, today: date) -> dict[str, Any] | None:
    """None for none; the reason is a note of a person, and goes to those who may read notes."""
    if override is None:
        return None
    reason = override.reason if may("notes:read") else None
    return asdict(override) | {"reason": reason, "is_in_force": override.is_in_force(today)}


@endpoint(OVERRIDES, scope=READ, answer=schemas.OverrideList())
def list_health_overrides(account_id: int) -> Reply:
    """What people have set beside the calculated health of an account, with reason, author and expiry."""
    load_account(database(), account_id, today=known_now().as_of)
    return _listed(account_id)


def _listed(account_id: int, *, status: int = 200) -> Reply:
    today = known_now().as_of
    rows = list_overrides(database(), account_id)
    return Reply({"data": [present_override(row, today=today) for row in rows]}, status=status)


@endpoint(OVERRIDES, method="POST", scope=WRITE, body=schemas.OverrideBody(), answer=schemas.OverrideList(), status=201)
def set_health_override(account_id: int, body: dict[str, Any]) -> Reply:
    """Set the health of an account by hand, until a day; one that is in force is ended.

    The calculated score stays what it is and is shown beside it.
    """
    set_override(database(), WantedOverride(account_id, **body), said=said_now())
    return _listed(account_id, status=201)


@endpoint(f"{OVERRIDES}/end", method="POST", scope=WRITE, answer=schemas.OverrideList())
def end_health_override(account_id: int) -> Reply:
    """End the override in force: the calculated score stands alone again."""
    end_override(database(), account_id, said=said_now())
    return _listed(account_id)


@endpoint(f"{OVERRIDES}/undo", method="POST", scope=WRITE, answer=schemas.OverrideList())
def undo_health_override(account_id: int) -> Reply:
    """Take the last step back, within seven days.

    What was set is ended, and what it had replaced is set again; what was ended is set again.
    """
    undo_override(database(), account_id, said=said_now())
    return _listed(account_id)


@endpoint("/health-overrides/judgement", scope=READ, answer=schemas.OverrideJudgement())
def judge_health_overrides() -> Reply:
    """Whether overrides or the scores beside them were nearer to what happened.

    Of overrides that were set a year ago or before: the Brier score of each over the twelve months that followed,
    and the difference with its interval. Under 20 accounts it says unknown.
    """
    found = judge_all_overrides(database(), known_now())
    return Reply(asdict(found.judgement) | {"waiting": found.waiting, "left_out": found.left_out})

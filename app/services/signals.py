"""What other systems post of accounts: survey answers, tickets, conversations, trainings, invoices."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from app.services.billing import record_invoices
from app.services.changes import recording
from app.services.feeds import note_feed
from app.services.sources import Recorded, Refusal, Source
from app.services.success import record_surveys, record_tickets, record_touches, record_trainings
from integrations.files.checks import CHECKS

RECORDERS: dict[str, Callable[..., Recorded]] = {
    "survey": record_surveys,
    "ticket": record_tickets,
    "touch": record_touches,
    "training": record_trainings,
    "invoice": record_invoices,
}


@dataclass(frozen=True, slots=True)
class Told:
    """Rows of one noun that a system tells of. `account_system`: whose ids name the accounts."""

    noun: str
    system: str
    account_system: str
    rows: Sequence[Any]


def record_signals(session: Session, told: Told, *, actor: str, at: datetime) -> Recorded:
    """Record what a system tells of accounts, known from `at` on; the ids of `told.rows` must differ.

    A row that is not as it should be, or of an account that is not known, is refused by itself. The
    same row again changes nothing. The system is a feed from then on.
    """
    check = CHECKS.get(told.noun)
    problems = [check(row) if check else None for row in told.rows]
    wanted = [position for position, problem in enumerate(problems) if problem is None]
    refusals = [Refusal(position, *problem) for position, problem in enumerate(problems) if problem is not None]
    source = Source(told.system, at, account_system=told.account_system)
    with recording(session, actor, clock=lambda: at) as change:
        recorded = RECORDERS[told.noun](session, change, source=source, rows=[told.rows[n] for n in wanted])
        refusals += [replace(refusal, position=wanted[refusal.position]) for refusal in recorded.refusals]
        note_feed(session, kind="api", name=told.system, at=at)
    return Recorded(recorded.outcome, tuple(sorted(refusals, key=lambda refusal: refusal.position)))

"""Expansion opportunities moved by people and their programs: one table of moves, each step kept and told."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.expansion_moves import (
    FLAGGED,
    LONGEST_SNOOZE_DAYS,
    MOVES,
    REASONS,
    SNOOZE,
    SNOOZE_DAYS,
    UNDO,
    UNDO_WITHIN,
    actions_from,
)
from app.errors import Conflict, Invalid, NotFound
from app.models.expansion import ExpansionMove, ExpansionOpportunity
from app.models.persons import FreeText
from app.queries.expansion import OpportunityDetail, find_opportunity
from app.services.audit import Act, record_act
from app.services.changes import recording
from app.services.expansion_messages import tell_of_moves

LONGEST_NOTE = 2_000


@dataclass(frozen=True, slots=True)
class Move:
    """What somebody does with an opportunity: `action` is one of app/domain/expansion_moves.py.

    A rejection and a loss need a `reason` of their list; `until` is for a snooze (none: 30 days).
    """

    opportunity_id: int
    action: str
    reason: str | None = None
    note: str | None = None
    until: date | None = None


def move_opportunity(session: Session, move: Move, *, actor: str, at: datetime) -> OpportunityDetail:
    """Do what the table of moves allows: the state, its step, the audit and the message are one transaction.

    Raises NotFound; Conflict where the opportunity is in a state from which that cannot be done, or
    where too much time has passed to undo it; Invalid for a reason, note or day that does not fit.
    """
    statement = select(ExpansionOpportunity).where(ExpansionOpportunity.id == move.opportunity_id)
    # As it is now, also where this session has read it before it had to wait for somebody else.
    found = session.scalars(statement.with_for_update().execution_options(populate_existing=True))
    row = found.one_or_none()
    if row is None:
        raise NotFound(f"There is no expansion opportunity {move.opportunity_id}.")
    _check_what_was_said(move)
    state = _next_state(row, move, at=at)
    before, row.state, row.moved_at = row.state, state, at
    row.snoozed_until = _snoozed_until(move, today=at.date())
    if state == FLAGGED:
        row.seen_on = max(row.seen_on, at.date())  # who takes it back wants to see it for a while
    subject = f"expansion_opportunity:{row.id}"
    details = {"from": before, "to": state, "reason": move.reason}
    record_act(session, Act(f"expansion_opportunity.{move.action}", subject, details), actor=actor, at=at)
    step = ExpansionMove(
        opportunity_id=row.id, moved_at=at, from_state=before, to_state=state, actor=actor, reason=move.reason
    )
    session.add(step)
    session.flush()
    tell_of_moves(session, [step], at=at)
    _keep_note(session, step, note=move.note, at=at)
    return find_opportunity(session, row.id, now=at)


def _check_what_was_said(move: Move) -> None:
    reasons = REASONS.get(move.action)
    if reasons is None and move.reason is not None:
        raise Invalid("A reason goes with a rejection or a loss only.", {"reason": ["does not belong here"]})
    if reasons is not None and move.reason not in reasons:
        raise Invalid(f"Say why; the reasons are: {', '.join(reasons)}.", {"reason": ["is not in the list"]})
    if move.until is not None and move.action != SNOOZE:
        raise Invalid("A day goes with a snooze only.", {"until": ["does not belong here"]})
    if move.note is not None and len(move.note) > LONGEST_NOTE:
        raise Invalid(f"A note has at most {LONGEST_NOTE:,} characters.", {"note": ["is too long"]})


def _next_state(row: ExpansionOpportunity, move: Move, *, at: datetime) -> str:
    state = MOVES.get((row.state, move.action))
    if state is None:
        can = ", ".join(actions_from(row.state)) or "nothing"
        raise Conflict(f"It is {row.state} since {row.moved_at.date()}; what can be done with it now: {can}.")
    if move.action == UNDO and at - row.moved_at > UNDO_WITHIN:
        raise Conflict(
            f"It is {row.state} since {row.moved_at.date()}; that can be undone for {UNDO_WITHIN.days} days."
        )
    return state


def _snoozed_until(move: Move, *, today: date) -> date | None:
    if move.action != SNOOZE:
        return None
    until = move.until or today + timedelta(days=SNOOZE_DAYS)
    if not today < until <= today + timedelta(days=LONGEST_SNOOZE_DAYS):
        text = f"A snooze ends between tomorrow and {LONGEST_SNOOZE_DAYS} days from now."
        raise Invalid(text, {"until": ["is out of range"]})
    return until


def _keep_note(session: Session, step: ExpansionMove, *, note: str | None, at: datetime) -> None:
    """Last, because the change's stamp has to be the last thing that a transaction writes."""
    if note and note.strip():
        with recording(session, "expansion opportunities", clock=lambda: at) as change:
            text = FreeText(body=note.strip(), change_id=change.id)
            session.add(text)
            session.flush()
            step.text_id = text.id

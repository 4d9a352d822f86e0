"""What sales promised along with the deals of an account, what became of it, and what is overdue."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

from app.models.accounts import AccountVersion
from app.models.crm import DealPromise
from app.models.deals import DealVersion
from app.models.persons import FreeText
from app.models.versions import Change
from app.queries.accounts import accounts_of
from app.queries.known import in_force, valid_on, was_recorded

AnyRow = Row[*tuple[Any, ...]]
OPEN = "open"
WON = "won"


@dataclass(frozen=True, slots=True)
class PromiseStep:
    """What somebody said of a promise; `reason` None: none was given."""

    state: str
    actor: str
    moved_at: datetime
    reason: str | None


@dataclass(frozen=True, slots=True)
class DealPromised:
    """A promise as it stands; `id` is that of this version. `steps`: what was said of it, the newest first."""

    id: int
    deal_id: int
    deal: str
    kind: str
    text: str
    due_on: date | None
    state: str
    steps: tuple[PromiseStep, ...]

    def is_overdue(self, on: date) -> bool:
        """Open on a day after the one it was due on."""
        return self.state == OPEN and self.due_on is not None and self.due_on < on


@dataclass(frozen=True, slots=True)
class OverduePromise:
    account_id: int
    account: str
    deal: str
    kind: str
    text: str
    due_on: date


@dataclass(frozen=True, slots=True)
class Overdue:
    """The longest overdue of `count`."""

    rows: tuple[OverduePromise, ...]
    count: int


def list_promises(session: Session, account_id: int, *, known_at: datetime | None = None) -> tuple[DealPromised, ...]:
    """The promises of an account's won deals as known at an instant (None: now): open ones first, then by due day."""
    promise, deal = DealPromise, DealVersion
    recorded = promise.id.is_not(None) if known_at is None else was_recorded(promise, known_at)
    rows = session.execute(
        select(
            promise.id,
            promise.deal_id,
            promise.promise_key,
            promise.kind,
            promise.due_on,
            promise.state,
            in_force(promise, known_at).label("stands"),
            deal.name.label("deal"),
            FreeText.body.label("text"),
            promise.change_id,
            Change.source.label("actor"),
            Change.recorded_at,
        )
        .select_from(promise)
        .join(deal, (deal.deal_id == promise.deal_id) & in_force(deal, known_at))
        .join(FreeText, FreeText.id == promise.text_id)
        .join(Change, Change.id == promise.change_id)
        .where(deal.account_id == account_id, deal.stage == WON, recorded)
        .order_by(promise.deal_id, promise.promise_key, promise.id)
    )
    histories = [list(history) for _, history in groupby(rows, key=lambda row: (row.deal_id, row.promise_key))]
    standing = [(history[-1], _moves(history)) for history in histories if history[-1].stands]
    reasons = _load_reasons(session, [row.change_id for _, moves in standing for row in moves])
    found = [_promised(row, moves, reasons=reasons) for row, moves in standing]
    return tuple(sorted(found, key=lambda each: (each.state != OPEN, each.due_on or date.max, each.id)))


def _moves(history: Sequence[AnyRow]) -> list[AnyRow]:
    """The versions that say what became of it: those with another state than the one before. The newest first."""
    before = [OPEN, *(row.state for row in history)]
    return [row for row, state in zip(history, before, strict=False) if row.state != state][::-1]


def _load_reasons(session: Session, change_ids: Sequence[int]) -> dict[int, str]:
    """The text that came with each move: a move's change records no other."""
    rows = session.execute(select(FreeText.change_id, FreeText.body).where(FreeText.change_id.in_(change_ids)))
    return {row.change_id: row.body for row in rows}


def _promised(row: AnyRow, moves: Sequence[AnyRow], *, reasons: Mapping[int, str]) -> DealPromised:
    return DealPromised(
        id=row.id,
        deal_id=row.deal_id,
        deal=row.deal,
        kind=row.kind,
        text=row.text,
        due_on=row.due_on,
        state=row.state,
        steps=tuple(
            PromiseStep(move.state, move.actor, move.recorded_at, reasons.get(move.change_id)) for move in moves
        ),
    )


def find_account_of_promise(session: Session, promise_id: int) -> int | None:
    """The account that a promise was made to, by the id of any version of it; None: there is none."""
    deal = DealVersion
    return session.scalar(
        select(deal.account_id)
        .join(DealPromise, DealPromise.deal_id == deal.deal_id)
        .where(DealPromise.id == promise_id, deal.superseded_change_id.is_(None))
    )


def load_overdue_promises(session: Session, *, csm: Sequence[int], today: date, limit: int) -> Overdue:
    """Open promises of won deals whose day has passed, the longest overdue first; `csm` empty: everybody's."""
    promise, deal, account = DealPromise, DealVersion, AccountVersion
    statement = (
        select(
            account.account_id,
            account.name,
            deal.name,
            promise.kind,
            FreeText.body,
            promise.due_on,
            func.count().over().label("count"),
        )
        .select_from(promise)
        .join(deal, (deal.deal_id == promise.deal_id) & deal.superseded_change_id.is_(None))
        .join(account, (account.account_id == deal.account_id) & account.superseded_change_id.is_(None))
        .join(FreeText, FreeText.id == promise.text_id)
        .where(promise.superseded_change_id.is_(None), promise.state == OPEN, promise.due_on < today, deal.stage == WON)
        .where(account.merged_into_id.is_(None), valid_on(account, today))
        .order_by(promise.due_on, promise.id)
        .limit(limit)
    )
    if csm:
        statement = statement.where(account.account_id.in_(accounts_of(csm, today)))
    rows: Sequence[AnyRow] = session.execute(statement).all()
    return Overdue(tuple(OverduePromise(*row[:-1]) for row in rows), rows[0][-1] if rows else 0)

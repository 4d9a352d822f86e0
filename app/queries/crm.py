"""The connections to CRMs, how far each was read, and what waits for somebody."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.models.crm import AHEAD, CrmConnection, SyncCursor, SyncRefusal, SyncReview
from app.models.deals import Deal, DealVersion
from app.queries.ids import BATCH, find_accounts, find_contracts
from integrations.crm.client import Noun

ORDER = tuple(noun.value for noun in Noun)
PART = 10_000  # ids at a time


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """A connection, its secrets still sealed."""

    id: int
    name: str
    kind: str
    mapping: str = field(repr=False)
    secret_ciphertext: bytes = field(repr=False)
    push_ciphertext: bytes | None = field(repr=False)
    created_at: datetime
    paused_at: datetime | None
    due_at: datetime | None
    rung_at: datetime | None
    reconciled_at: datetime | None
    failures: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a noun was read; with `until` a window is under way, `read` of `total` (None: not known) so far."""

    noun: str
    synced_until: datetime | None
    until: datetime | None
    is_first: bool
    read: int
    total: int | None
    started_at: datetime | None
    mark: str | None = None

    def left(self, now: datetime) -> timedelta | None:
        """How long the window under way will take from now on, at the pace since it began; None: not to be told."""
        if self.until is None or self.started_at is None or not self.total or not 0 < self.read < self.total:
            return None
        return (now - self.started_at) * (self.total - self.read) / self.read

    @property
    def is_distrusted(self) -> bool:
        """It was found to be ahead of the clock: even once that time has come, what changed before it was not read."""
        return self.until is None and self.mark == AHEAD


@dataclass(frozen=True, slots=True)
class RefusedThing:
    noun: str
    external_id: str
    field: str
    reason: str
    needs_noun: str | None
    needs: str | None
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class Review:
    """So many of what is known are gone from the CRM: a person has to confirm it."""

    id: int
    connection_id: int
    noun: str
    gone: tuple[str, ...]
    known: int
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class CrmState:
    """A connection, how far each noun was read, how much could not be recorded, and what waits for a person."""

    connection: ConnectionState
    progress: tuple[Progress, ...]  # in the order in which nouns are read
    refused: int
    reviews: tuple[Review, ...]

    @property
    def reading(self) -> Progress | None:
        """What is being read just now, or is to be gone on with."""
        return next((each for each in self.progress if each.until is not None), None)

    @property
    def is_loading(self) -> bool:
        """Its first load has begun, and is not over."""
        return any(each.is_first and each.until is not None for each in self.progress)


_CONNECTION = tuple(getattr(CrmConnection, name) for name in ConnectionState.__dataclass_fields__)
_PROGRESS = tuple(getattr(SyncCursor, name) for name in Progress.__dataclass_fields__)
_REFUSED = tuple(getattr(SyncRefusal, name) for name in RefusedThing.__dataclass_fields__)


def list_connections(session: Session) -> tuple[ConnectionState, ...]:
    """All of them, by name."""
    return tuple(ConnectionState(*row) for row in session.execute(select(*_CONNECTION).order_by(CrmConnection.name)))


def find_connection(session: Session, name: str) -> ConnectionState | None:
    row = session.execute(select(*_CONNECTION).where(CrmConnection.name == name)).one_or_none()
    return None if row is None else ConnectionState(*row)


def list_crm_states(session: Session) -> tuple[CrmState, ...]:
    """Every CRM by name, in four statements however many there are."""
    progress: dict[int, list[Progress]] = {}
    for row in session.execute(select(SyncCursor.connection_id, *_PROGRESS)):
        progress.setdefault(row.connection_id, []).append(Progress(*row[1:]))
    counts = select(SyncRefusal.connection_id, func.count()).group_by(SyncRefusal.connection_id)
    refused: dict[int, int] = {row[0]: row[1] for row in session.execute(counts)}
    reviews = list_reviews(session)
    return tuple(
        CrmState(
            each,
            tuple(sorted(progress.get(each.id, ()), key=lambda one: ORDER.index(one.noun))),
            refused.get(each.id, 0),
            tuple(review for review in reviews if review.connection_id == each.id),
        )
        for each in list_connections(session)
    )


def list_progress(session: Session, connection_id: int) -> dict[str, Progress]:
    rows = session.execute(select(*_PROGRESS).where(SyncCursor.connection_id == connection_id))
    return {row.noun: Progress(*row) for row in rows}


def list_refused(session: Session, connection_id: int, *, limit: int | None = None) -> tuple[RefusedThing, ...]:
    """What is not recorded, or not in full; the longest waiting first."""
    statement = (
        select(*_REFUSED)
        .where(SyncRefusal.connection_id == connection_id)
        .order_by(SyncRefusal.refused_at, SyncRefusal.noun, SyncRefusal.external_id)
        .limit(limit)
    )
    return tuple(RefusedThing(*row) for row in session.execute(statement))


def count_refused(session: Session, connection_id: int) -> int:
    return session.scalar(select(func.count()).where(SyncRefusal.connection_id == connection_id)) or 0


def find_ready_since(session: Session, connection: ConnectionState, *, noun: str) -> datetime | None:
    """When the earliest of what can be recorded by now, having missed something, was last modified; None: none can."""
    waiting = [each for each in list_refused(session, connection.id) if each.noun == noun and each.needs]
    accounts = find_accounts(session, connection.name, kind="crm", ids=_needed(waiting, "company"))
    deals = find_contracts(session, connection.name, deals=_needed(waiting, "deal"))
    known = {"company": accounts.keys(), "deal": deals.keys()}
    ready = [each for each in waiting if each.needs in known.get(each.needs_noun or "", ())]
    return min((each.modified_at for each in ready), default=None)


def _needed(waiting: Collection[RefusedThing], noun: str) -> list[str]:
    return [each.needs for each in waiting if each.needs and each.needs_noun == noun]


def list_waiting_renewals(session: Session, connection_id: int, *, needs: Collection[str]) -> dict[str, str]:
    """Renewals that came before the deal that they name, one of `needs`: {renewal: the deal}."""
    statement = select(SyncRefusal.external_id, SyncRefusal.needs).where(
        SyncRefusal.connection_id == connection_id,
        SyncRefusal.field == "renewal_of",
        SyncRefusal.needs_noun == "deal",
    )
    names = sorted(needs)
    return {
        row.external_id: row.needs
        for start in range(0, len(names), BATCH)
        for row in session.execute(statement.where(SyncRefusal.needs.in_(names[start : start + BATCH])))
    }


def list_reviews(session: Session, connection_id: int | None = None) -> tuple[Review, ...]:
    """What waits for a person, of one connection or of all."""
    columns = (getattr(SyncReview, name) for name in Review.__dataclass_fields__)
    statement = select(*columns).where(SyncReview.decided_at.is_(None)).order_by(SyncReview.id)
    if connection_id is not None:
        statement = statement.where(SyncReview.connection_id == connection_id)
    return tuple(
        Review(row.id, row.connection_id, row.noun, tuple(row.gone), row.known, row.opened_at)
        for row in session.execute(statement)
    )


def list_deal_ids(session: Session, system: str) -> Iterator[Sequence[str]]:
    """The deals of a system that are there, in any stage; in parts, each read as it is asked for."""
    statement = (
        select(Deal.external_id)
        .join(DealVersion, (DealVersion.deal_id == Deal.id) & DealVersion.superseded_change_id.is_(None))
        .where(Deal.system == system)
    )
    return session.scalars(statement, execution_options={"yield_per": PART}).partitions()


def list_withdrawn_ids(session: Session, system: str) -> Iterator[Sequence[str]]:
    """The deals of a system that were there and are no more, without those that live on in others; in parts."""
    in_force = (DealVersion.deal_id == Deal.id) & DealVersion.superseded_change_id.is_(None)
    statement = (
        select(Deal.external_id)
        .outerjoin(DealVersion, in_force)
        .where(Deal.system == system, Deal.merged_into_id.is_(None), DealVersion.id.is_(None))
    )
    return session.scalars(statement, execution_options={"yield_per": PART}).partitions()


def count_deals(session: Session, system: str) -> int:
    """How many deals of a system are there, in any stage."""
    in_force = (DealVersion.deal_id == Deal.id) & DealVersion.superseded_change_id.is_(None)
    return (
        session.scalar(select(func.count()).select_from(Deal).join(DealVersion, in_force).where(Deal.system == system))
        or 0
    )


def find_present_deals(session: Session, system: str, *, ids: Collection[str]) -> set[str]:
    """Those of the ids under which a deal is there."""
    in_force = (DealVersion.deal_id == Deal.id) & DealVersion.superseded_change_id.is_(None)
    statement = select(Deal.external_id).join(DealVersion, in_force).where(Deal.system == system)
    names, found = sorted(ids), set()
    for start in range(0, len(names), BATCH):
        found |= set(session.scalars(statement.where(Deal.external_id.in_(names[start : start + BATCH]))))
    return found

"""Usage events as they came in, and what was made of them. Raw events are kept for as long as the retention says."""

from datetime import date, datetime

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, UTCDateTime
from app.models.usage import SmallId
from app.models.versions import Id


class EventSource(Base):
    """A product that sends events, by the name under which its accounts' ids are known (`external_ids.system`)."""

    __tablename__ = "event_sources"

    id: Mapped[int] = mapped_column(SmallId, primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    # The random key of its people's digests: encrypted, so that it outlives a change of the installation's secret.
    person_key_ciphertext: Mapped[bytes | None] = mapped_column(LargeBinary)
    rolled_up_to: Mapped[int] = mapped_column(BigInteger, default=0)  # the last event's id that was rolled up


class UsageEvent(Base):
    """One thing that somebody at an account did. Its id follows the order of arrival, and is never given out again.

    Rows are appended, and looked up by nothing but their id: the same event sent twice is two of them until it is
    rolled up (`EventKey`). Instants are microseconds since 1970 in UTC: events are many, and whole numbers are what
    rolling them up computes with. `person_key` is a keyed digest of the source's id of the person.
    """

    __tablename__ = "usage_events"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    event_key: Mapped[bytes] = mapped_column(LargeBinary(16))  # digest of (source, the event's own id)
    # Of event_sources, which are never deleted: a check of every event would lock its source each time.
    source_id: Mapped[int] = mapped_column(SmallId)
    account_ref: Mapped[str] = mapped_column(String(200))  # the source's id of the account
    person_key: Mapped[bytes | None] = mapped_column(LargeBinary(16))
    name: Mapped[str] = mapped_column(String(200))
    occurred_us: Mapped[int] = mapped_column(BigInteger)
    received_us: Mapped[int] = mapped_column(BigInteger)
    properties: Mapped[str | None] = mapped_column(Text)  # JSON as it came

    __table_args__ = ({"sqlite_autoincrement": True},)


class EventKey(Base):
    """Which event was the first of its key, and so is the one that counts. Kept for as long as that event is."""

    __tablename__ = "event_keys"

    event_key: Mapped[bytes] = mapped_column(LargeBinary(16), primary_key=True)
    event_id: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = ({"sqlite_with_rowid": False},)


class Membership(Base):
    """Which account a person of a source belongs to, said by its last `group` call."""

    __tablename__ = "memberships"

    source_id: Mapped[int] = mapped_column(ForeignKey("event_sources.id"), primary_key=True)
    person_key: Mapped[bytes] = mapped_column(LargeBinary(16), primary_key=True)
    account_ref: Mapped[str] = mapped_column(String(200))


class PersonDay(Base):
    """A person was active at an account on a day: counted once, whenever it became known."""

    __tablename__ = "person_days"

    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    person_key: Mapped[bytes] = mapped_column(LargeBinary(16), primary_key=True)
    available_on: Mapped[date]


class RefusedEvents(Base):
    """How many events of a day were not taken, and why: so that a mistake in a client is seen here."""

    __tablename__ = "refused_events"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    source_id: Mapped[int] = mapped_column(ForeignKey("event_sources.id"))
    received_on: Mapped[date]
    reason: Mapped[str] = mapped_column(String(50))
    events: Mapped[int] = mapped_column("events_count")
    last_at: Mapped[datetime] = mapped_column(UTCDateTime)

    __table_args__ = (UniqueConstraint("source_id", "received_on", "reason", name="uq_refused_events_reason"),)


class WaitingEvents(Base):
    """Events of an account that is not known yet, as of the last roll-up: counted, and taken up once it is known."""

    __tablename__ = "waiting_events"

    source_id: Mapped[int] = mapped_column(ForeignKey("event_sources.id"), primary_key=True)
    account_ref: Mapped[str] = mapped_column(String(200), primary_key=True)
    first_event_id: Mapped[int] = mapped_column(BigInteger)
    last_event_id: Mapped[int] = mapped_column(BigInteger)
    events: Mapped[int] = mapped_column("events_count")

    __table_args__ = (Index("ix_waiting_events_events_count", "events_count"),)

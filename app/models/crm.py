"""The customer's CRM: how it is reached, how far it was read, what sales promised, and what was written back."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, UTCDateTime
from app.models.versions import Id, Version, current_version_index

UNDECIDED = text("decided_at IS NULL")
AHEAD = "ahead"


class CrmConnection(Base):
    """A CRM that is read; its name is the system whose ids are on accounts and deals."""

    __tablename__ = "crm_connections"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    kind: Mapped[str] = mapped_column(String(30))
    mapping: Mapped[str] = mapped_column(Text)  # TOML
    secret_ciphertext: Mapped[bytes] = mapped_column(LargeBinary)  # what lets us in
    push_ciphertext: Mapped[bytes | None] = mapped_column(LargeBinary)  # what its pushes are signed with
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    paused_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    due_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # not before; none: at once
    rung_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # when a push last asked for a sync
    reconciled_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    failures: Mapped[int] = mapped_column(default=0)  # in a row


class SyncCursor(Base):
    """How far a noun was read. With `until` a window is under way: [since, until), `mark` the last page committed.

    Without `until`, a `mark` of AHEAD: `synced_until` was found later than the clock, and is never gone on from.
    """

    __tablename__ = "sync_cursors"

    connection_id: Mapped[int] = mapped_column(ForeignKey("crm_connections.id", ondelete="CASCADE"), primary_key=True)
    noun: Mapped[str] = mapped_column(String(20), primary_key=True)
    synced_until: Mapped[datetime | None] = mapped_column(UTCDateTime)  # all that changed before it was read
    since: Mapped[datetime | None] = mapped_column(UTCDateTime)
    until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    mark: Mapped[str | None] = mapped_column(Text)
    is_first: Mapped[bool] = mapped_column(default=True)  # a backfill: nothing was read to the end before
    read: Mapped[int] = mapped_column(default=0)
    total: Mapped[int | None]
    started_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class SyncRefusal(Base):
    """A thing of the CRM that could not be recorded as it is; gone once it can be.

    `needs` is the CRM's id of what it names and is not known yet: when that arrives, it is read again.
    """

    __tablename__ = "sync_refusals"

    connection_id: Mapped[int] = mapped_column(ForeignKey("crm_connections.id", ondelete="CASCADE"), primary_key=True)
    noun: Mapped[str] = mapped_column(String(20), primary_key=True)
    external_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    field: Mapped[str] = mapped_column(String(50))
    reason: Mapped[str] = mapped_column(Text)
    needs_noun: Mapped[str | None] = mapped_column(String(20))
    needs: Mapped[str | None] = mapped_column(String(200))
    modified_at: Mapped[datetime] = mapped_column(UTCDateTime)  # in the CRM
    refused_at: Mapped[datetime] = mapped_column(UTCDateTime)


class SyncReview(Base):
    """More was gone from the CRM than is believed without a person: `gone` are its ids of them."""

    __tablename__ = "sync_reviews"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    connection_id: Mapped[int] = mapped_column(ForeignKey("crm_connections.id", ondelete="CASCADE"))
    noun: Mapped[str] = mapped_column(String(20))
    gone: Mapped[list[Any]] = mapped_column(JSON)
    known: Mapped[int]  # of so many
    opened_at: Mapped[datetime] = mapped_column(UTCDateTime)
    decided_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    decided_by: Mapped[str | None] = mapped_column(String(100))  # none: it was no longer so

    __table_args__ = (
        Index(
            "uq_sync_reviews_open",
            "connection_id",
            "noun",
            unique=True,
            sqlite_where=UNDECIDED,
            postgresql_where=UNDECIDED,
        ),
    )


class DealPromise(Version, Base):
    """What sales promised along with a deal, by the CRM's own key; its words are in `texts`."""

    __tablename__ = "promises"

    deal_id: Mapped[int] = mapped_column(ForeignKey("deals.id"), index=True)
    promise_key: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(20))  # goal, date, stakeholder, note
    text_id: Mapped[int] = mapped_column(ForeignKey("texts.id"))
    due_on: Mapped[date | None]
    state: Mapped[str] = mapped_column(String(10), default="open")  # open, kept, broken, dropped

    __table_args__ = (current_version_index("uq_promises_current", "deal_id", "promise_key"),)


class CrmWrite(Base):
    """What was, or is to be, written to a CRM: known there by `key`, so that it is there once."""

    __tablename__ = "crm_writes"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    connection_id: Mapped[int] = mapped_column(ForeignKey("crm_connections.id", ondelete="CASCADE"))
    key: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(20))  # note, task, opportunity, account_fields
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))  # of what it says
    state: Mapped[str] = mapped_column(String(10))  # begun, written, failed
    external_id: Mapped[str | None] = mapped_column(String(200))
    attempts: Mapped[int] = mapped_column(default=0)
    attempted_at: Mapped[datetime] = mapped_column(UTCDateTime)
    written_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    error: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (UniqueConstraint("connection_id", "key", name="uq_crm_writes_key"),)

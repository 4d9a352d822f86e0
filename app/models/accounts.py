"""Accounts: who they are to us, over time, and under which names other systems know them."""

from datetime import date
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, Integer, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base
from app.models.versions import DatedVersion, Recorded, Version, current_version_index


class Account(Recorded, Base):
    """Nothing but its identity; all that is said of it is a version."""

    __tablename__ = "accounts"


IS_MERGED = text("merged_into_id IS NOT NULL")


class AccountVersion(DatedVersion, Base):
    """The attributes of an account from `valid_from` until the day before `valid_to`."""

    __tablename__ = "account_versions"

    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    name: Mapped[str] = mapped_column(String(300))
    segment: Mapped[str | None] = mapped_column(String(100))
    industry: Mapped[str | None] = mapped_column(String(100))
    country: Mapped[str | None] = mapped_column(String(100))
    employees: Mapped[int | None] = mapped_column(Integer)
    channel: Mapped[str | None] = mapped_column(String(100))  # acquisition channel
    campaign: Mapped[str | None] = mapped_column(String(200))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))
    merged_into_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))
    custom: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)  # declared in custom_fields

    __table_args__ = (
        current_version_index("uq_account_versions_current", "account_id", "valid_from"),
        Index("ix_account_versions_name", "name"),
        Index("ix_merged_accounts", "merged_into_id", sqlite_where=IS_MERGED, postgresql_where=IS_MERGED),
    )


class CustomField(Version, Base):
    """A field that the company added to its accounts."""

    __tablename__ = "custom_fields"

    name: Mapped[str] = mapped_column(String(100))
    type: Mapped[str] = mapped_column(String(20))  # text, number, date, boolean
    valid_from: Mapped[date]
    is_filterable: Mapped[bool] = mapped_column(default=False)

    __table_args__ = (current_version_index("uq_custom_fields_current", "name"),)


class ExternalId(Version, Base):
    """An account's id in another system: many to one."""

    __tablename__ = "external_ids"

    system: Mapped[str] = mapped_column(String(100))
    kind: Mapped[str] = mapped_column(String(50))  # crm, billing, product, support
    external_id: Mapped[str] = mapped_column(String(200))
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)

    __table_args__ = (current_version_index("uq_external_ids_current", "system", "kind", "external_id"),)


class Assignment(DatedVersion, Base):
    """Who of our staff looks after an account, from when until when."""

    __tablename__ = "assignments"

    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    role: Mapped[str] = mapped_column(String(30))  # csm, account_owner, inside_sales
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"), index=True)

    __table_args__ = (current_version_index("uq_assignments_current", "account_id", "role", "valid_from"),)


class MatchProposal(Recorded, Base):
    """Two ids that look alike: proposed to a person, never joined by the machine."""

    __tablename__ = "match_proposals"

    system: Mapped[str] = mapped_column(String(100))
    noun: Mapped[str] = mapped_column(String(30))  # account, product
    given: Mapped[str] = mapped_column(String(300))
    candidate: Mapped[str] = mapped_column(String(300))
    reason: Mapped[str] = mapped_column(String(300))
    state: Mapped[str] = mapped_column(String(20), default="proposed")  # proposed, accepted, refused

    __table_args__ = (UniqueConstraint("system", "noun", "given", "candidate", name="uq_match_proposals_pair"),)

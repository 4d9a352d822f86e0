"""Who changed what: rows are added only; triggers of the database refuse anything else."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, UTCDateTime
from app.models.versions import Id


class AuditEntry(Base):
    """One act. `digest` covers the entry and the digest before it, so that nothing can be taken out unseen.

    Names and texts are not in here, only ids: erasing a person breaks no chain.
    """

    __tablename__ = "audit_entries"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    actor: Mapped[str] = mapped_column(String(100))  # user:7, token:3, link:12, command, night, nobody
    action: Mapped[str] = mapped_column(String(60))  # user.added, login.failed, webhook_endpoint.created ...
    subject: Mapped[str | None] = mapped_column(String(100))  # user:8, webhook_endpoint:2 ...
    details: Mapped[dict[str, Any]] = mapped_column(JSON)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)

"""People and what was written about them: the only two tables that erasing a person has to touch."""

from datetime import date

from sqlalchemy import ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base
from app.models.versions import Recorded


class Person(Recorded, Base):
    """A contact at an account, or one of our staff. Names, mails and telephone numbers live here alone."""

    __tablename__ = "persons"

    kind: Mapped[str] = mapped_column(String(10))  # contact, staff
    system: Mapped[str] = mapped_column(String(100))
    external_id: Mapped[str] = mapped_column(String(200))
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"), index=True)
    name: Mapped[str] = mapped_column(String(300))
    email: Mapped[str | None] = mapped_column(String(320), index=True)
    phone: Mapped[str | None] = mapped_column(String(50))
    role: Mapped[str | None] = mapped_column(String(50))  # champion, economic_buyer, user
    departed_on: Mapped[date | None]

    __table_args__ = (UniqueConstraint("system", "kind", "external_id", name="uq_persons_external_id"),)


class FreeText(Recorded, Base):
    """A note, a comment, a ticket's body: free text lives here alone."""

    __tablename__ = "texts"

    body: Mapped[str] = mapped_column(Text)

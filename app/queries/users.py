"""Our staff who can log in."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.models.persons import Person
from app.models.users import User, UserSession


@dataclass(frozen=True, slots=True)
class UserSummary:
    """`last_seen_at` is of a session that is still kept; None: not logged in."""

    id: int
    name: str
    email: str | None
    role: str
    language: str | None
    is_active: bool
    created_at: datetime
    last_seen_at: datetime | None


LAST_SEEN = (
    select(func.max(UserSession.last_seen_at)).where(UserSession.user_id == User.id).correlate(User).scalar_subquery()
)
USERS = select(
    User.id, Person.name, Person.email, User.role, User.language, User.is_active, User.created_at, LAST_SEEN
).join(Person, Person.id == User.person_id)


def list_users(session: Session) -> list[UserSummary]:
    """The active first, by name."""
    rows = session.execute(USERS.order_by(User.is_active.desc(), Person.name, User.id))
    return [UserSummary(*row) for row in rows]


def load_user(session: Session, user_id: int) -> UserSummary:
    row = session.execute(USERS.where(User.id == user_id)).one_or_none()
    if row is None:
        raise NotFound("There is no such user.")
    return UserSummary(*row)

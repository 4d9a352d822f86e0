"""Our staff: who may come in and as what, their passwords and their sessions."""

import secrets
from dataclasses import dataclass
from datetime import datetime

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import and_, delete, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.domain.texts import is_one_line
from app.errors import Conflict, Invalid, NotAuthenticated, NotFound
from app.models.persons import Person
from app.models.users import User, UserSession
from app.models.versions import Change
from app.queries.callers import ABSOLUTE_LIMIT, IDLE_LIMIT, hash_secret
from app.services.audit import Act, record_act
from app.services.changes import utc_now

SYSTEM = "tenure"
ADMIN = "admin"
ROLES = (ADMIN, "csm", "sales", "finance")  # what each may is in app/auth.py
SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 1000  # hashing costs by length; nobody types more

HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1, type=Type.ID)
# Checked where no user is found, so that the answer takes as long as for a wrong password.
NOBODY = HASHER.hash(secrets.token_urlsafe(16))
LAST_ADMIN = "This is the only active administrator; make somebody else one first."
NOT_TOGETHER = "That address and password do not belong together."


@dataclass(frozen=True, slots=True)
class NewUser:
    name: str
    email: str
    password: str
    role: str = ADMIN


@dataclass(frozen=True, slots=True)
class Proof:
    """Whose password was right, and the hash that it was right for."""

    user_id: int
    password_hash: str


@dataclass(frozen=True, slots=True)
class NewSession:
    """`id` goes into the cookie and is kept here as a hash only."""

    id: str
    csrf_token: str


def add_user(session: Session, change: Change, *, new: NewUser) -> int:
    """Add one of our staff who can log in, on record as done by the change's source; gives the user's id.

    Raises Invalid for a weak password, what is no mail address or no role, Conflict where the address is taken.
    """
    address, name = _address(new.email), new.name.strip()
    if not name or len(name) > 200 or not is_one_line(name):
        raise Invalid("A user needs a name of 1 to 200 characters.", {"name": ["1 to 200 characters"]})
    _check_role(new.role)
    password_hash = _hash(new.password, address)
    person = Person(kind="staff", system=SYSTEM, external_id=address, name=name, email=address, change_id=change.id)
    session.add(person)
    try:
        session.flush()
    except IntegrityError:
        raise Conflict(f"There is a user with the address {address} already.") from None
    user = User(person_id=person.id, password_hash=password_hash, role=new.role, created_at=utc_now())
    session.add(user)
    session.flush()
    act = Act("user.added", f"user:{user.id}", {"role": new.role})
    record_act(session, act, actor=change.source, at=user.created_at)
    return user.id


def change_role(session: Session, *, user_id: int, role: str, actor: str, at: datetime) -> str:
    """Give a user another role, which holds from their next click on; gives the role before.

    Raises NotFound, Invalid for what is no role, Conflict for the last active administrator.
    """
    _check_role(role)
    user, is_last_admin = _lock(session, user_id)
    before = user.role
    if role != before:
        if is_last_admin:
            raise Conflict(LAST_ADMIN)
        user.role = role
        act = Act("user.role_changed", f"user:{user_id}", {"from": before, "to": role})
        record_act(session, act, actor=actor, at=at)
    return before


def deactivate_user(session: Session, *, user_id: int, actor: str, at: datetime) -> None:
    """Shut a user out and end their sessions; they stay on record. Raises NotFound, Conflict for the last admin."""
    user, is_last_admin = _lock(session, user_id)
    if is_last_admin:
        raise Conflict(LAST_ADMIN)
    if user.is_active:
        user.is_active = False
        session.execute(delete(UserSession).where(UserSession.user_id == user_id))
        record_act(session, Act("user.deactivated", f"user:{user_id}"), actor=actor, at=at)


def reactivate_user(session: Session, *, user_id: int, actor: str, at: datetime) -> None:
    """Let a user in again, with the role and the password they had. Raises NotFound."""
    user, _ = _lock(session, user_id)
    if not user.is_active:
        user.is_active = True
        record_act(session, Act("user.reactivated", f"user:{user_id}"), actor=actor, at=at)


def _lock(session: Session, user_id: int) -> tuple[User, bool]:
    """The user, and whether they are the only active administrator.

    All administrators are locked with them, in one order, so that two cannot take each other away at once.
    """
    is_admin = and_(User.role == ADMIN, User.is_active)
    statement = select(User).where(or_(User.id == user_id, is_admin)).order_by(User.id).with_for_update()
    users = session.scalars(statement.execution_options(populate_existing=True)).all()
    user = next((user for user in users if user.id == user_id), None)
    if user is None:
        raise NotFound("There is no such user.")
    return user, [other for other in users if other.role == ADMIN and other.is_active] == [user]


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise Invalid(f"There is no role {role[:60]!r}; there are: {', '.join(ROLES)}.", {"role": ["no such role"]})


def verify_password(session: Session, *, email: str, password: str) -> Proof:
    """Who the active user with this address and password is, else NotAuthenticated.

    Hashing takes long and only reads: no transaction that writes should wait for it.
    """
    row = _user_with(session, email)
    try:
        HASHER.verify(row.password_hash if row else NOBODY, password[:LONGEST_PASSWORD])
    except (VerificationError, InvalidHashError):
        row = None
    if row is None or not row.is_active:
        raise NotAuthenticated(NOT_TOGETHER)
    return Proof(row.id, row.password_hash)


def find_user(session: Session, email: str) -> User:
    """The user with this address. Raises NotFound."""
    user = _user_with(session, email)
    if user is None:
        raise NotFound(f"There is no user with the address {email}.")
    return user


def _user_with(session: Session, email: str) -> User | None:
    address = email.strip().lower().replace("\0", "\ufffd")  # no database takes a NUL, so nobody has one
    return session.execute(
        select(User)
        .join(Person, Person.id == User.person_id)
        .where(Person.system == SYSTEM, Person.kind == "staff", Person.external_id == address)
    ).scalar_one_or_none()


def accept_proof(session: Session, proof: Proof, *, password: str) -> None:
    """Renew a hash made with older parameters. Raises NotAuthenticated if the password was changed since the proof."""
    row = session.get(User, proof.user_id, with_for_update=True)
    if row is None or row.password_hash != proof.password_hash:
        raise NotAuthenticated(NOT_TOGETHER)
    if HASHER.check_needs_rehash(row.password_hash):
        row.password_hash = HASHER.hash(password)


def change_password(session: Session, *, user_id: int, password: str, actor: str, at: datetime) -> None:
    """Set a new password and end every session of the user, this one too. Raises NotFound, Invalid."""
    row = session.execute(
        select(User, Person.email).join(Person, Person.id == User.person_id).where(User.id == user_id)
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such user.")
    row.User.password_hash = _hash(password, row.email or "")
    session.execute(delete(UserSession).where(UserSession.user_id == user_id))
    record_act(session, Act("user.password_changed", f"user:{user_id}"), actor=actor, at=at)


def start_session(session: Session, *, user_id: int, now: datetime) -> NewSession:
    """Open a session; its id and the token against forged requests have 256 random bits each."""
    new = NewSession(secrets.token_urlsafe(32), secrets.token_urlsafe(32))
    session.add(
        UserSession(
            id_hash=hash_secret(new.id), user_id=user_id, csrf_token=new.csrf_token, created_at=now, last_seen_at=now
        )
    )
    session.flush()
    return new


def end_session(session: Session, *, session_hash: bytes) -> None:
    session.execute(delete(UserSession).where(UserSession.id_hash == session_hash))


def end_old_sessions(session: Session, *, now: datetime) -> int:
    """Delete the sessions that count no more; gives how many there were."""
    over = or_(UserSession.created_at <= now - ABSOLUTE_LIMIT, UserSession.last_seen_at <= now - IDLE_LIMIT)
    return len(session.scalars(delete(UserSession).where(over).returning(UserSession.user_id)).all())


def note_session_use(session: Session, *, session_hash: bytes, now: datetime) -> None:
    session.execute(update(UserSession).where(UserSession.id_hash == session_hash).values(last_seen_at=now))


def _hash(password: str, address: str) -> str:
    if len(password) < SHORTEST_PASSWORD:
        raise Invalid(f"A password needs at least {SHORTEST_PASSWORD} characters; three unrelated words will do.")
    if len(password) > LONGEST_PASSWORD:
        raise Invalid(f"A password has at most {LONGEST_PASSWORD} characters.")
    if password.lower() == address or len(set(password)) < 4:
        raise Invalid("That password is too easy to guess; three unrelated words will do.")
    return HASHER.hash(password)


def _address(email: str) -> str:
    address = email.strip().lower()
    name, at, domain = address.partition("@")
    if not (name and at and domain) or len(address) > 200 or any(c.isspace() or ord(c) < 32 for c in address):
        raise Invalid(f"{email[:60]!r} is no mail address.")
    return address

"""Users and their passwords."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from argon2 import PasswordHasher
from sqlalchemy import Engine, select, update

from app.db import make_engine, reading, transaction
from app.errors import Conflict, Invalid, NotAuthenticated, NotFound
from app.models.users import User, UserSession
from app.queries.audit import Asked, list_entries
from app.queries.callers import find_signed_in
from app.queries.users import load_user
from app.services.changes import recording
from app.services.users import (
    NewUser,
    accept_proof,
    add_user,
    change_password,
    change_role,
    deactivate_user,
    end_old_sessions,
    end_session,
    reactivate_user,
    start_session,
    verify_password,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PASSWORD = "three unrelated words"


def add(engine: Engine, *, name: str = "Ai", email: str = "ai@example.com", password: str = PASSWORD) -> int:
    with transaction(engine) as session, recording(session, "test") as change:
        return add_user(session, change, new=NewUser(name, email, password))


def test_a_user_is_known_by_mail_and_password_in_whatever_case_the_mail_is(engine: Engine) -> None:
    user_id = add(engine, email=" Ai@Example.com ")
    with transaction(engine) as session:
        assert verify_password(session, email="AI@example.COM", password=PASSWORD).user_id == user_id


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("ai@example.com", "wrong words entirely"),
        ("nobody@example.com", PASSWORD),
        ("ai@example.com", ""),
        ("ai\0", "\0"),
    ],
)
def test_wrong_mail_and_wrong_password_are_told_apart_by_nobody(engine: Engine, email: str, password: str) -> None:
    add(engine)
    with transaction(engine) as session, pytest.raises(NotAuthenticated, match="do not belong together"):
        verify_password(session, email=email, password=password)


def test_a_user_who_left_cannot_log_in(engine: Engine) -> None:
    add(engine)
    with transaction(engine) as session:
        session.execute(update(User).values(is_active=False))
        with pytest.raises(NotAuthenticated):
            verify_password(session, email="ai@example.com", password=PASSWORD)


def test_the_password_is_kept_as_argon2id(engine: Engine) -> None:
    add(engine)
    with reading(engine) as session:
        kept = session.scalars(select(User.password_hash)).one()
    assert kept.startswith("$argon2id$")
    assert PASSWORD not in kept


def test_a_hash_of_older_parameters_is_renewed_at_log_in(engine: Engine) -> None:
    add(engine)
    old = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    with transaction(engine) as session:
        session.execute(update(User).values(password_hash=old))
    with transaction(engine) as session:
        proof = verify_password(session, email="ai@example.com", password=PASSWORD)
        accept_proof(session, proof, password=PASSWORD)
    with transaction(engine) as session:
        assert session.scalars(select(User.password_hash)).one() != old
        verify_password(session, email="ai@example.com", password=PASSWORD)


def test_a_password_changed_between_proof_and_log_in_no_longer_counts(engine: Engine) -> None:
    user_id = add(engine)
    with reading(engine) as session:
        proof = verify_password(session, email="ai@example.com", password=PASSWORD)
    with transaction(engine) as session:
        change_password(session, user_id=user_id, password="four quite unrelated words", actor="command", at=NOON)
    with transaction(engine) as session, pytest.raises(NotAuthenticated):
        accept_proof(session, proof, password=PASSWORD)


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaaa", "ai@example.com", "x" * 1001])
def test_a_weak_password_is_refused_in_words(engine: Engine, password: str) -> None:
    with pytest.raises(Invalid, match="password"):
        add(engine, password=password)


@pytest.mark.parametrize("email", ["", "ai", "@example.com", "ai@", "a i@example.com", "a\n@example.com"])
def test_what_is_no_mail_address_is_refused(engine: Engine, email: str) -> None:
    with pytest.raises(Invalid, match="mail address"):
        add(engine, email=email)


def test_a_mail_address_belongs_to_one_user(engine: Engine) -> None:
    add(engine)
    with pytest.raises(Conflict, match="already"):
        add(engine, name="Other", email="AI@example.com")
    with reading(engine) as session:
        assert len(session.scalars(select(User.id)).all()) == 1


def test_a_new_password_replaces_the_old_one_and_ends_sessions(engine: Engine) -> None:
    user_id = add(engine)
    with transaction(engine) as session:
        start_session(session, user_id=user_id, now=NOON)
        change_password(session, user_id=user_id, password="four quite unrelated words", actor="command", at=NOON)
        assert session.scalars(select(UserSession.user_id)).all() == []
        with pytest.raises(NotAuthenticated):
            verify_password(session, email="ai@example.com", password=PASSWORD)
        assert (
            verify_password(session, email="ai@example.com", password="four quite unrelated words").user_id == user_id
        )
        with pytest.raises(NotFound):
            change_password(session, user_id=user_id + 1, password=PASSWORD, actor="command", at=NOON)


def test_a_session_is_found_by_its_secret_until_it_ends(engine: Engine) -> None:
    user_id = add(engine)
    with transaction(engine) as session:
        opened = start_session(session, user_id=user_id, now=NOON)
        found = find_signed_in(session, session_id=opened.id, now=NOON)
        assert found is not None
        assert (found.user_id, found.name, found.csrf_token) == (user_id, "Ai", opened.csrf_token)
        assert find_signed_in(session, session_id=opened.id + "x", now=NOON) is None
        end_session(session, session_hash=found.session_hash)
        assert find_signed_in(session, session_id=opened.id, now=NOON) is None


def test_sessions_that_are_over_are_swept_out(engine: Engine) -> None:
    user_id = add(engine)
    with transaction(engine) as session:
        for hours in (0, 13):
            start_session(session, user_id=user_id, now=NOON + timedelta(hours=hours))
        assert end_old_sessions(session, now=NOON + timedelta(hours=13)) == 1
        assert len(session.scalars(select(UserSession.user_id)).all()) == 1


def acts(engine: Engine) -> list[tuple[str, str, str | None]]:
    with reading(engine) as session:
        entries = list_entries(session, Asked()).entries
    return [(entry.actor, entry.action, entry.subject) for entry in reversed(entries)]


def role_and_state(engine: Engine, user_id: int) -> tuple[str, bool]:
    with reading(engine) as session:
        user = load_user(session, user_id)
    return user.role, user.is_active


def test_what_is_done_to_a_user_is_on_record(engine: Engine) -> None:
    admin, other = add(engine), add(engine, email="bo@example.com")
    with transaction(engine) as session:
        assert change_role(session, user_id=other, role="csm", actor=f"user:{admin}", at=NOON) == "admin"
        change_role(session, user_id=other, role="csm", actor=f"user:{admin}", at=NOON)  # nothing new
        deactivate_user(session, user_id=other, actor=f"user:{admin}", at=NOON)
        deactivate_user(session, user_id=other, actor=f"user:{admin}", at=NOON)
        reactivate_user(session, user_id=other, actor="command", at=NOON)
        change_password(session, user_id=other, password="four quite unrelated words", actor="command", at=NOON)
    assert acts(engine) == [
        ("test", "user.added", f"user:{admin}"),
        ("test", "user.added", f"user:{other}"),
        (f"user:{admin}", "user.role_changed", f"user:{other}"),
        (f"user:{admin}", "user.deactivated", f"user:{other}"),
        ("command", "user.reactivated", f"user:{other}"),
        ("command", "user.password_changed", f"user:{other}"),
    ]
    assert role_and_state(engine, other) == ("csm", True)


def test_the_audit_of_a_user_holds_neither_name_nor_mail(engine: Engine) -> None:
    add(engine, name="Hanako Tanaka", email="hanako@example.com")
    with reading(engine) as session:
        said = str(list_entries(session, Asked()).entries).lower()
    assert "hanako" not in said


def test_the_last_active_administrator_cannot_be_taken_away(engine: Engine) -> None:
    only = add(engine)
    for act in (
        lambda session: change_role(session, user_id=only, role="csm", actor="command", at=NOON),
        lambda session: deactivate_user(session, user_id=only, actor="command", at=NOON),
    ):
        with pytest.raises(Conflict, match="only active administrator"), transaction(engine) as session:
            act(session)
    assert role_and_state(engine, only) == ("admin", True)
    second = add(engine, email="bo@example.com")
    with transaction(engine) as session:
        deactivate_user(session, user_id=only, actor="command", at=NOON)
    with pytest.raises(Conflict), transaction(engine) as session:
        change_role(session, user_id=second, role="sales", actor="command", at=NOON)


def test_two_administrators_who_take_each_other_away_at_once_leave_one(database_url: str, engine: Engine) -> None:
    first, second = add(engine), add(engine, email="bo@example.com")
    refused: list[Exception] = []

    def take_away(user_id: int) -> None:
        own = make_engine(database_url)
        try:
            with transaction(own) as session:
                deactivate_user(session, user_id=user_id, actor="command", at=NOON)
        except Conflict as error:
            refused.append(error)
        own.dispose()

    threads = [threading.Thread(target=take_away, args=(user_id,)) for user_id in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1
    assert sorted([role_and_state(engine, first)[1], role_and_state(engine, second)[1]]) == [False, True]


def test_a_deactivated_user_is_out_at_once_and_may_come_back(engine: Engine) -> None:
    add(engine)
    user_id = add(engine, email="bo@example.com")
    with transaction(engine) as session:
        opened = start_session(session, user_id=user_id, now=NOON)
        deactivate_user(session, user_id=user_id, actor="command", at=NOON)
    with reading(engine) as session:
        assert find_signed_in(session, session_id=opened.id, now=NOON) is None
        with pytest.raises(NotAuthenticated):
            verify_password(session, email="bo@example.com", password=PASSWORD)
    with transaction(engine) as session:
        reactivate_user(session, user_id=user_id, actor="command", at=NOON)
    with reading(engine) as session:
        assert find_signed_in(session, session_id=opened.id, now=NOON) is None  # the old session stays over
        assert verify_password(session, email="bo@example.com", password=PASSWORD).user_id == user_id


def test_a_role_that_does_not_exist_and_a_user_who_does_not(engine: Engine) -> None:
    user_id = add(engine)
    with pytest.raises(Invalid, match="admin, csm, sales, finance"), transaction(engine) as session:
        change_role(session, user_id=user_id, role="root", actor="command", at=NOON)
    with pytest.raises(NotFound), transaction(engine) as session:
        reactivate_user(session, user_id=user_id + 1, actor="command", at=NOON)

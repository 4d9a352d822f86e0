"""The audit takes new entries and nothing else, and what was done to it behind the database's back shows."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.db import make_engine, reading, transaction
from app.errors import Invalid
from app.queries.audit import Asked, find_head, list_entries, name_actors
from app.services.audit import BATCH, Act, Verdict, record_act, verify_audit
from app.services.changes import recording
from app.services.tokens import WantedToken, create_token
from app.services.users import NewUser, add_user

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ENTRIES = 6


def write_entries(engine: Engine, *, count: int = ENTRIES) -> None:
    for number in range(count):
        with transaction(engine) as session:
            act = Act("token.created", f"token:{number}", {"scopes": ["admin"], "source": None, "é": number / 3})
            record_act(session, act, actor="command", at=NOON + timedelta(minutes=number))


def verify(engine: Engine, head: str | None = None) -> Verdict:
    with reading(engine) as session:
        return verify_audit(session, head=head)


def tamper(engine: Engine, *statements: str) -> None:
    """As somebody would who owns the database: the triggers go first."""
    is_sqlite = engine.dialect.name == "sqlite"
    triggers = ("no_update", "no_delete", "no_replace") if is_sqlite else ("added_only",)
    with engine.begin() as connection:
        for name in triggers:
            on = "" if is_sqlite else " ON audit_entries"
            connection.execute(text(f"DROP TRIGGER audit_entries_{name}{on}"))
        for statement in statements:
            connection.execute(text(statement))


def test_a_chain_that_nobody_touched_fits(engine: Engine) -> None:
    write_entries(engine)
    verdict = verify(engine)
    assert (verdict.entries, verdict.broken_id) == (ENTRIES, None)
    with reading(engine) as session:
        assert find_head(session).digest == verdict.head


def test_a_chain_of_several_batches_is_walked_to_its_end(engine: Engine) -> None:
    with transaction(engine) as session:
        for number in range(BATCH + 5):
            record_act(session, Act("test", f"thing:{number}"), actor="command", at=NOON)
    assert verify(engine).entries == BATCH + 5
    tamper(engine, "UPDATE audit_entries SET actor = 'nobody' WHERE subject = 'thing:1001'")
    assert verify(engine).broken_id == 1002


def test_an_empty_chain_fits(engine: Engine) -> None:
    assert verify(engine, "0" * 64) == Verdict(0, "0" * 64, None, is_head_found=True)


COPY = (
    "INSERT INTO audit_entries (id, at, actor, action, subject, details, digest) "
    "SELECT 100, at, actor, action, subject, details, {digest} FROM audit_entries WHERE id = 2"
)
ATTACKS: dict[str, tuple[tuple[str, ...], int]] = {
    "an edit of the actor": (("UPDATE audit_entries SET actor = 'user:1' WHERE id = 3",), 3),
    "an edit of the details": (("UPDATE audit_entries SET details = '{\"scopes\": []}' WHERE id = 3",), 3),
    "an edit of the time": (("UPDATE audit_entries SET at = '2020-01-01 00:00:00' WHERE id = 3",), 3),
    "a subject taken away": (("UPDATE audit_entries SET subject = NULL WHERE id = 6",), 6),
    "a deletion in the middle": (("DELETE FROM audit_entries WHERE id = 3",), 4),
    "a deletion at the start": (("DELETE FROM audit_entries WHERE id = 1",), 2),
    "two entries in the other's place": (
        (
            "UPDATE audit_entries SET id = 100 WHERE id = 3",
            "UPDATE audit_entries SET id = 3 WHERE id = 4",
            "UPDATE audit_entries SET id = 4 WHERE id = 100",
        ),
        3,
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_chain_shows(engine: Engine, attack: str) -> None:
    write_entries(engine)
    statements, broken_id = ATTACKS[attack]
    tamper(engine, *statements)
    verdict = verify(engine)
    assert verdict.broken_id == broken_id
    assert verdict.entries < ENTRIES


def test_the_chain_shows_an_entry_that_was_put_in(engine: Engine) -> None:
    write_entries(engine)
    made_up = "zeroblob(32)" if engine.dialect.name == "sqlite" else "decode(repeat('00', 32), 'hex')"
    tamper(engine, COPY.format(digest=made_up))
    assert verify(engine).broken_id == 100


def test_an_end_that_was_cut_off_shows_by_the_head_that_was_kept(engine: Engine) -> None:
    write_entries(engine)
    kept = verify(engine).head
    write_entries(engine, count=1)
    assert verify(engine, kept).is_head_found
    tamper(engine, "DELETE FROM audit_entries WHERE id > 4")
    verdict = verify(engine, kept)
    assert (verdict.entries, verdict.broken_id, verdict.is_head_found) == (4, None, False)


@pytest.mark.parametrize("head", ["", "abc", "xyz", "0" * 63, "0" * 66])
def test_what_is_no_head_is_refused(engine: Engine, head: str) -> None:
    with pytest.raises(Invalid):
        verify(engine, head)


CHANGES = [
    "UPDATE audit_entries SET actor = 'user:1'",
    "UPDATE audit_entries SET digest = digest WHERE id = 1",
    "DELETE FROM audit_entries WHERE id = 3",
    "DELETE FROM audit_entries",
]
OF_ONE_DATABASE = {
    "sqlite": ["INSERT OR REPLACE INTO audit_entries SELECT * FROM audit_entries WHERE id = 3"],
    "postgresql": ["TRUNCATE audit_entries", "TRUNCATE audit_entries CASCADE"],
}


def test_the_database_refuses_everything_but_new_entries(engine: Engine) -> None:
    write_entries(engine)
    for statement in CHANGES + OF_ONE_DATABASE[engine.dialect.name]:
        with pytest.raises(DBAPIError, match="audit entries are added only"), engine.begin() as connection:
            connection.execute(text(statement))
    assert verify(engine).entries == ENTRIES


def test_writers_at_once_make_one_chain(database_url: str, engine: Engine) -> None:
    def work(number: int) -> None:
        own = make_engine(database_url)
        for turn in range(5):
            with transaction(own) as session:
                record_act(session, Act("test", f"thing:{turn}"), actor=f"user:{number}", at=NOON)
        own.dispose()

    in_threads([lambda number=number: work(number) for number in range(4)])
    assert verify(engine).entries == 20
    assert verify(engine).broken_id is None


def in_threads(works: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_an_act_that_is_rolled_back_leaves_no_entry(engine: Engine) -> None:
    with Session(engine) as session:
        record_act(session, Act("test"), actor="command", at=NOON)
        session.rollback()
    assert verify(engine).entries == 0


def test_entries_are_listed_newest_first_a_page_at_a_time_by_actor_and_action(engine: Engine) -> None:
    write_entries(engine)
    with transaction(engine) as session:
        record_act(session, Act("login.failed"), actor="nobody", at=NOON)
    with reading(engine) as session:
        first = list_entries(session, Asked(limit=4))
        second = list_entries(session, Asked(limit=4, before=first.next_before))
        assert [entry.id for entry in first.entries] == [7, 6, 5, 4]
        assert [entry.id for entry in second.entries] == [3, 2, 1]
        assert second.next_before is None
        assert [entry.id for entry in list_entries(session, Asked(actor="nobody")).entries] == [7]
        assert [entry.id for entry in list_entries(session, Asked(action="login")).entries] == [7]
        assert list_entries(session, Asked(action="log_n")).entries == []


def test_actors_are_named_from_where_names_live(engine: Engine) -> None:
    with transaction(engine) as session, recording(session, "test") as change:
        new = NewUser("Ai", "ai@example.com", "three unrelated words")
        user_id = add_user(session, change, new=new)
    with transaction(engine) as session:
        token_id = create_token(session, WantedToken("BI", ["admin"]), actor=f"user:{user_id}", now=NOON).id
    with reading(engine) as session:
        names = name_actors(session, [f"user:{user_id}", f"token:{token_id}", "command", "user:99", "link:5"])
    assert names == {f"user:{user_id}": "Ai", f"token:{token_id}": "BI"}

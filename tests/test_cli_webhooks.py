"""`tenure webhook` and `tenure secrets` as an operator uses them."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli import main
from app.db import make_engine, reading, transaction
from app.models.audit import AuditEntry
from app.services.changes import utc_now
from app.services.messages import NewMessage, post_message
from tests.receiver import receiving

OLD_KEY, NEW_KEY = "an old secret of an installation of 32+", "a new secret of an installation of 32+"


@pytest.fixture
def tenure(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("TENURE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TENURE_SECRET_KEY", OLD_KEY)
    monkeypatch.setenv("TENURE_PRIVATE_TARGETS", "127.0.0.1")

    def run(*words: str) -> Result:
        return CliRunner().invoke(main, list(words))

    return run


def said(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.output


def post(database_url: str, count: int) -> None:
    engine = make_engine(database_url)
    with transaction(engine) as session:
        for n in range(count):
            post_message(session, NewMessage("feed.stale", {"n": n}), at=utc_now())
    engine.dispose()


def test_an_endpoint_lives_from_add_to_remove(tenure, database_url: str) -> None:
    with receiving() as receiver:
        made = said(tenure("webhook", "add", receiver.url, "--name", "The CRM", "--type", "feed.stale"))
        [secret] = re.findall(r"^whsec_\S+$", made, re.MULTILINE)
        assert "delivered: answered 204" in said(tenure("webhook", "test", "1"))
        post(database_url, 2)
        assert said(tenure("webhook", "deliver")) == "2 delivered\n"
        assert said(tenure("webhook", "deliver")) == "Nothing is due.\n"
        assert len(receiver.requests) == 3
        assert secret not in said(tenure("webhook", "rotate", "1"))
        said(tenure("webhook", "test", "1"))
        assert receiver.requests[-1].headers["webhook-signature"].count("v1,") == 2
        said(tenure("webhook", "rotate", "1", "--at-once"))
        said(tenure("webhook", "test", "1"))
        assert receiver.requests[-1].headers["webhook-signature"].count("v1,") == 1
        listed = said(tenure("webhook", "list"))
        assert "The CRM" in listed
        assert "on; 0 pending, 0 dead" in listed
        assert "canary-of-an-address" not in listed
        post(database_url, 3)
        said(tenure("webhook", "disable", "1"))
        assert "off: somebody switched it off" in said(tenure("webhook", "list"))
        assert said(tenure("webhook", "deliveries", "--state", "dropped")).count("dropped") == 3
        said(tenure("webhook", "enable", "1"))
        assert said(tenure("webhook", "replay", "--endpoint", "1")) == "Due again: 3.\n"
        assert said(tenure("webhook", "deliver")) == "3 delivered\n"
        assert said(tenure("webhook", "replay", "2")) == "Due again: 1.\n"
        said(tenure("webhook", "remove", "1"))
        assert said(tenure("webhook", "list")) == ""
        assert len(said(tenure("webhook", "deliveries", "--endpoint", "1")).splitlines()) == 8


def test_what_cannot_be_done_is_said(tenure) -> None:
    for words, expected in (
        (("add", "http://10.0.0.1/"), "TENURE_PRIVATE_TARGETS"),
        (("add", "http://127.0.0.1/", "--type", "feed.stail"), "feed.stale"),
        (("test", "7"), "no such webhook endpoint"),
        (("rotate", "7"), "no such webhook endpoint"),
        (("replay", "7"), "no such delivery"),
        (("replay",), "--endpoint"),
        (("deliveries", "--state", "lost"), "pending, delivered, dead, dropped"),
    ):
        result = tenure("webhook", *words)
        assert (result.exit_code, expected in result.output) == (1, True), result.output


def test_a_test_that_fails_ends_with_an_error(tenure) -> None:
    with receiving(lambda _request: (503, {})) as receiver:
        said(tenure("webhook", "add", receiver.url))
        result = tenure("webhook", "test", "1")
    assert (result.exit_code, "dead: answered 503" in result.output) == (1, True)


def test_secrets_are_moved_to_a_new_key_and_the_old_one_can_go(tenure, database_url: str, monkeypatch) -> None:
    with receiving() as receiver:
        said(tenure("webhook", "add", receiver.url))
        monkeypatch.setenv("TENURE_SECRET_KEY", NEW_KEY)
        lost = tenure("secrets", "rotate")
        assert (lost.exit_code, "TENURE_OLD_SECRET_KEYS" in lost.output) == (1, True)
        assert "TENURE_OLD_SECRET_KEYS" in tenure("webhook", "test", "1").output
        monkeypatch.setenv("TENURE_OLD_SECRET_KEYS", OLD_KEY)
        said(tenure("webhook", "test", "1"))
        assert "Encrypted anew: 2." in said(tenure("secrets", "rotate"))
        monkeypatch.delenv("TENURE_OLD_SECRET_KEYS")
        said(tenure("webhook", "test", "1"))
        assert "Under the present key already: 2." in said(tenure("secrets", "rotate"))
    engine = make_engine(database_url)
    with reading(engine) as session:
        acts = session.query(AuditEntry.action, AuditEntry.details).filter_by(action="secrets.rotated").all()
    engine.dispose()
    assert [act.details for act in acts] == [{"rewritten": 2, "kept": 0}, {"rewritten": 0, "kept": 2}]

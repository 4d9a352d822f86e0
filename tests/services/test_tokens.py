"""The keys of programs."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, select

from app.db import reading, transaction
from app.errors import Invalid, NotFound
from app.models.users import Token
from app.queries.callers import find_program, list_tokens
from app.services.tokens import WantedToken, create_token, revoke_token

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_token_is_found_by_its_text_and_kept_as_a_hash_with_a_prefix(engine: Engine) -> None:
    with transaction(engine) as session:
        made = create_token(session, WantedToken("BI", ["finance:read", "finance:read"]), actor="command", now=NOON)
        kept = session.scalars(select(Token)).one()
        assert made.token.encode() not in kept.sha256
        assert made.token.startswith(made.prefix)
        assert len(made.prefix) < len(made.token) / 3
        found = find_program(session, token=made.token, now=NOON)
        assert found is not None
        assert found.scopes == {"finance:read"}
        assert find_program(session, token=made.prefix, now=NOON) is None


def test_a_token_lasts_a_year_unless_said_otherwise(engine: Engine) -> None:
    with transaction(engine) as session:
        year = create_token(session, WantedToken("a", ["admin"]), actor="command", now=NOON)
        day = create_token(session, WantedToken("b", ["admin"], lifetime=timedelta(days=1)), actor="command", now=NOON)
        endless = create_token(session, WantedToken("c", ["admin"], lifetime=None), actor="command", now=NOON)
        assert year.expires_at == NOON + timedelta(days=365)
        assert find_program(session, token=day.token, now=NOON + timedelta(hours=23)) is not None
        assert find_program(session, token=day.token, now=NOON + timedelta(days=1)) is None
        assert find_program(session, token=endless.token, now=NOON + timedelta(days=36500)) is not None


def test_a_revoked_token_stays_listed_and_stops_working(engine: Engine) -> None:
    with transaction(engine) as session:
        made = create_token(session, WantedToken("BI", ["admin"]), actor="command", now=NOON)
        revoke_token(session, token_id=made.id, actor="command", now=NOON)
        revoke_token(session, token_id=made.id, actor="command", now=NOON + timedelta(days=1))
        with pytest.raises(NotFound):
            revoke_token(session, token_id=made.id + 1, actor="command", now=NOON)
    with reading(engine) as session:
        assert find_program(session, token=made.token, now=NOON) is None
        assert [token.revoked_at for token in list_tokens(session)] == [NOON]


@pytest.mark.parametrize(
    ("name", "scopes", "words"),
    [
        ("BI", [], "needs a scope"),
        ("BI", ["finance:red"], "finance:red"),
        (" ", ["admin"], "name"),
        ("x" * 101, ["admin"], "name"),
        ("two\nlines", ["admin"], "one line"),
        ("turned \u202e", ["admin"], "one line"),
    ],
)
def test_a_token_without_scope_or_name_is_refused(engine: Engine, name: str, scopes: list[str], words: str) -> None:
    with transaction(engine) as session, pytest.raises(Invalid, match=words):
        create_token(session, WantedToken(name, scopes), actor="command", now=NOON)

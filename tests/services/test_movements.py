"""Stored movements are those that follow from the lines, at every tick of any story, on both databases."""

import pytest
from sqlalchemy import Engine, select

from app.db import reading
from app.migrate import downgrade, migrate
from app.models.versions import Change
from app.queries.ledger import FILLED
from tests.ledger_story import computed, stored, tell


@pytest.mark.parametrize("seed", range(3))
def test_what_is_stored_follows_from_the_lines_at_every_tick(engine: Engine, seed: int) -> None:
    ticks = tell(engine, seed, 40)
    assert any(stored(engine, at) for at in ticks)
    for at in ticks:
        assert stored(engine, at) == computed(engine, at), (seed, at)


def test_the_migration_stores_what_follows_from_the_lines_that_were_there(engine: Engine) -> None:
    tell(engine, 5, 25)
    before = stored(engine, None)
    assert before
    downgrade(engine, "0005")
    migrate(engine)
    assert stored(engine, None) == before
    with reading(engine) as session:
        assert session.scalar(select(Change.id).where(Change.source == FILLED)) is not None

"""The migrations lead to the models and back, on both databases."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect

import app.models  # noqa: F401
from app.db import Base
from app.migrate import downgrade, is_migrated, migrate


def test_the_migrated_database_equals_the_models(engine: Engine) -> None:
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_migrating_twice_changes_nothing(engine: Engine) -> None:
    migrate(engine)
    assert is_migrated(engine)


def test_down_to_nothing_and_up_again(engine: Engine) -> None:
    downgrade(engine, "base")
    assert inspect(engine).get_table_names() == ["alembic_version"]
    assert not is_migrated(engine)
    migrate(engine)
    assert set(Base.metadata.tables) <= set(inspect(engine).get_table_names())

"""Alembic's door: runs the migrations over the engine that app/db.py would use."""

from typing import Literal

from alembic import context
from sqlalchemy import Connection, text

import app.models  # noqa: F401  (knows all tables)
from app.db import Base, UTCDateTime, make_engine
from app.models.versions import ExactDecimal

# Migrations must not depend on code that may change under them: our types are written as what they are stored as.
STORED_AS = {UTCDateTime: "sa.DateTime(timezone=True)", ExactDecimal: "sa.String(length=80)"}


def render_item(kind: str, item: object, _context: object) -> str | Literal[False]:
    return STORED_AS.get(type(item), False) if kind == "type" else False


def run(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        # A migration that cannot have its lock soon gives up, rather than queue every reader behind it.
        connection.execute(text("SET lock_timeout = '5s'"))
        connection.commit()
    context.configure(
        connection=connection, target_metadata=Base.metadata, render_item=render_item, transactional_ddl=True
    )
    with context.begin_transaction():
        context.run_migrations()


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    url = context.config.get_main_option("sqlalchemy.url")
    if url is None:
        raise SystemExit("Use `tenure db upgrade`; it knows the database.")
    with make_engine(url).connect() as opened:
        run(opened)

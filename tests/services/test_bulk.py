"""Columns go into both databases as they are, and come out as they went in."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import Engine, select

from app.db import reading, transaction
from app.models.accounts import Account
from app.models.contracts import ChurnNotice
from app.models.usage import UsageDay, UsageMetric
from app.models.versions import Change
from app.queries.columns import days_in_zone, fetch_columns, instants
from app.services.bulk import add_columns

SIZE = 25_000
DAYS = np.datetime64("2026-01-01") + (np.arange(SIZE) % 400).astype("timedelta64[D]")
FEATURE = np.where(np.arange(SIZE) % 7 == 0, np.nan, 3.0)
MOMENTS = ["2026-03-28T23:30", "2026-03-29T01:15", "2026-07-01T22:05"]
AMOUNT = np.arange(SIZE) / 3


def write(engine: Engine) -> None:
    keys = np.arange(SIZE, dtype="<u8")
    with transaction(engine) as session:
        change = Change(source="test")
        session.add(change)
        session.add(UsageMetric(id=1, name="activity", unit="count"))
        session.flush()
        ids = np.arange(1, 4)
        add_columns(session, Account, columns={"id": ids, "change_id": np.full(3, change.id)})
        usage = {
            "source_key": np.column_stack([keys, keys]),
            "account_id": np.arange(SIZE) % 3 + 1,
            "metric_id": np.ones(SIZE, dtype=np.int64),
            "change_id": np.full(SIZE, change.id),
            "day": DAYS,
            "available_on": DAYS + 1,
            "amount": AMOUNT,
            "product_id": np.where(FEATURE > 0, np.nan, FEATURE),
            "apart_reason": np.where(np.arange(SIZE) % 5 == 0, "before_contract", np.array(None, dtype=object)),
        }
        add_columns(session, UsageDay, columns=usage)
        notices = {
            "id": ids,
            "change_id": np.full(3, change.id),
            "system": np.array(["crm"] * 3, dtype=object),
            "external_id": np.array(["a", "b", "c"], dtype=object),
            "account_id": ids,
            "occurred_on": np.array(["2026-01-31", "2026-02-28", "2026-03-31"], dtype="datetime64[D]"),
            "effective_on": np.array(["2026-03-01"] * 3, dtype="datetime64[D]"),
            "cause": np.array(["voluntary"] * 3, dtype=object),
            "is_reactivation": np.array([True, False, True]),
            "available_at": np.array(
                ["2026-03-28T23:30", "2026-03-29T01:15", "2026-07-01T22:05"], dtype="datetime64[s]"
            ),
        }
        add_columns(session, ChurnNotice, columns=notices)


def test_what_was_written_as_columns_is_read_as_columns(engine: Engine) -> None:
    write(engine)
    statement = select(UsageDay.id, UsageDay.day, UsageDay.amount, UsageDay.product_id, UsageDay.account_id)
    with reading(engine) as session:
        key, day, amount, product, account = fetch_columns(session, statement, by=UsageDay.id)
        blob = session.scalars(select(UsageDay.source_key).order_by(UsageDay.id)).all()[-1]
        reasons = session.scalars(select(UsageDay.apart_reason).order_by(UsageDay.id)).all()
    order = np.argsort(key)
    assert (day[order] == DAYS).all()
    assert (amount[order] == AMOUNT).all()
    assert (account[order] == np.arange(SIZE) % 3 + 1).all()
    assert set(product.tolist()) == {None}
    assert blob == (SIZE - 1).to_bytes(8, "little") * 2
    assert reasons[:3] == ["before_contract", None, None]


def test_instants_and_flags_survive_and_fall_on_the_day_of_the_zone(engine: Engine) -> None:
    write(engine)
    with reading(engine) as session:
        statement = select(ChurnNotice.available_at, ChurnNotice.is_reactivation).order_by(ChurnNotice.id)
        known, flags = fetch_columns(session, statement)
        objects = session.scalars(select(ChurnNotice.available_at).order_by(ChurnNotice.id)).all()
    assert flags.tolist() == [True, False, True]
    assert objects[0] == datetime(2026, 3, 28, 23, 30, tzinfo=UTC)
    assert (instants(objects) == known).all()
    # The clocks of Berlin go forward on 2026-03-29 at 01:00 UTC.
    assert days_in_zone(known, ZoneInfo("Europe/Berlin")).astype(str).tolist() == [
        "2026-03-29",
        "2026-03-29",
        "2026-07-02",
    ]
    assert np.isnat(days_in_zone(instants([None]), ZoneInfo("UTC"))).all()


def test_an_empty_table_gives_empty_columns_of_their_kind(engine: Engine) -> None:
    with reading(engine) as session:
        day, amount, key = fetch_columns(session, select(UsageDay.day, UsageDay.amount, UsageDay.id), by=UsageDay.id)
    assert (len(day), len(amount), len(key)) == (0, 0, 0)
    assert day.dtype == "datetime64[D]"
    assert amount.dtype == np.float64

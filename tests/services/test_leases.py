"""One holder at a time; and whoever was overtaken writes nothing, whatever the clocks say."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, func, select, text
from sqlalchemy.exc import DBAPIError

from app.db import reading, transaction
from app.models.products import Product
from app.models.versions import Change
from app.queries.leases import find_lease, list_tasks
from app.services.leases import (
    LASTS,
    Ending,
    Lease,
    LeaseLost,
    claim_due_lease,
    claim_lease,
    make_fence,
    release_lease,
    renew_lease,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def claim(engine: Engine, holder: str, now: datetime = NOON) -> Lease | None:
    with transaction(engine) as session:
        return claim_lease(session, "nightly", holder=holder, now=now)


def claim_due(engine: Engine, now: datetime) -> Lease | None:
    with transaction(engine) as session:
        return claim_due_lease(session, "nightly", holder="due", now=now)


def write_under(engine: Engine, lease: Lease) -> None:
    with transaction(engine) as session:
        make_fence(lease)(session)
        session.add(Change(source=lease.holder, recorded_at=NOON))


def written(engine: Engine) -> list[str]:
    with reading(engine) as session:
        return list(session.scalars(select(Change.source)))


def claimed(engine: Engine, holder: str, now: datetime = NOON) -> Lease:
    lease = claim(engine, holder, now)
    assert lease is not None
    return lease


def test_a_lease_is_had_by_one_until_it_runs_out(engine: Engine) -> None:
    first = claimed(engine, "ana")
    assert (first.token, first.claimed_at) == (1, NOON)
    assert claim(engine, "ben") is None
    assert claim(engine, "ana") is None, "nobody has it twice"
    assert claim(engine, "ben", NOON + LASTS - SECOND) is None
    assert claimed(engine, "ben", NOON + LASTS).token == 2


def test_a_renewed_lease_lasts_longer_and_one_that_is_given_back_ends(engine: Engine) -> None:
    lease = claimed(engine, "ana")
    with transaction(engine) as session:
        assert renew_lease(session, lease, now=NOON + LASTS - SECOND)
    assert claim(engine, "ben", NOON + LASTS) is None
    with transaction(engine) as session:
        assert release_lease(session, lease, now=NOON + LASTS, ending=Ending())
    assert claimed(engine, "ben", NOON + LASTS).token == 2


def test_whoever_was_overtaken_writes_nothing_renews_nothing_and_gives_nothing_back(engine: Engine) -> None:
    old = claimed(engine, "ana")
    new = claimed(engine, "ben", NOON + LASTS)
    with pytest.raises(LeaseLost):
        write_under(engine, old)
    write_under(engine, new)
    assert written(engine) == ["ben"]
    with transaction(engine) as session:
        assert not renew_lease(session, old, now=NOON + LASTS)
        assert not release_lease(session, old, now=NOON + LASTS, ending=Ending())
    assert claim(engine, "cem", NOON + LASTS) is None, "it is still held by ben"


def test_one_that_ran_out_and_that_nobody_claimed_can_go_on(engine: Engine) -> None:
    lease = claimed(engine, "ana")
    write_under(engine, lease)
    with transaction(engine) as session:
        assert renew_lease(session, lease, now=NOON + 10 * LASTS)
    assert claim(engine, "ben", NOON + 10 * LASTS) is None


def test_a_clock_set_back_a_day_neither_blocks_the_task_nor_gives_two_a_write(engine: Engine) -> None:
    old = claimed(engine, "ana")
    yesterday = NOON - timedelta(days=1)
    new = claimed(engine, "ben", yesterday)
    write_under(engine, new)
    with pytest.raises(LeaseLost):
        write_under(engine, old)
    assert written(engine) == ["ben"]
    assert claim(engine, "cem", yesterday + SECOND) is None


def test_a_clock_that_is_a_few_seconds_behind_takes_nothing_away(engine: Engine) -> None:
    claimed(engine, "ana")
    assert claim(engine, "ben", NOON - 10 * SECOND) is None


def test_a_task_is_claimed_when_it_is_due_and_not_before(engine: Engine) -> None:
    first = claim_due(engine, NOON)
    assert first is not None
    with transaction(engine) as session:
        release_lease(session, first, now=NOON, ending=Ending(due_at=NOON + 60 * SECOND))
    assert claim_due(engine, NOON + 59 * SECOND) is None
    assert claim_due(engine, NOON - timedelta(days=1)) is not None, "the clock was set back: it is due"


def test_failures_in_a_row_are_counted_until_it_ends_well(engine: Engine) -> None:
    for failures, error in enumerate(["out of luck", "again", None, "once more"]):
        lease = claimed(engine, "ana", NOON + failures * LASTS)
        assert lease.failures == (failures if failures < 3 else 0)
        with transaction(engine) as session:
            release_lease(session, lease, now=NOON + failures * LASTS, ending=Ending(error))
    with reading(engine) as session:
        state = find_lease(session, "nightly")
        assert list_tasks(session) == (state,)
    assert state is not None
    assert (state.failures, state.error, state.is_held(NOON + 10 * LASTS)) == (1, "once more", False)


def test_work_that_was_broken_off_neither_failed_nor_ended(engine: Engine) -> None:
    with transaction(engine) as session:
        lease = claim_lease(session, "nightly", holder="ana", now=NOON)
        assert lease is not None
        release_lease(session, lease, now=NOON)
    with reading(engine) as session:
        state = find_lease(session, "nightly")
    assert state is not None
    assert (state.ended_at, state.failures) == (None, 0)
    assert claim(engine, "ben") is not None


def test_nobody_claims_what_is_just_being_written_under(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer at a time: the claim waits")
    old = claimed(engine, "ana")
    with transaction(engine) as session:
        make_fence(old)(session)
        assert claim(engine, "ben", NOON + LASTS) is None
        session.add(Change(source="ana", recorded_at=NOON))
    assert claim(engine, "ben", NOON + LASTS) is not None
    assert written(engine) == ["ana"]


def test_a_transaction_that_its_process_left_standing_is_ended_by_the_server(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite has no server")
    lease = claimed(engine, "ana")
    with pytest.raises(DBAPIError, match="idle-in-transaction"):
        stand_still_while_writing(engine, lease)
    with reading(engine) as session:
        assert session.scalar(select(func.count()).select_from(Product)) == 0
    assert claim(engine, "ben", NOON + LASTS) is not None


def stand_still_while_writing(engine: Engine, lease: Lease) -> None:
    others = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND pid <> pg_backend_pid()"
    with transaction(engine) as session:
        make_fence(lease, lasts=timedelta(milliseconds=20))(session)
        with reading(engine) as other:
            while other.scalar(text(others)):
                other.rollback()
        session.add(Product(sku="never", change_id=1))
        session.flush()

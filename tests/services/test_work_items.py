"""What kills or fails its worker three times is set aside, shown, and stops nobody."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from app.db import reading, transaction
from app.errors import NotFound
from app.queries.leases import list_set_aside, load_attempts
from app.services.work_items import (
    Item,
    begin_item,
    end_item,
    fail_item,
    forget_items,
    give_back_item,
    give_back_items,
    retry_item,
    set_item_aside,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ITEM, OTHER = Item("nightly", "2026-03-01"), Item("nightly", "2026-03-02")


def begin(engine: Engine, item: Item = ITEM) -> bool:
    with transaction(engine) as session:
        return begin_item(session, item, at=NOW)


def attempts(engine: Engine) -> dict[str, int | None]:
    with reading(engine) as session:
        return load_attempts(session, "nightly")


def test_after_three_beginnings_without_an_end_it_is_set_aside(engine: Engine) -> None:
    assert [begin(engine) for _ in range(5)] == [True, True, True, False, False]
    assert begin(engine, OTHER), "it stops nobody"
    with reading(engine) as session:
        (shown,) = list_set_aside(session)
    assert (shown.task, shown.item, shown.begun, shown.set_aside_at) == ("nightly", "2026-03-01", 3, NOW)
    assert "died" in shown.error


def test_what_ends_well_is_forgotten(engine: Engine) -> None:
    for _ in range(5):
        assert begin(engine)
        with transaction(engine) as session:
            end_item(session, ITEM)
    assert attempts(engine) == {}


def test_what_fails_three_times_is_set_aside_with_its_error(engine: Engine) -> None:
    told = []
    for n in range(3):
        assert begin(engine)
        with transaction(engine) as session:
            told.append(fail_item(session, ITEM, error=f"no rate {n}", at=NOW))
    assert told == [False, False, True]
    assert not begin(engine)
    with reading(engine) as session:
        assert list_set_aside(session)[0].error == "no rate 2"


def test_a_person_can_have_it_tried_again(engine: Engine) -> None:
    with transaction(engine) as session:
        set_item_aside(session, ITEM, error="no such column", at=NOW)
    assert not begin(engine)
    with transaction(engine) as session:
        retry_item(session, ITEM)
    assert begin(engine)
    with transaction(engine) as session, pytest.raises(NotFound, match="2026-03-01"):
        retry_item(session, ITEM)


def test_work_that_was_broken_off_from_outside_is_not_held_against_it(engine: Engine) -> None:
    for _ in range(5):
        assert begin(engine)
        with transaction(engine) as session:
            give_back_item(session, ITEM)
    assert attempts(engine) == {}
    begin(engine)
    begin(engine)
    begin(engine, OTHER)
    with transaction(engine) as session:
        give_back_items(session, "nightly", begun_since=NOW)
    assert attempts(engine) == {ITEM.name: 1}


def test_what_is_no_more_is_forgotten(engine: Engine) -> None:
    begin(engine)
    begin(engine, OTHER)
    with transaction(engine) as session:
        forget_items(session, "nightly", names=[ITEM.name])
    assert attempts(engine) == {OTHER.name: 1}

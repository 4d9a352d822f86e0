"""The moment that a question about the books is of."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Engine

from app.db import reading, transaction
from app.errors import Invalid
from app.queries.facts import Known
from app.queries.moments import load_moment
from app.services.changes import recording
from app.services.settings import record_settings

RECORDED = datetime(2026, 2, 28, 20, tzinfo=UTC)
NOW = datetime(2026, 3, 1, 20, tzinfo=UTC)
HOUR = timedelta(hours=1)


def moment(engine: Engine, *, as_of: date | None = None, known_at: datetime | None = None) -> Known:
    with reading(engine) as session:
        return load_moment(session, as_of=as_of, known_at=known_at, now=NOW)


def record(engine: Engine, at: datetime, *, valid_from: date = date(1900, 1, 1), **values: object) -> None:
    with transaction(engine) as session, recording(session, "test", clock=lambda: at) as change:
        record_settings(session, change, values=values, valid_from=valid_from)


def test_before_anything_was_recorded_it_is_now_with_the_defaults(engine: Engine) -> None:
    known = moment(engine)
    assert (known.as_of, known.known_at) == (NOW.date(), NOW)
    assert known.settings.reporting_currency == "USD"


def test_what_is_known_is_of_the_last_thing_recorded_or_earlier(engine: Engine) -> None:
    record(engine, RECORDED, grace_days=10)
    assert moment(engine).known_at == RECORDED
    assert moment(engine, known_at=RECORDED + HOUR).known_at == RECORDED
    before = moment(engine, known_at=RECORDED - HOUR)
    assert before.known_at == RECORDED - HOUR
    assert before.settings.grace_days == 30
    assert moment(engine).settings.grace_days == 10


def test_settings_are_those_of_the_day_as_they_were_known(engine: Engine) -> None:
    record(engine, RECORDED, grace_days=10)
    record(engine, RECORDED + HOUR, grace_days=20, valid_from=date(2026, 2, 1))
    assert moment(engine, as_of=date(2026, 1, 31)).settings.grace_days == 10
    assert moment(engine, as_of=date(2026, 2, 1)).settings.grace_days == 20
    assert moment(engine, as_of=date(2026, 2, 1), known_at=RECORDED).settings.grace_days == 10


def test_today_is_a_day_of_the_companys_time_zone(engine: Engine) -> None:
    record(engine, RECORDED, reporting_timezone="Asia/Tokyo")
    assert moment(engine).as_of == date(2026, 3, 2)
    assert moment(engine, as_of=date(2026, 1, 1)).as_of == date(2026, 1, 1)


def test_the_future_is_not_known(engine: Engine) -> None:
    with pytest.raises(Invalid, match="future"):
        moment(engine, known_at=NOW + HOUR)

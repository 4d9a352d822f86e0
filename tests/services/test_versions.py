"""Versions replace each other without a trace being lost."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from app.db import reading, transaction
from app.models.accounts import Account, AccountVersion
from app.models.settings import FxRate
from app.models.versions import Change
from app.queries.known import in_force, last_recorded_at
from app.services.changes import recording
from app.services.versions import Outcome, record_dated_versions, record_versions

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def write_rate(engine: Engine, rate: str, at: datetime = NOON) -> Outcome:
    from decimal import Decimal

    row = {
        "day": date(2026, 1, 1),
        "base": "EUR",
        "quote": "USD",
        "rate": Decimal(rate),
        "source": "ECB",
        "available_at": at,
    }
    with transaction(engine) as session, recording(session, "test", clock=lambda: at) as change:
        return record_versions(session, change, table=FxRate, key=["base", "quote", "day"], rows=[row])


def rates_known_at(engine: Engine, at: datetime) -> list[str]:
    with reading(engine) as session:
        return [str(rate) for rate in session.scalars(select(FxRate.rate).where(in_force(FxRate, at)))]


def test_the_same_content_twice_is_one_version(engine: Engine) -> None:
    assert write_rate(engine, "1.10") == Outcome(added=1)
    assert write_rate(engine, "1.10") == Outcome(unchanged=1)
    assert write_rate(engine, "1.12") == Outcome(changed=1)


def test_an_earlier_instant_is_answered_as_before_a_correction(engine: Engine) -> None:
    write_rate(engine, "1.10", NOON)
    write_rate(engine, "1.12", NOON + timedelta(hours=1))
    assert rates_known_at(engine, NOON - timedelta(seconds=1)) == []
    assert rates_known_at(engine, NOON) == ["1.10"]
    assert rates_known_at(engine, NOON + timedelta(minutes=59)) == ["1.10"]
    assert rates_known_at(engine, NOON + timedelta(hours=1)) == ["1.12"]


def test_stamps_go_forward_even_if_the_clock_goes_back(engine: Engine) -> None:
    write_rate(engine, "1.10", NOON)
    write_rate(engine, "1.12", NOON - timedelta(days=3))
    with reading(engine) as session:
        stamps = session.scalars(select(Change.recorded_at).order_by(Change.id)).all()
        assert stamps == [NOON, NOON + timedelta(microseconds=1)]
        assert last_recorded_at(session) == stamps[-1]


def write_names(session: Session, change: Change, account_id: int, *rows: tuple[date, date | None, str]) -> Outcome:
    def row(valid_from: date, valid_to: date | None, name: str) -> dict[str, Any]:
        return {
            "account_id": account_id,
            "valid_from": valid_from,
            "valid_to": valid_to,
            "name": name,
            "available_at": NOON,
        }

    outcome = Outcome()
    for each in rows:
        outcome += record_dated_versions(session, change, table=AccountVersion, key=["account_id"], rows=[row(*each)])
    return outcome


def history(session: Session) -> list[tuple[date, date | None, str]]:
    columns = AccountVersion.valid_from, AccountVersion.valid_to, AccountVersion.name
    in_order = select(*columns).where(AccountVersion.superseded_change_id.is_(None)).order_by(AccountVersion.valid_from)
    return [tuple(row) for row in session.execute(in_order)]


def test_a_dated_version_splits_the_one_it_falls_into(engine: Engine) -> None:
    with transaction(engine) as session, recording(session, "test") as change:
        account = Account(change_id=change.id)
        session.add(account)
        session.flush()
        outcome = write_names(
            session,
            change,
            account.id,
            (date(2020, 1, 1), None, "Old"),
            (date(2021, 1, 1), date(2022, 1, 1), "Middle"),
            (date(2021, 3, 1), date(2021, 4, 1), "Middle"),
        )
        assert outcome == Outcome(added=1, changed=1, unchanged=1)
        assert history(session) == [
            (date(2020, 1, 1), date(2021, 1, 1), "Old"),
            (date(2021, 1, 1), date(2022, 1, 1), "Middle"),
            (date(2022, 1, 1), None, "Old"),
        ]
        write_names(session, change, account.id, (date(2020, 6, 1), None, "New"))
        assert history(session) == [(date(2020, 1, 1), date(2020, 6, 1), "Old"), (date(2020, 6, 1), None, "New")]

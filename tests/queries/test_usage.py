from datetime import date, timedelta

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.db import reading, transaction
from app.models.usage import UsageDay
from app.queries.usage import Grain, Window, load_usage, with_seats
from app.services.changes import recording
from tests.web.company import NOW, Company

BEFORE = date(2026, 3, 30)


def row(company: Company, account_id: int, *, day: date, metric: str, amount: float, **more: object) -> None:
    company.session.add(
        UsageDay(
            source_key=company.key().encode(), account_id=account_id, metric_id=company.metrics[metric], day=day,
            available_on=more.pop("available_on", day), amount=amount, change_id=company.change.id, **more,
        )
    )  # fmt: skip


@pytest.fixture
def account_id(engine: Engine) -> int:
    """Used on 10, 12 and 29 March; 20 seats from 15 March on."""
    with transaction(engine) as session, recording(session, "test", clock=lambda: NOW) as change:
        company = Company(session, change)
        account_id = company.account("Ana", segment=None, channel="Web", on=date(2026, 1, 1))
        company.contract(account_id, plan="Team", starts_on=date(2026, 3, 15), months=12)
        for day, amount, people in ((10, 5.0, 2.0), (12, 7.0, 3.0), (29, 4.0, 1.0)):
            row(company, account_id, day=date(2026, 3, day), metric="activity", amount=amount)
            row(company, account_id, day=date(2026, 3, day), metric="active_people", amount=people)
        row(company, account_id, day=date(2026, 3, 12), metric="activity", amount=0.5)
        row(company, account_id, day=date(2026, 3, 12), metric="activity", amount=99.0, apart_reason="before_contract")
        row(company, account_id, day=date(2026, 3, 12), metric="activity", amount=50.0, available_on=date(2026, 4, 5))
        row(company, account_id, day=BEFORE, metric="activity", amount=1000.0)
        return account_id


def ask(session: Session, account_id: int, grain: Grain, **changed: date) -> list[tuple[date, object, object]]:
    given = {"since": date(2026, 1, 1), "before": BEFORE, "known_on": date(2026, 4, 1)} | changed
    periods = load_usage(session, account_id, window=Window(**given, grain=grain))
    return [(period.starts_on, period.actions, period.people) for period in periods]


def test_days_run_from_the_first_that_was_recorded_and_silence_after_it_is_nought(
    engine: Engine, account_id: int
) -> None:
    with reading(engine) as session:
        days = ask(session, account_id, Grain.DAY)
    assert [day for day, *_ in days] == [date(2026, 3, 10) + timedelta(days=n) for n in range(20)]
    assert {day.day: (actions, people) for day, actions, people in days if actions} == {
        10: (5.0, 2.0),
        12: (7.5, 3.0),
        29: (4.0, 1.0),
    }


def test_weeks_are_whole_counted_back_from_the_end_and_take_the_busiest_day(engine: Engine, account_id: int) -> None:
    with reading(engine) as session:
        weeks = ask(session, account_id, Grain.WEEK)
    assert weeks == [(date(2026, 3, 16), 0.0, 0.0), (date(2026, 3, 23), 4.0, 1.0)]


def test_what_became_available_later_is_not_in_it(engine: Engine, account_id: int) -> None:
    with reading(engine) as session:
        later = ask(session, account_id, Grain.DAY, known_on=date(2026, 4, 6))
    assert {day: actions for day, actions, _ in later}[date(2026, 3, 12)] == 57.5


def test_an_account_never_heard_of_has_no_usage_rather_than_none(engine: Engine, account_id: int) -> None:
    with reading(engine) as session:
        assert ask(session, account_id + 1, Grain.WEEK) == []


def test_seats_are_those_paid_for_on_the_day(engine: Engine, account_id: int) -> None:
    with reading(engine) as session:
        window = Window(date(2026, 3, 13), date(2026, 3, 17), date(2026, 4, 1), Grain.DAY)
        periods = load_usage(session, account_id, window=window)
        seen = with_seats(session, account_id, periods=periods, known_at=NOW, grace_days=30)
    assert [period.seats for period in seen] == [None, None, 20.0, 20.0]

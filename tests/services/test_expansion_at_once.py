"""Two at once: a night and a person, and two nights. Neither loses what the other did."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import IntegrityError

from app.db import reading, transaction
from app.models.expansion import ExpansionOpportunity
from app.models.webhooks import WebhookMessage
from app.services.expansion import Move, move_opportunity
from app.services.expansion_raising import Raised
from tests.services.expansion_company import Nights, finding, nights_of


@pytest.fixture
def nights(engine: Engine) -> Nights:
    return nights_of(engine)


def count(nights: Nights, table: type) -> int:
    with reading(nights.engine) as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_a_night_waits_for_the_person_who_is_answering_and_leaves_the_answer(nights: Nights) -> None:
    nights.run(finding(1))
    nights.later()
    has_begun = Event()

    def make_night() -> Raised:
        has_begun.set()
        return nights.run(held_back={1: "churn_risk"})

    with ThreadPoolExecutor(1) as pool:
        with transaction(nights.engine) as session:
            move_opportunity(session, Move(1, "accept"), actor="user:7", at=nights.at)
            night = pool.submit(make_night)
            assert has_begun.wait(10)
        assert night.result(30).lapsed == 0
    with reading(nights.engine) as session:
        assert session.get_one(ExpansionOpportunity, 1).state == "accepted"
    assert count(nights, WebhookMessage) == 2


def test_two_nights_at_once_raise_nothing_twice(nights: Nights) -> None:
    together = Barrier(2)

    def make_night(_: int) -> int:
        together.wait(10)
        try:
            return nights.run(finding(1), finding(2), finding(3)).flagged
        except IntegrityError:
            return 0  # the whole transaction of the second, its messages too

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(make_night, range(2))) == [0, 3]
    assert count(nights, ExpansionOpportunity) == count(nights, WebhookMessage) == 3

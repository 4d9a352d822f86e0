"""Guessing passwords is slow, and nobody is locked out for ever."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, select

from app.db import make_engine, reading, transaction
from app.errors import TooMany
from app.models.users import LoginThrottle
from app.services.throttle import LIMITS, Attempt, claim_attempt, delay, describe_attempt, forgive_attempt

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = "a secret of the tests, longer than 32 characters"
SECOND = timedelta(seconds=1)


def attempt(email: str = "ai@example.com", place: str = "203.0.113.7") -> Attempt:
    return describe_attempt(SECRET, email=email, place=place)


def guess(engine: Engine, made: Attempt, at: datetime) -> int:
    """Seconds to wait; 0: it was let through, and counted."""
    try:
        with transaction(engine) as session:
            claim_attempt(session, made, now=at)
    except TooMany as refused:
        return refused.retry_after_seconds
    return 0


def guess_as_told(engine: Engine, made: Attempt, *, times: int, since: datetime = NOON) -> list[int]:
    """What each guess had to wait for after the one before, by somebody who guesses as soon as they may."""
    at, waits = since, []
    for _ in range(times):
        wait = guess(engine, made, at)
        at += timedelta(seconds=wait)
        if wait:
            assert guess(engine, made, at) == 0
        waits.append(wait)
    return waits


def test_the_delay_is_none_and_then_doubles_up_to_the_longest() -> None:
    seconds = [delay(n, LIMITS["address"]) / SECOND for n in range(14)]
    assert seconds == [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert delay(10**9, LIMITS["place"]) == timedelta(minutes=15)


def test_an_address_that_is_guessed_at_waits_longer_each_time_and_never_for_ever(engine: Engine) -> None:
    assert guess_as_told(engine, attempt(), times=14) == [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_an_attempt_that_has_to_wait_does_not_count(engine: Engine) -> None:
    guess_as_told(engine, attempt(), times=5)
    assert [guess(engine, attempt(), NOON) for _ in range(20)] == [1] * 20
    assert guess(engine, attempt(), NOON + SECOND) == 0


def test_an_address_is_guarded_from_wherever_it_is_tried(engine: Engine) -> None:
    for number in range(5):
        assert guess(engine, attempt(place=f"198.51.100.{number}"), NOON) == 0
    assert guess(engine, attempt(place="192.0.2.1"), NOON) == 1
    assert guess(engine, attempt(email="bo@example.com", place="192.0.2.1"), NOON) == 0


def test_a_place_that_tries_many_addresses_waits(engine: Engine) -> None:
    for number in range(20):
        assert guess(engine, attempt(email=f"person{number}@example.com"), NOON) == 0
    assert guess(engine, attempt(email="one.more@example.com"), NOON) == 1
    assert guess(engine, attempt(email="one.more@example.com", place="192.0.2.1"), NOON) == 0


def test_whoever_has_one_ipv6_address_has_the_network_behind_it() -> None:
    assert attempt(place="2001:db8::1").keys == attempt(place="2001:db8::ffff:2").keys
    assert attempt(place="2001:db8::1").keys != attempt(place="2001:db8:0:1::1").keys
    assert attempt(place="::ffff:203.0.113.7").keys == attempt(place="203.0.113.7").keys


@pytest.mark.parametrize(
    ("place", "same"),
    [
        ("203.0.113.7:49152", "203.0.113.7"),
        ("203.0.113.7:49153", "203.0.113.7:49152"),
        ("[2001:db8::1]:49152", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[::ffff:203.0.113.7]:80", "203.0.113.7"),
        ("[fe80::1%eth0]:80", "fe80::1"),
    ],
)
def test_another_port_is_no_other_place(place: str, same: str) -> None:
    assert attempt(place=place).keys == attempt(place=same).keys


def test_an_address_without_a_port_stays_whole() -> None:
    assert attempt(place="2001:db8::1:567").keys == attempt(place="2001:db8::").keys
    places = ["203.0.113.7", "203.0.113.8:80", "::1", "::2:0:0:0:1", "", "unknown"]
    assert len({frozenset(attempt(place=place).keys) for place in places}) == len(places)


def test_an_address_is_the_same_in_whatever_case_it_is_typed() -> None:
    assert attempt(email=" Ai@Example.com").keys == attempt().keys


def test_a_right_password_clears_its_address_and_takes_back_its_own_count_of_the_place(engine: Engine) -> None:
    guess_as_told(engine, attempt(), times=4)
    assert guess(engine, attempt(), NOON) == 0
    with transaction(engine) as session:
        forgive_attempt(session, attempt(), now=NOON)
    with reading(engine) as session:
        failures = {row.key: row.failures for row in session.scalars(select(LoginThrottle))}
    assert failures[attempt().address] == 0
    assert sorted(failures.values()) == [0, 4]


def test_failures_are_forgotten_after_a_day(engine: Engine) -> None:
    guess_as_told(engine, attempt(), times=12)
    assert guess_as_told(engine, attempt(), times=5, since=NOON + timedelta(days=2)) == [0] * 5
    with transaction(engine) as session:
        forgive_attempt(session, attempt("bo@example.com", "192.0.2.1"), now=NOON + timedelta(days=4))
    with reading(engine) as session:
        assert len(session.scalars(select(LoginThrottle)).all()) == 2


def test_a_clock_that_was_set_back_locks_nobody_out(engine: Engine) -> None:
    guess_as_told(engine, attempt(), times=12, since=NOON + timedelta(days=400))
    assert guess(engine, attempt(), NOON) == 0


def test_the_database_holds_neither_address_nor_place(engine: Engine) -> None:
    guess(engine, attempt(), NOON)
    other = describe_attempt("another secret, just as long as the first", email="ai@example.com", place="203.0.113.7")
    with reading(engine) as session:
        kept = set(session.scalars(select(LoginThrottle.key)))
    assert kept == set(attempt().keys)
    assert not kept & set(other.keys)


@pytest.mark.parametrize("times", [12])
def test_guesses_from_several_processes_at_once_are_counted_like_guesses_in_a_row(
    database_url: str, engine: Engine, times: int
) -> None:
    """Each thread has an engine of its own, as another process would."""
    waits: list[int] = []

    def work() -> None:
        own = make_engine(database_url)
        waits.append(guess(own, attempt(), NOON))
        own.dispose()

    threads = [threading.Thread(target=work) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(waits) == [0] * 5 + [1] * (times - 5)

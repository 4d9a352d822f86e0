"""Closing the books: what is refused, what is kept, and that what is recorded later changes no byte of it."""

import json
import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Engine, select, update
from sqlalchemy.exc import DatabaseError

from app.db import reading, transaction
from app.domain.closed_period import MOVED
from app.domain.money import Money
from app.errors import Conflict, Invalid, NotFound
from app.models.audit import AuditEntry
from app.models.periods import ClosedPeriod
from app.queries.periods import list_closed, parse_month
from app.queries.restatements import Asked, list_restatements
from app.services.changes import recording
from app.services.periods import prepare_close, record_close
from tests.closing import IN_JUNE, agrees_with_restatements, close, derived, restated, stored
from tests.ledger_books import Books, Moved

STARTED = datetime(2025, 1, 2, 9, tzinfo=UTC)
IN_JULY = datetime(2026, 7, 10, 9, tzinfo=UTC)


@pytest.fixture
def books(engine: Engine) -> Books:
    """A: 1,000.00 from January 2025, 1,200.00 from 10 May 2026. B: 500.00 in yen from 2025, gone on 3 May."""
    books = Books(engine, at=STARTED)
    books.record(
        Moved(1, date(2025, 1, 1), "new", 100_000),
        Moved(1, date(2026, 5, 10), "expansion", 20_000),
        Moved(2, date(2025, 1, 1), "new", 500, "JPY"),
        Moved(2, date(2026, 5, 3), "churn", -500, "JPY"),
        Moved(3, date(2026, 8, 1), "new", 70_000),  # of days to come
    )
    books.book(11, date(2026, 5, 31), 12_345)
    return books


def test_a_closed_month_says_what_moved_by_product_and_currency(books: Books) -> None:
    closed = close(books.engine, "2026-05")
    report = json.loads(stored(books.engine, "2026-05"))
    nothing = {category.value: "0.00" for category in MOVED}
    core = {"currency": "USD", "opening": "1000.00", **nothing, "expansion": "200.00", "closing": "1200.00"}
    yen = dict.fromkeys(nothing, "0") | {"currency": "JPY", "opening": "500", "churn": "-500", "closing": "0"}
    expected = [(None, yen), (None, core), ("CORE", core), ("PLUS", yen)]
    assert report["arr"] == [{"product": product, **said} for product, said in expected]
    assert report["bookings"] == [
        {"product": product, "currency": "USD", "amount": "123.45", "deals": 1} for product in (None, "(unknown)")
    ]
    assert report["counts"] == {
        "accounts_at_opening": 2,
        "accounts_at_closing": 1,
        "accounts_new": 0,
        "accounts_reactivation": 0,
        "accounts_churn": 1,
        "movements": 2,
        "deals": 1,
    }
    assert (report["period"], report["as_of"], report["known_at"]) == ("2026-05", "2026-05-31", "2025-01-02T09:02:00Z")
    assert report["settings"]["grace_days"] == 30
    assert closed.known_at == books.at


def test_a_closed_month_holds_retention_over_the_twelve_months_before(books: Books) -> None:
    close(books.engine, "2026-05")
    retention = json.loads(stored(books.engine, "2026-05"))["retention"]
    assert (retention["since"], retention["until"]) == ("2025-05-31", "2026-05-31")
    of = {each["currency"]: each for each in retention["by_currency"]}
    assert of["USD"]["ratios"]["nrr@1"] == {
        "value": "1.200000",
        "reason": None,
        "numerator_minor": "120000",
        "denominator_minor": "100000",
    }
    assert of["USD"]["ratios"]["grr@1"]["value"] == "1.000000"
    assert of["JPY"]["ratios"]["nrr@1"]["value"] == "0.000000"
    assert of["JPY"]["ratios"]["quick_ratio@1"]["value"] == "0.000000"
    assert "no exchange rate from JPY to USD" in of[None]["reason"]
    assert of[None]["ratios"] == {
        "logo_retention@1": {"value": "0.500000", "reason": None, "numerator_minor": "1", "denominator_minor": "2"}
    }


def test_whoever_left_and_came_back_counts_nothing_in_nrr_and_all_in_the_other(engine: Engine) -> None:
    books = Books(engine, at=STARTED)
    books.record(
        *(Moved(account, date(2025, 1, 1), "new", minor) for account, minor in ((1, 100_000), (2, 3_000))),
        Moved(2, date(2026, 1, 1), "churn", -3_000),
        Moved(2, date(2026, 3, 1), "reactivation", 3_000),
    )
    close(engine, "2026-05")
    both, _ = json.loads(stored(engine, "2026-05"))["retention"]["by_currency"]
    found = {name: ratio["numerator_minor"] for name, ratio in both["ratios"].items()}
    assert found["nrr@1"] == found["grr@1"] == "100000"
    assert found["nrr_with_reactivation@1"] == "103000"
    assert found["nrr_aggregate@1"] == "103000"
    assert found["grr_aggregate@1"] == "100000"


def test_closing_is_refused_with_what_to_do(books: Books) -> None:
    engine = books.engine
    for name in ("2026-Q1", "2026", "may", "2026-13", "2026-5", ""):
        with pytest.raises(Invalid, match="called like 2026-05"):
            close(engine, name)
    with pytest.raises(Conflict, match="2026-06 is not over: today is 2026-06-30 in UTC"):
        close(engine, "2026-06", now=datetime(2026, 6, 30, 23, 59, tzinfo=UTC))
    with pytest.raises(Conflict, match="the first deal is of 2025-01-01"):
        close(engine, "2024-12")
    close(engine, "2026-03")
    with pytest.raises(Conflict, match="2026-03 was closed on 2026-06-03 by user:7"):
        close(engine, "2026-03")
    with pytest.raises(Conflict, match="close 2026-04 before 2026-05"):
        close(engine, "2026-05")
    with pytest.raises(Conflict, match="begin with 2026-03"):
        close(engine, "2026-02")
    with pytest.raises(NotFound, match="2026-04 is not closed"):
        stored(engine, "2026-04")
    close(engine, "2026-04")
    with reading(engine) as session:
        assert [each.period for each in list_closed(session)] == ["2026-04", "2026-03"]
        acts = session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    assert [(each.action, each.subject, each.actor) for each in acts] == [
        ("period.closed", "period:2026-03", "user:7"),
        ("period.closed", "period:2026-04", "user:7"),
    ]


def test_nothing_recorded_is_nothing_to_close(engine: Engine) -> None:
    with pytest.raises(Conflict, match="no books to close"):
        close(engine, "2026-05")


def test_of_two_who_close_at_once_one_is_told(books: Books) -> None:
    with reading(books.engine) as session:
        prepared = prepare_close(session, parse_month("2026-05"), now=IN_JUNE)
    close(books.engine, "2026-05")
    with (
        pytest.raises(Conflict, match="was closed"),
        transaction(books.engine) as session,
        recording(session, "user:8") as change,
    ):
        record_close(session, change, prepared=prepared, actor="user:8", at=IN_JUNE)


def test_the_database_refuses_to_change_or_remove_a_closed_month(books: Books) -> None:
    close(books.engine, "2026-05")
    for statement in (update(ClosedPeriod).values(report=b"{}"), ClosedPeriod.__table__.delete()):
        with pytest.raises(DatabaseError, match="added only"), transaction(books.engine) as session:
            session.execute(statement)


def test_may_as_closed_stays_what_july_knows_differs_and_the_restatement_is_exactly_that(books: Books) -> None:
    closed = close(books.engine, "2026-05")
    before = stored(books.engine, "2026-05")
    assert restated(books.engine) == []
    books.record(Moved(1, date(2026, 5, 20), "expansion", 5_000), source="user:9", at=IN_JULY)
    assert stored(books.engine, "2026-05") == before == derived(books.engine, "2026-05", known_at=closed.known_at)
    now = json.loads(derived(books.engine, "2026-05"))
    assert now["arr"][1]["expansion"] == "250.00"
    [found] = restated(books.engine)
    assert (found.period, found.kind, found.category, found.on) == (
        "2026-05",
        "movement",
        "expansion",
        date(2026, 5, 20),
    )
    assert (found.delta, found.account_id, found.product) == (Money(5_000, "USD"), 1, "CORE")
    assert (found.deal_id, found.deal_system, found.deal_external_id) == (1, "crm", "D-1")
    assert (found.source, found.at) == ("user:9", IN_JULY)
    assert found.cause == "a contract line of 2026-05-20, added or corrected after the close, by hand (user:9)"


def test_what_a_later_close_knew_is_no_restatement_of_it_and_one_of_the_earlier(books: Books) -> None:
    close(books.engine, "2026-05")
    books.record(Moved(1, date(2026, 5, 20), "expansion", 5_000), at=IN_JULY)
    close(books.engine, "2026-06", now=IN_JULY + timedelta(days=1))
    assert [each.period for each in restated(books.engine)] == ["2026-05"]
    assert restated(books.engine, kinds=("opening",)) == []
    [late] = books.record(Moved(1, date(2026, 5, 21), "expansion", 1), at=IN_JULY + timedelta(days=2))
    carried = restated(books.engine, kinds=("opening",))
    assert [(each.period, each.delta.minor, each.on) for each in carried] == [("2026-06", 1, date(2026, 5, 21))]
    books.record(instead_of=(late,), at=IN_JULY + timedelta(days=3))
    assert sum(each.delta.minor for each in restated(books.engine)) == 5_000
    assert [each.delta.minor for each in restated(books.engine, kinds=("opening",))] == [1, -1]


def test_the_same_said_again_is_no_restatement(books: Books) -> None:
    first = books.record(Moved(3, date(2026, 5, 5), "new", 9))
    close(books.engine, "2026-05")
    books.record(Moved(3, date(2026, 5, 5), "new", 9), instead_of=tuple(first), at=IN_JULY)
    assert restated(books.engine) == []


def test_a_deal_that_is_booked_late_or_lost_after_all_is_a_restatement_of_bookings(books: Books) -> None:
    close(books.engine, "2026-05")
    books.book(12, date(2026, 5, 30), 700, at=IN_JULY)
    books.book(11, date(2026, 5, 31), None)
    found = restated(books.engine)
    assert [(each.kind, each.delta.minor, each.deal_external_id, each.account_id) for each in found] == [
        ("booking", 700, "D-12", 12),
        ("booking", -12_345, "D-11", 11),
    ]
    assert restated(books.engine, kinds=("movement",)) == []


def test_pages_of_restatements_hold_each_once(books: Books) -> None:
    close(books.engine, "2026-05")
    rng = random.Random(1)  # noqa: S311  a test's dice
    for number in range(12):
        books.record(Moved(rng.choice([1, 2, 3]), date(2026, 5, 1 + number), "expansion", 1 + number))
    books.book(13, date(2026, 5, 2), 5)
    every = restated(books.engine)
    asked = Asked(known_at=IN_JULY + timedelta(days=365), limit=5)
    pages = []
    with reading(books.engine) as session:
        while True:
            page = list_restatements(session, asked)
            pages.append(page.items)
            if page.next_after is None:
                break
            asked = replace(asked, after=page.next_after)
    assert [len(page) for page in pages] == [5, 5, 3]
    assert [each for page in pages for each in page] == every


# --- Properties ---


class Story:
    """Random changes to a ledger between April and August 2026, with months closed on the way."""

    def __init__(self, engine: Engine, *, seed: int) -> None:
        self.rng = random.Random(seed)  # noqa: S311  a test's dice
        self.books = Books(engine, at=STARTED)
        self.standing: list[int] = []
        self.books.record(Moved(1, date(2025, 1, 1), "new", 1_000))

    def go_on(self, changes: int) -> None:
        for _ in range(changes):
            if self.rng.random() < 0.2:
                day = self._day()
                self.books.book(self.rng.choice([11, 12, 13]), day, self.rng.choice([None, self.rng.randint(1, 999)]))
                continue
            old = self.rng.sample(self.standing, min(len(self.standing), self.rng.choice([0, 0, 1, 2])))
            new = [self._moved() for _ in range(self.rng.choice([0, 1, 2, 3]))]
            self.standing = [each for each in self.standing if each not in old]
            self.standing += self.books.record(*new, instead_of=tuple(old))

    def _day(self) -> date:
        return date(2026, 4, 1) + timedelta(days=self.rng.randrange(150))

    def _moved(self) -> Moved:
        category = self.rng.choice(["new", "expansion", "contraction", "churn", "reactivation"])
        sign = -1 if category in {"contraction", "churn"} else 1
        minor = sign * self.rng.randint(1, 500)
        return Moved(self.rng.choice([1, 2, 3]), self._day(), category, minor, self.rng.choice(["USD", "JPY"]))

    def close(self, month: str) -> None:
        close(self.books.engine, month, now=datetime(2027, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("seed", range(3))
def test_closed_and_restatements_give_what_is_current_exactly(engine: Engine, seed: int) -> None:
    story = Story(engine, seed=seed)
    months = ("2026-04", "2026-05", "2026-06")
    for month in months:
        story.go_on(12)
        story.close(month)
    story.go_on(25)
    assert restated(engine)
    for month in months:
        assert agrees_with_restatements(engine, month)


@pytest.mark.one_database
def test_a_closed_month_is_the_same_to_the_byte_after_500_later_changes(engine: Engine) -> None:
    story = Story(engine, seed=5)
    story.go_on(30)
    story.close("2026-04")
    story.close("2026-05")
    with reading(engine) as session:
        closed = list_closed(session)
    before = {each.period: stored(engine, each.period) for each in closed}
    story.go_on(500)
    for each in closed:
        assert stored(engine, each.period) == before[each.period]
        assert derived(engine, each.period, known_at=each.known_at) == (before[each.period])
        assert derived(engine, each.period) != before[each.period]

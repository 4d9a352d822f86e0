"""What events come to: each counted once, on the day it happened, as known on the day it was received."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from threading import Barrier, Thread
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, func, select, text, update

from app.db import make_engine, reading, transaction
from app.models.accounts import Account, ExternalId
from app.models.events import EventKey, EventSource, PersonDay, UsageEvent, WaitingEvents
from app.models.feeds import Feed
from app.models.usage import UsageDay, UsageFeature
from app.queries import event_columns
from app.queries.usage import Grain, Window, load_usage
from app.services import roll_up as recorded
from app.services.changes import recording
from app.services.settings import record_settings
from jobs import roll_up
from jobs.roll_up import RolledUp, roll_up_events
from tests.installation import work_on
from tests.usage_events import NOON, Happening, Kept, add_accounts, store, store_in, usage_days

DAY = timedelta(days=1)
TODAY = NOON.date()


def happening(account: str = "A", name: str = "opened", person: str | None = "ana", **more: datetime) -> Happening:
    return Happening(account, name, person, more.get("occurred_at", NOON), more.get("received_at", NOON))


def set_zone(engine: Engine, zone: str) -> None:
    with transaction(engine) as session, recording(session, "test") as change:
        record_settings(session, change, values={"reporting_timezone": zone})


def count_plainly(happenings: Sequence[Happening], *, accounts: dict[str, int], zone: ZoneInfo) -> Kept:
    """What the roll-up promises, one event after another."""
    kept: Counter[tuple[int, str, str | None, date, date]] = Counter()
    seen_ids, seen_people = set(), set()
    for each in happenings:
        if each.id in seen_ids:
            continue
        seen_ids.add(each.id)
        account = accounts[each.account]
        day, available_on = each.occurred_at.astimezone(zone).date(), each.received_at.astimezone(zone).date()
        kept[account, "activity", each.name, day, available_on] += 1
        person = (account, day, each.source, each.person)
        if each.person is not None and person not in seen_people:
            seen_people.add(person)
            kept[account, "active_people", None, day, available_on] += 1
    return {key: float(number) for key, number in kept.items()}


HAPPENINGS = st.lists(
    st.builds(
        lambda account, name, person, received, late, number: Happening(
            account,
            name,
            person,
            occurred_at=NOON + timedelta(minutes=received) - timedelta(minutes=late),
            received_at=NOON + timedelta(minutes=received),
            id=str(number),
        ),
        account=st.sampled_from("ABC"),
        name=st.sampled_from(("opened", "shared", "後で")),
        person=st.sampled_from(("ana", "bo", "chi", None)),
        received=st.integers(0, 3 * 1440),
        late=st.one_of(st.just(0), st.integers(-1440, 29 * 1440)),
        number=st.integers(0, 60),
    ),
    max_size=60,
)


def empty(engine: Engine) -> None:
    with transaction(engine) as session:
        for table in (UsageDay, PersonDay, UsageEvent, EventKey, WaitingEvents):
            session.execute(delete(table))
        session.execute(update(EventSource).values(rolled_up_to=0))


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(happenings=HAPPENINGS, cuts=st.lists(st.integers(0, 60), max_size=4), chunk=st.integers(1, 30))
def test_passes_one_after_another_come_to_what_one_pass_does_and_plain_counting(
    engine: Engine, happenings: list[Happening], cuts: list[int], chunk: int
) -> None:
    if not usage_accounts(engine):
        set_zone(engine, "Asia/Kathmandu")  # 5 hours and 45 minutes ahead
        add_accounts(engine, "ABC")
    expected = count_plainly(happenings, accounts=usage_accounts(engine), zone=ZoneInfo("Asia/Kathmandu"))
    work = work_on(engine, clock=lambda: NOON + 3 * DAY)
    for places, size in (([], 10_000), (sorted(cuts), chunk)):
        empty(engine)
        with pytest.MonkeyPatch.context() as patch:
            for name, times in (("CHUNK", 1), ("SIFTED_AHEAD", 2), ("TAKEN_AT_ONCE", 1)):
                patch.setattr(roll_up, name, size * times)
            done = RolledUp()
            for start, end in zip([0, *places], [*places, len(happenings)], strict=True):
                store(engine, happenings[start:end])
                done += roll_up_events(work)
        assert usage_days(engine) == expected
        once = len({each.id for each in happenings})
        assert (done.events, done.duplicates) == (once, len(happenings) - once)
        assert raw_events(engine) == (once, once)


def raw_events(engine: Engine) -> tuple[int, int]:
    """How many there are, and how many keys are taken."""
    with reading(engine) as session:
        events, keys = (
            session.scalar(select(func.count()).select_from(table)) or 0 for table in (UsageEvent, EventKey)
        )
        return events, keys


def usage_accounts(engine: Engine) -> dict[str, int]:
    with reading(engine) as session:
        rows = session.execute(select(ExternalId.external_id, ExternalId.account_id))
        return {ref: account for ref, account in rows}  # noqa: C416


def test_an_event_counts_on_the_day_it_happened_and_is_known_from_the_day_it_came(engine: Engine) -> None:
    set_zone(engine, "Asia/Tokyo")
    account = add_accounts(engine, ["A"])["A"]
    late = datetime(2026, 3, 1, 14, 59, tzinfo=UTC)  # 23:59 in Tokyo
    store(engine, [happening(occurred_at=late), happening(occurred_at=late + timedelta(minutes=1))])
    done = roll_up_events(work_on(engine, clock=lambda: NOON))
    assert (done.events, done.waiting, done.usage_days) == (2, 0, 4)
    first, second = date(2026, 3, 1), date(2026, 3, 2)
    assert usage_days(engine) == {
        (account, metric, feature, day, TODAY): 1.0
        for day in (first, second)
        for metric, feature in (("activity", "opened"), ("active_people", None))
    }


def test_a_figure_of_a_past_day_knows_only_what_had_come_by_then(engine: Engine) -> None:
    account = add_accounts(engine, ["A"])["A"]
    store(engine, [happening(), happening(person="bo")])
    roll_up_events(work_on(engine, clock=lambda: NOON))
    store(engine, [happening(received_at=NOON + 5 * DAY), happening(person="chi", received_at=NOON + 5 * DAY)])
    roll_up_events(work_on(engine, clock=lambda: NOON + 5 * DAY))
    with reading(engine) as session:
        for known_on, actions, people in ((TODAY + DAY, 2.0, 2.0), (TODAY + 6 * DAY, 4.0, 3.0)):
            window = Window(since=TODAY, before=TODAY + DAY, known_on=known_on, grain=Grain.DAY)
            [day] = load_usage(session, account, window=window)
            assert (day.actions, day.people) == (actions, people)


def test_events_of_an_account_that_nobody_knows_wait_and_are_taken_up_once_it_is_known(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roll_up, "CHUNK", 2)
    add_accounts(engine, ["B"], source="mobile")  # another product's B
    work = work_on(engine, clock=lambda: NOON)
    store(engine, [happening(ref) for ref in ("B", "C", "B", "C", "B")])
    assert roll_up_events(work).waiting == 5
    store(engine, [happening("B")])
    assert roll_up_events(work).waiting == 1
    with reading(engine) as session:
        waiting = select(WaitingEvents.account_ref, WaitingEvents.events).order_by(WaitingEvents.account_ref)
        assert [tuple(row) for row in session.execute(waiting)] == [("B", 4), ("C", 2)]
    assert usage_days(engine) == {}
    account = add_accounts(engine, ["B"])["B"]
    store(engine, [happening("B", received_at=NOON + 2 * DAY)])
    later = work_on(engine, clock=lambda: NOON + 2 * DAY)
    done = roll_up_events(later)
    assert (done.taken_up, done.events, done.waiting) == (4, 1, 0)
    assert roll_up_events(later) == RolledUp()
    known_on = TODAY + 2 * DAY
    assert usage_days(engine) == {
        (account, "activity", "opened", TODAY, known_on): 5.0,
        (account, "active_people", None, TODAY, known_on): 1.0,
    }
    with reading(engine) as session:
        assert session.scalars(select(WaitingEvents.account_ref)).all() == ["C"]


def test_one_person_in_two_products_is_two_and_an_account_known_by_two_kinds_of_id_is_the_products(
    engine: Engine,
) -> None:
    crm, product = (add_accounts(engine, ["A"], kind=kind)["A"] for kind in ("crm", "product"))
    assert crm != product
    store(engine, [happening("A"), Happening("A", "opened", "bo", NOON, NOON, source="web")])
    roll_up_events(work_on(engine, clock=lambda: NOON))
    assert {key[0] for key in usage_days(engine)} == {product}
    assert usage_days(engine)[product, "active_people", None, TODAY, TODAY] == 2.0


def test_two_workers_at_once_count_each_event_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roll_up, "CHUNK", 10)
    account = add_accounts(engine, ["A"])["A"]
    store(engine, [happening(person=f"p{n}") for n in range(100)])
    start, errors = Barrier(2), []

    def sweep() -> None:
        own = make_engine(engine.url.render_as_string(hide_password=False))
        try:
            start.wait()
            while not store_is_rolled_up(own):
                roll_up_events(work_on(own, clock=lambda: NOON))
        except Exception as error:  # noqa: BLE001  shown below, in the test's own thread
            errors.append(error)
        finally:
            own.dispose()

    threads = [Thread(target=sweep) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert usage_days(engine) == {
        (account, "activity", "opened", TODAY, TODAY): 100.0,
        (account, "active_people", None, TODAY, TODAY): 100.0,
    }


def store_is_rolled_up(engine: Engine) -> bool:
    with reading(engine) as session:
        return session.scalar(select(func.max(UsageEvent.id))) == session.scalar(select(EventSource.rolled_up_to))


def test_an_event_whose_id_appears_after_a_higher_one_is_not_passed_over(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer: ids appear in order")
    monkeypatch.setattr(event_columns, "LONGEST_WAIT", "50ms")
    account = add_accounts(engine, ["A"])["A"]
    store(engine, [happening()])
    work = work_on(engine, clock=lambda: NOON)
    slow = make_engine(engine.url.render_as_string(hide_password=False))
    with transaction(slow) as session:
        store_in(session, [happening()])  # has its id, and is not committed
        store(engine, [happening()])
        with reading(engine) as other:
            assert other.scalars(select(UsageEvent.id).order_by(UsageEvent.id)).all() == [1, 3]
        assert roll_up_events(work) == RolledUp(is_overtaken=True)
    slow.dispose()
    assert roll_up_events(work).events == 3
    assert usage_days(engine)[account, "activity", "opened", TODAY, TODAY] == 3.0


def test_raw_events_are_deleted_after_their_time_and_what_they_came_to_stays(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roll_up, "PRUNED_AT_ONCE", 2)
    monkeypatch.setattr("app.services.roll_up.PRUNED_AT_ONCE", 2)
    add_accounts(engine, ["A"])
    store(engine, [happening() for _ in range(4)] + [happening("unknown")])
    roll_up_events(work_on(engine, clock=lambda: NOON))
    store(engine, [happening(received_at=NOON + 50 * DAY, occurred_at=NOON + 50 * DAY)])
    assert roll_up_events(work_on(engine, clock=lambda: NOON + 89 * DAY)).pruned == 0
    kept = usage_days(engine)
    assert raw_events(engine) == (6, 6)
    assert roll_up_events(work_on(engine, clock=lambda: NOON + 91 * DAY)).pruned == 5
    assert raw_events(engine) == (1, 1)
    assert usage_days(engine) == kept
    assert roll_up_events(work_on(engine, clock=lambda: NOON + 300 * DAY)).pruned == 1
    assert raw_events(engine) == (0, 0)
    with reading(engine) as session:
        assert session.scalar(select(func.count()).select_from(WaitingEvents)) == 0
    store(engine, [happening(received_at=NOON + 300 * DAY)])  # its id follows that of the last, which is gone
    assert roll_up_events(work_on(engine, clock=lambda: NOON + 300 * DAY)).events == 1


def test_an_event_sent_again_counts_once_however_late_and_is_deleted(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roll_up, "TAKEN_AT_ONCE", 2)
    account = add_accounts(engine, ["A"])["A"]
    first = [replace(happening(), id=str(number)) for number in range(5)]
    store(engine, [*first, first[0], replace(first[1], source="ios")])  # another product's id is another event
    done = roll_up_events(work_on(engine, clock=lambda: NOON))
    assert (done.events, done.duplicates, done.waiting) == (5, 1, 1)
    kept = usage_days(engine)
    assert kept[account, "activity", "opened", TODAY, TODAY] == 5.0
    again = [replace(each, received_at=NOON + 29 * DAY, name="renamed") for each in first]
    store(engine, again)  # the last of all that are there are deleted, and no id is given out again
    assert roll_up_events(work_on(engine, clock=lambda: NOON + 29 * DAY)) == RolledUp(duplicates=5)
    store(engine, [*again, happening(name="new", received_at=NOON + 30 * DAY)])
    done = roll_up_events(work_on(engine, clock=lambda: NOON + 30 * DAY))
    assert (done.events, done.duplicates) == (1, 5)
    assert raw_events(engine) == (7, 7)
    assert usage_days(engine) == kept | {(account, "activity", "new", TODAY, TODAY + 30 * DAY): 1.0}


def test_events_that_wait_are_not_sifted_again(engine: Engine) -> None:
    waiting = [replace(happening("B"), id=str(number)) for number in range(3)]
    store(engine, [*waiting, *waiting])
    work = work_on(engine, clock=lambda: NOON)
    assert roll_up_events(work) == RolledUp(waiting=3, duplicates=3)
    store(engine, waiting)
    assert roll_up_events(work) == RolledUp(duplicates=3)
    account = add_accounts(engine, ["B"])["B"]
    store(engine, waiting)
    done = roll_up_events(work)
    assert (done.taken_up, done.events, done.duplicates) == (3, 0, 3)
    assert raw_events(engine) == (3, 3)
    assert usage_days(engine)[account, "activity", "opened", TODAY, TODAY] == 3.0


def test_events_that_were_sent_again_and_are_all_of_a_part_leave_it_empty(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roll_up, "CHUNK", 2)
    monkeypatch.setattr(roll_up, "SIFTED_AHEAD", 4)
    add_accounts(engine, ["A"])
    event = replace(happening(), id="one")
    store(engine, [event] * 9 + [happening()])
    done = roll_up_events(work_on(engine, clock=lambda: NOON))
    assert (done.events, done.duplicates) == (2, 8)
    assert store_is_rolled_up(engine)


def test_names_without_end_are_counted_as_one_feature(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "MOST_FEATURES", 3)
    add_accounts(engine, "A")
    store(engine, [happening(name="opened"), happening(name="shared")])
    roll_up_events(work_on(engine, clock=lambda: NOON))
    store(engine, [happening(name=f"opened {number}") for number in range(5)] + [happening(name="shared")])
    roll_up_events(work_on(engine, clock=lambda: NOON))
    with reading(engine) as session:
        counted = select(UsageFeature.name, func.sum(UsageDay.amount)).join(UsageDay).group_by(UsageFeature.name)
        assert dict(session.execute(counted).all()) == {"opened": 1, "shared": 2, "opened 0": 1, "(other)": 4}


def test_nothing_to_roll_up_makes_no_change(engine: Engine) -> None:
    work = work_on(engine, clock=lambda: NOON)
    assert roll_up_events(work) == RolledUp()
    store(engine, [happening("unknown")])
    assert roll_up_events(work).waiting == 1
    with reading(engine) as session:
        assert session.scalar(text("SELECT count(*) FROM changes")) == 0
        assert session.scalar(select(func.count()).select_from(Account)) == 0


def test_a_source_is_a_feed_that_was_last_seen_when_its_last_event_was_received(engine: Engine) -> None:
    store(engine, [happening(), happening(received_at=NOON - DAY), happening("unknown", received_at=NOON + DAY)])
    roll_up_events(work_on(engine, clock=lambda: NOON + 2 * DAY))
    with reading(engine) as session:
        [feed] = session.scalars(select(Feed))
        assert (feed.kind, feed.name, feed.last_seen_at) == ("events", "web", NOON + DAY)

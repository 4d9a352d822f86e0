"""What happened with an account, in one line of time; and the other things its page reads."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Engine, update

from app.db import reading, transaction
from app.models.billing import Invoice
from app.models.success import Ticket, Touch, Training
from app.queries.timeline import Kind, Part, load_timeline
from app.services.changes import recording
from tests.web.company import AS_OF, NOW, Company

LATER = NOW + timedelta(hours=1)


@pytest.fixture
def account_id(engine: Engine) -> int:
    with transaction(engine) as session, recording(session, "test", clock=lambda: NOW) as change:
        company = Company(session, change)
        account_id = company.account("Ana", segment=None, channel="Web", on=date(2026, 1, 1))
        company.contract(account_id, plan="Team", starts_on=date(2026, 1, 1), months=12)
        company.fact(Touch, account_id, on=date(2026, 3, 1), kind="call", text_id=company.text("Said hello"))
        company.fact(Ticket, account_id, on=date(2026, 3, 1), priority="high")
        company.fact(Ticket, account_id, on=date(2026, 3, 1), priority="low")
        company.fact(Training, account_id, on=date(2026, 2, 1), topic="Basics", attendees=4)
        bill = Invoice(
            system="test", external_id="b1", account_id=account_id, issued_on=date(2026, 1, 15),
            due_on=date(2026, 2, 14), amount_minor=480_000, currency="USD",
        )  # fmt: skip
        company.version(bill, date(2026, 1, 15))
        company.notice(account_id, given_on=date(2026, 9, 1), effective_on=date(2027, 1, 1))
        other = company.account("Bo", segment=None, channel="Web", on=date(2026, 1, 1))
        company.fact(Touch, other, on=date(2026, 5, 1), kind="call")
        return account_id


def test_the_newest_comes_first_and_others_are_not_in_it(engine: Engine, account_id: int) -> None:
    with reading(engine) as session:
        entries = load_timeline(session, account_id, known_at=NOW)
    assert [(entry.kind, entry.occurred_on) for entry in entries] == [
        (Kind.NOTICE, date(2026, 9, 1)),
        (Kind.TOUCH, date(2026, 3, 1)),
        (Kind.TICKET, date(2026, 3, 1)),
        (Kind.TICKET, date(2026, 3, 1)),
        (Kind.TRAINING, date(2026, 2, 1)),
        (Kind.INVOICE, date(2026, 1, 15)),
        (Kind.DEAL, date(2026, 1, 1)),
    ]
    assert entries[0].until_on == date(2027, 1, 1)
    assert entries[1].text == "Said hello"
    assert (entries[4].title, entries[4].score) == ("Basics", 4)
    assert (entries[5].amount_minor, entries[5].until_on, entries[5].state) == (480_000, date(2026, 2, 14), "unpaid")
    assert (entries[6].amount_minor, entries[6].currency, entries[6].state) == (480_000, "USD", "won")


def test_pages_of_any_size_meet_without_gap_or_repeat_on_the_same_day_too(engine: Engine, account_id: int) -> None:
    with reading(engine) as session:
        whole = load_timeline(session, account_id, known_at=NOW)
        for size in (1, 2, 3):
            seen, after = [], None
            while page := load_timeline(session, account_id, known_at=NOW, part=Part(after=after, limit=size)):
                seen += page
                after = (page[-1].occurred_on, page[-1].kind.value, page[-1].entry_id)
            assert tuple(seen) == whole


def test_one_kind_or_none(engine: Engine, account_id: int) -> None:
    with reading(engine) as session:
        tickets = load_timeline(session, account_id, known_at=NOW, part=Part(kinds=(Kind.TICKET,)))
        assert {entry.label for entry in tickets} == {"high", "low"}
        assert load_timeline(session, account_id, known_at=NOW, part=Part(kinds=())) == ()


def test_an_earlier_instant_is_answered_as_before_a_correction(engine: Engine, account_id: int) -> None:
    with transaction(engine) as session, recording(session, "test", clock=lambda: LATER) as change:
        session.execute(update(Touch).where(Touch.account_id == account_id).values(superseded_change_id=change.id))
        available_at = datetime(2026, 3, 2, tzinfo=UTC)
        session.add(
            Touch(
                system="test", external_id="new", account_id=account_id, occurred_on=AS_OF, kind="meeting",
                change_id=change.id, available_at=available_at,
            )
        )  # fmt: skip
    with reading(engine) as session:
        before = load_timeline(session, account_id, known_at=NOW, part=Part(kinds=(Kind.TOUCH,)))
        after = load_timeline(session, account_id, known_at=LATER, part=Part(kinds=(Kind.TOUCH,)))
    assert [entry.label for entry in before] == ["call"]
    assert [entry.label for entry in after] == ["meeting"]

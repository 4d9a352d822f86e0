"""Closed months over deals as they are recorded: what later deals, notices and merges do to them, and do not."""

import json
import random
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.db import reading, transaction
from app.domain.money import Money
from app.domain.periods import Grain
from app.errors import Invalid
from app.queries.moments import load_moment
from app.queries.periods import list_closed, parse_month
from app.queries.revenue import BookingsQuestion, FxChoice, load_arr, load_bookings
from app.services.accounts import record_accounts
from app.services.changes import recording
from app.services.deals import record_deals
from app.services.periods import derive_period
from app.services.sources import Source
from integrations.files.rows import AccountRow, ClosedDeal, DealRow, LineRow
from tests.closing import IN_JUNE, LATER, agrees_with_restatements, close, derived, restated, stored
from tests.ledger_story import act, tell

IN_JULY = datetime(2026, 7, 10, 9, tzinfo=UTC)
NO_FX = FxChoice(is_off=True)


def sell(engine: Engine, deal: str, product: str, *, amount: int, starts_on: date, at: datetime, source: str) -> None:
    line = LineRow(deal, product, Decimal(amount), key="1", starts_on=starts_on, term_months=12, auto_renew=True)
    row = DealRow(deal, "A", type="new", closed_on=starts_on, currency="USD")
    with transaction(engine) as session, recording(session, source, clock=lambda: at) as change:
        record_accounts(session, change, source=Source("crm", at), rows=[AccountRow("A", "A")])
        recorded = record_deals(session, change, source=Source("crm", at), deals=[ClosedDeal(row, (line,))])
        assert recorded.refusals == ()


def test_a_deal_of_20_may_that_july_learns_of_restates_may_and_leaves_it_as_closed(engine: Engine) -> None:
    at = datetime(2026, 1, 2, 9, tzinfo=UTC)
    sell(engine, "D-1", "CORE", amount=1_200, starts_on=date(2026, 1, 1), at=at, source="sync crm")
    closed = close(engine, "2026-05", now=IN_JUNE)
    before = stored(engine, "2026-05")
    sell(engine, "D-2", "PLUS", amount=600, starts_on=date(2026, 5, 20), at=IN_JULY, source="sync crm")
    assert stored(engine, "2026-05") == before == derived(engine, "2026-05", known_at=closed.known_at)
    was, now = (json.loads(each)["arr"][0] for each in (before, derived(engine, "2026-05")))
    assert (was["opening"], was["expansion"], was["closing"]) == ("1200.00", "0.00", "1200.00")
    assert (now["opening"], now["expansion"], now["closing"]) == ("1200.00", "600.00", "1800.00")
    found = [
        (each.kind, each.category, each.on, each.delta, each.deal_external_id, each.source) for each in restated(engine)
    ]
    delta, on = Money(60_000, "USD"), date(2026, 5, 20)
    assert found == [
        ("booking", "booking", on, delta, "D-2", "sync crm"),
        ("movement", "expansion", on, delta, "D-2", "sync crm"),
    ]
    assert agrees_with_restatements(engine, "2026-05")


@pytest.mark.parametrize("seed", [11, 13])
def test_any_story_adds_up_and_leaves_closed_months_as_they_were(engine: Engine, seed: int) -> None:
    at = tell(engine, seed, 12)[-1]
    dice = random.Random(seed)  # noqa: S311  a test's dice
    months = ("2024-11", "2024-12", "2025-01", "2025-02")
    before = {}
    for month in months:
        close(engine, month, now=at + timedelta(hours=1))
        before[month] = stored(engine, month)
        for _ in range(6):
            at += timedelta(hours=7)
            act(engine, dice, at)
    with reading(engine) as session:
        closed = list_closed(session)
    assert len(closed) == len(months)
    assert restated(engine, kinds=("movement", "booking", "opening"))
    for each in closed:
        assert stored(engine, each.period) == before[each.period]
        assert derived(engine, each.period, known_at=each.known_at) == before[each.period]
        assert agrees_with_restatements(engine, each.period)


# --- Past answers ---


def answer(session: Session, question: tuple[str, date, datetime]) -> str:
    kind, as_of, known_at = question
    known = load_moment(session, as_of=as_of, known_at=known_at, now=LATER)
    found: Any
    if kind == "month":  # movements, ARR at both ends and retention
        return derive_period(session, parse_month(f"{as_of:%Y-%m}"), known=known).decode()
    if kind == "arr":
        found = [load_arr(session, cut, known=known, fx=NO_FX) for cut in ("all", "product", "account", "currency")]
    else:
        asked = [BookingsQuestion(None, Grain.MONTH, cut, NO_FX) for cut in ("all", "product", "account")]
        found = [load_bookings(session, each, known=known) for each in asked]
    return json.dumps([asdict(each) for each in found], default=str, sort_keys=True)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_thousand_past_answers_are_the_same_to_the_byte_after_500_later_changes(engine: Engine) -> None:
    ticks = tell(engine, 3, 60)
    dice = random.Random(3)  # noqa: S311  a test's dice
    questions = [
        (
            dice.choice(("arr", "bookings", "month")),
            date(2023, 12, 15) + timedelta(days=dice.randrange(1_200)),
            dice.choice(ticks[:-1]) + timedelta(minutes=dice.randrange(400)),  # a past, not what may still change
        )
        for _ in range(1_000)
    ]
    with reading(engine) as session:
        before = [answer(session, each) for each in questions]
    assert len(set(before)) > 300
    at = ticks[-1]
    for _ in range(500):
        at += timedelta(hours=7)
        act(engine, dice, at)
    with reading(engine) as session:
        for question, was in zip(questions, before, strict=True):
            assert answer(session, question) == was, question
        now = [answer(session, (kind, as_of, at)) for kind, as_of, _ in questions[:100]]
    assert sum(each != was for each, was in zip(now, before, strict=False)) > 50


def test_a_past_that_is_still_to_come_is_refused(engine: Engine) -> None:
    with reading(engine) as session, pytest.raises(Invalid, match="known_at lies in the future"):
        load_moment(session, as_of=None, known_at=LATER, now=IN_JULY)

"""Closing months in a test, and what is read of them."""

import json
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine

from app.db import reading, transaction
from app.domain.closed_period import MOVED
from app.domain.money import round_to_money
from app.queries.moments import load_moment
from app.queries.periods import Closed, load_closed_report, parse_month
from app.queries.restatements import Asked, Restatement, list_restatements
from app.services.changes import recording
from app.services.periods import derive_period, prepare_close, record_close

IN_JUNE = datetime(2026, 6, 3, 9, tzinfo=UTC)
LATER = datetime(2029, 1, 1, tzinfo=UTC)


def close(engine: Engine, month: str, *, now: datetime = IN_JUNE) -> Closed:
    with transaction(engine) as session:
        prepared = prepare_close(session, parse_month(month), now=now)
        with recording(session, "user:7", clock=lambda: now) as change:
            return record_close(session, change, prepared=prepared, actor="user:7", at=now)


def stored(engine: Engine, month: str) -> bytes:
    with reading(engine) as session:
        return load_closed_report(session, parse_month(month))


def derived(engine: Engine, month: str, *, known_at: datetime | None = None, now: datetime = LATER) -> bytes:
    period = parse_month(month)
    with reading(engine) as session:
        known = load_moment(session, as_of=period.last_on, known_at=known_at, now=now)
        return derive_period(session, period, known=known)


def restated(engine: Engine, **asked: Any) -> list[Restatement]:
    with reading(engine) as session:
        known = load_moment(session, as_of=None, known_at=None, now=LATER)
        return list_restatements(session, Asked(**{"known_at": known.known_at, "limit": 10_000} | asked)).items


def lines_of(report: bytes) -> Counter[tuple[str, ...]]:
    """Every figure of a report that adds up, in minor units; those of zero are left out."""
    said = json.loads(report)
    found: Counter[tuple[str, ...]] = Counter()
    for row in said["arr"]:
        for category in ("opening", *(each.value for each in MOVED)):
            if row["product"] is not None:
                found[row["product"], row["currency"], category] += minor(row[category], row["currency"])
    for row in said["bookings"]:
        if row["product"] is None:
            found["", row["currency"], "booking"] += minor(row["amount"], row["currency"])
    return Counter({key: value for key, value in found.items() if value})


def minor(text: str, currency: str) -> int:
    return round_to_money(Decimal(text), currency).minor


def agrees_with_restatements(engine: Engine, month: str) -> bool:
    """Whether closed + restatements = current, for every figure that adds up."""
    expected = lines_of(stored(engine, month))
    for each in restated(engine, kinds=("movement", "booking", "opening"), period=parse_month(month)):
        expected[each.product or "", each.delta.currency, each.category] += each.delta.minor
    return {key: value for key, value in expected.items() if value} == dict(lines_of(derived(engine, month)))

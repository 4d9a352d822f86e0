"""Accounts that a product knows by its own ids, and events of theirs."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from itertools import count

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from app.db import reading, transaction
from app.models.accounts import Account, ExternalId
from app.models.usage import UsageDay, UsageFeature, UsageMetric
from app.services.changes import recording
from app.services.event_reading import Row
from app.services.events import add_events, ensure_sources

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
numbers = count()


@dataclass(frozen=True)
class Happening:
    """Somebody at an account did something; None: nobody is named."""

    account: str
    name: str
    person: str | None
    occurred_at: datetime
    received_at: datetime
    source: str = "web"
    id: str = ""  # none: one of its own


def microseconds(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(microseconds=1)


def add_accounts(engine: Engine, refs: Iterable[str], *, source: str = "web", kind: str = "product") -> dict[str, int]:
    """Accounts that the source knows by these ids."""
    with transaction(engine) as session, recording(session, "test") as change:
        found = {}
        for ref in refs:
            account = Account(change_id=change.id)
            session.add(account)
            session.flush()
            session.add(
                ExternalId(
                    system=source, kind=kind, external_id=ref, account_id=account.id, change_id=change.id,
                    available_at=NOON,
                )
            )  # fmt: skip
            found[ref] = account.id
        return found


def person_key(person: str | None) -> bytes | None:
    return None if person is None else blake2b(person.encode(), digest_size=16).digest()


def store(engine: Engine, happenings: Iterable[Happening]) -> None:
    """As the door stores them."""
    with transaction(engine) as session:
        store_in(session, happenings)


def store_in(session: Session, happenings: Iterable[Happening]) -> None:
    every = list(happenings)
    sources = ensure_sources(session, {each.source for each in every})
    rows: list[Row] = [
        (
            blake2b(f"{each.source} {each.id or next(numbers)}".encode(), digest_size=16).digest(),
            sources[each.source],
            each.account,
            person_key(each.person),
            each.name,
            microseconds(each.occurred_at),
            microseconds(each.received_at),
            None,
        )
        for each in every
    ]
    add_events(session.connection(), rows)


Kept = dict[tuple[int, str, str | None, date, date], float]


def usage_days(engine: Engine) -> Kept:
    """All that was kept: account, metric, feature, day, day of being known -> amount."""
    with reading(engine) as session:
        rows = session.execute(
            select(
                UsageDay.account_id, UsageMetric.name, UsageFeature.name, UsageDay.day, UsageDay.available_on,
                UsageDay.amount,
            )
            .join(UsageMetric, UsageMetric.id == UsageDay.metric_id)
            .outerjoin(UsageFeature, UsageFeature.id == UsageDay.feature_id)
        )  # fmt: skip
        kept: Kept = {}
        for account, metric, feature, day, available_on, amount in rows:
            key = (account, metric, feature, day, available_on)
            kept[key] = kept.get(key, 0.0) + amount
        return kept

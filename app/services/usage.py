"""Usage by account and day, recorded in bulk: rows are added, never changed."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from hashlib import blake2b
from typing import Any, NamedTuple

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app.models.usage import UsageDay, UsageFeature, UsageMetric
from app.models.versions import Change
from app.queries.ids import BATCH, KnownLine, find_accounts, find_lines
from app.services.bulk import add_missing
from app.services.persons import unknown_account
from app.services.products import ensure_products
from app.services.sources import Refusal, Source, has_changed
from app.services.versions import Outcome
from integrations.files.rows import UsageDayRow

BEFORE, AFTER = "before_contract", "after_contract"
UNITS = {"active_people": "people"}  # of the metrics we know; the others count things done


COLUMNS = (
    "change_id",
    "source_key",
    "account_id",
    "product_id",
    "metric_id",
    "feature_id",
    "day",
    "available_on",
    "amount",
    "apart_reason",
)


class Fact(NamedTuple):
    """What a usage row says: two rows of one key that differ here are in conflict."""

    account_id: int
    product_id: int | None
    metric_id: int
    feature_id: int | None
    day: date
    amount: float


class Subscription(NamedTuple):
    """What a deal says of the usage that names it: whose it is, and within which days it lies."""

    account_id: int
    product_id: int | None
    starts_on: date
    ends_on: date | None


@dataclass(frozen=True, slots=True)
class RecordedUsage:
    """What became of the rows. `conflicts` are positions whose key was taken by other content, which was kept.

    Rows outside the term of the deal they name are kept apart: counted by reason, as read and as added.
    """

    outcome: Outcome
    refusals: tuple[Refusal, ...] = ()
    conflicts: tuple[int, ...] = ()
    apart_read: Mapping[str, int] = field(default_factory=dict)
    apart_added: Mapping[str, int] = field(default_factory=dict)

    @property
    def has_changed_something(self) -> bool:
        return has_changed(self.outcome)


def record_usage(session: Session, change: Change, *, source: Source, rows: Sequence[UsageDayRow]) -> RecordedUsage:
    """Add usage days. A row that is there already, by its id or else by what it counts, is not added again.

    Refused: an account or a deal that is not known. Runs at a small multiple of a bare bulk insert:
    one look-up per distinct id, one COPY or executemany for all rows.
    """
    names = _Names(session, change, source=source, rows=rows)
    facts: dict[bytes, tuple[int, Fact]] = {}
    values: list[tuple[Any, ...]] = []
    refusals: list[Refusal] = []
    conflicts: list[int] = []
    apart_read: Counter[str] = Counter()
    for position, row in enumerate(rows):
        problem, owner = names.owner_of(row)
        if owner is None:
            refusals.append(Refusal(position, *problem))
            continue
        apart = _apart(row.day, owner)
        if apart:
            apart_read[apart] += 1
        key = names.key_of(row)
        fact = names.fact_of(row, owner)
        first = facts.setdefault(key, (position, fact))
        if first[0] != position:
            if first[1] != fact:
                conflicts.append(position)
            continue
        available_on = source.available_on(row.day, row.available_on)
        values.append((change.id, key, *fact[:5], available_on, fact.amount, apart))
    added = add_missing(session, table="usage_days", columns=COLUMNS, rows=values)
    known = {} if added == len(values) else _already_known(session, change, keys=list(facts))
    conflicts += [facts[key][0] for key, fact in known.items() if facts[key][1] != fact]
    return RecordedUsage(
        outcome=Outcome(added=added, unchanged=len(rows) - len(refusals) - len(conflicts) - added),
        refusals=tuple(refusals),
        conflicts=tuple(sorted(conflicts)),
        apart_read=apart_read,
        apart_added=Counter(row[-1] for row in values if row[-1] and row[1] not in known),
    )


def _apart(day: date, owner: Subscription) -> str | None:
    if day < owner.starts_on:
        return BEFORE
    return AFTER if owner.ends_on is not None and day > owner.ends_on else None


class _Names:
    """The ids of everything that a batch of rows names, looked up once."""

    def __init__(self, session: Session, change: Change, *, source: Source, rows: Sequence[UsageDayRow]) -> None:
        accounts = {row.account for row in rows if row.account and not row.deal}
        found = find_accounts(session, source.system, kind=source.kind, ids=accounts)
        # An account as such has no term: its usage is never apart.
        self._accounts = {name: Subscription(number, None, date.min, None) for name, number in found.items()}
        lines = find_lines(session, source.system, deals={row.deal for row in rows if row.deal})
        self._deals = {name: _subscription(own) for name, own in lines.items()}
        products = dict.fromkeys({row.product for row in rows if row.product}, True)
        self._products = ensure_products(session, change, source=source, recurring=products)
        self._metrics = _ensure_names(session, UsageMetric, names={row.metric for row in rows})
        self._features = _ensure_names(session, UsageFeature, names={row.feature for row in rows if row.feature})
        self._prefix = blake2b(f"{source.system}\x1f".encode(), digest_size=16)

    def owner_of(self, row: UsageDayRow) -> tuple[tuple[str, str], Subscription | None]:
        if row.deal:
            owner = self._deals.get(row.deal)
            return ("deal", f"there is no won deal {row.deal!r}; import the deals first, or mend the id"), owner
        return ("account", unknown_account(row.account or "")), self._accounts.get(row.account or "")

    def key_of(self, row: UsageDayRow) -> bytes:
        digest = self._prefix.copy()
        if row.id:
            digest.update(f"{row.metric}\x1f{row.id}".encode())
        else:
            owner = f"deal\x1f{row.deal}" if row.deal else f"account\x1f{row.account}"
            natural = f"\x1f{row.metric}\x1f{owner}\x1f{row.product or ''}\x1f{row.feature or ''}\x1f{row.day}"
            digest.update(natural.encode())
        return digest.digest()

    def fact_of(self, row: UsageDayRow, owner: Subscription) -> Fact:
        return Fact(
            owner.account_id,
            self._products[row.product] if row.product else owner.product_id,
            self._metrics[row.metric],
            self._features[row.feature] if row.feature else None,
            row.day,
            row.amount,
        )


def _subscription(lines: Sequence[KnownLine]) -> Subscription:
    products = {line.product_id for line in lines}
    ends = [line.ends_on for line in lines]
    last = None if None in ends else max(end for end in ends if end is not None)
    product = products.pop() if len(products) == 1 else None
    return Subscription(lines[0].account_id, product, min(line.starts_on for line in lines), last)


def _ensure_names(
    session: Session, table: type[UsageMetric] | type[UsageFeature], *, names: Collection[str]
) -> dict[str, int]:
    known = dict(_numbered(session, table, names=names))
    missing = sorted(set(names) - set(known))
    if not missing:
        return known
    rows: list[dict[str, str]] = [{"name": name} for name in missing]
    if table is UsageMetric:
        rows = [{"name": name, "unit": UNITS.get(name, "count")} for name in missing]
    session.execute(insert(table), rows)
    return dict(_numbered(session, table, names=names))


def _numbered(
    session: Session, table: type[UsageMetric] | type[UsageFeature], *, names: Collection[str]
) -> list[tuple[str, int]]:
    ordered = sorted(names)
    return [
        (row.name, row.id)
        for start in range(0, len(ordered), BATCH)
        for row in session.execute(select(table.name, table.id).where(table.name.in_(ordered[start : start + BATCH])))
    ]


def _already_known(session: Session, change: Change, *, keys: Sequence[bytes]) -> dict[bytes, Fact]:
    """What was recorded before this change under any of the keys."""
    table = UsageDay
    columns = (table.account_id, table.product_id, table.metric_id, table.feature_id, table.day, table.amount)
    found: dict[bytes, Fact] = {}
    for start in range(0, len(keys), BATCH):
        rows = session.execute(
            select(table.source_key, *columns).where(
                table.source_key.in_(keys[start : start + BATCH]), table.change_id != change.id
            )
        )
        found |= {bytes(row[0]): Fact._make(row[1:]) for row in rows}
    return found

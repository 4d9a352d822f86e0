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


# What a usage row says, in the order of CONTENT: two rows of one key that differ here are in conflict.
Fact = tuple[int, int | None, int, int | None, date, float]
CONTENT = ("account_id", "product_id", "metric_id", "feature_id", "day", "amount")


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


class Owners:
    """Whose usage it is: accounts and deals that were looked up, kept from one call to the next, within bounds."""

    MOST = 100_000

    def __init__(self) -> None:
        self._accounts: dict[str, Subscription] = {}
        self._deals: dict[str, Subscription] = {}

    def look_up(self, session: Session, source: Source, *, rows: Sequence[UsageDayRow]) -> None:
        """Look up what the rows name, as far as it is not known already."""
        if len(self._accounts) + len(self._deals) > self.MOST:
            self._accounts.clear()
            self._deals.clear()
        accounts = {row.account for row in rows if row.account and not row.deal} - set(self._accounts)
        deals = {row.deal for row in rows if row.deal} - set(self._deals)
        found = find_accounts(session, source.system, kind=source.kind, ids=accounts)
        # An account as such has no term: its usage is never apart.
        self._accounts |= {name: Subscription(number, None, date.min, None) for name, number in found.items()}
        lines = find_lines(session, source.system, deals=deals)
        self._deals |= {name: _subscription(own) for name, own in lines.items()}

    def of(self, row: UsageDayRow) -> Subscription | None:
        return self._deals.get(row.deal) if row.deal else self._accounts.get(row.account or "")


def record_usage(
    session: Session, change: Change, *, source: Source, rows: Sequence[UsageDayRow], owners: Owners | None = None
) -> RecordedUsage:
    """Add usage days. A row that is there already, by its id or else by what it counts, is not added again.

    Refused: an account or a deal that is not known. Runs at a small multiple of a bare bulk insert:
    one look-up per distinct id, one COPY or executemany for all rows.
    """
    owners = owners or Owners()
    owners.look_up(session, source, rows=rows)
    names = _Names(session, change, source=source, rows=rows)
    change_id, key_of, fact_of, days_of = change.id, names.key_of, names.fact_of, names.days_of
    facts: dict[bytes, tuple[int, Fact]] = {}
    values: list[tuple[Any, ...]] = []
    refusals: list[Refusal] = []
    conflicts: list[int] = []
    apart_read: Counter[str] = Counter()
    for position, row in enumerate(rows):
        owner = owners.of(row)
        if owner is None:
            refusals.append(Refusal(position, *_why_unknown(row)))
            continue
        apart = _apart(row.day, owner)
        if apart:
            apart_read[apart] += 1
        key = key_of(row)
        fact = fact_of(row, owner)
        first = facts.setdefault(key, (position, fact))
        if first[0] != position:
            if first[1] != fact:
                conflicts.append(position)
            continue
        day, available_on = days_of(row)
        values.append((change_id, key, fact[0], fact[1], fact[2], fact[3], day, available_on, fact[5], apart))
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


def _why_unknown(row: UsageDayRow) -> tuple[str, str]:
    if row.deal:
        return "deal", f"there is no won deal {row.deal!r}; import the deals first, or mend the id"
    return "account", unknown_account(row.account or "")


def _apart(day: date, owner: Subscription) -> str | None:
    if day < owner.starts_on:
        return BEFORE
    return AFTER if owner.ends_on is not None and day > owner.ends_on else None


class _Names:
    """The ids of everything that a batch of rows names, looked up once."""

    def __init__(self, session: Session, change: Change, *, source: Source, rows: Sequence[UsageDayRow]) -> None:
        products = dict.fromkeys({row.product for row in rows if row.product}, True)
        self._products = ensure_products(session, change, source=source, recurring=products)
        self._metrics = ensure_names(session, UsageMetric, names={row.metric for row in rows})
        self._features = ensure_names(session, UsageFeature, names={row.feature for row in rows if row.feature})
        self._prefix = blake2b(f"{source.system}\x1f".encode(), digest_size=16)

        self._source = source
        self._days: dict[date, tuple[str, str]] = {}

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
        product = self._products[row.product] if row.product else owner[1]
        feature = self._features[row.feature] if row.feature else None
        return owner[0], product, self._metrics[row.metric], feature, row.day, row.amount

    def days_of(self, row: UsageDayRow) -> tuple[str, str]:
        """The day, and the day on which it could be known, as both databases read them; few are different."""
        if row.available_on is not None:
            return str(row.day), str(self._source.available_on(row.day, row.available_on))
        if row.day not in self._days:
            self._days[row.day] = str(row.day), str(self._source.available_on(row.day))
        return self._days[row.day]


def _subscription(lines: Sequence[KnownLine]) -> Subscription:
    products = {line.product_id for line in lines}
    ends = [line.ends_on for line in lines]
    last = None if None in ends else max(end for end in ends if end is not None)
    product = products.pop() if len(products) == 1 else None
    return Subscription(lines[0].account_id, product, min(line.starts_on for line in lines), last)


def ensure_names(
    session: Session, table: type[UsageMetric] | type[UsageFeature], *, names: Collection[str]
) -> dict[str, int]:
    """The ids of metrics or features by name; those that are new are added."""
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
    columns = [getattr(table, name) for name in CONTENT]
    found: dict[bytes, Fact] = {}
    for start in range(0, len(keys), BATCH):
        rows = session.execute(
            select(table.source_key, *columns).where(
                table.source_key.in_(keys[start : start + BATCH]), table.change_id != change.id
            )
        )
        found |= {bytes(key): tuple(fact) for key, *fact in rows}
    return found

"""Keeping the stored movements what follows from the lines: done by every change, in its own transaction."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Select, func, insert, select, union, update
from sqlalchemy.orm import Session

from app.domain.movements import Movement
from app.models.accounts import Account, AccountVersion
from app.models.contracts import ChurnNotice, Contract, ContractLineVersion, ContractVersion
from app.models.deals import DealVersion
from app.models.ledger import ContractPause
from app.models.ledger import Movement as Row
from app.models.products import ProductVersion
from app.models.settings import SettingVersion
from app.models.versions import Change
from app.queries.ids import BATCH
from app.queries.ledger import FILLED, Rules, find_all_movements, load_rules

# Facts of an account: any version of these that a change recorded or replaced has to do with its movements.
FACTS: tuple[Any, ...] = (ContractLineVersion, ContractVersion, ChurnNotice)
COLUMNS = tuple(
    Row.__table__.c[name]
    for name in (
        *("account_id", "contract_line_id", "from_line_id", "product_id", "moved_on", "effective_on"),
        *("category", "reason", "amount_minor", "currency", "source_kind", "source_id"),
    )
)
NAMES = tuple(column.name for column in COLUMNS)
Said = tuple[Any, ...]  # a movement as plain values: an Enum's hash is not that of its value


def find_touched_accounts(session: Session, change: Change) -> list[int]:
    """The accounts whose movements may have become others by what this change wrote, in order."""
    parts: list[Select[Any]] = [
        select(table.account_id).where(of_change == change.id)
        for table in FACTS
        for of_change in (table.change_id, table.superseded_change_id)
    ]
    parts += [
        select(column).where(AccountVersion.change_id == change.id, AccountVersion.merged_into_id.is_not(None))
        for column in (AccountVersion.account_id, AccountVersion.merged_into_id)
    ]
    standing = ContractLineVersion.superseded_change_id.is_(None)
    for of_change in (ContractPause.change_id, ContractPause.superseded_change_id):
        paused = select(ContractPause.contract_line_id).where(of_change == change.id)
        parts.append(select(ContractLineVersion.account_id).where(ContractLineVersion.contract_line_id.in_(paused)))
    restaged = select(Contract.id).join(DealVersion, DealVersion.deal_id == Contract.deal_id)
    restaged = restaged.where(DealVersion.superseded_change_id == change.id)  # a deal whose stage became another
    parts.append(select(ContractVersion.account_id).where(ContractVersion.contract_id.in_(restaged)))
    standing = ContractLineVersion.superseded_change_id.is_(None)
    touched = set(session.scalars(union(*parts)))
    if _is_grace_touched(session, change):
        touched |= set(session.scalars(select(ContractLineVersion.account_id).distinct().where(standing)))
    products = _products_of_other_family(session, change)
    for batch in _batches(products):
        sold = ContractLineVersion.product_id.in_(batch)
        touched |= set(session.scalars(select(ContractLineVersion.account_id).distinct().where(sold, standing)))
    return sorted(touched)


def _is_grace_touched(session: Session, change: Change) -> bool:
    version = SettingVersion
    statement = select(version.id).where(version.name == "grace_days", version.change_id == change.id).limit(1)
    return session.scalar(statement) is not None


def _products_of_other_family(session: Session, change: Change) -> list[int]:
    version = ProductVersion
    columns = (version.product_id, version.family, version.valid_from, version.valid_to)
    replaced = session.execute(select(*columns).where(version.superseded_change_id == change.id))
    before = {(row.product_id, row.family, row.valid_from, row.valid_to) for row in replaced}
    if not before:
        return []
    recorded = session.execute(select(*columns).where(version.change_id == change.id))
    after = {(row.product_id, row.family, row.valid_from, row.valid_to) for row in recorded}
    return sorted({row[0] for row in before ^ after} & {row[0] for row in before})


def has_merges(session: Session, change: Change) -> bool:
    """Whether this change merged accounts: their transfer is dated by its own tick."""
    version = AccountVersion
    statement = select(version.id).where(version.change_id == change.id, version.merged_into_id.is_not(None)).limit(1)
    return session.scalar(statement) is not None


def lock_accounts(session: Session, account_ids: Sequence[int]) -> None:
    """Let one change at a time work on these accounts, so that of two neither misses what the other wrote.

    Not FOR UPDATE: each already shares the keys of the accounts that its rows refer to, and both would wait for ever.
    """
    if session.get_bind().dialect.name != "postgresql":
        return
    families = load_rules(session, None).families(account_ids)
    for batch in _batches({each for family in families.values() for each in family}):
        statement = select(Account.id).where(Account.id.in_(batch)).order_by(Account.id).with_for_update(key_share=True)
        session.execute(statement).all()


def record_movements(session: Session, change: Change, *, account_ids: Collection[int]) -> None:
    """Make the stored movements of these accounts, and of those merged with them, what now follows from their lines.

    What is no longer so is superseded, what is new is recorded, and the rest stays as it is. Some accounts at a time,
    so that memory does not grow with their number.
    """
    rules = load_rules(session, None)
    families = rules.families(account_ids)
    for survivors in _batches(families):
        _rewrite(session, change, rules=rules, families={each: families[each] for each in survivors})


def fill_movements(session: Session) -> None:
    """Record the movements of a database that has lines and no movements, as a change of its own; for the migration."""
    standing = ContractLineVersion.superseded_change_id.is_(None)
    owners = session.scalars(select(ContractLineVersion.account_id).distinct().where(standing)).all()
    if not owners:
        return
    change = Change(source=FILLED, recorded_at=_next_tick(session))
    session.add(change)
    session.flush()
    record_movements(session, change, account_ids=owners)


def _next_tick(session: Session) -> datetime:
    last = session.scalar(select(func.max(Change.recorded_at)))
    now = datetime.now(UTC)
    return now if last is None else max(now, last + timedelta(microseconds=1))


def _rewrite(session: Session, change: Change, *, rules: Rules, families: Mapping[int, Sequence[int]]) -> None:
    stored: dict[Said, list[int]] = defaultdict(list)
    for batch in _batches({each for family in families.values() for each in family}):
        for row in session.execute(_stored(batch)):
            stored[tuple(row[1:])].append(row[0])
    new = []
    for movement in find_all_movements(session, rules, families=families):
        said = _plain(movement)
        same = stored.get(said)
        if same:
            same.pop()
        else:
            new.append(said)
    gone = sorted(row_id for ids in stored.values() for row_id in ids)
    for batch in _batches(gone):
        session.execute(update(Row).where(Row.id.in_(batch)).values(superseded_change_id=change.id))
    if new:
        with_it = {"change_id": change.id, "superseded_change_id": None, "available_at": datetime.now(UTC)}
        session.execute(insert(Row.__table__), [dict(zip(NAMES, said, strict=True)) | with_it for said in new])  # type: ignore[arg-type]


def _stored(account_ids: Sequence[int]) -> Select[Any]:
    table = Row.__table__.c
    return select(table.id, *COLUMNS).where(table.account_id.in_(account_ids), table.superseded_change_id.is_(None))


def _plain(movement: Movement) -> Said:
    reason = movement.reason
    return (
        *movement[:6],
        movement.category.value,
        None if reason is None else reason.value,
        *movement[8:10],
        movement.source_kind.value,
        movement.source_id,
    )


def _batches(ids: Iterable[int]) -> Iterator[Sequence[int]]:
    ordered = sorted(ids)
    return (ordered[start : start + BATCH] for start in range(0, len(ordered), BATCH))

"""What reconciliations found, and what of it is open."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.domain.money import Money
from app.domain.months import add_months
from app.domain.reconciliation import LEFT_OVER, Reason, words_of
from app.domain.reconciliation_checks import CHECKS as BILLING_CHECKS
from app.domain.reconciliation_crm import CHECKS as CRM_CHECKS
from app.domain.reconciliation_crm import ROUNDED, ROUNDED_WORDS
from app.errors import NotFound
from app.models.accounts import AccountVersion
from app.models.contracts import ChurnNotice, Contract, ContractLine, ContractLineVersion
from app.models.deals import Deal
from app.models.ledger import ContractPause
from app.models.persons import FreeText
from app.models.reconciliation import Reconciliation, ReconciliationDifference, ReconciliationOverride
from app.models.versions import Change, Version
from app.queries.ids import BATCH
from app.queries.known import was_recorded

WORDS: Mapping[str, str] = {**words_of(BILLING_CHECKS), **words_of(CRM_CHECKS), ROUNDED: ROUNDED_WORDS, **LEFT_OVER}
"""What each check found, in a sentence, by its name."""


@dataclass(frozen=True, slots=True)
class CurrencyTotal:
    """Both sides of all accounts in one currency; the reasons add up to the difference."""

    ledger: Money
    other: Money
    reasons: Mapping[Reason, Money]

    @property
    def difference(self) -> Money:
        return self.other - self.ledger


@dataclass(frozen=True, slots=True)
class Run:
    """`open_differences` are those that nothing explains and nobody let stand."""

    id: int
    kind: str
    system: str | None
    as_of: date
    known_at: datetime
    window_days: int
    file_name: str | None
    file_sha256: str | None
    made_by: str
    made_at: datetime
    rows: int
    compared: int
    agreed: int
    open_differences: int
    totals: tuple[CurrencyTotal, ...]

    @property
    def differing(self) -> int:
        return self.compared - self.agreed


@dataclass(frozen=True, slots=True)
class RunPage:
    runs: list[Run]
    next_before: int | None


@dataclass(frozen=True, slots=True)
class DealRecord:
    """Where a contract line, or a deal, is found in the CRM. `line` is the key of the deal's line; none: the deal."""

    id: int
    system: str
    deal: str
    line: str | None = None


@dataclass(frozen=True, slots=True)
class ShownPart:
    """A part of a difference with what shows it: rows of the export or deals, and contract lines."""

    reason: Reason
    check: str
    words: str
    amount: Money
    rows: Sequence[int]
    deals: Sequence[DealRecord]
    theirs_count: int
    lines: Sequence[DealRecord]
    lines_count: int


@dataclass(frozen=True, slots=True)
class Override:
    reason: str
    made_by: str
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Difference:
    """An account, or a customer whom the ledger does not know, in one currency: `ledger` + parts = `other`."""

    id: int
    run_id: int
    account_id: int | None
    account_name: str | None
    external_id: str | None
    ledger: Money
    other: Money
    unexplained: Money
    parts: tuple[ShownPart, ...]
    override: Override | None

    @property
    def difference(self) -> Money:
        return self.other - self.ledger

    @property
    def is_open(self) -> bool:
        return bool(self.unexplained.minor) and self.override is None


@dataclass(frozen=True, slots=True)
class DifferencePage:
    differences: list[Difference]
    next_after: int | None


def list_runs(session: Session, *, before: int | None = None, limit: int = 50) -> RunPage:
    """The newest first."""
    statement = select(Reconciliation).order_by(Reconciliation.id.desc()).limit(limit + 1)
    if before is not None:
        statement = statement.where(Reconciliation.id < before)
    rows = session.scalars(statement).all()
    shown = _runs(session, rows[:limit])
    return RunPage(shown, rows[limit - 1].id if len(rows) > limit else None)


def find_run(session: Session, run_id: int) -> Run:
    """Raises NotFound."""
    row = session.get(Reconciliation, run_id)
    if row is None:
        raise NotFound(f"There is no reconciliation {run_id}.")
    return _runs(session, [row])[0]


def list_differences(
    session: Session, run_id: int, *, after: int = 0, limit: int = 50, is_open_only: bool = False
) -> DifferencePage:
    """The differences of a run in the order in which they were found."""
    statement = _differences().where(
        ReconciliationDifference.reconciliation_id == run_id, ReconciliationDifference.id > after
    )
    if is_open_only:
        statement = statement.where(ReconciliationDifference.unexplained_minor > 0, ReconciliationOverride.id.is_(None))
    rows = session.execute(statement.order_by(ReconciliationDifference.id).limit(limit + 1)).all()
    shown = _shown(session, rows[:limit])
    return DifferencePage(shown, shown[-1].id if len(rows) > limit else None)


def find_difference(session: Session, difference_id: int) -> Difference:
    """Raises NotFound."""
    row = session.execute(_differences().where(ReconciliationDifference.id == difference_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no difference {difference_id}.")
    return _shown(session, [row])[0]


def runs_of_month(session: Session, *, month: date, known_at: datetime) -> list[Run]:
    """The reconciliations of a month: of every other set of books the last one as of the month's last day.

    `month` is any day of it. What was recorded after `known_at` is not among them.
    """
    last_on = add_months(month.replace(day=1), 1) - timedelta(days=1)
    newest = (
        select(func.max(Reconciliation.id))
        .where(Reconciliation.as_of == last_on, was_recorded(Reconciliation, known_at))
        .group_by(Reconciliation.kind, Reconciliation.system)
    )
    rows = session.scalars(select(Reconciliation).where(Reconciliation.id.in_(newest)).order_by(Reconciliation.id))
    return _runs(session, rows.all())


def unexplained_of(session: Session, *, month: date, known_at: datetime) -> list[Money]:
    """What the month's reconciliations leave open, by currency: empty where nothing stands in the way of closing it.

    Open is what no check explains and what nobody with the right has let stand by `known_at`. Gross: what is above and
    what is below the ledger do not cancel. A month that nobody reconciled has nothing open.
    """
    row, override = ReconciliationDifference, ReconciliationOverride
    runs = [run.id for run in runs_of_month(session, month=month, known_at=known_at)]
    said = select(override.difference_id).where(was_recorded(override, known_at))
    found = session.execute(
        select(row.currency, row.unexplained_minor)
        .where(row.reconciliation_id.in_(runs), row.unexplained_minor > 0, row.id.not_in(said))
        .order_by(row.currency)
    )
    totals: dict[str, int] = {}
    for currency, minor in found:
        totals[currency] = totals.get(currency, 0) + minor
    return [Money(minor, currency) for currency, minor in totals.items()]


def count_changes_since(session: Session, run: Run, *, known_at: datetime) -> int:
    """How many contract lines, notices and pauses of that time were recorded, replaced or withdrawn after what it knew.

    Of that time: of lines that begin, or what takes effect, by the end of its window. Above 0 the ledger may say
    something else by now, and the run is to be made again.
    """
    last_on = run.as_of + timedelta(days=run.window_days)
    later = select(Change.id).where(Change.recorded_at > run.known_at, Change.recorded_at <= known_at)
    line, notice, pause = ContractLineVersion, ChurnNotice, ContractPause
    keyed: tuple[tuple[type[Version], Any, Any], ...] = (
        (line, line.contract_line_id, line.starts_on),
        (notice, notice.external_id, notice.effective_on),
        (pause, pause.external_id, pause.pauses_on),
    )
    return sum(
        session.scalar(
            select(func.count(key.distinct())).where(
                or_(table.change_id.in_(later), table.superseded_change_id.in_(later)), day <= last_on
            )
        )
        or 0
        for table, key, day in keyed
    )


def _runs(session: Session, rows: Sequence[Reconciliation]) -> list[Run]:
    row, override = ReconciliationDifference, ReconciliationOverride
    unsaid = (
        select(row.reconciliation_id, func.count())
        .outerjoin(override, override.difference_id == row.id)
        .where(row.reconciliation_id.in_([each.id for each in rows]), row.unexplained_minor > 0, override.id.is_(None))
        .group_by(row.reconciliation_id)
    )
    count = dict(session.execute(unsaid).all())
    return [
        Run(
            id=each.id,
            kind=each.kind,
            system=each.system or None,
            as_of=each.as_of,
            known_at=each.known_at,
            window_days=each.window_days,
            file_name=each.file_name,
            file_sha256=each.file_sha256,
            made_by=each.made_by,
            made_at=each.made_at,
            rows=each.rows,
            compared=each.compared,
            agreed=each.agreed,
            open_differences=count.get(each.id, 0),
            totals=tuple(_total(currency, said) for currency, said in each.totals.items()),
        )
        for each in rows
    ]


def _total(currency: str, said: Mapping[str, Any]) -> CurrencyTotal:
    reasons = {Reason(name): Money(int(minor), currency) for name, minor in said["reasons"].items()}
    return CurrencyTotal(Money(int(said["ledger"]), currency), Money(int(said["other"]), currency), reasons)


def _differences() -> Select[*tuple[Any, ...]]:
    row, override = ReconciliationDifference, ReconciliationOverride
    return (
        select(row, override, FreeText.body)
        .outerjoin(override, override.difference_id == row.id)
        .outerjoin(FreeText, FreeText.id == override.reason_id)
    )


def _names(session: Session, accounts: Sequence[int]) -> dict[int, str]:
    """What the accounts are called now."""
    version = AccountVersion
    rows = session.execute(
        select(version.account_id, version.name)
        .where(version.account_id.in_(accounts), version.superseded_change_id.is_(None))
        .order_by(version.valid_from)
    )
    return dict(rows.all())


@dataclass(frozen=True, slots=True)
class _Records:
    """What the records that differences name are called, all looked up at once."""

    accounts: Mapping[int, str]
    lines: Mapping[int, DealRecord]
    deals: Mapping[int, DealRecord]
    crm_runs: frozenset[int]


def _shown(session: Session, found: Sequence[Any]) -> list[Difference]:
    """Of rows of `_differences`."""
    rows = [row for row, _, _ in found]
    runs = {row.reconciliation_id for row in rows}
    crm = session.scalars(select(Reconciliation.id).where(Reconciliation.id.in_(runs), Reconciliation.kind == "crm"))
    crm_runs = frozenset(crm.all())
    parts = [part for row in rows for part in row.parts]
    deals = {key for row in rows if row.reconciliation_id in crm_runs for part in row.parts for key in part["theirs"]}
    records = _Records(
        accounts=_names(session, [row.account_id for row in rows if row.account_id is not None]),
        lines=_line_records(session, {key for part in parts for key in part["lines"]}),
        deals=_deal_records(session, deals),
        crm_runs=crm_runs,
    )
    return [_difference(each, records) for each in found]


def _line_records(session: Session, ids: Collection[int]) -> dict[int, DealRecord]:
    statement = (
        select(ContractLine.id, Deal.system, Deal.external_id, ContractLine.line_key)
        .join(Contract, Contract.id == ContractLine.contract_id)
        .join(Deal, Deal.id == Contract.deal_id)
    )
    return {row.id: DealRecord(*row) for row in _looked_up(session, statement, column=ContractLine.id, ids=ids)}


def _deal_records(session: Session, ids: Collection[int]) -> dict[int, DealRecord]:
    statement = select(Deal.id, Deal.system, Deal.external_id)
    return {row.id: DealRecord(*row) for row in _looked_up(session, statement, column=Deal.id, ids=ids)}


def _looked_up(
    session: Session, statement: Select[*tuple[Any, ...]], *, column: InstrumentedAttribute[int], ids: Collection[int]
) -> Iterator[Any]:
    ordered = sorted(ids)
    for start in range(0, len(ordered), BATCH):
        yield from session.execute(statement.where(column.in_(ordered[start : start + BATCH])))


def _difference(found: Any, records: _Records) -> Difference:
    row, override, reason = found
    is_crm = row.reconciliation_id in records.crm_runs
    return Difference(
        id=row.id,
        run_id=row.reconciliation_id,
        account_id=row.account_id,
        account_name=records.accounts.get(row.account_id or 0),
        external_id=row.external_id,
        ledger=Money(row.ledger_minor, row.currency),
        other=Money(row.other_minor, row.currency),
        unexplained=Money(row.unexplained_minor, row.currency),
        parts=tuple(_part(part, records, currency=row.currency, is_crm=is_crm) for part in row.parts),
        override=None if override is None else Override(reason or "", override.made_by, override.made_at),
    )


def _part(said: Mapping[str, Any], records: _Records, *, currency: str, is_crm: bool) -> ShownPart:
    return ShownPart(
        reason=Reason(said["reason"]),
        check=said["check"],
        words=WORDS.get(said["check"], said["check"]),
        amount=Money(int(said["minor"]), currency),
        rows=[] if is_crm else said["theirs"],
        deals=[records.deals[key] for key in said["theirs"]] if is_crm else [],
        theirs_count=said["theirs_count"],
        lines=[records.lines[key] for key in said["lines"]],
        lines_count=said["lines_count"],
    )

"""What the movements of recurring revenue follow from: lines, notices, pauses, merges and the grace, as known."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.contracts import ChurnNotice, Grace
from app.domain.movements import LedgerLine, Movement, Pause, find_movements
from app.models.accounts import AccountVersion
from app.models.contracts import ChurnNotice as NoticeRow
from app.models.contracts import ContractLineVersion
from app.models.ledger import ContractPause
from app.models.settings import SettingVersion
from app.models.versions import Change
from app.queries.contract_lines import agreed_lines, load_line_rows, load_notices, renewed_lines
from app.queries.ids import BATCH
from app.queries.known import in_force, was_recorded
from app.queries.settings import CompanySettings, load_company_settings

FILLED = "movements of what was known"
"""The source of the change that stored the movements of lines recorded before movements were stored."""


@dataclass(frozen=True, slots=True)
class Merge:
    """`account_id` lives on in `kept_id` from the company's day of the change on."""

    account_id: int
    kept_id: int
    change_id: int
    merged_on: date


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for every account: as known at `known_at`, None: now, with what this change has written."""

    known_at: datetime | None
    grace: Grace
    merges: Mapping[int, Merge]  # by the account that is no more

    def survivor(self, account_id: int) -> int:
        """The account that this one lives on in: itself, if it was not merged."""
        seen = {account_id}
        while (merge := self.merges.get(account_id)) is not None and merge.kept_id not in seen:
            account_id = merge.kept_id
            seen.add(account_id)
        return account_id

    def families(self, account_ids: Iterable[int]) -> dict[int, list[int]]:
        """By survivor, all accounts that live on in it and it itself, of those that any of these belongs to."""
        families = {survivor: [survivor] for survivor in sorted({self.survivor(each) for each in account_ids})}
        for merged in self.merges:
            survivor = self.survivor(merged)
            if survivor in families and merged != survivor:
                families[survivor].append(merged)
        return families


def load_rules(session: Session, known_at: datetime | None) -> Rules:
    return Rules(known_at, load_grace(session, known_at), _load_merges(session, known_at))


def load_grace(session: Session, known_at: datetime | None) -> Grace:
    """The setting in force on the day of the lapse."""
    version = SettingVersion
    rows = session.execute(
        select(version.valid_from, version.valid_to, version.value).where(
            in_force(version, known_at), version.name == "grace_days"
        )
    )
    spans = [(first, until or date.max, int(days)) for first, until, days in rows]
    usual = CompanySettings().grace_days
    return lambda day: next((days for first, until, days in spans if first <= day < until), usual)


def _load_merges(session: Session, known_at: datetime | None) -> dict[int, Merge]:
    version = AccountVersion
    statement = (
        select(version.account_id, version.merged_into_id, version.change_id, Change.recorded_at)
        .join(Change, Change.id == version.change_id)
        .where(version.merged_into_id.is_not(None), was_recorded(version, known_at))
        .order_by(version.id)
    )
    rows = session.execute(statement).all()
    if not rows:
        return {}
    zone = ZoneInfo(load_company_settings(session, known_at=known_at).reporting_timezone)
    merges: dict[int, Merge] = {}
    for account_id, kept_id, change_id, recorded_at in rows:
        earlier = merges.get(account_id)
        if kept_id is not None and (earlier is None or earlier.kept_id != kept_id):
            # A change that is not stamped yet has no day; who works out movements stamps it first.
            merged_on = recorded_at.astimezone(zone).date() if recorded_at else date.max
            merges[account_id] = Merge(account_id, kept_id, change_id, merged_on)
    return merges


def find_all_movements(session: Session, rules: Rules, *, families: Mapping[int, Sequence[int]]) -> Iterator[Movement]:
    """The movements of these families of accounts, worked out from what is known of their lines."""
    members = sorted(each for family in families.values() for each in family)
    facts = [_Facts.load(session, rules, ids=members[start : start + BATCH]) for start in range(0, len(members), BATCH)]
    for family in families.values():
        lines = [line for part in facts for member in family for line in part.lines.get(member, ())]
        if lines:
            notices = [notice for part in facts for member in family for notice in part.notices.get(member, ())]
            pauses = [pause for part in facts for member in family for pause in part.pauses.get(member, ())]
            yield from find_movements(lines, notices, pauses=pauses, grace_days=rules.grace)


@dataclass(frozen=True, slots=True)
class _Facts:
    """Each by account."""

    lines: Mapping[int, Sequence[LedgerLine]]
    notices: Mapping[int, Sequence[ChurnNotice]]
    pauses: Mapping[int, Sequence[Pause]]

    @classmethod
    def load(cls, session: Session, rules: Rules, *, ids: Sequence[int]) -> "_Facts":
        known_at = rules.known_at
        rows = load_line_rows(session, known_at, is_wanted=ContractLineVersion.account_id.in_(ids), with_discounts=True)
        notices = load_notices(session, known_at, is_wanted=NoticeRow.account_id.in_(ids))
        return cls(_ledger_lines(session, rows, rules=rules), notices, _load_pauses(session, known_at, ids=ids))


def _ledger_lines(session: Session, rows: Sequence[Any], *, rules: Rules) -> dict[int, list[LedgerLine]]:
    by_account: dict[int, list[Any]] = defaultdict(list)
    for row in rows:
        by_account[row.account_id].append(row)
    owners = _load_earlier_owners(session, by_account, rules=rules)
    return {
        account_id: [
            LedgerLine(
                line,
                account_id,
                row.product_id,
                row.currency,
                row.quantity,
                row.closed_on or row.starts_on,
                owners.get(row.contract_line_id, ()) if owners else (),
            )
            for row, line in zip(own, agreed_lines(own, renewed_lines(own)), strict=True)
        ]
        for account_id, own in by_account.items()
    }


def _load_pauses(session: Session, known_at: datetime | None, *, ids: Sequence[int]) -> dict[int, list[Pause]]:
    row = ContractPause
    version = ContractLineVersion  # a line whose deal is moved to another account takes its pauses with it
    statement = (
        select(version.account_id, row.id, row.contract_line_id, row.pauses_on, row.resumes_on)
        .join(version, version.contract_line_id == row.contract_line_id)
        .where(in_force(row, known_at), in_force(version, known_at), version.account_id.in_(ids))
    )
    found: dict[int, list[Pause]] = defaultdict(list)
    for account_id, key, line, pauses_on, resumes_on in session.execute(statement):
        found[account_id].append(Pause(key, line, pauses_on, resumes_on))
    return found


def load_pauses_of_lines(session: Session, known_at: datetime) -> dict[int, list[Pause]]:
    """All pauses, by line."""
    row = ContractPause
    statement = select(row.id, row.contract_line_id, row.pauses_on, row.resumes_on).where(in_force(row, known_at))
    found: dict[int, list[Pause]] = defaultdict(list)
    for key, line, pauses_on, resumes_on in session.execute(statement):
        found[line].append(Pause(key, line, pauses_on, resumes_on))
    return found


def _load_earlier_owners(
    session: Session, by_account: Mapping[int, Sequence[Any]], *, rules: Rules
) -> dict[int, tuple[tuple[int, date], ...]]:
    """By line that came with a merge: whose it was before, and until when.

    A line that was recorded anew under another account for any other reason was always that one's.
    """
    survivors = {merge.kept_id for merge in rules.merges.values()}
    moved = [row.contract_line_id for account_id in survivors & set(by_account) for row in by_account[account_id]]
    history: dict[int, list[tuple[int, int]]] = defaultdict(list)
    version = ContractLineVersion
    for start in range(0, len(moved), BATCH):
        statement = (
            select(version.contract_line_id, version.account_id, version.change_id)
            .where(
                version.contract_line_id.in_(moved[start : start + BATCH]),
                was_recorded(version, rules.known_at),
            )
            .order_by(version.contract_line_id, version.id)
        )
        for line_id, account_id, change_id in session.execute(statement):
            history[line_id].append((account_id, change_id))
    return {line_id: owners for line_id, own in history.items() if (owners := _earlier_owners(own, rules))}


def _earlier_owners(history: Sequence[tuple[int, int]], rules: Rules) -> tuple[tuple[int, date], ...]:
    """From (account, change) of each version in turn. Two merges on one day leave the first alone to be told."""
    found: list[tuple[int, date]] = []
    for (before, _), (after, change_id) in zip(history[-2::-1], history[:0:-1], strict=True):
        if before == after:
            continue
        merge = rules.merges.get(before)
        if merge is None or (merge.kept_id, merge.change_id) != (after, change_id):
            break
        if found and found[-1][1] <= merge.merged_on:
            found.pop()
        found.append((before, merge.merged_on))
    return tuple(reversed(found))

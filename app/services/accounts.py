"""Accounts as a source describes them: identity once, attributes over time."""

from collections.abc import Mapping, Sequence

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app.models.accounts import Account, AccountVersion, Assignment, CustomField, ExternalId
from app.models.versions import Change
from app.queries.ids import find_accounts, find_parents
from app.services.history import ALWAYS, record_history
from app.services.persons import ensure_staff
from app.services.sources import Recorded, Refusal, Source
from app.services.versions import Outcome, record_versions
from integrations.files.rows import AccountRow

ROLES = ("csm", "account_owner", "inside_sales")


def record_accounts(session: Session, change: Change, *, source: Source, rows: Sequence[AccountRow]) -> Recorded:
    """Record accounts; ids that the source has not used before open new ones. Ids must be unique in `rows`.

    A parent that is not known (yet) is left out; `link_parents` adds it once it is. Refused: an
    account that would lie above itself.
    """
    refusals = _refuse_circles(session, source, pairs=[(row.id, row.parent) for row in rows])
    refused = {refusal.position for refusal in refusals}
    rows = [row for position, row in enumerate(rows) if position not in refused]
    known = find_accounts(session, source.system, kind=source.kind, ids=[row.id for row in rows])
    known |= _open_accounts(session, change, source=source, rows=[row for row in rows if row.id not in known])
    parents = find_accounts(session, source.system, kind=source.kind, ids=[row.parent for row in rows if row.parent])
    versions = []
    for row in rows:
        version = _attributes(row, account_id=known[row.id], source=source)
        if row.parent in parents:
            version["parent_id"] = parents[row.parent]
        versions.append(version)
    outcome = Outcome()
    # A row that names no parent says nothing of it: what is known stays.
    for has_parent in (True, False):
        chosen = [version for version in versions if ("parent_id" in version) is has_parent]
        outcome += record_history(session, change, table=AccountVersion, key=["account_id"], rows=chosen)
    along = _record_assignments(session, change, source=source, rows=rows, known=known)
    return Recorded(outcome, refusals, along)


def _record_assignments(
    session: Session, change: Change, *, source: Source, rows: Sequence[AccountRow], known: Mapping[str, int]
) -> Outcome:
    """Who looks after the accounts, for the roles that the rows name."""
    named = [(row, role, getattr(row, role)) for row in rows for role in ROLES if getattr(row, role)]
    staff = ensure_staff(session, change, source=source, ids={person for _, _, person in named})
    versions = [
        {
            "account_id": known[row.id],
            "role": role,
            "person_id": staff[person],
            "valid_from": row.valid_from or source.today,
            "valid_to": None,
            "available_at": source.available_at(row.valid_from or ALWAYS, row.available_on),
        }
        for row, role, person in named
    ]
    return record_history(session, change, table=Assignment, key=["account_id", "role"], rows=versions)


def _open_accounts(session: Session, change: Change, *, source: Source, rows: Sequence[AccountRow]) -> dict[str, int]:
    if not rows:
        return {}
    opened = session.scalars(
        insert(Account).returning(Account.id, sort_by_parameter_order=True), [{"change_id": change.id} for _ in rows]
    ).all()
    ids = {row.id: account_id for row, account_id in zip(rows, opened, strict=True)}
    names = [
        {
            "system": source.system,
            "kind": source.kind,
            "external_id": row.id,
            "account_id": ids[row.id],
            "available_at": source.available_at(row.valid_from or ALWAYS, row.available_on),
        }
        for row in rows
    ]
    record_versions(session, change, table=ExternalId, key=["system", "kind", "external_id"], rows=names)
    return ids


def _attributes(row: AccountRow, *, account_id: int, source: Source) -> dict[str, object]:
    return {
        "account_id": account_id,
        "valid_from": row.valid_from or source.today,
        "valid_to": None,
        "name": row.name,
        "segment": row.segment,
        "industry": row.industry,
        "country": row.country,
        "employees": row.employees,
        "channel": row.channel,
        "campaign": row.campaign,
        "custom": row.custom,
        "available_at": source.available_at(row.valid_from or ALWAYS, row.available_on),
    }


def link_parents(session: Session, change: Change, *, source: Source, pairs: Sequence[tuple[str, str]]) -> Recorded:
    """Record (account, parent) pairs of ids. Refused: a parent that is not known, and a circle."""
    known = find_accounts(session, source.system, kind=source.kind, ids=[name for pair in pairs for name in pair])
    refusals = list(_refuse_circles(session, source, pairs=pairs))
    refused = {refusal.position for refusal in refusals}
    outcome = Outcome()
    for position, (account, parent) in enumerate(pairs):
        if parent not in known:
            refusals.append(Refusal(position, "parent", f"the parent {parent!r} is not an account"))
        elif account in known and position not in refused:
            outcome += _link(session, change, account_id=known[account], parent_id=known[parent])
    return Recorded(outcome, tuple(refusals))


def _refuse_circles(
    session: Session, source: Source, *, pairs: Sequence[tuple[str, str | None]]
) -> tuple[Refusal, ...]:
    """The pairs that would put an account above itself, together with the parents recorded before."""
    above = {account: parent for account, parent in pairs if parent}
    missing = set(above.values()) - set(above)
    while missing:
        found = find_parents(session, source.system, kind=source.kind, ids=missing)
        above |= found
        missing = set(found.values()) - set(above)
    return tuple(
        Refusal(position, "parent", f"{account!r} would lie above itself through its parent {parent!r}")
        for position, (account, parent) in enumerate(pairs)
        if parent and _returns(account, above)
    )


def _returns(account: str, above: Mapping[str, str]) -> bool:
    passed: set[str] = set()
    name = above.get(account)
    while name is not None and name not in passed:
        if name == account:
            return True
        passed.add(name)
        name = above.get(name)
    return False


def _link(session: Session, change: Change, *, account_id: int, parent_id: int) -> Outcome:
    versions = session.execute(
        select(AccountVersion.account_id, AccountVersion.valid_from, AccountVersion.available_at).where(
            AccountVersion.account_id == account_id, AccountVersion.superseded_change_id.is_(None)
        )
    )
    rows = [{**row._asdict(), "parent_id": parent_id} for row in versions]
    return record_versions(session, change, table=AccountVersion, key=["account_id", "valid_from"], rows=rows)


def declare_custom_fields(session: Session, change: Change, *, source: Source, types: Mapping[str, str]) -> Recorded:
    """Declare the company's own fields of accounts, name -> text, number, date or boolean."""
    rows = [
        {
            "name": name,
            "type": type_,
            "valid_from": ALWAYS,
            "is_filterable": True,
            "available_at": source.available_at(ALWAYS),
        }
        for name, type_ in types.items()
    ]
    return Recorded(record_versions(session, change, table=CustomField, key=["name"], rows=rows))

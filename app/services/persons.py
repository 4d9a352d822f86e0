"""Contacts and staff, and what was written: the tables that erasing a person touches."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from app.models.contracts import ChurnNotice
from app.models.persons import FreeText, Person
from app.models.success import AccountFact
from app.models.versions import Change
from app.queries.ids import BATCH, find_accounts, find_persons
from app.services.sources import Recorded, Refusal, Source
from app.services.versions import Outcome
from integrations.files.rows import ContactRow, StaffRow

COLUMNS = ("account_id", "name", "email", "phone", "role", "departed_on")


def record_persons(
    session: Session, change: Change, *, source: Source, rows: Sequence[ContactRow] | Sequence[StaffRow]
) -> Recorded:
    """Record contacts of accounts, or staff, all of one sort. Ids must be unique in `rows`.

    A contact of an account that is not known is refused. What is said of a person is replaced, not
    kept in versions: there is then one place to erase.
    """
    accounts = find_accounts(
        session, source.system, kind=source.kind, ids=[row.account for row in rows if isinstance(row, ContactRow)]
    )
    refusals, wanted = [], []
    everyone: Sequence[ContactRow | StaffRow] = rows
    for position, row in enumerate(everyone):
        if isinstance(row, ContactRow) and row.account not in accounts:
            refusals.append(Refusal(position, "account", unknown_account(row.account)))
        else:
            wanted.append(_person(row, accounts=accounts, source=source))
    return Recorded(_upsert(session, change, source=source, wanted=wanted), tuple(refusals))


def unknown_account(name: str) -> str:
    return f"there is no account {name!r}; import the accounts first, or mend the id"


def _person(row: ContactRow | StaffRow, *, accounts: Mapping[str, int], source: Source) -> dict[str, object]:
    return {
        "kind": "contact" if isinstance(row, ContactRow) else "staff",
        "system": source.system,
        "external_id": row.id,
        "account_id": accounts[row.account] if isinstance(row, ContactRow) else None,
        "name": row.name,
        "email": row.email,
        "phone": row.phone,
        "role": row.role,
        "departed_on": row.departed_on,
    }


def _upsert(session: Session, change: Change, *, source: Source, wanted: Sequence[dict[str, object]]) -> Outcome:
    outcome = Outcome()
    for start in range(0, len(wanted), BATCH):
        batch = wanted[start : start + BATCH]
        known = {
            (row.kind, row.external_id): row
            for row in session.execute(
                select(Person.id, Person.kind, Person.external_id, *(getattr(Person, name) for name in COLUMNS)).where(
                    Person.system == source.system, Person.external_id.in_([row["external_id"] for row in batch])
                )
            )
        }
        added = [row for row in batch if (row["kind"], row["external_id"]) not in known]
        if added:
            session.execute(insert(Person), [{**row, "change_id": change.id} for row in added])
        changed = 0
        for row in batch:
            old = known.get((row["kind"], row["external_id"]))
            if old is not None and any(getattr(old, name) != row[name] for name in COLUMNS):
                session.execute(update(Person).where(Person.id == old.id).values({name: row[name] for name in COLUMNS}))
                changed += 1
        outcome += Outcome(len(added), changed, len(batch) - len(added) - changed)
    return outcome


def ensure_staff(session: Session, change: Change, *, source: Source, ids: Collection[str]) -> dict[str, int]:
    """Our people of these ids; those not described yet are known by their id alone."""
    known = find_persons(session, source.system, kind="staff", ids=ids)
    missing = [StaffRow(name, name) for name in sorted(set(ids) - set(known))]
    if not missing:
        return known
    record_persons(session, change, source=source, rows=missing)
    return find_persons(session, source.system, kind="staff", ids=ids)


def ensure_texts(
    session: Session,
    change: Change,
    *,
    table: type[AccountFact] | type[ChurnNotice],
    source: Source,
    bodies: Mapping[str, str],
) -> dict[str, int]:
    """Where the text of each fact (by the fact's id) is kept; one that is kept already is not kept again."""
    kept: dict[str, tuple[int, str]] = {}
    names = sorted(bodies)
    for start in range(0, len(names), BATCH):
        found = session.execute(
            select(table.external_id, FreeText.id, FreeText.body)
            .join(FreeText, FreeText.id == table.text_id)
            .where(
                table.system == source.system,
                table.external_id.in_(names[start : start + BATCH]),
                table.superseded_change_id.is_(None),
            )
        )
        kept |= {name: (text_id, body) for name, text_id, body in found}
    same = {name: kept[name][0] for name in names if name in kept and kept[name][1] == bodies[name]}
    new = [name for name in names if name not in same]
    if not new:
        return same
    written = session.scalars(
        insert(FreeText).returning(FreeText.id, sort_by_parameter_order=True),
        [{"body": bodies[name], "change_id": change.id} for name in new],
    ).all()
    return {**same, **dict(zip(new, written, strict=True))}

"""What `identify` calls say of people: kept in `persons`, which erasing a person empties, and nowhere else."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from app.models.persons import Person
from app.models.versions import Change
from app.queries.events import find_event_accounts, find_memberships
from app.queries.ids import BATCH
from app.schemas.events import Traits
from app.services.changes import recording
from app.services.event_reading import Delivery, Identity

LENGTHS = {"name": 300, "email": 320, "phone": 50}
LONGEST_ID = 200
EVENTS = "events"  # the source of the changes that are made here


def record_identities(session: Session, deliveries: Iterable[Delivery]) -> int:
    """Keep the newest name, address and telephone number of each person of a source; how many were new or changed.

    A person is a contact of the account of their last group call, if that account is known by then. What a call
    leaves unsaid stays, and so does whoever came by an import: a key for events lies open in every browser.
    Nothing is recorded, and no change made, where nothing is new.
    """
    newest = {
        (delivery.source, identity.user_id): (delivery.source_id, identity)
        for delivery in deliveries
        for identity in delivery.identities
        if len(identity.user_id) <= LONGEST_ID and _said(identity.traits)
    }
    if not newest:
        return 0
    accounts = _accounts(session, newest)
    rows = {
        key: _said(identity.traits) | ({"account_id": accounts[key]} if key in accounts else {})
        for key, (_, identity) in newest.items()
    }
    known = _known(session, rows)
    added = {key: row for key, row in rows.items() if key not in known}
    changed = {
        key: row
        for key, row in rows.items()
        if key in known and known[key]["is_ours"] and any(known[key][name] != value for name, value in row.items())
    }
    if added or changed:
        _write(session, added=added, changed={known[key]["id"]: row for key, row in changed.items()})
    return len(added) + len(changed)


def _write(
    session: Session, *, added: Mapping[tuple[str, str], dict[str, Any]], changed: Mapping[int, dict[str, Any]]
) -> None:
    with recording(session, EVENTS) as change:
        empty: dict[str, Any] = {"account_id": None, "email": None, "phone": None}
        rows = [
            empty
            | {"kind": "contact", "system": system, "external_id": user_id, "change_id": change.id, "name": user_id}
            | row
            for (system, user_id), row in sorted(added.items())
        ]
        if rows:
            session.execute(insert(Person), rows)
        for person_id, row in sorted(changed.items()):
            session.execute(update(Person).where(Person.id == person_id).values(**row))


def _said(traits: Traits) -> dict[str, Any]:
    parts = [part for part in (traits.first_name, traits.last_name) if isinstance(part, str)]
    given = {"name": traits.name or " ".join(parts), "email": traits.email, "phone": traits.phone}
    return {
        name: value.strip()
        for name, value in given.items()
        if isinstance(value, str) and value.strip() and len(value) <= LENGTHS[name]
    }


def _accounts(session: Session, newest: Mapping[tuple[str, str], tuple[int, Identity]]) -> dict[tuple[str, str], int]:
    """Our account of each person, by the source's id of it."""
    people = {(source_id, identity.person): key for key, (source_id, identity) in newest.items()}
    refs = {people[key]: ref for key, ref in find_memberships(session, people).items()}
    found: dict[tuple[str, str], int] = {}
    for source in {source for source, _ in refs}:
        wanted = sorted({ref for (system, _), ref in refs.items() if system == source})
        found |= {(source, ref): account for ref, account in find_event_accounts(session, source, refs=wanted).items()}
    return {key: found[key[0], ref] for key, ref in refs.items() if (key[0], ref) in found}


def _known(session: Session, rows: Mapping[tuple[str, str], Any]) -> dict[tuple[str, str], dict[str, Any]]:
    columns = ("id", "name", "email", "phone", "account_id")
    ids = sorted({user_id for _, user_id in rows})
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for start in range(0, len(ids), BATCH):
        statement = (
            select(Person.system, Person.external_id, *(getattr(Person, name) for name in columns), Change.source)
            .join(Change, Change.id == Person.change_id)
            .where(
                Person.kind == "contact",
                Person.system.in_({system for system, _ in rows}),
                Person.external_id.in_(ids[start : start + BATCH]),
            )
        )
        for system, user_id, *values, source in session.execute(statement):
            found[system, user_id] = dict(zip(columns, values, strict=True)) | {"is_ours": source == EVENTS}
    return found

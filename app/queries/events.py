"""What is known of the sources of usage events, and of the people they name by digest."""

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models.accounts import ExternalId
from app.models.events import EventSource, Membership
from app.queries.ids import BATCH


def find_sources(session: Session, names: Collection[str]) -> dict[str, int]:
    """The ids of the sources of these names, as far as there are any."""
    rows = session.execute(select(EventSource.name, EventSource.id).where(EventSource.name.in_(names)))
    return {name: number for name, number in rows}  # noqa: C416  rows are no tuples to the checker


def find_memberships(session: Session, people: Collection[tuple[int, bytes]]) -> dict[tuple[int, bytes], str]:
    """The account of each (source, person) that a group call named, as the source calls it."""
    table = Membership
    wanted = set(people)
    keys = sorted({key for _, key in wanted})
    found: dict[tuple[int, bytes], str] = {}
    for start in range(0, len(keys), BATCH):
        statement = select(table.source_id, table.person_key, table.account_ref).where(
            table.source_id.in_({source for source, _ in wanted}), table.person_key.in_(keys[start : start + BATCH])
        )
        found |= {(source, bytes(key)): account for source, key, account in session.execute(statement)}
    return {person: account for person, account in found.items() if person in wanted}


def find_event_accounts(session: Session, source: str, *, refs: Collection[str]) -> dict[str, int]:
    """Our accounts by the source's ids of them, whatever kind of id it is; one of the product counts most."""
    table = ExternalId
    wanted = sorted(set(refs))
    found: dict[str, int] = {}
    for start in range(0, len(wanted), BATCH):
        statement = (
            select(table.external_id, table.account_id)
            .where(
                table.system == source,
                table.external_id.in_(wanted[start : start + BATCH]),
                table.superseded_change_id.is_(None),
            )
            .order_by(table.kind == "product", table.kind.desc())
        )
        found |= {ref: account for ref, account in session.execute(statement)}  # noqa: C416  as above
    return found

"""Whose charges are whose: the ids of an export, and those that only look like an account's."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import ColumnElement, Select, and_, select
from sqlalchemy.orm import Session

from app.domain.texts import plain
from app.models.accounts import AccountVersion, ExternalId
from app.queries.facts import Known
from app.queries.ids import BATCH
from app.queries.known import in_force, valid_on
from integrations.files.charges import ChargeBook

MOST_GUESSED = 50_000  # whom nobody knows: more are a file of other ids, and no slip of the pen
SHORTEST = 3  # letters and digits that two names must have in common
READ_AT_ONCE = 5_000

Found = dict[str, int]


@dataclass(frozen=True, slots=True)
class IdsOf:
    """Whose ids an export uses: a system, and for what (crm, billing, product, support)."""

    system: str
    kind: str

    @property
    def is_own(self) -> ColumnElement[bool]:
        return and_(ExternalId.system == self.system, ExternalId.kind == self.kind)


def name_customers(session: Session, book: ChargeBook, *, known: Known, ids: IdsOf) -> None:
    """Assign the customers of the book to accounts, as known then: equal ids match, and all else is a guess.

    A guess is an id that is the account's in another system; else one that is its own but for case, spaces and signs;
    else a customer's name that is the account's, so written. What fits two accounts fits none.
    """
    for page in book.customers(BATCH):
        book.assign(_equal_ids(session, known, names=page, where=ids.is_own).items())
    unknown = list(islice((name for page in book.strangers(BATCH) for name in page), MOST_GUESSED))
    found: Found = {}
    called: dict[str, str] = {}
    for start in range(0, len(unknown), BATCH):
        batch = unknown[start : start + BATCH]
        found |= _equal_ids(session, known, names=batch, where=~ids.is_own)
        called |= book.names_of(batch)
    found = (
        _spelt(session, _names(known), as_called=called)
        | _spelt(session, _ids(known, ids), as_called={name: name for name in unknown})
        | found
    )
    book.assign(found.items(), is_guess=True)


def _equal_ids(session: Session, known: Known, *, names: Sequence[str], where: ColumnElement[bool]) -> Found:
    rows = session.execute(
        select(ExternalId.external_id, ExternalId.account_id).where(
            where, ExternalId.external_id.in_(names), in_force(ExternalId, known.known_at)
        )
    )
    return _only((name, account) for name, account in rows)


def _ids(known: Known, ids: IdsOf) -> Select[str, int]:
    return select(ExternalId.external_id, ExternalId.account_id).where(ids.is_own, in_force(ExternalId, known.known_at))


def _names(known: Known) -> Select[str, int]:
    version = AccountVersion
    valid = in_force(version, known.known_at), valid_on(version, known.as_of), version.merged_into_id.is_(None)
    return select(version.name, version.account_id).where(*valid)


def _spelt(session: Session, ours: Select[str, int], *, as_called: Mapping[str, str]) -> Found:
    """The customers that are called as one of ours is, but for case, spaces and signs."""
    wanted: dict[str, list[str]] = defaultdict(list)
    for customer, name in as_called.items():
        if len(plain(name)) >= SHORTEST:
            wanted[plain(name)].append(customer)
    if not wanted:
        return {}
    rows = session.execute(ours.execution_options(yield_per=READ_AT_ONCE))
    return _only((customer, account) for name, account in rows for customer in wanted.get(plain(name), ()))


def _only(pairs: Iterable[tuple[str, int]]) -> Found:
    """Those that fit one account and no other."""
    accounts: dict[str, set[int]] = defaultdict(set)
    for name, account in pairs:
        accounts[name].add(account)
    return {name: min(fitting) for name, fitting in accounts.items() if len(fitting) == 1}

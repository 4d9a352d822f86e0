"""Deletions that no window shows: the CRM's list of ids against ours, with a brake."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from app.db import reading
from app.domain.id_set import IdSet
from app.errors import NotFound
from app.queries.crm import (
    ConnectionState,
    count_deals,
    find_present_deals,
    list_deal_ids,
    list_progress,
    list_refused,
    list_reviews,
    list_withdrawn_ids,
)
from app.services.changes import recording
from app.services.crm import Stream, close_review, forget_cursors, forget_refusals, open_review
from app.services.merges import merge_deals, withdraw_deals
from integrations.crm.client import CrmClient, CrmError, CrmNonsense, Fate, Found, Noun
from jobs.work import Work

MOST_GONE = 50
MOST_SHARE, MOST_OF_SHARE = 0.05, 10
PART = 500


class TooMuchGone(CrmError):
    """So many deals are gone that a person has to say whether it is so."""


@dataclass(frozen=True, slots=True)
class _Compared:
    """How many deals are known and listed; ours that are not listed; listed that we never had, or withdrew."""

    known: int
    listed: int
    missing: Sequence[str]
    unknown: frozenset[str]
    is_restored: bool


def is_too_much(gone: int, *, known: int) -> bool:
    """More than 50, or more than 5 % and more than 10."""
    return gone > MOST_GONE or (gone > MOST_OF_SHARE and gone > MOST_SHARE * known)


def reconcile(work: Work, connection: ConnectionState, *, client: CrmClient) -> int:
    """Withdraw the deals that the CRM lists no longer and says are gone or merged; how many.

    Each is asked for by its id first. Where one is listed that no window would show, all deals are read anew.
    CrmNonsense where it lists none at all; TooMuchGone, and a review is opened, where more than the brake allows would
    be withdrawn.
    """
    found = _compare(work, connection, client=client)
    if found.known and not found.listed:
        raise CrmNonsense(
            f"{connection.name} lists no deal at all, where {found.known:,} are known; nothing was deleted."
        )
    fates = dict(_ask(client, found.missing))
    gone = sorted(id_ for id_, fate in fates.items() if fate.fate is Fate.GONE)
    into = {old: fate.into for old, fate in fates.items() if fate.fate is Fate.MERGED and fate.into}
    with reading(work.engine) as session:
        here = find_present_deals(session, connection.name, ids=set(into.values()))
    merged = sorted((old, new) for old, new in into.items() if new in here)
    stream = Stream(connection.id, Noun.DEAL)
    if is_too_much(len(gone), known=found.known):
        with work.writing() as session:
            open_review(session, stream, gone=gone, known=found.known, at=work.clock())
        raise TooMuchGone(
            f"{len(gone):,} of {found.known:,} deals are gone from {connection.name}; nothing was deleted. "
            f"If it is so, say so: `tenure crm confirm {connection.name}`."
        )
    _withdraw(work, connection, gone=gone, merged=merged)
    if found.is_restored or _is_missed(work, connection, client=client, unknown=found.unknown):
        with work.writing() as session:
            forget_cursors(session, connection.id, nouns=[Noun.DEAL])
    return len(gone) + len(merged)


def _compare(work: Work, connection: ConnectionState, *, client: CrmClient) -> _Compared:
    """Both lists of ids are gone through part by part, ours twice: neither is ever held whole."""
    name = connection.name
    with reading(work.engine) as session:
        ours = IdSet.of(list_deal_ids(session, name))
        withdrawn = IdSet.of(list_withdrawn_ids(session, name))
        known = count_deals(session, name)
    unknown: set[str] = set()

    def listed() -> Iterator[Sequence[str]]:
        for part in client.list_ids(Noun.DEAL):
            unknown.update(withdrawn.pick_others(ours.pick_others(part)))
            yield part

    there = IdSet.of(listed())
    with reading(work.engine) as session:
        missing = [id_ for part in list_deal_ids(session, name) for id_ in there.pick_others(part)]
        is_restored = any(there.has_any(part) for part in list_withdrawn_ids(session, name))
    return _Compared(known, len(there), sorted(missing), frozenset(unknown), is_restored)


def _is_missed(work: Work, connection: ConnectionState, *, client: CrmClient, unknown: frozenset[str]) -> bool:
    """Whether one of these was modified before the last window began: restored, or shown to us, without a word.

    What was refused is known, and what changed since is still to be read.
    """
    with reading(work.engine) as session:
        progress = list_progress(session, connection.id).get(Noun.DEAL)
        refused = {each.external_id for each in list_refused(session, connection.id) if each.noun == Noun.DEAL}
    if progress is None or progress.synced_until is None:
        return False
    since = progress.synced_until - timedelta(seconds=client.overlap_seconds)
    return any(
        found.modified_at is not None and found.modified_at < since
        for _, found in _ask(client, sorted(unknown - refused))
    )


def confirm_gone(work: Work, connection: ConnectionState, *, client: CrmClient, actor: str) -> int:
    """Withdraw what a person confirmed, as far as the CRM still says that it is gone; how many.

    Raises NotFound where nobody was asked.
    """
    with reading(work.engine) as session:
        reviews = list_reviews(session, connection.id)
        asked = {id_ for review in reviews for id_ in review.gone}
        ours = find_present_deals(session, connection.name, ids=asked)
    if not reviews:
        raise NotFound(f"Nothing of {connection.name} waits to be confirmed.")
    fates = dict(_ask(client, sorted(ours)))
    gone = sorted(id_ for id_, found in fates.items() if found.fate is Fate.GONE)
    _withdraw(work, connection, gone=gone, merged=[], confirmed_by=actor)
    return len(gone)


def _ask(client: CrmClient, ids: Sequence[str]) -> Iterator[tuple[str, Found]]:
    """What became of each. What was merged into one that is gone is gone."""
    for start in range(0, len(ids), PART):
        found: Mapping[str, Found] = client.find(Noun.DEAL, ids[start : start + PART])
        heirs = sorted({each.into for each in found.values() if each.fate is Fate.MERGED and each.into})
        fates = client.find(Noun.DEAL, heirs) if heirs else {}
        for id_, each in found.items():
            heir = fates.get(each.into) if each.into else None
            yield id_, heir if heir is not None and heir.fate is Fate.GONE else each


def _withdraw(
    work: Work,
    connection: ConnectionState,
    *,
    gone: Sequence[str],
    merged: Sequence[tuple[str, str]],
    confirmed_by: str | None = None,
) -> None:
    stream = Stream(connection.id, Noun.DEAL)
    with work.writing() as session:
        close_review(session, stream, decided_by=confirmed_by, at=work.clock())
        forget_refusals(session, stream, ids=[*gone, *(old for old, _ in merged)])
        if gone or merged:
            with recording(session, f"sync {connection.name}", clock=work.clock) as change:
                withdraw_deals(session, change, system=connection.name, ids=gone)
                merge_deals(session, change, system=connection.name, merged=merged)

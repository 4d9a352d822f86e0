"""Deletions that no window shows: the CRM's list of ids against ours, with a brake."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from app.db import reading
from app.errors import NotFound
from app.queries.crm import (
    ConnectionState,
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


def is_too_much(gone: int, *, known: int) -> bool:
    """More than 50, or more than 5 % and more than 10."""
    return gone > MOST_GONE or (gone > MOST_OF_SHARE and gone > MOST_SHARE * known)


def reconcile(work: Work, connection: ConnectionState, *, client: CrmClient) -> int:
    """Withdraw the deals that the CRM lists no longer and says are gone or merged; how many.

    Each is asked for by its id first. Where one is listed that no window would show, all deals are read anew.
    CrmNonsense where it lists none at all; TooMuchGone, and a review is opened, where more than the brake allows would
    be withdrawn.
    """
    there = {id_ for part in client.list_ids(Noun.DEAL) for id_ in part}
    with reading(work.engine) as session:
        ours = list_deal_ids(session, connection.name)
        withdrawn = list_withdrawn_ids(session, connection.name)
    if ours and not there:
        raise CrmNonsense(
            f"{connection.name} lists no deal at all, where {len(ours):,} are known; nothing was deleted."
        )
    fates = dict(_ask(client, sorted(ours - there)))
    gone = sorted(id_ for id_, found in fates.items() if found.fate is Fate.GONE)
    merged = sorted(
        (id_, found.into) for id_, found in fates.items() if found.fate is Fate.MERGED and found.into in ours
    )
    stream = Stream(connection.id, Noun.DEAL)
    if is_too_much(len(gone), known=len(ours)):
        with work.writing() as session:
            open_review(session, stream, gone=gone, known=len(ours), at=work.clock())
        raise TooMuchGone(
            f"{len(gone):,} of {len(ours):,} deals are gone from {connection.name}; nothing was deleted. "
            f"If it is so, say so: `tenure crm confirm {connection.name}`."
        )
    _withdraw(work, connection, gone=gone, merged=[(old, into) for old, into in merged if into])
    if withdrawn & there or _is_missed(work, connection, client=client, unknown=there - ours - withdrawn):
        with work.writing() as session:
            forget_cursors(session, connection.id, nouns=[Noun.DEAL])
    return len(gone) + len(merged)


def _is_missed(work: Work, connection: ConnectionState, *, client: CrmClient, unknown: set[str]) -> bool:
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
        ours = list_deal_ids(session, connection.name)
    if not reviews:
        raise NotFound(f"Nothing of {connection.name} waits to be confirmed.")
    fates = dict(_ask(client, sorted(ours.intersection(*(review.gone for review in reviews)))))
    gone = sorted(id_ for id_, found in fates.items() if found.fate is Fate.GONE)
    _withdraw(work, connection, gone=gone, merged=[], confirmed_by=actor)
    return len(gone)


def _ask(client: CrmClient, ids: Sequence[str]) -> Iterator[tuple[str, Found]]:
    for start in range(0, len(ids), PART):
        found: Mapping[str, Found] = client.find(Noun.DEAL, ids[start : start + PART])
        yield from found.items()


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

"""What sales promised along with a deal: carried over from the CRM, and what became of it.

Words are kept in `texts` alone: the reason of a move is the text that came with the move's change.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app.errors import Conflict, Invalid, NotFound
from app.models.crm import DealPromise
from app.models.deals import DealVersion
from app.models.persons import FreeText
from app.models.versions import Change
from app.queries.ids import BATCH
from app.services.audit import Act, record_act
from app.services.changes import recording
from app.services.health import Said
from app.services.sources import Source
from app.services.versions import Outcome, record_versions, withdraw_versions
from integrations.crm.client import CrmDeal, Promise

OPEN = "open"
OUTCOMES = ("kept", "broken", "dropped")
EXPLAINED = ("broken", "dropped")  # nobody says these without a reason
LONGEST_REASON = 2_000
Key = tuple[int, str]


@dataclass(frozen=True, slots=True)
class PromiseMove:
    """`promise_id`: the version that whoever moves it has seen. `state` open takes back what was said before."""

    promise_id: int
    state: str
    reason: str = ""


def move_promise(session: Session, move: PromiseMove, *, said: Said) -> int:
    """Say what became of a promise, or take that back; the id of the version that then stands.

    An open one is kept, broken or dropped; one of these is open again. Versions before stay on record. Raises Invalid
    for another state and for a missing reason, NotFound, and Conflict where it is no longer as it was seen.
    """
    _check_move(move)
    found = _find(session, move.promise_id)
    if found.superseded_change_id is not None or (found.state == OPEN) == (move.state == OPEN):
        raise Conflict("This promise is no longer as you saw it; look at it again.")
    with recording(session, said.actor, clock=lambda: said.at) as change:
        if move.reason.strip():
            session.add(FreeText(body=move.reason.strip(), change_id=change.id))
        row = {"deal_id": found.deal_id, "promise_key": found.promise_key, "state": move.state, "available_at": said.at}
        record_versions(session, change, table=DealPromise, key=["deal_id", "promise_key"], rows=[row])
        details = {"account_id": found.account_id, "deal_id": found.deal_id, "from": found.state, "to": move.state}
        record_act(session, Act("promise.moved", f"promise:{found.id}", details), actor=said.actor, at=said.at)
    return session.scalars(
        select(DealPromise.id).where(
            DealPromise.deal_id == found.deal_id,
            DealPromise.promise_key == found.promise_key,
            DealPromise.superseded_change_id.is_(None),
        )
    ).one()


def _check_move(move: PromiseMove) -> None:
    if move.state not in {OPEN, *OUTCOMES}:
        raise Invalid(f"A promise is one of: {OPEN}, {', '.join(OUTCOMES)}.", {"state": ["is not in the list"]})
    is_missing = move.state in EXPLAINED and not move.reason.strip()
    if is_missing or len(move.reason) > LONGEST_REASON:
        raise Invalid(
            f"Say why it was {move.state}, in 1 to {LONGEST_REASON:,} characters.",
            {"reason": ["is missing, or too long"]},
        )


def _find(session: Session, promise_id: int) -> Any:
    """A version of a promise and the account of its deal, where the caller may see that."""
    promise, deal = DealPromise, DealVersion
    found = session.execute(
        select(
            promise.id,
            promise.deal_id,
            promise.promise_key,
            promise.state,
            promise.superseded_change_id,
            deal.account_id,
        )
        .join(deal, (deal.deal_id == promise.deal_id) & deal.superseded_change_id.is_(None))
        .where(promise.id == promise_id, deal.account_id.is_not(None))
    ).one_or_none()
    if found is None:
        raise NotFound("There is no such promise.")
    return found


def record_promises(
    session: Session, change: Change, *, source: Source, deals: Sequence[tuple[int, CrmDeal]]
) -> Outcome:
    """Record the promises of deals, given as (our id of the deal, the deal).

    What became of a promise (kept, broken, dropped) stays when its words change, and when its deal comes back. One
    that the CRM no longer has is withdrawn while nothing became of it.
    """
    known = _in_force(session, [deal_id for deal_id, _ in deals])
    said = {
        (deal_id, promise.key): (promise, deal.closed.deal.closed_on)
        for deal_id, deal in deals
        for promise in deal.promises
    }
    texts = _texts(session, change, said={key: promise for key, (promise, _) in said.items()}, known=known)
    states = {key: row.state for key, row in known.items()}
    states |= _last_states(session, said.keys() - known.keys())
    rows = [
        {
            "deal_id": deal_id,
            "promise_key": promise_key,
            "kind": promise.kind,
            "text_id": texts[deal_id, promise_key],
            "due_on": promise.due_on,
            "state": states.get((deal_id, promise_key), OPEN),
            "available_at": source.available_at(closed_on),
        }
        for (deal_id, promise_key), (promise, closed_on) in said.items()
    ]
    outcome = record_versions(session, change, table=DealPromise, key=["deal_id", "promise_key"], rows=rows)
    gone = [row.id for key, row in known.items() if key not in said and row.state == OPEN]
    return outcome + withdraw_versions(session, change, table=DealPromise, ids=gone)


def withdraw_promises(session: Session, change: Change, *, deal_ids: Sequence[int]) -> Outcome:
    """The deals are no more, and what was promised with them."""
    ids = [row.id for row in _in_force(session, deal_ids).values()]
    return withdraw_versions(session, change, table=DealPromise, ids=ids)


def _in_force(session: Session, deal_ids: Sequence[int]) -> dict[Key, Any]:
    found: dict[Key, Any] = {}
    promise = DealPromise
    for start in range(0, len(deal_ids), BATCH):
        rows = session.execute(
            select(promise.id, promise.deal_id, promise.promise_key, promise.state, promise.text_id, FreeText.body)
            .join(FreeText, FreeText.id == promise.text_id)
            .where(promise.deal_id.in_(deal_ids[start : start + BATCH]), promise.superseded_change_id.is_(None))
        )
        found |= {(row.deal_id, row.promise_key): row for row in rows}
    return found


def _last_states(session: Session, keys: Iterable[Key]) -> dict[Key, str]:
    """What had become of promises that were withdrawn."""
    deal_ids = sorted({deal_id for deal_id, _ in keys})
    found: dict[Key, str] = {}
    promise = DealPromise
    for start in range(0, len(deal_ids), BATCH):
        rows = session.execute(
            select(promise.deal_id, promise.promise_key, promise.state)
            .where(promise.deal_id.in_(deal_ids[start : start + BATCH]), promise.superseded_change_id.is_not(None))
            .order_by(promise.id)
        )
        found |= {(row.deal_id, row.promise_key): row.state for row in rows}
    return found


def _texts(
    session: Session, change: Change, *, said: Mapping[Key, Promise], known: Mapping[Key, Any]
) -> dict[Key, int]:
    """Where the words of each promise are kept; words that are there already are not written again."""
    kept = {
        key: known[key].text_id for key, promise in said.items() if key in known and known[key].body == promise.text
    }
    new = [key for key in said if key not in kept]
    if not new:
        return kept
    written = session.scalars(
        insert(FreeText).returning(FreeText.id, sort_by_parameter_order=True),
        [{"body": said[key].text, "change_id": change.id} for key in new],
    ).all()
    return kept | dict(zip(new, written, strict=True))

"""What sales promised along with a deal: carried over from the CRM, its words kept in `texts` alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app.models.crm import DealPromise
from app.models.persons import FreeText
from app.models.versions import Change
from app.queries.ids import BATCH
from app.services.sources import Source
from app.services.versions import Outcome, record_versions, withdraw_versions
from integrations.crm.client import CrmDeal, Promise

OPEN = "open"
Key = tuple[int, str]


def record_promises(
    session: Session, change: Change, *, source: Source, deals: Sequence[tuple[int, CrmDeal]]
) -> Outcome:
    """Record the promises of deals, given as (our id of the deal, the deal).

    What became of a promise (kept, broken, dropped) stays when its words change. One that the CRM no longer has is
    withdrawn while nothing became of it.
    """
    known = _in_force(session, [deal_id for deal_id, _ in deals])
    said = {
        (deal_id, promise.key): (promise, deal.closed.deal.closed_on)
        for deal_id, deal in deals
        for promise in deal.promises
    }
    texts = _texts(session, change, said={key: promise for key, (promise, _) in said.items()}, known=known)
    rows = [
        {
            "deal_id": deal_id,
            "promise_key": promise_key,
            "kind": promise.kind,
            "text_id": texts[deal_id, promise_key],
            "due_on": promise.due_on,
            "state": known[deal_id, promise_key].state if (deal_id, promise_key) in known else OPEN,
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

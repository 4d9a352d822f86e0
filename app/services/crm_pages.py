"""A page of what changed in the CRM, recorded whole: its companies, people, products or deals, and what follows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models.deals import DealVersion
from app.models.versions import Change
from app.queries.ids import BATCH, find_accounts, find_contracts, find_deals
from app.services.accounts import link_parents, record_accounts
from app.services.cancellations import record_cancellations, repeat_cancellations
from app.services.deals import WON, record_deals
from app.services.merges import merge_accounts, merge_deals, withdraw_cancellations, withdraw_deals
from app.services.persons import record_persons
from app.services.products import record_products
from app.services.promises import record_promises
from app.services.renewals import RENEWAL, link_renewals, link_stated, load_renewals
from app.services.sources import Recorded, Refusal, Source, has_changed
from app.services.versions import Outcome
from integrations.crm.client import Changed, CrmDeal, Noun
from integrations.crm.fitting import Unfit, fit
from integrations.files.rows import AccountRow


@dataclass(frozen=True, slots=True)
class Unrecorded:
    """Something that is not recorded, or not in full: why, and what it names that is not known (yet)."""

    id: str
    field: str
    reason: str
    needs: tuple[Noun, str] | None = None


@dataclass(frozen=True, slots=True)
class RecordedPage:
    """`arrived` are renewals recorded before, whose contract came by now."""

    outcome: Outcome
    unrecorded: tuple[Unrecorded, ...] = ()
    arrived: tuple[str, ...] = ()

    @property
    def has_changed_something(self) -> bool:
        return has_changed(self.outcome)


@dataclass(frozen=True, slots=True)
class Recorder:
    """Where a page is recorded to. `waiting` are renewals recorded before what they renew: {renewal: the other}."""

    session: Session
    change: Change
    source: Source
    waiting: Mapping[str, str]


def record_page(recorder: Recorder, noun: Noun, *, items: Sequence[Changed[Any]]) -> RecordedPage:
    """Record what changed. Of a thing that is given twice the later counts; what is refused stops nothing else.

    An owner, contact, company or product that was deleted stays as it was: what it has part in happened. A deal that
    was deleted is withdrawn with all that came of it.
    """
    fitting: list[Changed[Any]] = []
    unfit: list[Unrecorded] = []
    for item in {item.id: item for item in items}.values():
        try:
            fitting.append(item if item.row is None else _fitted(item))
        except Unfit as error:
            unfit.append(Unrecorded(item.id, error.field, str(error)))
    recorded = _RECORD[noun](recorder, fitting)
    return replace(recorded, unrecorded=(*unfit, *recorded.unrecorded)) if unfit else recorded


def _fitted(item: Changed[Any]) -> Changed[Any]:
    row = fit(item.row)
    return item if row is item.row else replace(item, row=row)


def _record_companies(recorder: Recorder, items: Sequence[Changed[AccountRow]]) -> RecordedPage:
    session, change, source = recorder.session, recorder.change, recorder.source
    rows = [item.row for item in items if item.row is not None]
    recorded = record_accounts(session, change, source=source, rows=rows)
    merged = [(old, item.id) for item in items for old in item.merged]
    outcome = _all(recorded) + merge_accounts(session, change, source=source, merged=merged)
    joined = find_accounts(session, source.system, kind=source.kind, ids=[kept for _, kept in merged])
    outcome += repeat_cancellations(session, change, source=source, account_ids=sorted(set(joined.values())))
    pairs = [(row.id, row.parent) for row in rows if row.parent]
    known = find_accounts(session, source.system, kind=source.kind, ids=[parent for _, parent in pairs])
    late = [
        Unrecorded(id_, "parent", f"the parent {parent!r} is not known yet", (Noun.COMPANY, parent))
        for id_, parent in pairs
        if parent not in known
    ]
    here = [pair for pair in pairs if pair[1] in known]
    outcome += _all(link_parents(session, change, source=source, pairs=here))
    return RecordedPage(outcome, (*_refused(recorded.refusals, [row.id for row in rows]), *late))


def _record_contacts(recorder: Recorder, items: Sequence[Changed[Any]]) -> RecordedPage:
    rows = [item.row for item in items if item.row is not None]
    recorded = record_persons(recorder.session, recorder.change, source=recorder.source, rows=rows)
    refused = [
        Unrecorded(rows[each.position].id, each.field, each.reason, (Noun.COMPANY, rows[each.position].account))
        for each in recorded.refusals
    ]
    return RecordedPage(_all(recorded), tuple(refused))


def _record_owners(recorder: Recorder, items: Sequence[Changed[Any]]) -> RecordedPage:
    rows = [item.row for item in items if item.row is not None]
    return RecordedPage(_all(record_persons(recorder.session, recorder.change, source=recorder.source, rows=rows)))


def _record_products(recorder: Recorder, items: Sequence[Changed[Any]]) -> RecordedPage:
    rows = [item.row for item in items if item.row is not None]
    return RecordedPage(_all(record_products(recorder.session, recorder.change, source=recorder.source, rows=rows)))


def _record_deals(recorder: Recorder, items: Sequence[Changed[CrmDeal]]) -> RecordedPage:
    session, change, source = recorder.session, recorder.change, recorder.source
    gone = [item.id for item in items if item.row is None]
    outcome = withdraw_deals(session, change, system=source.system, ids=gone)
    given = [item.row for item in items if item.row is not None]
    kept = load_renewals(session, source.system, deals=[deal.closed.deal.id for deal in given])
    deals = [_prepared(deal, renews=kept) for deal in given]
    recorded = record_deals(session, change, source=source, deals=[deal.closed for deal in deals])
    refused = {each.position for each in recorded.refusals}
    good = [position for position in range(len(deals)) if position not in refused]
    outcome += _all(recorded)
    merged = [(old, item.id) for item in items for old in item.merged]
    outcome += merge_deals(session, change, system=source.system, merged=merged)
    ids = find_deals(session, source.system, ids=[deals[position].closed.deal.id for position in good])
    pairs = [(ids[deals[position].closed.deal.id], deals[position]) for position in good]
    outcome += record_promises(session, change, source=source, deals=pairs)
    followed = _follow(recorder, [given[position] for position in good])
    unrecorded = tuple(_unrecorded_deal(deals[each.position], each) for each in recorded.refusals)
    return RecordedPage(outcome + followed.outcome, (*unrecorded, *followed.unrecorded), followed.arrived)


def _prepared(deal: CrmDeal, *, renews: Mapping[str, str]) -> CrmDeal:
    """What a deal says of itself, where the ledger asks for more.

    What cancels sells nothing. A renewal that names no contract keeps the one that it was linked to. A won deal was
    not known before it was closed, however early the CRM opened it.
    """
    row, lines = deal.closed.deal, deal.closed.lines
    if deal.cancels_on is not None:
        lines = ()
    if row.renewal_of is None and row.type == RENEWAL:
        row = replace(row, renewal_of=renews.get(row.id))
    if row.closed_on is not None and row.available_on is not None and row.stage != "open":
        row = replace(row, available_on=max(row.available_on, row.closed_on))
    return replace(deal, closed=replace(deal.closed, deal=row, lines=lines))


def _follow(recorder: Recorder, deals: Sequence[CrmDeal]) -> RecordedPage:
    """Cancellations and renewals, from the deals that were recorded."""
    session, change, source = recorder.session, recorder.change, recorder.source
    cancelling = [deal for deal in deals if deal.cancels_on is not None and deal.closed.deal.stage == WON]
    others = [deal.closed.deal.id for deal in deals if deal not in cancelling]
    outcome = withdraw_cancellations(session, change, system=source.system, deals=others)
    refusals, cancelled = record_cancellations(session, change, source=source, deals=cancelling)
    won = [deal.closed.deal for deal in deals if deal.closed.deal.stage == WON]
    accounts = find_accounts(
        session, source.system, kind=source.kind, ids=[deal.account for deal in won if deal.account]
    )
    touched = sorted(set(accounts.values()))
    outcome += cancelled + repeat_cancellations(session, change, source=source, account_ids=touched)
    ending = {deal.closed.deal.id for deal in cancelling}
    named = {deal.id: deal.renewal_of for deal in won if deal.renewal_of and deal.id not in ending}
    known = find_contracts(session, source.system, deals=list(named.values()))
    late = [
        Unrecorded(id_, "renewal_of", f"it renews the deal {other!r}, which is not known yet", (Noun.DEAL, other))
        for id_, other in named.items()
        if other not in known
    ]
    here = {deal.id for deal in won}
    arrived = {own: other for own, other in recorder.waiting.items() if other in here}
    outcome += link_stated(session, change, system=source.system, pairs=arrived)
    outcome += link_renewals(
        session,
        change,
        system=source.system,
        account_ids=_with_renewals(session, touched),
        stated=frozenset({*named, *recorder.waiting}),
    )
    refused = [
        Unrecorded(id_, refusal.field, refusal.reason, (Noun.DEAL, needed) if needed else None)
        for id_, needed, refusal in refusals
    ]
    return RecordedPage(outcome, (*late, *refused), tuple(arrived))


def _with_renewals(session: Session, account_ids: Sequence[int]) -> list[int]:
    found: set[int] = set()
    for start in range(0, len(account_ids), BATCH):
        statement = select(DealVersion.account_id).where(
            DealVersion.account_id.in_(account_ids[start : start + BATCH]),
            DealVersion.type == RENEWAL,
            DealVersion.stage == WON,
            DealVersion.superseded_change_id.is_(None),
        )
        found |= {account_id for account_id in session.scalars(statement) if account_id is not None}
    return sorted(found)


def _unrecorded_deal(deal: CrmDeal, refusal: Refusal) -> Unrecorded:
    row = deal.closed.deal
    needs = (Noun.COMPANY, row.account) if refusal.field == "account" and row.account else None
    return Unrecorded(row.id, refusal.field, refusal.reason, needs)


def _refused(refusals: Sequence[Refusal], ids: Sequence[str]) -> tuple[Unrecorded, ...]:
    return tuple(Unrecorded(ids[each.position], each.field, each.reason) for each in refusals)


def _all(recorded: Recorded) -> Outcome:
    return recorded.outcome + recorded.along


_RECORD: Mapping[Noun, Callable[[Recorder, Sequence[Changed[Any]]], RecordedPage]] = {
    Noun.OWNER: _record_owners,
    Noun.COMPANY: _record_companies,
    Noun.CONTACT: _record_contacts,
    Noun.PRODUCT: _record_products,
    Noun.DEAL: _record_deals,
}

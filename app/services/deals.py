"""Deals in any stage; a won one becomes a contract with its lines, and opens the onboarding of its account."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app.errors import Invalid
from app.models.deals import Deal, DealOwner, DealVersion
from app.models.versions import Change
from app.queries.ids import BATCH, find_accounts, find_deals
from app.services.contracts import record_contracts, withdraw_contracts
from app.services.deal_terms import DealRefused, DealTerms, settle
from app.services.onboarding import open_onboarding_plans
from app.services.persons import ensure_staff, unknown_account
from app.services.sources import Recorded, Refusal, Source
from app.services.versions import Outcome, record_versions, reissue_versions
from integrations.files.rows import ClosedDeal

WON = "won"


def record_closed_deal(session: Session, change: Change, *, source: Source, deal: ClosedDeal) -> Outcome:
    """Record one deal with its contract, lines and onboarding plan. Raises Invalid with the reason if it cannot be."""
    recorded = record_deals(session, change, source=source, deals=[deal])
    if recorded.refusals:
        refusal = recorded.refusals[0]
        raise Invalid(
            f"The deal {deal.deal.id!r} cannot be recorded: {refusal.reason}.", {refusal.field: [refusal.reason]}
        )
    return recorded.outcome + recorded.along


def record_deals(session: Session, change: Change, *, source: Source, deals: Sequence[ClosedDeal]) -> Recorded:
    """Record deals, each whole or not at all; ids must be unique in `deals`.

    All lines of a deal are to be given: those that are missing from one recorded before are
    withdrawn, and so is the contract of one that is no longer won. Refused: an account that is not
    known, and what `settle` refuses.
    """
    accounts = find_accounts(
        session, source.system, kind=source.kind, ids=[deal.deal.account for deal in deals if deal.deal.account]
    )
    settled: list[DealTerms] = []
    refusals: list[Refusal] = []
    for position, closed in enumerate(deals):
        name = closed.deal.account
        if name is not None and name not in accounts:
            refusals.append(Refusal(position, "account", unknown_account(name)))
            continue
        try:
            settled.append(settle(closed))
        except DealRefused as error:
            refusals.append(Refusal(position, error.field, str(error), part=error.line))
    ids = _open_deals(session, change, source=source, names=[terms.deal.id for terms in settled])
    outcome = _record_versions(session, change, source=source, settled=settled, known=(ids, accounts))
    won = [terms for terms in settled if terms.deal.stage == WON]
    contracts, along = record_contracts(session, change, source=source, won=won, known=(ids, accounts))
    lost = [ids[terms.deal.id] for terms in settled if terms.deal.stage != WON]
    along += withdraw_contracts(session, change, deal_ids=lost)
    along += open_onboarding_plans(session, change, source=source, contracts=contracts)
    return Recorded(outcome, tuple(refusals), along)


def _open_deals(session: Session, change: Change, *, source: Source, names: Sequence[str]) -> dict[str, int]:
    known = find_deals(session, source.system, ids=names)
    missing = [name for name in names if name not in known]
    if not missing:
        return known
    opened = session.scalars(
        insert(Deal).returning(Deal.id, sort_by_parameter_order=True),
        [{"system": source.system, "external_id": name, "change_id": change.id} for name in missing],
    ).all()
    return known | dict(zip(missing, opened, strict=True))


def _record_versions(
    session: Session,
    change: Change,
    *,
    source: Source,
    settled: Sequence[DealTerms],
    known: tuple[Mapping[str, int], Mapping[str, int]],
) -> Outcome:
    ids, accounts = known
    rows = []
    for terms in settled:
        deal = terms.deal
        rows.append(
            {
                "deal_id": ids[deal.id],
                "account_id": accounts[deal.account] if deal.account else None,
                "name": deal.name,
                "stage": deal.stage,
                "type": deal.type,
                "opened_on": deal.opened_on,
                "closed_on": deal.closed_on,
                "amount": None if terms.exact is None else format(terms.exact, "f"),
                "amount_minor": terms.amount.minor if terms.amount else None,
                "currency": terms.amount.currency if terms.amount else deal.currency,
                "lead_source": deal.lead_source,
                "campaign": deal.campaign,
                "partner": deal.partner,
                "available_at": source.available_at(deal.closed_on or deal.opened_on, deal.available_on),
            }
        )
    outcome = record_versions(session, change, table=DealVersion, key=["deal_id"], rows=rows)
    owners = {ids[terms.deal.id]: terms.deal.owner for terms in settled if terms.deal.owner}
    return outcome + _record_owners(session, change, source=source, owners=owners)


def _record_owners(session: Session, change: Change, *, source: Source, owners: Mapping[int, str]) -> Outcome:
    """Hang the owner on the deal's version in force; one that had another owner is issued anew."""
    staff = ensure_staff(session, change, source=source, ids=set(owners.values()))
    wanted = {deal_id: staff[name] for deal_id, name in owners.items()}
    versions = _owned_versions(session, list(wanted))
    stale = [version for deal_id, (version, old) in versions.items() if old and old != {wanted[deal_id]: Decimal(1)}]
    outcome = reissue_versions(session, change, table=DealVersion, ids=stale)
    if stale:
        versions = _owned_versions(session, list(wanted))
    rows = [
        {"deal_version_id": version, "person_id": wanted[deal_id], "share": Decimal(1), "change_id": change.id}
        for deal_id, (version, old) in versions.items()
        if not old
    ]
    if rows:
        session.execute(insert(DealOwner), rows)
    return outcome


def _owned_versions(session: Session, deal_ids: Sequence[int]) -> dict[int, tuple[int, dict[int, Decimal]]]:
    """The version in force of each deal, with its owners and their shares."""
    versions: dict[int, int] = {}
    owners: dict[int, dict[int, Decimal]] = defaultdict(dict)
    for start in range(0, len(deal_ids), BATCH):
        found = session.execute(
            select(DealVersion.deal_id, DealVersion.id, DealOwner.person_id, DealOwner.share)
            .outerjoin(DealOwner, DealOwner.deal_version_id == DealVersion.id)
            .where(DealVersion.deal_id.in_(deal_ids[start : start + BATCH]), DealVersion.superseded_change_id.is_(None))
        )
        for deal_id, version, person, share in found:
            versions[deal_id] = version
            if person is not None:
                owners[deal_id][person] = share
    return {deal_id: (version, owners[deal_id]) for deal_id, version in versions.items()}

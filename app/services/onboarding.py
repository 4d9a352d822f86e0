"""Onboarding plans: opened by a closed deal from a template, or brought along by a source."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app.models.accounts import AccountVersion
from app.models.products import ProductVersion
from app.models.success import Milestone, OnboardingPlan, OnboardingTemplate, TemplateMilestone
from app.models.versions import Change
from app.queries.ids import BATCH, find_deals, find_lines
from app.services.contracts import RecordedContract
from app.services.persons import ensure_staff
from app.services.sources import Recorded, Refusal, Source
from app.services.versions import Outcome, record_versions
from integrations.files.rows import MilestoneRow


def open_onboarding_plans(
    session: Session, change: Change, *, source: Source, contracts: Sequence[RecordedContract]
) -> Outcome:
    """Open a plan for each new recurring contract that a template fits; a deal has one plan, opened once.

    The template that says more about product family and segment is taken; steps are due from the
    contract's start.
    """
    templates = session.scalars(select(OnboardingTemplate).order_by(OnboardingTemplate.id)).all()
    fresh = [each for each in contracts if each.deal_type == "new" and each.is_recurring] if templates else []
    having = _plans(session, [contract.deal_id for contract in fresh])
    fresh = [contract for contract in fresh if contract.deal_id not in having]
    segments = _segments(session, [contract.account_id for contract in fresh])
    families = _families(session, sorted({product for contract in fresh for product in contract.product_ids}))
    outcome = Outcome()
    for contract in fresh:
        own = {families.get(product) for product in contract.product_ids}
        fitting = [t for t in templates if _fits(t, families=own, segment=segments.get(contract.account_id))]
        if fitting:
            template = max(fitting, key=lambda t: (t.product_family is not None, t.segment is not None, -t.id))
            outcome += _open(session, change, source=source, contract=contract, template=template)
    return outcome


def _fits(template: OnboardingTemplate, *, families: set[str | None], segment: str | None) -> bool:
    return template.product_family in {None, *families} and template.segment in {None, segment}


def _open(
    session: Session, change: Change, *, source: Source, contract: RecordedContract, template: OnboardingTemplate
) -> Outcome:
    plan = OnboardingPlan(
        account_id=contract.account_id,
        deal_id=contract.deal_id,
        template=template.name,
        started_on=contract.starts_on,
        change_id=change.id,
    )
    session.add(plan)
    session.flush()
    steps = session.scalars(select(TemplateMilestone).where(TemplateMilestone.template_id == template.id))
    rows = [
        {
            "plan_id": plan.id,
            "position": step.position,
            "name": step.name,
            "owner_id": None,
            "due_on": contract.starts_on + timedelta(days=step.due_days),
            "done_on": None,
            "done_available_at": None,
            "available_at": source.available_at(contract.starts_on),
        }
        for step in steps
    ]
    return record_versions(session, change, table=Milestone, key=["plan_id", "position"], rows=rows)


def _plans(session: Session, deal_ids: Sequence[int]) -> dict[int, int]:
    found: dict[int, int] = {}
    for start in range(0, len(deal_ids), BATCH):
        rows = session.execute(
            select(OnboardingPlan.deal_id, OnboardingPlan.id).where(
                OnboardingPlan.deal_id.in_(deal_ids[start : start + BATCH])
            )
        )
        found |= {deal_id: plan_id for deal_id, plan_id in rows if deal_id is not None}
    return found


def _segments(session: Session, account_ids: Sequence[int]) -> dict[int, str | None]:
    found: dict[int, str | None] = {}
    for start in range(0, len(account_ids), BATCH):
        rows = session.execute(
            select(AccountVersion.account_id, AccountVersion.segment)
            .where(
                AccountVersion.account_id.in_(account_ids[start : start + BATCH]),
                AccountVersion.superseded_change_id.is_(None),
            )
            .order_by(AccountVersion.valid_from)
        )
        found |= dict(rows.all())
    return found


def _families(session: Session, product_ids: Sequence[int]) -> dict[int, str | None]:
    found: dict[int, str | None] = {}
    for start in range(0, len(product_ids), BATCH):
        rows = session.execute(
            select(ProductVersion.product_id, ProductVersion.family)
            .where(
                ProductVersion.product_id.in_(product_ids[start : start + BATCH]),
                ProductVersion.superseded_change_id.is_(None),
            )
            .order_by(ProductVersion.valid_from)
        )
        found |= dict(rows.all())
    return found


def record_milestones(session: Session, change: Change, *, source: Source, rows: Sequence[MilestoneRow]) -> Recorded:
    """Record steps of the plans of deals; (deal, position) must be unique in `rows`.

    A deal without a plan gets one. A step of a deal that is not known, or not won, is refused.
    """
    deals = find_deals(session, source.system, ids=[row.deal for row in rows])
    lines = find_lines(session, source.system, deals=[row.deal for row in rows])
    staff = ensure_staff(session, change, source=source, ids={row.owner for row in rows if row.owner})
    refusals = [
        Refusal(position, "deal", f"there is no won deal {row.deal!r}; import the deals first, or mend the id")
        for position, row in enumerate(rows)
        if row.deal not in lines
    ]
    kept = [row for row in rows if row.deal in lines]
    plans = _plans(session, [deals[row.deal] for row in kept])
    missing = {row.deal: row for row in reversed(kept) if deals[row.deal] not in plans}
    if missing:
        opened = [
            {
                "account_id": lines[deal][0].account_id,
                "deal_id": deals[deal],
                "template": row.template,
                "started_on": row.started_on or lines[deal][0].starts_on,
                "change_id": change.id,
            }
            for deal, row in missing.items()
        ]
        session.execute(insert(OnboardingPlan), opened)
        plans |= _plans(session, [deals[deal] for deal in missing])
    versions = [_step(row, plans[deals[row.deal]], source=source, owner_id=staff.get(row.owner or "")) for row in kept]
    _keep_since_when_done(session, versions)
    outcome = record_versions(session, change, table=Milestone, key=["plan_id", "position"], rows=versions)
    return Recorded(outcome, tuple(refusals))


def _step(row: MilestoneRow, plan_id: int, *, source: Source, owner_id: int | None) -> dict[str, Any]:
    return {
        "plan_id": plan_id,
        "position": row.position,
        "name": row.name,
        "owner_id": owner_id,
        "due_on": row.due_on,
        "done_on": row.done_on,
        "done_available_at": source.available_at(row.done_on) if row.done_on else None,
        "available_at": source.available_at(row.started_on or row.due_on, row.available_on),
    }


def _keep_since_when_done(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """A step that was known to be done on that day is not known anew."""
    plans = sorted({row["plan_id"] for row in rows})
    known: dict[tuple[int, int], tuple[Any, Any]] = {}
    for start in range(0, len(plans), BATCH):
        found = session.execute(
            select(Milestone.plan_id, Milestone.position, Milestone.done_on, Milestone.done_available_at).where(
                Milestone.plan_id.in_(plans[start : start + BATCH]), Milestone.superseded_change_id.is_(None)
            )
        )
        known |= {(plan_id, position): (done_on, at) for plan_id, position, done_on, at in found}
    for row in rows:
        done_on, at = known.get((row["plan_id"], row["position"]), (None, None))
        if done_on is not None and done_on == row["done_on"]:
            row["done_available_at"] = at

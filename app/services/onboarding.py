"""Onboarding plans: opened by a closed deal from a template, or brought along by a source."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from app.errors import Conflict, NotFound
from app.models.accounts import AccountVersion
from app.models.contracts import ContractVersion
from app.models.products import ProductVersion
from app.models.success import Milestone, OnboardingPlan
from app.models.versions import Change
from app.queries.ids import BATCH, find_deals, find_lines
from app.queries.onboarding_templates import Template, load_templates
from app.services.audit import Act, record_act
from app.services.changes import recording
from app.services.contracts import RecordedContract
from app.services.health import Said
from app.services.persons import ensure_staff
from app.services.sources import Recorded, Refusal, Source
from app.services.versions import Outcome, record_versions
from integrations.files.rows import MilestoneRow

NEW = "new"
OPENING = (NEW, "renewal", "expansion")


@dataclass(frozen=True, slots=True)
class OpenedPlan:
    deal_id: int | None
    template: str


def open_onboarding_plans(
    session: Session, change: Change, *, source: Source, contracts: Sequence[RecordedContract]
) -> Outcome:
    """Open a plan for each recurring contract of an account that a template fits; steps are due from its start.

    The template that says more about product family and segment is taken. One for any product opens with the first
    contract of an account that has no plan; one for a family of products with whatever first sells them, a renewal
    or an add-on too, once an account. A load of history opens none whose steps would all lie behind.
    """
    templates = load_templates(session) if contracts else ()
    selling = [each for each in contracts if each.is_recurring and each.deal_type in OPENING] if templates else []
    opened = _opened(session, sorted({contract.account_id for contract in selling}))
    first = _first_starts(session, sorted({contract.account_id for contract in selling}))
    segments = _segments(session, [contract.account_id for contract in selling])
    families = _families(session, sorted({product for contract in selling for product in contract.product_ids}))
    outcome = Outcome()
    for contract in sorted(selling, key=lambda each: (each.starts_on, each.deal_id)):
        own = {families.get(product) for product in contract.product_ids}
        before = opened[contract.account_id]
        fitting = [
            each
            for each in templates
            if _fits(each, families=own, segment=segments.get(contract.account_id))
            and _is_due(each, contract, before=before, first_on=first[contract.account_id])
            and not _is_history(each, contract, source=source)
        ]
        if fitting and contract.deal_id not in {plan.deal_id for plan in before}:
            template = max(fitting, key=lambda t: (t.product_family is not None, t.segment is not None, -t.id))
            outcome += _open(session, change, source=source, contract=contract, template=template)
            before.append(OpenedPlan(contract.deal_id, template.name))
    return outcome


def _fits(template: Template, *, families: set[str | None], segment: str | None) -> bool:
    return template.product_family in {None, *families} and template.segment in {None, segment}


def _is_due(template: Template, contract: RecordedContract, *, before: Sequence[OpenedPlan], first_on: date) -> bool:
    """Whether a contract opens it, given the plans that the account has, and when its first contract began."""
    if template.product_family is None:
        return contract.deal_type == NEW and contract.starts_on <= first_on and not before
    return not any(plan.template in template.names for plan in before)


def _is_history(template: Template, contract: RecordedContract, *, source: Source) -> bool:
    last_on = contract.starts_on + timedelta(days=max(step.due_days for step in template.steps))
    return source.lag_days is not None and last_on < source.now.date()


def _first_starts(session: Session, account_ids: Sequence[int]) -> dict[int, date]:
    found: dict[int, date] = {}
    for start in range(0, len(account_ids), BATCH):
        rows = session.execute(
            select(ContractVersion.account_id, func.min(ContractVersion.starts_on))
            .where(
                ContractVersion.account_id.in_(account_ids[start : start + BATCH]),
                ContractVersion.superseded_change_id.is_(None),
            )
            .group_by(ContractVersion.account_id)
        )
        found |= dict(rows.all())
    return found


def _opened(session: Session, account_ids: Sequence[int]) -> dict[int, list[OpenedPlan]]:
    found: dict[int, list[OpenedPlan]] = defaultdict(list)
    for start in range(0, len(account_ids), BATCH):
        rows = session.execute(
            select(OnboardingPlan.account_id, OnboardingPlan.deal_id, OnboardingPlan.template).where(
                OnboardingPlan.account_id.in_(account_ids[start : start + BATCH])
            )
        )
        for account_id, deal_id, template in rows:
            found[account_id].append(OpenedPlan(deal_id, template))
    return found


def _open(
    session: Session, change: Change, *, source: Source, contract: RecordedContract, template: Template
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
    rows = [
        {
            "plan_id": plan.id,
            "position": position,
            "name": step.name,
            "owner_id": None,
            "due_on": contract.starts_on + timedelta(days=step.due_days),
            "done_on": None,
            "done_available_at": None,
            "available_at": source.available_at(contract.starts_on),
        }
        for position, step in enumerate(template.steps, start=1)
    ]
    return record_versions(session, change, table=Milestone, key=["plan_id", "position"], rows=rows)


def mark_step(session: Session, step_id: int, *, is_done: bool, said: Said) -> None:
    """Tick a step of a plan as done today, or take that back. `step_id`: the version that whoever ticks has seen.

    Versions before stay on record. Raises NotFound, and Conflict where it is no longer as it was seen.
    """
    step = session.execute(
        select(Milestone, OnboardingPlan.account_id)
        .join(OnboardingPlan, OnboardingPlan.id == Milestone.plan_id)
        .where(Milestone.id == step_id)
    ).one_or_none()
    if step is None:
        raise NotFound("There is no such step.")
    seen, account_id = step
    if seen.superseded_change_id is not None or (seen.done_on is not None) == is_done:
        raise Conflict("This step is no longer as you saw it; look at it again.")
    row = {
        "plan_id": seen.plan_id,
        "position": seen.position,
        "done_on": said.today if is_done else None,
        "done_available_at": said.at if is_done else None,
        "available_at": seen.available_at,
    }
    with recording(session, said.actor, clock=lambda: said.at) as change:
        record_versions(session, change, table=Milestone, key=["plan_id", "position"], rows=[row])
        act = Act(f"onboarding_step.{'done' if is_done else 'reopened'}", f"onboarding_step:{step_id}")
        record_act(session, replace(act, details={"account_id": account_id}), actor=said.actor, at=said.at)


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

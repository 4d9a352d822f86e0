"""What could be written back to a CRM: accepted opportunities, and what the published run says of its accounts."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from app.models.accounts import Assignment, ExternalId
from app.models.crm import CrmWrite
from app.models.expansion import ExpansionOpportunity
from app.models.persons import Person
from app.models.products import ProductExternalId, ProductVersion
from app.models.scores import ModelRun, PublishedRun, Score
from app.queries.ids import BATCH
from app.queries.runs import CHURN

ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True)
class AcceptedOpportunity:
    """An opportunity that sales accepted, under the CRM's own ids of account, product and owner."""

    id: int
    account: str
    motion: str
    product: str | None  # none: the CRM does not know it
    product_name: str
    owner: str | None
    quantity: int | None
    measure: str
    amount_minor: int
    currency: str
    likelihood: str
    accepted_on: date


@dataclass(frozen=True, slots=True)
class ScoredAccount:
    """What the published run says of an account, under the CRM's id of it."""

    account: str
    band: str | None
    churn_probability: float | None
    ltv_minor: int | None
    currency: str
    renewal_on: date | None


@dataclass(frozen=True, slots=True)
class PastWrite:
    """What was begun or written under a key."""

    key: str
    digest: bytes
    state: str
    attempts: int


def _names(system: str) -> Select[int, str]:
    """The CRM's id of each account: of several the one it had before others were merged into it."""
    first = (
        select(func.min(ExternalId.id))
        .where(ExternalId.system == system, ExternalId.kind == "crm", ExternalId.superseded_change_id.is_(None))
        .group_by(ExternalId.account_id)
    )
    return select(ExternalId.account_id, ExternalId.external_id).where(ExternalId.id.in_(first))


def list_accepted(session: Session, system: str, *, since: datetime) -> tuple[AcceptedOpportunity, ...]:
    """The opportunities of the system's accounts that have been accepted since then, and still are."""
    row, name = ExpansionOpportunity, _names(system).subquery()
    key = (ProductExternalId.product_id == row.product_id) & (ProductExternalId.system == system)
    in_force = ProductExternalId.superseded_change_id.is_(None)
    described = (
        select(ProductVersion.name)
        .where(ProductVersion.product_id == row.product_id, ProductVersion.superseded_change_id.is_(None))
        .order_by(ProductVersion.valid_from.desc())
        .limit(1)
        .scalar_subquery()
    )
    statement = (
        select(row, name.c.external_id, func.min(ProductExternalId.external_id), described)
        .join(name, name.c.account_id == row.account_id)
        .outerjoin(ProductExternalId, key & in_force)
        .where(row.state == ACCEPTED, row.moved_at >= since)
        .group_by(row.id, name.c.external_id)
        .order_by(row.id)
    )
    found = session.execute(statement).all()
    owners = _owners(session, system, account_ids=[opportunity.account_id for opportunity, *_ in found])
    return tuple(
        AcceptedOpportunity(
            opportunity.id,
            account,
            opportunity.motion,
            product,
            product_name or "",
            owners.get(opportunity.account_id),
            opportunity.quantity,
            opportunity.measure,
            opportunity.amount_minor,
            opportunity.currency,
            opportunity.likelihood,
            opportunity.moved_at.date(),
        )
        for opportunity, account, product, product_name in found
    )


def _owners(session: Session, system: str, *, account_ids: list[int]) -> dict[int, str]:
    """Who sells to each account, by the CRM's id of them."""
    found: dict[int, str] = {}
    for start in range(0, len(account_ids), BATCH):
        rows = session.execute(
            select(Assignment.account_id, Person.external_id)
            .join(Person, Person.id == Assignment.person_id)
            .where(
                Assignment.account_id.in_(account_ids[start : start + BATCH]),
                Assignment.role == "account_owner",
                Assignment.superseded_change_id.is_(None),
                Assignment.valid_to.is_(None),
                Person.system == system,
            )
        )
        found |= dict(rows.all())
    return found


def list_scored(session: Session, system: str) -> Iterator[ScoredAccount]:
    """Every account of the system that the published run speaks of, by its id there."""
    name = _names(system).subquery()
    statement = (
        select(
            name.c.external_id,
            Score.band,
            Score.churn_probability,
            Score.ltv_residual_minor,
            ModelRun.currency,
            Score.renewal_on,
        )
        .join(name, name.c.account_id == Score.account_id)
        .join(PublishedRun, PublishedRun.run_id == Score.run_id)
        .join(ModelRun, ModelRun.id == Score.run_id)
        .where(PublishedRun.kind == CHURN, Score.status.in_(("live", "in_grace")))
        .order_by(name.c.external_id)
    )
    return (ScoredAccount(*row) for row in session.execute(statement))


def find_published_run(session: Session) -> int | None:
    return session.scalar(select(PublishedRun.run_id).where(PublishedRun.kind == CHURN))


def load_past_writes(session: Session, connection_id: int) -> dict[str, PastWrite]:
    columns = (CrmWrite.key, CrmWrite.digest, CrmWrite.state, CrmWrite.attempts)
    rows = session.execute(select(*columns).where(CrmWrite.connection_id == connection_id))
    return {row.key: PastWrite(*row) for row in rows}


def find_failed_writes(session: Session, connection_id: int) -> tuple[int, str]:
    """How much could not be written back, and why the last of it was not."""
    failed = (CrmWrite.connection_id == connection_id, CrmWrite.state == "failed")
    last = select(CrmWrite.error).where(*failed).order_by(CrmWrite.attempted_at.desc(), CrmWrite.id.desc()).limit(1)
    count = session.scalar(select(func.count()).select_from(CrmWrite).where(*failed)) or 0
    return count, session.scalar(last) or ""

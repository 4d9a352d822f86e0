"""What the list of accounts shows beside its rows: sums over the filtered set, and what may be filtered by."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from app.models.accounts import Account, AccountVersion, Assignment
from app.models.contracts import ContractLineVersion
from app.models.persons import Person
from app.models.products import ProductVersion
from app.models.scores import RetentionCurve, Score
from app.queries.accounts import AccountFilter, filtered, live_lines
from app.queries.explanations import load_explanations
from app.queries.groups import UNKNOWN
from app.queries.health_overrides import Override, find_overrides
from app.queries.known import valid_on
from app.queries.runs import Run

CSM = "csm"


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over a set of accounts. `arr_at_risk_minor` is ARR x P(churn within 12 months), each account by itself."""

    accounts: int
    arr_minor: int
    arr_at_risk_minor: int
    ltv_residual_minor: int
    by_band: Mapping[str | None, int]  # of the accounts that pay; None: without a score


@dataclass(frozen=True, slots=True)
class TopDriver:
    name: str
    contribution: float  # logit; above 0 is risk


@dataclass(frozen=True, slots=True)
class Companion:
    """What stands beside an account in the list."""

    plan: str | None = None
    csm: str | None = None
    driver: TopDriver | None = None
    override: Override | None = None  # in force, beside the calculated score


@dataclass(frozen=True, slots=True)
class Choices:
    """What the company's accounts can be filtered by."""

    segments: tuple[str, ...]
    plans: tuple[str, ...]
    channels: tuple[str, ...]
    csms: tuple[tuple[int, str], ...]


def count_all_accounts(session: Session) -> int:
    """How many accounts there are at most: the largest key, for that costs nothing."""
    return session.scalar(select(func.max(Account.id))) or 0


def sum_up_accounts(session: Session, chosen: AccountFilter, *, run: Run | None, today: date) -> Totals:
    """Sums over the accounts that the filter lets through, in the run's currency."""
    at_risk = Score.arr_minor * Score.churn_probability
    paying = case((Score.status.in_(("live", "in_grace")), 1), else_=0)
    statement = filtered(
        select(
            Score.band,
            paying,
            func.count(),
            func.coalesce(func.sum(Score.arr_minor), 0),
            func.coalesce(func.sum(at_risk), 0.0),
            func.coalesce(func.sum(Score.ltv_residual_minor), 0),
        ),
        chosen,
        run=run,
        today=today,
    ).group_by(Score.band, paying)
    rows = session.execute(statement).all()
    by_band: dict[str | None, int] = defaultdict(int)
    for band, is_paying, count, *_sums in rows:
        by_band[band] += count if is_paying else 0
    return Totals(
        accounts=sum(row[2] for row in rows),
        arr_minor=int(sum(row[3] for row in rows)),
        arr_at_risk_minor=round(sum(row[4] for row in rows)),
        ltv_residual_minor=int(sum(row[5] for row in rows)),
        by_band={band: count for band, count in by_band.items() if count},
    )


def load_companions(
    session: Session, account_ids: Sequence[int], *, run: Run | None, today: date
) -> dict[int, Companion]:
    """Plan, customer success manager, top driver and override of each of a page of accounts."""
    day = run.as_of if run else today
    plans, csms = _plans(session, account_ids, on=day), _csms_of(session, account_ids, on=today)
    drivers = _top_drivers(session, account_ids, run_id=run.id) if run else {}
    overrides = find_overrides(session, account_ids, today=today)
    return {i: Companion(plans.get(i), csms.get(i), drivers.get(i), overrides.get(i)) for i in account_ids}


def _plans(session: Session, account_ids: Sequence[int], *, on: date) -> dict[int, str]:
    """The plan of the live line with the largest ARR."""
    line, product = ContractLineVersion, ProductVersion
    rows = session.execute(
        select(line.account_id, func.coalesce(product.plan, product.name))
        .join(product, product.product_id == line.product_id)
        .where(
            line.account_id.in_(account_ids),
            line.arr_minor > 0,
            *live_lines(on),
            product.superseded_change_id.is_(None),
            valid_on(product, on),
        )
        .order_by(line.account_id, line.arr_minor, line.id.desc())
    )
    return {row[0]: row[1] for row in rows}


def _csms_of(session: Session, account_ids: Sequence[int], *, on: date) -> dict[int, str]:
    """The name of the customer success manager of each account that has one on that day."""
    rows = session.execute(
        select(Assignment.account_id, Person.name)
        .join(Person, Person.id == Assignment.person_id)
        .where(
            Assignment.account_id.in_(account_ids),
            Assignment.role == CSM,
            Assignment.superseded_change_id.is_(None),
            valid_on(Assignment, on),
        )
        .order_by(Assignment.account_id, Assignment.valid_from)
    )
    return {row[0]: row[1] for row in rows}


def _top_drivers(session: Session, account_ids: Sequence[int], *, run_id: int) -> dict[int, TopDriver]:
    rated = select(Score.account_id).where(
        Score.run_id == run_id, Score.account_id.in_(account_ids), Score.health.is_not(None)
    )
    explained = load_explanations(session, run_id=run_id, account_ids=session.scalars(rated).all())
    return {i: driver for i, explanation in explained.items() if (driver := _largest(explanation))}


def _largest(explanation: Mapping[str, Any]) -> TopDriver | None:
    drivers = explanation["drivers"]
    # What raises the risk most is what there is to act on; only without any, what lowers it most.
    top = max(drivers, key=lambda driver: (driver["contribution"] > 0, abs(driver["contribution"])), default=None)
    return None if top is None or not top["contribution"] else TopDriver(top["name"], top["contribution"])


def load_choices(session: Session, run: Run | None) -> Choices:
    """What may be filtered by. Groups come from the run's stored curves; without a run, from the accounts."""
    groups = _groups_of_run(session, run.id) if run else {}
    return Choices(
        segments=groups.get("segment") or _distinct(session, AccountVersion.segment),
        plans=groups.get("plan", ()),
        channels=groups.get("channel") or _distinct(session, AccountVersion.channel),
        csms=list_csms(session),
    )


def _groups_of_run(session: Session, run_id: int) -> dict[str, tuple[str, ...]]:
    rows = session.execute(
        select(RetentionCurve.group_by, RetentionCurve.group)
        .where(RetentionCurve.run_id == run_id, RetentionCurve.group_by.in_(("segment", "plan", "channel")))
        .order_by(RetentionCurve.group_by, RetentionCurve.group)
    )
    groups: dict[str, list[str]] = defaultdict(list)
    for group_by, group in rows:
        if group != UNKNOWN:
            groups[group_by].append(group)
    return {group_by: tuple(names) for group_by, names in groups.items()}


def _distinct(session: Session, column: Any) -> tuple[str, ...]:
    statement = select(column).where(AccountVersion.superseded_change_id.is_(None), column.is_not(None))
    return tuple(session.scalars(statement.distinct().order_by(column)))


def list_csms(session: Session) -> tuple[tuple[int, str], ...]:
    """Id and name of everyone who looks after accounts."""
    # Distinct first: few people look after many accounts, and the index on person_id holds just those.
    assigned = select(Assignment.person_id).distinct().subquery()
    role = (
        select(Assignment.id)
        .where(Assignment.person_id == Person.id, Assignment.role == CSM, Assignment.superseded_change_id.is_(None))
        .exists()
    )
    rows = session.execute(
        select(Person.id, Person.name)
        .join(assigned, assigned.c.person_id == Person.id)
        .where(role)
        .order_by(Person.name)
    )
    return tuple((person_id, name) for person_id, name in rows)

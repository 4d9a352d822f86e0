"""Kaplan-Meier of groups, as the published run stored it."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models.scores import RetentionCurve
from app.queries.runs import Run, load_run


@dataclass(frozen=True, slots=True)
class GroupRetention:
    """The share of accounts still there by whole months of tenure, with bounds and how many were at risk.

    `level` is a fraction, .95. `at_risk[i]` counts those under observation just before `months[i]`.
    """

    group: str
    accounts: int
    churned: int
    level: float
    months: list[int]
    retention: list[float]
    lower: list[float]
    upper: list[float]
    at_risk: list[int]


@dataclass(frozen=True, slots=True)
class RetentionByGroup:
    run: Run
    groups: list[GroupRetention]


def load_retention(session: Session, group_by: str, *, group: str | None = None) -> RetentionByGroup:
    """The curves of one cut in the order of names, or of one group of it. Raises NotReady."""
    run = load_run(session)
    statement = (
        select(RetentionCurve.group, RetentionCurve.curve)
        .where(RetentionCurve.run_id == run.id, RetentionCurve.group_by == group_by)
        .order_by(RetentionCurve.group)
    )
    if group is not None:
        statement = statement.where(RetentionCurve.group == group)
    return RetentionByGroup(run, [_group(name, curve) for name, curve in session.execute(statement)])


def _group(name: str, curve: dict[str, Any]) -> GroupRetention:
    return GroupRetention(
        group=name,
        accounts=curve["accounts"],
        churned=curve["churned"],
        level=curve["level"],
        months=curve["months"],
        retention=curve["retention"],
        lower=curve["lower"],
        upper=curve["upper"],
        at_risk=curve["at_risk"],
    )

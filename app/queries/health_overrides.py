"""What people set in place of calculated scores: what is in force, what was, and which was nearer to what happened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import Select, and_, select
from sqlalchemy.orm import Session

from app.domain.causes import CAUSES, VOLUNTARY
from app.domain.contracts import Spell, spells
from app.domain.health_override import Judgement, implied_risk, judge_overrides
from app.domain.months import MONTHS_OF_A_YEAR, add_months
from app.models.health import HealthOverride
from app.models.persons import FreeText
from app.queries.contract_lines import load_recurring_lines
from app.queries.facts import Known


@dataclass(frozen=True, slots=True)
class Override:
    """`expires_on` is the first day on which it no longer counts. `calculated` is the score when it was set."""

    id: int
    account_id: int
    band: str
    score: float
    reason: str
    calculated: float | None
    calculated_risk: float | None
    actor: str
    begins_at: datetime
    expires_on: date
    ended_at: datetime | None
    ended_by: str | None

    def is_in_force(self, today: date) -> bool:
        return self.ended_at is None and self.expires_on > today


@dataclass(frozen=True, slots=True)
class JudgedOverrides:
    """`waiting`: their year is not over. `left_out`: there was no score beside it, it was set for less than a day,
    or nobody knows what became of the account: in grace, or lost otherwise than by its choice."""

    judgement: Judgement
    waiting: int
    left_out: int


def find_overrides(session: Session, account_ids: Sequence[int], *, today: date) -> dict[int, Override]:
    """The override in force of each of the accounts that has one."""
    rows = session.execute(
        _statement().where(
            HealthOverride.account_id.in_(account_ids),
            HealthOverride.ended_at.is_(None),
            HealthOverride.expires_on > today,
        )
    )
    return {row.account_id: _override(row) for row in rows}


def list_overrides(session: Session, account_id: int) -> list[Override]:
    """All that were ever set for an account, the newest first."""
    statement = _statement().where(HealthOverride.account_id == account_id).order_by(HealthOverride.id.desc())
    return [_override(row) for row in session.execute(statement)]


def judge_all_overrides(session: Session, known: Known) -> JudgedOverrides:
    """Of each override that was set a year ago or before: was it, or the score of that day, nearer to what happened?

    Both speak of the twelve months from the day on which it was set. What was ended and set again is one, and counts
    once, by its first day.
    """
    zone = known.zone
    first: dict[int, Any] = {}
    columns = ("account_id", "score", "calculated_risk", "reason_id", "begins_at", "ended_at")
    for row in session.execute(
        select(*(getattr(HealthOverride, name) for name in columns)).order_by(HealthOverride.id)
    ):
        first.setdefault(row.reason_id, row)
    over = [row for row in first.values() if add_months(_day(row.begins_at, zone), MONTHS_OF_A_YEAR) <= known.as_of]
    fates = _load_fates(session, known, account_ids=sorted({row.account_id for row in over}))
    judged = [(row, _left(fates.get(row.account_id, ()), _day(row.begins_at, zone))) for row in over]
    counted = [
        (row, left)
        for row, left in judged
        if left is not None and row.calculated_risk is not None and _stood_overnight(row, zone)
    ]
    judgement = judge_overrides(
        implied_risk(np.array([row.score for row, _ in counted])),
        np.array([row.calculated_risk for row, _ in counted], dtype=np.float64),
        left=np.array([left for _, left in counted], dtype=bool),
        account=np.array([row.account_id for row, _ in counted], dtype=np.int64),
    )
    return JudgedOverrides(judgement, waiting=len(first) - len(over), left_out=len(over) - len(counted))


# In the order of the fields of Override.
OVERRIDE_COLUMNS = tuple(
    FreeText.body.label("reason") if name == "reason" else getattr(HealthOverride, name)
    for name in Override.__dataclass_fields__
)


def join_override(statement: Select[*tuple[Any, ...]], *, account_id: Any, today: Any) -> Select[*tuple[Any, ...]]:
    """The statement with the override in force of each account, none or one: OVERRIDE_COLUMNS can be asked for."""
    is_in_force = and_(
        HealthOverride.account_id == account_id, HealthOverride.ended_at.is_(None), HealthOverride.expires_on > today
    )
    return statement.outerjoin(HealthOverride, is_in_force).outerjoin(FreeText, FreeText.id == HealthOverride.reason_id)


def read_override(columns: Sequence[Any]) -> Override | None:
    """What was asked for by OVERRIDE_COLUMNS."""
    return None if columns[0] is None else Override(*columns)


def _statement() -> Select[*tuple[Any, ...]]:
    return select(*OVERRIDE_COLUMNS).join(FreeText, FreeText.id == HealthOverride.reason_id)


def _override(row: Any) -> Override:
    return Override(**row._asdict())


def _load_fates(session: Session, known: Known, *, account_ids: Sequence[int]) -> Mapping[int, Sequence[Spell]]:
    if not account_ids:
        return {}
    lines = load_recurring_lines(
        session, known_at=known.known_at, grace_days=known.settings.grace_days, account_ids=account_ids
    )
    return {account_id: spells([line.life for line in own], known.as_of) for account_id, own in lines.items()}


def _left(fate: Sequence[Spell], on: date) -> bool | None:
    """Whether an account that was there on a day left within a year of it, by its own choice; None: nobody knows."""
    spell = next(
        (each for each in fate if each.started_on <= on and (each.ended_on is None or each.ended_on > on)), None
    )
    if spell is None:
        return None
    if spell.ended_on is None or spell.ended_on >= add_months(on, MONTHS_OF_A_YEAR):
        return False
    return True if spell.is_churned and spell.cause in {None, CAUSES[VOLUNTARY]} else None


def _stood_overnight(row: Any, zone: ZoneInfo) -> bool:
    return row.ended_at is None or _day(row.ended_at, zone) > _day(row.begins_at, zone)


def _day(at: datetime, zone: ZoneInfo) -> date:
    return at.astimezone(zone).date()

"""Who needs us today: the accounts with the most ARR at risk, those in grace, and what changed overnight."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, and_, func, literal_column, or_, select
from sqlalchemy.orm import Session

from app.domain.months import MONTHS_OF_A_YEAR
from app.models.accounts import AccountVersion, Assignment
from app.models.persons import Person
from app.models.scores import Score, ScoreChange
from app.models.success import Touch
from app.models.users import User
from app.queries.accounts import accounts_of
from app.queries.explanations import load_explanations
from app.queries.known import valid_on
from app.queries.scores import unpack_curve


@dataclass(frozen=True, slots=True)
class Whose:
    """The run and the day that are asked about; `csm` the people whose accounts (empty: everybody's)."""

    run_id: int
    today: date
    csm: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class NeedyAccount:
    """A live account. `churn_lower` and `churn_upper` are the 90 % bounds of the probability within 12 months.

    `last_contact_on`: the last touch before the day; None where there was none.
    """

    id: int
    name: str
    segment: str | None
    status: str
    basis: str
    band: str | None
    health: float | None
    arr_minor: int
    arr_at_risk_minor: int | None
    churn_probability: float | None
    churn_lower: float | None
    churn_upper: float | None
    renewal_on: date | None
    explanation: Mapping[str, Any] | None
    last_contact_on: date | None = None


@dataclass(frozen=True, slots=True)
class Sum:
    accounts: int
    minor: int


@dataclass(frozen=True, slots=True)
class StateChange:
    """`from_state` is None for an account that was not there; states are bands, or statuses where there was none."""

    account_id: int
    name: str
    from_state: str | None
    to_state: str
    direction: str
    arr_minor: int


@dataclass(frozen=True, slots=True)
class Overnight:
    """How many changed for the better and the worse, and the largest of them."""

    counts: Mapping[str, int]
    largest: Sequence[StateChange]


def find_own_people(session: Session, *, user_id: int, email: str | None) -> tuple[int, ...]:
    """The persons who are this user and look after accounts: their own, and staff of other systems with their mail."""
    own = select(User.person_id).where(User.id == user_id).scalar_subquery()
    is_own = Person.id == own
    if email:
        is_own = or_(is_own, func.lower(Person.email) == email.lower())
    assigned = select(Assignment.id).where(
        Assignment.person_id == Person.id, Assignment.role == "csm", Assignment.superseded_change_id.is_(None)
    )
    statement = select(Person.id).where(is_own, Person.kind == "staff", assigned.exists()).order_by(Person.id)
    return tuple(session.scalars(statement))


def load_needy_accounts(session: Session, whose: Whose, *, limit: int) -> list[NeedyAccount]:
    """The live accounts with the most ARR at risk, the most first."""
    statement = _scores(whose).where(Score.arr_at_risk_minor > 0)
    rows = session.execute(statement.order_by(Score.arr_at_risk_minor.desc(), Score.account_id).limit(limit)).all()
    return _describe(session, whose, rows=rows)


def load_accounts_in_grace(session: Session, whose: Whose, *, limit: int) -> list[NeedyAccount]:
    """The accounts whose term is over and that nobody has renewed, the largest first."""
    statement = _scores(whose).where(_in_grace())
    rows = session.execute(statement.order_by(Score.arr_minor.desc(), Score.account_id).limit(limit)).all()
    return _describe(session, whose, rows=rows)


def sum_up_risk(session: Session, whose: Whose) -> Sum:
    """The accounts that can be lost, and their ARR at risk together."""
    statement = select(func.count(), func.coalesce(func.sum(Score.arr_at_risk_minor), 0)).where(
        Score.run_id == whose.run_id, Score.arr_at_risk_minor > 0, *_own(whose)
    )
    count, minor = session.execute(statement).one()
    return Sum(count or 0, int(minor or 0))


def sum_up_grace(session: Session, whose: Whose) -> Sum:
    """The accounts in grace, and their ARR."""
    statement = select(func.count(), func.coalesce(func.sum(Score.arr_minor), 0)).where(
        Score.run_id == whose.run_id, _in_grace(), *_own(whose)
    )
    count, minor = session.execute(statement).one()
    return Sum(count or 0, int(minor or 0))


def load_last_contacts(session: Session, account_ids: Sequence[int], *, before: date) -> dict[int, date]:
    """When we last spoke with each of these accounts."""
    statement = (
        select(Touch.account_id, func.max(Touch.occurred_on))
        .where(Touch.account_id.in_(account_ids), Touch.superseded_change_id.is_(None), Touch.occurred_on < before)
        .group_by(Touch.account_id)
    )
    return {account_id: day for account_id, day in session.execute(statement)}  # noqa: C416  rows are no tuples


def load_overnight(session: Session, whose: Whose, *, limit: int) -> Overnight:
    """What is another than in the run before: counts by direction, and the largest accounts."""
    change = ScoreChange
    where = (change.run_id == whose.run_id, *_own(whose, change.account_id))
    counts = session.execute(select(change.direction, func.count()).where(*where).group_by(change.direction))
    rows = session.execute(
        select(
            change.account_id,
            AccountVersion.name,
            change.from_state,
            change.to_state,
            change.direction,
            change.arr_minor,
        )
        .join(AccountVersion, AccountVersion.account_id == change.account_id)
        .where(*where, *_current_version(whose.today))
        .order_by(change.arr_minor.desc(), change.account_id)
        .limit(limit)
    )
    by_direction = {direction: count for direction, count in counts}  # noqa: C416  rows are no tuples
    return Overnight(by_direction, [StateChange(*row) for row in rows])


def _scores(whose: Whose) -> Any:
    columns = (
        Score.account_id,
        AccountVersion.name,
        AccountVersion.segment,
        *(getattr(Score, name) for name in ("status", "basis", "band", "health", "arr_minor", "arr_at_risk_minor")),
        *(getattr(Score, name) for name in ("churn_probability", "survival_lower", "survival_upper", "renewal_on")),
    )
    joined = and_(AccountVersion.account_id == Score.account_id, *_current_version(whose.today))
    return select(*columns).join(AccountVersion, joined).where(Score.run_id == whose.run_id, *_own(whose))


def _current_version(today: date) -> tuple[ColumnElement[bool], ...]:
    account = AccountVersion
    return account.superseded_change_id.is_(None), account.merged_into_id.is_(None), valid_on(account, today)


def _own(whose: Whose, column: Any = Score.account_id) -> tuple[ColumnElement[bool], ...]:
    return (column.in_(accounts_of(whose.csm, whose.today)),) if whose.csm else ()


def _in_grace() -> ColumnElement[bool]:
    # Written out, for an index of a part of the rows is used only where the part is plain to see.
    return Score.status == literal_column("'in_grace'")


def _needy(row: Any, last_contact_on: date | None, *, explanation: Mapping[str, Any] | None) -> NeedyAccount:
    values = row._asdict()
    lower, upper = values.pop("survival_lower"), values.pop("survival_upper")
    return NeedyAccount(
        id=values.pop("account_id"),
        churn_lower=None if upper is None else _churn(upper),
        churn_upper=None if lower is None else _churn(lower),
        explanation=explanation,
        last_contact_on=last_contact_on,
        **values,
    )


def _describe(session: Session, whose: Whose, *, rows: Sequence[Any]) -> list[NeedyAccount]:
    if not rows:
        return []
    ids = [row.account_id for row in rows]
    contacts = load_last_contacts(session, ids, before=whose.today)
    reasons = load_explanations(session, run_id=whose.run_id, account_ids=ids)
    return [_needy(row, contacts.get(row.account_id), explanation=reasons.get(row.account_id)) for row in rows]


def _churn(survival: bytes) -> float:
    return float(1.0 - unpack_curve(survival)[MONTHS_OF_A_YEAR - 1])

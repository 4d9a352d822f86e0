"""What one account that begins now is to bring, by segment or channel, from the joint draws that the night stored."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from app.domain.features import Floats
from app.domain.ltv import LtvTerms, draws_interval, formula_lifetime_value
from app.models.scores import GroupDraws, NewCustomers
from app.queries.ltv import GivenTerms, PackedValues, complete_terms, unpack_draws, value_packed
from app.queries.runs import Run, load_run
from app.queries.scores import Curve

FEWEST_NEW = 5  # of fewer nothing is said


@dataclass(frozen=True, slots=True, eq=False)
class NewLtv:
    """`values` and `curve`, R from tenure 0, are None where fewer than 5 accounts of the group began in 12 months."""

    group: str
    accounts: int
    began: Mapping[str, int]  # by calendar month, "2026-03"
    mrr_minor: float
    formula: float | None
    values: PackedValues | None
    curve: Curve | None
    expected: Floats | None  # revenue of one account by month, before margin
    draws: Floats | None  # the same in each joint draw


@dataclass(frozen=True, slots=True)
class NewLtvSummary:
    run: Run
    terms: LtvTerms
    level: int
    groups: list[NewLtv]


def load_new_ltv(session: Session, group_by: str, *, given: GivenTerms, level: int) -> NewLtvSummary:
    """Each group of one cut in which an account began in two years, by name; `level` in %. Raises NotReady, Invalid."""
    run = load_run(session)
    terms = complete_terms(session, run, given=given)
    same = (GroupDraws.run_id, GroupDraws.group_by, GroupDraws.group)
    own = (NewCustomers.run_id, NewCustomers.group_by, NewCustomers.group)
    rows = session.execute(
        select(NewCustomers, GroupDraws.monthly_logo_churn)
        .outerjoin(GroupDraws, and_(*(theirs == ours for theirs, ours in zip(same, own, strict=True))))
        .where(NewCustomers.run_id == run.id, NewCustomers.group_by == group_by)
        .order_by(NewCustomers.group)
    )
    return NewLtvSummary(run, terms, level, [_group(row, churn, terms=terms, level=level) for row, churn in rows])


def _group(row: NewCustomers, churn: float | None, *, terms: LtvTerms, level: int) -> NewLtv:
    is_enough = row.accounts >= FEWEST_NEW
    draws = unpack_draws(row.draws, months=row.months) if is_enough else None
    expected = np.frombuffer(row.expected, dtype="<f8") if is_enough else None
    return NewLtv(
        group=row.group,
        accounts=row.accounts,
        began=row.began,
        mrr_minor=row.mrr_minor,
        formula=formula_lifetime_value(row.mrr_minor, churn, gross_margin=terms.gross_margin) if is_enough else None,
        values=value_packed(row, terms=terms, level=level) if is_enough else None,
        curve=None if draws is None or expected is None else _curve(row, expected, draws=draws, level=level),
        expected=expected,
        draws=draws,
    )


def _curve(row: NewCustomers, expected: Floats, *, draws: Floats, level: int) -> Curve:
    """R: the share of the first month's revenue still there, with the spread of the draws about it.

    What one account begins with differs from draw to draw as well: each draw is taken as a share of its own first
    month, in which all but those that leave at once are there. A segment's curve alone can lose nearly all at once.
    """
    begun = np.maximum(draws[:, :1], expected[0] / 10)
    shares = draws / begun * (expected[0] / row.mrr_minor)
    lower, upper = draws_interval(shares, level=level / 100)
    return Curve(expected / row.mrr_minor, lower, np.minimum(upper, 1.0))

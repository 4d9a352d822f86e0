"""Lifetime value from what the night stored: curves of one account, joint draws of a group.

The terms (horizon, discount, margin) are applied here; nothing is fitted and no account is scanned.
Amounts are in minor units of the run's currency, as floats: they are forecasts.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.ltv import (
    LtvTerms,
    draws_interval,
    draws_value,
    expansion_value,
    extrapolated_share,
    formula_lifetime_value,
    lifetime_value,
    month_weights,
)
from app.domain.months import MONTHS_OF_A_YEAR
from app.errors import Invalid
from app.models.accounts import AccountVersion
from app.models.scores import GroupDraws
from app.queries.groups import UNKNOWN
from app.queries.known import in_force, valid_on
from app.queries.runs import Run, load_run
from app.queries.scores import AccountScore, Curve, load_score
from app.queries.settings import load_company_settings

CURVE_LEVEL = 90  # % of the stored bounds


@dataclass(frozen=True, slots=True)
class GivenTerms:
    """What the asker chose; None is the company's setting on the run's date."""

    horizon_months: int | None = None
    annual_discount_rate: Decimal | None = None
    gross_margin: Decimal | None = None


@dataclass(frozen=True, slots=True, eq=False)
class AccountLtv:
    """Values are None where the run has no curve for the account; `formula` also where nothing churned."""

    score: AccountScore
    terms: LtvTerms
    level: int
    residual: float | None
    lower: float | None
    upper: float | None
    expansion: float | None
    formula: float | None
    extrapolated_share: float | None

    @property
    def total(self) -> float | None:
        return None if self.residual is None or self.expansion is None else self.residual + self.expansion


@dataclass(frozen=True, slots=True)
class GroupLtv:
    """Of a group's accounts with a forecast together; `formula` is of one of them, `left_out` has none."""

    group: str
    accounts: int
    arr_minor: int
    left_out_accounts: int
    left_out_arr_minor: int
    residual: float
    lower: float
    upper: float
    expansion: float
    formula: float | None
    extrapolated_share: float

    @property
    def total(self) -> float:
        return self.residual + self.expansion


@dataclass(frozen=True, slots=True)
class LtvSummary:
    run: Run
    terms: LtvTerms
    level: int
    groups: list[GroupLtv]


def load_account_ltv(session: Session, account_id: int, *, given: GivenTerms) -> AccountLtv:
    """Raises NotFound, NotReady as `load_score` does, Invalid for a horizon beyond the forecast."""
    score = load_score(session, account_id)
    terms = complete_terms(session, score.run, given=given)
    nothing: dict[str, Any] = dict.fromkeys(
        ("residual", "lower", "upper", "expansion", "formula", "extrapolated_share")
    )
    if score.retention is None:
        return AccountLtv(score, terms, CURVE_LEVEL, **nothing)
    _check_horizon(terms, months=len(score.retention.estimate))
    churn = _segment_churn(session, account_id, run=score.run)
    return AccountLtv(score, terms, CURVE_LEVEL, **_values(score, score.retention, terms=terms, churn=churn))


def load_ltv_summary(session: Session, group_by: str, *, given: GivenTerms, level: int) -> LtvSummary:
    """Each group of one cut, in the order of names; `level` in %. Raises NotReady, Invalid."""
    run = load_run(session)
    terms = complete_terms(session, run, given=given)
    rows = session.scalars(
        select(GroupDraws)
        .where(GroupDraws.run_id == run.id, GroupDraws.group_by == group_by)
        .order_by(GroupDraws.group)
    )
    return LtvSummary(run, terms, level, [_group(row, terms, level=level) for row in rows])


def complete_terms(session: Session, run: Run, *, given: GivenTerms) -> LtvTerms:
    """The terms given, and the company's settings on the run's date for those that were not."""
    settings = load_company_settings(session, as_of=run.as_of, known_at=run.known_at)
    discount, margin = given.annual_discount_rate, given.gross_margin
    return LtvTerms(
        horizon_months=given.horizon_months or settings.ltv_horizon_months,
        annual_discount_rate=float(settings.annual_discount_rate if discount is None else discount),
        gross_margin=float(settings.gross_margin if margin is None else margin),
    )


def _check_horizon(terms: LtvTerms, *, months: int) -> None:
    if terms.horizon_months > months:
        said = f"The forecast reaches {months} months ahead; choose a horizon_months up to that."
        raise Invalid(said, {"horizon_months": [said]})


def _values(score: AccountScore, curve: Curve, *, terms: LtvTerms, churn: float | None) -> dict[str, float | None]:
    monthly = score.arr_minor / MONTHS_OF_A_YEAR
    mrr, drift = np.array([monthly]), np.array([score.monthly_drift or 0.0])
    residual, lower, upper = lifetime_value(
        np.array([monthly]), np.stack([curve.estimate, curve.lower, curve.upper]), terms=terms
    )
    supported = np.array([score.supported_months or 0])
    return {
        "residual": float(residual),
        "lower": float(lower),
        "upper": float(upper),
        "expansion": float(expansion_value(mrr, curve.estimate[None, :], drift=drift, terms=terms)[0]),
        "formula": formula_lifetime_value(monthly, churn, gross_margin=terms.gross_margin),
        "extrapolated_share": float(extrapolated_share(curve.estimate[None, :], supported, terms=terms)[0]),
    }


def _segment_churn(session: Session, account_id: int, *, run: Run) -> float | None:
    """The monthly logo churn of the segment that the account was in on the run's date."""
    segment = (
        select(AccountVersion.segment)
        .where(
            AccountVersion.account_id == account_id,
            in_force(AccountVersion, run.known_at),
            valid_on(AccountVersion, run.as_of),
        )
        .scalar_subquery()
    )
    return session.scalar(
        select(GroupDraws.monthly_logo_churn).where(
            GroupDraws.run_id == run.id,
            GroupDraws.group_by == "segment",
            GroupDraws.group == func.coalesce(segment, UNKNOWN),
        )
    )


def _group(row: GroupDraws, terms: LtvTerms, *, level: int) -> GroupLtv:
    _check_horizon(terms, months=row.months)
    weights = month_weights(terms, months=row.months)
    draws = np.frombuffer(row.draws, dtype="<f4").astype(np.float64).reshape(-1, 1, row.months)
    lower, upper = draws_interval(draws_value(draws, terms=terms), level=level / 100)
    expected, expansion, extrapolated = (
        float(np.frombuffer(packed, dtype="<f8") @ weights)
        for packed in (row.expected, row.expected_expansion, row.extrapolated)
    )
    arpa = row.arr_minor / MONTHS_OF_A_YEAR / max(row.accounts, 1)
    return GroupLtv(
        group=row.group,
        accounts=row.accounts,
        arr_minor=row.arr_minor,
        left_out_accounts=row.left_out_accounts,
        left_out_arr_minor=row.left_out_arr_minor,
        residual=expected,
        lower=float(lower[0]),
        upper=float(upper[0]),
        expansion=expansion,
        formula=formula_lifetime_value(arpa, row.monthly_logo_churn, gross_margin=terms.gross_margin)
        if row.accounts
        else None,
        extrapolated_share=extrapolated / expected if expected else 0.0,
    )

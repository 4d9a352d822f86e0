"""Lifetime value from what the night stored: curves of one account, joint draws of a group.

The terms (horizon, discount, margin) are applied here; nothing is fitted and no account is scanned.
Amounts are in minor units of the run's currency, as floats: they are forecasts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.features import Floats
from app.domain.ltv import (
    LtvTerms,
    bounds_at,
    draws_interval,
    draws_value,
    expansion_value,
    extrapolated_share,
    formula_lifetime_value,
    lifetime_value,
    month_weights,
)
from app.domain.months import MONTHS_OF_A_YEAR
from app.domain.process_noise import realised_interval
from app.domain.survival import FORECAST_MONTHS
from app.errors import Invalid
from app.models.accounts import AccountVersion
from app.models.persons import Person
from app.models.products import Product, ProductVersion
from app.models.scores import GroupDraws, Score
from app.queries.earned import load_earned
from app.queries.facts import Known
from app.queries.groups import UNKNOWN
from app.queries.ids import BATCH
from app.queries.known import in_force, valid_on
from app.queries.runs import Run, load_run
from app.queries.scores import AccountScore, Curve, load_score, unpack_curve
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
    """Values are None where the run has no curve for the account; `formula` also where nothing churned.

    `historical` is what it earned to date, of those that left, too.
    """

    score: AccountScore
    terms: LtvTerms
    level: int
    residual: float | None
    lower: float | None
    upper: float | None
    expansion: float | None
    formula: float | None
    extrapolated_share: float | None
    historical: int | None

    @property
    def total(self) -> float | None:
        return None if self.residual is None or self.expansion is None else self.residual + self.expansion


@dataclass(frozen=True, slots=True)
class PackedValues:
    """What stored months and draws of money are worth at some terms."""

    residual: float
    lower: float
    upper: float
    expansion: float
    extrapolated_share: float
    realised: tuple[float, float] | None  # the interval of what will come in, chance included

    @property
    def total(self) -> float:
        return self.residual + self.expansion


@dataclass(frozen=True, slots=True)
class ListedLtv:
    """Of one of many accounts; None where the run has no curve for it."""

    residual: float | None
    lower: float | None
    upper: float | None
    expansion: float | None

    @property
    def total(self) -> float | None:
        return None if self.residual is None or self.expansion is None else self.residual + self.expansion


@dataclass(frozen=True, slots=True)
class GroupLtv:
    """Of a group's accounts with a forecast together; `formula` is of one of them, `left_out` has none.

    `label` is what people call the group: the name of an owner or a product.
    """

    group: str
    label: str
    accounts: int
    arr_minor: int
    left_out_accounts: int
    left_out_arr_minor: int
    values: PackedValues
    formula: float | None


@dataclass(frozen=True, slots=True)
class LtvSummary:
    run: Run
    terms: LtvTerms
    level: int
    groups: list[GroupLtv]


def load_account_ltv(session: Session, account_id: int, *, given: GivenTerms, level: int = CURVE_LEVEL) -> AccountLtv:
    """`level` in %. Raises NotFound, NotReady as `load_score` does, Invalid for a horizon beyond the forecast."""
    score = load_score(session, account_id)
    terms = complete_terms(session, score.run, given=given)
    historical = _historical(session, score, given=given)
    nothing: dict[str, Any] = dict.fromkeys(
        ("residual", "lower", "upper", "expansion", "formula", "extrapolated_share")
    )
    if score.retention is None:
        return AccountLtv(score, terms, level, **nothing, historical=historical)
    _check_horizon(terms, months=len(score.retention.estimate))
    churn = _segment_churn(session, account_id, run=score.run)
    curve = at_level(score.retention, level)
    return AccountLtv(score, terms, level, **_values(score, curve, terms=terms, churn=churn), historical=historical)


def load_listed_ltv(
    session: Session, account_ids: Sequence[int], *, run: Run, terms: LtvTerms, level: int
) -> dict[int, ListedLtv]:
    """Of many accounts at once, at any terms: from the curves that the run stored."""
    _check_horizon(terms, months=FORECAST_MONTHS)
    found: dict[int, ListedLtv] = {}
    columns = (Score.retention, Score.retention_lower, Score.retention_upper)
    instead = (Score.survival, Score.survival_lower, Score.survival_upper)
    curves = [func.coalesce(own, other) for own, other in zip(columns, instead, strict=True)]
    for start in range(0, len(account_ids), BATCH):
        ids = account_ids[start : start + BATCH]
        statement = select(Score.account_id, Score.arr_minor, Score.monthly_drift, *curves).where(
            Score.run_id == run.id, Score.account_id.in_(ids), Score.survival.is_not(None)
        )
        rows = session.execute(statement).all()
        if rows:
            found |= _list_values(rows, terms=terms, level=level)
    return {i: found.get(i, ListedLtv(None, None, None, None)) for i in account_ids}


def load_historical(session: Session, account_ids: Sequence[int], *, run: Run) -> dict[int, int | None]:
    """What each account earned to date, as the run stored it."""
    found: dict[int, int | None] = {}
    for start in range(0, len(account_ids), BATCH):
        statement = select(Score.account_id, Score.ltv_historical_minor).where(
            Score.run_id == run.id, Score.account_id.in_(account_ids[start : start + BATCH])
        )
        found |= dict(session.execute(statement).all())
    return found


def at_level(curve: Curve, level: int) -> Curve:
    """The curve with its bounds moved from the level they are stored at to another."""
    if level == CURVE_LEVEL:
        return curve
    lower, upper = (
        bounds_at(curve.estimate, bound, stored_level=CURVE_LEVEL / 100, level=level / 100)
        for bound in (curve.lower, curve.upper)
    )
    return Curve(curve.estimate, lower, upper)


def load_ltv_summary(session: Session, group_by: str, *, given: GivenTerms, level: int) -> LtvSummary:
    """Each group of one cut, in the order of names; `level` in %. Raises NotReady, Invalid."""
    run = load_run(session)
    terms = complete_terms(session, run, given=given)
    rows = session.scalars(
        select(GroupDraws)
        .where(GroupDraws.run_id == run.id, GroupDraws.group_by == group_by)
        .order_by(GroupDraws.group)
    )
    labels = load_labels(session, group_by, run=run)
    return LtvSummary(run, terms, level, [_group(row, labels, terms=terms, level=level) for row in rows])


def load_labels(session: Session, group_by: str, *, run: Run) -> dict[str, str]:
    """Names of groups that are stored by an id; those of other cuts are names."""
    if group_by == "owner":
        staff = session.execute(select(Person.id, Person.name).where(Person.kind == "staff"))
        return {str(person_id): name for person_id, name in staff}
    if group_by == "product":
        version = ProductVersion
        named = session.execute(
            select(Product.sku, version.name)
            .join(version, version.product_id == Product.id)
            .where(in_force(version, run.known_at))
            .order_by(Product.sku, version.valid_from)
        )
        return dict(named.all())
    return {}


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


def _list_values(rows: Sequence[Any], *, terms: LtvTerms, level: int) -> dict[int, ListedLtv]:
    mrr = np.array([row[1] for row in rows]) / MONTHS_OF_A_YEAR
    drift = np.array([row[2] or 0.0 for row in rows])
    stacked = (np.stack([unpack_curve(row[n]) for row in rows]) for n in (3, 4, 5))
    curve = at_level(Curve(*stacked), level)
    residual, lower, upper = (
        lifetime_value(mrr, each, terms=terms).tolist() for each in (curve.estimate, curve.lower, curve.upper)
    )
    expansion = expansion_value(mrr, curve.estimate, drift=drift, terms=terms).tolist()
    each_of = zip(residual, lower, upper, expansion, strict=True)
    return {row[0]: ListedLtv(*values) for row, values in zip(rows, each_of, strict=True)}


def _historical(session: Session, score: AccountScore, *, given: GivenTerms) -> int | None:
    """What the run stored; at a margin of the asker's own, added up anew as it was known to the run."""
    if given.gross_margin is None:
        return score.ltv_historical_minor
    settings = load_company_settings(session, as_of=score.run.as_of, known_at=score.run.known_at)
    known = Known(score.run.as_of, score.run.known_at, settings)
    earned = load_earned(session, known, between=(score.account_id, score.account_id), gross_margin=given.gross_margin)
    return earned.get(score.account_id)


class Packed(Protocol):
    """Money by month and its joint draws, as the night stores them."""

    months: Any
    expected: Any
    expected_expansion: Any
    extrapolated: Any
    draws: Any


def value_packed(row: Packed, *, terms: LtvTerms, level: int, process: bytes | None = None) -> PackedValues:
    """The value at the terms, with the interval of the draws at `level` (in %); with `process`, of chance as well."""
    _check_horizon(terms, months=row.months)
    weights = month_weights(terms, months=row.months)
    drawn = draws_value(unpack_draws(row.draws, months=row.months)[:, None], terms=terms)
    lower, upper = draws_interval(drawn, level=level / 100)
    expected, expansion, extrapolated = (
        float(np.frombuffer(packed, dtype="<f8") @ weights)
        for packed in (row.expected, row.expected_expansion, row.extrapolated)
    )
    return PackedValues(
        residual=expected,
        lower=float(lower[0]),
        upper=float(upper[0]),
        expansion=expansion,
        extrapolated_share=extrapolated / expected if expected else 0.0,
        realised=_realised(drawn[:, 0], process, weights=weights, level=level),
    )


def _realised(drawn: Floats, process: bytes | None, *, weights: Floats, level: int) -> tuple[float, float] | None:
    if process is None:
        return None
    covariance = np.frombuffer(process, dtype="<f4").astype(np.float64).reshape(len(weights), -1)
    return realised_interval(drawn, float(weights @ covariance @ weights), level=level / 100)


def unpack_draws(packed: bytes, *, months: int) -> Floats:
    """Stored draws (draws x months)."""
    return np.frombuffer(packed, dtype="<f4").astype(np.float64).reshape(-1, months)


def _group(row: GroupDraws, labels: Mapping[str, str], *, terms: LtvTerms, level: int) -> GroupLtv:
    arpa = row.arr_minor / MONTHS_OF_A_YEAR / max(row.accounts, 1)
    return GroupLtv(
        group=row.group,
        label=labels.get(row.group, row.group),
        accounts=row.accounts,
        arr_minor=row.arr_minor,
        left_out_accounts=row.left_out_accounts,
        left_out_arr_minor=row.left_out_arr_minor,
        values=value_packed(row, terms=terms, level=level, process=row.process),
        formula=formula_lifetime_value(arpa, row.monthly_logo_churn, gross_margin=terms.gross_margin)
        if row.accounts
        else None,
    )

"""What the night computes: runs, the pointer to the published one, and what each said."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Integer, LargeBinary, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, UTCDateTime
from app.models.versions import Id

IN_GRACE = text("status = 'in_grace'")


class ModelRun(Base):
    """One fit and scoring as of a date, from what was known at an instant. Never changed once published.

    `document` is the model as JSON numbers, `sha256` its digest.
    """

    __tablename__ = "model_runs"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    kind: Mapped[str] = mapped_column(String(30))  # churn
    as_of: Mapped[date]
    known_at: Mapped[datetime] = mapped_column(UTCDateTime)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    definition: Mapped[str] = mapped_column(String(50))
    basis: Mapped[str] = mapped_column(String(20))  # account, segment, prior, not_applicable
    basis_reason: Mapped[str] = mapped_column(Text)
    currency: Mapped[str] = mapped_column(String(3))
    document: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(String(64))
    report: Mapped[dict[str, Any]] = mapped_column(JSON)  # counts, guards, defaults used for LTV
    published_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # null: no reader ever saw it
    compared_with_id: Mapped[int | None]  # the run that was published before; null: none was

    # With all that the chain of runs is made of: the rows themselves are long.
    __table_args__ = (Index("ix_model_runs_kind", "kind", "as_of", "compared_with_id"),)


class PublishedRun(Base):
    """The one pointer per kind: readers see the old run or the new, whole."""

    __tablename__ = "published_runs"

    kind: Mapped[str] = mapped_column(String(30), primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("model_runs.id"))


class Score(Base):
    """What a run says of an account.

    Curves are little-endian float32, one value a month ahead: `survival` S(k) of the account,
    `retention` R(k) of its revenue, and their bounds at 90 %. LTV at the run's default horizon,
    discount and margin is stored to sort by; any other is computed from R.

    `contributions` are little-endian float64: the logit of the reference account's risk, then what each of
    the run's drivers adds to it (`report["drivers"]`, in order), up to the logit of this account's. With the
    values in `feature_snapshots` they say why (app/queries/explanations.py).
    """

    __tablename__ = "scores"

    run_id: Mapped[int] = mapped_column(ForeignKey("model_runs.id"), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), primary_key=True, index=True)
    status: Mapped[str] = mapped_column(String(20))  # live, in_grace, churned, upcoming, not_applicable
    basis: Mapped[str] = mapped_column(String(20))
    arr_minor: Mapped[int] = mapped_column(BigInteger)  # in the run's currency
    tenure_months: Mapped[int | None] = mapped_column(Integer)
    started_on: Mapped[date | None]
    renewal_on: Mapped[date | None]
    survival: Mapped[bytes | None] = mapped_column(LargeBinary)
    survival_lower: Mapped[bytes | None] = mapped_column(LargeBinary)
    survival_upper: Mapped[bytes | None] = mapped_column(LargeBinary)
    retention: Mapped[bytes | None] = mapped_column(LargeBinary)  # null where equal to survival
    retention_lower: Mapped[bytes | None] = mapped_column(LargeBinary)
    retention_upper: Mapped[bytes | None] = mapped_column(LargeBinary)
    churn_probability: Mapped[float | None]  # within 12 months
    arr_at_risk_minor: Mapped[int | None] = mapped_column(BigInteger)  # ARR x churn_probability: who needs us first
    renewal_churn_probability: Mapped[float | None]  # up to and at the next renewal
    risk: Mapped[float | None]  # p*, the yearly churn probability that health maps
    health: Mapped[float | None]  # 0 to 100; null: withheld, or none
    band: Mapped[str | None] = mapped_column(String(10))  # healthy, watch, at_risk; null: withheld
    coverage: Mapped[float | None]
    contributions: Mapped[bytes | None] = mapped_column(LargeBinary)
    ltv_residual_minor: Mapped[int | None] = mapped_column(BigInteger)
    ltv_residual_lower_minor: Mapped[int | None] = mapped_column(BigInteger)
    ltv_residual_upper_minor: Mapped[int | None] = mapped_column(BigInteger)
    ltv_expansion_minor: Mapped[int | None] = mapped_column(BigInteger)
    monthly_drift: Mapped[float | None]
    supported_months: Mapped[int | None]  # beyond this month the curve is extrapolated
    # Within 1, 3, 6 and 12 months, each by cause (voluntary, payment_failure, closed), little-endian float32; the
    # last three add up to churn_probability (app/domain/causes.py packs and unpacks them).
    cause_probabilities: Mapped[bytes | None] = mapped_column(LargeBinary)
    ltv_historical_minor: Mapped[int | None] = mapped_column(BigInteger)  # gross margin earned to date
    # What moved the health since the run that this one is compared with, in points (app/domain/health_change.py):
    # float64 each of behaviour, calendar, late data, model refit, configuration; null where there was none before.
    # An account that the other run had no risk for is compared with the last run that had one.
    health_moves: Mapped[bytes | None] = mapped_column(LargeBinary)

    __table_args__ = (
        Index("ix_scores_run_id_churn_probability", "run_id", "churn_probability"),
        Index("ix_scores_run_id_health", "run_id", "health"),
        Index("ix_scores_run_id_arr_minor", "run_id", "arr_minor"),
        Index("ix_scores_run_id_arr_at_risk_minor", "run_id", "arr_at_risk_minor"),
        Index("ix_scores_in_grace", "run_id", "arr_minor", sqlite_where=IN_GRACE, postgresql_where=IN_GRACE),
        Index("ix_scores_run_id_ltv_residual_minor", "run_id", "ltv_residual_minor"),
        Index("ix_scores_run_id_renewal_on", "run_id", "renewal_on"),
        Index("ix_scores_run_id_tenure_months", "run_id", "tenure_months"),
    )


class NewCustomers(Base):
    """What one customer of a group that begins now is to bring: as `GroupDraws`, but of one, from tenure 0.

    It is the mean of those that began in the last 12 months, as they were in their first month.
    """

    __tablename__ = "new_customers"

    run_id: Mapped[int] = mapped_column(ForeignKey("model_runs.id"), primary_key=True)
    group_by: Mapped[str] = mapped_column(String(30), primary_key=True)  # all, segment, channel
    group: Mapped[str] = mapped_column("group_name", String(200), primary_key=True)
    accounts: Mapped[int]  # whose mean this is
    mrr_minor: Mapped[float]  # of one of them, in the run's currency
    began: Mapped[dict[str, int]] = mapped_column(JSON)  # how many accounts began in each calendar month, "2026-03"
    months: Mapped[int]
    expected: Mapped[bytes] = mapped_column(LargeBinary)  # months, float64: MRR x R, the mean over the accounts
    expected_expansion: Mapped[bytes] = mapped_column(LargeBinary)
    extrapolated: Mapped[bytes] = mapped_column(LargeBinary)
    draws: Mapped[bytes] = mapped_column(LargeBinary)  # draws x months, float32


class Backtest(Base):
    """A forecast of the past held against what happened: of one origin, by one way of forecasting."""

    __tablename__ = "backtests"

    run_id: Mapped[int] = mapped_column(ForeignKey("model_runs.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(30), primary_key=True)  # churn, cross_sell, upsell
    origin: Mapped[date] = mapped_column(primary_key=True)
    way: Mapped[str] = mapped_column(String(40), primary_key=True)  # learned, defaults, or a baseline by its name
    report: Mapped[dict[str, Any]] = mapped_column(JSON)


class ScoreChange(Base):
    """An account whose band or status is another than in the run that was published before."""

    __tablename__ = "score_changes"

    run_id: Mapped[int] = mapped_column(ForeignKey("model_runs.id"), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    from_state: Mapped[str | None] = mapped_column(String(20))  # band, or status without one; null: new
    to_state: Mapped[str] = mapped_column(String(20))
    direction: Mapped[str] = mapped_column(String(10))  # better, worse, other
    arr_minor: Mapped[int] = mapped_column(BigInteger)  # the larger of the two: how much it is about


class FeatureSnapshot(Base):
    """The feature values (little-endian float64, in the order of the run's document) an account was scored on.

    With the length of its term and the days in `Score` they are all that its health rests on, whatever comes late.
    """

    __tablename__ = "feature_snapshots"

    run_id: Mapped[int] = mapped_column(ForeignKey("model_runs.id"), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    landmark: Mapped[date]
    values: Mapped[bytes] = mapped_column(LargeBinary)
    coverage: Mapped[float]
    term_months: Mapped[int | None]


class GroupDraws(Base):
    """Joint posterior draws of a group's undiscounted revenue by month (draws x months, float32)."""

    __tablename__ = "group_draws"

    run_id: Mapped[int] = mapped_column(ForeignKey("model_runs.id"), primary_key=True)
    group_by: Mapped[str] = mapped_column(String(30), primary_key=True)
    group: Mapped[str] = mapped_column("group_name", String(200), primary_key=True)
    accounts: Mapped[int]
    arr_minor: Mapped[int] = mapped_column(BigInteger)
    # In ARR but without a forecast: in grace, or begun on the very day.
    left_out_accounts: Mapped[int]
    left_out_arr_minor: Mapped[int] = mapped_column(BigInteger)
    months: Mapped[int]
    expected: Mapped[bytes] = mapped_column(LargeBinary)  # months, float64: MRR x R summed over the accounts
    expected_expansion: Mapped[bytes] = mapped_column(LargeBinary)
    extrapolated: Mapped[bytes] = mapped_column(LargeBinary)  # the part of `expected` beyond the observed tenure
    draws: Mapped[bytes] = mapped_column(LargeBinary)
    # What chance adds: the covariance of realised revenue by month about the expected (months x months, float32).
    process: Mapped[bytes | None] = mapped_column(LargeBinary)
    monthly_logo_churn: Mapped[float | None]  # over the last 12 months, for the formula LTV


class RetentionCurve(Base):
    """Kaplan-Meier of a group as of the run's date, with interval and numbers at risk."""

    __tablename__ = "retention_curves"

    run_id: Mapped[int] = mapped_column(ForeignKey("model_runs.id"), primary_key=True)
    group_by: Mapped[str] = mapped_column(String(30), primary_key=True)
    group: Mapped[str] = mapped_column("group_name", String(200), primary_key=True)
    curve: Mapped[dict[str, Any]] = mapped_column(JSON)

"""How the published run did on the year behind it: what the night wrote down, as values."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.backtest import Backtest, Estimate, Ranking, RiskGroup
from app.models.accounts import AccountVersion
from app.queries.known import valid_on


@dataclass(frozen=True, slots=True)
class Missed:
    """An account that left although it was rated `rank`-th safest. `name` is today's; none where it was merged away."""

    account_id: int
    name: str | None
    probability: float
    rank: int
    churned_on: date


@dataclass(frozen=True, slots=True)
class ModelReport:
    """`reason` says why there is no backtest: too_young, nobody, no_fit, segment, not_applicable; or not_run.

    `origin_on` is the day of the forecast that was held against the year after it, `learned_from_churns` what it
    knew by then. `is_sample`: of a part of the accounts, drawn at random.
    """

    reason: str | None
    backtest: Backtest | None = None
    origin_on: date | None = None
    learned_from_churns: int = 0
    is_sample: bool = False
    n_missed: int = 0
    missed: tuple[Missed, ...] = ()


def load_model_report(session: Session, report: dict[str, Any], *, today: date) -> ModelReport:
    """The backtest in a run's report, with the names of the accounts it missed."""
    stored = report.get("backtest")
    if stored is None:
        return ModelReport("not_run")
    origin_on = date.fromisoformat(stored["origin"]) if "origin" in stored else None
    if "reason" in stored:
        return ModelReport(stored["reason"], origin_on=origin_on)
    names = _load_names(session, [missed["account_id"] for missed in stored["missed"]], today=today)
    return ModelReport(
        reason=None,
        backtest=_read_backtest(stored),
        origin_on=origin_on,
        learned_from_churns=stored["learned_from_churns"],
        is_sample=stored["is_sample"],
        n_missed=stored["n_missed"],
        missed=tuple(_read_missed(missed, names) for missed in stored["missed"]),
    )


def _load_names(session: Session, account_ids: list[int], *, today: date) -> dict[int, str]:
    account = AccountVersion
    rows = session.execute(
        select(account.account_id, account.name).where(
            account.account_id.in_(account_ids),
            account.superseded_change_id.is_(None),
            account.merged_into_id.is_(None),
            valid_on(account, today),
        )
    )
    return {row.account_id: row.name for row in rows}


def _read_backtest(stored: dict[str, Any]) -> Backtest:
    plain = ("accounts", "churns", "undecided", "expected", "brier", "slope", "calibration_error", "lift")
    return Backtest(
        **{name: stored[name] for name in (*plain, "ranking", "total")},
        ratio=Estimate(**stored["ratio"]),
        accuracy=Estimate(**stored["accuracy"]),
        rankings=tuple(Ranking(each["months"], each["churns"], Estimate(**each["auc"])) for each in stored["rankings"]),
        groups=tuple(
            RiskGroup(**(each | {"observed_share": Estimate(**each["observed_share"])})) for each in stored["groups"]
        ),
    )


def _read_missed(stored: dict[str, Any], names: dict[int, str]) -> Missed:
    account_id = stored["account_id"]
    churned_on = date.fromisoformat(stored["churned_on"])
    return Missed(account_id, names.get(account_id), stored["probability"], stored["rank"], churned_on)

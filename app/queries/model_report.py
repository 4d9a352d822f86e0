"""How right the model is: what the night wrote down of the years behind the published run, as values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.backtest import Backtest, Estimate, Ranking, RiskGroup, Slice, TopList
from app.domain.baselines import WAYS
from app.domain.follow_up import FollowUp
from app.domain.gate import NOT_JUDGED, Gate
from app.domain.input_drift import InputDrift
from app.models import scores
from app.models.accounts import AccountVersion
from app.queries.known import valid_on
from app.queries.runs import CHURN

NOT_RUN = "not_run"
ESTIMATES = ("ratio", "brier", "accuracy", "slope", "calibration_error", "lift")
PLAIN = ("accounts", "churns", "undecided", "expected", "error_by_chance", "ranking", "total")


@dataclass(frozen=True, slots=True)
class Missed:
    """An account that left although it was rated `rank`-th safest. `name` is today's; none where it was merged away."""

    account_id: int
    name: str | None
    probability: float
    rank: int
    churned_on: date


@dataclass(frozen=True, slots=True)
class Way:
    """A way of forecasting (`app.domain.baselines.WAYS`), and how it did."""

    way: str
    figures: Backtest


@dataclass(frozen=True, slots=True)
class YearBehind:
    """A forecast of `origin_on`, by each way of forecasting, against the year after it; why there is none, `reason`.

    `learned_from_churns` is what was known by then; `missed` are the safest of `n_missed`, by the way that is shown.
    """

    origin_on: date
    reason: str | None
    ways: tuple[Way, ...] = ()
    learned_from_churns: int = 0
    n_missed: int = 0
    missed: tuple[Missed, ...] = ()

    def of(self, way: str) -> Backtest:
        return next(each.figures for each in self.ways if each.way == way)


@dataclass(frozen=True, slots=True)
class Since:
    """What the published run of `as_of` said, against what has happened since."""

    run_id: int
    as_of: date
    found: FollowUp


@dataclass(frozen=True, slots=True)
class ModelReport:
    """`reason` says why no year was looked back on: too_young, nobody, no_fit, segment, not_applicable; or not_run.

    `years` are the latest first. `is_sample`: of a part of the accounts, drawn at random.
    """

    reason: str | None
    years: tuple[YearBehind, ...] = ()
    gate: Gate = NOT_JUDGED
    inputs: tuple[InputDrift, ...] = ()
    since: tuple[Since, ...] = ()
    is_sample: bool = False

    @property
    def latest(self) -> YearBehind | None:
        """The latest year that could be looked back on."""
        return next((year for year in self.years if year.ways), None)


def load_model_report(session: Session, report: Mapping[str, Any], *, run_id: int, today: date) -> ModelReport:
    """The backtests of a run and its `report`, with the names of the accounts that were missed."""
    said = report.get("evaluation")
    if said is None:
        return ModelReport(NOT_RUN)
    stored = _load_backtests(session, run_id)
    gate = _read_gate(said["gate"])
    missed = [each["account_id"] for ways in stored.values() for each in ways[gate.verdict]["missed"]]
    names = _load_names(session, missed, today=today)
    failed = {date.fromisoformat(each["origin"]): each["reason"] for each in said["origins"]}
    years = [_read_year(origin, ways, shown=gate.verdict, names=names) for origin, ways in stored.items()]
    years += [YearBehind(origin, reason) for origin, reason in failed.items()]
    return ModelReport(
        reason=said["reason"],
        years=tuple(sorted(years, key=lambda year: year.origin_on, reverse=True)),
        gate=gate,
        inputs=tuple(InputDrift(**each) for each in said["inputs"]),
        since=tuple(_read_since(said["since"])),
        is_sample=said["is_sample"],
    )


def _load_backtests(session: Session, run_id: int) -> dict[date, dict[str, dict[str, Any]]]:
    table = scores.Backtest
    rows = session.execute(
        select(table.origin, table.way, table.report).where(table.run_id == run_id, table.kind == CHURN)
    )
    found: dict[date, dict[str, dict[str, Any]]] = {}
    for origin, way, report in rows:
        found.setdefault(origin, {})[way] = report
    return found


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


def _read_year(origin: date, ways: Mapping[str, Any], *, shown: str, names: Mapping[int, str]) -> YearBehind:
    said = ways[shown]
    return YearBehind(
        origin_on=origin,
        reason=None,
        ways=tuple(Way(way, _read_backtest(ways[way])) for way in WAYS if way in ways),
        learned_from_churns=said["learned_from_churns"],
        n_missed=said["n_missed"],
        missed=tuple(_read_missed(each, names) for each in said["missed"]),
    )


def _read_backtest(stored: Mapping[str, Any]) -> Backtest:
    top = stored["top"]
    shares = ("precision", "caught", "lift")
    figures: dict[str, Any] = {name: stored[name] for name in PLAIN}
    figures |= {name: Estimate(**stored[name]) for name in ESTIMATES}
    return Backtest(
        **figures,
        rankings=tuple(Ranking(each["months"], each["churns"], Estimate(**each["auc"])) for each in stored["rankings"]),
        top=TopList(top["accounts"], top["churns"], **{name: Estimate(**top[name]) for name in shares}),
        groups=tuple(
            RiskGroup(**(each | {"observed_share": Estimate(**each["observed_share"])})) for each in stored["groups"]
        ),
        slices=tuple(Slice(**(each | {"ratio": Estimate(**each["ratio"])})) for each in stored["slices"]),
    )


def _read_missed(stored: Mapping[str, Any], names: Mapping[int, str]) -> Missed:
    account_id = stored["account_id"]
    churned_on = date.fromisoformat(stored["churned_on"])
    return Missed(account_id, names.get(account_id), stored["probability"], stored["rank"], churned_on)


def _read_gate(stored: dict[str, Any]) -> Gate:
    return Gate(**(stored | {name: Estimate(**stored[name]) for name in ("gain", "ratio")}))


def _read_since(stored: list[dict[str, Any]]) -> Iterator[Since]:
    for each in stored:
        figures = {name: each[name] for name in FollowUp.__dataclass_fields__}
        found = FollowUp(**(figures | {name: Estimate(**each[name]) for name in ("ratio", "auc")}))
        yield Since(each["run_id"], date.fromisoformat(each["as_of"]), found)

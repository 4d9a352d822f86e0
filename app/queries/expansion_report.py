"""How right the forecasts of expansion were: what the night kept with the published run."""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.expansion_moves import CROSS_SELL, UPSELL
from app.domain.expansion_rankers import RANKERS
from app.models.scores import Backtest


@dataclass(frozen=True, slots=True)
class RankerRecord:
    """A way of ranking products over all origins; `lift` is the mean of those that have one."""

    way: str
    buyers: int
    hits: int
    lift: float | None
    is_used: bool


@dataclass(frozen=True, slots=True)
class SeatRecord:
    """How many were expected to buy more seats in the half year after the origin, and how many did."""

    origin_on: date
    accounts: int
    expected: float
    observed: int


@dataclass(frozen=True, slots=True)
class ExpansionReport:
    """`reason`: chosen or too_few; None where no half year could be looked back on. Origins with the latest first."""

    rankers: tuple[RankerRecord, ...]
    reason: str | None
    looked_at: int  # of how many best products a hit was counted
    cross_sell_has_level: bool
    seats: tuple[SeatRecord, ...]
    upsell_has_level: bool


def load_expansion_report(session: Session, run_id: int) -> ExpansionReport:
    statement = (
        select(Backtest.kind, Backtest.origin, Backtest.way, Backtest.report)
        .where(Backtest.run_id == run_id, Backtest.kind.in_((CROSS_SELL, UPSELL)))
        .order_by(Backtest.origin.desc())
    )
    rows = session.execute(statement).all()
    ranked = [(row.way, row.report) for row in rows if row.kind == CROSS_SELL]
    seats = [row for row in rows if row.kind == UPSELL]
    return ExpansionReport(
        rankers=tuple(_record(way, [report for own, report in ranked if own == way]) for way in _ways(ranked)),
        reason=ranked[0][1]["reason"] if ranked else None,
        looked_at=max((report["looked_at"] for _, report in ranked), default=0),
        cross_sell_has_level=any(report["has_level"] for _, report in ranked),
        seats=tuple(
            SeatRecord(row.origin, row.report["accounts"], row.report["expected"], row.report["observed"])
            for row in seats
        ),
        upsell_has_level=any(row.report["has_level"] for row in seats),
    )


def _ways(ranked: list[tuple[str, dict[str, object]]]) -> list[str]:
    return [way for way in RANKERS if way in {own for own, _ in ranked}]


def _record(way: str, reports: list[dict[str, float]]) -> RankerRecord:
    lifts = [report["lift"] for report in reports if report["lift"] is not None]
    return RankerRecord(
        way=way,
        buyers=int(sum(report["buyers"] for report in reports)),
        hits=int(sum(report["hits"] for report in reports)),
        lift=sum(lifts) / len(lifts) if lifts else None,
        is_used=bool(reports[0]["is_used"]),
    )

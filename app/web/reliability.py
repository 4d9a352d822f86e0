"""The reliability diagram, drawn on the server: what was forecast for each tenth against the share that left."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.backtest import RiskGroup
from app.web.formats import show_percent

WIDTH, HEIGHT = 400, 270
LEFT, RIGHT, TOP, BOTTOM = 44, 390, 10, 230
STEPS = (0.01, 0.02, 0.05, 0.1, 0.2)
MOST_STEPS = 5


@dataclass(frozen=True, slots=True)
class Tick:
    x: float  # where the share lies across,
    y: float  # and upwards
    label: str


@dataclass(frozen=True, slots=True)
class Dot:
    """The forecast across, the share that left upwards, its interval from `low` (further down) to `high`."""

    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Diagram:
    """In units of the drawing, y downwards."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    ticks: tuple[Tick, ...]
    dots: tuple[Dot, ...]


def draw_reliability(groups: Sequence[RiskGroup]) -> Diagram:
    """The same scale both ways, so that a right forecast lies on the diagonal."""
    largest = max((max(group.forecast, group.observed_share.upper or 0.0) for group in groups), default=0.0)
    step = next((step for step in STEPS if largest <= step * MOST_STEPS), STEPS[-1])
    n = next((n for n in range(1, MOST_STEPS) if largest <= step * n), MOST_STEPS)
    most = step * n

    def across(share: float) -> float:
        return round(LEFT + (RIGHT - LEFT) * share / most, 1)

    def upwards(share: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * share / most, 1)

    def dot(group: RiskGroup) -> Dot:
        share = group.observed_share
        ends = (share.value, share.lower, share.upper)
        return Dot(across(group.forecast), *(upwards(end or 0.0) for end in ends))

    ticks = tuple(
        Tick(across(step * i), upwards(step * i), show_percent(step * i, digits=0) if i else "0%") for i in range(n + 1)
    )
    return Diagram(WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM, ticks, tuple(dot(group) for group in groups))

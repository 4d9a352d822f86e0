"""Retention: the curve ahead of one account, and Kaplan-Meier by group."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.http import database
from app.queries.groups import UNKNOWN
from app.queries.retention import GroupRetention, load_retention
from app.queries.scores import AccountScore, Curve
from app.web.absence import why_no_forecast
from app.web.formats import NONE, show_percent
from app.web.texts import gettext as _
from app.web.texts import ngettext

FEWEST_AT_RISK = 5  # where fewer are left, the segment's curve says more about them than about the segment


@dataclass(frozen=True, slots=True)
class Cell:
    value: float | None
    text: str


@dataclass(frozen=True, slots=True)
class MonthRow:
    month: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class RetentionCard:
    rows: tuple[MonthRow, ...]
    columns: tuple[str, ...]
    summary: str
    note: str
    supported_months: int
    has_revenue: bool
    account_label: str
    segment_label: str
    reason: str


def describe_retention(score: AccountScore | None, *, segment: str | None) -> RetentionCard:
    """S with its band, R where it differs, and the segment's Kaplan-Meier for accounts that got as old as this one."""
    if score is None or score.survival is None or score.retention is None:
        return RetentionCard(
            (), (), "", "", 0, has_revenue=False, account_label="", segment_label="", reason=why_no_forecast(score)
        )
    survival, retention = score.survival, score.retention
    months = len(survival.estimate)
    has_revenue = retention is not survival
    peers = _peers(segment, tenure_months=score.tenure_months or 0, months=months)
    columns: list[Sequence[float | None]] = [
        [1.0, *survival.estimate.tolist()],
        [1.0, *survival.lower.tolist()],
        [1.0, *survival.upper.tolist()],
        [1.0, *retention.estimate.tolist()] if has_revenue else [None] * (months + 1),
        peers,
    ]
    has_peers = any(value is not None for value in peers[1:])
    name = segment or _("Segment unknown")
    segment_label = ngettext(
        "%(name)s that reached %(num)s month (Kaplan-Meier)",
        "%(name)s that reached %(num)s months (Kaplan-Meier)",
        score.tenure_months or 0,
        name=name,
    )
    return RetentionCard(
        rows=tuple(_month_row(k, columns) for k in range(months + 1)),
        columns=(
            _("months ahead"),
            _("This account"),
            _("lower, 90%%"),
            _("upper, 90%%"),
            _("Its revenue"),
            _("Segment"),
        ),
        summary=_summary(survival),
        note="" if has_peers else _("Too few of its segment got as old as this account to be compared with."),
        supported_months=score.supported_months or 0,
        has_revenue=has_revenue,
        account_label=_("This account, with 90%% interval"),
        segment_label=segment_label if has_peers else "",
        reason="",
    )


def _month_row(month: int, columns: Sequence[Sequence[float | None]]) -> MonthRow:
    values = [column[month] for column in columns]
    cells = (Cell(None if v is None else round(v, 4), NONE if v is None else show_percent(v)) for v in values)
    return MonthRow(month, tuple(cells))


def _peers(segment: str | None, *, tenure_months: int, months: int) -> list[float | None]:
    """Kaplan-Meier of the segment from this age on: S(t + k) / S(t), while enough of them are left."""
    found = load_retention(database(), "segment", group=segment or UNKNOWN).groups
    if not found:
        return [None] * (months + 1)
    curve = found[0]
    start = _at(curve, tenure_months)
    values = (_at(curve, tenure_months + k) for k in range(months + 1))
    return [None if not start or value is None else value / start for value in values]


def _at(curve: GroupRetention, month: int) -> float | None:
    if month >= len(curve.months) or curve.at_risk[month] < FEWEST_AT_RISK:
        return None
    return curve.retention[month]


def _summary(survival: Curve) -> str:
    marks = [months for months in (12, 24, 36) if months <= len(survival.estimate)]
    parts = [
        _(
            "%(share)s in %(months)s months",
            share=show_percent(float(survival.estimate[k - 1]), digits=0),
            months=k,
        )
        for k in marks
    ]
    return _("Still a customer with a probability of %(parts)s.", parts=_(", ").join(parts))

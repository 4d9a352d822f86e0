"""The tables of the page "Is the model right?", row by row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flask import url_for

from app.domain.backtest import Backtest, Ranking, RiskGroup, Slice
from app.domain.input_drift import InputDrift
from app.queries.model_report import Missed, Since, YearBehind
from app.web.drivers import driver_words
from app.web.formats import NONE, count_accounts, show_day, show_number, show_percent
from app.web.model_words import CONTRACTS, TONES, TOTALS, WAYS, show_interval, show_range, signed_percent
from app.web.texts import gettext as _
from app.web.texts import ngettext


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A tenth."""

    forecast: str
    share: str
    interval: str
    expected: str
    observed: str


@dataclass(frozen=True, slots=True)
class TotalRow:
    """Expected against observed, of anything."""

    name: str
    under: str
    expected: str
    observed: str
    ratio: str
    interval: str
    verdict: str
    tone: str


@dataclass(frozen=True, slots=True)
class RankingRow:
    months: str
    churns: str
    share: str
    interval: str


@dataclass(frozen=True, slots=True)
class WayRow:
    """A way of forecasting; `is_own` marks the one that the page is about."""

    name: str
    share: str
    interval: str
    gain: str
    called: str
    is_own: bool


@dataclass(frozen=True, slots=True)
class MissedRow:
    name: str
    url: str | None
    churned: str
    forecast: str
    rank: str


@dataclass(frozen=True, slots=True)
class InputRow:
    name: str
    then: str
    now: str
    missing: str
    verdict: str
    tone: str


def list_groups(groups: Sequence[RiskGroup]) -> tuple[GroupRow, ...]:
    return tuple(
        GroupRow(
            forecast=show_percent(group.forecast),
            share=show_percent(group.observed_share.value),
            interval=show_interval(group.observed_share),
            expected=show_number(group.expected, digits=1),
            observed=show_number(group.observed),
        )
        for group in groups
    )


def list_slices(slices: Sequence[Slice]) -> tuple[TotalRow, ...]:
    """Contracts, then segments."""
    return tuple(
        TotalRow(
            name=_name_slice(each),
            under=count_accounts(each.accounts),
            expected=show_number(each.expected, digits=1),
            observed=show_number(each.observed),
            ratio=show_number(each.ratio.value, digits=2),
            interval=show_range(each.ratio),
            verdict="",
            tone="",
        )
        for each in slices
    )


def _name_slice(each: Slice) -> str:
    if each.by == "contract":
        return str(CONTRACTS[each.name])
    return each.name or _("Segment not known")


def list_years(years: Sequence[YearBehind], *, way: str) -> tuple[TotalRow, ...]:
    return tuple(_describe_year(year, year.of(way)) for year in years if year.ways)


def _describe_year(year: YearBehind, test: Backtest) -> TotalRow:
    return TotalRow(
        name=show_day(year.origin_on),
        under=_(
            "%(accounts)s, AUC %(auc)s",
            accounts=count_accounts(test.accounts),
            auc=show_percent(test.rankings[-1].auc.value, digits=0),
        ),
        expected=show_number(test.expected, digits=1),
        observed=show_number(test.churns),
        ratio=show_number(test.ratio.value, digits=2),
        interval=show_range(test.ratio),
        verdict=str(TOTALS[test.total]),
        tone=TONES[test.total],
    )


def list_since(since: Sequence[Since]) -> tuple[TotalRow, ...]:
    return tuple(
        TotalRow(
            name=show_day(each.as_of),
            under=_(
                "%(accounts)s, over %(months)s",
                accounts=count_accounts(each.found.accounts),
                months=ngettext("%(num)s month", "%(num)s months", each.found.months),
            ),
            expected=show_number(each.found.expected, digits=1),
            observed=show_number(each.found.churns),
            ratio=show_number(each.found.ratio.value, digits=2),
            interval=show_range(each.found.ratio),
            verdict=str(TOTALS[each.found.total]),
            tone=TONES[each.found.total],
        )
        for each in since
    )


def list_rankings(rankings: Sequence[Ranking]) -> tuple[RankingRow, ...]:
    return tuple(
        RankingRow(
            months=ngettext("within %(num)s month", "within %(num)s months", ranking.months),
            churns=show_number(ranking.churns),
            share=show_percent(ranking.auc.value, digits=0),
            interval=show_interval(ranking.auc),
        )
        for ranking in rankings
    )


def list_ways(year: YearBehind, *, shown: str) -> tuple[WayRow, ...]:
    return tuple(
        WayRow(
            name=str(WAYS[each.way]),
            share=show_percent(each.figures.rankings[-1].auc.value, digits=0),
            interval=show_interval(each.figures.rankings[-1].auc),
            gain=signed_percent(each.figures.accuracy.value),
            called=show_number(each.figures.top.churns),
            is_own=each.way == shown,
        )
        for each in year.ways
    )


def list_missed(missed: Sequence[Missed], *, accounts: int) -> tuple[MissedRow, ...]:
    return tuple(
        MissedRow(
            name=each.name or _("Account %(number)s", number=each.account_id),
            url=url_for("web.account", account_id=each.account_id) if each.name else None,
            churned=show_day(each.churned_on),
            forecast=show_percent(each.probability),
            rank=_("%(rank)s. safest of %(accounts)s", rank=show_number(each.rank), accounts=show_number(accounts)),
        )
        for each in missed
    )


def list_inputs(inputs: Sequence[InputDrift]) -> tuple[InputRow, ...]:
    """Those that are not as they were, the furthest off first."""
    moved = sorted((each for each in inputs if each.verdict in {"shifted", "changed"}), key=lambda each: -each.index)
    return tuple(
        InputRow(
            name=driver_words(each.name),
            then=_show_mean(each.mean_then),
            now=_show_mean(each.mean_now),
            missing=_(
                "%(then)s, now %(now)s", then=_show_missing(each.missing_then), now=_show_missing(each.missing_now)
            ),
            verdict=_("changed") if each.verdict == "changed" else _("shifted"),
            tone="risk" if each.verdict == "changed" else "watch",
        )
        for each in moved
    )


def _show_mean(mean: float | None) -> str:
    return NONE if mean is None else show_number(mean, digits=2)


def _show_missing(share: float) -> str:
    return show_percent(share, digits=0)


def list_measures(test: Backtest) -> Iterator[str]:
    """The statistician's line."""
    yield _(
        "Brier score %(value)s (%(range)s)", value=show_number(test.brier.value, digits=3), range=_thousandths(test)
    )
    if test.slope.value is not None:
        yield _(
            "calibration slope %(value)s (%(range)s; 1 is right, below it is too bold)",
            value=show_number(test.slope.value, digits=2),
            range=show_range(test.slope),
        )
    yield _(
        "mean gap of the tenths %(value)s (a right forecast shows up to %(chance)s by chance)",
        value=show_percent(test.calibration_error.value),
        chance=show_percent(test.error_by_chance),
    )
    if test.lift.value is not None:
        yield _(
            "the riskiest tenth left %(value)s times as often as all (%(range)s)",
            value=show_number(test.lift.value, digits=1),
            range=show_range(test.lift),
        )


def _thousandths(test: Backtest) -> str:
    low, high = show_number(test.brier.lower, digits=3), show_number(test.brier.upper, digits=3)
    return _("%(low)s to %(high)s", low=low, high=high)

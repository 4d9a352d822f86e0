"""Health of an account: the pill of the list, and the card of its page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from app.domain.health import NOTICE
from app.domain.notices import Leave
from app.queries.health_overrides import Override
from app.queries.scores import AccountScore
from app.web.absence import why_no_forecast
from app.web.drivers import effect_words, finding_words, weight_words
from app.web.formats import show_day, show_number, show_percent
from app.web.leaving import notice_words
from app.web.moment import Moment
from app.web.texts import gettext as _
from app.web.texts import ngettext
from app.web.words import BANDS, DIMENSIONS, word

TONES = {"healthy": "good", "watch": "watch", "at_risk": "risk"}
TOP = 5
HALF_BAR = 72.0  # of the drivers' drawing, 144 wide
SLIGHT = 0.1  # logit: a dimension that moves the risk by less is called neutral


SMALLEST_SHOWN = 0.0005  # a probability that rounds to more than nothing


@dataclass(frozen=True, slots=True)
class Pill:
    band: str  # good, watch, risk, none: the shape and the colour
    score: str | None
    word: str
    by_hand: str = ""  # what somebody has set, shown beside what was calculated


@dataclass(frozen=True, slots=True)
class Fact:
    name: str
    value: str
    under: str = ""


@dataclass(frozen=True, slots=True)
class DriverRow:
    text: str
    effect: str
    weight: str
    direction: str  # up, down
    start: float
    width: float


@dataclass(frozen=True, slots=True)
class DimensionRow:
    name: str
    text: str
    tone: str
    icon: str


@dataclass(frozen=True, slots=True)
class HealthCard:
    pill: Pill
    basis: str
    reason: str
    facts: tuple[Fact, ...]
    drivers: tuple[DriverRow, ...]
    dimensions: tuple[DimensionRow, ...]


class Scored(Protocol):
    """A row of the list, or a score."""

    @property
    def status(self) -> str | None: ...
    @property
    def basis(self) -> str | None: ...
    @property
    def band(self) -> str | None: ...
    @property
    def health(self) -> float | None: ...
    @property
    def churn_probability(self) -> float | None: ...


def describe_pill(scored: Scored, override: Override | None = None) -> Pill:
    """The calculated score, in words also where there is none: why; and beside it what somebody has set by hand."""
    pill = _calculated_pill(scored)
    if override is None:
        return pill
    return replace(pill, by_hand=_("set by hand: %(word)s", word=word(BANDS, override.band)))


def _calculated_pill(scored: Scored) -> Pill:
    if scored.band is not None and scored.health is not None:
        return Pill(TONES[scored.band], show_number(scored.health), word(BANDS, scored.band))
    if scored.status in ("churned", "upcoming", "not_applicable", "in_grace"):
        return Pill("none", None, word(BANDS, scored.status))
    if scored.churn_probability is None:
        return Pill("none", None, _("Not scored yet"))
    return Pill("none", None, _("No own score") if scored.basis == "segment" else word(BANDS, "none"))


def describe_health(score: AccountScore | None, *, leave: Leave | None, moment: Moment) -> HealthCard:
    if score is None:
        return HealthCard(Pill("none", None, ""), "", why_no_forecast(None), (), (), ())
    pill = describe_pill(score)
    explanation = score.explanation or {}
    is_shown = score.health is not None
    return HealthCard(
        pill=pill,
        basis=_basis(score, moment),
        reason=_reason(score, moment),
        facts=tuple(_facts(score, leave=leave)),
        drivers=tuple(_drivers(explanation.get("drivers", ()), leave=leave)) if is_shown else (),
        dimensions=tuple(_describe_dimension(each) for each in explanation.get("dimensions", ())),
    )


def _basis(score: AccountScore, moment: Moment) -> str:
    churns = moment.report.get("churns", 0)
    match score.basis:
        case "account":
            return ngettext("learned from %(num)s churn", "learned from %(num)s churns", churns)
        case "prior":
            return _("default weights: not enough data")
        case "segment":
            return _("from its segment")
    return ""


def _reason(score: AccountScore, moment: Moment) -> str:
    """Why there is no score, where there is none."""
    if score.health is not None:
        return ""
    if score.churn_probability is None:
        return why_no_forecast(score)
    if score.basis == "segment":
        return _("There is no score of its own: the churn probability is that of its segment at this age.")
    return _(
        "Not enough data: %(coverage)s of the inputs are known and %(limit)s are needed, so the score is withheld.",
        coverage=show_percent(score.coverage, digits=0),
        limit=show_percent(float(moment.settings.minimum_coverage), digits=0),
    )


def _facts(score: AccountScore, *, leave: Leave | None) -> list[Fact]:
    """What was said takes the place of what is likely."""
    if leave is not None:
        given = _("notice given on %(day)s", day=show_day(leave.given_on))
        return [Fact(_("Leaves on"), show_day(leave.leaves_on), given), *_coverage(score)]
    facts = []
    if score.churn_probability is not None:
        facts.append(Fact(_("Churn within 12 months"), show_percent(score.churn_probability), _interval(score)))
    year = score.by_cause[12] if score.by_cause else {}
    if sum(year.values()) - year.get("voluntary", 0.0) > SMALLEST_SHOWN:
        failed, closed = show_percent(year["payment_failure"]), show_percent(year["closed"])
        others = _("a payment fails: %(failed)s; closed or bought: %(closed)s", failed=failed, closed=closed)
        facts.append(Fact(_("Of it by their own decision"), show_percent(year["voluntary"]), others))
    if score.renewal_churn_probability is not None and score.renewal_on:
        by = _("renewal on %(day)s", day=show_day(score.renewal_on))
        facts.append(Fact(_("Churn up to its renewal"), show_percent(score.renewal_churn_probability), by))
    if score.risk is not None:
        facts.append(Fact(_("Risk a year, behind the score"), show_percent(score.risk)))
    return [*facts, *_coverage(score)]


def _coverage(score: AccountScore) -> list[Fact]:
    if score.coverage is None:
        return []
    return [Fact(_("Inputs known"), show_percent(score.coverage, digits=0))]


def _interval(score: AccountScore) -> str:
    if score.survival is None or len(score.survival.estimate) < 12:
        return ""
    low, high = 1 - score.survival.upper[11], 1 - score.survival.lower[11]
    return _("%(low)s to %(high)s at 90%%", low=show_percent(float(low)), high=show_percent(float(high)))


def _drivers(drivers: Sequence[Mapping[str, Any]], *, leave: Leave | None) -> list[DriverRow]:
    """The largest, up or down; bars share one scale."""
    moving = [driver for driver in drivers if driver["contribution"]]
    top = sorted(moving, key=lambda driver: -abs(driver["contribution"]))[:TOP]
    scale = max((abs(driver["contribution"]) for driver in top), default=1.0)
    return [_describe_driver(driver, scale=scale, leave=leave) for driver in top]


def _describe_driver(driver: Mapping[str, Any], *, scale: float, leave: Leave | None) -> DriverRow:
    contribution = driver["contribution"]
    width = round(HALF_BAR * abs(contribution) / scale, 1)
    is_up = contribution > 0
    is_notice = driver["name"] == NOTICE
    words = notice_words(leave) if is_notice and leave else finding_words(driver["name"], driver["value"])
    return DriverRow(
        text=words if driver["is_known"] else _("%(finding)s, as last known", finding=words),
        effect=effect_words(contribution),
        weight="" if is_notice else weight_words(is_learned=driver["is_learned"], churns=driver["churns"]),
        direction="up" if is_up else "down",
        start=HALF_BAR if is_up else HALF_BAR - width,
        width=width,
    )


def _describe_dimension(dimension: Mapping[str, Any]) -> DimensionRow:
    name = word(DIMENSIONS, dimension["name"])
    contribution = dimension["contribution"]
    if not dimension["is_known"]:
        return DimensionRow(name, _("unknown"), "none", "none")
    if abs(contribution) < SLIGHT:
        return DimensionRow(name, _("neutral"), "none", "none")
    if contribution > 0:
        return DimensionRow(name, _("raises the risk"), "risk", "up")
    return DimensionRow(name, _("lowers the risk"), "good", "down")

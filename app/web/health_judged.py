"""Whether what people set by hand or what was calculated was nearer: a part of the page of the model."""

from dataclasses import dataclass

from flask_babel import LazyString

from app.domain.backtest import Estimate
from app.domain.health_override import FEWEST_JUDGED, NEITHER, OVERRIDE, SCORE, UNKNOWN
from app.http import database
from app.queries.facts import Known
from app.queries.health_overrides import judge_all_overrides
from app.web.formats import NONE, show_number
from app.web.moment import Moment
from app.web.texts import gettext as _
from app.web.texts import lazy_gettext as _l
from app.web.texts import ngettext

VERDICTS: dict[str, LazyString] = {
    OVERRIDE: _l("What people set was nearer to what happened than the score."),
    SCORE: _l("The score was nearer to what happened than what people set."),
    NEITHER: _l("Neither was nearer beyond chance."),
    UNKNOWN: _l("Not enough data: it takes overrides of %(fewest)s accounts to say which was nearer."),
}


@dataclass(frozen=True, slots=True)
class JudgedCard:
    """`rows`: a name, a Brier score and its interval."""

    verdict: str
    about: str
    rows: tuple[tuple[str, str, str], ...]


def describe_judged(moment: Moment) -> JudgedCard | None:
    """None where nobody has ever set a score by hand."""
    found = judge_all_overrides(database(), Known(moment.today, moment.known_at, moment.settings))
    judged = found.judgement
    if not (judged.n or found.waiting or found.left_out):
        return None
    parts = [
        ngettext("%(num)s override was judged", "%(num)s overrides were judged", judged.n),
        ngettext("%(num)s account left within its year", "%(num)s accounts left within their year", judged.left),
        ngettext("for %(num)s the year is not over", "for %(num)s the year is not over", found.waiting),
        ngettext("%(num)s cannot be judged", "%(num)s cannot be judged", found.left_out),
    ]
    estimates = (
        (_("What was set by hand"), judged.override),
        (_("The score of that day"), judged.score),
        (_("The score's less what was set"), judged.gain),
    )
    return JudgedCard(
        verdict=str(VERDICTS[judged.nearer]) % {"fewest": FEWEST_JUDGED},
        about=_(", ").join(parts),
        rows=tuple((name, _number(each.value), _interval(each)) for name, each in estimates) if judged.n else (),
    )


def _number(value: float | None) -> str:
    return NONE if value is None else show_number(value, digits=3)


def _interval(estimate: Estimate) -> str:
    if estimate.lower is None or estimate.upper is None:
        return ""
    return _("%(low)s to %(high)s at 95%%", low=_number(estimate.lower), high=_number(estimate.upper))

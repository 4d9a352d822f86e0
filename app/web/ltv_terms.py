"""The terms that somebody asks lifetime values at: horizon, discount, margin, and the level of intervals."""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from flask import request

from app.domain.ltv import LtvTerms
from app.queries.ltv import GivenTerms
from app.web.formats import show_number, show_percent
from app.web.lists import Select
from app.web.texts import gettext as _

HORIZONS_MONTHS = (12, 24, 36, 48, 60)
LEVELS = (80, 90, 95)
LARGEST_PERCENT = {"discount": 500, "margin": 100}


@dataclass(frozen=True, slots=True)
class AskedTerms:
    """`given` is what was chosen; `refused` names what could not be read, and is answered as if it was left out."""

    given: GivenTerms
    level: int
    refused: tuple[str, ...]

    @property
    def address(self) -> dict[str, str]:
        return {name: request.args[name] for name in ("horizon", "discount", "margin", "level") if name in request.args}


@dataclass(frozen=True, slots=True)
class TermFields:
    """The form: what stands in its fields is what the figures are at."""

    horizon: Select
    level: Select
    discount: str
    margin: str
    words: str


def read_terms() -> AskedTerms:
    horizon, level = request.args.get("horizon", ""), request.args.get("level", "")
    shares = {name: _read_percent(name) for name in LARGEST_PERCENT}
    refused = [name for name in shares if request.args.get(name) and shares[name] is None]
    return AskedTerms(
        given=GivenTerms(
            horizon_months=int(horizon) if horizon in map(str, HORIZONS_MONTHS) else None,
            annual_discount_rate=shares["discount"],
            gross_margin=shares["margin"],
        ),
        level=int(level) if level in map(str, LEVELS) else 90,
        refused=tuple(refused),
    )


def describe_fields(terms: LtvTerms, *, level: int) -> TermFields:
    horizons = sorted({*HORIZONS_MONTHS, terms.horizon_months})
    return TermFields(
        horizon=Select(
            "horizon",
            _("Horizon"),
            str(terms.horizon_months),
            tuple((str(months), _("%(months)s months", months=months)) for months in horizons),
        ),
        level=Select("level", _("Interval"), str(level), tuple((str(each), f"{each} %") for each in LEVELS)),
        discount=_percent_text(terms.annual_discount_rate),
        margin=_percent_text(terms.gross_margin),
        words=_(
            "over %(months)s months, margin %(margin)s, discount %(discount)s a year, intervals at %(level)s",
            months=show_number(terms.horizon_months),
            margin=show_percent(terms.gross_margin, digits=1),
            discount=show_percent(terms.annual_discount_rate, digits=1),
            level=show_percent(level / 100, digits=0),
        ),
    )


def _read_percent(name: str) -> Decimal | None:
    try:
        percent = Decimal(request.args.get(name, "").strip()[:20])
    except InvalidOperation:
        return None
    return percent / 100 if percent.is_finite() and 0 <= percent <= LARGEST_PERCENT[name] else None


def _percent_text(share: float) -> str:
    return f"{round(100 * share, 4):g}"

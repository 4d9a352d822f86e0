"""Lifetime value of an account on its page."""

from dataclasses import dataclass

from app.http import database
from app.queries.ltv import AccountLtv, GivenTerms, load_account_ltv
from app.queries.scores import AccountScore
from app.web.absence import why_no_forecast
from app.web.formats import show_money, show_money_range, show_percent
from app.web.texts import gettext as _

HORIZONS_MONTHS = (12, 36, 60)
DRAWN = 200.0  # width of the interval's drawing


@dataclass(frozen=True, slots=True)
class LtvRow:
    months: int
    residual: str
    interval: str
    expansion: str
    total: str
    extrapolated: str
    low_x: float
    high_x: float
    mid_x: float


@dataclass(frozen=True, slots=True)
class LtvCard:
    terms: str
    rows: tuple[LtvRow, ...]
    formula: str
    formula_words: str
    earned: str
    reason: str


def describe_ltv(score: AccountScore | None) -> LtvCard:
    """Residual value over each horizon with its interval, beside the formula that other tools show."""
    if score is None or score.retention is None:
        earned = _money(score.ltv_historical_minor, score.run.currency) if score else ""
        return LtvCard("", (), "", "", earned, why_no_forecast(score))
    horizons = [months for months in HORIZONS_MONTHS if months <= len(score.retention.estimate)]
    values = [
        load_account_ltv(database(), score.account_id, given=GivenTerms(horizon_months=months)) for months in horizons
    ]
    most = max((value.upper or 0.0 for value in values), default=0.0) or 1.0
    terms = values[0].terms
    return LtvCard(
        terms=_(
            "margin %(margin)s, discount %(discount)s a year",
            margin=show_percent(terms.gross_margin, digits=0),
            discount=show_percent(terms.annual_discount_rate, digits=0),
        ),
        rows=tuple(_describe_value(value, most=most) for value in values),
        formula=_money(values[0].formula, score.run.currency),
        formula_words=_formula_words(values[0]),
        earned=_money(score.ltv_historical_minor, score.run.currency),
        reason="",
    )


def _describe_value(value: AccountLtv, *, most: float) -> LtvRow:
    currency = value.score.run.currency
    lower, upper = value.lower or 0.0, value.upper or 0.0
    return LtvRow(
        months=value.terms.horizon_months,
        residual=_money(value.residual, currency),
        interval=show_money_range(round(lower), round(upper), currency=currency) if lower < upper else "",
        expansion=_money(value.expansion, currency),
        total=_money(value.total, currency),
        extrapolated=_extrapolated(value.extrapolated_share),
        low_x=round(DRAWN * lower / most, 1),
        high_x=round(DRAWN * upper / most, 1),
        mid_x=round(DRAWN * (value.residual or 0.0) / most, 1),
    )


def _extrapolated(share: float | None) -> str:
    if not share:
        return _("all within the tenure that was observed")
    return _("%(share)s beyond the tenure that was observed", share=show_percent(share, digits=0))


def _formula_words(value: AccountLtv) -> str:
    if value.formula is None:
        return _("Not defined: nobody in the segment churned in the last 12 months, so the formula says infinity.")
    return _("Revenue x margin / the segment's churn: what other tools show. It ignores age, contract and use.")


def _money(value: float | None, currency: str) -> str:
    return show_money(None if value is None else round(value), currency)

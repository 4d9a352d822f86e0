"""Lifetime values of the example company's night: parts that add up, and what was earned, counted day by day."""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import numpy as np
import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from app.db import reading
from app.domain.contracts import LineLife, months_of_term
from app.domain.ltv import LtvTerms, draws_value
from app.domain.money import Money
from app.domain.months import add_months
from app.models.scores import GroupDraws, Score
from app.queries.contract_lines import load_recurring_lines
from app.queries.earned import load_earned
from app.queries.facts import Known
from app.queries.fx import load_rates
from app.queries.ltv import GivenTerms, load_listed_ltv, load_ltv_summary
from app.queries.new_customers import load_new_ltv
from app.queries.runs import load_run
from app.queries.settings import load_company_settings

CUTS = ("segment", "plan", "channel", "campaign", "cohort", "owner", "product")


@pytest.fixture
def session(example_engine: Engine) -> Iterator[Session]:
    with reading(example_engine) as session:
        yield session


def test_the_accounts_add_up_to_the_portfolio(session: Session) -> None:
    run = load_run(session)
    residual, expansion, n = session.execute(
        select(func.sum(Score.ltv_residual_minor), func.sum(Score.ltv_expansion_minor), func.count()).where(
            Score.run_id == run.id, Score.ltv_residual_minor.is_not(None)
        )
    ).one()
    [portfolio] = load_ltv_summary(session, "all", given=GivenTerms(), level=90).groups
    assert portfolio.accounts == n
    assert abs(int(residual) - portfolio.values.residual) <= n / 2 + 1  # each was rounded to a cent
    assert abs(int(expansion) - portfolio.values.expansion) <= n / 2 + 1


def test_so_they_do_at_other_terms(session: Session) -> None:
    run = load_run(session)
    given = GivenTerms(horizon_months=23, annual_discount_rate=Decimal("0.25"), gross_margin=Decimal("0.6"))
    ids = list(session.scalars(select(Score.account_id).where(Score.run_id == run.id)))
    terms = LtvTerms(23, 0.25, 0.6)
    listed = load_listed_ltv(session, ids, run=run, terms=terms, level=80).values()
    [portfolio] = load_ltv_summary(session, "all", given=given, level=80).groups
    total = sum(each.residual for each in listed if each.residual is not None)
    assert total == pytest.approx(portfolio.values.residual, rel=1e-6)  # curves are stored as float32


@pytest.mark.parametrize("cut", CUTS)
def test_the_groups_of_every_cut_add_up_to_the_portfolio_draw_by_draw(session: Session, cut: str) -> None:
    [portfolio] = load_ltv_summary(session, "all", given=GivenTerms(), level=90).groups
    groups = load_ltv_summary(session, cut, given=GivenTerms(), level=90).groups
    for name in ("residual", "expansion"):
        total = sum(getattr(group.values, name) for group in groups)
        assert total == pytest.approx(getattr(portfolio.values, name), rel=1e-9)
    assert sum(group.arr_minor for group in groups) == portfolio.arr_minor
    if cut != "product":  # an account may have several
        assert sum(group.accounts for group in groups) == portfolio.accounts
    parts, whole = _draws(session, cut), _draws(session, "all")
    assert parts.sum(axis=1) == pytest.approx(whole.sum(axis=1), rel=1e-5)
    # Never from adding bounds: what is uncertain about all at once makes the whole narrower than the sum of its parts.
    widths = sum(group.values.upper - group.values.lower for group in groups)
    assert portfolio.values.upper - portfolio.values.lower <= widths * (1 + 1e-6)


def _draws(session: Session, cut: str) -> np.ndarray:
    run = load_run(session)
    rows = session.scalars(select(GroupDraws.draws).where(GroupDraws.run_id == run.id, GroupDraws.group_by == cut))
    stacked = np.stack([np.frombuffer(row, dtype="<f4").astype(np.float64).reshape(-1, 60) for row in rows], axis=1)
    return draws_value(stacked, terms=LtvTerms())


def test_products_are_named_and_held_by_several_accounts_each(session: Session) -> None:
    groups = load_ltv_summary(session, "product", given=GivenTerms(), level=90).groups
    assert {group.label for group in groups} >= {"Team", "Business", "Enterprise", "Insights"}
    assert (
        sum(group.accounts for group in groups)
        > load_ltv_summary(session, "all", given=GivenTerms(), level=90).groups[0].accounts
    )


def test_what_accounts_earned_is_what_their_lines_earned_day_by_day(session: Session) -> None:
    run = load_run(session)
    settings = load_company_settings(session, as_of=run.as_of, known_at=run.known_at)
    stored = dict(
        session.execute(select(Score.account_id, Score.ltv_historical_minor).where(Score.run_id == run.id)).all()
    )
    every = load_recurring_lines(session, known_at=run.known_at, grace_days=settings.grace_days)
    rates = load_rates(session, known_at=run.known_at)
    checked = sorted(every)[::9]
    assert len(checked) >= 30
    for account_id in checked:
        currency = every[account_id][0].currency
        exact = sum(round(_earned(line.life, run.as_of)) for line in every[account_id]) * settings.gross_margin
        earned = Money(int(exact.to_integral_value(ROUND_HALF_EVEN)), currency)
        assert stored[account_id] == rates.convert(earned, run.currency, on=run.as_of).minor
    known = Known(run.as_of, run.known_at, settings)
    assert load_earned(session, known, between=(checked[0], checked[0])) == {checked[0]: stored[checked[0]]}


def _earned(life: LineLife, as_of: date) -> Fraction:
    """ARR / 12 spread evenly over the days of each month of the line, or ARR / 365 a day."""
    line, total = life.line, Fraction(0)
    stop = min(life.stops_on or as_of, as_of)
    is_whole = line.ends_on is None or months_of_term(line.starts_on, line.ends_on) is not None
    month, next_on, length = 0, line.starts_on, 1
    day = line.starts_on
    while day < stop:
        if day == next_on:
            month += 1
            next_on = add_months(line.starts_on, month)
            length = (next_on - day).days
        total += Fraction(line.arr_minor, 12 * length) if is_whole else Fraction(line.arr_minor, 365)
        day += timedelta(days=1)
    return total


def test_every_segment_has_a_value_for_new_accounts(session: Session) -> None:
    found = load_new_ltv(session, "segment", given=GivenTerms(), level=90)
    assert [group.group for group in found.groups] == ["Enterprise", "Mid-market", "Small business"]
    for group in found.groups:
        assert group.values is not None
        assert group.curve is not None
        assert group.values.lower < group.values.residual < group.values.upper
        assert (np.diff(group.curve.estimate) <= 0).all()
        assert (group.curve.lower <= group.curve.estimate).all()
        assert (group.curve.estimate <= group.curve.upper).all()

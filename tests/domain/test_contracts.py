from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise

import pytest
from dateutil.relativedelta import relativedelta
from hypothesis import assume, given
from hypothesis import strategies as st

from app.domain.contracts import (
    ChurnNotice,
    ContractLine,
    EndedBy,
    LineKind,
    LineState,
    Spell,
    annual_recurring_revenue,
    conflicting_notices,
    line_lives,
    line_state,
    months_of_term,
    spells,
)

DAYS = st.dates(date(2015, 1, 1), date(2035, 12, 31))
JAN_1, DEC_31 = date(2024, 1, 1), date(2024, 12, 31)
NEXT_JAN_1 = date(2025, 1, 1)
GRACE = 30


def line(key=1, starts_on=JAN_1, ends_on=DEC_31, **changes):
    return ContractLine(key, LineKind.RECURRING, starts_on, ends_on, **{"arr_minor": 12_000, **changes})


def life_of(one, *others, notices=()):
    return line_lives([one, *others], notices, grace_days=GRACE)[0]


def spells_of(lines, as_of, notices=()):
    return spells(line_lives(lines, notices, grace_days=GRACE), as_of)


# What a line is worth a year


def test_whole_months_are_counted_with_days_clipped_to_the_months_end():
    assert months_of_term(JAN_1, DEC_31) == 12
    assert months_of_term(date(2024, 1, 15), date(2024, 2, 14)) == 1
    assert months_of_term(date(2023, 1, 31), date(2023, 2, 27)) == 1
    assert months_of_term(date(2023, 1, 31), date(2023, 2, 28)) is None
    assert months_of_term(date(2024, 2, 29), date(2025, 2, 27)) == 12
    assert months_of_term(JAN_1, JAN_1) is None


def test_whole_months_are_worth_twelve_over_their_number():
    assert annual_recurring_revenue(1_200_000, JAN_1, ends_on=DEC_31) == 1_200_000
    assert annual_recurring_revenue(2_400_000, JAN_1, ends_on=date(2025, 12, 31)) == 1_200_000
    assert annual_recurring_revenue(100_000, JAN_1, ends_on=date(2024, 1, 31)) == 1_200_000
    assert annual_recurring_revenue(100_000, JAN_1, ends_on=date(2024, 7, 31)) == 171_429  # 171428.57


def test_other_terms_are_worth_365_over_their_days():
    assert annual_recurring_revenue(45_000, JAN_1, ends_on=date(2024, 2, 14)) == 365_000  # 45 days
    assert annual_recurring_revenue(10_000, JAN_1, ends_on=JAN_1) == 3_650_000
    assert annual_recurring_revenue(100, date(2023, 1, 31), ends_on=date(2023, 2, 28)) == 1_259  # 1258.62, 29 days


def test_a_stated_price_period_stands_above_the_term():
    assert annual_recurring_revenue(2_985, JAN_1, ends_on=DEC_31, price_months=1) == 35_820
    assert annual_recurring_revenue(2_985, JAN_1, ends_on=None, price_months=1) == 35_820
    assert annual_recurring_revenue(30_000, JAN_1, ends_on=None, price_months=3) == 120_000


def test_the_worth_is_rounded_half_even_once():
    assert annual_recurring_revenue(1, JAN_1, ends_on=None, price_months=24) == 0  # .5
    assert annual_recurring_revenue(3, JAN_1, ends_on=None, price_months=24) == 2  # 1.5
    assert annual_recurring_revenue(-3, JAN_1, ends_on=None, price_months=24) == -2


def test_a_term_that_ends_before_it_begins_is_refused():
    with pytest.raises(ValueError, match="ends on 2023-12-31, before it begins on 2024-01-01"):
        annual_recurring_revenue(1, JAN_1, ends_on=date(2023, 12, 31))


def test_a_line_without_an_end_must_say_what_its_price_buys():
    with pytest.raises(ValueError, match="how many months its amount buys"):
        annual_recurring_revenue(1, JAN_1, ends_on=None)
    with pytest.raises(ValueError, match="at least one month"):
        annual_recurring_revenue(1, JAN_1, ends_on=None, price_months=0)


@given(DAYS, st.integers(1, 120))
def test_a_term_of_n_months_has_n_months_as_dateutil_counts(starts_on, months):
    ends_on = starts_on + relativedelta(months=months) - timedelta(days=1)
    assert months_of_term(starts_on, ends_on) == months


@given(st.integers(-(10**9), 10**9), DAYS, st.integers(0, 2000))
def test_the_worth_is_the_nearest_integer_to_the_formula(amount, starts_on, days):
    ends_on = starts_on + timedelta(days=days)
    delta = relativedelta(ends_on + timedelta(days=1), starts_on)
    months = 12 * delta.years + delta.months
    is_whole = months > 0 and starts_on + relativedelta(months=months) == ends_on + timedelta(days=1)
    formula = Fraction(12 * amount, months) if is_whole else Fraction(365 * amount, days + 1)
    assert annual_recurring_revenue(amount, starts_on, ends_on=ends_on) == round(formula)


# How long a line counts


def test_a_line_is_live_from_its_start_not_before():
    life = life_of(line())
    assert line_state(life, date(2023, 12, 31)) is LineState.NOT_STARTED
    assert line_state(life, JAN_1) is LineState.LIVE
    assert line_state(life, DEC_31) is LineState.LIVE


def test_a_lapsed_line_stays_in_grace_for_thirty_days():
    life = life_of(line())
    assert (life.stops_on, life.leaves_on, life.ended_by) == (NEXT_JAN_1, date(2025, 1, 31), EndedBy.LAPSE)
    assert line_state(life, date(2025, 1, 30)) is LineState.IN_GRACE
    assert line_state(life, date(2025, 1, 31)) is LineState.ENDED


def test_a_line_without_an_end_runs_on():
    life = life_of(line(ends_on=None))
    assert (life.stops_on, life.leaves_on, life.ended_by) == (None, None, None)
    assert line_state(life, date(2999, 1, 1)) is LineState.LIVE


def test_a_line_of_the_same_offer_within_the_grace_renews():
    life = life_of(line(offer=7), line(2, date(2025, 1, 10), None, offer=7))
    assert (life.stops_on, life.leaves_on, life.ended_by) == (NEXT_JAN_1, date(2025, 1, 10), EndedBy.RENEWAL)


def test_a_line_of_another_offer_or_after_the_grace_renews_nothing():
    for other in (line(2, NEXT_JAN_1, None, offer=8), line(2, date(2025, 2, 1), None, offer=7)):
        assert life_of(line(offer=7), other).ended_by is EndedBy.LAPSE
    unknown = life_of(line(), line(2, NEXT_JAN_1, None))
    assert unknown.ended_by is EndedBy.LAPSE


def test_a_line_that_says_it_supersedes_another_ends_it_where_it_begins():
    life = life_of(line(offer=7), line(2, date(2024, 7, 1), None, offer=8, renews=1))
    assert (life.stops_on, life.leaves_on, life.ended_by) == (date(2024, 7, 1), date(2024, 7, 1), EndedBy.RENEWAL)


def test_a_notice_that_names_the_line_ends_it_without_grace():
    notice = ChurnNotice(1, date(2024, 6, 1), given_on=date(2024, 5, 1), line=1)
    life = life_of(line(ends_on=None), notices=[notice])
    assert (life.stops_on, life.leaves_on, life.ended_by) == (date(2024, 6, 1), date(2024, 6, 1), EndedBy.NOTICE)
    assert life.notice is notice


def test_a_notice_given_in_grace_ends_it_on_that_day():
    notice = ChurnNotice(1, NEXT_JAN_1, given_on=date(2025, 1, 12))
    life = life_of(line(), notices=[notice])
    assert (life.stops_on, life.leaves_on, life.ended_by) == (NEXT_JAN_1, date(2025, 1, 12), EndedBy.NOTICE)


def test_a_notice_given_before_the_terms_end_means_no_grace():
    for notice in (
        ChurnNotice(1, NEXT_JAN_1, given_on=date(2024, 10, 1)),
        ChurnNotice(1, date(2025, 1, 20), given_on=date(2024, 10, 1), line=1),
    ):
        life = life_of(line(), notices=[notice])
        assert (life.stops_on, life.leaves_on, life.ended_by) == (NEXT_JAN_1, NEXT_JAN_1, EndedBy.NOTICE)


def test_a_notice_that_comes_after_the_grace_changes_nothing_booked():
    life = life_of(line(), notices=[ChurnNotice(1, date(2025, 3, 1))])
    assert (life.leaves_on, life.ended_by) == (date(2025, 1, 31), EndedBy.LAPSE)


def test_a_notice_that_names_no_line_ends_none_that_runs_on_past_it():
    lines = [line(1, ends_on=date(2024, 5, 31)), line(2, ends_on=None)]
    notice = ChurnNotice(1, date(2024, 6, 1))
    assert conflicting_notices(lines, [notice]) == (notice,)
    lapsed, running = line_lives(lines, [notice], grace_days=GRACE)
    assert lapsed.ended_by is EndedBy.LAPSE  # the conflict overrides no grace either
    assert running.stops_on is None


def test_a_notice_for_an_account_that_had_not_begun_to_pay_is_a_conflict_too():
    notice = ChurnNotice(1, date(2023, 6, 1))
    trial = ContractLine(9, LineKind.TRIAL, date(2023, 1, 1), None)
    assert conflicting_notices([line(), trial], [notice]) == (notice,)
    assert conflicting_notices([line(), line(2, date(2023, 1, 1), date(2023, 5, 31))], [notice]) == ()


def test_notices_that_name_lines_resolve_the_conflict():
    lines = [line(1, ends_on=date(2024, 5, 31)), line(2, ends_on=None)]
    general, named = ChurnNotice(1, date(2024, 6, 1)), ChurnNotice(2, date(2024, 6, 1), line=2)
    assert conflicting_notices(lines, [general, named]) == ()
    assert [life.ended_by for life in line_lives(lines, [general, named], grace_days=GRACE)] == [EndedBy.NOTICE] * 2


def test_the_earliest_of_several_notices_counts():
    late, early = ChurnNotice(1, date(2024, 9, 1), line=1), ChurnNotice(2, date(2024, 8, 1), line=1)
    assert life_of(line(ends_on=None), notices=[late, early]).notice is early


def test_a_notice_before_the_start_leaves_a_line_that_never_was():
    life = life_of(line(), notices=[ChurnNotice(1, date(2023, 6, 1), line=1)])
    assert (life.stops_on, life.leaves_on) == (JAN_1, JAN_1)
    assert line_state(life, JAN_1) is LineState.ENDED
    assert spells([life], date(2026, 1, 1)) == ()


def test_only_recurring_lines_for_money_have_a_life():
    others = [
        ContractLine(key, kind, JAN_1, DEC_31, 12_000) for key, kind in enumerate(LineKind) if kind != "recurring"
    ]
    assert line_lives([*others, line(9, arr_minor=0)], [], grace_days=GRACE) == ()


# The spells of an account


def test_a_running_account_has_one_spell_without_an_end():
    assert spells_of([line()], date(2024, 6, 1)) == (Spell(1, JAN_1, None, is_churned=False),)
    assert spells_of([line()], date(2023, 12, 31)) == ()


def test_in_grace_an_account_is_censored_at_its_terms_end_then_churned_there():
    assert spells_of([line()], date(2025, 1, 30)) == (Spell(1, JAN_1, NEXT_JAN_1, is_churned=False),)
    assert spells_of([line()], date(2025, 1, 31)) == (Spell(1, JAN_1, NEXT_JAN_1, is_churned=True),)


def test_a_notice_churns_at_once_and_gives_the_cause():
    notice = ChurnNotice(1, NEXT_JAN_1, given_on=date(2024, 11, 1), cause="voluntary")
    assert spells_of([line()], NEXT_JAN_1, [notice]) == (Spell(1, JAN_1, NEXT_JAN_1, True, "voluntary"),)


def test_a_gap_up_to_the_grace_is_bridged_and_a_longer_one_opens_a_new_spell():
    bridged = [line(), line(2, date(2025, 1, 31), None)]
    assert spells_of(bridged, date(2025, 6, 1)) == (Spell(1, JAN_1, None, is_churned=False),)
    apart = [line(), line(2, date(2025, 2, 1), None)]
    assert spells_of(apart, date(2025, 6, 1)) == (
        Spell(1, JAN_1, NEXT_JAN_1, is_churned=True),
        Spell(2, date(2025, 2, 1), None, is_churned=False),
    )


def test_a_notice_makes_a_short_gap_a_churn_and_a_reactivation():
    lines = [line(), line(2, date(2025, 1, 10), None)]
    found = spells_of(lines, date(2025, 6, 1), [ChurnNotice(1, NEXT_JAN_1, given_on=date(2024, 12, 1))])
    assert [(spell.started_on, spell.ended_on) for spell in found] == [(JAN_1, NEXT_JAN_1), (date(2025, 1, 10), None)]


def test_a_change_of_lines_on_one_day_is_no_churn():
    lines = [line(ends_on=None), line(2, date(2024, 6, 1), None)]
    named = ChurnNotice(1, date(2024, 6, 1), line=1)
    assert spells_of(lines, date(2024, 8, 1), [named]) == (Spell(1, JAN_1, None, is_churned=False),)


def test_a_short_line_inside_a_long_one_changes_nothing():
    lines = [line(), line(2, date(2024, 3, 1), date(2024, 4, 30))]
    assert spells_of(lines, date(2024, 12, 1)) == (Spell(1, JAN_1, None, is_churned=False),)


LINES = st.lists(
    st.tuples(DAYS, st.integers(0, 900) | st.none(), st.sampled_from([None, 1, 2])), min_size=1, max_size=6
).map(
    lambda rows: [
        line(key, start, None if days is None else start + timedelta(days=days), offer=offer)
        for key, (start, days, offer) in enumerate(rows)
    ]
)
NOTICES = st.lists(st.tuples(DAYS, st.integers(-90, 90), st.sampled_from([None, 0, 1, 2])), max_size=3).map(
    lambda rows: [
        ChurnNotice(key, effective, effective - timedelta(days=lead), line=which)
        for key, (effective, lead, which) in enumerate(rows)
    ]
)


@given(LINES, NOTICES, DAYS)
def test_an_account_is_in_a_spell_that_has_not_ended_exactly_while_a_line_counts(lines, notices, as_of):
    lives = line_lives(lines, notices, grace_days=GRACE)
    counts = any(line_state(life, as_of) in (LineState.LIVE, LineState.IN_GRACE) for life in lives)
    found = spells(lives, as_of)
    assert (bool(found) and not found[-1].is_churned) == counts


@given(LINES, NOTICES, DAYS)
def test_spells_follow_one_another_and_all_but_the_last_are_churned(lines, notices, as_of):
    found = spells_of(lines, as_of, notices)
    assert [spell.number for spell in found] == list(range(1, len(found) + 1))
    assert all(spell.is_churned for spell in found[:-1])
    assert all(spell.ended_on is None or spell.started_on < spell.ended_on <= as_of for spell in found)
    for earlier, later in pairwise(found):
        assert earlier.ended_on is not None
        assert earlier.ended_on < later.started_on


@given(LINES, NOTICES, DAYS)
def test_the_order_of_lines_and_notices_does_not_matter(lines, notices, as_of):
    assert spells_of(lines, as_of, notices) == spells_of(lines[::-1], as_of, notices[::-1])


@given(LINES, DAYS, DAYS)
def test_a_past_churn_is_not_taken_back_as_time_goes_by(lines, first, second):
    assume(first <= second)
    before, after = spells_of(lines, first), spells_of(lines, second)
    churned = [spell for spell in before if spell.is_churned]
    assert list(after[: len(churned)]) == churned


@given(LINES, NOTICES)
def test_no_line_stops_before_it_starts_or_counts_beyond_its_grace(lines, notices):
    for life in line_lives(lines, notices, grace_days=GRACE):
        if life.stops_on is not None:
            assert life.leaves_on is not None
            assert life.line.starts_on <= life.stops_on <= life.leaves_on <= life.stops_on + timedelta(days=GRACE)

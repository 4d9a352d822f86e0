"""What was found at an account, in words."""

from collections.abc import Iterator

import pytest

from app.http import Application
from app.web.drivers import driver_words, finding_words, is_given, is_good_news


@pytest.fixture(autouse=True)
def _in_english(app: Application) -> Iterator[None]:
    with app.test_request_context("/"):
        yield


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("usage_level", -0.5108, "Use per seat last month is 40% below others"),
        ("usage_trend", 0.4055, "Use last month is 50% above its own half-year"),
        ("seats_used", 0.25, "25% of the paid seats are in use"),
        ("tickets_90d", 1.0, "1 support ticket in 90 days"),
        ("tickets_90d", 4.0, "4 support tickets in 90 days"),
        ("trainings_12m", 1.0, "1 training attended in a year"),
        ("overdue_days", 12.0, "An invoice is 12 days overdue"),
        ("overdue_days", 0.0, "No invoice is overdue"),
        ("nps", 6.0, "Would recommend us: 6 of 10"),
        ("days_since_contact", 77.0, "Last contact 77 days ago"),
    ],
)
def test_a_finding_says_its_figure(name: str, value: float, words: str) -> None:
    assert finding_words(name, value) == words


def test_what_has_no_figure_is_said_in_the_drivers_own_words() -> None:
    assert finding_words("nps", None) == driver_words("nps") == "Latest recommendation (NPS)"
    assert finding_words("segment: Team", 1.0) == "Segment: Team"


def test_good_news_is_no_reason_and_what_nobody_can_change_comes_last() -> None:
    assert [is_good_news("nps", value) for value in (10.0, 6.0, None)] == [True, False, False]
    assert [is_good_news("escalations_90d", value) for value in (0.0, 1.0)] == [True, False]
    assert [is_good_news("overdue_days", value) for value in (0.0, 5.0, None)] == [True, False, False]
    assert [is_given(name) for name in ("segment: Team", "log_mrr", "usage_level")] == [True, True, False]

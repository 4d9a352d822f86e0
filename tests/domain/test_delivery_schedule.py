"""When a message that did not arrive is sent again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.delivery_schedule import DELAYS_SECONDS, retry_delay_seconds

MINUTE, HOUR = 60, 3600
DRAWS = st.floats(0, 1, exclude_max=True)


def test_the_schedule_by_pencil_is_ten_attempts_in_three_days() -> None:
    exact = [retry_delay_seconds(failed, draw=0.5) for failed in range(1, 11)]
    assert exact == [
        5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 10 * HOUR, 20 * HOUR, 24 * HOUR, None,
    ]  # fmt: skip
    assert sum(DELAYS_SECONDS) == 71 * HOUR + 35 * MINUTE + 5


@pytest.mark.parametrize(("draw", "seconds"), [(0.0, 240.0), (0.25, 270.0), (0.75, 330.0)])
def test_the_jitter_by_pencil(draw: float, seconds: float) -> None:
    assert retry_delay_seconds(2, draw=draw) == pytest.approx(seconds)


@given(st.integers(1, 9), DRAWS)
def test_the_jitter_stays_within_a_fifth(failed: int, draw: float) -> None:
    delay = retry_delay_seconds(failed, draw=draw)
    assert delay is not None
    assert 0.8 * DELAYS_SECONDS[failed] <= delay <= 1.2 * DELAYS_SECONDS[failed]


@pytest.mark.parametrize(
    ("failed", "asked", "draw", "seconds"),
    [
        (1, 60, 0.0, 60),  # more than the schedule's 5 s
        (1, 60, 0.5, 66),
        (4, 60, 0.5, 2 * HOUR),  # less than the schedule
        (1, 10**12, 0.0, 24 * HOUR),  # for ever
        (10, 60, 0.5, None),  # after the last attempt
    ],
)
def test_a_receiver_that_asks_for_time_gets_it_within_bounds(failed: int, asked: int, draw: float, seconds) -> None:
    assert retry_delay_seconds(failed, draw=draw, asked_seconds=asked) == pytest.approx(seconds)


@given(st.integers(1, 9), DRAWS, st.integers(0, 10**9))
def test_asking_for_time_never_brings_an_attempt_forward(failed: int, draw: float, asked: int) -> None:
    plain, waited = (retry_delay_seconds(failed, draw=draw, asked_seconds=each) for each in (None, asked))
    assert plain is not None
    assert waited is not None
    longest = 1.2 * 24 * HOUR * (1 + 1e-12)  # 20 % may be reckoned as 1 + .2 or as 1.2
    assert max(plain, min(asked, 24 * HOUR)) <= waited <= max(plain, longest)

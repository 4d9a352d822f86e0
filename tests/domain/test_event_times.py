"""When an event happened, by a clock that may be wrong, and whether it still counts."""

import pytest

from app.domain.event_times import DAY_US, FUTURE_LIMIT_DAYS, LATE_LIMIT_DAYS, Sending

NOON, MINUTE = 20_000 * DAY_US + DAY_US // 2, 60_000_000


@pytest.mark.parametrize(
    ("stamped", "sent", "occurred"),
    [
        (None, None, NOON),  # nothing is said: now
        (None, NOON - MINUTE, NOON),
        (NOON - MINUTE, None, NOON - MINUTE),  # the stamp alone counts as it is
        (NOON - 6 * MINUTE, NOON - MINUTE, NOON - 5 * MINUTE),  # five minutes before sending, by a clock a minute slow
        (5 * MINUTE, 7 * MINUTE, NOON - 2 * MINUTE),  # a clock that began in 1970
        (NOON + 400 * DAY_US, NOON + 400 * DAY_US + MINUTE, NOON - MINUTE),
    ],
)
def test_it_happened_as_long_before_it_came_as_it_was_sent_after_it(
    stamped: int | None, sent: int | None, occurred: int
) -> None:
    assert Sending.of(NOON, sent).occurred_us(stamped) == occurred


def test_what_is_too_late_or_ahead_does_not_count_and_the_limits_themselves_do() -> None:
    sending = Sending.of(NOON, None)
    earliest, latest = NOON - LATE_LIMIT_DAYS * DAY_US, NOON + FUTURE_LIMIT_DAYS * DAY_US
    assert [sending.refusal(at) for at in (earliest - 1, earliest, NOON, latest, latest + 1)] == [
        "too_late", None, None, None, "in_future",
    ]  # fmt: skip

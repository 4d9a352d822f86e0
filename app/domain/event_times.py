"""When a usage event happened, and whether that is a time that counts. Instants are microseconds since 1970 in UTC."""

from dataclasses import dataclass

DAY_US = 86_400_000_000
LATE_LIMIT_DAYS = 30  # an event that comes later than this counts nowhere: figures of that month are settled
FUTURE_LIMIT_DAYS = 1  # a clock may be wrong by some hours, or by a time zone


@dataclass(frozen=True, slots=True)
class Sending:
    """When a message was received by our clock, and sent by the sender's (None: it does not say)."""

    received_us: int
    sent_us: int | None


def occurred_us(stamped_us: int | None, sending: Sending) -> int:
    """`received - (sent - stamped)`: how long before sending it happened, by the sender's own clock, however wrong.

    Without the instant of sending the stamp counts as it is; without a stamp it happened when it was received.
    Source: Segment's specification, "Clock skew" (`timestamp = receivedAt - (sentAt - originalTimestamp)`).
    """
    if stamped_us is None:
        return sending.received_us
    if sending.sent_us is None:
        return stamped_us
    return sending.received_us - (sending.sent_us - stamped_us)


def refusal_of_time(occurred: int, received: int) -> str | None:
    """`too_late` for over 30 days before it was received, `in_future` for over a day after; None: it counts."""
    if occurred < received - LATE_LIMIT_DAYS * DAY_US:
        return "too_late"
    return "in_future" if occurred > received + FUTURE_LIMIT_DAYS * DAY_US else None

"""When a usage event happened, and whether that is a time that counts. Instants are microseconds since 1970 in UTC."""

from dataclasses import dataclass
from typing import Self

DAY_US = 86_400_000_000
LATE_LIMIT_DAYS = 30  # an event that comes later than this counts nowhere: figures of that month are settled
FUTURE_LIMIT_DAYS = 1  # a clock may be wrong by some hours, or by a time zone


@dataclass(frozen=True, slots=True)
class Sending:
    """What sending a message says of its times: how wrong the sender's clock is, and what counts."""

    received_us: int
    shift_us: int  # to be added to what the sender's clock said
    earliest_us: int
    latest_us: int

    @classmethod
    def of(cls, received_us: int, sent_us: int | None) -> Self:
        """Received by our clock and sent by the sender's (None: it does not say).

        The time is `received - (sent - stamped)`: how long before sending it happened, by the sender's own clock,
        however wrong. Without the instant of sending the stamp counts as it is.
        Source: Segment's specification, "Clock skew" (`timestamp = receivedAt - (sentAt - originalTimestamp)`).
        """
        return cls(
            received_us,
            0 if sent_us is None else received_us - sent_us,
            received_us - LATE_LIMIT_DAYS * DAY_US,
            received_us + FUTURE_LIMIT_DAYS * DAY_US,
        )

    def occurred_us(self, stamped_us: int | None) -> int:
        """When it happened; without a stamp, when it was received."""
        return self.received_us if stamped_us is None else stamped_us + self.shift_us

    def refusal(self, occurred_us: int) -> str | None:
        """`too_late` for over 30 days before it was received, `in_future` for over a day after; None: it counts."""
        if self.earliest_us <= occurred_us <= self.latest_us:
            return None
        return "too_late" if occurred_us < self.earliest_us else "in_future"

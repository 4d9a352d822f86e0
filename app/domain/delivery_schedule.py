"""When a message that did not arrive is sent again."""

# Seconds before each attempt: at once, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h, 20 h, 24 h; ten in three days.
DELAYS_SECONDS = (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 36_000, 72_000, 86_400)
JITTER = 0.2
LONGEST_ASKED_SECONDS = 86_400


def retry_delay_seconds(failed: int, *, draw: float, asked_seconds: int | None = None) -> float | None:
    """Seconds from the failed attempt to the next one; None after the last.

    `failed` attempts were made (1 to 10), `draw` lies in [0, 1) and spreads the delay evenly over 20 % below
    and above, so that what failed together does not come back together. A receiver that asks for
    more time (Retry-After) gets it, up to a day and at most 20 % longer; one that asks for less does not get more
    attempts into the same hours.
    """
    if failed >= len(DELAYS_SECONDS):
        return None
    delay = DELAYS_SECONDS[failed] * (1 + JITTER * (2 * draw - 1))
    if asked_seconds is None:
        return delay
    return max(delay, min(asked_seconds, LONGEST_ASKED_SECONDS) * (1 + JITTER * draw))

"""What can become of an expansion opportunity: its states, who may move it where, and the reasons there are."""

from collections.abc import Mapping
from datetime import timedelta

UPSELL, CROSS_SELL = "upsell", "cross_sell"
MOTIONS = (UPSELL, CROSS_SELL)
HIGH, MEDIUM = "high", "medium"
LIKELIHOODS = (HIGH, MEDIUM)
ARR, BOOKINGS = "arr", "bookings"  # what the worth is measured in

FLAGGED, SNOOZED, ACCEPTED, REJECTED = "flagged", "snoozed", "accepted", "rejected"
WON, LOST, LAPSED = "won", "lost", "lapsed"
UNDECIDED = frozenset({FLAGGED, SNOOZED, ACCEPTED})  # of these there is at most one for an account and a product
STATES = (FLAGGED, SNOOZED, ACCEPTED, REJECTED, WON, LOST, LAPSED)

ACCEPT, REJECT, SNOOZE, WIN, LOSE, UNDO = "accept", "reject", "snooze", "win", "lose", "undo"

# (the state it is in, what somebody does) -> the state it comes to. What is not here cannot be done.
MOVES: Mapping[tuple[str, str], str] = {
    (FLAGGED, ACCEPT): ACCEPTED,
    (FLAGGED, REJECT): REJECTED,
    (FLAGGED, SNOOZE): SNOOZED,
    (SNOOZED, ACCEPT): ACCEPTED,
    (SNOOZED, REJECT): REJECTED,
    (SNOOZED, SNOOZE): SNOOZED,
    (ACCEPTED, WIN): WON,
    (ACCEPTED, LOSE): LOST,
    (SNOOZED, UNDO): FLAGGED,
    (ACCEPTED, UNDO): FLAGGED,
    (REJECTED, UNDO): FLAGGED,
    (WON, UNDO): ACCEPTED,
    (LOST, UNDO): ACCEPTED,
}
REASONS: Mapping[str, tuple[str, ...]] = {
    REJECT: ("not_needed", "no_budget", "bad_timing", "has_another_solution", "already_in_talks", "other"),
    LOSE: ("price", "chose_another", "no_decision", "bad_timing", "other"),
}
UNDO_WITHIN = timedelta(days=7)
SNOOZE_DAYS = 30  # where nobody says until when
LONGEST_SNOOZE_DAYS = 365

# Days before the same thing may be flagged again. Each is longer than what can be undone, so that an
# opportunity never comes back beside its successor.
REST_DAYS: Mapping[str, int] = {REJECTED: 180, LOST: 180, WON: 90, LAPSED: 30}


def actions_from(state: str) -> tuple[str, ...]:
    """What somebody can do with an opportunity that is in `state`, in the order of the table."""
    return tuple(action for source, action in MOVES if source == state)

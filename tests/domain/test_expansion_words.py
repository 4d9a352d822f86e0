"""Evidence in sentences, and the table of moves."""

import pytest

from app.domain.expansion_moves import MOVES, REST_DAYS, STATES, UNDO_WITHIN, actions_from
from app.domain.expansion_words import SENTENCES, evidence_sentences

EVIDENCE = [
    (
        {"kind": "seats_in_use", "people": 41.0, "seats": 45.0, "counted": "busiest_day"},
        "41 of 45 paid seats (91%) were in use on the busiest of the last 30 days.",
    ),
    (
        {"kind": "seats_in_use", "people": 1_204.0, "seats": 1_000.0, "counted": "distinct"},
        "1,000 seats are paid for, and 1,204 people were active in the last 30 days (120%).",
    ),
    (
        {"kind": "growth", "people_a_month": 1.5, "months": 6},
        "Over the last 6 months use has grown by 1.5 people a month.",
    ),
    ({"kind": "growth", "people_a_month": -0.5, "months": 4}, "Over the last 4 months use has not grown."),
    ({"kind": "limit", "months_left": 2.4}, "At this rate the seats run out in 2.4 months."),
    ({"kind": "limit", "months_left": 1.0}, "At this rate the seats run out in 1 month."),
    ({"kind": "limit", "months_left": 0.0}, "The limit is reached."),
    (
        {"kind": "seats_asked", "quantity": 1, "price": {"amount": "288.00", "currency": "USD"}},
        "1 more seat, at the 288.00 USD a year that the account pays for one now.",
    ),
    (
        {"kind": "adoption", "product": "Insights", "adopters": 7, "non_owners": 90, "months": 6},
        "7 of the 90 accounts that did not have Insights took it in the last 6 months.",
    ),
    (
        {"kind": "owned_with", "product": "Insights", "owned": "Team", "owners": 40, "both": 12, "ratio": 1.84},
        (
            "This account has Team. Of the 40 accounts that do, 12 also have Insights: "
            "1.8 times as many as chance would have it."
        ),
    ),
    (
        {"kind": "typical_price", "product": "X", "segment": "smb", "sales": 9, "measure": "arr", "months": 12},
        (
            "It is worth a year's revenue from the middle one of 9 sales of X to accounts of the segment smb "
            "in the last 12 months."
        ),
    ),
    (
        {"kind": "typical_price", "product": "X", "segment": None, "sales": 1, "measure": "bookings", "months": 12},
        "It is worth the amount of the one sale of X to any account in the last 12 months.",
    ),
    (
        {"kind": "chance", "days_90": 0.123, "days_180": 0.25},
        (
            "The chance that it comes is 12% within three months, 25% within six months; forecasts like this were "
            "right in the two half years before."
        ),
    ),
    (
        {"kind": "chance", "days_90": None, "days_180": 0.25},
        (
            "The chance that it comes is 25% within six months; forecasts like this were right in the two half years "
            "before."
        ),
    ),
]


@pytest.mark.parametrize(("item", "sentence"), EVIDENCE)
def test_each_kind_of_evidence_is_a_sentence(item, sentence: str) -> None:
    assert evidence_sentences([item]) == [sentence]


def test_every_kind_is_tried_above() -> None:
    assert {item["kind"] for item, _ in EVIDENCE} == set(SENTENCES)


def test_what_ended_rests_for_longer_than_it_can_be_undone() -> None:
    ended = {state for state in STATES if state not in {"flagged", "snoozed", "accepted"}}
    assert set(REST_DAYS) == ended
    assert min(REST_DAYS.values()) > UNDO_WITHIN.days


def test_every_state_that_people_bring_about_can_be_left_and_nobody_moves_what_lapsed() -> None:
    assert {state for state, _ in MOVES} == set(STATES) - {"lapsed"}
    assert set(MOVES.values()) <= set(STATES)
    assert actions_from("flagged") == ("accept", "reject", "snooze")
    assert actions_from("accepted") == ("win", "lose", "undo")
    assert actions_from("lapsed") == ()

"""Renewals by pencil: what comes up, what became of it, and how much of it goes on."""

from datetime import date

import pytest

from app.domain.contracts import ChurnNotice, ContractLine, LineKind, line_lives
from app.domain.renewals import Renewal, RenewalState, Terms, renewals, sum_renewals

YEAR = (date(2026, 1, 1), date(2026, 12, 31))
OPEN, RENEWED, LOST = RenewalState.OPEN, RenewalState.RENEWED, RenewalState.LOST


def line(key: int, starts: str, ends: str | None, arr: int = 1200, **said: int | None) -> ContractLine:
    last = date.fromisoformat(ends) if ends else None
    return ContractLine(key, LineKind.RECURRING, date.fromisoformat(starts), last, arr, **{"offer": 1, **said})


def found(
    *lines: ContractLine, notices: tuple[ChurnNotice, ...] = (), as_of: str = "2026-12-31", terms: Terms | None = None
) -> list[Renewal]:
    lives = line_lives(lines, notices, grace_days=30)
    agreed = terms or Terms({}, {})
    return list(renewals(lives, terms=agreed, first_on=YEAR[0], last_on=YEAR[1], as_of=date.fromisoformat(as_of)))


def states(*lines: ContractLine, as_of: str = "2026-12-31", **said: object) -> list[tuple[str, int, RenewalState]]:
    return [
        (each.due_on.isoformat(), each.renewed_minor, each.state)
        for each in found(*lines, as_of=as_of, **said)  # type: ignore[arg-type]
    ]


FIRST = line(1, "2025-03-01", "2026-02-28")


class TestWhatBecameOfIt:
    def test_renewed_on_the_day(self) -> None:
        assert states(FIRST, line(2, "2026-03-01", "2027-02-28")) == [("2026-03-01", 1200, RENEWED)]

    def test_renewed_for_more_counts_for_what_was_due_and_for_less_for_less(self) -> None:
        assert states(FIRST, line(2, "2026-03-01", "2027-02-28", 2000)) == [("2026-03-01", 1200, RENEWED)]
        assert states(FIRST, line(2, "2026-03-01", "2027-02-28", 900)) == [("2026-03-01", 900, RENEWED)]

    def test_renewed_within_the_grace_is_renewed_on_its_day(self) -> None:
        assert states(FIRST, line(2, "2026-03-20", "2027-03-19")) == [("2026-03-01", 1200, RENEWED)]

    def test_back_after_the_grace_was_lost(self) -> None:
        assert states(FIRST, line(2, "2026-04-20", "2027-04-19"))[0] == ("2026-03-01", 0, LOST)

    @pytest.mark.parametrize(("as_of", "state"), [("2026-01-15", OPEN), ("2026-03-20", OPEN), ("2026-03-31", LOST)])
    def test_nobody_said_a_word(self, as_of: str, state: RenewalState) -> None:
        assert states(FIRST, as_of=as_of) == [("2026-03-01", 0, state)]

    def test_notice_for_the_end_of_the_term_is_lost_as_soon_as_it_is_known(self) -> None:
        notice = ChurnNotice(1, date(2026, 3, 1), given_on=date(2026, 1, 10), line=1)
        assert states(FIRST, notices=(notice,), as_of="2026-01-15") == [("2026-03-01", 0, LOST)]


class TestWhatComesUp:
    def test_a_line_that_ended_before_its_term_never_came_up(self) -> None:
        agreed = Terms({}, {1: date(2026, 8, 31)})
        assert states(FIRST, terms=agreed) == []

    def test_an_early_renewal_counts_on_the_day_that_was_due(self) -> None:
        early = line(2, "2026-01-15", "2027-01-14", renews=1)
        assert states(FIRST, early) == [("2026-03-01", 1200, RENEWED)]

    def test_an_amendment_that_ends_with_the_term_is_what_comes_up(self) -> None:
        amended = line(2, "2025-12-01", "2026-02-28", 1500, renews=1)
        assert states(FIRST, amended) == [("2026-03-01", 0, LOST)]
        assert [each.line for each in found(FIRST, amended)] == [2]

    def test_a_line_until_notice_comes_up_term_by_term(self) -> None:
        yearly = line(1, "2024-02-29", None)
        assert states(yearly, terms=Terms({1: 12}, {}), as_of="2026-06-01") == [("2026-02-28", 1200, RENEWED)]
        half = states(yearly, terms=Terms({1: 6}, {}), as_of="2026-06-01")
        assert half == [("2026-02-28", 1200, RENEWED), ("2026-08-29", 0, OPEN)]
        assert states(yearly, terms=Terms({1: 1}, {})) == []

    def test_a_line_until_notice_that_ends_with_a_term_is_lost_there(self) -> None:
        yearly, agreed = line(1, "2025-03-01", "2026-02-28"), Terms({1: 12}, {1: None})
        notice = ChurnNotice(1, date(2026, 3, 1), line=1)
        assert states(yearly, notices=(notice,), terms=agreed) == [("2026-03-01", 0, LOST)]

    def test_what_is_due_outside_the_period_is_left_out(self) -> None:
        assert states(line(1, "2024-01-01", "2024-12-31"), line(2, "2025-01-01", "2026-12-31")) == []


def test_lines_that_are_joined_into_one_share_it_in_proportion() -> None:
    lines = (line(1, "2025-03-01", "2026-02-28", 100), line(2, "2025-09-01", "2026-02-28", 200))
    assert states(*lines, line(3, "2026-03-01", "2027-02-28", 200)) == [
        ("2026-03-01", 67, RENEWED),
        ("2026-03-01", 133, RENEWED),
    ]


def test_totals_add_up_and_the_rate_is_of_what_is_decided() -> None:
    every = [
        *found(FIRST, line(2, "2026-03-01", "2027-02-28", 900)),
        *found(line(1, "2025-03-01", "2026-02-28", 600, offer=None)),
        *found(line(1, "2026-01-01", "2026-12-30", 400), as_of="2026-12-31"),
    ]
    total = sum_renewals(every)
    assert (total.due_minor, total.renewed_minor, total.reduced_minor) == (2200, 900, 300)
    assert (total.lost_minor, total.open_minor, total.lines) == (600, 400, 3)
    assert total.rate == 900 / 1800
    assert sum_renewals([]).rate is None

"""What was known of notices, and when."""

from datetime import UTC, date, datetime

from hypothesis import given
from hypothesis import strategies as st

from app.domain.contracts import ChurnNotice, ContractLine, LineKind, line_lives
from app.domain.notices import KnownNotice, KnownTerms, Leave, find_leave, known_ends


def at(month: int, day: int) -> datetime:
    return datetime(2025, month, day, 9, tzinfo=UTC)


def line(key: int, starts: date, ends: date | None, *, renews: int | None = None) -> ContractLine:
    return ContractLine(key, LineKind.RECURRING, starts, ends, arr_minor=1200, offer=key, renews=renews)


YEAR = line(1, date(2025, 1, 1), date(2025, 12, 31))
MONTHLY = line(2, date(2025, 1, 1), None)
END = date(2026, 1, 1)


def pieces(lines: list[KnownTerms], notices: list[KnownNotice]) -> list[tuple]:
    return [(each.position, each.since, each.until, each.end) for each in known_ends(lines, notices)]


def test_without_a_notice_a_version_is_one_piece() -> None:
    known = KnownTerms(YEAR, at(1, 1), None)
    assert pieces([known], []) == [(0, at(1, 1), None, None)]


def test_a_notice_counts_from_when_it_was_known_until_it_was_withdrawn() -> None:
    known = KnownTerms(YEAR, at(1, 1), None)
    notice = ChurnNotice(7, END, date(2025, 5, 3), cause="voluntary")
    assert pieces([known], [KnownNotice(notice, at(5, 4), at(6, 20))]) == [
        (0, at(1, 1), at(5, 4), None),
        (0, at(5, 4), at(6, 20), (END, "voluntary")),
        (0, at(6, 20), None, None),
    ]


def test_a_notice_that_is_moved_counts_as_it_was_said_at_the_time() -> None:
    first = ChurnNotice(7, date(2025, 7, 1), date(2025, 5, 3), line=2, cause="closed")
    second = ChurnNotice(7, date(2025, 6, 25), date(2025, 5, 3), line=2, cause="closed")
    # The line was shortened with each notice, as the service records it.
    terms = [
        KnownTerms(MONTHLY, at(1, 1), at(5, 4)),
        KnownTerms(line(2, date(2025, 1, 1), date(2025, 6, 30)), at(5, 4), at(6, 10)),
        KnownTerms(line(2, date(2025, 1, 1), date(2025, 6, 24)), at(6, 10), None),
    ]
    said = [KnownNotice(first, at(5, 4), at(6, 10)), KnownNotice(second, at(6, 10), None)]
    assert pieces(terms, said) == [
        (0, at(1, 1), at(5, 4), None),
        (1, at(5, 4), at(6, 10), (date(2025, 7, 1), "closed")),
        (2, at(6, 10), None, (date(2025, 6, 25), "closed")),
    ]


def test_a_notice_that_the_contracts_contradict_ends_nothing_until_they_agree() -> None:
    notice = ChurnNotice(7, date(2025, 7, 1), date(2025, 5, 3))  # names no line, and the line is paid beyond it
    shorter = line(1, date(2025, 1, 1), date(2025, 6, 30))
    terms = [KnownTerms(YEAR, at(1, 1), at(6, 1)), KnownTerms(shorter, at(6, 1), None)]
    assert pieces(terms, [KnownNotice(notice, at(5, 4), None)]) == [
        (0, at(1, 1), at(6, 1), None),
        (1, at(6, 1), None, (date(2025, 7, 1), None)),
    ]


@given(st.lists(st.tuples(st.integers(1, 300), st.integers(1, 300), st.booleans()), max_size=4), st.integers(1, 300))
def test_what_is_known_later_changes_no_piece_that_ended_before(spans: list, cut: int) -> None:
    moment = [datetime.fromordinal(date(2025, 1, 1).toordinal() + n).replace(tzinfo=UTC) for n in range(700)]
    terms = [KnownTerms(YEAR, moment[0], None), KnownTerms(MONTHLY, moment[20], None)]
    said = [
        KnownNotice(ChurnNotice(n, moment[a + b].date(), moment[a].date(), line=1 if named else None), moment[a], None)
        for n, (a, b, named) in enumerate(spans)
    ]
    earlier = [each for each in said if each.since < moment[cut]]

    def until_cut(notices: list[KnownNotice]) -> list[tuple]:
        found = [each for each in known_ends(terms, notices) if each.since < moment[cut]]
        return [(e.position, e.since, min(e.until or moment[cut], moment[cut]), e.end) for e in found]

    assert until_cut(said) == until_cut(earlier)
    for position in (0, 1):
        own = [each for each in known_ends(terms, said) if each.position == position]
        assert [a.until for a in own[:-1]] == [b.since for b in own[1:]]


def leave(lines: list[ContractLine], notices: list[ChurnNotice], day: date = date(2025, 6, 1)) -> Leave | None:
    return find_leave(line_lives(lines, notices, grace_days=30), day)


def test_an_account_leaves_when_the_last_of_its_lines_ends_by_notice() -> None:
    add_on = line(3, date(2025, 1, 1), date(2025, 8, 31))
    both = [
        ChurnNotice(7, date(2025, 9, 1), date(2025, 5, 3), line=3),
        ChurnNotice(8, END, date(2025, 5, 9), line=1, cause="closed"),
    ]
    assert leave([YEAR, add_on], both) == Leave(date(2025, 5, 9), END, "closed")
    assert leave([YEAR, add_on], both[:1]) is None
    assert leave([YEAR], []) is None
    assert leave([YEAR], both[1:], END) is None


def test_who_has_signed_for_the_time_after_goes_on() -> None:
    notice = [ChurnNotice(7, END, date(2025, 5, 3), line=1)]
    after, later = line(4, END, None), line(4, date(2026, 3, 1), None)
    assert leave([YEAR, after], notice) is None
    assert leave([YEAR, later], notice) == Leave(date(2025, 5, 3), END, None)
    renewed = line(4, END, date(2026, 12, 31), renews=1)
    assert leave([YEAR, renewed], []) is None
    gone = [ChurnNotice(8, date(2027, 1, 1), date(2025, 5, 3), line=4, cause="voluntary")]
    assert leave([YEAR, renewed], gone) == Leave(date(2025, 5, 3), date(2027, 1, 1), "voluntary")

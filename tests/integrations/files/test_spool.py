"""What a run remembers of its files."""

from dataclasses import fields
from datetime import date
from decimal import Decimal
from typing import get_args, get_type_hints

import pytest

from integrations.files.reader import BadRow
from integrations.files.rows import DealRow, LineRow
from integrations.files.spool import DealPart, Place, Spool

DEAL = DealRow("D", "A", closed_on=date(2024, 1, 1), amount=Decimal("1.10"), non_cancellable=True, notice_days=30)
LINE = LineRow("D", "P", Decimal("1.10"), ends_on=date(2024, 12, 31), quantity=Decimal(3), auto_renew=True)


@pytest.fixture
def spool():
    with Spool() as spool:
        yield spool


def test_the_second_row_of_an_id_is_told_where_the_first_was_and_whether_it_says_the_same(spool):
    assert spool.first_of("deal", "D", row=DEAL, place=Place(0, 2)) is None
    assert spool.first_of("deal", "D", row=DEAL, place=Place(0, 3)) == (0, -2)
    assert spool.first_of("deal", "D", row=LINE, place=Place(0, 4)) == (0, 2)
    assert spool.first_of("line", "D", row=LINE, place=Place(0, 5)) is None
    assert spool.seen("deal", ["D", "E"]) == {"D"}


def test_deals_come_back_as_they_went_in_with_all_their_parts(spool):
    other = DealRow("E", stage="open")
    parts = [(Place(1, 2), LINE), (Place(0, 2), other), (Place(0, 3), DEAL)]
    spool.add_parts(DealPart(*part) for part in parts)
    spool.spoil("E", "line 9")
    assert list(spool.deals()) == [
        ("D", None, [DealPart(*parts[0]), DealPart(*parts[2])]),
        ("E", "line 9", [DealPart(*parts[1])]),
    ]


@pytest.mark.parametrize("kind", [DealRow, LineRow])
def test_every_field_survives_the_way_to_disk_and_back(spool, kind):
    samples = {str: "x", date: date(2024, 2, 29), Decimal: Decimal("0.10"), int: 7, bool: True}
    hints = get_type_hints(kind)
    row = kind(
        **{name: next(samples[t] for t in (hint, *get_args(hint)) if t in samples) for name, hint in hints.items()}
    )
    assert None not in [getattr(row, each.name) for each in fields(kind)]
    spool.add_parts([(Place(0, 1), row)])
    ((_, _, parts),) = spool.deals()
    assert parts == [DealPart(Place(0, 1), row)]


def test_a_row_is_set_aside_once_with_its_first_reason(spool):
    assert spool.reject(0, BadRow(3, "a", "first"))
    assert not spool.reject(0, BadRow(3, "b", "second"))
    assert spool.rejected(0) == [BadRow(3, "a", "first")]
    assert spool.rejected_lines(0, [1, 9]) == {3: BadRow(3, "a", "first")}
    assert spool.rejected(1) == []

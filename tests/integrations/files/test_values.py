"""Each cell becomes a value, or says why not."""

from contextlib import suppress
from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.files import values
from integrations.files.values import BadValue

UTC = ZoneInfo("UTC")
TOKYO = ZoneInfo("Asia/Tokyo")


def test_iso_dates_need_no_format():
    read = values.date_of(None, UTC, plus_days=0)
    assert read("2024-02-29") == date(2024, 2, 29)
    assert read("2024-02-29T23:30:00") == date(2024, 2, 29)


def test_an_instant_falls_on_the_companys_own_day():
    assert values.date_of(None, TOKYO, plus_days=0)("2024-02-29T23:30:00+00:00") == date(2024, 3, 1)
    assert values.date_of("%d.%m.%Y %H:%M %z", TOKYO, plus_days=0)("29.02.2024 23:30 +0000") == date(2024, 3, 1)


def test_other_formats_are_stated_and_iso_is_understood_beside_them():
    read = values.date_of("%d/%m/%Y", UTC, plus_days=1)
    assert read("31/12/2023") == read("2023-12-31") == date(2024, 1, 1)
    swapped = values.date_of("%Y-%d-%m", UTC, plus_days=0)
    assert swapped("2024-01-02") == date(2024, 2, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2023-02-29", "'2023-02-29' is not a date"),
        ("31/12/2023", "is not a date such as 2024-03-31; set `format`"),
        ("２０２４-01-01", "set `format`"),
        ("9999-12-31", "9999-12-31 is out of range; dates from 1900-01-01 to 2199-12-31 are taken"),
        ("0001-01-01", "out of range"),
        ("x" * 5000, r"\(5000 characters\)"),
    ],
)
def test_what_is_no_date_is_refused(text, message):
    with pytest.raises(BadValue, match=message) as refused:
        values.date_of(None, UTC, plus_days=0)(text)
    assert len(str(refused.value)) < 200


def test_months_of_tenure_count_back_from_the_first_of_the_month():
    read = values.months_before(date(2024, 3, 15))
    assert [read(text) for text in ("0", "1", "3", "15")] == [
        date(2024, 3, 1),
        date(2024, 2, 1),
        date(2023, 12, 1),
        date(2022, 12, 1),
    ]
    for text in ("-1", "1.5", "many", "99999"):
        with pytest.raises(BadValue):
            read(text)


def test_numbers_as_they_are_written_elsewhere():
    assert values.decimal_of(",", ".")("1.234.567,89") == Decimal("1234567.89")
    assert values.decimal_of(".", ",")("1,234.50") == Decimal("1234.50")
    assert values.decimal_of(".", "")("1234.50") == Decimal("1234.50")
    with pytest.raises(BadValue, match="is not a plain decimal number"):
        values.decimal_of(".", "")("1,234.50")


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e400", "9" * 4300, "１２"])
def test_numbers_that_are_none_are_refused_for_every_type(text):
    number = values.decimal_of(".", "")
    for read in (number, values.whole_of(number), values.float_of(number)):
        with pytest.raises(BadValue):
            read(text)


def test_whole_numbers_stay_whole():
    read = values.whole_of(values.decimal_of(".", ""))
    assert (read("12"), read("12.00"), read("-3")) == (12, 12, -3)
    for text in ("1.5", "2147483648"):
        with pytest.raises(BadValue, match="is not a whole number"):
            read(text)


def test_yes_and_no_in_their_usual_dress():
    assert [values.boolean(text) for text in ("TRUE", "yes", "1", "False", "N")] == [True, True, True, False, False]
    with pytest.raises(BadValue, match="'maybe' is neither yes nor no"):
        values.boolean("maybe")


def test_texts_keep_emoji_and_refuse_what_no_database_takes():
    read = values.text_of(10)
    assert read("納品 🎉") == "納品 🎉"
    for text, message in (
        ("a\0b", "holds a NUL"),
        ("x" * 11, "has 11 characters; at most 10"),
        ("\udc8a", "set `encoding`"),
    ):
        with pytest.raises(BadValue, match=message):
            read(text)


def test_choices_and_currencies_say_what_is_allowed():
    with pytest.raises(BadValue, match="'Closed Won' is not one of open, won, lost; add it to `map`"):
        values.choice_of(("open", "won", "lost"))("Closed Won")
    with pytest.raises(BadValue, match="'EURO' is not a currency"):
        values.currency("EURO")


@given(st.text(max_size=60))
def test_no_text_makes_any_reader_fail_in_another_way(text):
    number = values.decimal_of(",", ".")
    readers = [
        values.date_of("%d/%m/%Y %z", TOKYO, plus_days=0),
        values.date_of(None, UTC, plus_days=3),
        values.months_before(date(2024, 1, 1)),
        number,
        values.whole_of(number),
        values.float_of(number),
        values.boolean,
        values.currency,
        values.text_of(5),
    ]
    for read in readers:
        with suppress(BadValue):
            read(text)

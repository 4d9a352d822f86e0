"""Names on one line."""

import pytest

from app.domain.texts import is_one_line


@pytest.mark.parametrize("text", ["Ana Lima", "田中\u3000太郎", "", "x=1"])
def test_what_can_be_shown_as_it_is(text: str) -> None:
    assert is_one_line(text)


@pytest.mark.parametrize("text", ["two\nlines", "tab\t", "nul\0", "turned \u202e", "bell\x1b[31m", "separated\u2028"])
def test_what_breaks_or_turns_a_line(text: str) -> None:
    assert not is_one_line(text)

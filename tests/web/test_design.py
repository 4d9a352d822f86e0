"""The colours of both themes, by the contrast that WCAG 2.2 AA asks for."""

import re

import pytest

from app.web.assets import FOLDER

TOKENS: dict[str, tuple[str, str]] = {
    name: (light, dark)
    for name, light, dark in re.findall(
        r"--([a-z-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", (FOLDER / "static" / "app.css").read_text()
    )
}
GROUNDS = ("ground", "surface", "sunken")
TEXT_ON = [(ink, ground) for ink in ("ink", "ink-soft", "ink-faint", "accent") for ground in GROUNDS] + [
    ("good", "good-soft"),
    ("watch", "watch-soft"),
    ("risk", "risk-soft"),
    ("ink-soft", "none-soft"),
    ("ink", "accent-soft"),
    ("accent-ink", "accent"),
    ("good", "surface"),
    ("watch", "surface"),
    ("risk", "surface"),
    ("good", "sunken"),
    ("risk", "sunken"),
    ("watch", "ground"),
]
# The edge of a field, and what is drawn in a chart, against what lies next to it.
SHAPES_ON = [("line-strong", "surface"), ("accent", "surface"), ("ink-faint", "surface"), ("watch", "surface")]


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def test_contrast_is_computed_as_the_standard_says() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), TEXT_ON)
def test_text_can_be_read(ink: str, ground: str, theme: int) -> None:
    assert contrast(TOKENS[ink][theme], TOKENS[ground][theme]) >= 4.5


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("shape", "ground"), SHAPES_ON)
def test_shapes_can_be_seen(shape: str, ground: str, theme: int) -> None:
    assert contrast(TOKENS[shape][theme], TOKENS[ground][theme]) >= 3.0


def test_a_field_for_a_password_and_a_stacked_table_are_written_once() -> None:
    pages = {path.name: path.read_text() for path in (FOLDER / "templates").glob("*.html")}
    for part, home in (('type="password"', "form_parts.html"), ('class="table stacked"', "list_parts.html")):
        assert [name for name, text in pages.items() if part in text] == [home]


def test_no_colour_is_written_outside_the_tokens() -> None:
    rules = (FOLDER / "static" / "app.css").read_text().split("*, *::before", 1)[1]
    assert re.findall(r"#[0-9a-f]{3,8}\b(?=[;,)\s])", rules) == []

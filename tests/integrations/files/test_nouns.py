"""The documentation of the mapping names every noun and field there is."""

from dataclasses import fields
from pathlib import Path

import pytest

from integrations.files.nouns import NOUNS

REFERENCE = (Path(__file__).parents[3] / "docs" / "import.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("noun", NOUNS)
def test_every_noun_is_described_with_all_of_its_fields(noun: str) -> None:
    line = next(line for line in REFERENCE.splitlines() if line.startswith(f"| `{noun}` |"))
    for name, spec in NOUNS[noun].fields.items():
        assert f"`{name}`" in line
        for choice in spec.choices:
            assert choice in line


@pytest.mark.parametrize("noun", NOUNS)
def test_every_field_of_a_row_can_be_mapped(noun: str) -> None:
    kind = NOUNS[noun]
    own = {field.name for field in fields(kind.row)} - {"custom"}
    assert own == set(kind.fields)

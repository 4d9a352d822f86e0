"""A definition: what a figure means, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Definition:
    """`id` is name@version; `parameters` are what an asker, or the company, may choose."""

    id: str
    name: str
    unit: str
    formula: str
    words: str
    parameters: Mapping[str, str] = field(default_factory=dict)

"""The evidence of an expansion opportunity in English sentences, for messages and files.

Evidence is a list of dictionaries: `kind`, and the numbers its sentence is made of. Pages may word
the same numbers in another language.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Evidence = Mapping[str, Any]

SENTENCES: Mapping[str, Callable[[Evidence], str]] = {}


def evidence_sentences(evidence: Sequence[Evidence]) -> list[str]:
    return [SENTENCES[item["kind"]](item) for item in evidence]

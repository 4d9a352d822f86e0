"""A set of ids of another system in little memory: what is listed by the million is compared with what is known."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

BYTES = 8
"""Of the digest that stands for an id. Two of a million ids share one in one of forty million lists, and where they do,
one that is gone is taken for there."""


@dataclass(frozen=True, slots=True)
class IdSet:
    """Ids by their digests, eight bytes each; nothing is found that was not put in but by the chance above."""

    _digests: NDArray[np.uint64]  # ascending, each once

    @classmethod
    def of(cls, parts: Iterable[Sequence[str]]) -> "IdSet":
        """All ids of the parts, each taken once."""
        given = [_digests_of(part) for part in parts]
        return cls(np.unique(np.concatenate(given)) if given else np.empty(0, np.uint64))

    def __len__(self) -> int:
        return len(self._digests)

    def pick_others(self, ids: Sequence[str]) -> list[str]:
        """Those of the ids that are not in the set, in their order."""
        if not len(self._digests):
            return list(ids)
        wanted = _digests_of(ids)
        places = np.minimum(np.searchsorted(self._digests, wanted), len(self._digests) - 1)
        is_other: Iterator[bool] = iter((self._digests[places] != wanted).tolist())
        return [id_ for id_ in ids if next(is_other)]

    def has_any(self, ids: Sequence[str]) -> bool:
        return len(self.pick_others(ids)) < len(ids)


def _digests_of(ids: Sequence[str]) -> NDArray[np.uint64]:
    return np.frombuffer(b"".join(blake2b(id_.encode(), digest_size=BYTES).digest() for id_ in ids), np.uint64)

"""Several requests' writes in one transaction: a disk is asked to keep something as often as it can, not more often."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True)
class _Entry(Generic[Item, Result]):
    item: Item
    result: Result | None = None
    error: Exception | None = None
    is_done: bool = False


class GroupCommit(Generic[Item, Result]):
    """Whoever comes while a transaction is under way waits for the next, which one of them makes for all of them.

    `commit` takes the items and returns a result for each once they are committed. Where it fails for several it is
    tried for each alone, so that nobody fails by another's item.
    """

    def __init__(self, commit: Callable[[Sequence[Item]], Sequence[Result]]) -> None:
        self._commit = commit
        self._waiting: list[_Entry[Item, Result]] = []
        self._list = Lock()
        self._turn = Lock()

    def submit(self, item: Item) -> Result:
        """The item's result, once it is committed. Raises what committing it raised."""
        entry: _Entry[Item, Result] = _Entry(item)
        with self._list:
            self._waiting.append(entry)
        with self._turn:
            if not entry.is_done:
                with self._list:
                    group, self._waiting = self._waiting, []
                self._commit_group(group)
        if entry.error is not None:
            raise entry.error
        return entry.result  # type: ignore[return-value]  # set where there is no error

    def _commit_group(self, group: Sequence[_Entry[Item, Result]]) -> None:
        try:
            results = self._commit([entry.item for entry in group])
        except Exception as error:  # noqa: BLE001  handed to those who wait
            if len(group) > 1:
                for entry in group:
                    self._commit_group([entry])
                return
            group[0].error, group[0].is_done = error, True
            return
        for entry, result in zip(group, results, strict=True):
            entry.result, entry.is_done = result, True

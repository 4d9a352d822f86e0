"""Several requests' writes in one transaction: a disk is asked to keep something as often as it can, not more often."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from threading import Lock
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Entry(Generic[Item, Result]):
    """An item that waits. `turn` is opened for it to lead its group, or when it is done."""

    __slots__ = ("error", "is_done", "item", "result", "turn")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.result: Result | None = None
        self.error: Exception | None = None
        self.is_done = False
        self.turn = Lock()
        self.turn.acquire()


class GroupCommit(Generic[Item, Result]):
    """Whoever comes while a transaction is under way waits for the next, which one of them makes for all of them.

    It begins when nobody is making an item any more: who shares the processor with those who are would only take it
    from them. `commit` takes the items and returns a result for each once they are committed. Where it fails for
    several it is tried for each alone, so that nobody fails by another's item. `turn` is held around each transaction,
    and whoever comes while it is waited for still belongs to it.
    """

    def __init__(
        self, commit: Callable[[Sequence[Item]], Sequence[Result]], turn: AbstractContextManager[None] | None = None
    ) -> None:
        self._commit, self._turn = commit, turn or nullcontext()
        self._lock = Lock()  # of the three below
        self._waiting: list[_Entry[Item, Result]] = []
        self._making = 0
        self._is_committing = False

    def submit(self, make: Callable[[], Item]) -> Result:
        """The result of the item that `make` computes, once it is committed. Raises what either of them raised.

        Others wait for it, so `make` must wait for nothing.
        """
        entry = self._join(make)
        entry.turn.acquire()
        if not entry.is_done:
            self._lead(entry)
        if entry.error is not None:
            raise entry.error
        return entry.result  # type: ignore[return-value]  # set where there is no error

    def _join(self, make: Callable[[], Item]) -> _Entry[Item, Result]:
        with self._lock:
            self._making += 1
        made: list[_Entry[Item, Result]] = []
        try:
            made.append(_Entry(make()))
        finally:
            with self._lock:
                self._making -= 1
                self._waiting += made
                self._begin()
        return made[0]

    def _begin(self) -> None:
        """Let the last of those who wait lead, if nobody does: mostly it is the one who says so, and is awake."""
        if self._waiting and not self._making and not self._is_committing:
            self._is_committing = True
            self._waiting[-1].turn.release()

    def _lead(self, leader: _Entry[Item, Result]) -> None:
        group: list[_Entry[Item, Result]] = []
        try:
            with self._turn:
                with self._lock:
                    group, self._waiting = self._waiting, []
                self._commit_group(group)
        finally:
            with self._lock:
                if not group:  # its turn could not be had
                    self._waiting.remove(leader)
                self._is_committing = False
                self._begin()
            for entry in group:
                if entry is not leader:
                    entry.turn.release()

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

"""Requests that come while a commit is under way share the next one, and none fails by another's item."""

from collections.abc import Sequence
from contextlib import nullcontext
from threading import Event, Thread

import pytest

from app.api.group_commit import GroupCommit


def test_those_who_come_during_a_commit_share_the_next_and_each_gets_its_own_result() -> None:
    groups: list[list[int]] = []
    entered, let_go = Event(), Event()

    def commit(items: Sequence[int]) -> list[int]:
        groups.append(sorted(items))
        if items == [0]:
            entered.set()
            let_go.wait(10)
        return [item * 10 for item in items]

    committer: GroupCommit[int, int] = GroupCommit(commit)
    results: dict[int, int] = {}
    threads = [Thread(target=lambda n=n: results.update({n: committer.submit(lambda: n)})) for n in range(6)]
    threads[0].start()
    entered.wait(10)
    for thread in threads[1:]:
        thread.start()
    while len(committer._waiting) < 5:
        entered.wait(0.001)
    let_go.set()
    for thread in threads:
        thread.join(10)
    assert results == {n: n * 10 for n in range(6)}
    assert groups == [[0], [1, 2, 3, 4, 5]]


def test_where_a_group_fails_each_is_tried_alone_and_only_the_bad_one_fails() -> None:
    calls: list[list[str]] = []
    entered, let_go = Event(), Event()

    def commit(items: Sequence[str]) -> list[str]:
        calls.append(sorted(items))
        if items == ["first"]:
            entered.set()
            let_go.wait(10)
        if "bad" in items:
            raise ValueError("bad")
        return [item.upper() for item in items]

    committer: GroupCommit[str, str] = GroupCommit(commit)
    results: dict[str, str] = {}

    def submit(item: str) -> None:
        try:
            results[item] = committer.submit(lambda: item)
        except ValueError as error:
            results[item] = f"refused: {error}"

    threads = [Thread(target=submit, args=(item,)) for item in ("first", "good", "bad", "fine")]
    threads[0].start()
    entered.wait(10)
    for thread in threads[1:]:
        thread.start()
    while len(committer._waiting) < 3:
        entered.wait(0.001)
    let_go.set()
    for thread in threads:
        thread.join(10)
    assert results == {"first": "FIRST", "good": "GOOD", "bad": "refused: bad", "fine": "FINE"}
    assert calls[1] == ["bad", "fine", "good"]
    assert sorted(calls[2:]) == [["bad"], ["fine"], ["good"]]
    with pytest.raises(ValueError, match="bad"):
        committer.submit(lambda: "bad")


def test_a_commit_waits_for_those_who_are_making_an_item_and_not_for_one_that_fails() -> None:
    groups: list[list[int]] = []
    making, let_go = Event(), Event()

    def commit(items: Sequence[int]) -> list[int]:
        groups.append(sorted(items))
        return list(items)

    committer: GroupCommit[int, int] = GroupCommit(commit)
    results: list[int] = []

    def fail_slowly() -> int:
        making.set()
        let_go.wait(10)
        raise ValueError("no item")

    def submit_failing() -> None:
        with pytest.raises(ValueError, match="no item"):
            committer.submit(fail_slowly)

    slow = Thread(target=submit_failing)
    slow.start()
    making.wait(10)
    others = [Thread(target=lambda n=n: results.append(committer.submit(lambda: n))) for n in range(3)]
    for thread in others:
        thread.start()
    while len(committer._waiting) < 3:
        making.wait(0.001)
    assert groups == []
    let_go.set()
    for thread in (slow, *others):
        thread.join(10)
    assert (groups, sorted(results)) == ([[0, 1, 2]], [0, 1, 2])


def test_where_the_turn_cannot_be_had_nobody_waits_for_ever() -> None:
    failures = iter([True, False])

    class Turn(nullcontext[None]):
        def __enter__(self) -> None:
            if next(failures):
                raise OSError("no lock")

    committer: GroupCommit[int, int] = GroupCommit(list, Turn())
    with pytest.raises(OSError, match="no lock"):
        committer.submit(lambda: 1)
    assert committer.submit(lambda: 2) == 2

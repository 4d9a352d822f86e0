"""A set of ids by their digests is a set of ids."""

from hypothesis import given
from hypothesis import strategies as st

from app.domain.id_set import IdSet

ids = st.lists(st.text(max_size=8))


@given(st.lists(ids), ids)
def test_it_is_what_a_set_is(parts: list[list[str]], asked: list[str]) -> None:
    found, expected = IdSet.of(parts), {id_ for part in parts for id_ in part}
    assert len(found) == len(expected)
    assert found.pick_others(asked) == [id_ for id_ in asked if id_ not in expected]
    assert found.has_any(asked) == any(id_ in expected for id_ in asked)


def test_by_pencil() -> None:
    found = IdSet.of([["006A", "006B"], [], ["006B", "006C"]])
    assert len(found) == 3
    assert found.pick_others(["006D", "006A", "006d", "006D"]) == ["006D", "006d", "006D"]
    assert (found.has_any(["x", "006C"]), found.has_any(["x"]), found.has_any([])) == (True, False, False)
    assert IdSet.of([]).pick_others(["a"]) == ["a"]


def test_ids_that_differ_by_one_sign_are_two() -> None:
    numbers = [str(10**10 + n) for n in range(20_000)]
    found = IdSet.of([numbers[::2]])
    assert found.pick_others(numbers) == numbers[1::2]

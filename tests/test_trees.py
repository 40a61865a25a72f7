"""Pytrees: flatten and unflatten are inverse, structures compare and print, any container takes part."""

from __future__ import annotations

import pickle
from collections import OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbgraph.errors import ShapeError
from nbgraph.trees import flatten, leaves, register, structure, tree_map, unflatten

Point = namedtuple("Point", ["x", "y"])


@dataclass
class State:
    mean: object
    scale: object = 1.0
    rule: str = field(default="mean", metadata={"static": True})
    calls: int = field(default=0, init=False)


class Pair:
    def __init__(self, left, right, label):
        self.left, self.right, self.label = left, right, label


register(Pair, lambda p: ((p.left, p.right), p.label), lambda label, children: Pair(*children, label))

scalars = st.integers() | st.text(max_size=3)
trees = st.recursive(
    scalars | st.none(),
    lambda t: (
        st.lists(t, max_size=3)
        | st.tuples(t, t)
        | st.dictionaries(st.text(max_size=2), t, max_size=3)
        | st.builds(Point, t, t)
        | st.builds(State, t, t)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(trees)
def test_unflatten_undoes_flatten(tree) -> None:
    found, treedef = flatten(tree)
    assert unflatten(treedef, found) == tree
    assert len(treedef) == len(found)


@settings(deadline=None)
@given(trees)
def test_structures_compare_hash_and_pickle(tree) -> None:
    treedef = structure(tree)
    again = structure(tree_map(lambda leaf: (leaf,)[0], tree))
    assert treedef == again
    assert hash(treedef) == hash(again)
    assert pickle.loads(pickle.dumps(treedef)) == treedef


@pytest.mark.parametrize(
    ("tree", "found", "text"),
    [
        (7, [7], "*"),
        (None, [], "None"),
        ((), [], "()"),
        ((1,), [1], "(*,)"),
        ([1, (2, [])], [1, 2], "[*, (*, [])]"),
        ({"b": 1, "a": {"c": 2}}, [2, 1], "{'a': {'c': *}, 'b': *}"),
        ({1: "x", "a": "y"}, ["x", "y"], "{1: *, 'a': *}"),
        (OrderedDict(b=1, a=2), [1, 2], "{'b': *, 'a': *}"),
        (Point(1, [2]), [1, 2], "Point(x=*, y=[*])"),
        (State(1, None), [1], "State(mean=*, scale=None, rule='mean')"),
        (Pair(1, 2, "ab"), [1, 2], "Pair(ab, *, *)"),
        ("text", ["text"], "*"),
    ],
)
def test_leaves_and_text(tree, found, text) -> None:
    assert leaves(tree) == found
    assert repr(structure(tree)) == text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((1, 2), [1, 2]),
        ((1, 2), Point(1, 2)),
        ({"a": 1}, {"b": 1}),
        ({"a": 1}, OrderedDict(a=1)),
        ([1, None], [1, 1]),
        (State(1, rule="a"), State(1, rule="b")),
        (Pair(1, 2, "a"), Pair(1, 2, "b")),
        (defaultdict(list, a=1), defaultdict(int, a=1)),
    ],
)
def test_different_structures_differ(one, other) -> None:
    assert structure(one) != structure(other)


def test_order_of_insertion_does_not_matter() -> None:
    assert structure({"a": 1, "b": 2}) == structure({"b": 2, "a": 1})


def test_classes_are_rebuilt() -> None:
    doubled = tree_map(lambda x: 2 * x, [Pair(1, 2, "p"), State(3, rule="r"), defaultdict(list, k=5)])
    assert (doubled[0].left, doubled[0].right, doubled[0].label) == (2, 4, "p")
    assert (doubled[1].mean, doubled[1].scale, doubled[1].rule) == (6, 2.0, "r")
    assert doubled[2] == {"k": 10}
    assert doubled[2].default_factory is list


def test_arrays_are_leaves() -> None:
    array = np.arange(3)
    found, treedef = flatten((array, array))
    assert found[0] is array
    assert treedef == structure((0, 0))


def test_subclasses_of_containers_are_leaves() -> None:
    class Mine(list):
        pass

    assert leaves([Mine([1, 2])]) == [[1, 2]]


def test_tree_map_of_several() -> None:
    assert tree_map(lambda x, y, z: x + y + z, [1, (2,)], [10, (20,)], [100, (200,)]) == [111, (222,)]


def test_structures_that_do_not_fit_are_named() -> None:
    with pytest.raises(ShapeError, match=r"tree_map: operand 1 has structure \[\*\], wanted .*\[\*, \*\]"):
        tree_map(max, [1, 2], [1])


def test_wrong_number_of_leaves() -> None:
    with pytest.raises(ShapeError, match=r"3 leaves: wanted 2 for the structure \(\*, \*\)"):
        unflatten(structure((1, 2)), [1, 2, 3])


def test_a_class_is_registered_once() -> None:
    with pytest.raises(ValueError, match="Pair is a container already"):
        register(Pair, lambda p: ((), None), lambda _, children: None)
    with pytest.raises(ValueError, match="tuple is a container already"):
        register(tuple, lambda t: (t, None), lambda _, children: tuple(children))


def test_a_registered_dataclass_is_taken_apart_as_registered() -> None:
    @dataclass
    class Sparse:
        values: object
        pattern: object

    register(Sparse, lambda s: ((s.values,), s.pattern), lambda pattern, children: Sparse(*children, pattern))
    assert leaves(Sparse(1, "pattern")) == [1]

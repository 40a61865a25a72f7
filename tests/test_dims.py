"""Symbolic sizes: arithmetic agrees with Python's ints, canonical forms are unique, printing is golden."""

from __future__ import annotations

import copy
import itertools
import operator
import pickle
import random
import threading

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nbgraph.dims import DimExpr, Size, dim, dim_max, dim_min, evaluate, substitute, symbols, to_source
from nbgraph.errors import BindingError, ConcretizationError

NAMES = ("n", "m", 0, ("p", 1))
n, m, k = dim("n"), dim("m"), dim("k")

# An expression is a tree of (operation, left, right), so that it can be run on sizes and on ints.
OPERATIONS = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": operator.floordiv,
    "%": operator.mod,
    "min": dim_min,
    "max": dim_max,
}
leaves = st.sampled_from(NAMES).map(lambda name: ("dim", name)) | st.integers(-6, 6)
trees = st.recursive(leaves, lambda t: st.tuples(st.sampled_from(sorted(OPERATIONS)), t, t), max_leaves=10)
environments = st.fixed_dictionaries({name: st.integers(0, 9) for name in NAMES})


def run(tree, symbol):
    if isinstance(tree, int):
        return tree
    if tree[0] == "dim":
        return symbol(tree[1])
    return OPERATIONS[tree[0]](run(tree[1], symbol), run(tree[2], symbol))


def size_and_value(tree, env):
    """The symbolic and the concrete result; a tree that divides by zero in either says nothing."""
    try:
        return run(tree, dim), run(tree, env.__getitem__)
    except ZeroDivisionError:
        assume(False)


@settings(deadline=None)
@given(trees, environments)
def test_arithmetic_agrees_with_ints(tree, env):
    size, value = size_and_value(tree, env)
    try:
        found = evaluate(size, env)
    except ZeroDivisionError:
        pytest.fail(f"{size} divides by zero where the expression itself does not")
    assert found == value


@settings(deadline=None)
@given(trees, environments)
def test_source_computes_the_value(tree, env):
    size, value = size_and_value(tree, env)
    source = to_source(size, lambda name: f"w[{NAMES.index(name)}]")
    assert eval(source, {"w": [env[name] for name in NAMES], "min": min, "max": max}) == value


@settings(deadline=None)
@given(trees, environments)
def test_text_means_the_value(tree, env):
    size, value = size_and_value(tree, env)
    names = {"n": "n", "m": "m", 0: "z", ("p", 1): "p"}
    renamed = substitute(size, {name: dim(letter) for name, letter in names.items()})
    assert eval(str(renamed), {letter: env[name] for name, letter in names.items()}) == value


@settings(deadline=None)
@given(trees, environments)
def test_constants_are_ints_and_symbols_are_all(tree, env):
    size, _ = size_and_value(tree, env)
    assert type(size) is (DimExpr if symbols(size) else int)
    assert evaluate(size, {name: env[name] for name in symbols(size)}) == evaluate(size, env)


@settings(deadline=None)
@given(trees, st.fixed_dictionaries(dict.fromkeys(NAMES, leaves)), environments)
def test_substitute_then_evaluate(tree, replacements, env):
    mapping = {name: run(leaf, dim) for name, leaf in replacements.items()}
    inner = {name: evaluate(size, env) for name, size in mapping.items()}
    assume(min(inner.values()) >= 0)
    size, value = size_and_value(tree, inner)
    try:
        found = substitute(size, mapping)
    except ZeroDivisionError:
        pytest.fail(f"{size} with {mapping} divides by zero")
    assert evaluate(found, env) == value


@settings(deadline=None)
@given(trees, trees, trees, environments)
def test_canonical_laws(x, y, z, env):
    (a, _), (b, _), (c, _) = (size_and_value(tree, env) for tree in (x, y, z))
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a
    assert a * b == b * a
    assert a * (b + c) == a * b + a * c
    assert a - a == 0
    assert a + 0 == a == a * 1
    assert dim_min(a, b) == dim_min(b, a)
    assert dim_max(a, a) == a == dim_min(a, a)
    assert dim_min(a, dim_min(b, a)) == dim_min(a, b)


def test_extrema_are_one_form_where_they_are_one_function() -> None:
    """And only there: over four sizes and two numbers, however deep they are nested."""
    rng = random.Random(0)
    arguments = [*map(dim, "abcd"), 1, 2]

    def nested(depth: int) -> Size:
        if depth == 0 or rng.random() < 0.2:
            return rng.choice(arguments)
        return rng.choice([dim_min, dim_max])(*(nested(depth - 1) for _ in range(rng.choice([2, 2, 3]))))

    forms: dict[tuple[int, ...], set[Size]] = {}
    tables = [dict(zip("abcd", values, strict=True)) for values in itertools.product(range(4), repeat=4)]
    for _ in range(300):
        size = nested(rng.choice([2, 3, 4]))
        forms.setdefault(tuple(evaluate(size, table) for table in tables), set()).add(size)
    assert max(map(len, forms.values())) == 1
    assert len(forms) > 100


@settings(deadline=None)
@given(trees, st.sampled_from([n, m * n, 3, 2 * m, n + 1, n // 2, m * m + n]), environments)
def test_division_undoes_multiplication(tree, divisor, env):
    size, _ = size_and_value(tree, env)
    assert (size * divisor) // divisor == size
    assert (size * divisor) % divisor == 0
    assert (size % divisor) % divisor == size % divisor


@settings(deadline=None)
@given(trees, environments)
def test_pickle_and_copy_give_the_same_object(tree, env):
    size, _ = size_and_value(tree, env)
    assume(isinstance(size, DimExpr))
    assert pickle.loads(pickle.dumps(size)) is size
    assert copy.copy(size) is size
    assert copy.deepcopy([size])[0] is size


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ((n * m) // m, n),
        (n % n, 0),
        (n // n, 1),
        ((3 * n) // 3, n),
        ((3 * n) % 3, 0),
        ((n * m + m) // m, n + 1),
        ((n * n - 1) // (n + 1), n - 1),
        ((n * m) // (2 * m), n // 2),
        ((n * m) % (2 * m), m * (n % 2)),
        (-(-n // 2), (n + 1) // 2),
        ((n - 1) // 2 + 1, (n + 1) // 2),
        (n // 2 // 3, n // 6),
        (((n + 1) // 2 + 1) // 2, (n + 3) // 4),
        ((2 * n + 1) // 4, n // 2),
        (n % 1, 0),
        (n // -2, -n // 2),
        (n % -2, -(-n % 2)),
        ((n + 5) % 3, (n + 2) % 3),
        ((2 * n) % 4, 2 * (n % 2)),
        (0 // n, 0),
        (dim_max(n, 0), n),
        (dim_max(n * m + 2, 1), n * m + 2),
        (dim_min(n, 0), 0),
        (dim_min(n, m, 3, 5, n), dim_min(dim_min(3, m), n)),
        (dim_max(n + 1, n), n + 1),
        (dim_min(n), n),
        (dim_max(2, 7), 7),
        (dim_max(n, dim_min(m, n)), n),
        (dim_max(n, dim_min(dim_max(n, m), dim_max(m, k))), dim_max(m, n)),
        (dim_max(n, 1, dim_min(2, dim_max(n, 1))), dim_max(n, 1)),
        (dim_min(dim_max(n, m), dim_max(n, m) + 1), dim_max(n, m)),
        (dim_min(dim_max(n, m), dim_max(n, k)), dim_max(n, dim_min(m, k))),
        (n**3, n * n * n),
        (n**0, 1),
    ],
)
def test_simplifications(size: Size, wanted: Size) -> None:
    assert size == wanted


def test_what_is_not_known_stays() -> None:
    assert dim_max(n - 1, 0) != n - 1
    assert isinstance(dim_min(n, m), DimExpr)
    assert n // m != n


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (n + 1, "n + 1"),
        (1 - n, "1 - n"),
        (-n, "-n"),
        (n - m, "n - m"),
        (n * m * 2, "2*m*n"),
        (n * n * m + n - 3, "m*n**2 + n - 3"),
        ((n + 1) // 2, "(n + 1)//2"),
        (3 * (n // 2), "3*(n//2)"),
        (n // m + n % m, "n % m + n//m"),
        (n - n // 2, "n - (n//2)"),
        (-(n % 2), "-(n % 2)"),
        ((2 * n) // m, "(2*n)//m"),
        (n // (m * k), "n//(k*m)"),
        (7 // (n + 1), "7//(n + 1)"),
        ((n // m) // k, "(n//m)//k"),
        (dim_min(m, n), "min(m, n)"),
        (dim_max(n + 1, m, 3) - 1, "max(m, n + 1, 3) - 1"),
        (dim_min(n, dim_max(m, k)), "min(n, max(k, m))"),
        (dim_max(dim_min(n, m - 1), 0), "max(min(m - 1, n), 0)"),
        (dim(("p", 1)) + dim(10) + dim(9), "9 + 10 + ('p', 1)"),
    ],
)
def test_printing(size: Size, text: str) -> None:
    assert str(size) == repr(size) == text


@pytest.mark.parametrize(
    ("size", "source"),
    [
        (7, "7"),
        (n * n - 2 * m, "w_n*w_n - 2*w_m"),
        (m * (n // 2) ** 2, "w_m*(w_n//2)*(w_n//2)"),
        (dim_min(n, m, k), "min(min(w_k, w_m), w_n)"),
        (dim_max(n, dim_min(m, 4)), "max(w_n, min(w_m, 4))"),
        ((n % 3) // m, "(w_n % 3)//w_m"),
    ],
)
def test_source(size: Size, source: str) -> None:
    assert to_source(size, "w_{}".format) == source


def test_identity_equality_and_hash() -> None:
    assert dim("n") is n
    assert n + m is m + n
    assert n != 3
    assert n != m
    assert (n - n + 3) == 3
    assert len({n, dim("n"), n + 0, m}) == 2
    assert hash(n) == object.__hash__(n)


def test_equal_names_of_different_types_are_different_sizes() -> None:
    assert dim(1) is not dim(True)
    assert dim("1") is not dim(1)


def test_names_of_one_text_still_have_one_order() -> None:
    class Same:
        def __repr__(self) -> str:
            return "same"

    a, b = dim(Same()), dim(Same())
    assert a + b is b + a
    assert a * b is b * a


@pytest.mark.parametrize("ask", [int, operator.index, range, bool, float, lambda d: [0][d], lambda d: d < 3])
def test_a_value_that_is_not_known_yet_is_refused(ask) -> None:
    with pytest.raises(ConcretizationError, match=r"m\*n \+ 1.*known only when sizes are bound"):
        ask(m * n + 1)


@pytest.mark.parametrize("compare", [operator.lt, operator.le, operator.gt, operator.ge])
def test_ordering_is_refused_from_both_sides(compare) -> None:
    for left, right in ((n, 3), (3, n), (n, m)):
        with pytest.raises(ConcretizationError):
            compare(left, right)


def test_text_of_a_width_is_text_and_a_number_is_asked_for() -> None:
    assert f"{m * n + 1:>10}|" == "   m*n + 1|"
    with pytest.raises(ConcretizationError, match="a number as text"):
        format(n, "03d")


def test_quotient_and_remainder_are_sizes() -> None:
    assert divmod(2 * n + 1, 2) == (n, 1)
    assert divmod(7, n) == (7 // n, 7 % n)


def test_missing_name_is_named() -> None:
    with pytest.raises(BindingError, match="size m has no value"):
        evaluate(n + m, {"n": 1})


@pytest.mark.parametrize("divide", [operator.floordiv, operator.mod])
def test_division_by_zero(divide) -> None:
    with pytest.raises(ZeroDivisionError):
        divide(n, 0)
    with pytest.raises(ZeroDivisionError):
        evaluate(divide(n, m), {"n": 3, "m": 0})


def test_numpy_integers_are_ints_and_floats_are_not_sizes() -> None:
    assert n + np.int64(1) is n + 1
    assert type(evaluate(n * np.int32(2), {"n": 3})) is int
    with pytest.raises(TypeError):
        n + 1.5
    with pytest.raises(TypeError):
        n / 2


def test_sizes_are_immutable() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        n.terms = ()  # type: ignore[misc]


def test_long_growth_stays_small() -> None:
    """A size that a loop transforms over and over neither nests deeper nor prints longer."""
    size: Size = n
    for _ in range(2000):
        size = dim_min(size + 1, m) // 2 if isinstance(size, int) else (size + 1) // 2
    assert str(size) == f"(n + {2**2000 - 1})//{2**2000}"


def test_deep_extrema_stay_small() -> None:
    """Where the form of no extrema of extrema is short, the operands stay as they were nested."""
    size: Size = n
    for i in range(40):
        size = dim_min(dim_max(size, dim(("a", i))), dim(("b", i)))
    assert len(str(size)) < 5000
    assert evaluate(size, {name: name[1] if name[0] == "a" else 99 for name in symbols(size) - {"n"}} | {"n": 7}) == 39


def test_threads_agree_on_identity() -> None:
    found: list[list[Size]] = []
    start = threading.Barrier(4)

    def make() -> None:
        start.wait()
        found.append([dim(("t", i)) * dim("n") + i for i in range(200)])

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(all(x is y for x, y in zip(found[0], other, strict=True)) for other in found)


def test_unused_sizes_are_forgotten() -> None:
    import weakref

    forgotten = weakref.ref(dim("a name of this test only") + 1)
    assert forgotten() is None

"""Plans of einsum, matmul, dot and tensordot, carried out with NumPy."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbgraph import orders
from nbgraph.contraction import Contraction, Diagonal, Squeeze, Sum, plan_einsum
from nbgraph.dims import dim
from nbgraph.errors import ShapeError
from nbgraph.labels import dot_labels, inner_labels, matmul_labels, outer_labels, tensordot_labels

INSTANCES = Path(__file__).parents[2] / "shared" / "data" / "einsum"


def contract(x, y, a, b, out):
    assert all(len(set(labels)) == len(labels) for labels in (a, b, out))
    assert set(a) <= {*b, *out} and set(b) <= {*a, *out} and set(out) <= {*a, *b}
    sizes = dict(zip(a, x.shape, strict=True))
    assert all(sizes.get(label, d) == d for label, d in zip(b, y.shape, strict=True))
    return np.einsum(x, a, y, b, out)


def carry_out(steps, operands):
    values = list(operands)
    for step in steps:
        x = values[step[0]]
        if isinstance(step, Contraction):
            value = contract(x, values[step.right], step.a, step.b, step.out)
        elif isinstance(step, Diagonal):
            value = np.diagonal(x, 0, step.axis1, step.axis2)
        elif isinstance(step, Sum):
            value = x.sum(step.axes)
        elif isinstance(step, Squeeze):
            value = x.squeeze(step.axes)
        else:
            value = x.transpose(step.axes)
        values.append(value)
    return values[-1]


def check(subscripts, *shapes, optimize="auto"):
    rng = np.random.default_rng(0)
    operands = [rng.normal(size=shape) for shape in shapes]
    result = carry_out(plan_einsum(subscripts, shapes, optimize), operands)
    expected = np.einsum(subscripts, *operands)
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [
        ("ii->i", [(3, 3)]),
        ("ii", [(3, 3)]),
        ("ii->", [(3, 3)]),
        ("iii->i", [(3, 3, 3)]),
        ("ijij->ji", [(2, 3, 2, 3)]),
        ("i...->...", [(2, 3, 4)]),
        ("...i->i...", [(2, 3, 4)]),
        ("...ii->...i", [(2, 3, 3)]),
        ("...", [(2, 3)]),
        ("ij->ji", [(2, 3)]),
        ("ji", [(2, 3)]),
        ("ij->ij", [(2, 3)]),
        ("ij->", [(2, 3)]),
        ("->", [()]),
        ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)]),
        ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]),
        ("i,j", [(2,), (3,)]),
        ("i,i", [(3,), (3,)]),
        (",ij->ij", [(), (2, 3)]),
        (",", [(), ()]),
        ("b i j , b j k", [(2, 3, 4), (2, 4, 5)]),
        ("ij,kj,lj->ikl", [(2, 3), (4, 3), (5, 3)]),
        ("ij,ij,ij->i", [(2, 3)] * 3),
        ("iij,jk->k", [(2, 2, 3), (3, 4)]),
        ("ij,k->k", [(2, 3), (4,)]),
        ("...ij,...jk->...ik", [(5, 2, 3), (3, 4)]),
        ("...ij,...jk", [(5, 1, 2, 3), (6, 3, 4)]),
        ("...ij,...jk->ik...", [(5, 1, 2, 3), (6, 3, 4)]),
        ("i...,...i->...", [(3, 2), (4, 2, 3)]),
        ("ij,ij->ij", [(1, 3), (2, 3)]),
        ("ij,jk->ik", [(2, 1), (3, 4)]),
        ("ij,ij->ij", [(1, 3), (1, 3)]),
        ("ij,jk->ik", [(2, 0), (0, 4)]),
        ("a,ab,bc,cd,de,e->", [(2,), (2, 3), (3, 4), (4, 5), (5, 6), (6,)]),
        ("λβ,βδ->λδ", [(2, 3), (3, 4)]),
        ("Ab,bA", [(2, 3), (3, 2)]),
    ],
)
@pytest.mark.parametrize("optimize", ["auto", True, False, "greedy", "optimal"])
def test_einsum(subscripts, shapes, optimize):
    if not subscripts.isascii():  # NumPy's own einsum takes ASCII letters alone
        x, y = (np.random.default_rng(0).normal(size=s) for s in shapes)
        np.testing.assert_allclose(carry_out(plan_einsum(subscripts, shapes, optimize), [x, y]), x @ y)
        return
    check(subscripts, *shapes, optimize=optimize)


@st.composite
def einsums(draw):
    size = {c: draw(st.integers(0, 4)) for c in "abcdef"}
    terms = draw(st.lists(st.text("abcdef", max_size=4), min_size=1, max_size=4))
    ones = [1] if draw(st.booleans()) else []  # dimensions that broadcast, but not along diagonals
    shapes = [tuple(draw(st.sampled_from([size[c], *ones * (t.count(c) == 1)])) for c in t) for t in terms]
    used = sorted(set("".join(terms)))
    out = "".join(draw(st.permutations(used))[: draw(st.integers(0, len(used)))])
    if draw(st.booleans()):  # an ellipsis somewhere in each term, of dimensions that align at the right
        more = draw(st.lists(st.integers(1, 3), max_size=2))
        for k, term in enumerate(terms):
            at, count = draw(st.integers(0, len(term))), draw(st.integers(0, len(more)))
            terms[k] = f"{term[:at]}...{term[at:]}"
            shapes[k] = (*shapes[k][:at], *more[len(more) - count :], *shapes[k][at:])
        at = draw(st.integers(0, len(out)))
        out = f"{out[:at]}...{out[at:]}"
    return ",".join(terms) + draw(st.sampled_from(("->" + out, ""))), shapes


@given(einsums())
def test_random_einsums(case):
    subscripts, shapes = case
    try:
        np.einsum(subscripts, *(np.zeros(s) for s in shapes))
    except ValueError:
        return  # NumPy refuses some diagonals of broadcast dimensions
    check(subscripts, *shapes)


def test_given_paths():
    shapes = [(2, 3), (3, 4), (4, 5), (5, 6)]
    for path in ([(1, 2), (0, 1), (0, 1)], [(0, 1, 2, 3)], [(0, 3)], ["einsum_path", (0, 1), (0, 1, 2)]):
        check("ij,jk,kl,lm->im", *shapes, optimize=path)
    with pytest.raises(ShapeError, match="not a contraction path"):
        plan_einsum("ij,jk,kl->il", shapes[:3], [(0, 3)])


def test_every_way_to_find_a_path():
    import opt_einsum

    shapes = [(2, 3), (3, 4), (4, 5)]
    named = (True, False, None, "greedy", "optimal", "dp", "auto-hq", "branch-2", "eager", "random-greedy")
    found = (opt_einsum.RandomGreedy(max_repeats=2), opt_einsum.paths.greedy)
    for optimize in (*named, *found, ("greedy", 1e3), ["optimal", 4]):
        check("ij,jk,kl->il", *shapes, optimize=optimize)
    for optimize in ("best", 3.5, [3.5]):
        with pytest.raises(ShapeError, match="einsum: unknown `optimize`"):
            plan_einsum("ij,jk,kl->il", shapes, optimize)


def test_sizes_may_be_symbols():
    n, m = dim("n"), dim("m")
    assert plan_einsum("ij,jk->ik", ((n, m), (m, 4))) == plan_einsum("ij,jk->ik", ((2, 3), (3, 4)))
    steps = plan_einsum("ij,jk,kl->il", ((n, 1), (m, 3), (3, n)))
    assert Squeeze(0, (1,)) in steps
    steps = plan_einsum("ij,ij->ij", ((n, m), (5, m)))
    assert steps == (Contraction(0, 1, (0, 1), (0, 1), (0, 1)),)


def test_a_growing_size_keeps_the_path():
    plans = {plan_einsum("ap,apb,bq->q", ((n, 2), (n, 2, n + 1), (n + 1, 3))) for n in (24, 27, 30, 33, 40)}
    assert len(plans) == 1


@pytest.mark.parametrize(
    ("subscripts", "shapes", "message"),
    [
        ("ij,jk", [(2, 3)], "1 operands"),
        ("ij", [(2, 3, 4)], "operand 0 has shape"),
        ("ij...", [(2,)], "2 dimensions or more"),
        ("ij,jk->ik", [(2, 3), (4, 5)], "operand 1 has shape"),
        ("ii", [(2, 3)], "operand 0 has shape"),
        ("ij->k", [(2, 3)], "each label once"),
        ("ij->ii", [(2, 3)], "each label once"),
        ("i-j", [(2, 3)], "is no term"),
        ("i..j->i", [(2, 3)], "is no term"),
        ("...i...->i", [(2, 3)], "is no term"),
        ("i...->i", [(2, 3)], "ellipsis"),
        ("i->i->i", [(2,)], "is no term"),
    ],
)
def test_malformed(subscripts, shapes, message):
    with pytest.raises(ShapeError, match=message) as caught:
        plan_einsum(subscripts, shapes)
    assert "einsum" in str(caught.value)


@pytest.mark.parametrize("name", sorted(p.name for p in INSTANCES.glob("*.json") if "patterns" not in p.name))
def test_published_instances_plan(name):
    """Any number of operands and labels; planned by the published path, and by ours in bounded time."""
    instance = json.loads((INSTANCES / name).read_text())
    shapes = [tuple(s) for s in instance["shapes"]]
    for given_path in instance["paths"].values():
        steps = plan_einsum(instance["format_string"], shapes, given_path["path"])
        assert sum(isinstance(s, Contraction) for s in steps) == len(shapes) - 1
    start = time.process_time()  # of this process, whatever else the machine does
    plan_einsum(instance["format_string"], shapes)
    assert time.process_time() - start < 30


SHAPES = [(3,), (2, 3), (3, 4), (3, 3), (5, 3, 3), (1, 3, 3), (4, 5, 3, 3), (4, 1, 3, 3), (0, 3), (3, 1), (1,)]


@pytest.mark.parametrize("x", SHAPES)
@pytest.mark.parametrize("y", SHAPES)
def test_matmul(x, y):
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=x), rng.normal(size=y)
    try:
        expected = a @ b
    except ValueError:
        with pytest.raises(ShapeError, match="operand 1 has shape"):
            matmul_labels(x, y)
        return
    p = matmul_labels(x, y)
    result = contract(a.squeeze(p.squeeze_a), b.squeeze(p.squeeze_b), p.a, p.b, p.out)
    np.testing.assert_allclose(result, expected)


def test_matmul_refuses_scalars_and_keeps_symbols():
    with pytest.raises(ShapeError, match="at least one dimension"):
        matmul_labels((), (3,))
    n = dim("n")
    assert matmul_labels((n, 3, 4), (1, 4, 5)) == ((), (0,), (0, 1, 2), (2, 3), (0, 1, 3))
    with pytest.raises(ShapeError):
        matmul_labels((3, n), (1, 4))


@pytest.mark.parametrize("x", [(), (3,), (2, 3), (4, 2, 3)])
@pytest.mark.parametrize("y", [(), (3,), (3, 3), (5, 3, 3)])
def test_dot_inner_outer(x, y):
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=x), rng.normal(size=y)
    for labels, function in ((dot_labels, np.dot), (inner_labels, np.inner), (outer_labels, np.multiply.outer)):
        np.testing.assert_allclose(contract(a, b, *labels(a.ndim, b.ndim)), function(a, b))


@pytest.mark.parametrize("axes", [0, 1, 2, ((1, 2), (0, 1)), ((-1,), (1,)), (2, -2), ([1], [0])])
def test_tensordot(axes):
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 3, 3)), rng.normal(size=(3, 3, 4))
    np.testing.assert_allclose(contract(a, b, *tensordot_labels(3, 3, axes)), np.tensordot(a, b, axes))


@pytest.mark.parametrize("axes", [4, -1, ((0, 1), (0,)), ((0, 0), (0, 1)), ((3,), (0,))])
def test_tensordot_refuses(axes):
    with pytest.raises(ShapeError, match="tensordot"):
        tensordot_labels(3, 3, axes)


def copied(subscripts, shapes, path):
    """The elements that the products of a plan copy."""
    values, total = [tuple(s) for s in shapes], 0
    for step in plan_einsum(subscripts, shapes, path):
        size = dict(zip(step.a, values[step.left], strict=True)) | dict(zip(step.b, values[step.right], strict=True))
        total += orders.copied(step.a, step.b, step.out, size)
        values.append(tuple(size[x] for x in step.out))
    return total


@pytest.mark.parametrize(
    ("subscripts", "least"),
    [
        ("ace,zbe,zbd->zacd", 0),  # a batch that one product writes and the next one runs through
        ("ij,jk,kl->il", 0),
    ],
)
def test_intermediate_values_lie_as_the_next_product_reads_them(subscripts, least):
    size = dict(zip("abcdeijklxz", (4, 5, 6, 7, 4, 3, 4, 5, 6, 8, 9), strict=True))
    terms = subscripts.partition("->")[0].split(",")
    shapes = [tuple(size[c] for c in term) for term in terms]
    check(subscripts, *shapes, optimize=[(0, 1), (0, 1)])
    assert copied(subscripts, shapes, [(0, 1), (0, 1)]) <= least


def test_orders_of_values_do_not_change_results():
    shapes = [(3, 4, 5), (5, 2, 6), (6, 3, 2, 7), (4, 7, 2)]
    check("abc,cde,eadf,bfg->dg", *shapes, optimize=[(0, 1), (0, 2), (0, 1)])

"""Parts whose size or place the data decides: values, derivatives to second order, one compile for all sizes."""

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph.testing import check_grads

RNG = np.random.default_rng(3)


def low_rank(m, n, r):
    return RNG.normal(size=(m, r)) @ RNG.normal(size=(r, n))


@pytest.mark.parametrize(("start", "size"), [(1, 2), (4, 3), (-2, 2), (-9, 1), (0, 5), (2, 0)])
def test_dynamic_slice_is_brought_into_bounds(start, size):
    x = RNG.normal(size=(5, 4))
    first = start + 5 if start < 0 else start
    first = min(max(first, 0), 5 - size)
    got = nbg.dynamic_slice(x, (nbg.asarray(start), 1), (size, 2))
    assert np.array_equal(got.eval(), x[first : first + size, 1:3])


def test_derivatives_to_second_order():
    x, k = RNG.normal(size=(4, 3)), nbg.asarray(2)
    check_grads(lambda a: nbg.truncate(a**3, k, 1), (x,), order=2)
    check_grads(lambda a: nbg.pad_to_match(a**3, np.zeros((6, 3))), (x,), order=2)
    check_grads(lambda a: nbg.dynamic_slice(a**3, (k, 0), (2, 2)), (x,), order=2)


def test_padding_is_the_adjoint_of_truncation():
    x, y = RNG.normal(size=(5, 3)), RNG.normal(size=(2, 3))
    left = (nbg.truncate(x, 2) * y).sum()
    right = (x * nbg.pad_to_match(y, x)).sum()
    assert np.isclose(float(left), float(right), rtol=1e-14)


def test_svd_truncated_finds_the_rank_and_is_differentiable():
    a = low_rank(6, 5, 3)
    u, s, vh = nbg.linalg.svd_truncated(a, rtol=1e-10)
    assert np.allclose(((u * s) @ vh).eval(), a)
    assert s.shape == (3,)
    assert int(nbg.linalg.svd_truncated(a, rtol=1e-10, max_rank=2).S.shape[0]) == 2
    check_grads(lambda m: nbg.linalg.svd_truncated(m, rtol=0.05, max_rank=2).S, (RNG.normal(size=(4, 3)),), order=2)


def test_other_ranks_compile_nothing():
    engine = nbg.Engine(jit="always")
    compiled = []
    for r in (2, 3, 4, 5):
        x = nbg.asarray(RNG.normal(size=(7, 6)))
        nbg.truncate(x * 2.0, nbg.asarray(r), 1).sum().eval(engine)
        compiled.append(engine.stats().compiled)
    assert compiled[0] > 0
    assert compiled[1:] == compiled[:1] * 3


def test_sizes_out_of_range_are_named():
    for size in (-1, 4):
        with pytest.raises(nbg.BoundsError, match="truncate"):
            nbg.truncate(np.zeros(3), size)
    with pytest.raises(nbg.BoundsError, match="svd_truncated"):
        nbg.linalg.svd_truncated(np.eye(2), max_rank=0)
    with pytest.raises(nbg.ShapeError, match="dynamic_slice"):
        nbg.dynamic_slice(np.zeros(3), (0, 0), (1,))


@pytest.mark.parametrize(
    ("wrong", "error", "match"),
    [
        (lambda: nbg.truncate([1.0, 2.0], 1.5), nbg.DtypeError, "truncate: no size"),
        (lambda: nbg.truncate([1.0, 2.0], nbg.asarray(1.5)), nbg.DtypeError, "truncate: no size"),
        (lambda: nbg.truncate([1.0, 2.0], "1"), nbg.DtypeError, "truncate: no size"),
        (lambda: nbg.dynamic_slice([1.0, 2.0], 0, 1), nbg.ShapeError, "dynamic_slice: does not fit"),
        (lambda: nbg.linalg.svd_truncated(np.eye(2), max_rank=1.5), nbg.BoundsError, "svd_truncated: no such rank"),
        (lambda: nbg.linalg.svd_truncated(np.eye(2), rtol=np.nan), nbg.BoundsError, "svd_truncated: no such tolerance"),
        (lambda: nbg.linalg.svd_truncated(np.eye(2), rtol=-1.0), nbg.BoundsError, "svd_truncated: no such tolerance"),
    ],
)
def test_what_is_no_size_is_a_named_error(wrong, error, match):
    with pytest.raises(error, match=match):
        wrong()


def test_places_and_sizes_may_be_arrays():
    x = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(nbg.dynamic_slice(x, np.array([1, 2]), np.array([2, 2])).eval(), x[1:3, 2:4])
    np.testing.assert_array_equal(nbg.dynamic_slice(x, nbg.asarray([1, 2]), (2, 2)).eval(), x[1:3, 2:4])


def test_an_empty_matrix_has_rank_zero():
    a = nbg.TracedTensor.placeholder(("n", "m"), name="a")
    u, s, vh = nbg.linalg.svd_truncated(a, rtol=0.1)
    product = (u * s) @ vh
    slope = nbg.sum(product * product).grad(a)
    for shape in ((0, 2), (3, 0), (2, 3)):
        x = np.random.default_rng(1).standard_normal(shape)
        got, pulled = nbg.eval(product, slope, bindings={a: x})
        assert pulled.shape == shape
        np.testing.assert_allclose(got, x, atol=1e-12)
        assert s.eval(bindings={a: x}).shape == (min(shape),)

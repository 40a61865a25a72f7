"""qr, cholesky, triangular systems, pinv, lstsq, matrix_rank, spectral norms, cond: values, derivatives, errors."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.linalg

import nbgraph as nbg
from nbgraph.errors import LinAlgError, ShapeError
from nbgraph.testing import check_grads

NEVER = nbg.Engine(jit="never")
ALWAYS = nbg.Engine(jit="always")
SHAPES = [(3, 3), (4, 2), (2, 4), (2, 3, 2), (2, 2, 3), (1, 1), (3, 1), (1, 3), (0, 2), (2, 0), (0, 2, 3)]
CODES = ["f4", "f8", "c8", "c16"]


def draw(code, shape, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    return (x + 1j * rng.standard_normal(shape) if code[0] == "c" else x).astype(code)


def adjoint(x):
    return nbg.conj(x.mT)


def positive(x):
    """A positive definite matrix made of x."""
    return x @ adjoint(x) + nbg.eye(x.shape[-1])


def near(code):
    return {"atol": 2e-5 if code in ("f4", "c8") else 1e-12}


# -- qr ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("code", CODES)
def test_qr_is_numpys(code, shape):
    a = draw(code, shape)
    for mode in ("reduced", "complete"):
        got, want = nbg.linalg.qr(a, mode), np.linalg.qr(a, mode)
        for g, w in zip(got, want, strict=True):
            np.testing.assert_allclose(g.eval(NEVER), w, **near(code))
            assert g.dtype == w.dtype
    np.testing.assert_allclose(nbg.linalg.qr(a, "r").eval(NEVER), np.linalg.qr(a, "r"), **near(code))


def complete_invariants(x):
    """What does not depend on the basis of the complement."""
    q, r = nbg.linalg.qr(x, "complete")
    k = min(x.shape[-2:])
    return q[..., :k], r, q[..., k:] @ adjoint(q[..., k:])


@pytest.mark.parametrize("code", ["f8", "c16"])
@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4), (2, 3, 2), (1, 3), (0, 2), (2, 0)])
def test_derivatives_of_qr(code, shape):
    for f in (lambda x: tuple(nbg.linalg.qr(x)), complete_invariants):
        check_grads(f, (draw(code, shape),), order=2, engine=NEVER)


def test_a_derivative_of_qr_that_does_not_exist_raises():
    x = nbg.TracedTensor.from_tensor(np.ones((3, 2)))
    with pytest.raises(LinAlgError, match="singular"):
        nbg.sum(nbg.linalg.qr(x).Q).grad(x).eval(NEVER)


# -- cholesky and triangular systems ----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 3), (2, 3, 3), (1, 1), (0, 0), (0, 2, 2)])
@pytest.mark.parametrize("code", CODES)
def test_cholesky_is_numpys(code, shape):
    x = draw(code, shape)
    a = (x @ x.conj().swapaxes(-1, -2) + np.eye(shape[-1])).astype(code)
    for upper in (False, True):
        want = np.linalg.cholesky(a, upper=upper)
        np.testing.assert_allclose(nbg.linalg.cholesky(a, upper=upper).eval(NEVER), want, **near(code))
    half = np.triu(a) + 7 * np.tril(np.ones(shape[-2:]), -1).astype(code)
    np.testing.assert_allclose(nbg.linalg.cholesky(half, upper=True).eval(NEVER), want, **near(code))


@pytest.mark.parametrize("code", ["f8", "c16"])
@pytest.mark.parametrize("shape", [(3, 3), (2, 2, 2), (1, 1), (0, 0)])
def test_derivatives_of_cholesky(code, shape):
    x, b = draw(code, shape), draw(code, (*shape[:-1], 2), 1)
    check_grads(lambda y: [nbg.linalg.cholesky(positive(y), upper=u) for u in (False, True)], (x,), engine=NEVER)

    def solved(y, right):
        return [nbg.linalg.cho_solve(nbg.linalg.cho_factor(positive(y), low), right) for low in (False, True)]

    check_grads(solved, (x, b), engine=NEVER)
    a = positive(x).eval(NEVER)
    for got in solved(x, b):
        np.testing.assert_allclose(a @ got.eval(NEVER), b, atol=1e-12)


@pytest.mark.parametrize("engine", [NEVER, ALWAYS], ids=["never", "always"])
def test_not_positive_definite_raises_at_the_users_line(engine):
    factor = nbg.linalg.cholesky([[1.0, 2.0], [2.0, 1.0]])
    with pytest.raises(LinAlgError, match="cholesky: not positive definite") as caught:
        factor.eval(engine)
    assert "factor = nbg.linalg.cholesky" in str(caught.value)


FORMS = [(t, lower, unit) for t in (0, "T", 2) for lower in (False, True) for unit in (False, True)]


@pytest.mark.parametrize("code", CODES)
def test_solve_triangular_is_scipys(code):
    a = (draw(code, (4, 4)) + 4 * np.eye(4)).astype(code)
    for b in (draw(code, (4,), 1), draw(code, (4, 3), 1), draw(code, (4, 0), 1)):
        for trans, lower, unit in FORMS:
            got = nbg.linalg.solve_triangular(a, b, trans, lower, unit).eval(NEVER)
            want = scipy.linalg.solve_triangular(a, b, trans, lower, unit) if b.size else b
            np.testing.assert_allclose(got, want, **near(code))
    many = nbg.linalg.solve_triangular(np.stack([a, 2 * a]), draw(code, (4, 3), 1)[None], lower=True).eval(NEVER)
    np.testing.assert_allclose(np.tril(2 * a) @ many[1], draw(code, (4, 3), 1), **near(code))


@pytest.mark.parametrize("code", ["f8", "c16"])
def test_derivatives_of_triangular_systems(code):
    def f(a, b):
        t = a + 3 * nbg.eye(3)
        return [nbg.linalg.solve_triangular(t, b, trans, lower, unit) for trans, lower, unit in FORMS]

    check_grads(f, (draw(code, (3, 3)), draw(code, (3, 2), 1)), engine=NEVER)


@pytest.mark.parametrize("engine", [NEVER, ALWAYS], ids=["never", "always"])
def test_a_zero_on_the_diagonal_raises(engine):
    with pytest.raises(LinAlgError, match=r"solve_triangular: singular matrix \(LAPACK info 2\)"):
        nbg.linalg.solve_triangular(np.diag([1.0, 0.0]), np.ones(2)).eval(engine)


# -- pseudo-inverses, least squares, rank -----------------------------------------------------------------------------


def of_rank(code, m, n, rank, seed=0):
    return draw(code, (m, rank), seed) @ draw(code, (rank, n), seed + 1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("code", CODES)
def test_pinv_and_lstsq_are_numpys(code, shape):
    a, b = draw(code, shape), draw(code, (*shape[:-1], 2), 1)
    inverse = np.linalg.pinv(a)
    np.testing.assert_allclose(nbg.linalg.pinv(a).eval(NEVER), inverse, **near(code))
    x, residuals, rank, s = nbg.linalg.lstsq(a, b)
    np.testing.assert_allclose(x.eval(NEVER), inverse @ b, atol=10 * near(code)["atol"])
    np.testing.assert_array_equal(rank.eval(NEVER), np.linalg.matrix_rank(a) if a.size else np.zeros(shape[:-2]))
    assert (x.dtype, rank.dtype, s.dtype) == (a.dtype, np.int64, a.real.dtype)
    if len(shape) == 2 and a.size:
        want = np.linalg.lstsq(a, b)
        np.testing.assert_allclose(residuals.eval(NEVER), want[1], **near(code))
        np.testing.assert_allclose(s.eval(NEVER), want[3], **near(code))
        vector = nbg.linalg.lstsq(a, b[:, 0])
        for got, w in zip(vector, np.linalg.lstsq(a, b[:, 0]), strict=True):
            np.testing.assert_allclose(got.eval(NEVER), w, **near(code))


@pytest.mark.parametrize("code", ["f8", "c16"])
@pytest.mark.parametrize("size", [(4, 3), (3, 4), (3, 3)])
@pytest.mark.parametrize("rank", [1, 2])
def test_rank_deficient_matrices(code, size, rank):
    """NumPy's values; derivatives along matrices of the same rank, to second order; equal singular values, too."""
    m, n = size
    left, right = draw(code, (m, rank)), draw(code, (rank, n), 1)
    a, b = left @ right, draw(code, (m, 2), 2)
    np.testing.assert_allclose(nbg.linalg.pinv(a, rtol=None).eval(NEVER), np.linalg.pinv(a, rtol=None), atol=1e-12)
    np.testing.assert_allclose(nbg.linalg.lstsq(a, b).x.eval(NEVER), np.linalg.lstsq(a, b)[0], atol=1e-12)
    assert nbg.linalg.matrix_rank(a).item() == nbg.linalg.lstsq(a, b).rank.item() == rank

    def f(x, y, z):
        return nbg.linalg.pinv(x @ y, rtol=1e-10), nbg.linalg.lstsq(x @ y, z, rcond=1e-10).x

    check_grads(f, (left, right, b), order=2, engine=NEVER)
    check_grads(f, (np.eye(m, rank), np.eye(rank, n), b), order=2, engine=NEVER)


@pytest.mark.parametrize("code", ["f8", "c16"])
@pytest.mark.parametrize("shape", [(4, 2), (2, 4), (3, 3), (2, 3, 2), (0, 2), (2, 0)])
def test_derivatives_of_pinv_and_lstsq(code, shape):
    a, b = draw(code, shape), draw(code, (*shape[:-1], 2), 1)
    check_grads(nbg.linalg.pinv, (a,), engine=NEVER)
    check_grads(lambda x, y: nbg.linalg.lstsq(x, y).x, (a, b), engine=NEVER)


@pytest.mark.parametrize("code", ["f8", "c16"])
def test_hermitian_pinv_and_rank(code):
    x = draw(code, (3, 3))
    a = x + x.conj().T
    np.testing.assert_allclose(nbg.linalg.pinv(a, hermitian=True).eval(NEVER), np.linalg.pinv(a), atol=1e-12)
    assert nbg.linalg.matrix_rank(a, hermitian=True).item() == 3
    check_grads(lambda y: nbg.linalg.pinv(y + adjoint(y), hermitian=True), (x,), engine=NEVER)


def test_cutoffs():
    a = np.diag([1.0, 1e-3, 1e-6])
    assert nbg.linalg.matrix_rank(a, tol=1e-4).item() == 2
    assert nbg.linalg.matrix_rank(a, rtol=1e-2).item() == 1
    assert nbg.linalg.matrix_rank([0.0, 0.0]).item() == 0 and nbg.linalg.matrix_rank(3).item() == 1
    np.testing.assert_allclose(nbg.linalg.pinv(a, 1e-4).eval(NEVER), np.linalg.pinv(a, 1e-4))
    both = nbg.linalg.pinv(np.stack([a, a]), np.array([1e-4, 1e-2])).eval(NEVER)
    np.testing.assert_allclose(both, np.linalg.pinv(np.stack([a, a]), np.array([1e-4, 1e-2])))
    assert nbg.linalg.lstsq(a, np.ones(3), rcond=1e-4).rank.item() == 2
    assert nbg.linalg.lstsq(a, np.ones(3), rcond=-1).rank.item() == 3


# -- norms and condition numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", CODES)
def test_spectral_norms_are_numpys(code):
    a = draw(code, (2, 3, 4))
    for order in (2, -2, "nuc"):
        for axis in ((-2, -1), (0, 2), (2, 0)):
            for keepdims in (False, True):
                want = np.linalg.norm(a, order, axis, keepdims)
                np.testing.assert_allclose(nbg.linalg.norm(a, order, axis, keepdims).eval(NEVER), want, **near(code))
    for p in (None, 2, -2):
        np.testing.assert_allclose(nbg.linalg.cond(a, p).eval(NEVER), np.linalg.cond(a, p), rtol=1e-4)
    for p in ("fro", 1, -1, np.inf, -np.inf, "nuc"):
        square = draw(code, (2, 3, 3))
        np.testing.assert_allclose(nbg.linalg.cond(square, p).eval(NEVER), np.linalg.cond(square, p), rtol=1e-4)
    assert nbg.linalg.cond(np.diag([1.0, 0.0])).item() == np.inf


def test_norms_diagonals_and_traces_of_stacks_and_of_nothing_are_numpys():
    for shape in ((2, 3, 4), (0, 3, 3), (2, 0, 3), (2, 3, 0), (0, 0)):
        a = np.arange(float(np.prod(shape))).reshape(shape)
        got = [nbg.linalg.diagonal(a, offset=k) for k in (0, 1)] + [nbg.linalg.trace(a, offset=k) for k in (0, -1)]
        want = [np.linalg.diagonal(a, offset=k) for k in (0, 1)] + [np.linalg.trace(a, offset=k) for k in (0, -1)]
        got += [nbg.linalg.matrix_norm(a, ord=k) for k in (1, np.inf, 2, "nuc")]
        want += [np.linalg.matrix_norm(a, ord=k) for k in (1, np.inf, 2, "nuc")]
        for ours, numpys in zip(nbg.eval(*got, engine=NEVER), want, strict=True):
            np.testing.assert_allclose(ours, numpys, rtol=1e-12)
    assert nbg.linalg.vector_norm(np.zeros((0, 3)), ord=np.inf).item() == 0.0
    assert nbg.tril(np.ones((2, 2), bool)).dtype == nbg.triu(np.ones((2, 2), bool)).dtype == np.bool_


@pytest.mark.parametrize("code", ["f8", "c16"])
@pytest.mark.parametrize("order", [0.5, -1, -2.5, 1, 1.5, 3])
def test_norms_of_vectors_with_zeros_have_finite_derivatives(code, order):
    some = draw(code, (3,))
    check_grads(lambda x: nbg.linalg.norm(x, order), (some,), engine=NEVER)
    for x in (np.zeros(3, code), np.array([0, 1, 2], code)):
        norm, slope = nbg.jvp(lambda x: nbg.linalg.norm(x, order), (x,), (some,))
        gradient = nbg.grad(lambda x: nbg.linalg.norm(x, order))(x)
        value, slope, gradient = nbg.eval(norm, slope, gradient, engine=NEVER)
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(value, np.linalg.norm(x, order))
        np.testing.assert_allclose(slope, np.vdot(gradient, some).real)  # both finite


@pytest.mark.parametrize("code", ["f8", "c16"])
def test_derivatives_of_spectral_norms(code):
    def f(x):
        norms = [nbg.linalg.norm(x, order, axis=(-2, -1)) for order in (2, -2, "nuc")]
        return *norms, nbg.linalg.cond(x), nbg.linalg.cond(x[..., :3, :], "fro")

    check_grads(f, (draw(code, (2, 4, 3)),), engine=NEVER)


def test_the_nuclear_norm_where_singular_values_are_equal_or_zero():
    a = nbg.TracedTensor.from_tensor(np.diag([2.0, 2.0, 0.0]))
    gradient = nbg.linalg.norm(a, "nuc").grad(a)
    np.testing.assert_allclose(gradient.eval(NEVER)[:2, :2], np.eye(2), atol=1e-14)
    assert np.isfinite(nbg.sum(gradient * gradient).grad(a).eval(NEVER)).all()


# -- compiled, symbolic, errors ---------------------------------------------------------------------------------------


def test_symbolic_sizes_and_both_engines():
    a, b = (nbg.TracedTensor.placeholder(("m", k), name=k) for k in ("n", "k"))
    q, r = nbg.linalg.qr(a)
    x = nbg.linalg.lstsq(a, b).x
    factor = nbg.linalg.cholesky(adjoint(a) @ a + nbg.eye(a.shape[1]))
    half = nbg.linalg.solve_triangular(factor, adjoint(a), lower=True)
    loss = nbg.sum(q * q[::-1]) + nbg.sum(r) + nbg.sum(x * x) + nbg.sum(half)
    outs = [q, r, factor, half, x, loss.grad(a)]
    program = ALWAYS.compile(outs, [a, b])
    for m, n in ((4, 3), (3, 3), (2, 5), (1, 3)):
        given = draw("f8", (m, n)), draw("f8", (m, 2), 1)
        bindings = dict(zip((a, b), given, strict=True))
        got, want = program(*given), [o.eval(NEVER, bindings=bindings) for o in outs]
        for g, w in zip(got[:2], want[:2], strict=True):
            np.testing.assert_array_equal(g, w)
        for g, w in zip(got[2:], want[2:], strict=True):
            np.testing.assert_allclose(g, w, atol=1e-11)


def test_errors():
    with pytest.raises(ShapeError, match=r"qr.*'reduced', 'complete' or 'r'"):
        nbg.linalg.qr(np.eye(2), "raw")
    with pytest.raises(ShapeError, match=r"cholesky.*square"):
        nbg.linalg.cholesky(np.ones((2, 3)))
    with pytest.raises(ShapeError, match=r"solve_triangular.*no such form"):
        nbg.linalg.solve_triangular(np.eye(2), np.ones(2), "H")
    with pytest.raises(ShapeError, match="solve_triangular"):
        nbg.linalg.solve_triangular(np.eye(2), np.ones(3))
    with pytest.raises(ShapeError, match=r"lstsq.*2 rows"):
        nbg.linalg.lstsq(np.eye(2), np.ones(3))
    with pytest.raises(ShapeError, match="only one"):
        nbg.linalg.pinv(np.eye(2), 1e-3, rtol=1e-3)
    with pytest.raises(ShapeError, match="exclude each other"):
        nbg.linalg.matrix_rank(np.eye(2), 1e-3, rtol=1e-3)
    with pytest.raises(ShapeError, match="no singular values"):
        nbg.linalg.cond(np.zeros((0, 2)))
    with pytest.raises(ShapeError, match="the axes are the same"):
        nbg.linalg.norm(np.ones((2, 2)), 2, axis=(0, -2))


def test_integers_become_floats():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert nbg.linalg.cholesky([[4, 0], [0, 9]]).tolist() == [[2.0, 0.0], [0.0, 3.0]]
        assert nbg.linalg.solve_triangular([[2, 0], [0, 4]], [2, 2]).tolist() == [1.0, 0.5]
        assert nbg.linalg.qr([[2]]).R.dtype == nbg.linalg.pinv([[2]]).dtype == np.float64

"""Factors, functions and spaces of `nbg.scipy.linalg` that are made of others: SciPy's values, derivatives, errors."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.linalg

import nbgraph as nbg
from nbgraph.errors import LinAlgError, ShapeError
from nbgraph.scipy import linalg
from nbgraph.testing import check_grads

NEVER = nbg.Engine(jit="never")
RNG = np.random.default_rng(0)
A, E = RNG.normal(size=(4, 4)), RNG.normal(size=(4, 4))
C, F = A + 1j * RNG.normal(size=(4, 4)), E + 1j * RNG.normal(size=(4, 4))
TALL, OTHER = RNG.normal(size=(5, 2)), RNG.normal(size=(5, 3))


def evaluated(x):
    return tuple(map(evaluated, x)) if isinstance(x, tuple) else x.eval(NEVER)


def agree(name, *args, **kwargs):
    got, want = evaluated(getattr(linalg, name)(*args, **kwargs)), getattr(scipy.linalg, name)(*args, **kwargs)
    got, want = (x if isinstance(x, tuple) else (x,) for x in (got, want))
    for x, y in zip(got, want, strict=True):
        assert np.shape(x) == np.shape(y)
        np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-12)


def test_expm_frechet():
    for a, e in ((A, E), (C, F), (A, F), (10 * A, E)):
        for keywords in ({}, {"compute_expm": False}, {"method": "blockEnlarge"}):
            scale = np.abs(scipy.linalg.expm(a)).max()
            got = evaluated(linalg.expm_frechet(a, e, **keywords))
            want = scipy.linalg.expm_frechet(a, e, **keywords)
            np.testing.assert_allclose(np.asarray(got) / scale, np.asarray(want) / scale, atol=1e-12)
    _, moved = nbg.jvp(linalg.expm, (A,), (E,))
    np.testing.assert_allclose(moved.eval(NEVER), linalg.expm_frechet(A, E)[1].eval(NEVER), rtol=1e-11)
    check_grads(lambda x, y: linalg.expm_frechet(x, y)[1], (A[:2, :2], E[:2, :2]), order=1, engine=NEVER)
    with pytest.raises(ShapeError, match="expm_frechet: not supported: operand method"):
        linalg.expm_frechet(A, E, method="x")


def test_funm():
    for f, g in ((nbg.exp, np.exp), (nbg.sin, np.sin), (lambda w: w**2 + 1, lambda w: w**2 + 1)):
        for a in (A, C):
            np.testing.assert_allclose(linalg.funm(a, f).eval(NEVER), scipy.linalg.funm(a, g), atol=1e-10)
    np.testing.assert_allclose(linalg.funm(np.stack([A, E]), nbg.cos)[1].eval(NEVER), scipy.linalg.cosm(E), atol=1e-11)
    check_grads(lambda x: linalg.funm(x, nbg.sin).real, (A[:3, :3],), order=2, engine=NEVER)
    with pytest.raises(ShapeError, match="funm: not supported: operand disp"):
        linalg.funm(A, nbg.exp, disp=False)


@pytest.mark.parametrize("shape", [(4, 4), (2, 4), (4, 2), (1, 3), (3, 1)])
def test_rq(shape):
    a = RNG.normal(size=shape)
    for mode in ("full", "r", "economic"):
        agree("rq", a, mode=mode)
    z = a + 1j * RNG.normal(size=shape)
    r, q = evaluated(linalg.rq(z))
    np.testing.assert_allclose(r @ q, z, atol=1e-13)
    np.testing.assert_allclose(q @ q.conj().T, np.eye(len(q)), atol=1e-13)
    np.testing.assert_allclose(np.abs(r), np.abs(scipy.linalg.rq(z)[0]), atol=1e-13)
    below = np.arange(shape[0])[:, None] - shape[0] > np.arange(shape[1]) - shape[1]
    assert (r[below] == 0).all()
    if shape[0] <= shape[1]:
        check_grads(lambda x: linalg.rq(x, mode="economic"), (a,), order=2, engine=NEVER)
    with pytest.raises(ShapeError, match="rq: not supported: operand mode"):
        linalg.rq(a, mode="x")


def test_hessenberg():
    zero_column = A.copy()
    zero_column[2:, 0] = 0
    for a in (A, C, zero_column, A[:2, :2], A[:1, :1], np.zeros((3, 3)), RNG.normal(size=(7, 7))):
        agree("hessenberg", a)
        agree("hessenberg", a, calc_q=True)
    stack = linalg.hessenberg(np.stack([A, E])).eval(NEVER)
    np.testing.assert_allclose(stack[1], scipy.linalg.hessenberg(E), atol=1e-13)
    check_grads(lambda x: linalg.hessenberg(x, calc_q=True), (A[:3, :3],), order=2, engine=NEVER)
    assert np.isfinite(nbg.grad(lambda x: nbg.sum(linalg.hessenberg(x) ** 2))(zero_column).eval(NEVER)).all()


def test_pascal():
    for kind in ("symmetric", "lower", "upper"):
        for n in (0, 1, 5, 34):
            agree("pascal", n, kind)
        agree("pascal", 40, kind, exact=False)
    with pytest.raises(ShapeError, match="pascal: does not fit"):
        linalg.pascal(35)
    with pytest.raises(ShapeError, match="pascal: unknown kind"):
        linalg.pascal(3, "x")


def test_solve_circulant():
    c, b, stack = RNG.normal(size=5), RNG.normal(size=(5, 2)), RNG.normal(size=(3, 5))
    agree("solve_circulant", c, b)
    agree("solve_circulant", c, b[:, 0])
    agree("solve_circulant", c + 1j, b)
    agree("solve_circulant", stack, stack, baxis=-1, outaxis=-1)
    agree("solve_circulant", stack.T, b[:, 0], caxis=0, outaxis=-1)
    agree("solve_circulant", [1.0, 1.0, 0.0, 0.0], [1.0, 2.0, 3.0, 4.0], singular="lstsq")
    agree("solve_circulant", c, b[:, 0], singular="lstsq", tol=1.0)
    check_grads(linalg.solve_circulant, (c, b), order=2, engine=NEVER)
    with pytest.raises(LinAlgError, match="singular"):
        linalg.solve_circulant([1.0, 1.0, 0.0, 0.0], [1.0, 2.0, 3.0, 4.0]).eval(NEVER)
    with pytest.raises(ShapeError, match="solve_circulant: sizes differ"):
        linalg.solve_circulant(c, b[:3])
    with pytest.raises(ShapeError, match="solve_circulant: not supported: operand singular"):
        linalg.solve_circulant(c, b, singular="x")


def test_orthogonal_procrustes():
    for a, b in ((A, E), (OTHER, RNG.normal(size=(5, 3)))):
        agree("orthogonal_procrustes", a, b)
    r, scale = evaluated(linalg.orthogonal_procrustes(C, F))
    np.testing.assert_allclose(r @ r.conj().T, np.eye(4), atol=1e-13)
    np.testing.assert_allclose(np.trace(r.conj().T @ C.conj().T @ F), scale, rtol=1e-13)
    check_grads(linalg.orthogonal_procrustes, (A[:3, :3], E[:3, :3]), order=2, engine=NEVER)


def test_subspace_angles():
    near = TALL @ RNG.normal(size=(2, 2)) + 1e-9 * RNG.normal(size=(5, 2))
    for a, b in ((TALL, OTHER), (OTHER, TALL), (TALL, near), (TALL[:, :1], TALL[:, 1:]), (C[:, :2], F[:, :3])):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            agree("subspace_angles", a, b)
    np.testing.assert_allclose(linalg.subspace_angles(TALL, near).eval(NEVER) < 1e-7, True)
    dependent = np.repeat(TALL[:, :1], 2, 1)
    assert np.isnan(linalg.subspace_angles(dependent, OTHER).eval(NEVER)).all()
    assert np.isnan(linalg.subspace_angles(OTHER.T, TALL[:3]).eval(NEVER)).all()
    check_grads(linalg.subspace_angles, (TALL, OTHER), order=2, engine=NEVER)


def test_matrices_that_have_a_name():
    for n in (1, 2, 5, 8):
        agree("helmert", n)
        agree("helmert", n, full=True)
        agree("invhilbert", n)
        agree("invhilbert", n, exact=True)
        for kind in ("symmetric", "lower", "upper"):
            agree("invpascal", n, kind)
        agree("fiedler", A.ravel()[:n])
        agree("fiedler_companion", A.ravel()[: n + 1])
    agree("leslie", A[0], E[0, :3])
    agree("invpascal", 30, exact=False)
    c = np.poly([1.0, -2.0, 3.0, 0.5])
    roots = linalg.eigvals(linalg.fiedler_companion(c)).eval(NEVER)
    np.testing.assert_allclose(np.sort(roots.real), [-2.0, 0.5, 1.0, 3.0], rtol=1e-10)
    for f in (linalg.fiedler_companion, linalg.fiedler, lambda x: linalg.leslie(x, x[1:])):
        check_grads(f, (c,), order=2, engine=NEVER)
    for wrong in (lambda: linalg.helmert(0), lambda: linalg.invhilbert(15, exact=True), lambda: linalg.invpascal(-1),
                  lambda: linalg.leslie([1.0], []), lambda: linalg.fiedler(A), lambda: linalg.fiedler_companion([2.0]),
                  lambda: linalg.invpascal(3, "x"), lambda: linalg.eig_banded(A[0]), lambda: linalg.eig_banded(A[:0]),
                  lambda: linalg.eigvals_banded(A, select="x"),
                  lambda: linalg.eigvals_banded(A, select="i")):  # fmt: skip
        with pytest.raises(ShapeError):
            wrong()


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_eigenvalues_of_bands(lower, count):
    for bands in (A[:count], C[:count]):
        agree("eigvals_banded", bands, lower=lower)
        agree("eigvals_banded", bands, lower=lower, select="i", select_range=(1, 2))
        w, v = evaluated(linalg.eig_banded(bands, lower=lower))
        want, vectors = scipy.linalg.eig_banded(bands, lower=lower)
        np.testing.assert_allclose(w, want, atol=1e-12)
        np.testing.assert_allclose(abs(v), abs(vectors), atol=1e-10)
    check_grads(lambda x: linalg.eigvals_banded(x, lower=lower), (A[:count],), order=2, engine=NEVER)


def test_solve_lyapunov():
    agree("solve_lyapunov", A, E)

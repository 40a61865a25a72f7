"""Eigenvectors of general matrices, exponentials, square roots, Sylvester equations: values, derivatives, failures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.linalg

import nbgraph as nbg
from nbgraph import LinAlgError, ShapeError
from nbgraph.testing import check_grads

CODES = ["f4", "f8", "c8", "c16"]
SQUARE: list[tuple[int, ...]] = [(3, 3), (1, 1), (2, 4, 4), (0, 0), (0, 2, 2), (2, 1, 2, 2)]
ENGINES = {jit: nbg.Engine(jit=jit) for jit in ("never", "always")}
la = nbg.linalg


def draw(code: str, shape: tuple[int, ...], seed: int = 0) -> Any:
    rng = np.random.default_rng(100 + seed)  # not the directions of check_grads
    x = rng.standard_normal(shape)
    return (x + 1j * rng.standard_normal(shape) if code[0] == "c" else x).astype(code)


def tolerance(code: str) -> float:
    return 3e-4 if code in ("f4", "c8") else 1e-11


def spectral_exp(a: Any) -> Any:
    """v diag(exp w) v^-1 does not depend on the choice of vectors."""
    w, v = la.eig(a)
    return la.solve(v.mT, (v * nbg.exp(w)[..., None, :]).mT).mT


# -- values -----------------------------------------------------------------------------------------------------------


#: Every shape compiled in double precision, one in the others.
CASES = [("never", c, s) for c in CODES for s in SQUARE] + [
    ("always", c, s) for c in CODES for s in SQUARE if c == "f8" or s == (2, 4, 4)
]


@pytest.mark.parametrize(("jit", "code", "shape"), CASES)
def test_values(code, shape, jit):
    a = draw(code, shape)
    w, v, e, r = nbg.eval(*la.eig(a), la.expm(a), la.sqrtm(a), engine=ENGINES[jit])
    complex_code = {"f4": "c8", "f8": "c16"}.get(code, code)
    assert [x.dtype for x in (w, v, e, r)] == [complex_code, complex_code, code, complex_code]
    np.testing.assert_allclose(a @ v, v * w[..., None, :], atol=tolerance(code))
    apart = abs(w[..., :, None] - np.linalg.eigvals(a)[..., None, :])  # NumPy may give them in another order
    assert all(np.all(apart.min(axis, initial=9.0) < tolerance(code)) for axis in (-1, -2))
    np.testing.assert_allclose(np.linalg.norm(v, axis=-2), np.ones(w.shape), rtol=tolerance(code))
    np.testing.assert_allclose(r @ r, a, atol=tolerance(code))
    if a.size:
        np.testing.assert_allclose(e, scipy.linalg.expm(a), rtol=tolerance(code), atol=tolerance(code))


def test_the_root_is_principal():
    a = draw("f8", (5, 5))
    np.testing.assert_allclose(la.sqrtm(a).eval(), scipy.linalg.sqrtm(a), atol=1e-11)
    assert (np.linalg.eigvals(la.sqrtm(a).eval()).real > -1e-12).all()
    np.testing.assert_allclose(la.sqrtm(-np.eye(2)).eval(), 1j * np.eye(2), atol=1e-15)


@pytest.mark.parametrize("jit", ENGINES)
def test_logarithms(jit):
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, 4, 4)), rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3))
    hard = [
        np.array([[2.0, 1.0], [0.0, 2.0]]),
        np.diag([1e-12, 1.0, 1e12]),
        -np.eye(2),
        np.array([[1.0, 1e4], [0.0, 1.0]]),
    ]
    given = [a, b, *hard] if jit == "never" else [a]
    for x in given:
        got = la.logm(x).eval(ENGINES[jit])
        np.testing.assert_allclose(scipy.linalg.expm(got), x, atol=1e-12 * np.abs(x).max())
        np.testing.assert_allclose(got, scipy.linalg.logm(x), atol=1e-11)
        assert (np.abs(np.linalg.eigvals(got).imag) <= np.pi + 1e-9).all()
    power = la.fractional_matrix_power(b, 0.3).eval(ENGINES["never"])
    np.testing.assert_allclose(power, scipy.linalg.fractional_matrix_power(b, 0.3), atol=1e-12)


def test_derivatives_of_logarithms():
    """At a defective matrix, too."""
    rng = np.random.default_rng(3)
    for a in (rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3)), np.array([[2.0, 1.0], [0.0, 2.0]])):
        check_grads(la.logm, (a,), order=2, rtol=1e-5)
    with pytest.raises(LinAlgError, match=r"solve|logm"):
        la.logm(np.zeros((2, 2))).eval()


@pytest.mark.parametrize("jit", ENGINES)
def test_schur_forms(jit):
    rng = np.random.default_rng(4)
    real, turned = rng.normal(size=(2, 4, 4)), rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3))
    for a, output in ((real, "real"), (real, "complex"), (turned, "complex"), (real.astype("f4"), "real")):
        t, z = nbg.eval(*la.schur(a, output), engine=ENGINES[jit])
        one = np.swapaxes(z, -1, -2).conj()
        np.testing.assert_allclose(z @ t @ one, a, atol=1e-5 if a.dtype == "f4" else 1e-13)
        np.testing.assert_allclose(z @ one, np.broadcast_to(np.eye(a.shape[-1]), a.shape), atol=1e-5)
        assert t.dtype == (a.dtype if output == "real" else np.complex128)
        assert np.abs(np.tril(t, -2 if output == "real" else -1)).max() == 0
    (t, z), want = la.schur(real[0]), scipy.linalg.schur(real[0])
    np.testing.assert_allclose(np.abs(t.eval(ENGINES[jit])), np.abs(want[0]), atol=1e-12)


def test_derivatives_of_schur_forms():
    """Of what does not depend on phases: moduli, leading invariant subspaces."""

    def invariants(a):
        t, z = la.schur(a, "complex")
        leading = z[:, :2] @ np.conj(z[:, :2].T)
        return nbg.abs(t), nbg.abs(z), leading, z @ t @ np.conj(z.T)

    rng = np.random.default_rng(5)
    for a in (rng.normal(size=(3, 3)), rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4))):
        check_grads(invariants, (a,), order=2, rtol=1e-5)
    found = derivative_at(np.array([[2.0, 1.0], [0.0, 2.0]]))
    assert np.isfinite(found).all()
    with pytest.raises(nbg.DifferentiationError, match="schur: the real form has no derivative"):
        nbg.grad(lambda x: nbg.sum(la.schur(x).T ** 2))(np.eye(2))
    with pytest.raises(nbg.ShapeError, match="schur: no such form"):
        la.schur(np.eye(2), "odd")
    with pytest.raises(LinAlgError, match="schur"):
        la.schur(np.full((2, 2), np.nan)).T.eval()


def derivative_at(a):
    return nbg.grad(lambda x: nbg.sum(nbg.abs(la.schur(x, "complex").Z)))(a).eval()


def test_sylvester_equations():
    a, b, c = draw("f8", (2, 3, 3)), draw("f8", (2, 2), 1), draw("f8", (3, 2), 2)
    x = la.solve_sylvester(a, b, c)
    assert x.dtype == np.float64 and x.shape == (2, 3, 2)
    np.testing.assert_allclose(x.eval()[1], scipy.linalg.solve_sylvester(a[1], b, c), atol=1e-12)
    check_grads(la.solve_sylvester, (a, b, c), rtol=1e-5)
    check_grads(la.solve_sylvester, (a + 1j, b, c * 1j), rtol=1e-5)


def test_another_number_of_squarings_is_the_same_code():
    engine, a = nbg.Engine(jit="always"), draw("f8", (4, 4))
    for size in (1e-3, 1.0, 10.0, 100.0):
        x = nbg.TracedTensor.from_tensor(a * size)
        loss = nbg.sum(la.expm(x))
        np.testing.assert_allclose(loss.eval(engine), scipy.linalg.expm(a * size).sum(), rtol=1e-11)
        gradient = loss.grad(x).eval(engine)
        want = scipy.linalg.expm_frechet(a.T * size, np.ones((4, 4)), compute_expm=False)
        np.testing.assert_allclose(gradient, want, rtol=1e-9, atol=1e-11 * np.abs(want).max())
    assert engine.stats().compiled == 2


# -- derivatives ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["f8", "c16"])
@pytest.mark.parametrize("shape", SQUARE)
def test_derivatives(code, shape):
    a = draw(code, shape) / 2
    check_grads(la.expm, (a,), order=2, rtol=1e-5)
    check_grads(la.sqrtm, (a + 2 * np.eye(shape[-1]),), order=2, rtol=1e-5)
    check_grads(spectral_exp, (a,), order=2, rtol=1e-5)
    check_grads(la.eigvals, (a,), order=2, rtol=1e-4)
    check_grads(lambda x: abs(la.eig(x)[1]), (a,), order=2, rtol=1e-4)


@pytest.mark.parametrize("jit", ENGINES)
def test_derivatives_in_both_tiers(jit):
    a = draw("f8", (3, 3)) / 2
    for f in (la.expm, la.sqrtm, spectral_exp, la.eigvals):
        check_grads(f, (a + 2 * np.eye(3),), order=2, rtol=1e-4, engine=ENGINES[jit])


def test_third_derivatives_of_the_exponential():
    check_grads(la.expm, (draw("c16", (2, 2)),), order=3, rtol=1e-4)


def test_defective_and_degenerate_matrices():
    """The exponential and the root have derivatives where there is no basis of eigenvectors."""
    jordan = np.array([[2.0, 1.0], [0.0, 2.0]])
    check_grads(la.expm, (jordan,), order=2, rtol=1e-5)
    check_grads(la.sqrtm, (jordan,), order=2, rtol=1e-5)
    for a in (np.eye(3), np.diag([1.0, 1.0, 2.0])):
        loss = lambda x: nbg.real(nbg.trace(spectral_exp(x)))  # noqa: E731
        np.testing.assert_allclose(nbg.grad(loss)(a).eval(), scipy.linalg.expm(a).T, rtol=1e-12)


@pytest.mark.parametrize("gap", [1e-3, 1e-6, 1e-9])
def test_near_degenerate_spectra(gap):
    """The gradient of a trace of a function is right however close eigenvalues are."""
    q = np.linalg.qr(draw("f8", (4, 4)))[0]
    a = (q * [1.0, 1.0 + gap, 2.0, 3.0]) @ q.T
    loss = lambda x: nbg.real(nbg.sum(nbg.exp(la.eigvals(x))))  # noqa: E731
    np.testing.assert_allclose(nbg.grad(loss)(a).eval(), scipy.linalg.expm(a).T, rtol=1e-9, atol=1e-9)


# -- symbolic sizes, failures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("jit", ENGINES)
def test_symbolic_sizes(jit):
    a = nbg.TracedTensor.placeholder(("n", "n"), name="a")
    total = nbg.sum(la.expm(a)) + nbg.sum(nbg.real(la.sqrtm(a))) + nbg.sum(nbg.real(la.eigvals(a) ** 2))
    gradient = total.grad(a)
    for n in (2, 4, 3):
        x = draw("f8", (n, n)) / 2 + 2 * np.eye(n)
        value, g = nbg.eval(total, gradient, engine=ENGINES[jit], bindings={a: x})
        want = scipy.linalg.expm(x).sum() + scipy.linalg.sqrtm(x).real.sum() + np.trace(x @ x)
        assert value == pytest.approx(want)
        roots = scipy.linalg.solve_sylvester(scipy.linalg.sqrtm(x).T, scipy.linalg.sqrtm(x).T, np.ones((n, n)))
        np.testing.assert_allclose(
            g, scipy.linalg.expm_frechet(x.T, np.ones((n, n)), compute_expm=False) + roots.real + 2 * x.T, rtol=1e-8
        )


@pytest.mark.parametrize("jit", ENGINES)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite(jit, bad):
    a = np.stack([np.eye(3), np.full((3, 3), bad)])
    for f in (lambda x: la.eig(x).eigenvalues, la.eigvals, la.sqrtm):
        with pytest.raises(LinAlgError, match=r"test_matrix_functions\.py"):
            f(a).eval(ENGINES[jit])
    e = la.expm(a).eval(ENGINES[jit])
    assert np.isnan(e[1]).all()
    np.testing.assert_allclose(e[0], np.e * np.eye(3))


def test_bad_input_raises_while_tracing():
    for f in (la.eig, la.eigvals, la.expm, la.sqrtm):
        for bad in (np.ones((2, 3)), np.ones(3), 1.0):
            with pytest.raises(ShapeError) as caught:
                f(bad)
            assert caught.value.operation
    with pytest.raises(ShapeError):
        la.solve_sylvester(np.eye(2), np.eye(3), np.ones((3, 2)))
    with pytest.raises(LinAlgError, match="sqrtm"):
        la.sqrtm([[0.0, 1.0], [0.0, 0.0]]).eval()
    with pytest.raises(LinAlgError, match="sylvester"):
        la.solve_sylvester(np.eye(2), -np.eye(2), np.eye(2)).eval()
    assert la.expm([[0, 1], [0, 0]]).dtype == np.float64 and la.eigvals(np.eye(2, dtype=int)).dtype == np.complex128

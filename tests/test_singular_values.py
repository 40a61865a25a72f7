"""svd, svdvals, eigvalsh, polar: values, derivatives, degenerate and zero singular values, symbolic sizes, errors."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

import nbgraph as nbg
from nbgraph.errors import LinAlgError, ShapeError
from nbgraph.testing import check_grads

NEVER = nbg.Engine(jit="never")
ALWAYS = nbg.Engine(jit="always")
SHAPES = [(3, 3), (4, 2), (2, 4), (2, 3, 2), (1, 1), (3, 1), (0, 2), (2, 0), (0, 2, 3)]
CODES = ["f4", "f8", "c8", "c16"]


def draw(code, shape, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    return (x + 1j * rng.standard_normal(shape) if code[0] == "c" else x).astype(code)


def adjoint(x):
    return nbg.conj(x.mT)


def with_values(code, m, n, values, seed=0):
    """A matrix of these singular values."""
    u, v = np.linalg.qr(draw(code, (m, m), seed))[0], np.linalg.qr(draw(code, (n, n), seed + 1))[0]
    middle = np.zeros((m, n))
    np.fill_diagonal(middle, values)
    return u @ middle @ v.conj().T


def slope(f, x, t, step=1e-3):
    """The derivative of an ordinary function along t, by differences of fourth order."""
    near, far = f(x + step * t) - f(x - step * t), f(x + 2 * step * t) - f(x - 2 * step * t)
    return (8 * near - far) / (12 * step)


# -- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("values", "vectors"), [("svdvals", "svd"), ("eigvalsh", "eigh")])
def test_values_and_their_gradient_are_of_one_decomposition(monkeypatch, values, vectors):
    from nbgraph_kernels import references, references_factors

    made = []
    for module in (references, references_factors):
        for name in (values, vectors):
            own = getattr(module, f"reference_{name}", None)
            if own is not None:
                counted = lambda *args, f=own, n=name: made.append(n) or f(*args)  # noqa: E731
                monkeypatch.setattr(module, f"reference_{name}", counted)
    a = nbg.TracedTensor.from_tensor(draw("f8", (4, 4)))
    s = getattr(nbg.linalg, values)(a)
    nbg.eval(s, (s**2).sum().grad(a), engine=NEVER)
    assert made == [vectors]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("code", CODES)
def test_values(code, shape):
    a = draw(code, shape)
    close = {"atol": 1e-5 if code in ("f4", "c8") else 1e-13}
    for full in (False, True):
        u, s, vh = (x.eval(NEVER) for x in nbg.linalg.svd(a, full_matrices=full))
        want = np.linalg.svd(a, full_matrices=full)
        assert [x.shape for x in (u, s, vh)] == [x.shape for x in want]
        assert [x.dtype for x in (u, s, vh)] == [x.dtype for x in want]
        k = s.shape[-1]
        np.testing.assert_allclose(u[..., :k] * s[..., None, :] @ vh[..., :k, :], a, **close)
    np.testing.assert_allclose(nbg.linalg.svdvals(a).eval(NEVER), want[1], **close)
    np.testing.assert_allclose(nbg.linalg.svd(a, compute_uv=False).eval(NEVER), want[1], **close)


def test_integers_become_floats():
    assert nbg.linalg.svdvals([[3, 0], [0, -4]]).tolist() == [4.0, 3.0]
    assert nbg.linalg.svd([[True]]).S.dtype == np.float64


@pytest.mark.parametrize("side", ["right", "left"])
def test_polar_is_scipys(side):
    for shape in ((3, 3), (4, 2), (2, 4)):
        a = draw("c16", shape)
        for got, want in zip(nbg.linalg.polar(a, side), scipy.linalg.polar(a, side), strict=True):
            np.testing.assert_allclose(got.eval(NEVER), want, atol=1e-13)


def test_graded_and_hilbert_matrices():
    """Errors are relative to the largest singular value, as LAPACK's are."""
    hilbert = scipy.linalg.hilbert(10)
    graded = np.diag(10.0 ** -np.arange(0, 16, 2)) @ draw("f8", (8, 8))
    for a in (hilbert, graded):
        s = nbg.linalg.svdvals(a).eval(NEVER)
        np.testing.assert_allclose(s, np.linalg.svd(a, compute_uv=False), atol=1e-15 * s[0])
        gradient = nbg.grad(lambda x: nbg.sum(nbg.linalg.svdvals(x)))(a).eval(NEVER)
        u, _, vh = np.linalg.svd(a)
        np.testing.assert_allclose(gradient, u @ vh, atol=1e-3)


# -- derivatives ------------------------------------------------------------------------------------------------------


def invariants(x):
    """What of the factors does not depend on phases."""
    u, s, vh = nbg.linalg.svd(x, full_matrices=False)
    return s, (u * nbg.exp(s)[..., None, :]) @ vh, u @ vh, nbg.abs(u), nbg.abs(vh)


def complements(x):
    """Of the square form, what does not depend on the basis of the complement."""
    u, s, vh = nbg.linalg.svd(x)
    k = s.shape[-1]
    return u[..., k:] @ adjoint(u[..., k:]), adjoint(vh[..., k:, :]) @ vh[..., k:, :], nbg.abs(u[..., :k])


@pytest.mark.parametrize("code", ["f8", "c16"])
@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4), (2, 3, 2), (1, 1), (3, 1), (0, 2), (2, 0)])
def test_derivatives_of_both_orders(code, shape):
    for f in (invariants, complements, nbg.linalg.svdvals):
        check_grads(f, (draw(code, shape),), order=2, engine=NEVER)


@pytest.mark.parametrize("code", ["f8", "c16"])
@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4), (0, 2)])
def test_derivatives_of_polar(code, shape):
    check_grads(lambda x: tuple(nbg.linalg.polar(x)), (draw(code, shape),), order=2, engine=NEVER)


@pytest.mark.parametrize("code", ["f8", "c16"])
@pytest.mark.parametrize("shape", [(3, 3), (2, 2, 2), (0, 0)])
def test_derivatives_of_eigenvalues_alone(code, shape):
    def f(x):
        a = x + adjoint(x)
        return nbg.linalg.eigvalsh(a), nbg.linalg.eigvalsh(a, "U")

    check_grads(f, (draw(code, shape),), order=2, engine=NEVER)


def test_values_alone_need_no_vectors():
    """The gradient is U diag(g) Vh, and the forward pass makes no vectors."""
    a, g = draw("c16", (4, 3)), np.array([1.0, 2.0, 3.0])
    names = [i.op.name for f in nbg.graph.fragments_of(nbg.linalg.svdvals(a)) for i in f.instrs]
    assert "svdvals" in names and "svd" not in names
    u, _, vh = np.linalg.svd(a, full_matrices=False)
    gradient = nbg.grad(lambda x: nbg.sum(g * nbg.linalg.svdvals(x)))(a)
    np.testing.assert_allclose(gradient.eval(NEVER), u * g @ vh, atol=1e-13)


# -- degenerate and zero ones -----------------------------------------------------------------------------------------

SPECTRA = {
    "pair": (2.0, 2.0, 1.0), "all": (1.0, 1.0, 1.0), "near pair": (1.0, 1 - 1e-14, 0.5),
    "zero": (2.0, 1.0, 0.0), "two zeros": (2.0, 0.0, 0.0), "nothing else": (0.0, 0.0, 0.0),
}  # fmt: skip


def derivatives(f, x, t, ct):
    """A tangent of f, the gradient of <ct, f>, and that one's tangent."""

    def loss(y):
        return nbg.sum(nbg.real(np.conj(ct) * f(y)))

    gradient = nbg.grad(loss)
    found = nbg.jvp(f, (x,), (t,))[1], gradient(x), nbg.jvp(gradient, (x,), (t,))[1]
    return nbg.eval(*found, engine=NEVER)


@pytest.mark.parametrize("code", ["f8", "c16"])
@pytest.mark.parametrize("spectrum", SPECTRA)
def test_derivatives_are_finite(code, spectrum):
    for m, n in ((3, 3), (5, 3), (3, 5)):
        x, t = with_values(code, m, n, SPECTRA[spectrum]), draw(code, (m, n), 5)
        for f in (invariants, complements, lambda y: (*nbg.linalg.polar(y), nbg.linalg.svdvals(y))):
            for place in range(len(f(x))):
                found = derivatives(lambda y, p=place, f=f: f(y)[p], x, t, np.ones(f(x)[place].shape))
                assert all(np.isfinite(d).all() for d in found)


@pytest.mark.parametrize("code", ["f8", "c16"])
@pytest.mark.parametrize("shape", [(3, 3), (5, 3), (3, 5)])
@pytest.mark.parametrize("spectrum", ["pair", "all", "near pair"])
def test_first_derivatives_at_equal_singular_values_are_right(code, shape, spectrum):
    """Of functions of the values, of the subspaces of groups, and of the polar factor."""
    x, t = with_values(code, *shape, SPECTRA[spectrum]), draw(code, shape, 5)

    def smooth(y):
        u, s, vh = nbg.linalg.svd(y, full_matrices=False)
        pair = u[:, :2] @ adjoint(u[:, :2]) if spectrum != "all" else u @ adjoint(u)
        return [nbg.sum(nbg.exp(s)) * nbg.ones((1, 1)), pair, u @ vh, nbg.linalg.polar(y).U]

    def plain(y):
        u, s, vh = np.linalg.svd(y, full_matrices=False)
        pair = u[:, :2] @ u[:, :2].conj().T if spectrum != "all" else u @ u.conj().T
        return [np.sum(np.exp(s)) * np.ones((1, 1)), pair, u @ vh, u @ vh]

    for place in range(4):
        want = slope(lambda y, p=place: plain(y)[p], x, t)
        ct = draw(code, want.shape, 7)
        ct = ct if place else ct.real
        tangent, gradient, _ = derivatives(lambda y, p=place: smooth(y)[p], x, t, ct)
        np.testing.assert_allclose(tangent, want, atol=1e-8)
        assert np.real(np.vdot(gradient, t)) == pytest.approx(np.real(np.vdot(ct, want)), abs=1e-7)


@pytest.mark.parametrize("gap", [1e-3, 1e-6, 1e-9])
def test_nearly_equal_singular_values(gap):
    """u g(s) vh: errors of first derivatives grow as rounding over the gap."""
    x, t = with_values("c16", 4, 3, (1.0, 1.0 - gap, 0.5)), draw("c16", (4, 3), 5)

    def plain(y):
        u, s, vh = np.linalg.svd(y, full_matrices=False)
        return u * np.sin(s) @ vh

    def f(y):
        u, s, vh = nbg.linalg.svd(y, full_matrices=False)
        return (u * nbg.sin(s)) @ vh

    tangent, _, second = derivatives(f, x, t, np.ones((4, 3)))
    np.testing.assert_allclose(tangent, slope(plain, x, t), atol=1e-10 + 1e-15 / gap)
    assert np.isfinite(second).all()


@pytest.mark.parametrize("spectrum", ["pair", "all", "near pair"])
@pytest.mark.parametrize(("code", "m", "n"), [("f8", 3, 3), ("c16", 5, 3), ("f8", 3, 5)])
def test_polar_and_nuclear_norm_at_equal_singular_values(code, m, n, spectrum):
    """Only sums of singular values are divided by, so both have their derivatives, of second order too."""
    x = with_values(code, m, n, SPECTRA[spectrum])
    for f in (lambda y: tuple(nbg.linalg.polar(y)), lambda y: nbg.linalg.norm(y, "nuc")):
        check_grads(f, (x,), order=2, engine=NEVER, atol=1e-6)


def test_norm_and_cond_where_they_have_a_kink_do_not_depend_on_vectors():
    """The group shares the derivative: the least condition number is a stationary point."""
    x = with_values("f8", 3, 3, (2.0, 2.0, 2.0))
    (polar, _), eps = scipy.linalg.polar(x), 1e-14
    for noise in (0.0, eps):
        y = x + noise * draw("f8", (3, 3), 1)
        np.testing.assert_allclose(nbg.grad(nbg.linalg.cond)(y).eval(NEVER), np.zeros((3, 3)), atol=1e-13)
        np.testing.assert_allclose(nbg.grad(lambda z: nbg.linalg.norm(z, 2))(y).eval(NEVER), polar / 3, atol=1e-13)
    np.testing.assert_allclose(nbg.linalg.cond(x).eval(NEVER), np.linalg.cond(x), rtol=1e-14)


def test_broadening():
    """1/x becomes x / (x^2 + g^2) for gaps and for sums."""
    x, t = np.diag([2.0, 1.0]), np.array([[0.0, 1.0], [0.0, 0.0]])
    _, (du, _, _) = nbg.jvp(lambda y: tuple(nbg.linalg.svd(y, broadening=0.5)), (x,), (t,))
    a, b = 0.5 * 1 / (1 + 0.25), 0.5 * 3 / (9 + 0.25)
    np.testing.assert_allclose(np.abs(du.eval(NEVER)), [[0, b - a if b > a else a - b], [a - b, 0]], atol=1e-14)


# -- compiled, symbolic, errors ---------------------------------------------------------------------------------------


def test_symbolic_sizes_and_both_engines():
    """One program for tall, square and wide matrices; the same factors from both engines, to the bit."""
    a = nbg.TracedTensor.placeholder(("m", "n"), name="a")
    u, s, vh = nbg.linalg.svd(a, full_matrices=False)
    loss = nbg.sum(nbg.exp(s)) + nbg.sum(nbg.abs(u @ vh) ** 2 * nbg.sum(a))
    program = ALWAYS.compile([u, s, vh, loss.grad(a), nbg.linalg.svdvals(a)], [a])
    for shape in ((4, 3), (3, 3), (2, 5), (1, 3), (0, 3)):
        x = draw("f8", shape)
        got = program(x)
        leaf = nbg.TracedTensor.from_tensor(x)
        factors = nbg.linalg.svd(leaf, full_matrices=False)
        for g, w in zip(got[:3], nbg.eval(*factors, engine=NEVER), strict=True):
            np.testing.assert_array_equal(g, w)
        u1, s1, vh1 = factors
        other = nbg.sum(nbg.exp(s1)) + nbg.sum(nbg.abs(u1 @ vh1) ** 2 * nbg.sum(leaf))
        np.testing.assert_allclose(got[3], other.grad(leaf).eval(NEVER), atol=1e-12)
        np.testing.assert_allclose(got[4], got[1], atol=1e-13)


@pytest.mark.parametrize("engine", [NEVER, ALWAYS], ids=["never", "always"])
def test_nan_raises_at_the_users_line(engine):
    bad = nbg.linalg.svdvals(np.full((3, 3), np.nan))
    with pytest.raises(LinAlgError, match=r"svdvals.*NaN|svdvals.*converge") as caught:
        bad.eval(engine)
    assert "bad = nbg.linalg.svdvals" in str(caught.value)


def test_errors():
    with pytest.raises(ShapeError, match=r"svd.*at least 2 dimensions"):
        nbg.linalg.svd([1.0, 2.0])
    with pytest.raises(ShapeError, match=r"svdvals.*at least 2 dimensions"):
        nbg.linalg.svdvals(1.0)
    with pytest.raises(ShapeError, match="no such side"):
        nbg.linalg.polar(np.eye(2), "up")
    with pytest.raises(ShapeError, match=r"eigvalsh.*square"):
        nbg.linalg.eigvalsh(np.ones((2, 3)))
    with pytest.raises(ShapeError, match="made for other sizes"):
        from nbgraph.op import REGISTRY, Sizes
        from nbgraph.types import TensorType

        REGISTRY["svd"](True, False, False, 0.0).infer(Sizes(), [TensorType("f8", (2, 3))], ())

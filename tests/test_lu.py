"""LU factors, inverses, determinants and what is made of them: values, derivatives, singular members, bad input."""

from __future__ import annotations

import contextlib
import itertools
from typing import Any

import numpy as np
import pytest
import scipy.linalg

import nbgraph as nbg
from nbgraph import DtypeError, LinAlgError, ShapeError
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
    return 2e-4 if code in ("f4", "c8") else 1e-11


def evaluated(tensors: Any) -> list[Any]:
    """Values under both tiers, which are equal to rounding."""
    flat = list(tensors) if isinstance(tensors, tuple) else [tensors]
    return [t.eval(ENGINES["never"]) for t in flat]


def compiled(code: str, shape: tuple[int, ...]) -> bool:
    """Whether a case is compiled too: every shape in double precision, one in the others."""
    return code == "f8" or shape in ((2, 4, 4), (5, 3))


def agree(f: Any, args: Any, wanted: Any, code: str, engines: tuple[str, ...] = ("never", "always")) -> None:
    """Values and dtypes, interpreted and compiled."""
    wanted = list(wanted) if isinstance(wanted, tuple | list) else [wanted]
    for engine in map(ENGINES.__getitem__, engines):
        made = f(*(nbg.TracedTensor.from_tensor(x) for x in args))
        got = nbg.eval(*(made if isinstance(made, tuple) else (made,)), engine=engine)
        for g, w in zip(got, wanted, strict=True):
            w = np.asarray(w)
            assert (g.dtype, g.shape) == (w.dtype, w.shape)
            np.testing.assert_allclose(g, w, rtol=tolerance(code), atol=tolerance(code) * 10)


# -- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("shape", SQUARE)
def test_square_matrices_are_numpys(code, shape):
    tiers = ("never", "always") if compiled(code, shape) else ("never",)
    a = draw(code, shape)
    agree(la.inv, (a,), np.linalg.inv(a), code, tiers)
    agree(la.det, (a,), np.linalg.det(a), code, tiers)
    agree(la.slogdet, (a,), tuple(np.linalg.slogdet(a)), code, tiers)
    for n in (-3, 0, 1, 2, 7):
        agree(lambda x, n=n: la.matrix_power(x, n), (a / 2,), np.linalg.matrix_power(a / 2, n), "f4", tiers)


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("shape", [*SQUARE, (2, 5), (5, 2), (2, 3, 4), (1, 3), (3, 1), (0, 3), (3, 0)])
def test_factors_are_scipys(code, shape):
    tiers = ("never", "always") if compiled(code, shape) else ("never",)
    a = draw(code, shape)
    if a.size > 1:
        agree(la.lu, (a,), scipy.linalg.lu(a), code, tiers)
    p, l, u = evaluated(la.lu(a))  # noqa: E741
    np.testing.assert_allclose(p @ l @ u, a, atol=tolerance(code))
    k = min(shape[-2:])
    assert l.shape == (*shape[:-1], k) and u.shape == (*shape[:-2], k, shape[-1])
    pl, u = evaluated(la.lu(a, permute_l=True))
    np.testing.assert_allclose(pl @ u, a, atol=tolerance(code))


@pytest.mark.parametrize("code", CODES)
def test_systems_by_factors(code):
    a, b = draw(code, (2, 4, 4)), draw(code, (2, 4, 3), 1)
    for trans, m in enumerate((a, a.swapaxes(1, 2), a.conj().swapaxes(1, 2))):
        agree(lambda a, b, t=trans: la.lu_solve(la.lu_factor(a), b, t), (a, b), np.linalg.solve(m, b), code)
    lu, piv = scipy.linalg.lu_factor(a[0])
    np.testing.assert_array_equal(la.lu_factor(a[0]).piv.eval(), piv)
    agree(lambda b: la.lu_solve((lu, piv), b), (b[0, :, 0],), scipy.linalg.lu_solve((lu, piv), b[0, :, 0]), code)
    assert la.lu_solve((lu, piv), b).shape == (2, 4, 3)


def test_integers_and_mixed_dtypes():
    a = np.array([[1, 2], [3, 5]])
    for f in (la.inv, la.det, la.slogdet, la.lu, la.lu_factor):
        assert all(x.dtype in (np.float64, np.int32) for x in evaluated(f(a)))
    assert la.matrix_power(a, 3).dtype == np.int64
    np.testing.assert_array_equal(la.matrix_power(a, 3).eval(), np.linalg.matrix_power(a, 3))
    assert la.matrix_power(a, -1).dtype == np.float64
    assert la.solve_ex(a, np.ones(2, np.complex64)).result.dtype == np.complex128


def test_products():
    rng = np.random.default_rng(0)
    shapes = [(10, 2), (2, 30), (30, 3), (3, 7)]
    factors = [rng.standard_normal(s) for s in shapes]
    for chain in (factors, factors[:2], [rng.standard_normal(10), *factors], [*factors, rng.standard_normal(7)]):
        agree(lambda *xs: la.multi_dot(xs), chain, np.linalg.multi_dot(chain), "f8")
    ends = [rng.standard_normal(10), *factors, rng.standard_normal(7)]
    agree(lambda *xs: la.multi_dot(xs), ends, np.linalg.multi_dot(ends), "f8")
    from nbgraph.linalg.products import _splits

    assert _splits([30, 35, 15, 5, 10, 20, 25])[0, 5] == 2  # Cormen et al., section 15.2


KRONS = [((2, 3), (4, 5)), ((3,), (2, 2)), ((2, 3, 1), (2,)), ((), (3,)), ((), ()), ((0, 2), (3, 1))]


@pytest.mark.parametrize("shapes", KRONS)
def test_kron(shapes):
    a, b = (draw("f8", s, k) for k, s in enumerate(shapes))
    agree(nbg.kron, (a, b), np.kron(a, b), "f8")
    check_grads(nbg.kron, (a, b), order=2)


def test_cross_vecdot_vander():
    a, b = draw("c16", (4, 3)), draw("c16", (3,), 1)
    agree(nbg.cross, (a, b), np.cross(a, b), "c16")
    agree(lambda x, y: nbg.cross(x, y, axis=0), (a.T, a.T * 2j), np.cross(a.T, a.T * 2j, axis=0), "c16")
    agree(lambda x, y: la.cross(x, y, axisa=0, axisc=0), (a.T, b), np.cross(a.T, b, axisa=0, axisc=0), "c16")
    agree(nbg.vecdot, (a, b), np.vecdot(a, b), "c16")
    agree(lambda x, y: nbg.vecdot(x, y, axis=0), (a, a + 1), np.vecdot(a, a + 1, axis=0), "c16")
    for n, increasing in itertools.product((None, 0, 1, 5), (False, True)):
        agree(lambda x, n=n, i=increasing: nbg.vander(x, n, i), (b,), np.vander(b, n, increasing), "c16")
    ints = np.array([1, -2, 3])
    np.testing.assert_array_equal(nbg.vander(ints).eval(), np.vander(ints))
    check_grads(nbg.cross, (a, b))
    check_grads(nbg.vecdot, (a, b))
    check_grads(lambda x: nbg.vander(x, 4), (np.array([0.0, 1.5, -0.5]),), order=3)
    for name in ("kron", "cross", "vander", "vecdot"):
        assert isinstance(getattr(np, name)(*(nbg.asarray(b),) * (1 if name == "vander" else 2)), nbg.TracedTensor)


def test_tensor_systems():
    a, b = draw("f8", (2, 3, 6)), draw("f8", (2, 3), 1)
    agree(la.tensorsolve, (a, b), np.linalg.tensorsolve(a, b), "f8")
    e = draw("f8", (6, 2, 3))
    agree(lambda x, y: la.tensorsolve(x, y, axes=(0,)), (e, b), np.linalg.tensorsolve(e, b, axes=(0,)), "f8")
    agree(la.tensorinv, (draw("f8", (4, 6, 8, 3)),), np.linalg.tensorinv(draw("f8", (4, 6, 8, 3))), "f8")
    agree(lambda x: la.tensorinv(x, 1), (draw("f8", (6, 2, 3)),), np.linalg.tensorinv(draw("f8", (6, 2, 3)), 1), "f8")
    check_grads(la.tensorsolve, (a, b))
    check_grads(lambda x: la.tensorinv(x, 1), (e,), rtol=1e-5)


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize(("m", "n"), [(4, 4), (5, 3), (1, 1), (4, 1), (0, 0)])
def test_reflections(code, m, n):
    tiers = ("never", "always") if compiled(code, (m, n)) else ("never",)
    a = draw(code, (m, n))
    (geqrf, orgqr) = scipy.linalg.get_lapack_funcs(("geqrf", "ungqr" if code[0] == "c" else "orgqr"), dtype=a.dtype)
    if not a.size:
        assert la.householder_product(a, np.zeros(n, code)).shape == (m, n)
        return
    qr, tau, _, _ = geqrf(a)
    q, _, _ = orgqr(qr, tau)
    agree(la.householder_product, (qr, tau), q, code, tiers)
    agree(la.householder_product, (np.stack([qr, qr]), tau), np.stack([q, q]), code, tiers)
    short = tau.copy()
    short[-1] = 0
    agree(lambda x: la.householder_product(x, short[:-1]), (qr,), orgqr(qr, short)[0], code, tiers)


# -- derivatives ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["f8", "c16"])
@pytest.mark.parametrize("shape", SQUARE)
def test_derivatives_of_functions_of_square_matrices(code, shape):
    a = draw(code, shape) + 2 * np.eye(shape[-1])
    b = draw(code, (*shape[:-1], 2), 1)
    for f in (la.inv, la.det, la.slogdet, lambda x: la.matrix_power(x, -2), lambda x: la.matrix_power(x, 3)):
        check_grads(f, (a,), order=2, rtol=1e-5)
    for trans in (0, 1, 2):
        check_grads(lambda x, y, t=trans: la.lu_solve(la.lu_factor(x), y, t), (a, b), order=2, rtol=1e-5)
    check_grads(lambda x, y: la.solve_ex(x, y).result, (a, b), order=2, rtol=1e-5)
    check_grads(lambda x: la.inv_ex(x).result, (a,), order=2, rtol=1e-5)


@pytest.mark.parametrize("code", ["f8", "c16"])
@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (4, 2), (2, 3, 5), (1, 3), (3, 1), (0, 3), (3, 0)])
def test_derivatives_of_factors(code, shape):
    a = draw(code, shape) + 2 * np.eye(*shape[-2:])
    check_grads(lambda x: la.lu(x)[1:], (a,), order=2, rtol=1e-5)
    check_grads(lambda x: la.lu_factor(x).lu, (a,), order=2, rtol=1e-5)


@pytest.mark.parametrize("code", ["f8", "c16"])
def test_derivatives_of_reflections(code):
    check_grads(la.householder_product, (draw(code, (2, 4, 3)), draw(code, (2, 2), 1)), order=2, rtol=1e-5)


FACTORED = (la.inv, la.det, la.slogdet, lambda x: la.lu(x)[1:], lambda x: la.solve_ex(x, x * x).result)


def test_derivatives_of_factors_compiled():
    for f in FACTORED:
        check_grads(f, (draw("f8", (2, 3, 3)),), order=1, rtol=1e-5, engine=ENGINES["always"])


@pytest.mark.slow
def test_second_derivatives_of_factors_compiled():
    for f in FACTORED:
        check_grads(f, (draw("f8", (2, 3, 3)),), order=2, rtol=1e-5, engine=ENGINES["always"])


def adjugate(a: Any) -> Any:
    """By minors."""
    n = len(a)
    minors = [[np.delete(np.delete(a, i, 0), j, 1) for i in range(n)] for j in range(n)]
    return np.array([[(-1) ** (i + j) * np.linalg.det(m) for i, m in enumerate(row)] for j, row in enumerate(minors)])


@pytest.mark.parametrize("code", ["f8", "c16"])
@pytest.mark.parametrize("rank", [0, 1, 2, 3, 4])
def test_the_gradient_of_a_determinant_is_the_adjugate(code, rank):
    """Where the matrix is singular, too."""
    a = draw(code, (4, rank)) @ draw(code, (rank, 4), 1)
    for engine in ENGINES.values():
        g = nbg.grad(lambda x: nbg.real(la.det(x)))(a).eval(engine)
        np.testing.assert_allclose(g, adjugate(a).conj().T, atol=1e-13)
    exact = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 0.0, 1.0]])
    np.testing.assert_allclose(nbg.grad(la.det)(exact).eval(), adjugate(exact).T, atol=1e-14)
    assert nbg.grad(la.det)(np.zeros((1, 1))).item() == 1


@pytest.mark.parametrize("a", [[[1.0, 2.0], [2.0, 4.0]], [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]])
def test_second_derivatives_of_a_determinant_of_rank_less_one(a):
    a = np.array(a)
    x, y = draw("f8", a.shape, 1), draw("f8", a.shape, 2)
    got = nbg.jvp(nbg.grad(la.det), (a,), (x,))[1].eval()
    h = 1e-3
    want = sum(s * t * np.linalg.det(a + s * h * x + t * h * y) for s in (1, -1) for t in (1, -1)) / (4 * h * h)
    assert np.sum(got * y) == pytest.approx(want, rel=1e-6)


def test_factors_are_made_once():
    """A gradient solves with the factors that are there."""
    engine = nbg.Engine(jit="never")
    a = nbg.TracedTensor.from_tensor(draw("f8", (5, 5)))
    size = la.slogdet(a).logabsdet
    size.eval(engine)
    gradient = size.grad(a)
    names = [i.op.name for f in nbg.graph.fragments_of(gradient) for i in f.instrs]
    assert names.count("lu_factor") <= 1
    np.testing.assert_allclose(gradient.eval(engine), np.linalg.inv(a.eval()).T, rtol=1e-10)


def test_a_system_is_solved_with_the_factors_of_its_value(monkeypatch):
    """The value, then its first and second derivatives: one factorisation."""
    from nbgraph_kernels import references_lu

    made = []
    factor = references_lu.reference_lu_factor
    monkeypatch.setattr(references_lu, "reference_lu_factor", lambda m: made.append(1) or factor(m))
    a, b = (nbg.TracedTensor.from_tensor(draw("f8", s)) for s in ((4, 4), (4,)))
    x = la.solve(a, b)
    x.eval(ENGINES["never"])
    da, db = (x**2).sum().grad([a, b])
    nbg.eval(da, db, (da**2).sum().grad(b), engine=ENGINES["never"])
    assert len(made) == 1


def test_ill_conditioned_matrices():
    """Residuals of the size of rounding errors; derivatives as good as the conditioning allows."""
    h = scipy.linalg.hilbert(10)
    x = la.inv(h).eval()
    assert np.linalg.norm(h @ x - np.eye(10)) < 1e-16 * np.linalg.cond(h) * 10
    assert la.slogdet(h).logabsdet.item() == pytest.approx(np.log(2.16418e-53), rel=1e-4)
    assert la.det(h).item() == pytest.approx(scipy.linalg.det(h), rel=1e-3)
    graded = np.diag(10.0 ** -np.arange(0, 40, 5)) + np.triu(np.ones((8, 8)), 1) * 1e-40
    g = nbg.grad(la.det)(graded).eval()
    want = np.linalg.det(graded) * 10.0 ** np.arange(0, 40, 5)
    np.testing.assert_allclose(np.diagonal(g), want, rtol=1e-12)


# -- symbolic sizes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jit", ENGINES)
def test_symbolic_sizes(jit):
    a = nbg.TracedTensor.placeholder(("n", "n"), name="a")
    b = nbg.TracedTensor.placeholder(("m", "k"), name="b")
    outputs = [la.inv(a), la.det(a), *la.slogdet(a), *la.lu(a), la.slogdet(a).logabsdet.grad(a), la.matrix_power(a, -2),
               la.det(a).grad(a)]  # fmt: skip
    factors = la.lu(b)
    outputs += [*factors, nbg.sum(factors.l * factors.l).grad(b)]
    for n, shape in ((3, (2, 5)), (5, (4, 3)), (2, (2, 2))):
        x, y = draw("f8", (n, n)), draw("f8", shape)
        got = nbg.eval(*outputs, engine=ENGINES[jit], bindings={a: x, b: y})
        np.testing.assert_allclose(got[0], np.linalg.inv(x))
        np.testing.assert_allclose(got[7], np.linalg.inv(x).T)
        np.testing.assert_allclose(got[4] @ got[5] @ got[6], x)
        np.testing.assert_allclose(got[9], np.linalg.inv(x).T * np.linalg.det(x))
        np.testing.assert_allclose(got[10] @ got[11] @ got[12], y)


# -- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jit", ENGINES)
def test_singular_matrices(jit):
    engine = ENGINES[jit]
    a = np.stack([np.eye(2), np.ones((2, 2))])
    with pytest.raises(LinAlgError, match="inv: singular matrix") as caught:
        la.inv(a).eval(engine)
    assert "la.inv(a).eval(engine)" in str(caught.value)
    with pytest.raises(LinAlgError, match="inv: singular matrix"):
        la.matrix_power(a, -1).eval(engine)
    sign, size = nbg.eval(*la.slogdet(a), engine=engine)
    assert sign.tolist() == [1, 0] and size.tolist() == [0, -np.inf]
    x = nbg.TracedTensor.from_tensor(a)
    inverse, info = la.inv_ex(x)
    assert info.dtype == np.int32 and info.eval(engine).tolist() == [0, 2]
    np.testing.assert_array_equal(inverse.eval(engine)[0], np.eye(2))
    gradient = nbg.sum(inverse[0]).grad(x).eval(engine)
    np.testing.assert_array_equal(gradient[0], -np.ones((2, 2)))
    solution, info = la.solve_ex(a, np.ones((2, 1)))
    assert info.eval(engine).tolist() == [0, 2] and solution.eval(engine)[0].ravel().tolist() == [1, 1]
    with pytest.raises(LinAlgError, match="pivot is outside"):
        la.lu_solve((a[0], [0, 5]), np.ones(2)).eval(engine)


@pytest.mark.parametrize("jit", ENGINES)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_end(jit, bad):
    a = np.full((5, 5), bad)
    for f in (la.inv, la.det, la.slogdet, la.lu, la.lu_factor, lambda x: la.solve_ex(x, x)):
        with contextlib.suppress(LinAlgError):
            nbg.eval(*(f(a) if isinstance(f(a), tuple) else (f(a),)), engine=ENGINES[jit])


def test_bad_input_raises_while_tracing():
    wide, vector = np.ones((2, 3)), np.ones(3)
    for f in (la.inv, la.det, la.slogdet, la.inv_ex, lambda x: la.matrix_power(x, 2)):
        for bad in (wide, vector):
            with pytest.raises(ShapeError) as caught:
                f(bad)
            assert caught.value.operation and caught.value.hint is None
    for f, args in (
        (la.lu, (vector,)),
        (la.lu_factor, (1.0,)),
        (la.lu_solve, ((wide, [0, 1]), [1.0, 2.0])),
        (la.lu_solve, ((np.eye(2), [0, 1]), [1.0, 2.0, 3.0])),
        (la.lu_solve, ((np.eye(2), [0, 1]), [1.0, 2.0], 3)),
        (la.solve_ex, (np.eye(2), np.ones((3, 1)))),
        (la.solve_ex, (np.ones((2, 3, 3)), np.ones((4, 3, 1)))),
        (la.multi_dot, ([wide],)),
        (la.multi_dot, ([wide, vector, wide],)),
        (la.multi_dot, ([wide, wide],)),
        (la.tensorsolve, (wide, vector)),
        (la.tensorinv, (wide, 1)),
        (la.tensorinv, (wide, 0)),
        (la.householder_product, (wide, [1.0])),
        (la.householder_product, (np.ones((3, 2)), vector)),
        (nbg.cross, (wide[:, :2], vector)),
        (nbg.vecdot, (wide, [1.0, 2.0])),
        (nbg.vander, (1.0,)),
        (nbg.vander, (vector, -1)),
    ):
        with pytest.raises(ShapeError) as caught:
            f(*args)
        assert caught.value.operation
    with pytest.raises(DtypeError):
        la.lu_solve((np.eye(2), [0.0, 1.0]), [1.0, 2.0])

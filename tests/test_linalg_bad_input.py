"""Every function of `nbg.linalg` on what it cannot deal with: named errors while recording, nothing that hangs.

Calls are over the public names: a new function without a row here fails the first test.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph import errors

L = nbg.linalg
NEVER = nbg.Engine(jit="never")
RNG = np.random.default_rng(5)
M = RNG.standard_normal((3, 3))
SPD = M @ M.T + np.eye(3)
WIDE, STACK, V = RNG.standard_normal((2, 3)), np.stack([SPD, 2 * SPD]), np.arange(1.0, 4.0)
WITH_NAN, WITH_INF = SPD.copy(), SPD.copy()
WITH_NAN[1, 1], WITH_INF[0, 2], WITH_INF[2, 0] = np.nan, np.inf, np.inf

SQUARE = {name: getattr(L, name) for name in (
    "cholesky", "cholesky_ex", "det", "eig", "eigh", "eigvals", "eigvalsh", "expm", "inv", "inv_ex", "slogdet", "sqrtm",
    "cosm", "coshm", "logm", "schur", "sinm", "sinhm", "tanm", "tanhm",
)} | {
    "matrix_power": lambda a: L.matrix_power(a, -2), "cho_factor": lambda a: L.cho_factor(a)[0],
    "fractional_matrix_power": lambda a: L.fractional_matrix_power(a, 0.5),
}  # fmt: skip
MATRIX = {name: getattr(L, name) for name in (
    "lu", "lu_factor", "lu_factor_ex", "pinv", "polar", "qr", "svd", "svd_truncated", "svdvals", "cond", "matrix_norm",
    "trace", "diagonal", "matrix_transpose",
)}  # fmt: skip
SYSTEM = {
    "solve": L.solve, "solve_ex": L.solve_ex, "lstsq": L.lstsq, "solve_triangular": L.solve_triangular,
    "cho_solve": lambda a, b: L.cho_solve((a, True), b),
    "lu_solve": lambda a, b: L.lu_solve((a, np.zeros(np.shape(a)[:-1], int)), b),
}  # fmt: skip
OTHER = {  # their own rows below
    "ishermitian", "issymmetric",
    "block_diag", "circulant", "companion", "convolution_matrix", "dft", "fiedler", "fiedler_companion", "hadamard",
    "hankel", "helmert", "hilbert", "invhilbert", "invpascal", "khatri_rao", "leslie",
    "pascal",
    "solve_continuous_lyapunov", "solve_discrete_lyapunov", "toeplitz", "solve_toeplitz", "matmul_toeplitz",
    "cross", "householder_product", "matmul", "matrix_rank", "multi_dot", "norm", "outer", "solve_sylvester",
    "tensordot", "tensorinv", "tensorsolve", "vecdot", "vector_norm",
}  # fmt: skip


def refused(name: str, call, *args, position=True, kinds=(errors.ShapeError,)) -> None:
    """While recording, in the name of the function, with the operand and this file."""
    with pytest.raises(kinds) as caught:
        call(*args)
    assert caught.value.operation == name, str(caught.value)
    assert not position or caught.value.position is not None, str(caught.value)
    assert (caught.value.got is not None or caught.value.hint) and __file__.rsplit("/", 1)[-1] in str(caught.value)


def values(result) -> list[np.ndarray]:
    return [np.asarray(x) for x in nbg.eval(*(result if isinstance(result, tuple) else (result,)), engine=NEVER)]


def test_every_function_has_a_row():
    functions = {name for name in L.__all__ if not isinstance(getattr(L, name), type)}
    assert functions == SQUARE.keys() | MATRIX.keys() | SYSTEM.keys() | OTHER


@pytest.mark.parametrize("name", [*SQUARE, *MATRIX])
def test_wrong_rank(name):
    for a in (2.0, V):
        refused(name, (SQUARE | MATRIX)[name], a, kinds=errors.NbgraphError)


@pytest.mark.parametrize("name", SQUARE)
def test_not_square(name):
    for a in (WIDE, WIDE.T, np.zeros((4, 2, 3))):
        refused(name, SQUARE[name], a)


@pytest.mark.parametrize("name", SYSTEM)
def test_systems(name):
    solve = SYSTEM[name]
    refused(name, solve, 2.0, V)
    refused(name, solve, V, V)
    refused(name, solve, SPD, 1.0)
    for right in (V[:2], np.zeros((2, 3)), np.zeros((3, 2, 2))):
        refused(name, solve, SPD, right)
    refused(name, solve, STACK, np.zeros((4, 3, 2)))
    if name != "lstsq":
        refused(name, solve, WIDE, V[:2])


def test_structured_matrices():
    refused("block_diag", L.block_diag, STACK, position=False)
    for name in ("solve_toeplitz", "matmul_toeplitz"):
        refused(name, getattr(L, name), M, V)
    for name in ("circulant", "companion", "hankel", "toeplitz"):
        refused(name, getattr(L, name), M)
        refused(name, getattr(L, name), [])
    refused("companion", L.companion, [1.0])
    refused("convolution_matrix", L.convolution_matrix, M, 2)
    refused("convolution_matrix", L.convolution_matrix, V, 2, "most", position=False)
    refused("dft", L.dft, 3, "half", position=False)
    refused("hadamard", L.hadamard, 6)
    refused("khatri_rao", L.khatri_rao, V, M, position=False)
    for a in (WIDE, V, 1.0):
        refused("ishermitian", L.ishermitian, a)
        refused("issymmetric", L.issymmetric, a)
        refused("solve_continuous_lyapunov", L.solve_continuous_lyapunov, a, a, kinds=errors.NbgraphError)
        refused("solve_discrete_lyapunov", L.solve_discrete_lyapunov, a, a)
    refused("solve_discrete_lyapunov", L.solve_discrete_lyapunov, STACK, STACK, position=False)
    with pytest.raises(TypeError):
        L.hilbert(1.5)


def test_the_others():
    refused("cross", L.cross, WIDE, WIDE[:, :2])
    refused("cross", L.cross, 1.0, V, kinds=errors.BoundsError)
    for a, tau in ((V, V), (M, 1.0), (WIDE, V[:2]), (M, np.ones(4)), (STACK, np.ones((4, 3)))):
        refused("householder_product", L.householder_product, a, tau)
    refused("matmul", L.matmul, M, WIDE)
    refused("matmul", L.matmul, STACK, np.zeros((4, 3, 2)))
    refused("matrix_rank", lambda: L.matrix_rank(WIDE, hermitian=True))
    refused("pinv", lambda: L.pinv(WIDE, hermitian=True))
    for given in ([M, STACK, M], [M, 1.0], [M, WIDE, M], [M, M.tolist(), WIDE.T.tolist()[:2]], 5):
        refused("multi_dot", L.multi_dot, given)
    refused("multi_dot", L.multi_dot, [M], position=False)
    square, other = M, RNG.standard_normal((2, 2))
    for a, b, q in ((WIDE, other, WIDE), (square, WIDE, WIDE), (square, other, WIDE), (square, other, V), (V, V, V)):
        refused("solve_sylvester", L.solve_sylvester, a, b, q)
    refused("solve_sylvester", L.solve_sylvester, STACK, other, np.zeros((4, 3, 2)))
    refused("tensordot", L.tensordot, M, WIDE, 1)
    refused("tensordot", L.tensordot, M, M, 3)
    refused("tensorinv", L.tensorinv, M, 7)
    refused("tensorinv", L.tensorinv, WIDE, 1)
    refused("tensorsolve", L.tensorsolve, M, V[:2])
    refused("tensorsolve", L.tensorsolve, WIDE, V[:2])
    refused("vecdot", L.vecdot, 1.0, V)
    refused("vecdot", L.vecdot, M, np.zeros((2, 3)))


def test_unknown_modes():
    no_kind = errors.NbgraphError
    for name, call in (
        ("qr", lambda: L.qr(M, "full")), ("eigh", lambda: L.eigh(M, "X")), ("eigvalsh", lambda: L.eigvalsh(M, 3)),
        ("polar", lambda: L.polar(M, "up")), ("solve_triangular", lambda: L.solve_triangular(M, V, trans="Z")),
        ("solve_triangular", lambda: L.solve_triangular(M, V, trans=[1])), ("cond", lambda: L.cond(M, "x")),
        ("lu_solve", lambda: L.lu_solve(L.lu_factor(M), V, trans=7)), ("norm", lambda: L.norm(M, "x")),
        ("norm", lambda: L.norm(V, "fro")), ("norm", lambda: L.norm(M, 3)), ("norm", lambda: L.norm(STACK, 2)),
        ("norm", lambda: L.norm(M, axis=(0, 0))), ("norm", lambda: L.norm(M, 1, (0, 0))),
        ("norm", lambda: L.norm(M, axis=5)), ("norm", lambda: L.norm(M, axis=1.5)),
        ("norm", lambda: L.norm(STACK, axis=(0, 1, 2))), ("vector_norm", lambda: L.vector_norm(M, axis=5)),
        ("matrix_norm", lambda: L.matrix_norm(M, ord="x")), ("matrix_power", lambda: L.matrix_power(M, 1.5)),
        ("tensorinv", lambda: L.tensorinv(M, -1)), ("tensorsolve", lambda: L.tensorsolve(M, V, axes=(5,))),
        ("matrix_rank", lambda: L.matrix_rank(M, tol=1, rtol=1)), ("pinv", lambda: L.pinv(M, rcond=1, rtol=1)),
        ("pinv", lambda: L.pinv(M, rcond=V)), ("cho_solve", lambda: L.cho_solve(M, V)),
        ("lu_solve", lambda: L.lu_solve(M, V)), ("lu_solve", lambda: L.lu_solve((M, np.ones(3)), V)),
        ("lu_solve", lambda: L.lu_solve((M, np.array([0, 1])), V)), ("cond", lambda: L.cond(np.zeros((0, 0)))),
    ):  # fmt: skip
        refused(name, call, kinds=no_kind)
    with pytest.raises(errors.LinAlgError):
        L.lu_solve((M, np.array([0, 1, 9])), V).eval(NEVER)


@pytest.mark.parametrize("name", [*SQUARE, *MATRIX, *SYSTEM])
def test_integers_and_booleans_are_promoted(name):
    call = (SQUARE | MATRIX | SYSTEM)[name]
    for a in (np.array([[3, 1], [1, 2]]), np.eye(2, dtype=bool)):
        right = (np.array([1, 2]),) if name in SYSTEM else ()
        got, want = values(call(a, *right)), values(call(a.astype(float), *(r.astype(float) for r in right)))
        for g, w in zip(got, want, strict=True):
            if name not in ("trace", "diagonal", "matrix_transpose"):  # these keep integers, as in NumPy
                assert g.dtype == w.dtype
            np.testing.assert_array_equal(g, w)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("bad", [WITH_NAN, WITH_INF], ids=["nan", "inf"])
@pytest.mark.parametrize("name", [*SQUARE, *MATRIX, *SYSTEM])
def test_nan_and_infinity_end_in_an_error_or_numpys_result(name, bad):
    """Nothing hangs, and no finite number comes out where NumPy has none."""
    right = (V,) if name in SYSTEM else ()
    try:
        got = values((SQUARE | MATRIX | SYSTEM)[name](bad, *right))
    except errors.LinAlgError as error:
        assert error.operation and error.where
        return
    arguments = {"matrix_power": (-2,)}.get(name, right)
    theirs = getattr(np.linalg, name.removesuffix("_ex"), None)
    try:
        want = None if theirs is None or name == "lstsq" else theirs(bad, *arguments)
    except np.linalg.LinAlgError:
        want = None
    if want is None:  # a triangle may be without what is bad
        assert name == "solve_triangular" or not all(np.isfinite(g).all() for g in got)
    else:
        for g, w in zip(got, want if isinstance(want, tuple) else (want,), strict=False):
            assert (np.isfinite(w) | ~np.isfinite(g)).all()


def test_cholesky_ex_keeps_the_good_members():
    bad = np.diag([1.0, -1.0, 2.0])
    a = np.stack([SPD, bad, 2 * SPD]) + 0j
    for upper in (False, True):
        for jit in ("never", "always"):
            x = nbg.TracedTensor.from_tensor(a)
            factor, info = L.cholesky_ex(x, upper=upper)
            got, numbers = nbg.eval(factor, info, engine=nbg.Engine(jit=jit))
            assert numbers.tolist() == [0, 2, 0] and numbers.dtype == np.int32 and np.isnan(got[1]).all()
            want = np.linalg.cholesky(a[::2], upper=upper)
            np.testing.assert_allclose(got[::2], want, rtol=1e-13, atol=1e-13)
        loss = nbg.sum(nbg.abs(nbg.where(np.array([1, 0, 1])[:, None, None] == 1, factor, 0)) ** 4)
        alone = nbg.TracedTensor.from_tensor(a[::2])
        reference = nbg.sum(nbg.abs(L.cholesky(alone, upper=upper)) ** 4)
        got, want = nbg.eval(loss.grad(x), reference.grad(alone), engine=NEVER)
        np.testing.assert_allclose(got[::2], want, rtol=1e-12, atol=1e-12)
    nbg.testing.check_grads(lambda a: L.cholesky_ex(a + a.T).result, (SPD,), order=2)


def test_norms_of_vectors_and_matrices():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for order in (2, 1, 0, np.inf, -np.inf, 3):
            for axis in (None, 0, (0, 2), -1):
                for keepdims in (False, True):
                    got = L.vector_norm(STACK, axis=axis, keepdims=keepdims, ord=order).eval(NEVER)
                    want = np.linalg.vector_norm(STACK, axis=axis, keepdims=keepdims, ord=order)
                    np.testing.assert_allclose(got, want, rtol=1e-13)
                    assert got.shape == want.shape
        for order in ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf):
            got = L.matrix_norm(STACK, ord=order, keepdims=True).eval(NEVER)
            np.testing.assert_allclose(got, np.linalg.matrix_norm(STACK, ord=order, keepdims=True), rtol=1e-12)


@pytest.mark.parametrize("code", ["f4", "c8"])
def test_single_precision_stays_single(code):
    calls = SQUARE | MATRIX | {
        f"{name} {ord}": lambda a, f=f, ord=ord: f(a, ord)
        for name, f, orders in (
            ("norm", L.norm, (None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)),
            ("cond", L.cond, (None, 1, -1, 2, -2, np.inf, -np.inf, "fro")),
        )
        for ord in orders
    }  # fmt: skip
    a = SPD.astype(code)
    for name, f in calls.items():
        made = f(a)
        for x in made if isinstance(made, tuple) else (made,):
            assert x.dtype in ("float32", "complex64", "int32", "int64", "bool"), (name, x.dtype)

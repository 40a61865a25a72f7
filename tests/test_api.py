"""The functions and operators against NumPy: values, dtypes, shapes, scalars, errors."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest
from against_numpy import DTYPES, ENGINE, INEXACT, Tensor, agree, both, sample

import nbgraph as nbg

# -- elementwise ------------------------------------------------------------------------------------------------------

BINARY = [
    *("add", "multiply", "maximum", "minimum", "equal", "not_equal"),
    *("less", "greater_equal", "logical_and", "logical_xor"),
]
UNARY = [
    *("sqrt", "exp", "expm1", "log", "log1p", "sin", "cos", "tan", "tanh", "arctan"),
    *("square", "sign", "abs", "negative", "conj", "real", "isfinite", "isnan"),
]


@pytest.mark.parametrize("name", [*BINARY, "subtract", "divide", "power"])
@pytest.mark.parametrize("left", DTYPES)
def test_binary_functions_promote_as_numpy(name: str, left: str) -> None:
    ours, theirs = both(name)
    ordered = name in ("maximum", "minimum", "less", "greater_equal")
    for right in DTYPES:
        if ordered and (left.startswith("complex") or right.startswith("complex")):
            continue
        if left == right == "bool" and name in ("subtract", "power"):
            continue
        x, y = sample(left), sample(right, (3,), seed=1)
        wanted = theirs(x, y)
        if name == "divide" and wanted.dtype == np.float16:
            wanted = wanted.astype(np.float64)
        agree(ours(Tensor.from_tensor(x), y), wanted)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scalar", [True, 2, 2.5, 1 + 2j, np.float32(2.5), np.float64(2.5), np.int32(3)])
def test_python_numbers_are_weak_and_numpy_scalars_are_not(dtype: str, scalar: Any) -> None:
    x = sample(dtype)
    t = nbg.constant(x)
    for op in (operator.add, operator.mul, operator.truediv, operator.eq):
        agree(op(t, scalar), op(x, scalar))
        agree(op(scalar, t), op(scalar, x))


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("dtype", DTYPES)
def test_unary_functions(name: str, dtype: str) -> None:
    ours, theirs = both(name)
    x = sample(dtype)
    if dtype == "bool" and name == "conj":  # int8 in NumPy
        return
    if dtype == "bool" and name in ("negative", "sign"):
        with pytest.raises(nbg.DtypeError):
            ours(x)
        return
    wanted = np.asarray(theirs(x))
    if wanted.dtype == np.float16:  # we go from booleans to float64
        wanted = theirs(x.astype(np.float64))
    agree(ours(x), wanted)


def test_erf_imag_isinf_logical_not() -> None:
    agree(nbg.erf(0.5), np.float64(0.5204998778130465))
    agree(nbg.imag([1 + 2j]), [2.0])
    agree(nbg.imag([1, 2]), [0, 0])
    agree(nbg.isinf([1.0, np.inf, -np.inf, np.nan]), [False, True, True, False])
    agree(nbg.logical_not([0, 2]), [True, False])


@pytest.mark.parametrize("p", [0, 1, 2, 3, -1, -2, 0.5, 1.5, 2.0, -0.5, 65, 100.0])
@pytest.mark.parametrize("dtype", INEXACT)
def test_powers_of_numbers(p: float, dtype: str) -> None:
    x = sample(dtype) / 2
    t = nbg.constant(x)
    assert (t**p).dtype == (x**p).dtype
    tolerance = 1e-4 if dtype in ("float32", "complex64") else 1e-12
    np.testing.assert_allclose((t**p).eval(ENGINE), x**p, rtol=tolerance)


def test_powers_of_integers() -> None:
    x = np.array([1, 2, 3], np.int32)
    t = nbg.constant(x)
    agree(t**2, x**2)
    agree(t**2.0, x**2.0)
    agree(t**0.5, x**0.5)
    agree(2**t, 2**x)
    agree(2.0**t, 2.0**x)
    agree(t ** np.int64(2), x ** np.int64(2))
    agree(nbg.power(t, t), x**x)
    with pytest.raises(nbg.DtypeError, match="negative integer powers"):
        t**-1
    with pytest.raises(ValueError, match="negative integer powers"):
        t**-1


def test_square_has_exact_derivatives_at_zero() -> None:
    x = Tensor.from_tensor(0.0)
    first = (x**3).grad(x)
    assert [float(first), float(first.grad(x)), float(first.grad(x).grad(x))] == [0.0, 0.0, 6.0]


def test_integers_out_of_range() -> None:
    t = nbg.constant(np.arange(3, dtype=np.int32))
    with pytest.raises(OverflowError, match="out of bounds for int32"):
        t + 2**40
    for big in (2**40, -(2**40), 2**70, -(2**70)):
        agree(t < big, np.arange(3) < big)
        agree(t == big, np.zeros(3, bool))
    with pytest.raises(nbg.DtypeError):
        nbg.constant(1.0) + 10**400


def test_zeros_keep_their_sign() -> None:
    x = nbg.constant(np.array([1.0, 2.0]))
    assert not np.signbit((x * 0.0).eval(ENGINE)).any()
    assert np.signbit((x * -0.0).eval(ENGINE)).all()


def test_clip_and_where() -> None:
    x = np.array([-1.0, 0.0, 0.5, 1.0, 2.0, np.nan])
    for lo, hi in ((0, 1), (None, 1.0), (0, None), (1, 0), (np.nan, 1.0)):
        agree(nbg.clip(x, lo, hi), np.clip(x, lo, hi))
    agree(nbg.clip(np.arange(4), 1, 2), np.clip(np.arange(4), 1, 2))
    agree(nbg.where(x > 0, x, 0), np.where(x > 0, x, 0))
    agree(nbg.where([[True], [False]], np.float32(1), [1, 2]), np.where([[True], [False]], np.float32(1), [1, 2]))
    t = Tensor.from_tensor(x[:5])
    assert nbg.clip(t, 0, 1).sum().grad(t).tolist() == [0, 0, 1, 0, 0]


# -- operators --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "op", [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.matmul]
)
def test_operators_with_arrays_on_both_sides(op: Any) -> None:
    x, y = sample("float64", (3, 3)), sample("int64", (3, 3), seed=1)
    t = Tensor.from_tensor(x)
    agree(op(t, y), op(x, y))
    agree(op(y, t), op(y, x))
    agree(op(t, y.tolist()), op(x, y))
    if op is not operator.matmul:
        agree(op(np.float32(2), t), op(np.float32(2), x))


def test_comparisons_logic_and_unary_operators() -> None:
    x, y = sample("float64"), sample("float64", seed=1)
    t, u = nbg.constant(x), nbg.constant(y)
    for op in (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne):
        agree(op(t, u), op(x, y))
        agree(op(x, u), op(x, y))
        agree(op(t, 2), op(x, 2))
    a, b = x > 2, y > 2
    for op in (operator.and_, operator.or_, operator.xor):
        agree(op(nbg.constant(a), b), op(a, b))
        agree(op(a, nbg.constant(b)), op(a, b))
    agree(-t, -x)
    agree(+t, x)
    agree(abs(-t), x)
    agree(~nbg.constant(a), ~a)
    with pytest.raises(nbg.DtypeError, match="wanted bool or int32 or int64"):
        t & u
    assert (t == "text") is False
    assert (t == None) is False  # noqa: E711


def test_numpy_functions_stay_lazy() -> None:
    x = sample("float64", (3, 3))
    t = Tensor.from_tensor(x)
    agree(np.sin(t), np.sin(x))
    agree(np.add(x, t), x + x)
    agree(np.sum(t, axis=0, keepdims=True), np.sum(x, axis=0, keepdims=True))
    agree(np.concatenate([t, x]), np.concatenate([x, x]))
    agree(np.einsum("ij,jk", t, x), x @ x)
    agree(np.linalg.norm(t), np.linalg.norm(x))
    agree(np.where(t > 2, t, 0.0), np.where(x > 2, x, 0.0))
    agree(np.zeros_like(t), np.zeros_like(x))
    assert np.shape(t) == (3, 3)
    assert np.allclose(t, x)
    assert nbg.result_type(t, 1) == np.result_type(x, 1)
    with pytest.raises(TypeError, match="packbits does not take a TracedTensor"):
        np.packbits(t)
    agree(np.sort(t, 0), np.sort(x, 0))
    with pytest.raises(TypeError, match=r"divide\.reduce"):
        np.divide.reduce(t)
    with pytest.raises(TypeError, match="out"):
        np.sin(t, out=x)


def test_classes_may_opt_out() -> None:
    class Mine:
        __array_ufunc__ = None

        def __radd__(self, other: Any) -> str:
            return "mine"

    assert nbg.constant(1.0) + Mine() == "mine"


# -- reductions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sum", "prod", "mean", "max", "min", "any", "all"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_reductions(name: str, dtype: str) -> None:
    if name in ("max", "min") and dtype.startswith("complex"):
        return
    ours, theirs = both(name)
    x = sample(dtype, (2, 3, 4))
    for axis in (None, 0, -1, (0, 2), (1,), ()):
        for keepdims in (False, True):
            agree(ours(x, axis=axis, keepdims=keepdims), theirs(x, axis=axis, keepdims=keepdims))
    agree(getattr(nbg.constant(x), name)(), theirs(x))


def test_reductions_with_dtype_and_positions() -> None:
    x = sample("int32", (3, 4), seed=3)
    agree(nbg.sum(x, dtype="float32"), np.sum(x, dtype="float32"))
    agree(nbg.sum(x, dtype="int32"), np.sum(x, dtype="int32"))
    agree(nbg.mean(x, axis=[0, 1], dtype="float32"), np.mean(x, dtype="float32"))
    for name in ("argmax", "argmin"):
        ours, theirs = both(name)
        for axis in (None, 0, -1):
            for keepdims in (False, True):
                agree(ours(x, axis, keepdims=keepdims), theirs(x, axis, keepdims=keepdims))
    agree(nbg.sum(np.zeros((0, 3)), axis=0), np.zeros(3))
    with pytest.raises(nbg.BoundsError, match=r"axis is out of range: .* 2"):
        nbg.sum(x, axis=2)
    with pytest.raises(ValueError, match="choose from"):
        nbg.max(np.zeros((0, 3)))


# -- products ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "right"),
    [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((5, 1, 2, 3), (4, 3, 2))],
)
def test_matmul(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    for dtypes in (("float64", "float64"), ("complex64", "int32"), ("int32", "int32")):
        x, y = sample(dtypes[0], left), sample(dtypes[1], right, seed=1)
        agree(nbg.matmul(nbg.constant(x), y), x @ y)
        agree(x @ nbg.constant(y), x @ y)


def test_dot_inner_outer_tensordot() -> None:
    a, b = sample("complex128", (2, 3)), sample("float64", (3, 2))
    agree(nbg.dot(a, b), np.dot(a, b))
    agree(nbg.dot(a, 2), np.dot(a, 2))
    agree(nbg.inner(a, b.T), np.inner(a, b.T))
    agree(nbg.outer(a, b), np.outer(a, b))
    agree(nbg.vdot(a, b), np.vdot(a, b))
    agree(nbg.vdot(a, a), np.vdot(a, a))
    agree(nbg.tensordot(a, b, 1), np.tensordot(a, b, 1))
    agree(nbg.tensordot(a, b, ((0, 1), (1, 0))), np.tensordot(a, b, ((0, 1), (1, 0))))
    agree(nbg.tensordot(a, b, 0), np.tensordot(a, b, 0))
    agree(nbg.constant(a).dot(b), np.dot(a, b))
    for name, args in (("matmul", ()), ("dot", ()), ("tensordot", (1,))):
        with pytest.raises(nbg.ShapeError, match=name):
            getattr(nbg, name)(a, a, *args)


@pytest.mark.parametrize(
    "subscripts", ["ij,jk", "ij,jk->ki", "ij,jk,kl->il", "ii", "ii->i", "ij->", "...j,jk->...k", "ij,ij,ij->i", "i,j,k"]
)
def test_einsum(subscripts: str) -> None:
    terms = subscripts.split("->")[0].split(",")
    operands = [sample("float64", (3,) * len(t.replace("...", "m")), seed=k) for k, t in enumerate(terms)]
    agree(nbg.einsum(subscripts, *operands), np.einsum(subscripts, *operands))
    whole = [x.astype(np.int32) for x in operands]
    agree(nbg.einsum(subscripts, *map(nbg.constant, whole)), np.einsum(subscripts, *whole))


def test_einsum_with_lists_and_errors() -> None:
    x, y = sample("float64", (2, 3)), sample("float64", (3, 4))
    agree(nbg.einsum(x, [0, 1], y, [1, 2], [2, 0]), np.einsum(x, [0, 1], y, [1, 2], [2, 0]))
    agree(nbg.einsum(x, [5, 60], y, [60, 2]), np.einsum("bc,ca", x, y))
    agree(nbg.einsum(x, [..., 1], y, [1, 2], [..., 2]), x @ y)
    agree(nbg.einsum("ij,jk", x, y, optimize=["einsum_path", (0, 1)]), x @ y)
    for bad in (("ij,jk", x, x), ("ij", x, y), ("ijk", x), ("ij->ik", x), ("ij,jk",), (), (x, y)):
        with pytest.raises(nbg.ShapeError):
            nbg.einsum(*bad)


# -- linalg -----------------------------------------------------------------------------------------------------------


def test_norms() -> None:
    v, m, c = sample("float64", (5,)), sample("float64", (3, 4)), sample("complex64", (2, 3, 4))
    for order in (None, 0, 1, 2, 3, np.inf, -np.inf):
        agree(nbg.linalg.norm(v, order), np.linalg.norm(v, order))
        agree(nbg.linalg.norm(m, order, axis=1, keepdims=True), np.linalg.norm(m, order, axis=1, keepdims=True))
    for order in (None, "fro", 1, -1, np.inf, -np.inf):
        agree(nbg.linalg.norm(m, order), np.linalg.norm(m, order))
        agree(nbg.linalg.norm(c, order, axis=(-1, 0)), np.linalg.norm(c, order, axis=(-1, 0)))
    agree(nbg.linalg.norm(c), np.linalg.norm(c))
    zero = Tensor.from_tensor(np.zeros(3))
    assert nbg.linalg.norm(zero).grad(zero).tolist() == [0, 0, 0]
    for bad in (lambda: nbg.linalg.norm(m, 3), lambda: nbg.linalg.norm(v, "fro"), lambda: nbg.linalg.norm(c, 1)):
        with pytest.raises(nbg.ShapeError, match="norm"):
            bad()


def test_solve_and_eigh() -> None:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((2, 3, 3)) + 3 * np.eye(3)
    b = rng.standard_normal((3, 2))
    agree(nbg.linalg.solve(a, b), np.linalg.solve(a, b))
    agree(nbg.linalg.solve(a, b[:, 0]), np.linalg.solve(a, b[:, 0]))
    agree(nbg.linalg.solve(a[0], [1, 2, 3]), np.linalg.solve(a[0], [1, 2, 3]))
    with pytest.raises(nbg.ShapeError):
        nbg.linalg.solve(a[0], b[:2])
    with pytest.raises(np.linalg.LinAlgError):
        nbg.linalg.solve(np.zeros((2, 2)), np.ones(2)).eval(ENGINE)
    h = rng.standard_normal((3, 3)) + 1j * rng.standard_normal((3, 3))
    for uplo in "LU":
        w, v = nbg.linalg.eigh(h, uplo)
        triangle = np.tril(h) if uplo == "L" else np.triu(h)
        full = triangle + triangle.conj().T - np.diag(np.diag(h).conj())
        np.fill_diagonal(full, np.diag(h).real)
        np.testing.assert_allclose(w.eval(ENGINE), np.linalg.eigvalsh(full), atol=1e-12)
        np.testing.assert_allclose((full @ v).eval(ENGINE), (v * w).eval(ENGINE), atol=1e-12)
    assert nbg.linalg.eigh(np.eye(2)).eigenvalues.tolist() == [1.0, 1.0]

"""Elementwise functions with NumPy's names: its values at ordinary and exceptional operands, by both tiers."""

from __future__ import annotations

import operator
import warnings
from typing import Any

import numpy as np
import pytest

import nbgraph as nbg

Array = np.ndarray[Any, Any]
ENGINES = [nbg.Engine(jit="never"), nbg.Engine(jit="always")]
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 1e-9, 1e300, -1e300, 710.0, -710.0]
UNARY = (
    "exp2 log2 log10 cbrt arcsin arccos sinc sinh cosh arcsinh arccosh arctanh deg2rad rad2deg degrees radians angle "
    "floor ceil trunc fix rint round around signbit isposinf isneginf nan_to_num reciprocal"
)
BINARY = (
    "arctan2 hypot logaddexp logaddexp2 copysign heaviside fmax fmin floor_divide remainder mod fmod nextafter isclose "
    "float_power"
)
COMPLEX = "exp2 log2 log10 arcsin arccos sinc sinh cosh arcsinh arccosh arctanh angle reciprocal"


def wide(code: str) -> Array:
    """Exceptional and ordinary numbers of a dtype."""
    rng = np.random.default_rng(0)
    return np.concatenate([SPECIAL, rng.uniform(-5, 5, 60), np.exp(rng.uniform(-9, 9, 20))]).astype(code)


def agree(functions: list[Any], wanted: list[Any], *arrays: Array, ulps: float = 100) -> None:
    """Functions of tensors give what functions of arrays do, by both tiers, in one program each."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want = [np.asarray(f(*arrays)) for f in wanted]
    for engine in ENGINES:
        got = nbg.eval(*(f(*map(nbg.constant, arrays)) for f in functions), engine=engine)
        for f, g, w in zip(functions, got, want, strict=True):
            name = f"{f.__name__} {engine.jit}"
            assert (g.dtype, g.shape) == (w.dtype, w.shape), name
            if w.dtype.kind in "bi":
                np.testing.assert_array_equal(g, w, err_msg=name)
                continue
            rtol = ulps * np.finfo(w.dtype).eps
            np.testing.assert_allclose(g, w, rtol=rtol, atol=1e-300 if w.dtype.itemsize > 4 else 1e-7, err_msg=name)


def named(names: str) -> tuple[list[Any], list[Any]]:
    return [getattr(nbg, n) for n in names.split()], [getattr(np, n) for n in names.split()]


@pytest.mark.parametrize("code", ["f8", "f4"])
def test_of_one_operand(code):
    with np.errstate(over="ignore"):
        agree(*named(UNARY), wide(code))


@pytest.mark.parametrize("code", ["f8", "f4"])
def test_of_two_operands(code):
    with np.errstate(over="ignore"):
        a, b = (m.ravel() for m in np.meshgrid(wide(code)[:40], wide(code)[:40]))
    agree(*named(BINARY), a, b)


@pytest.mark.parametrize("code", ["c16", "c8"])
def test_of_complex_numbers(code):
    z = (np.random.default_rng(1).uniform(-3, 3, (200, 2)) @ [1, 1j]).astype(code)
    agree(*named(COMPLEX), z)


@pytest.mark.parametrize("name", ["arcsin", "arccos", "arctanh", "arcsinh", "arccosh"])
def test_branch_cuts_are_numpys(name):
    """On the cut the sign of the zero that the other part is tells the side."""
    cut = np.array([complex(x, y) for x in (-3.0, -1.5, 1.5, 3.0) for y in (0.0, -0.0)])
    agree(*named(name), cut if name != "arcsinh" else np.array([complex(z.imag, z.real) for z in cut]))


@pytest.mark.parametrize("code", ["i8", "i4"])
def test_of_integers(code):
    rng = np.random.default_rng(2)
    a, b = rng.integers(-9, 9, (2, 60)).astype(code)
    b[:10], b[10:20], a[10:15] = 0, -1, np.iinfo(code).min
    agree(*named("floor_divide remainder fmod bitwise_and bitwise_or bitwise_xor arctan2 fmax fmin"), a, b)
    agree(*named("left_shift right_shift"), a, np.abs(b) * 8)
    agree(*named("floor ceil trunc round invert"), a)


def test_several_results():
    x = wide("f8")
    for k in (0, 1):
        agree([lambda x, k=k: nbg.modf(x)[k]], [lambda x, k=k: np.modf(x)[k]], x)
        agree([lambda x, k=k: nbg.frexp(x)[k]], [lambda x, k=k: np.frexp(x)[k]], np.append(x, 5e-324))
        agree([lambda x, k=k: nbg.divmod(x, 0.7)[k]], [lambda x, k=k: np.divmod(x, 0.7)[k]], x)
    n = np.arange(len(x)) - 40
    agree([nbg.ldexp], [np.ldexp], x, n)


def test_signs_of_zeros():
    """Rounding and remainders keep them."""
    zeros = np.array([0.0, -0.0, -0.3, 0.3])
    for name in ["floor", "ceil", "trunc", "rint"]:
        for engine in ENGINES:
            got = getattr(nbg, name)(nbg.constant(zeros)).eval(engine)
            np.testing.assert_array_equal(np.signbit(got), np.signbit(getattr(np, name)(zeros)), err_msg=name)
    for engine in ENGINES:
        whole = nbg.remainder(nbg.constant([4.0, -4.0]), [-2.0, 2.0]).eval(engine)
        np.testing.assert_array_equal(np.signbit(whole), [True, False])


def test_decimals():
    x = np.array([0.125, 2.5, -1.25, 1234.5678, np.inf, np.nan])
    for decimals in (0, 1, 2, -2):
        agree([lambda x, d=decimals: nbg.round(x, d)], [lambda x, d=decimals: np.round(x, d)], x)
    agree([lambda n: nbg.round(n, -1)], [lambda n: np.round(n, -1)], np.array([14, 15, 25, -15]))


def test_nan_to_num():
    x = np.array([np.nan, np.inf, -np.inf, 1.5])
    given = {"nan": 1.0, "posinf": 2.0, "neginf": 3.0}
    for a in (x, x.astype("f4"), np.stack([x, x[::-1]], -1).view("c16")[:, 0]):
        agree([nbg.nan_to_num], [np.nan_to_num], a)
        agree([lambda a: nbg.nan_to_num(a, **given)], [lambda a: np.nan_to_num(a, **given)], a)


def test_operators():
    x, n = np.array([7.5, -7.5, 3.0]), np.array([7, -7, 3])
    for op in (operator.mod, operator.floordiv, lambda a, b: divmod(a, b)[0], lambda a, b: divmod(a, b)[1]):
        agree([lambda a, op=op: op(a, 2.0)], [lambda a, op=op: op(a, 2.0)], x)
        agree([lambda a, op=op: op(9.0, a)], [lambda a, op=op: op(9.0, a)], x)
    for op in (operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift):
        agree([lambda a, op=op: op(a, 3)], [lambda a, op=op: op(a, 3)], n)
    agree([lambda a: 6 & a, lambda a: ~a], [lambda a: 6 & a, lambda a: ~a], n)


def test_numpys_functions_stay_lazy():
    t = nbg.TracedTensor.from_tensor([0.25, 0.5])
    for name in [
        "exp2",
        "log2",
        "cosh",
        "arcsin",
        "floor",
        "deg2rad",
        "cbrt",
        "signbit",
        "sinc",
        "angle",
        "nan_to_num",
        "round",
        "var",
        "std",
    ]:
        assert isinstance(getattr(np, name)(t), nbg.TracedTensor), name
    for name in [
        "logaddexp",
        "hypot",
        "arctan2",
        "copysign",
        "fmod",
        "remainder",
        "floor_divide",
        "heaviside",
        "float_power",
    ]:
        assert isinstance(getattr(np, name)(t, 0.5), nbg.TracedTensor), name
    assert [type(part) for part in np.divmod(t, 0.2)] == [nbg.TracedTensor] * 2


SMOOTH = "exp2 log2 log10 cbrt rsqrt arcsin arccos sinc sinh cosh arcsinh arctanh reciprocal deg2rad i0 nan_to_num"


@pytest.mark.parametrize("name", SMOOTH.split())
def test_derivatives(name):
    nbg.testing.check_grads(getattr(nbg, name), (np.array([0.2, 0.45, 0.8]),), order=2)
    if name in COMPLEX.split():
        nbg.testing.check_grads(getattr(nbg, name), (np.array([0.2 + 0.4j, -0.5 + 0.3j]),), order=2)


@pytest.mark.parametrize(
    "name", ["arctan2", "hypot", "logaddexp", "logaddexp2", "copysign", "fmod", "remainder", "fmax", "float_power"]
)
def test_derivatives_by_both(name):
    x, y = np.array([2.7, 0.4, 1.3]), np.array([0.6, 0.9, 0.7])
    nbg.testing.check_grads(getattr(nbg, name), (x, y), order=2)


def gradient(f: Any, *xs: Any) -> list[Any]:
    leaves = [nbg.TracedTensor.from_tensor(np.array(x)) for x in xs]
    return [g.tolist() for g in nbg.sum(f(*leaves)).grad(leaves)]


def test_derivatives_at_the_edges():
    inf = np.inf
    assert gradient(nbg.hypot, [0.0], [0.0]) == [[0.0], [0.0]]
    assert gradient(nbg.arctan2, [0.0], [0.0]) == [[0.0], [0.0]]
    assert gradient(nbg.cbrt, [0.0]) == [[inf]]
    assert gradient(nbg.sinc, [0.0]) == [[0.0]]
    assert gradient(lambda x: nbg.sinc(x).sum().grad(x), [0.0])[0] == [pytest.approx(-(np.pi**2) / 3, rel=1e-15)]
    assert gradient(nbg.logaddexp, [-inf, -inf, 1.0], [2.0, -inf, 1.0]) == [[0.0, 0.5, 0.5], [1.0, 0.5, 0.5]]
    assert gradient(nbg.heaviside, [-1.0, 0.0, 2.0], [3.0, 3.0, 3.0]) == [[0.0] * 3, [0.0, 1.0, 0.0]]
    assert gradient(nbg.fmax, [np.nan, 1.0, 2.0], [1.0, np.nan, 2.0]) == [[0.0, 1.0, 0.5], [1.0, 0.0, 0.5]]
    assert gradient(nbg.nan_to_num, [np.nan, inf, 2.0]) == [[0.0, 0.0, 1.0]]
    assert gradient(nbg.angle, [0j, 1j])[0] == [0j, -1 + 0j]


def test_what_jumps_has_no_derivative():
    x = nbg.TracedTensor.from_tensor([0.3, 1.7])
    for f in (nbg.floor, nbg.ceil, nbg.trunc, nbg.rint, lambda x: nbg.floor_divide(x, 0.4)):
        (g,) = nbg.eval(nbg.sum(f(x) * x).grad(x))
        np.testing.assert_array_equal(g, f(x).eval())


@pytest.mark.parametrize("name", ["cbrt", "floor", "hypot", "remainder", "signbit", "copysign", "bitwise_and"])
def test_complex_operands_are_refused(name):
    with pytest.raises(nbg.DtypeError, match="operand 0"):
        getattr(nbg, name)(*[1j] * (1 if name in ("cbrt", "floor", "signbit") else 2))

"""Vector mathematics: errors in units of the last place against mpmath, special values against C's, and vector code."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy import special

from nbgraph_kernels import compile as compiler
from nbgraph_kernels import machine, words
from nbgraph_kernels.language import LanguageError
from nbgraph_kernels.language.program import Program
from nbgraph_kernels.math import BODIES, namespace

mpmath = pytest.importorskip("mpmath", reason="the references are mpmath's: pip install mpmath")
mp, mpf = mpmath.mp, mpmath.mpf

PROTOTYPE = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)
DTYPES = {"f4": np.float32, "f8": np.float64}
BINARY = ("pow", "arctan2")
CASES = [(name, code) for name in BODIES for code in DTYPES]

#: Exact functions where mpmath's name differs.
EXACT: dict[str, Callable[..., Any]] = {
    "exp2": lambda x: mpf(2) ** x,
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "log2": lambda x: mp.log(x) / mp.log(2),
    "log10": lambda x: mp.log(x) / mp.log(10),
    "arctan": lambda x: mp.atan(x),
    "arctan2": lambda y, x: mp.atan2(y, x),
    "arcsin": lambda x: mp.asin(x),
    "arccos": lambda x: mp.acos(x),
    "pow": lambda x, y: mp.power(x, y),
}
#: What C or SciPy gives, for special values.
PLAIN = {
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "erf": special.erf,
    "erfc": special.erfc,
    "pow": np.power,
}


@cache
def compiled(name: str, code: str) -> Any:
    """The object code of a loop that applies the function."""
    function, pointer = getattr(namespace(math), name), words.POINTERS[code]

    def unary(w: Any) -> int:
        out, x = pointer(w[0]), pointer(w[1])
        for i in range(w[2]):
            out[i] = function(x[i])
        return 0

    def binary(w: Any) -> int:
        out, x, y = pointer(w[0]), pointer(w[1]), pointer(w[3])
        for i in range(w[2]):
            out[i] = function(x[i], y[i])
        return 0

    return compiler.compile_words(binary if name in BINARY else unary)


def apply(name: str, *arguments: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    x = arguments[0]
    out = np.empty_like(x)
    table = np.array([out.ctypes.data, x.ctypes.data, x.size, arguments[-1].ctypes.data], np.int64)
    PROTOTYPE(compiled(name, x.dtype.str[1:]).address)(table.ctypes.data)
    return out


def points(name: str, code: str, count: int = 60) -> tuple[np.ndarray[Any, Any], ...]:
    """Arguments of every size, near 0, near 1, near multiples of pi/2, and where the result is nearly too large."""
    rng = np.random.default_rng(5)
    low, high, edge = (-149, 128, 105.0) if code == "f4" else (-1074, 1024, 750.0)
    sign = rng.choice([-1.0, 1.0], count)
    every = np.ldexp(rng.uniform(1, 2, count), rng.integers(low, high, count)) * sign
    middle = np.ldexp(rng.uniform(1, 2, 2 * count), rng.integers(-30, 6, 2 * count)) * np.tile(sign, 2)
    near_one = 1 + np.ldexp(rng.uniform(-1, 1, count), rng.integers(-25, 0, count))
    turns = rng.integers(1, 10**6, count) * (np.pi / 2) * sign
    x = np.concatenate([every, middle, near_one, turns, rng.uniform(-edge, edge, count), rng.uniform(-3, 3, count)])
    if name in ("log", "log2", "log10", "pow"):
        x = abs(x)
    if name == "log1p":
        x = x[x > -1]
    if name in ("arcsin", "arccos"):
        x = np.concatenate([x[abs(x) <= 1], rng.uniform(-1, 1, count)])
    with np.errstate(over="ignore"):
        x = x.astype(DTYPES[code])
    x = x[np.isfinite(x)]
    if name == "arctan2":
        return x, rng.permutation(x)
    if name == "pow":
        with np.errstate(all="ignore"):
            y = rng.uniform(-1, 1, x.size) * abs(high / np.log2(x.astype(np.float64)))
        y = np.where(np.isfinite(y) & (abs(y) < 1e30), y, 3).astype(x.dtype)
        return x, y
    return (x,)


def error(got: float, exact: Any, code: str) -> float:
    """The distance in units of the last place of the exact result."""
    digits, least, largest = (24, -149, 128) if code == "f4" else (53, -1074, 1024)
    if abs(exact) >= mpf(2) ** largest * (1 - mpf(2) ** -digits):
        return 0.0 if math.isinf(got) else math.inf
    if not math.isfinite(got):
        return math.inf
    exponent = -(10**9) if exact == 0 else mp.mag(exact) - 1
    if exact != 0 and mpf(2) ** exponent > abs(exact):
        exponent -= 1
    return float(abs(mpf(got) - exact) / mpf(2) ** max(exponent - digits + 1, least))


def exact(name: str, values: list[float]) -> Any:
    function = EXACT.get(name) or getattr(mp, name)
    if name not in ("log", "log2", "log10", "log1p", "sin", "cos", "tan", "pow", *EXACT):
        values = [max(-2000.0, min(2000.0, v)) for v in values]  # beyond, results are 0, 1 or too large
    if name in ("exp2", "sigmoid"):
        values = [max(-2000.0, min(2000.0, v)) for v in values]
    with mp.workdps(380 if name in ("sin", "cos", "tan") else 50):
        return mp.re(function(*map(mpf, values)))


@pytest.mark.parametrize(("name", "code"), CASES)
def test_error(name: str, code: str) -> None:
    arguments = points(name, code)
    got = apply(name, *arguments)
    rows = [[float(a[k]) for a in arguments] for k in range(got.size)]
    worst = max((error(float(g), exact(name, row), code), row) for g, row in zip(got, rows, strict=True))
    assert worst[0] <= (4.0 if name == "pow" else 2.0), worst


@pytest.mark.parametrize("code", DTYPES)
def test_hardest_reductions(code: str) -> None:
    """The numbers nearest to multiples of pi/2 (Muller, Elementary Functions, 2006, table 9.1), and the largest."""
    x = np.array([6381956970095103.0 * 2.0**797, 16367173.0 * 2.0**72, np.finfo(DTYPES[code]).max, 2.0**28 + 1])
    x = x[x <= np.finfo(DTYPES[code]).max].astype(DTYPES[code])
    for name in ("sin", "cos", "tan"):
        got = apply(name, np.concatenate([x, -x, np.full(13, 0.5, x.dtype)]))
        for g, v in zip(got, [*x, *-x], strict=False):
            assert error(float(g), exact(name, [float(v)]), code) <= 1.0


def specials(code: str) -> np.ndarray[Any, Any]:
    kind = np.finfo(DTYPES[code])
    small = [0.0, 1, 0.5, 2, 3, 2.5, kind.max, kind.tiny, kind.smallest_subnormal, 1 + kind.eps, 1 - kind.epsneg]
    return np.array([*small, *(-v for v in small), np.inf, -np.inf, np.nan, 1e30, 100, -1000, 4097], DTYPES[code])


@pytest.mark.parametrize(("name", "code"), CASES)
def test_special_values(name: str, code: str) -> None:
    """Zeros with their signs, subnormals, infinities and NaN are as C has them."""
    x = specials(code)
    arguments = tuple(a.ravel().copy() for a in np.meshgrid(x, x)) if name in BINARY else (x,)
    got = apply(name, *arguments)
    with np.errstate(all="ignore"):
        wide = (PLAIN.get(name) or getattr(np, name))(*(a.astype(np.float64) for a in arguments))
        wanted = wide.astype(x.dtype)
        near = abs(got - wanted) <= 4 * np.spacing(abs(wanted))
    np.testing.assert_array_equal(np.isnan(got), np.isnan(wanted))
    right = (np.isnan(got) | (got == wanted) | near) & (np.isnan(got) | (np.signbit(got) == np.signbit(wanted)))
    assert right.all(), [(a[~right][:5]) for a in (*arguments, got, wanted)]


@pytest.mark.parametrize(("name", "code"), CASES)
def test_the_loop_is_vector_code(name: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """LLVM's text of the optimised loop multiplies or adds vectors."""
    texts = []
    optimise = machine.optimise
    monkeypatch.setattr(machine, "optimise", lambda m, *rest: (optimise(m, *rest), texts.append(str(m))))
    compiled.__wrapped__(name, code)
    kinds = ["double"] if code == "f8" else ["float", "double"]  # some take double precision all the way
    operations = ("fmul", "fadd", "fsub", "fdiv")
    assert any(f"{each} <{n} x {kind}>" in texts[0] for each in operations for n in (2, 4, 8, 16) for kind in kinds)
    assert "@nbgraph_lanes_" not in texts[0]


@pytest.mark.parametrize("code", DTYPES)
def test_every_size_of_a_loop(code: str) -> None:
    """Vectors and what is left of them agree, with large arguments anywhere."""
    x = np.where(np.arange(41) % 7 == 3, 1e9, np.linspace(-3, 3, 41)).astype(DTYPES[code])
    whole = apply("sin", x)
    for n in range(41):
        np.testing.assert_array_equal(apply("sin", x[:n].copy()), whole[:n])


@pytest.mark.parametrize("code", DTYPES)
@pytest.mark.parametrize("name", ["log", "log2", "log10", "log1p", "sigmoid"])
def test_rare_numbers_anywhere(name: str, code: str) -> None:
    """Zeros, subnormal and large numbers give what they do alone, and so do the numbers beside them in a vector."""
    kind = np.finfo(DTYPES[code])
    rare = np.array(
        [0.0, kind.smallest_subnormal, kind.tiny / 3, kind.max, np.inf, -0.5, -3, -1e4, np.nan], DTYPES[code]
    )
    x = np.linspace(0.1, 80, 150, dtype=DTYPES[code])
    places = np.random.default_rng(1).permutation(150)[:45]
    x[places] = np.resize(rare, 45)
    alone = np.concatenate([apply(name, x[k : k + 1].copy()) for k in range(x.size)])
    np.testing.assert_array_equal(apply(name, x), alone)
    normal = np.setdiff1d(np.arange(150), places)
    np.testing.assert_array_equal(apply(name, x)[normal], apply(name, x[normal].copy()))


def test_complex_arguments_are_refused() -> None:
    pointer, module = words.POINTERS["c16"], namespace(np)

    def loop(w: Any) -> int:
        pointer(w[0])[0] = module.sinh(pointer(w[1])[0])
        return 0

    with pytest.raises(LanguageError, match="sinh of complex128"):
        compiler.compile_words(loop)


@pytest.mark.parametrize("places", [1, machine.FEW + 1])
def test_what_many_places_call_stays_a_function(places: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function of vectors becomes part of few loops; of many it is called. The results are the same."""
    texts = []
    optimise = machine.optimise
    monkeypatch.setattr(machine, "optimise", lambda m, *rest: (optimise(m, *rest), texts.append(str(m))))
    pointer, exp = words.POINTERS["f8"], namespace(np).exp

    def apart(w: Any) -> int:
        x = pointer(w[0])
        for k in range(w[1]):
            x[k] = exp(x[k])
        return 0

    code = compiler.compile_words(*[apart] * places)
    assert ("nbgraph_lanes_" in texts[0]) is (places > 1)
    x = np.linspace(-3, -2, 41)
    want = x.copy()
    for _ in range(places):
        want = apply("exp", want)
    table = (ctypes.c_int64 * 2)(x.ctypes.data, x.size)
    assert PROTOTYPE(code.address)(ctypes.addressof(table)) == 0
    np.testing.assert_array_equal(x, want)


@pytest.mark.parametrize("code", DTYPES)
def test_constants_in_tables_change_no_bit(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of functions side by side in a loop, against each in a loop of its own."""
    texts = []
    optimise = machine.optimise
    monkeypatch.setattr(machine, "optimise", lambda m, *rest: (optimise(m, *rest), texts.append(str(m))))
    pointer, module = words.POINTERS[code], namespace(np)

    def loop(w: Any) -> int:
        x, a, b, c, d = pointer(w[0]), pointer(w[1]), pointer(w[2]), pointer(w[3]), pointer(w[4])
        for i in range(w[5]):
            a[i], b[i], c[i], d[i] = module.log(x[i]), module.exp(x[i]), module.sin(x[i]), module.tanh(x[i])
        return 0

    assert machine.CROWD == 4
    made = compiler.compile_words(loop)
    assert ("@constants_" in texts[0].replace('"', "")) is ("avx512f" not in machine.features())
    x = np.concatenate([points("log", code)[0], np.array([0, np.inf, np.nan], DTYPES[code])])
    outs = [np.empty_like(x) for _ in range(4)]
    table = np.array([x.ctypes.data, *(out.ctypes.data for out in outs), x.size], np.int64)
    assert PROTOTYPE(made.address)(table.ctypes.data) == 0
    for name, out in zip(("log", "exp", "sin", "tanh"), outs, strict=True):
        np.testing.assert_array_equal(out, apply(name, x))


@pytest.mark.parametrize("code", DTYPES)
def test_loops_with_many_calls_take_two_turns_at_a_time(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one at a time what is left: every number is computed, once, wherever they begin and end, or are left."""
    pointer, functions = words.POINTERS[code], namespace(math)

    def loop(w: Any) -> int:
        out, x, count = pointer(w[0]), pointer(w[1]), 0
        for i in range(w[2], w[3]):
            out[i] += functions.log(functions.exp(functions.tanh(x[i])) + x[i] * x[i])
            count += 1
        return count

    def left_early(w: Any) -> int:
        out, x, count = pointer(w[0]), pointer(w[1]), 0
        for i in range(w[2], w[3]):
            out[i] += functions.log(functions.exp(functions.tanh(x[i])) + x[i] * x[i])
            count += 1
            if i == w[4]:
                break
        return count

    x = np.linspace(-3, 3, 150).astype(DTYPES[code])
    exact = np.log(np.exp(np.tanh(x.astype(float))) + x.astype(float) ** 2)
    ranges = [(0, n) for n in (0, 1, 31, 32, 33, 63, 64, 97, 150)] + [(7, 100), (140, 150), (50, 40), (90, 0)]
    turns: list[int] = []
    interleaved = Program.interleaved
    monkeypatch.setattr(Program, "interleaved", lambda self, n: (turns.append(n), interleaved(self, n))[1])
    for function, last, wanted_turns in ((loop, 150, [2, 1]), (left_early, 70, [1])):
        code_of_it = compiler.compile_words(function)
        assert turns == wanted_turns
        turns.clear()
        for start, stop in ranges:
            out = np.zeros_like(x)
            table = np.array([out.ctypes.data, x.ctypes.data, start, stop, last], np.int64)
            count = PROTOTYPE(code_of_it.address)(table.ctypes.data)
            assert count == max(0, (min(stop, last + 1) if start <= last else stop) - start)
            wanted = np.zeros(150)
            wanted[start : start + count] = exact[start : start + count]
            np.testing.assert_allclose(
                out, wanted, rtol=2e-6 if code == "f4" else 1e-14, atol=1e-7 if code == "f4" else 1e-15
            )

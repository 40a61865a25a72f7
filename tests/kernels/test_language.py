"""The language of kernels: functions mean in it what they mean in Python, and what is not in it is refused by line."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nbgraph_kernels.compile import compile_words, emit
from nbgraph_kernels.language import LanguageError, helper, source
from nbgraph_kernels.words import POINTERS

integers, floats, complexes = POINTERS["i8"], POINTERS["f8"], POINTERS["c16"]
LIMIT, PAIR = 7, (3, 5)


# -- functions of numbers, run in both ---------------------------------------------------------------------------------


def quotients(a: Any, b: Any) -> Any:
    return (a // b) * 1000 + a % b + a // 3 - a % 5


def by_bits(a: Any, b: Any) -> Any:
    return ((a & b) | (a ^ 11)) + (a << 3) - (b >> 1) + (~a & 255)


def chained(a: Any, b: Any) -> Any:
    return 1 if -3 < a <= b < LIMIT else 0 if not a == b != 2 else -1


def extremes(a: Any, b: Any) -> Any:
    return min(a, b, 4) * 100 + max(a, b) + abs(a)


def powers(a: Any, b: Any) -> Any:
    return a**3 + b**2 + PAIR[0] ** 2 - a**0


def loops(a: Any, b: Any) -> Any:
    total = 0
    for i in range(abs(a), -5, -2):
        for j in range(3):
            if j == 2:
                continue
            if i + j == b:
                break
            total += i * j + 1
    while total > 50 or (total > 20 and total % 2 == 1):
        total -= 7
    return total


def searched(a: Any, b: Any) -> Any:
    k = 0
    while True:
        if k * k > abs(a) + abs(b):
            return k
        k += 1


def turned(a: Any, b: Any) -> Any:
    (x, y), z = (a, b), PAIR
    for _ in range(3):
        x, y = y, x + z[1]
    pair = y, x
    if a > b:
        pair = x, y
    return pair[0] * 10 + pair[1]


def logic(a: Any, b: Any) -> Any:
    found = a > 0 and b > 0
    found = found or (a < 0 and b % 2 == 0)
    return (2 if found else 0) + (1 if not (a or b) else 0) + int(a == b)


def ratios(x: Any, y: Any) -> Any:
    return x / y - y * 2 + x % 3.0 + abs(x) ** 0.5


def rounded(x: Any, y: Any) -> Any:
    return math.floor(x) * 100 + math.ceil(y) + int(x * y) + float(int(y))


def of_parts(x: Any, y: Any) -> Any:
    z = complex(x, y) * complex(y, 1.0) - 2.0 + complex(0.0, -x)
    return z.real - z.imag + abs(z) + z.conjugate().imag + (10.0 if z == z else 0.0)


def widened(x: Any, y: Any) -> Any:
    total = 0
    for k in range(4):
        total = total + x * k if x > y else total - k
    return total


def special(x: Any, y: Any) -> Any:
    number = 0.0
    if math.isinf(x) or math.isnan(y):
        number = math.copysign(1.0, x)
    return number + math.sqrt(abs(y)) if np.isfinite(y) else -number


OF_INTEGERS = [quotients, by_bits, chained, extremes, powers, loops, searched, turned, logic]
OF_FLOATS = [ratios, rounded, of_parts, widened, special, extremes, chained]
POINTS = [-17, -4, -1, 2, 3, 8]


def applied(function: Callable[..., Any], pointer: Any) -> Callable[[Any], int]:
    called = helper(function)

    def over(w: Any) -> int:
        out, x, y = pointer(w[0]), pointer(w[1]), pointer(w[2])
        for i in range(w[3]):
            out[i] = called(x[i], y[i])
        return 0

    return over


@pytest.mark.parametrize("function", OF_INTEGERS, ids=lambda f: f.__name__)
def test_integers(function: Any, call_at: Any) -> None:
    x, y = (np.ascontiguousarray(a).ravel() for a in np.meshgrid(POINTS, POINTS))
    out = np.empty_like(x)
    assert call_at(compile_words(applied(function, integers)), out, x, y, x.size) == 0
    assert out.tolist() == [int(function(int(a), int(b))) for a, b in zip(x, y, strict=True)]


@pytest.mark.parametrize("function", OF_FLOATS, ids=lambda f: f.__name__)
def test_floats(function: Any, call_at: Any) -> None:
    x, y = (np.ascontiguousarray(a).ravel() for a in np.meshgrid(POINTS, POINTS) * np.array([[[0.75]], [[0.5]]]))
    out = np.empty_like(x)
    assert call_at(compile_words(applied(function, floats)), out, x, y, x.size) == 0
    np.testing.assert_allclose(out, [function(float(a), float(b)) for a, b in zip(x, y, strict=True)], rtol=1e-15)


def test_division_by_zero_gives_zero_and_what_ieee_says(call_at: Any) -> None:
    def divide(w: Any) -> int:
        n, x = integers(w[0]), floats(w[1])
        n[1], n[2] = n[0] // n[1], n[0] % n[1]
        x[1] = x[0] / x[1]
        return 0

    n, x = np.array([5, 0, 9]), np.array([-1.0, 0.0])
    assert call_at(compile_words(divide), n, x) == 0
    assert n.tolist() == [5, 0, 0] and x[1] == -np.inf


def test_complex_elements_and_narrow_ones(call_at: Any) -> None:
    narrow, single, bytes_ = POINTERS["i4"], POINTERS["f4"], POINTERS["b1"]

    def store(w: Any) -> int:
        z, n, x, b = complexes(w[0]), narrow(w[1]), single(w[2]), bytes_(w[3])
        z[1] = z[0] * z[0]
        z[2] = 3
        n[1] = n[0] * n[0]
        n[0] += 1
        x[1] = x[0] + 2.0**-30
        b[1] = b[0] == 0
        return 0

    z, n = np.array([1 + 2j, 0, 0]), np.array([2**20, 0], np.int32)
    x, b = np.array([1, 0], np.float32), np.array([0, 0], np.uint8)
    assert call_at(compile_words(store), z, n, x, b) == 0
    assert z.tolist() == [1 + 2j, -3 + 4j, 3] and n.tolist() == [2**20 + 1, 0]  # 2^40 wraps
    assert x.tolist() == [1.0, 1.0] and b.tolist() == [0, 1]


def test_what_is_known_is_computed_while_compiling(call_at: Any) -> None:
    kinds = {"many": 3}

    def choose(w: Any) -> int:
        if LIMIT > 5 and PAIR[1] == 5:
            return LIMIT * PAIR[0]
        return kinds["missing"]  # never looked at

    assert call_at(compile_words(choose)) == 21


# -- what is refused ---------------------------------------------------------------------------------------------------


def lists(w: Any) -> int:
    return [w[0]][0]  # type: ignore[no-any-return]


def mixed(w: Any) -> int:
    x = floats(w[0])
    if w[1] > 0:
        x = 3  # type: ignore[assignment]
    return x  # type: ignore[no-any-return]


def unbound(w: Any) -> int:
    return late + late_too(w)  # type: ignore[name-defined, no-any-return]  # noqa: F821


def unordered(w: Any) -> int:
    return 1 if complexes(w[0])[0] < complexes(w[0])[1] else 0


def by_name(w: Any) -> int:
    return max(w[0], key=w[1])  # type: ignore[no-any-return, call-overload]


def divided(w: Any) -> int:
    z = complexes(w[0])
    z[0] = z[0] / z[1]
    return 0


@pytest.mark.parametrize("function", [lists, mixed, unbound, unordered, by_name, divided], ids=lambda f: f.__name__)
def test_what_is_not_in_the_language_is_an_error_with_its_line(function: Any) -> None:
    with pytest.raises(LanguageError, match=rf"line \d+ of {function.__name__} .*test_language.py"):
        emit(function)


def test_a_function_without_a_text_is_refused() -> None:
    names: dict[str, Any] = {}
    exec("def nowhere(w):\n    return 0\n", names)
    with pytest.raises(LanguageError, match="text of nowhere"):
        emit(names["nowhere"])


def test_a_text_is_parsed_again_where_another_thread_was_in_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    parse, failures = source.ast.parse, [SystemError("depth"), SystemError("depth")]

    def parse_in_the_end(text: str) -> Any:
        if failures:
            raise failures.pop()
        return parse(text)

    monkeypatch.setattr(source.ast, "parse", parse_in_the_end)
    assert [node.name for node in source.parsed("def f(x):\n    return x\n").body] == ["f"]
    failures += [SystemError("depth")] * 1000
    with pytest.raises(SystemError):
        source.parsed("x = 1\n")

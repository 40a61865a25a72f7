"""The driver, the entry from Python, and moving tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nbgraph_kernels as kernels
from nbgraph_kernels.arrays import array_data_offset
from nbgraph_kernels.compile import Compiled, compile_words
from nbgraph_kernels.words import POINTERS

Call = Callable[..., int]
table = POINTERS["i8"]
floats = POINTERS["f8"]


def append(w: Any) -> int:
    """Words: list, its length, value, status. Writes the value at the end."""
    length = table(w[1])
    table(w[0])[length[0]] = w[2]
    length[0] += 1
    return w[3]


def scale(w: Any) -> int:
    """Words: y, x, n, factor: y = x * factor."""
    for i in range(w[2]):
        floats(w[0])[i] = floats(w[1])[i] * w[3]
    return 5 if w[2] == 0 else 0


@pytest.fixture(scope="module")
def appending() -> Compiled:
    return compile_words(append)


@pytest.fixture(scope="module")
def scaling() -> Compiled:
    return compile_words(scale)


def drive(call: Call, address: int, statuses: list[int]) -> tuple[int, list[int]]:
    values, length = np.zeros(len(statuses) + 1, np.int64), np.zeros(1, np.int64)
    words = np.array([[values.ctypes.data, length.ctypes.data, 10 + i, s] for i, s in enumerate(statuses)], np.int64)
    words = words.reshape(-1, 4)
    rows = np.array([[address, words.ctypes.data + 32 * i] for i in range(len(statuses))], np.int64)
    status = call("driver", "", rows, len(statuses))
    return status, values[: length[0]].tolist()


def test_driver_calls_every_row_in_order(call: Call, appending: Compiled) -> None:
    assert drive(call, appending.address, [0] * 5) == (0, [10, 11, 12, 13, 14])


def test_driver_of_no_rows(call: Call) -> None:
    assert call("driver", "", 0, 0) == 0


@pytest.mark.parametrize("status", [1, 7, -1, 2**31 - 1])
def test_driver_stops_at_a_failure_and_tells_where(call: Call, appending: Compiled, status: int) -> None:
    got, values = drive(call, appending.address, [0, 0, status, 0, 3])
    assert (got >> 32, np.int32(np.uint32(got & 0xFFFFFFFF).view(np.int32))) == (3, status)
    assert values == [10, 11, 12]


def test_drivers_nest(call: Call, appending: Compiled) -> None:
    values, length = np.zeros(9, np.int64), np.zeros(1, np.int64)
    words = np.array([values.ctypes.data, length.ctypes.data, 4, 0], np.int64)
    inner_rows = np.array([[appending.address, words.ctypes.data]] * 3, np.int64)
    inner = np.array([inner_rows.ctypes.data, 3], np.int64)
    outer_rows = np.array([[kernels.kernel("driver").address, inner.ctypes.data]] * 2, np.int64)
    assert call("driver", "", outer_rows, 2) == 0
    assert values[: length[0]].tolist() == [4] * 6


def test_entry_takes_array_objects(call: Call, scaling: Compiled) -> None:
    x, y = np.arange(12.0)[::-1][2:8], np.zeros(6)
    x = np.ascontiguousarray(x)
    status = call("entry", "", scaling.address, 2, array_data_offset(), id(y), id(x), 6, 3)
    assert status == 0
    np.testing.assert_array_equal(y, 3 * x)


def test_entry_reads_the_data_address_of_views(call: Call, scaling: Compiled) -> None:
    base, y = np.arange(12.0), np.zeros(4)
    view = base[5:9]
    assert call("entry", "", scaling.address, 2, array_data_offset(), id(y), id(view), 4, 1) == 0
    np.testing.assert_array_equal(y, base[5:9])


def test_entry_gives_the_status(call: Call, scaling: Compiled) -> None:
    x = np.zeros(1)
    assert call("entry", "", scaling.address, 2, array_data_offset(), id(x), id(x), 0, 1) == 5


def test_entry_without_objects(call: Call, scaling: Compiled) -> None:
    x, y = np.ones(3), np.zeros(3)
    assert call("entry", "", scaling.address, 0, array_data_offset(), y, x, 3, 2) == 0
    np.testing.assert_array_equal(y, [2, 2, 2])


@pytest.mark.parametrize("count", [0, 1, 257])
def test_patch(call: Call, count: int) -> None:
    rng = np.random.default_rng(1)
    template, numbers = rng.integers(-99, 99, count), rng.integers(0, 4, count)
    bases = np.array([0, 1 << 40, -5, 1 << 62])
    moved = np.full(count + 1, -1)
    assert call("patch", "", moved, template, numbers, bases, count) == 0
    np.testing.assert_array_equal(moved[:-1], template + bases[numbers])
    assert moved[-1] == -1


def test_patch_in_place(call: Call) -> None:
    words, numbers, bases = np.arange(9), np.arange(9) % 2, np.array([0, 100])
    want = words + bases[numbers]
    assert call("patch", "", words, words, numbers, bases, 9) == 0
    np.testing.assert_array_equal(words, want)

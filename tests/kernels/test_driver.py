"""The driver, the entry from Python, and moving tables."""

from __future__ import annotations

import ctypes
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


def entered(call: Call, address: int, arrays: tuple[Any, ...], further: list[tuple[int, int]], memory: Any) -> int:
    """`objects_entry` on arrays, with (value, relative) words after them."""
    template = np.array([address, len(arrays), len(further), *(x for pair in further for x in pair)], np.int64)
    objects = (template, memory, *arrays)
    entry = kernels.kernel("objects_entry").address
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(entry)(id(objects) + tuple.__basicsize__)


def test_objects_entry_takes_a_tuple_of_arrays(call: Call, scaling: Compiled) -> None:
    x, y = np.arange(6.0), np.zeros(6)
    assert entered(call, scaling.address, (y, x), [(6, 0), (3, 0)], x) == 0
    np.testing.assert_array_equal(y, 3 * x)
    assert entered(call, scaling.address, (y, x), [(0, 0), (3, 0)], x) == 5


def test_objects_entry_places_words_in_the_workspace(call: Call, scaling: Compiled) -> None:
    x, memory = np.arange(4.0), np.zeros(64)
    first = -memory.ctypes.data % 64 // 8  # the first aligned element
    assert entered(call, scaling.address, (), [(16, 1), (x.ctypes.data, 0), (4, 0), (2, 0)], memory) == 0
    np.testing.assert_array_equal(memory[first + 2 : first + 6], 2 * x)


def repeated(call: Call, address: int, count: int, table: Any, columns: list[tuple[int, ...]]) -> int:
    return call(
        "repeat", "", address, count, table, len(columns), np.array(columns, np.int64).ravel(), array_data_offset()
    )


def test_repeat_changes_words_from_call_to_call(call: Call, scaling: Compiled) -> None:
    xs, ys = [np.full(3, k + 1.0) for k in range(5)], np.zeros((5, 3))
    factors, ids = np.arange(5), np.array([id(x) for x in xs])
    table = np.array([0, 0, 3, 0])
    columns = [(0, 2, ys.ctypes.data, 24, -1), (1, 0, ids.ctypes.data, 0, 0), (3, 1, factors.ctypes.data, 0, 0)]
    assert repeated(call, scaling.address, 5, table, columns) == 0
    np.testing.assert_array_equal(ys, [[(k + 1) * k] * 3 for k in range(5)])


def test_repeat_alternates(call: Call, scaling: Compiled) -> None:
    pair = np.array([[1.0], [0.0]])
    start, step = pair.ctypes.data, 8
    table = np.array([0, 0, 1, 2])
    columns = [(0, 2, start + step, -step, 1), (1, 2, start, step, 1)]
    assert repeated(call, scaling.address, 7, table, columns) == 0
    assert pair.ravel().tolist() == [64.0, 128.0]


def test_repeat_stops_at_a_failure_and_tells_where(call: Call, scaling: Compiled) -> None:
    x, lengths = np.zeros(1), np.array([1, 1, 0, 1])
    table = np.array([x.ctypes.data, x.ctypes.data, 0, 1])
    assert repeated(call, scaling.address, 4, table, [(2, 1, lengths.ctypes.data, 0, 0)]) == (3 << 32) | 5
    assert repeated(call, scaling.address, 0, table, []) == 0

"""Helpers of the kernel tests: word tables from arrays, and calls through ctypes (which release the GIL).

In: arrays and numbers. Out: the status of the call. Holds: arrays stay alive during it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nbgraph_kernels as kernels

PROTOTYPE = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)
DTYPES = {
    "f4": np.float32, "f8": np.float64, "c8": np.complex64, "c16": np.complex128,
    "i4": np.int32, "i8": np.int64, "b1": np.bool_,
}  # fmt: skip


def data_address(array: np.ndarray[Any, Any]) -> int:
    return int(array.__array_interface__["data"][0])


def call_address(code: Any, *words: Any) -> int:
    """`code` is an address, or what has one and keeps its code alive."""
    table = np.array([data_address(w) if isinstance(w, np.ndarray) else w for w in words], np.int64)
    return int(PROTOTYPE(getattr(code, "address", code))(data_address(table)))


def call_kernel(name: str, dtype: str, *words: Any) -> int:
    kernel = kernels.kernel(name, dtype)
    return call_address(kernel.address, *map(kernels.address, kernel.externals), *words)


def draw(seed: int, dtype: str, *shape: int) -> np.ndarray[Any, Any]:
    """Numbers in [-2, 2), or small integers, or booleans: products of them do not overflow."""
    rng = np.random.default_rng(seed)
    if dtype == "b1":
        return rng.random(shape) < 0.3
    if dtype[0] == "i":
        return rng.integers(-9, 9, shape).astype(DTYPES[dtype])
    values = rng.uniform(-2, 2, shape)
    if dtype[0] == "c":
        values = values + 1j * rng.uniform(-2, 2, shape)
    return values.astype(DTYPES[dtype])


@pytest.fixture
def call() -> Callable[..., int]:
    """`call(name, dtype, *words)`: run a kernel; arrays stand for their addresses."""
    return call_kernel


@pytest.fixture
def call_at() -> Callable[..., int]:
    """`call_at(code, *words)`: run any function of the word-table kind; `code` is compiled code or an address."""
    return call_address


@pytest.fixture
def random() -> Callable[..., np.ndarray[Any, Any]]:
    """`random(seed, dtype, *shape)`."""
    return draw

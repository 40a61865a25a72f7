"""What the tests against NumPy share: samples of each dtype, and what it is to agree."""

from __future__ import annotations

from typing import Any

import numpy as np

import nbgraph as nbg
from nbgraph.engine import Engine

ENGINE = Engine(jit="never")
DTYPES = ["bool", "int32", "int64", "float32", "float64", "complex64", "complex128"]
REALS = DTYPES[:5]
INEXACT = DTYPES[3:]
Tensor = nbg.TracedTensor


def sample(dtype: str, shape: tuple[int, ...] = (2, 3), low: float = 1.0, seed: int = 0) -> Any:
    """Values from `low` up, so that roots and powers are real; some equal ones."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 4, shape) + low
    if dtype.startswith("complex"):
        x = x + 1j * rng.integers(-2, 3, shape)
    return np.asarray(x).astype(dtype)


def agree(got: Any, wanted: Any) -> None:
    """Equal values, dtype and shape."""
    assert isinstance(got, Tensor)
    value = got.eval(ENGINE)
    wanted = np.asarray(wanted)
    if wanted.dtype == np.int8:  # NumPy's powers of booleans
        wanted = wanted.astype(np.int64)
    assert (value.dtype, value.shape) == (wanted.dtype, wanted.shape)
    assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape)
    tolerance = 1e-5 if wanted.dtype in (np.float32, np.complex64) else 1e-13
    np.testing.assert_allclose(value, wanted, rtol=tolerance, atol=tolerance)


def both(name: str) -> tuple[Any, Any]:
    return getattr(nbg, name), getattr(np, name)

"""Copies of every layout, against NumPy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

from nbgraph_kernels import permute
from nbgraph_kernels.compile import compile_words

LAYOUTS = [
    lambda x: x(5),
    lambda x: x(5)[::-2],
    lambda x: x(3, 50).T,
    lambda x: x(50, 3).T,
    lambda x: x(37, 41).T,
    lambda x: x(17, 16, 33).transpose(2, 0, 1),
    lambda x: x(17, 5, 33).transpose(1, 0, 2),
    lambda x: x(6, 5, 4)[::-1, :, ::3].transpose(1, 2, 0),
    lambda x: x(*[2] * 11).transpose(*range(10, -1, -1)),
    lambda x: x(*[3] * 7).transpose(1, 2, 3, 4, 5, 6, 0),
    lambda x: x(*[2] * 11).transpose(0, 1, 2, 9, 3, 10, 4, 5, 6, 7, 8),
    lambda x: x(8, 3, 5, 4, 20).transpose(3, 2, 1, 4, 0),
    lambda x: x(1, 20, 1, 3).transpose(3, 2, 1, 0),
    lambda x: np.broadcast_to(x(4, 1, 3), (2, 4, 30, 3)).transpose(2, 3, 1, 0),
    lambda x: x(0, 3).T,
    lambda x: x(),
    lambda x: as_strided(x(100), (20, 30), (8 * 2, 8)) if x(1).itemsize == 8 else x(2, 2).T,
]


@pytest.mark.parametrize("dtype", ["f8", "f4", "c16", "b1"])
@pytest.mark.parametrize("as_if", ["small", "large"])
def test_permute_is_a_copy(call_at: Any, dtype: str, as_if: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for small results, and as for large ones, which are stored past the cache."""
    monkeypatch.setattr(permute, "MANY", 0 if as_if == "large" else permute.MANY)
    made = compile_words(permute.build("permute", dtype))

    def numbered(*shape: int) -> Any:
        return np.arange(int(np.prod(shape)) if shape else 1).reshape(shape).astype(dtype)

    for layout in LAYOUTS:
        x = layout(numbered)
        out = np.full(x.shape, True if dtype == "b1" else 77, dtype)
        guard = np.zeros(x.size + 2, dtype)
        to = guard[1:-1].reshape(x.shape)
        lines = np.empty(x.nbytes + 64, np.uint8)
        at_a_line = lines[-lines.ctypes.data % 64 :][: x.nbytes].view(dtype).reshape(x.shape)
        address = x.__array_interface__["data"][0]
        for target in (out, to, at_a_line):
            where = target.__array_interface__["data"][0]
            strides = [s // x.itemsize for s in x.strides]
            assert call_at(made, where, address, x.ndim, *x.shape, *strides) == 0
            np.testing.assert_array_equal(target, x)
        assert guard[0] == 0 and guard[-1] == 0

"""How much memory the kernels of `lapack_banded` need.

In:    sizes: ints, or anything that adds and multiplies with ints.
Out:   bytes.
Holds: as `sizes`.
"""

from __future__ import annotations

from typing import Any

from .sizes import ITEMSIZE


def banded_solve_workspace(dtype: str, rows: Any, n: Any, k: Any) -> Any:
    """Bytes for `banded_solve`: the column-major band with room for the factors, the right-hand sides, the pivots."""
    return n * (2 * rows + k) * ITEMSIZE[dtype] + n * 4


def banded_definite_solve_workspace(dtype: str, rows: Any, n: Any, k: Any) -> Any:
    """Bytes for `banded_definite_solve`: the column-major band, the right-hand sides."""
    return n * (rows + k) * ITEMSIZE[dtype]


def banded_cholesky_workspace(dtype: str, rows: Any, n: Any) -> Any:
    """Bytes for `banded_cholesky`: the column-major band."""
    return n * rows * ITEMSIZE[dtype]

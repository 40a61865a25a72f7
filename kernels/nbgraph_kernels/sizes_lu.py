"""How much memory the kernels of `lapack_lu` need.

In:    sizes of a matrix: ints, or anything that adds and multiplies with ints.
Out:   bytes.
Holds: as `sizes`.
"""

from __future__ import annotations

from typing import Any

from .sizes import matrix_bytes


def lu_factor_workspace(dtype: str, m: Any, n: Any) -> Any:
    """Bytes for `lu_factor`: the column-major matrix."""
    return matrix_bytes(dtype, m, n)


def inv_workspace(dtype: str, n: Any) -> Any:
    """Bytes for `inv`: the matrix, the identity, then the pivots."""
    return 2 * matrix_bytes(dtype, n, n) + n * 4


def regular_factors_workspace(dtype: str, n: Any) -> Any:
    """Bytes for `regular_factors`: the column-major matrix."""
    return lu_factor_workspace(dtype, n, n)

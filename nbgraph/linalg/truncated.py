"""Singular values and vectors up to a rank that the data decides.

In: a matrix. Out: an `SVDResult`. Holds: nothing is evaluated; the rank is a symbol until then, without a derivative.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nbgraph import api
from nbgraph.api import maximum, minimum, truncate
from nbgraph.dims import dim_min
from nbgraph.errors import BoundsError, ShapeError, named
from nbgraph.linalg.decompositions import SVDResult, svd
from nbgraph.linalg.stacks import matrix


@named
def svd_truncated(a: Any, rtol: float = 0.0, max_rank: int | None = None, *, broadening: float = 0.0) -> SVDResult:
    """U[m, r], S[r] and Vh[r, n] of the singular values above rtol times the largest, at most `max_rank` of them.

    r is at least 1 where a has a singular value at all, so that a product of factors keeps its shape. The data decides
    it when the factors are evaluated (`int(S.shape[0])` does that too), and it is inactive: derivatives are those of
    the kept part at a fixed rank. `broadening` is as in `svd`.
    Raises `ShapeError` for stacks of matrices, whose ranks may differ, `BoundsError` for max_rank < 1.

    >>> svd_truncated([[4.0, 0.0], [0.0, 1e-9]], rtol=1e-6).S.tolist()
    [4.0]
    """
    a = matrix("svd_truncated", a)
    if a.type.ndim != 2:
        raise ShapeError("not one matrix", operation="svd_truncated", position=0, got=a.type, wanted="two dimensions")
    if max_rank is not None and (not isinstance(max_rank, int | np.integer) or max_rank < 1):
        raise BoundsError(
            "no such rank", operation="svd_truncated", position="max_rank", got=repr(max_rank), wanted="an integer >= 1"
        )
    if not 0 <= rtol <= 1:
        raise BoundsError(
            "no such tolerance", operation="svd_truncated", position="rtol", got=rtol, wanted="0 <= rtol <= 1"
        )
    u, s, vh = svd(a, full_matrices=False, broadening=broadening)
    most = dim_min(*a.type.shape)
    if rtol == 0 or most == 0:
        rank: Any = most if max_rank is None else dim_min(most, max_rank)
    else:
        rank = minimum(maximum((s > rtol * api.max(s, initial=0.0)).sum(), 1), most)
        rank = rank if max_rank is None else minimum(rank, int(max_rank))
    return SVDResult(truncate(u, rank, 1), truncate(s, rank), truncate(vh, rank))

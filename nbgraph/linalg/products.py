"""Powers and chains of products, systems of tensors, products of reflections, diagonals.

In: anything array-like; matrices are the last two axes. Out: a `TracedTensor`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from nbgraph import api
from nbgraph.contraction import STAND_IN
from nbgraph.errors import BoundsError, DtypeError, ShapeError, named
from nbgraph.linalg.inverses import inv
from nbgraph.linalg.stacks import identity_like, lower, stacked, upper
from nbgraph.linalg.systems import solve
from nbgraph.promote import common, operand, to_inexact
from nbgraph.types import Shape, Size

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


@named
def matrix_power(a: Any, n: int) -> TracedTensor:
    """The n-th powers of a[..., m, m], by repeated squaring; negative ones of the inverse. n is structure.

    >>> matrix_power([[1, 1], [0, 1]], 5).tolist()
    [[1, 5], [0, 1]]
    """
    if not isinstance(n, int | np.integer):
        raise DtypeError("no such power", operation="matrix_power", position="n", got=repr(n), wanted="an integer")
    n, a = operator.index(n), operand(a)
    if a.type.ndim < 2 or a.type.shape[-1] != a.type.shape[-2]:
        told: Any = {"got": a.type.shape, "wanted": "square matrices"}
        raise ShapeError("not square", operation="matrix_power", position=0, **told)
    if n == 0:
        return identity_like(a)
    base = a if n > 0 else inv(a)
    n, factors = abs(n), []
    while n:
        if n & 1:
            factors.append(base)
        n >>= 1
        base = api.matmul(base, base) if n else base
    return reduce(api.matmul, factors)


@named
def multi_dot(arrays: Sequence[Any]) -> TracedTensor:
    """The product of two or more matrices in the order that takes the fewest operations; the first and the last may be
    vectors.

    Sizes that are not known yet count as equal. The order is structure.

    >>> multi_dot([[1, 2], [[1, 0], [0, 2]], [[1], [1]]]).tolist()
    [5]
    """
    if not isinstance(arrays, Sequence):
        told: Any = {"got": type(arrays).__name__, "wanted": "a sequence of matrices"}
        raise ShapeError("no factors", operation="multi_dot", position=0, **told)
    factors = common(*arrays)
    if len(factors) < 2:
        raise ShapeError("too few factors", operation="multi_dot", got=len(factors), wanted="two at least")
    last = len(factors) - 1
    for position, x in enumerate(factors):
        if x.type.ndim != 2 and not (x.type.ndim == 1 and position in (0, last)):
            wanted = "a matrix, or a vector at an end"
            told = {"position": position, "got": x.type.shape, "wanted": wanted}
            raise ShapeError("wrong rank", operation="multi_dot", **told)
    _check_chain(factors)
    is_row, is_column = factors[0].type.ndim == 1, factors[-1].type.ndim == 1
    if is_row:
        factors[0] = api.expand_dims(factors[0], 0)
    if is_column:
        factors[-1] = api.expand_dims(factors[-1], 1)
    sizes = [factors[0].type.shape[0], *(x.type.shape[1] for x in factors)]
    product = _product(factors, _splits(sizes), 0, last)
    ends = (*([0] if is_row else []), *([-1] if is_column else []))
    return api.squeeze(product, ends) if ends else product


def _check_chain(factors: Sequence[TracedTensor]) -> None:
    for position, (x, y) in enumerate(pairwise(factors), 1):
        n, m = x.type.shape[-1], y.type.shape[0]
        if isinstance(n, int) and isinstance(m, int) and n != m:
            told: Any = {"got": y.type.shape, "wanted": f"{n} rows"}
            raise ShapeError("sizes differ", operation="multi_dot", position=position, **told)


def _splits(sizes: Sequence[Size]) -> dict[tuple[int, int], int]:
    """Where to split each run of factors i..j, of which factor i has sizes[i] rows (the matrix chain)."""
    n = [d if isinstance(d, int) else STAND_IN for d in sizes]
    cost: dict[tuple[int, int], int] = {(i, i): 0 for i in range(len(n) - 1)}
    best: dict[tuple[int, int], int] = {}
    for length in range(1, len(n) - 1):
        for i in range(len(n) - 1 - length):
            j = i + length
            costs = [cost[i, k] + cost[k + 1, j] + n[i] * n[k + 1] * n[j + 1] for k in range(i, j)]
            cost[i, j] = min(costs)
            best[i, j] = i + costs.index(cost[i, j])
    return best


def _product(factors: Sequence[TracedTensor], best: dict[tuple[int, int], int], i: int, j: int) -> TracedTensor:
    if i == j:
        return factors[i]
    k = best[i, j]
    return api.matmul(_product(factors, best, i, k), _product(factors, best, k + 1, j))


@named
def tensorsolve(a: Any, b: Any, axes: Any = None) -> TracedTensor:
    """x with tensordot(a, x, x.ndim) = b. The axes of `a` in `axes` are moved to its end first.

    >>> tensorsolve([[2.0, 0.0], [0.0, 4.0]], [2.0, 2.0]).tolist()
    [1.0, 0.5]
    """
    a, b = (to_inexact(x) for x in common(a, b))
    if axes is not None:
        n = a.type.ndim
        if any(not -n <= k < n for k in axes):
            told: Any = {"got": axes, "wanted": f"-{n} <= axis < {n}"}
            raise BoundsError("axis is out of range", operation="tensorsolve", position="axes", **told)
        last = tuple(k % n for k in axes)
        a = api.transpose(a, (*(k for k in range(a.type.ndim) if k not in last), *last))
    rank = b.type.ndim
    shape = a.type.shape[rank:]
    _check_square("tensorsolve", a.type.shape, a.type.shape[:rank], shape)
    n = math.prod(shape)
    size = math.prod(b.type.shape)  # as in NumPy only their number has to fit
    if isinstance(n, int) and isinstance(size, int) and n != size:
        told = {"got": b.type.shape, "wanted": f"{n} elements"}
        raise ShapeError("sizes differ", operation="tensorsolve", position=1, **told)
    return api.reshape(solve(api.reshape(a, (n, n)), api.ravel(b)), shape)


@named
def tensorinv(a: Any, ind: int = 2) -> TracedTensor:
    """x with tensordot(x, tensordot(a, b, b.ndim), ind) = b: the inverse of a as a matrix from its last axes to its
    first `ind`.

    >>> tensorinv([[[2.0, 0.0]], [[0.0, 4.0]]], ind=1).shape
    (1, 2, 2)
    """
    a = to_inexact(operand(a))
    if ind <= 0:
        raise ShapeError("no rows", operation="tensorinv", position="ind", got=ind, wanted="a positive number")
    rows, columns = a.type.shape[:ind], a.type.shape[ind:]
    _check_square("tensorinv", a.type.shape, rows, columns)
    n = math.prod(columns)
    return api.reshape(inv(api.reshape(a, (n, n))), (*columns, *rows))


def _check_square(name: str, shape: Shape, rows: Shape, columns: Shape) -> None:
    if math.prod(rows) != math.prod(columns):
        wanted = "as many elements in its first axes as in its last"
        raise ShapeError("not square", operation=name, position=0, got=shape, wanted=wanted)


@named
def householder_product(a: Any, tau: Any) -> TracedTensor:
    """The first n columns of H_1 H_2 ... H_k, H_i = 1 - tau_i v_i v_i^H, for a[..., m, n] and tau[..., k].

    v_i is 0 above row i, 1 there, and column i of `a` below: what LAPACK's xGEQRF gives. m >= n >= k.

    >>> householder_product([[1.0], [1.0]], [1.0]).tolist()
    [[0.0], [-1.0]]
    """
    a, tau = (to_inexact(x) for x in common(a, tau))
    _check_reflections(a.type.shape, tau.type.shape)
    a, tau = stacked(a, tau, ranks=(2, 1))
    n, k = a.type.shape[-1], tau.type.shape[-1]
    v = a if k == n else a[..., :, :k]
    v = lower(v) + identity_like(v)
    adjoint = api.conj(api.matrix_transpose(v))
    # The product is 1 - v t v^H, with t^-1 = diag(1/tau) + the strict upper triangle of v^H v (Joffrain, Low,
    # Quintana-Orti, van de Geijn, Van Zee, ACM Trans. Math. Softw. 32, 169 (2006)); here without dividing by tau.
    inner = api.matmul(adjoint, v)
    strict = api.where(identity_like(inner) != 0, 0, upper(inner))
    rows = api.expand_dims(tau, -1)
    unit = identity_like(inner) + rows * strict
    t = solve(unit, rows * adjoint[..., :, :n])
    return api.subtract(identity_like(a), api.matmul(v, t))


def _check_reflections(a: Shape, tau: Shape) -> None:
    if len(a) < 2 or len(tau) < 1:
        wanted = "[..., m, n] and [..., k]"
        position = 0 if len(a) < 2 else 1
        told: Any = {"position": position, "got": (a, tau), "wanted": wanted}
        raise ShapeError("wrong rank", operation="householder_product", **told)
    (m, n), k = a[-2:], tau[-1]
    for position, (more, less) in enumerate(((m, n), (n, k))):
        if isinstance(more, int) and isinstance(less, int) and more < less:
            wanted = "m >= n >= k"
            told = {"position": position, "got": (m, n, k), "wanted": wanted}
            raise ShapeError("sizes do not fit", operation="householder_product", **told)


# -- diagonals --------------------------------------------------------------------------------------------------------


@named
def diagonal(x: Any, /, *, offset: int = 0) -> TracedTensor:
    """The diagonals of the matrices x[..., m, n]; those above have a positive `offset`.

    >>> diagonal([[[1, 2], [3, 4]]]).tolist()
    [[1, 4]]
    """
    return api.diagonal(x, offset, -2, -1)


@named
def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> TracedTensor:
    """The sums of the diagonals of the matrices x[..., m, n], in `dtype`.

    >>> trace([[[1, 2], [3, 4]]]).tolist()
    [5]
    """
    return api.trace(x, offset, -2, -1, dtype)

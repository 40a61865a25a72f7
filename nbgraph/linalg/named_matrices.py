"""Matrices that have a name and no more than a size or a vector, with SciPy's names.

In: sizes, which are ints; vectors. Out: a `TracedTensor`, differentiable by the entries of a vector.
"""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from nbgraph import api
from nbgraph.errors import ShapeError, named
from nbgraph.linalg.special_matrices import pascal
from nbgraph.linalg.stacks import vector
from nbgraph.promote import common, operand

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor

_EXACT = ", or exact=False"


def _order(name: str, n: Any, least: int, most: int | None = None, otherwise: str = "") -> int:
    """A size as an int; above `most` entries are too large, if not `otherwise`."""
    size = operator.index(n)
    if size < least or (most is not None and size > most):
        wanted = f"{least} or more" if most is None else f"{least} to {most}{otherwise}"
        raise ShapeError("no such size", operation=name, position=0, got=size, wanted=wanted)
    return size


@named
def helmert(n: int, full: bool = False) -> TracedTensor:
    """The orthogonal matrix of Helmert: rows that compare each number with the mean of those before it, and with `full`
    a first row of the mean.

    >>> helmert(2).eval().round(3).tolist()
    [[0.707, -0.707]]
    """
    size = _order("helmert", n, 1)
    k = np.arange(size, dtype=float)
    made = np.tril(np.ones((size, size)), -1) - np.diag(k)
    made[0] = 1.0
    scale = np.sqrt(np.where(k > 0, k * (k + 1), size))
    return operand((made / scale[:, None])[0 if full else 1 :])


@named
def invhilbert(n: int, exact: bool = False) -> TracedTensor:
    """The inverse of `hilbert(n)`, whose entries are integers: float64, for n up to 200; with `exact` int64, up to 14.

    >>> invhilbert(2).tolist()
    [[4.0, -6.0], [-6.0, 12.0]]
    """
    size = _order("invhilbert", n, 0, 14 if exact else 200, _EXACT if exact else "")

    def entry(i: int, j: int) -> int:
        # Choi, Tricks or treats with the Hilbert matrix, Amer. Math. Monthly 90, 301 (1983).
        product = math.comb(size + i, size - j - 1) * math.comb(size + j, size - i - 1) * math.comb(i + j, i) ** 2
        return (1 - 2 * ((i + j) % 2)) * (i + j + 1) * product

    made = [[entry(i, j) for j in range(size)] for i in range(size)]
    return operand(np.array(made, np.int64 if exact else np.float64).reshape(size, size))


@named
def invpascal(n: int, kind: str = "symmetric", exact: bool = True) -> TracedTensor:
    """The inverse of `pascal(n, kind)`: int64, for n up to 28, or with `exact` false float64, for n up to 500.

    >>> invpascal(2).tolist()
    [[2, -1], [-1, 1]]
    """
    size = _order("invpascal", n, 0, 28 if exact else 500, _EXACT if exact else "")
    if kind != "symmetric":
        k = np.arange(size)
        signed: TracedTensor = pascal(n, kind, exact) * operand((-1) ** (k[:, None] + k))
        return signed
    lower = np.array([[math.comb(i, j) for j in range(size)] for i in range(size)], np.int64 if exact else np.float64)
    k, lower = np.arange(size), lower.reshape(size, size)
    return operand((-1) ** (k[:, None] + k) * (lower.T @ lower))


@named
def leslie(f: Any, s: Any) -> TracedTensor:
    """The matrix of a population in classes of age: fecundities f[n] in the first row, survivals s[n - 1] below the
    diagonal.

    >>> leslie([1.0, 2.0], [0.5]).tolist()
    [[1.0, 2.0], [0.5, 0.0]]
    """
    first, below = common(vector("leslie", f), vector("leslie", s, 1))
    if len(first) < 2 or len(below) != len(first) - 1:
        got = f"{first.type.shape} and {below.type.shape}"
        raise ShapeError("sizes do not fit", operation="leslie", got=got, wanted="(n,) and (n - 1,), n > 1")
    survivors = api.pad(api.diag(below), ((0, 0), (0, 1)))
    return api.concatenate([api.expand_dims(first, 0), survivors])


@named
def fiedler(a: Any) -> TracedTensor:
    """|a_i - a_j|.

    >>> fiedler([1.0, 4.0]).tolist()
    [[0.0, 3.0], [3.0, 0.0]]
    """
    x = vector("fiedler", a)
    return api.abs(api.expand_dims(x, 1) - x)


@named
def fiedler_companion(a: Any) -> TracedTensor:
    """A companion matrix with five diagonals, of a polynomial, highest power first.

    Source: Fiedler, A note on companion matrices, Linear Algebra and its Applications 372, 325 (2003).

    >>> fiedler_companion([1.0, -3.0, 2.0]).tolist()
    [[3.0, -2.0], [1.0, 0.0]]
    """
    c = vector("fiedler_companion", a)
    n = len(c) - 1
    if n < 1:
        wanted = "two coefficients or more"
        raise ShapeError("no zeros", operation="fiedler_companion", position=0, got=c.type.shape, wanted=wanted)
    # In even rows coefficients, on both sides of the diagonal, and a one beyond them; in odd rows a one before it.
    rows, odd = np.arange(0, n, 2), np.arange(3, n, 2)
    places, ones = np.zeros((n, n + 2), int), np.zeros((n, n + 2))
    places[0, 0], places[rows, rows + 1], places[rows[1:], rows[1:] - 1] = 1, rows + 2, rows[1:] + 1
    ones[rows, rows + 2], ones[1:2, 0], ones[odd, odd - 2] = 1, 1, 1
    places, ones = places[:, :n], ones[:, :n]
    c = -c / c[0]
    return api.where(places > 0, api.take(c, places), operand(ones))

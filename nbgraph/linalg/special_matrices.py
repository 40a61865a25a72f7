"""Matrices with a structure, and equations and functions that come down to others, with SciPy's names.

In: anything array-like; sizes are ints. Out: a `TracedTensor`, differentiable by the entries.
"""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from nbgraph import api
from nbgraph.errors import ShapeError, named
from nbgraph.linalg.functions import expm, solve_sylvester
from nbgraph.linalg.stacks import identity_like, square, vector
from nbgraph.linalg.systems import solve
from nbgraph.promote import common, operand

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


@named
def block_diag(*arrs: Any) -> TracedTensor:
    """Matrices (vectors are rows) along the diagonal, zeros elsewhere.

    >>> block_diag([[1, 2]], [[3]]).tolist()
    [[1, 2, 0], [0, 0, 3]]
    """
    blocks = [api.atleast_2d(a) for a in common(*(arrs or ([[]],)))]
    if any(b.type.ndim != 2 for b in blocks):
        raise ShapeError("no matrices", operation="block_diag", got=[b.type.shape for b in blocks], wanted="matrices")
    width: Any = sum(b.type.shape[1] for b in blocks)
    rows, before = [], 0
    for b in blocks:
        own: Any = b.type.shape[1]
        rows.append(api.pad(b, ((0, 0), (before, width - before - own))))
        before += own
    return api.concatenate(rows)


@named
def toeplitz(c: Any, r: Any = None) -> TracedTensor:
    """The matrix of constant diagonals with first column c and first row r, conj(c) by default; r[0] is not used.

    >>> toeplitz([1, 2, 3]).tolist()
    [[1, 2, 3], [2, 1, 2], [3, 2, 1]]
    """
    column = vector("toeplitz", c)
    row = api.conj(column) if r is None else vector("toeplitz", r, 1)
    column, row = common(column, row)
    n, m = len(column), len(row)
    place = np.arange(n)[:, None] - np.arange(m)
    return api.take(api.concatenate([api.flip(row[1:]), column]), place + (m - 1))


@named
def solve_toeplitz(c_or_cr: Any, b: Any, check_finite: bool = True) -> TracedTensor:
    """x with toeplitz(c, r) @ x = b, for c or the pair (c, r), and b[n] or b[n, k]; by LU factors of the matrix, which
    is made. `check_finite` is taken for SciPy's sake.

    >>> solve_toeplitz([2.0, 0.0], [2.0, 4.0]).tolist()
    [1.0, 2.0]
    """
    c, r = c_or_cr if isinstance(c_or_cr, tuple) else (c_or_cr, None)
    return solve(toeplitz(c, r), b)


@named
def matmul_toeplitz(c_or_cr: Any, x: Any, check_finite: bool = False, workers: Any = None) -> TracedTensor:
    """toeplitz(c, r) @ x, for c or the pair (c, r).

    >>> matmul_toeplitz([2.0, 0.0], [2.0, 4.0]).tolist()
    [4.0, 8.0]
    """
    c, r = c_or_cr if isinstance(c_or_cr, tuple) else (c_or_cr, None)
    return api.matmul(toeplitz(c, r), x)


@named
def hankel(c: Any, r: Any = None) -> TracedTensor:
    """The matrix of constant anti-diagonals with first column c and last row r, zeros by default; r[0] is not used.

    >>> hankel([1, 2]).tolist()
    [[1, 2], [2, 0]]
    """
    column = vector("hankel", c)
    row = api.zeros_like(column) if r is None else vector("hankel", r, 1)
    column, row = common(column, row)
    return api.take(api.concatenate([column, row[1:]]), np.arange(len(column))[:, None] + np.arange(len(row)))


@named
def circulant(c: Any) -> TracedTensor:
    """The matrix whose columns are c, shifted round by one more each.

    >>> circulant([1, 2, 3]).tolist()
    [[1, 3, 2], [2, 1, 3], [3, 2, 1]]
    """
    v = vector("circulant", c)
    n = len(v)
    return api.take(v, (np.arange(n)[:, None] - np.arange(n)) % n)


@named
def companion(a: Any) -> TracedTensor:
    """The companion matrix of a polynomial, highest power first: its eigenvalues are the zeros.

    >>> companion([1.0, -3.0, 2.0]).tolist()
    [[3.0, -2.0], [1.0, 0.0]]
    """
    c = vector("companion", a)
    n = len(c) - 1
    if n < 1:
        raise ShapeError(
            "no zeros", operation="companion", position=0, got=c.type.shape, wanted="two coefficients or more"
        )
    first = api.reshape(-c[1:] / c[0], (1, n))
    return api.concatenate([first, api.eye(n - 1, n, dtype=first.type.dtype)])


@named
def convolution_matrix(a: Any, n: int, mode: str = "full") -> TracedTensor:
    """The matrix A with A @ v = convolve(a, v, mode) for vectors v of n elements.

    >>> convolution_matrix([1, 2], 2).tolist()
    [[1, 0], [2, 1], [0, 2]]
    """
    v, count = vector("convolution_matrix", a), operator.index(n)
    m = len(v)
    bounds = {"full": (0, m + count - 1), "same": ((min(m, count) - 1) // 2, max(m, count))}
    bounds["valid"] = (min(m, count) - 1, max(m, count) - min(m, count) + 1)
    if mode not in bounds:
        wanted = "'full', 'same' or 'valid'"
        raise ShapeError("unknown mode", operation="convolution_matrix", got=repr(mode), wanted=wanted)
    start, size = bounds[mode]
    place = np.arange(start, start + size)[:, None] - np.arange(count)
    inside = (place >= 0) & (place < m)
    return api.where(inside, api.take(v, np.where(inside, place, 0)), 0)


@named
def dft(n: int, scale: Any = None) -> TracedTensor:
    """The matrix of the Fourier transform of n points; `scale`: None, "sqrtn" or "n".

    >>> dft(1).tolist()
    [[(1+0j)]]
    """
    if scale not in (None, "sqrtn", "n"):
        raise ShapeError("unknown scale", operation="dft", got=repr(scale), wanted="None, 'sqrtn' or 'n'")
    k = np.arange(operator.index(n))
    made = np.exp(-2j * np.pi * np.outer(k, k) / n)
    return operand(made / {None: 1.0, "sqrtn": np.sqrt(n), "n": n}[scale])


@named
def hilbert(n: int) -> TracedTensor:
    """1 / (i + j + 1).

    >>> hilbert(2).tolist()[0]
    [1.0, 0.5]
    """
    k = np.arange(operator.index(n))
    return operand(1.0 / (k[:, None] + k + 1.0))


@named
def pascal(n: int, kind: str = "symmetric", exact: bool = True) -> TracedTensor:
    """The binomial coefficients binom(i + j, i); kind "lower" has binom(i, j), "upper" its transpose.

    int64, for n up to 34; with `exact` false float64.

    >>> pascal(3).tolist()
    [[1, 1, 1], [1, 2, 3], [1, 3, 6]]
    """
    size = operator.index(n)
    if kind not in ("symmetric", "lower", "upper"):
        told: Any = {"got": repr(kind), "wanted": "'symmetric', 'lower' or 'upper'"}
        raise ShapeError("unknown kind", operation="pascal", position="kind", **told)
    if size < 0 or (exact and size > 34):
        raise ShapeError(
            "does not fit", operation="pascal", position=0, got=size, wanted="0, 1, ... 34, or exact=False"
        )
    made = [[math.comb(i + j if kind == "symmetric" else i, j) for j in range(size)] for i in range(size)]
    entries = np.array(made, np.int64 if exact else np.float64).reshape(size, size)
    return operand(entries.T.copy() if kind == "upper" else entries)


@named
def hadamard(n: int, dtype: Any = int) -> TracedTensor:
    """The Hadamard matrix of Sylvester's construction; n is a power of two.

    >>> hadamard(2).tolist()
    [[1, 1], [1, -1]]
    """
    n = operator.index(n)
    if n < 1 or n & (n - 1):
        raise ShapeError("no power of two", operation="hadamard", position=0, got=n, wanted="1, 2, 4, ...")
    made, done = np.empty((n, n), int), 1
    made[0, 0] = 1
    while done < n:
        block = made[:done, :done]
        made[:done, done : 2 * done], made[done : 2 * done, :done] = block, block
        made[done : 2 * done, done : 2 * done] = -block
        done *= 2
    return api.asarray(made, dtype)


@named
def khatri_rao(a: Any, b: Any) -> TracedTensor:
    """The Kronecker products of the columns of a[m, k] with those of b[n, k]: [m n, k].

    >>> khatri_rao([[1, 2]], [[3, 4], [5, 6]]).tolist()
    [[3, 8], [5, 12]]
    """
    x, y = common(a, b)
    if x.type.ndim != 2 or y.type.ndim != 2:
        got = f"{x.type.shape} and {y.type.shape}"
        raise ShapeError("no matrices", operation="khatri_rao", got=got, wanted="matrices of as many columns")
    made = api.einsum("ik,jk->ijk", x, y)
    return api.reshape(made, (-1, made.type.shape[-1]))


# -- what comes down to others ----------------------------------------------------------------------------------------


@named
def sinm(A: Any) -> TracedTensor:
    """The sine of matrices A[..., n, n].

    >>> sinm([[0.0]]).tolist()
    [[0.0]]
    """
    return _of_exponential("sinm", A, -0.5j, -1.0)


@named
def cosm(A: Any) -> TracedTensor:
    """The cosine of matrices A[..., n, n].

    >>> cosm([[0.0]]).tolist()
    [[1.0]]
    """
    return _of_exponential("cosm", A, 0.5, 1.0)


@named
def tanm(A: Any) -> TracedTensor:
    """The tangent of matrices A[..., n, n].

    >>> tanm([[0.0]]).tolist()
    [[0.0]]
    """
    return solve(cosm(A), sinm(A))


@named
def sinhm(A: Any) -> TracedTensor:
    """The hyperbolic sine of matrices A[..., n, n].

    >>> sinhm([[0.0]]).tolist()
    [[0.0]]
    """
    a = square("sinhm", A)
    made: TracedTensor = 0.5 * (expm(a) - expm(-a))
    return made


@named
def coshm(A: Any) -> TracedTensor:
    """The hyperbolic cosine of matrices A[..., n, n].

    >>> coshm([[0.0]]).tolist()
    [[1.0]]
    """
    a = square("coshm", A)
    made: TracedTensor = 0.5 * (expm(a) + expm(-a))
    return made


@named
def tanhm(A: Any) -> TracedTensor:
    """The hyperbolic tangent of matrices A[..., n, n].

    >>> tanhm([[0.0]]).tolist()
    [[0.0]]
    """
    return solve(coshm(A), sinhm(A))


def _of_exponential(name: str, A: Any, factor: complex, sign: float) -> TracedTensor:
    """factor (exp(i A) + sign exp(-i A)); real of real matrices."""
    a = square(name, A)
    made: TracedTensor = factor * (expm(1j * a) + sign * expm(-1j * a))
    return made if a.type.is_complex else api.real(made)


@named
def solve_continuous_lyapunov(a: Any, q: Any) -> TracedTensor:
    """x with a @ x + x @ a^H = q.

    >>> solve_continuous_lyapunov([[1.0]], [[4.0]]).tolist()
    [[2.0]]
    """
    return solve_sylvester(a, api.conj(api.matrix_transpose(a)), q)


@named
def solve_discrete_lyapunov(a: Any, q: Any) -> TracedTensor:
    """x with a @ x @ a^H - x + q = 0, by a system of n^2 equations.

    >>> solve_discrete_lyapunov([[0.5]], [[3.0]]).tolist()
    [[4.0]]
    """
    x, y = common(square("solve_discrete_lyapunov", a), square("solve_discrete_lyapunov", q, 1))
    if x.type.ndim != 2 or y.type.shape != x.type.shape:
        got, wanted = f"{x.type.shape} and {y.type.shape}", "two square matrices of one size"
        raise ShapeError("sizes differ", operation="solve_discrete_lyapunov", got=got, wanted=wanted)
    left = api.kron(x, api.conj(x))
    return api.reshape(solve(identity_like(left) - left, api.ravel(y)), y.type.shape)


@named
def issymmetric(a: Any, atol: Any = None, rtol: Any = None) -> TracedTensor:
    """Whether matrices equal their transposes (within tolerances, if they are given): one boolean, not evaluated.

    >>> issymmetric([[1, 2], [2, 1]]).item()
    True
    """
    x = square("issymmetric", a)
    return _same(x, api.matrix_transpose(x), atol, rtol)


@named
def ishermitian(a: Any, atol: Any = None, rtol: Any = None) -> TracedTensor:
    """Whether matrices equal their conjugate transposes (within tolerances, if given): one boolean, not evaluated.

    >>> ishermitian([[1, 2j], [-2j, 1]]).item()
    True
    """
    x = square("ishermitian", a)
    return _same(x, api.conj(api.matrix_transpose(x)), atol, rtol)


def _same(x: TracedTensor, y: TracedTensor, atol: Any, rtol: Any) -> TracedTensor:
    if atol is None and rtol is None:
        return api.all(api.equal(x, y))
    return api.allclose(x, y, 0.0 if rtol is None else rtol, 0.0 if atol is None else atol)

"""Numba, forward and backward written by hand: what the machine can do, the limit.

With s = |y| and x' = y / s:  ybar = (xbar - x' (x' . xbar)) / s;  y = A x gives Abar += ybar x^T and xbar = A^T ybar.
Small matrices are plain loops; from `BLAS_FROM` on BLAS does the products, and all of Abar is one product at the end.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from bench.peers import missing

NOTE = "written by hand, gradient too: the limit"
BLAS_FROM = 24


def available() -> str | None:
    return missing("numba", "scipy")  # numba takes BLAS from scipy


def make(n: int, K: int, data: Any) -> Any:
    power = _compiled(n >= BLAS_FROM)
    return lambda: power(data.a, data.x, K, data.tol)


@cache
def _compiled(blas: bool) -> Any:
    import numba
    import numpy as np

    njit = numba.njit(fastmath=True)
    times, transposed_times, transposed_product = map(njit, _blas() if blas else _loops())

    @njit
    def forward(a, xs, norms, tol):  # type: ignore[no-untyped-def]
        """Fills `xs` and `norms`; the number of steps taken."""
        n, y = a.shape[0], np.empty(a.shape[0])
        for k in range(norms.size):
            x, new = xs[k], xs[k + 1]
            times(a, x, y)
            square = moved = 0.0
            for i in range(n):
                square += y[i] * y[i]
            norms[k] = np.sqrt(square)
            for i in range(n):
                new[i] = y[i] / norms[k]
                moved += (new[i] - x[i]) ** 2
            if np.sqrt(moved) < tol:
                return k + 1
        return norms.size

    @njit
    def power(a, x0, steps, tol):  # type: ignore[no-untyped-def]
        n = x0.size
        xs, ybars, norms = np.empty((steps + 1, n)), np.empty((steps + 1, n)), np.empty(steps)
        for i in range(n):
            xs[0, i] = x0[i]
        done = forward(a, xs, norms, tol)
        y, xbar = np.empty(n), np.empty(n)
        times(a, xs[done], y)
        transposed_times(a, xs[done], xbar)
        value = 0.0
        for i in range(n):
            value += xs[done, i] * y[i]
            xbar[i] += y[i]
            ybars[done, i] = xs[done, i]
        for k in range(done - 1, -1, -1):
            new, ybar = xs[k + 1], ybars[k]
            along = 0.0
            for i in range(n):
                along += new[i] * xbar[i]
            for i in range(n):
                ybar[i] = (xbar[i] - new[i] * along) / norms[k]
            transposed_times(a, ybar, xbar)
        return value, transposed_product(ybars[: done + 1], xs[: done + 1])

    return power


def _loops() -> tuple[Any, Any, Any]:
    """y = a x, y = a^T x and a^T b as plain loops."""
    import numpy as np

    def times(a, x, y):  # type: ignore[no-untyped-def]
        for i in range(x.size):
            total = 0.0
            for j in range(x.size):
                total += a[i, j] * x[j]
            y[i] = total

    def transposed_times(a, x, y):  # type: ignore[no-untyped-def]
        for j in range(x.size):
            y[j] = 0.0
        for i in range(x.size):
            for j in range(x.size):
                y[j] += a[i, j] * x[i]

    def transposed_product(a, b):  # type: ignore[no-untyped-def]
        out = np.zeros((a.shape[1], b.shape[1]))
        for k in range(a.shape[0]):
            for i in range(a.shape[1]):
                for j in range(b.shape[1]):
                    out[i, j] += a[k, i] * b[k, j]
        return out

    return times, transposed_times, transposed_product


def _blas() -> tuple[Any, Any, Any]:
    """The same by BLAS."""
    import numpy as np

    def times(a, x, y):  # type: ignore[no-untyped-def]
        np.dot(a, x, y)

    def transposed_times(a, x, y):  # type: ignore[no-untyped-def]
        np.dot(a.T, x, y)

    def transposed_product(a, b):  # type: ignore[no-untyped-def]
        return np.dot(a.T, b)

    return times, transposed_times, transposed_product

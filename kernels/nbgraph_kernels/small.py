"""Products of real numbers too small for `panels`: vectors, a few rows or columns. C = A B, or C += A B.

In:    typed pointers; `extents` (m, n, k); the (row, column) strides of c, a and b, in elements; `keep`, 1 if c's old
       values are to be added to.
Out:   c.
Holds: a helper of `gemm`. Any strides will do, k may be 0. Columns of c and a with unit stride are made eight
       elements at once, which LLVM does not find by itself where sizes are known only at run time; else each element is
       one sum, in any order, as BLAS has it.
"""

from __future__ import annotations

from typing import Any

from .language import helper
from .products import SCALARS

_CONTRACT = {"contract"}


def small(dtype: str) -> Any:
    """Make `small(c, a, b, extents, c_strides, a_strides, b_strides, keep)` over typed pointers."""
    eight, dot = _eight(dtype), _dot(dtype)

    def run(c: Any, a: Any, b: Any, extents: Any, of_c: Any, of_a: Any, of_b: Any, keep: Any) -> None:
        (m, n, k), (ci, cj), (ai, ap), (bp, bj) = extents, of_c, of_a, of_b
        done = m - m % 8 if ci == 1 and ai == 1 else 0
        for j in range(n):
            for i in range(0, done, 8):
                eight(c, i + j * cj, a, i, ap, b, j * bj, bp, k, keep)
        if done == m:
            return
        for j in range(n):
            if ap == 1 and bp == 1:  # known while compiling, so that LLVM vectorises
                for i in range(done, m):
                    dot(c, i * ci + j * cj, a, i * ai, 1, b, j * bj, 1, k, keep)
            else:
                for i in range(done, m):
                    dot(c, i * ci + j * cj, a, i * ai, ap, b, j * bj, bp, k, keep)

    return helper(run, _CONTRACT, apart=True)


def _eight(dtype: str) -> Any:
    zero = SCALARS[dtype](0)

    def run(
        c: Any, at: Any, a: Any, i: Any, ap: Any, b: Any, j: Any, bp: Any, k: Any, keep: Any
    ) -> None:  # fmt: skip
        t0 = t1 = t2 = t3 = t4 = t5 = t6 = t7 = zero
        if keep != 0:
            t0, t1, t2, t3 = c[at], c[at + 1], c[at + 2], c[at + 3]
            t4, t5, t6, t7 = c[at + 4], c[at + 5], c[at + 6], c[at + 7]
        for _ in range(k):
            y = b[j]
            t0, t1, t2, t3 = t0 + a[i] * y, t1 + a[i + 1] * y, t2 + a[i + 2] * y, t3 + a[i + 3] * y
            t4, t5, t6, t7 = t4 + a[i + 4] * y, t5 + a[i + 5] * y, t6 + a[i + 6] * y, t7 + a[i + 7] * y
            i += ap
            j += bp
        c[at], c[at + 1], c[at + 2], c[at + 3] = t0, t1, t2, t3
        c[at + 4], c[at + 5], c[at + 6], c[at + 7] = t4, t5, t6, t7

    return helper(run, _CONTRACT)


def _dot(dtype: str) -> Any:
    zero = SCALARS[dtype](0)

    def run(
        c: Any, at: Any, a: Any, i: Any, ap: Any, b: Any, j: Any, bp: Any, k: Any, keep: Any
    ) -> None:  # fmt: skip
        total = zero
        for p in range(k):
            total += a[i + p * ap] * b[j + p * bp]
        c[at] = c[at] + total if keep != 0 else total

    return helper(run, _CONTRACT | {"reassoc"})

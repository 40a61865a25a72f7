"""Products of small matrices of real numbers, by blocks that stay in registers: C = A B, or C += A B.

In:    typed pointers; `extents` (m, n, k); the (row, column) strides of c, a and b, in elements; `keep`, 1 if c's old
       values are to be added to.
Out:   c.
Holds: a helper of `gemm`. Any strides will do, k may be 0. Columns of c and a with unit stride are made eight
       elements of four columns at once, which LLVM does not find by itself where sizes are known only at run time (a
       whose rows have unit stride is copied by columns first); else each element is one sum, in any order, as BLAS
       has it.
"""

from __future__ import annotations

from typing import Any

from .language import helper
from .products import SCALARS
from .words import ELEMENTS, POINTERS, stack

#: Elements of a matrix that is copied at most.
PACKED = 1024

_CONTRACT = {"contract"}


def small(dtype: str) -> Any:
    """Make `small(c, a, b, extents, c_strides, a_strides, b_strides, keep)` over typed pointers."""
    four, eight, dot = _four(dtype), _eight(dtype), _dot(dtype)
    reserve, elements = stack(PACKED * ELEMENTS[dtype].bitwidth // 8), POINTERS[dtype]

    def blocks(c: Any, a: Any, b: Any, extents: Any, cj: Any, ap: Any, of_b: Any, keep: Any) -> Any:
        """The rows that come by eights, where columns of c and a have unit stride; how many they are."""
        (m, n, k), (bp, bj) = extents, of_b
        whole = m - m % 8
        for j in range(0, n - 3, 4):
            for i in range(0, whole, 8):
                four(c, i + j * cj, cj, a, i, ap, b, j * bj, bp, bj, k, keep)
        for j in range(n - n % 4, n):
            for i in range(0, whole, 8):
                eight(c, i + j * cj, a, i, ap, b, j * bj, bp, k, keep)
        return whole

    by_blocks = helper(blocks, _CONTRACT)

    def run(c: Any, a: Any, b: Any, extents: Any, of_c: Any, of_a: Any, of_b: Any, keep: Any) -> None:
        (m, n, k), (ci, cj), (ai, ap), (bp, bj) = extents, of_c, of_a, of_b
        done = 0
        if ci == 1 and m >= 8:
            if ai == 1:
                done = by_blocks(c, a, b, extents, cj, ap, of_b, keep)
            elif n >= 4 and m * k <= PACKED:
                packed = elements(reserve())
                for p in range(k):
                    for i in range(m):
                        packed[i + p * m] = a[i * ai + p * ap]
                done = by_blocks(c, packed, b, extents, cj, m, of_b, keep)
        if done == m:
            return
        for j in range(n):
            if ap == 1 and bp == 1:  # known while compiling, so that LLVM vectorises
                for i in range(done, m):
                    dot(c, i * ci + j * cj, a, i * ai, 1, b, j * bj, 1, k, keep)
            else:
                for i in range(done, m):
                    dot(c, i * ci + j * cj, a, i * ai, ap, b, j * bj, bp, k, keep)

    return helper(run, _CONTRACT)


def _four(dtype: str) -> Any:
    """Eight rows of four columns: sixteen registers' worth of sums at most, and none waits for another."""
    zero = SCALARS[dtype](0)

    def run(
        c: Any, at: Any, cj: Any, a: Any, i: Any, ap: Any, b: Any, j: Any, bp: Any, bj: Any, k: Any, keep: Any
    ) -> None:  # fmt: skip
        r0 = r1 = r2 = r3 = r4 = r5 = r6 = r7 = zero
        s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = zero
        t0 = t1 = t2 = t3 = t4 = t5 = t6 = t7 = zero
        u0 = u1 = u2 = u3 = u4 = u5 = u6 = u7 = zero
        at1, at2, at3 = at + cj, at + 2 * cj, at + 3 * cj
        if keep != 0:
            r0, r1, r2, r3 = c[at], c[at + 1], c[at + 2], c[at + 3]
            r4, r5, r6, r7 = c[at + 4], c[at + 5], c[at + 6], c[at + 7]
            s0, s1, s2, s3 = c[at1], c[at1 + 1], c[at1 + 2], c[at1 + 3]
            s4, s5, s6, s7 = c[at1 + 4], c[at1 + 5], c[at1 + 6], c[at1 + 7]
            t0, t1, t2, t3 = c[at2], c[at2 + 1], c[at2 + 2], c[at2 + 3]
            t4, t5, t6, t7 = c[at2 + 4], c[at2 + 5], c[at2 + 6], c[at2 + 7]
            u0, u1, u2, u3 = c[at3], c[at3 + 1], c[at3 + 2], c[at3 + 3]
            u4, u5, u6, u7 = c[at3 + 4], c[at3 + 5], c[at3 + 6], c[at3 + 7]
        for _ in range(k):
            x0, x1, x2, x3 = a[i], a[i + 1], a[i + 2], a[i + 3]
            x4, x5, x6, x7 = a[i + 4], a[i + 5], a[i + 6], a[i + 7]
            y0, y1, y2, y3 = b[j], b[j + bj], b[j + 2 * bj], b[j + 3 * bj]
            r0, r1, r2, r3 = r0 + x0 * y0, r1 + x1 * y0, r2 + x2 * y0, r3 + x3 * y0
            r4, r5, r6, r7 = r4 + x4 * y0, r5 + x5 * y0, r6 + x6 * y0, r7 + x7 * y0
            s0, s1, s2, s3 = s0 + x0 * y1, s1 + x1 * y1, s2 + x2 * y1, s3 + x3 * y1
            s4, s5, s6, s7 = s4 + x4 * y1, s5 + x5 * y1, s6 + x6 * y1, s7 + x7 * y1
            t0, t1, t2, t3 = t0 + x0 * y2, t1 + x1 * y2, t2 + x2 * y2, t3 + x3 * y2
            t4, t5, t6, t7 = t4 + x4 * y2, t5 + x5 * y2, t6 + x6 * y2, t7 + x7 * y2
            u0, u1, u2, u3 = u0 + x0 * y3, u1 + x1 * y3, u2 + x2 * y3, u3 + x3 * y3
            u4, u5, u6, u7 = u4 + x4 * y3, u5 + x5 * y3, u6 + x6 * y3, u7 + x7 * y3
            i += ap
            j += bp
        c[at], c[at + 1], c[at + 2], c[at + 3] = r0, r1, r2, r3
        c[at + 4], c[at + 5], c[at + 6], c[at + 7] = r4, r5, r6, r7
        c[at1], c[at1 + 1], c[at1 + 2], c[at1 + 3] = s0, s1, s2, s3
        c[at1 + 4], c[at1 + 5], c[at1 + 6], c[at1 + 7] = s4, s5, s6, s7
        c[at2], c[at2 + 1], c[at2 + 2], c[at2 + 3] = t0, t1, t2, t3
        c[at2 + 4], c[at2 + 5], c[at2 + 6], c[at2 + 7] = t4, t5, t6, t7
        c[at3], c[at3 + 1], c[at3 + 2], c[at3 + 3] = u0, u1, u2, u3
        c[at3 + 4], c[at3 + 5], c[at3 + 6], c[at3 + 7] = u4, u5, u6, u7

    return helper(run, _CONTRACT)


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

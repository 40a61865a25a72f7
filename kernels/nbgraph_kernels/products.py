"""One matrix product by hand: plain loops, and pieces gathered for BLAS.

In:    typed pointers or addresses; `extents` (m, n, k); the (row, column) strides of c, a and b, in elements;
       `signs` of a and b, -1 for a conjugate; `keep`, 1 if c's old values are to be added to.
Out:   c.
Holds: helpers of `matmul`, made once for each dtype. Any strides will do; k may be 0. Old values of c are not
       read unless kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .language import helper
from .words import ELEMENTS, POINTERS, fortran, slot, stack

TILE = 64
"""Three tiles of complex128 are 192 KiB of stack; one product of this size runs at BLAS's full speed."""

SCALARS: dict[str, Any] = {"f4": np.float32, "f8": np.float64, "c8": np.complex64, "c16": np.complex128}
_CONTRACT = {"contract"}
"""Products and sums may become one instruction. Nothing is reordered."""


@helper
def _itself(x: Any, sign: Any) -> Any:
    return x


@helper
def _conjugated(x: Any, sign: Any) -> Any:
    """x for sign 1, its conjugate for sign -1: without a branch, loops over it vectorise."""
    return complex(x.real, sign * x.imag)


@helper
def _conjugated_single(x: Any, sign: Any) -> Any:
    return np.complex64(complex(x.real, np.float32(sign) * x.imag))


_SIGNED = {"c8": _conjugated_single, "c16": _conjugated}


def _add_product(z: Any, x: Any, y: Any) -> Any:
    return z + x * y


def _or_and(z: Any, x: Any, y: Any) -> Any:
    return z | (x & y)


def loops(dtype: str) -> Any:
    """Make `loops(c, a, b, extents, c_strides, a_strides, b_strides, signs, keep)` over typed pointers.

    Columns of c and a with unit stride are combined whole, which vectorises; else each element is one sum.
    """
    signed = _SIGNED.get(dtype, _itself)
    fold = helper(_or_and if dtype == "b1" else _add_product, _CONTRACT)

    def run(c: Any, a: Any, b: Any, extents: Any, of_c: Any, of_a: Any, of_b: Any, signs: Any, keep: Any) -> None:
        (m, n, k), (ci, cj), (ai, ap), (bp, bj) = extents, of_c, of_a, of_b
        if keep == 0:
            for j in range(n):
                for i in range(m):
                    c[i * ci + j * cj] = 0
        if ci == 1 and ai == 1:
            for j in range(n):
                for p in range(k):
                    factor = signed(b[p * bp + j * bj], signs[1])
                    for i in range(m):
                        c[i + j * cj] = fold(c[i + j * cj], signed(a[i + p * ap], signs[0]), factor)
        else:
            for j in range(n):
                for i in range(m):
                    total = c[i * ci + j * cj]
                    for p in range(k):
                        x, y = a[i * ai + p * ap], b[p * bp + j * bj]
                        total = fold(total, signed(x, signs[0]), signed(y, signs[1]))
                    c[i * ci + j * cj] = total

    return helper(run, _CONTRACT)


def tiles(dtype: str) -> Any:
    """Make `tiles(gemm, c, a, b, extents, c_strides, a_strides, b_strides, signs, keep)` over addresses.

    Pieces of TILE x TILE are gathered on the stack, by columns and conjugated there, multiplied by xGEMM at the
    address `gemm`, and scattered.
    """
    elements, scalar = POINTERS[dtype], SCALARS[dtype]
    size = ELEMENTS[dtype].bitwidth // 8
    reserve = stack(TILE * TILE * size)
    gather = _gather(_SIGNED.get(dtype, _itself))

    def run(
        gemm: Any, c: Any, a: Any, b: Any, extents: Any, of_c: Any, of_a: Any, of_b: Any, signs: Any, keep: Any
    ) -> None:
        (m, n, k), (ci, cj), (ai, ap), (bp, bj) = extents, of_c, of_a, of_b
        left, right, result = reserve(), reserve(), reserve()
        plain, lead, one = slot(np.uint8(78)), slot(np.int32(TILE)), slot(scalar(1))
        for j in range(0, n, TILE):
            for i in range(0, m, TILE):
                rows, columns = min(m - i, TILE), min(n - j, TILE)
                target = elements(c + (i * ci + j * cj) * size)
                height, width = slot(np.int32(rows)), slot(np.int32(columns))
                if keep != 0:
                    gather(elements(result), target, rows, columns, of_c, 1)
                for p in range(0, k, TILE):
                    depth = min(k - p, TILE)
                    gather(elements(left), elements(a + (i * ai + p * ap) * size), rows, depth, of_a, signs[0])
                    gather(elements(right), elements(b + (p * bp + j * bj) * size), depth, columns, of_b, signs[1])
                    beta = slot(scalar(1 if keep != 0 or p > 0 else 0))
                    inner = slot(np.int32(depth))
                    words = (plain, plain, height, width, inner, one, left, lead, right, lead, beta, result, lead)
                    fortran(gemm, words)
                for q in range(columns):
                    for r in range(rows):
                        target[r * ci + q * cj] = elements(result)[r + q * TILE]

    return helper(run)


def _gather(signed: Any) -> Any:
    def run(to: Any, x: Any, rows: Any, columns: Any, strides: Any, sign: Any) -> None:
        for j in range(columns):
            for i in range(rows):
                to[i + j * TILE] = signed(x[i * strides[0] + j * strides[1]], sign)

    return helper(run)

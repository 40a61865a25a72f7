"""`nbg.scipy.signal`: convolution and correlation of arrays of any rank, with SciPy's names and modes.

In: two arrays of one rank, of known sizes. Out: a `TracedTensor`, not evaluated, differentiable by both.
Holds: the direct method is exact for integers; it makes a product of a matrix of windows with one operand, the smaller
one. `method="auto"` transforms instead where those windows would take much memory, as SciPy does for its speed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nbgraph import api, fft
from nbgraph.errors import DtypeError, ShapeError, named
from nbgraph.promote import common, operand, to_inexact
from nbgraph.trace import concrete_size

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor

__all__ = ["convolve", "convolve2d", "correlate", "correlate2d", "fftconvolve", "oaconvolve"]

#: Elements of windows that the direct method makes without being asked for it.
_WINDOWS_LIMIT = 4_000_000
_BOUNDARIES = {"fill": "constant", "pad": "constant", "wrap": "wrap", "circular": "wrap", "symm": "symmetric"}


@named
def convolve(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> TracedTensor:
    """The convolution: all of it ("full"), of the size of in1 around its middle ("same"), or where the smaller one lies
    within the other ("valid"). `method`: "direct", "fft" or "auto".

    >>> convolve([[1, 2], [3, 4]], [[1, 1]]).tolist()
    [[1, 3, 2], [3, 7, 4]]
    """
    if method not in ("auto", "direct", "fft"):
        wanted = "'auto', 'direct' or 'fft'"
        raise ShapeError("unknown method", operation="convolve", position="method", got=repr(method), wanted=wanted)
    x, v = _pair("convolve", in1, in2)
    n, m = _sizes(x), _sizes(v)
    if n and 0 in (*n, *m):
        return operand([])  # as SciPy
    bounds = _bounds("convolve", n, m, mode)
    if not n:
        return api.multiply(x, v)
    if method == "direct" or (method == "auto" and _windows(bounds, n, m) <= _WINDOWS_LIMIT) or not x.type.inexact:
        return _direct(x, v, bounds)
    return _transformed(x, v, bounds, range(len(n)))


@named
def correlate(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> TracedTensor:
    """The correlation: the convolution of in1 with conj(in2) backwards.

    >>> correlate([1, 2, 3], [0, 1, 2]).tolist()
    [2, 5, 8, 3, 0]
    """
    return convolve(in1, api.flip(api.conj(in2)), mode, method)


@named
def convolve2d(in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0) -> TracedTensor:
    """The convolution of matrices. `boundary` is what lies outside of in1: "fill" (of `fillvalue`), "wrap", "symm".

    >>> convolve2d([[1, 2]], [[1, 1]], mode="same", boundary="wrap").tolist()
    [[3, 3]]
    """
    return _in_plane("convolve2d", in1, in2, mode, boundary, fillvalue)


@named
def correlate2d(in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0) -> TracedTensor:
    """The correlation of matrices: the convolution of in1 with conj(in2) backwards.

    >>> correlate2d([[1, 2]], [[1, 0]]).tolist()
    [[0, 1, 2]]
    """
    return _in_plane("correlate2d", in1, api.flip(api.conj(in2)), mode, boundary, fillvalue)


@named
def fftconvolve(in1: Any, in2: Any, mode: str = "full", axes: Any = None) -> TracedTensor:
    """The convolution by Fourier transforms, along some axes (None: all); along the others operands broadcast.

    >>> api.round(fftconvolve([1.0, 2.0], [1.0, 1.0]), 12).tolist()
    [1.0, 3.0, 2.0]
    """
    x, v = (to_inexact(t) for t in _pair("fftconvolve", in1, in2))
    ndim = x.type.ndim
    at = range(ndim) if axes is None else sorted(api.shapes._axis("fftconvolve", a, ndim) for a in np.atleast_1d(axes))
    n, m = _sizes(x), _sizes(v)
    if n and 0 in (*n, *m):
        return operand([])
    if not n:
        return api.multiply(x, v)
    inside = _bounds("fftconvolve", [n[a] for a in at], [m[a] for a in at], mode)
    return _transformed(x, v, inside, at)


oaconvolve = fftconvolve


# -- pieces -----------------------------------------------------------------------------------------------------------


def _pair(name: str, in1: Any, in2: Any) -> tuple[TracedTensor, TracedTensor]:
    """The operands in one dtype; they are of one rank."""
    x, v = common(in1, in2)
    if x.type.ndim != v.type.ndim:
        raise ShapeError("ranks differ", operation=name, position=1, got=v.type.shape, wanted=f"{x.type.ndim} axes")
    if x.type.code == "b1":
        raise DtypeError("booleans", operation=name, position=0, got=x.dtype, wanted="numbers")
    return x, v


def _in_plane(name: str, in1: Any, in2: Any, mode: str, boundary: str, fillvalue: Any) -> TracedTensor:
    """The convolution of matrices, with what lies outside of in1."""
    if boundary not in _BOUNDARIES:
        told: Any = {"got": repr(boundary), "wanted": "'fill', 'wrap' or 'symm'"}
        raise ShapeError("unknown boundary", operation=name, position="boundary", **told)
    x, v = _pair(name, in1, in2)
    if x.type.ndim != 2:
        raise ShapeError("no matrices", operation=name, position=0, got=x.type.shape, wanted="matrices")
    n, m = _sizes(x), _sizes(v)
    bounds = _bounds(name, n, m, mode)
    if mode == "same" and name == "correlate2d":  # SciPy rounds the middle of an even one the other way
        bounds = [(d // 2, count) for d, (_, count) in zip(m, bounds, strict=True)]
    if mode == "valid":
        return _direct(x, v, bounds)
    how: Any = {"constant_values": fillvalue} if _BOUNDARIES[boundary] == "constant" else {}
    border = [(d - 1, d - 1) for d in m]
    return _product_of_windows(api.pad(x, border, _BOUNDARIES[boundary], **how), v, bounds)


def _sizes(x: TracedTensor) -> tuple[int, ...]:
    return tuple(concrete_size(d, "a size of a convolution") for d in x.type.shape)


def _bounds(name: str, n: Sequence[int], m: Sequence[int], mode: str) -> list[tuple[int, int]]:
    """For each axis, where the result begins in the full convolution, and its size."""
    if mode == "full":
        return [(0, a + b - 1) for a, b in zip(n, m, strict=True)]
    if mode == "same":
        return [((b - 1) // 2, a) for a, b in zip(n, m, strict=True)]
    if mode != "valid":
        wanted = "'full', 'same' or 'valid'"
        raise ShapeError("unknown mode", operation=name, position="mode", got=repr(mode), wanted=wanted)
    if not (all(a >= b for a, b in zip(n, m, strict=True)) or all(a <= b for a, b in zip(n, m, strict=True))):
        wanted = "one operand that is at least as large along every axis"
        raise ShapeError("neither lies within the other", operation=name, got=f"{n} and {m}", wanted=wanted)
    return [(min(a, b) - 1, abs(a - b) + 1) for a, b in zip(n, m, strict=True)]


def _windows(bounds: list[tuple[int, int]], n: Sequence[int], m: Sequence[int]) -> int:
    """Elements of the windows that the direct method makes; of vectors it makes none."""
    return 0 if len(n) == 1 else math.prod(count for _, count in bounds) * min(math.prod(n), math.prod(m))


def _direct(x: TracedTensor, v: TracedTensor, bounds: list[tuple[int, int]]) -> TracedTensor:
    """By sums: of vectors by the operation `convolve`."""
    if x.type.ndim == 1:
        ((start, count),) = bounds
        whole = api.convolve(x, v)
        return whole[start : start + count]
    if math.prod(_sizes(x)) < math.prod(_sizes(v)):
        x, v = v, x
    return _product_of_windows(api.pad(x, [(d - 1, d - 1) for d in _sizes(v)]), v, bounds)


def _product_of_windows(x: TracedTensor, v: TracedTensor, bounds: list[tuple[int, int]]) -> TracedTensor:
    """The sums over k of v[k] x[start + i - k], for an x that has its border of v's sizes less one already."""
    m, counts, rank = _sizes(v), tuple(count for _, count in bounds), v.type.ndim
    along = []
    for axis, ((start, count), d) in enumerate(zip(bounds, m, strict=True)):
        place = start + np.arange(count)[:, None] + (d - 1) - np.arange(d)
        along.append(np.expand_dims(place, [k for k in range(2 * rank) if k not in (axis, rank + axis)]))
    places = np.ravel_multi_index(np.broadcast_arrays(*along), _sizes(x))
    windows = api.take(api.ravel(x), places.reshape(math.prod(counts), math.prod(m)))
    return api.reshape(windows @ api.ravel(v), counts)


def _transformed(x: TracedTensor, v: TracedTensor, bounds: list[tuple[int, int]], axes: Sequence[int]) -> TracedTensor:
    """By the product of Fourier transforms."""
    n, m = _sizes(x), _sizes(v)
    whole = [n[a] + m[a] - 1 for a in axes]
    if not whole:
        return api.multiply(x, v)
    there, back = (fft.fftn, fft.ifftn) if x.type.is_complex else (fft.rfftn, fft.irfftn)
    made = back(there(x, whole, axes) * there(v, whole, axes), whole, axes)
    index: list[Any] = [slice(None)] * x.type.ndim
    for a, (start, count) in zip(axes, bounds, strict=True):
        index[a] = slice(start, start + count)
    return made[tuple(index)]

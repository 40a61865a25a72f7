"""`nbg.fft`: discrete Fourier transforms with NumPy's names, signatures and defaults.

In: anything array-like; `n` cuts or pads an axis, `norm` is "backward" (None), "ortho" or "forward". Out: a
`TracedTensor`: single precision stays single. Derivatives are transforms again, to every order.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nbgraph.api.arranging import roll
from nbgraph.api.creation import asarray, counted
from nbgraph.api.elementwise import conj, divide, multiply, sqrt, where
from nbgraph.api.gather import axis_of
from nbgraph.dims import DimExpr, dim_min
from nbgraph.errors import DtypeError, ShapeError, named
from nbgraph.promote import apply, as_code, operand
from nbgraph.types import COMPLEX_OF, Size

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor

__all__ = [
    "fft",
    "fft2",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "ifft",
    "ifft2",
    "ifftn",
    "ifftshift",
    "ihfft",
    "irfft",
    "irfft2",
    "irfftn",
    "rfft",
    "rfft2",
    "rfftfreq",
    "rfftn",
]

Transform = Callable[..., Any]

#: By how much of the length a transform is divided: none, its root, or all of it.
_BACK = {None: "all", "backward": "all", "ortho": "root", "forward": "none"}
_FORTH = {None: "none", "backward": "none", "ortho": "root", "forward": "all"}
_SWAPPED = {None: "forward", "backward": "forward", "ortho": "ortho", "forward": "backward"}


# -- one axis ---------------------------------------------------------------------------------------------------------


@named
def fft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> TracedTensor:
    """The transform sum over j of a_j exp(-2 pi i j k / n) along an axis.

    >>> fft([1.0, 0.0]).tolist()
    [(1+0j), (1+0j)]
    """
    x, at, size = _prepared("fft", _complex(a), n, axis)
    return _divided(apply("fft", x, axis=at, inverse=False), size, _share("fft", norm, _FORTH))


@named
def ifft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> TracedTensor:
    """The inverse of `fft`.

    >>> ifft([2.0, 0.0]).tolist()
    [(1+0j), (1+0j)]
    """
    x, at, size = _prepared("ifft", _complex(a), n, axis)
    return _divided(apply("fft", x, axis=at, inverse=True), size, _share("ifft", norm, _BACK))


@named
def rfft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> TracedTensor:
    """The first n // 2 + 1 elements of the transform of real numbers.

    >>> rfft([1.0, 0.0, 0.0]).tolist()
    [(1+0j), (1+0j)]
    """
    x, at, size = _prepared("rfft", _real("rfft", a), n, axis)
    return _divided(apply("rfft", x, axis=at), size, _share("rfft", norm, _FORTH))


@named
def irfft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> TracedTensor:
    """The inverse of `rfft`: n real numbers, by default 2 (m - 1) from m elements.

    >>> irfft([2.0, 0.0]).tolist()
    [1.0, 1.0]
    """
    x = _complex(a)
    at = axis_of("irfft", axis, x.type.ndim)
    size = 2 * (x.type.shape[at] - 1) if n is None else _length(n)
    if isinstance(size, int) and size < 1:
        raise ShapeError("no points", operation="irfft", position="n", got=size, wanted="n >= 1")
    x = _fitted(x, size // 2 + 1, at)
    return _divided(apply("irfft", x, axis=at, n=size), size, _share("irfft", norm, _BACK))


@named
def hfft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> TracedTensor:
    """The real transform of a signal that is its own conjugate backwards, of which a is the first half.

    >>> hfft([1.0, 0.0]).tolist()
    [1.0, 1.0]
    """
    return irfft(conj(a), n, axis, _swapped("hfft", norm))


@named
def ihfft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> TracedTensor:
    """The inverse of `hfft`.

    >>> ihfft([1.0, 1.0]).tolist()
    [(1-0j), -0j]
    """
    return conj(rfft(a, n, axis, _swapped("ihfft", norm)))


def _complex(a: Any) -> TracedTensor:
    x = operand(a)
    return as_code(x, x.type.code if x.type.is_complex else COMPLEX_OF.get(x.type.code, "c16"))


def _real(name: str, a: Any) -> TracedTensor:
    x = operand(a)
    if x.type.is_complex:
        raise DtypeError(
            "not real", operation=name, position=0, got=x.dtype, wanted="real numbers", hint="use nbg.fft.fft"
        )
    return x if x.type.inexact else as_code(x, "f8")


def _prepared(name: str, x: TracedTensor, n: Any, axis: int) -> tuple[TracedTensor, int, Size]:
    """The operand cut or padded to n points, the axis, and n."""
    at = axis_of(name, axis, x.type.ndim)
    size = x.type.shape[at] if n is None else _length(n)
    if isinstance(size, int) and size < 1:
        raise ShapeError("no points", operation=name, position="n", got=size, wanted="n >= 1")
    return _fitted(x, size, at), at, size


def _length(n: Any) -> Size:
    return n if isinstance(n, DimExpr) else operator.index(n)


def _fitted(x: TracedTensor, n: Size, axis: int) -> TracedTensor:
    """The first n elements along an axis, zeros behind them if they are less."""
    d = x.type.shape[axis]
    if d == n:
        return x
    common = dim_min(n, d)
    if common != d:
        x = apply("slice", x, axis=axis, start=0, length=common)
    if common != n:
        x = apply("pad_slice", x, axis=axis, start=0, size=n)
    return x


def _share(name: str, norm: str | None, shares: dict[str | None, str]) -> str:
    if norm not in shares:
        wanted = "'backward', 'ortho' or 'forward'"
        raise ShapeError("unknown norm", operation=name, position="norm", got=repr(norm), wanted=wanted)
    return shares[norm]


def _swapped(name: str, norm: str | None) -> str:
    _share(name, norm, _FORTH)
    return _SWAPPED[norm]


def _divided(x: TracedTensor, n: Size, share: str) -> TracedTensor:
    if share == "none":
        return x
    if isinstance(n, int):
        return multiply(x, 1 / n if share == "all" else float(n) ** -0.5)
    size = as_code(operand(n), x.type.real_code)
    return divide(x, size if share == "all" else sqrt(size))


# -- several axes -----------------------------------------------------------------------------------------------------


@named
def fftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None) -> TracedTensor:
    """`fft` along several axes (default: all, or the last ones if `s`, the numbers of points, is given).

    >>> fftn([[1.0, 0.0], [0.0, 0.0]]).shape
    (2, 2)
    """
    return _over("fftn", a, s, axes, norm, fft)


@named
def ifftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None) -> TracedTensor:
    """The inverse of `fftn`.

    >>> ifftn([[4.0, 0.0], [0.0, 0.0]]).tolist()
    [[(1+0j), (1+0j)], [(1+0j), (1+0j)]]
    """
    return _over("ifftn", a, s, axes, norm, ifft)


@named
def rfftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None) -> TracedTensor:
    """`rfft` along the last of several axes, `fft` along the others.

    >>> rfftn([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]).shape
    (2, 2)
    """
    x = _real("rfftn", a)
    *rest, (n, last) = _pairs("rfftn", x, s, axes)
    return _over("rfftn", rfft(x, n, last, norm), [n for n, _ in rest], [a for _, a in rest], norm, fft)


@named
def irfftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None) -> TracedTensor:
    """The inverse of `rfftn`.

    >>> irfftn([[4.0, 0.0], [0.0, 0.0]]).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    x = operand(a)
    *rest, (n, last) = _pairs("irfftn", x, s, axes)
    x = _over("irfftn", x, [n for n, _ in rest], [a for _, a in rest], norm, ifft)
    return irfft(x, n, last, norm)


@named
def fft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None) -> TracedTensor:
    """`fftn` along two axes.

    >>> fft2([[1.0, 0.0]]).tolist()
    [[(1+0j), (1+0j)]]
    """
    return fftn(a, s, axes, norm)


@named
def ifft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None) -> TracedTensor:
    """The inverse of `fft2`.

    >>> ifft2([[2.0, 0.0]]).tolist()
    [[(1+0j), (1+0j)]]
    """
    return ifftn(a, s, axes, norm)


@named
def rfft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None) -> TracedTensor:
    """`rfftn` along two axes.

    >>> rfft2([[1.0, 0.0]]).tolist()
    [[(1+0j), (1+0j)]]
    """
    return rfftn(a, s, axes, norm)


@named
def irfft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None) -> TracedTensor:
    """The inverse of `rfft2`.

    >>> irfft2([[2.0, 0.0]]).tolist()
    [[1.0, 1.0]]
    """
    return irfftn(a, s, axes, norm)


def _pairs(name: str, x: TracedTensor, s: Any, axes: Any) -> list[tuple[Any, int]]:
    """Numbers of points (None: as many as there are) and axes."""
    for argument, value in (("s", s), ("axes", axes)):
        if not isinstance(value, Sequence | None):
            wanted = "integers, in a tuple"
            raise DtypeError("not a sequence", operation=name, position=argument, got=value, wanted=wanted)
    ndim = x.type.ndim
    given = (range(ndim) if s is None else range(-len(s), 0)) if axes is None else axes
    points: Sequence[Any] = [None] * len(given) if s is None else list(s)
    if len(points) != len(given) or not len(given):
        got = f"{len(points)} numbers of points for {len(given)} axes"
        raise ShapeError("arguments do not fit", operation=name, got=got, wanted="as many, and at least one axis")
    return [(None if n == -1 else n, axis_of(name, a, ndim)) for n, a in zip(points, given, strict=True)]


def _over(name: str, a: Any, s: Any, axes: Any, norm: str | None, transform: Transform) -> TracedTensor:
    """The transform along the axes, the last one first."""
    x = operand(a)
    if isinstance(axes, Sequence) and not len(axes):
        return x
    for n, axis in reversed(_pairs(name, x, s, axes)):
        x = transform(x, n, axis, norm)
    return x


# -- order and frequencies --------------------------------------------------------------------------------------------


@named
def fftshift(x: Any, axes: Any = None) -> TracedTensor:
    """The element of frequency zero moved to the middle, along axes (an int or several; None: all).

    >>> fftshift([0, 1, -1]).tolist()
    [-1, 0, 1]
    """
    return _shifted(x, axes, 1)


@named
def ifftshift(x: Any, axes: Any = None) -> TracedTensor:
    """The inverse of `fftshift`.

    >>> ifftshift([-1, 0, 1]).tolist()
    [0, 1, -1]
    """
    return _shifted(x, axes, -1)


def _shifted(a: Any, axes: Any, sign: int) -> TracedTensor:
    x = operand(a)
    for axis in range(x.type.ndim) if axes is None else axes if isinstance(axes, tuple | list) else (axes,):
        at = axis_of("fftshift", axis, x.type.ndim)
        x = roll(x, sign * (x.type.shape[at] // 2), at)
    return x


@named
def fftfreq(n: Size, d: float = 1.0, *, dtype: Any = None, device: Any = None) -> TracedTensor:
    """The frequencies of `fft`'s elements, for points at a distance d.

    >>> fftfreq(4).tolist()
    [0.0, 0.25, -0.5, -0.25]
    """
    if not isinstance(n, DimExpr):
        return asarray(np.fft.fftfreq(n, d), dtype, device=device)
    k = counted(n)
    return asarray(divide(where(k < (n + 1) // 2, k, k - n), multiply(n, d)), dtype, device=device)


@named
def rfftfreq(n: Size, d: float = 1.0, *, dtype: Any = None, device: Any = None) -> TracedTensor:
    """The frequencies of `rfft`'s elements, for points at a distance d.

    >>> rfftfreq(4).tolist()
    [0.0, 0.25, 0.5]
    """
    if not isinstance(n, DimExpr):
        return asarray(np.fft.rfftfreq(n, d), dtype, device=device)
    return asarray(divide(counted(n // 2 + 1), multiply(n, d)), dtype, device=device)

"""Many elements, no arithmetic to speak of: a Fourier transform, a sort, additions at places."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from bench.cases import Case, normal

COUNT = 10**6


def cases() -> Iterator[Case]:
    yield Case("fft/65536", 1.0, _signal, dict.fromkeys(("nbgraph", "torch"), _fft) | {"jax": _jax(_fft)})
    real = dict.fromkeys(("nbgraph", "torch"), _real_fft) | {"jax": _jax(_real_fft)}
    yield Case("fft/65536/gradient", 1.0, _weighted_signal, real, (0,))
    sorts = {"nbgraph": _sort, "torch": lambda xp: lambda x: xp.sort(x)[0], "jax": _jax(_sort)}
    yield Case("sort/1000000", 1.0, partial(normal, (COUNT,)), sorts)
    adds = {"nbgraph": _add, "torch": lambda xp: lambda x, at, y: x.index_add(0, at, y), "jax": _add}
    yield Case("scatter_add/1000000", 1.0, _places, adds)


def _jax(function: Any) -> Any:
    return lambda xp: function(xp.numpy)


def _fft(xp: Any) -> Callable[..., Any]:
    return lambda x: xp.fft.fft(x)


def _real_fft(xp: Any) -> Callable[..., Any]:
    """A real result: gradients differ by conjugation alone, which does not show in what is compared."""
    return lambda x: xp.real(xp.fft.fft(x))


def _sort(xp: Any) -> Callable[..., Any]:
    return lambda x: xp.sort(x)


def _add(xp: Any) -> Callable[..., Any]:
    return lambda x, at, y: x.at[at].add(y)


def _signal() -> list[Any]:
    x, y = normal((65536,), (65536,))
    return [x + 1j * y]


def _weighted_signal() -> list[Any]:
    return [*_signal(), *normal((65536,), seed=1)]


def _places() -> list[Any]:
    import numpy as np

    x, y = normal((COUNT,), (COUNT,))
    return [x, np.random.default_rng(1).integers(0, COUNT, COUNT), y]

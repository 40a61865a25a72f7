"""Many elements, no arithmetic to speak of: a Fourier transform, a sort, additions at places."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from bench.cases import Case, normal

COUNT = 10**6


def cases() -> Iterator[Case]:
    yield Case("fft/65536", 1.0, _signal, dict.fromkeys(("nbgraph", "numpy", "torch"), _fft) | {"jax": _jax(_fft)})
    yield Case(
        "fft/65536/gradient",
        1.0,
        partial(_signal, 2),
        dict.fromkeys(("nbgraph", "torch"), _fft) | {"jax": _jax(_fft)},
        (0,),
    )
    sorts = {"nbgraph": _sort, "numpy": _sort, "torch": lambda xp: lambda x: xp.sort(x)[0], "jax": _jax(_sort)}
    yield Case("sort/1000000", 1.0, partial(normal, (COUNT,)), sorts)
    adds = {"nbgraph": _add, "torch": lambda xp: lambda x, at, y: x.index_add(0, at, y), "jax": _add}
    yield Case("scatter_add/1000000", 1.0, _places, adds)


def _jax(function: Any) -> Any:
    return lambda xp: function(xp.numpy)


def _fft(xp: Any) -> Callable[..., Any]:
    return lambda x: xp.fft.fft(x)


def _sort(xp: Any) -> Callable[..., Any]:
    return lambda x: xp.sort(x)


def _add(xp: Any) -> Callable[..., Any]:
    return lambda x, at, y: x.at[at].add(y)


def _signal(count: int = 1) -> list[Any]:
    parts = normal(*[(65536,)] * (2 * count))
    return [x + 1j * y for x, y in zip(parts[::2], parts[1::2], strict=True)]


def _places() -> list[Any]:
    import numpy as np

    x, y = normal((COUNT,), (COUNT,))
    return [x, np.random.default_rng(1).integers(0, COUNT, COUNT), y]

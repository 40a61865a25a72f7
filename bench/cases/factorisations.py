"""Factorisations of one square float64 matrix with their gradients; determinants, inverses and eigenvectors beside.

Losses are such that the choice of signs does not matter where libraries may choose: squares of eigenvectors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from bench.cases import Case, normal

SIZES = (4, 16, 64, 256, 512)


def cases() -> Iterator[Case]:
    for name, (function, data, wrt) in _FAMILIES.items():
        for n in SIZES:
            target = 0.25 if n <= 16 else 1.0
            functions = dict.fromkeys(("nbgraph", "torch"), function) | {"jax": partial(function, is_jax=True)}
            yield Case(f"{name}/{n}", target, partial(data, n), functions, wrt)


# -- functions --------------------------------------------------------------------------------------------------------


def _linalg(xp: Any, is_jax: bool) -> Any:
    return xp.numpy.linalg if is_jax else xp.linalg


def _eigh(xp: Any, is_jax: bool = False) -> Callable[..., Any]:
    linalg = _linalg(xp, is_jax)

    def function(a: Any) -> Any:
        w, v = linalg.eigh(a)
        return v * v + w

    return function


def _qr(xp: Any, is_jax: bool = False) -> Callable[..., Any]:
    linalg = _linalg(xp, is_jax)

    def function(a: Any) -> Any:
        q, r = linalg.qr(a)
        return q + r

    return function


def _lu(xp: Any, is_jax: bool = False) -> Callable[..., Any]:
    if is_jax:
        from jax.scipy.linalg import lu_factor
    else:
        lu_factor = xp.linalg.lu_factor
    return lambda a: lu_factor(a)[0]


def _slogdet(xp: Any, is_jax: bool = False) -> Callable[..., Any]:
    return lambda a: _linalg(xp, is_jax).slogdet(a)[1]


def _svdvals(xp: Any, is_jax: bool = False) -> Callable[..., Any]:
    return partial(xp.numpy.linalg.svd, compute_uv=False) if is_jax else xp.linalg.svdvals


def _named(name: str) -> Callable[..., Callable[..., Any]]:
    return lambda xp, is_jax=False: getattr(_linalg(xp, is_jax), name)


# -- operands, the cotangent last -------------------------------------------------------------------------------------


def _general(n: int) -> list[Any]:
    return normal((n, n), (n, n))


def _values(n: int) -> list[Any]:
    return normal((n, n), (n,))


def _number(n: int) -> list[Any]:
    return normal((n, n), ())


def _symmetric(n: int, ct: tuple[int, ...]) -> list[Any]:
    a, weights = normal((n, n), ct)
    return [a + a.T, weights]


def _definite(n: int) -> list[Any]:
    import numpy as np

    a, weights = normal((n, n), (n, n))
    return [a @ a.T / n + np.eye(n), weights]


def _system(n: int) -> list[Any]:
    return normal((n, n), (n, n), (n, n))


def _vector_system(n: int) -> list[Any]:
    return normal((n, n), (n,), (n,))


_FAMILIES: dict[str, tuple[Any, Any, tuple[int, ...]]] = {
    "eigh": (_eigh, lambda n: _symmetric(n, (n, n)), (0,)),
    "qr": (_qr, _general, (0,)),
    "lu": (_lu, _general, (0,)),
    "solve": (_named("solve"), _system, (0, 1)),
    "solve_vector": (_named("solve"), _vector_system, (0, 1)),
    "cholesky": (_named("cholesky"), _definite, (0,)),
    "svdvals": (_svdvals, _values, (0,)),
    "eigvalsh": (_named("eigvalsh"), lambda n: _symmetric(n, (n,)), (0,)),
    "slogdet": (_slogdet, _number, (0,)),
    "inv": (_named("inv"), _general, (0,)),
}

"""Black-Scholes: the sum of the values of 10^6 options, and its gradients by spot, strike, volatility and time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.cases import Case

COUNT = 10**6
RATE = 0.03


def cases() -> Iterator[Case]:
    functions = {"nbgraph": _nbgraph, "torch": _torch, "jax": _jax}
    yield Case("options/value", 1.0, data, functions)
    yield Case("options/gradients", 0.2, lambda: [*data(), *_one()], functions, (0, 1, 2, 3))


def data() -> list[Any]:
    """Spot, strike, volatility, time."""
    import numpy as np

    rng = np.random.default_rng(2)
    ranges = ((80.0, 120.0), (80.0, 120.0), (0.1, 0.5), (0.2, 2.0))
    return [rng.uniform(low, high, COUNT) for low, high in ranges]


def _one() -> list[Any]:
    import numpy as np

    return [np.array(1.0)]


def _formula(xp: Any, erf: Any) -> Any:
    def value(s: Any, k: Any, v: Any, t: Any) -> Any:
        spread = v * xp.sqrt(t)
        d1 = (xp.log(s / k) + (RATE + 0.5 * v * v) * t) / spread
        first, second = (0.5 * (1.0 + erf(d * 0.7071067811865476)) for d in (d1, d1 - spread))
        return xp.sum(s * first - k * xp.exp(-RATE * t) * second)

    return value


def _nbgraph(xp: Any) -> Any:
    return _formula(xp, xp.special.erf)


def _torch(xp: Any) -> Any:
    return _formula(xp, xp.special.erf)


def _jax(xp: Any) -> Any:
    import jax

    return _formula(jax.numpy, jax.scipy.special.erf)

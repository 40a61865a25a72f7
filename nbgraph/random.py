"""`nbg.random`: NumPy's random generators, whose draws are constants of the graph.

In: a seed, and parameters as NumPy takes them (tensors are evaluated). Out: constant tensors: the numbers that
`numpy.random.default_rng` with the same seed gives. Holds: a generator is explicit, there is no global one. What is
drawn is drawn when the method is called, has no derivative, and is the same at each eval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nbgraph.api.gather import value
from nbgraph.promote import operand
from nbgraph.trace import Node

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor

__all__ = ["Generator", "default_rng"]

#: NumPy's methods that draw.
_DRAWS = frozenset(
    """
    beta binomial chisquare choice dirichlet exponential f gamma geometric gumbel hypergeometric integers laplace
    logistic lognormal logseries multinomial multivariate_hypergeometric multivariate_normal negative_binomial
    noncentral_chisquare noncentral_f normal pareto permutation permuted poisson power random rayleigh standard_cauchy
    standard_exponential standard_gamma standard_normal standard_t triangular uniform vonmises wald weibull zipf
    """.split()  # noqa: SIM905
)


class Generator:
    """Draws from distributions, with the names, arguments and streams of `numpy.random.Generator`.

    `seed` is whatever `numpy.random.default_rng` takes. Parameters of a distribution may be tensors, which are
    evaluated; for a derivative by them draw from the standard distribution and transform:
    `mean + scale * g.standard_normal(3)`.

    >>> g = Generator(7)
    >>> g.normal(size=2).tolist() == np.random.default_rng(7).normal(size=2).tolist()
    True
    """

    def __init__(self, seed: Any = None) -> None:
        self._numpy = np.random.default_rng(seed)

    def __repr__(self) -> str:
        return f"Generator({self._numpy.bit_generator.__class__.__name__})"

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_DRAWS})

    def __getattr__(self, name: str) -> Any:
        if name not in _DRAWS:
            hint = ": use permutation, which gives a new tensor" if name == "shuffle" else ""
            raise AttributeError(f"a Generator has no {name!r}{hint}")
        draw = getattr(self._numpy, name)

        def drawn(*args: Any, **kwargs: Any) -> TracedTensor:
            return operand(np.asarray(draw(*map(_plain, args), **{k: _plain(v) for k, v in kwargs.items()})))

        drawn.__name__, drawn.__doc__ = name, draw.__doc__
        return drawn

    @property
    def bit_generator(self) -> np.random.BitGenerator:
        """NumPy's source of random bits, whose state can be read and set."""
        return self._numpy.bit_generator

    def spawn(self, n_children: int) -> list[Generator]:
        """Independent generators, reproducible from this one's seed.

        >>> len(Generator(7).spawn(2))
        2
        """
        return [Generator(child) for child in self._numpy.spawn(n_children)]

    def __reduce__(self) -> Any:
        return Generator, (self._numpy,)


def default_rng(seed: Any = None) -> Generator:
    """A `Generator`.

    >>> default_rng(7).integers(10).item() == np.random.default_rng(7).integers(10).item()
    True
    """
    return Generator(seed)


def _plain(x: Any) -> Any:
    return value(x) if isinstance(x, Node) else x

"""`nbg.random`: NumPy's random generators, whose draws are constants of the graph.

In: a seed, and parameters as NumPy takes them (tensors are evaluated). Out: constant tensors: the numbers that
`numpy.random.default_rng` with the same seed gives. Holds: what is drawn is drawn when the method is called, has no
derivative, and is the same at each eval. Functions like `nbg.random.normal` draw from NumPy's global generator, which
`nbg.random.seed` seeds, as programs that were written for `numpy.random` expect; a `Generator` of one's own is better.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nbgraph.api.gather import value
from nbgraph.promote import operand
from nbgraph.trace import Node

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor

__all__ = [
    "Generator", "beta", "binomial", "chisquare", "choice", "default_rng", "dirichlet", "exponential", "gamma",
    "geometric", "get_state", "gumbel", "laplace", "logistic", "lognormal", "multinomial", "multivariate_normal",
    "normal", "pareto", "permutation", "poisson", "power", "rand", "randint", "randn", "random", "random_sample",
    "rayleigh", "seed", "set_state", "standard_cauchy", "standard_exponential", "standard_gamma", "standard_normal",
    "standard_t", "triangular", "uniform", "vonmises", "wald", "weibull",
]  # fmt: skip

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
        return _drawing(getattr(self._numpy, name))

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


def _drawing(draw: Any) -> Any:
    """A function of NumPy's that draws, as one that gives constants."""

    def drawn(*args: Any, **kwargs: Any) -> TracedTensor:
        return operand(np.asarray(draw(*map(_plain, args), **{k: _plain(v) for k, v in kwargs.items()})))

    drawn.__name__ = draw.__name__
    drawn.__doc__ = f"A constant drawn as `numpy.random.{draw.__name__}` draws, whose arguments these are."
    return drawn


def _plain(x: Any) -> Any:
    return value(x) if isinstance(x, Node) else x


# -- from NumPy's global generator ------------------------------------------------------------------------------------

seed, get_state, set_state = np.random.seed, np.random.get_state, np.random.set_state

beta = _drawing(np.random.beta)
binomial = _drawing(np.random.binomial)
chisquare = _drawing(np.random.chisquare)
choice = _drawing(np.random.choice)
dirichlet = _drawing(np.random.dirichlet)
exponential = _drawing(np.random.exponential)
gamma = _drawing(np.random.gamma)
geometric = _drawing(np.random.geometric)
gumbel = _drawing(np.random.gumbel)
laplace = _drawing(np.random.laplace)
logistic = _drawing(np.random.logistic)
lognormal = _drawing(np.random.lognormal)
multinomial = _drawing(np.random.multinomial)
multivariate_normal = _drawing(np.random.multivariate_normal)
normal = _drawing(np.random.normal)
pareto = _drawing(np.random.pareto)
permutation = _drawing(np.random.permutation)
poisson = _drawing(np.random.poisson)
power = _drawing(np.random.power)
rand = _drawing(np.random.rand)
randint = _drawing(np.random.randint)
randn = _drawing(np.random.randn)
random = _drawing(np.random.random)
random_sample = _drawing(np.random.random_sample)
rayleigh = _drawing(np.random.rayleigh)
standard_cauchy = _drawing(np.random.standard_cauchy)
standard_exponential = _drawing(np.random.standard_exponential)
standard_gamma = _drawing(np.random.standard_gamma)
standard_normal = _drawing(np.random.standard_normal)
standard_t = _drawing(np.random.standard_t)
triangular = _drawing(np.random.triangular)
uniform = _drawing(np.random.uniform)
vonmises = _drawing(np.random.vonmises)
wald = _drawing(np.random.wald)
weibull = _drawing(np.random.weibull)

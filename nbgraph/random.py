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
from nbgraph.errors import named
from nbgraph.node import Node
from nbgraph.promote import operand

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
        return _drawing(name, self._numpy)

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


def _drawing(name: str, source: Any = None) -> Any:
    """A method of NumPy's that draws, as a function that gives constants; of the global generator if of no other.

    `numpy.random` is not imported before something is drawn: it takes 10 ms.
    """

    def drawn(*args: Any, **kwargs: Any) -> TracedTensor:
        draw = getattr(np.random if source is None else source, name)
        return operand(np.asarray(draw(*map(_plain, args), **{k: _plain(v) for k, v in kwargs.items()})))

    drawn.__name__ = name
    drawn.__doc__ = f"A constant drawn as `numpy.random.{name}` draws, whose arguments these are."
    return named(drawn)


def _plain(x: Any) -> Any:
    return value(x) if isinstance(x, Node) else x


# -- from NumPy's global generator ------------------------------------------------------------------------------------


def seed(seed: Any = None) -> None:
    """Seeds NumPy's global generator, as `numpy.random.seed`."""
    np.random.seed(seed)


def get_state(legacy: bool = True) -> Any:
    """The state of NumPy's global generator, as `numpy.random.get_state`."""
    return np.random.get_state(legacy=legacy)  # type: ignore[call-overload]


def set_state(state: Any) -> None:
    """Sets the state of NumPy's global generator, as `numpy.random.set_state`."""
    np.random.set_state(state)


beta = _drawing("beta")
binomial = _drawing("binomial")
chisquare = _drawing("chisquare")
choice = _drawing("choice")
dirichlet = _drawing("dirichlet")
exponential = _drawing("exponential")
gamma = _drawing("gamma")
geometric = _drawing("geometric")
gumbel = _drawing("gumbel")
laplace = _drawing("laplace")
logistic = _drawing("logistic")
lognormal = _drawing("lognormal")
multinomial = _drawing("multinomial")
multivariate_normal = _drawing("multivariate_normal")
normal = _drawing("normal")
pareto = _drawing("pareto")
permutation = _drawing("permutation")
poisson = _drawing("poisson")
power = _drawing("power")
rand = _drawing("rand")
randint = _drawing("randint")
randn = _drawing("randn")
random = _drawing("random")
random_sample = _drawing("random_sample")
rayleigh = _drawing("rayleigh")
standard_cauchy = _drawing("standard_cauchy")
standard_exponential = _drawing("standard_exponential")
standard_gamma = _drawing("standard_gamma")
standard_normal = _drawing("standard_normal")
standard_t = _drawing("standard_t")
triangular = _drawing("triangular")
uniform = _drawing("uniform")
vonmises = _drawing("vonmises")
wald = _drawing("wald")
weibull = _drawing("weibull")

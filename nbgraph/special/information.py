"""Terms of entropies and the logistic function, with SciPy's names.

In: anything array-like; operands broadcast; real but for `expit`. Out: a `TracedTensor`, not evaluated; integers and
booleans become float64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbgraph.api.elementwise import OPS
from nbgraph.errors import named
from nbgraph.promote import inexact_binary, unary

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


@named
def xlogy(x1: Any, x2: Any) -> TracedTensor:
    """x1 log(x2), 0 where x1 is 0.

    >>> xlogy(0.0, 0.0).item()
    0.0
    """
    return inexact_binary(OPS["xlogy"], x1, x2)


@named
def xlog1py(x1: Any, x2: Any) -> TracedTensor:
    """x1 log(1 + x2), 0 where x1 is 0.

    >>> xlog1py(0.0, -1.0).item()
    0.0
    """
    return inexact_binary(OPS["xlog1py"], x1, x2)


@named
def entr(x: Any) -> TracedTensor:
    """-x log(x), 0 at 0, -inf below.

    >>> entr(1.0).item()
    -0.0
    """
    return unary(OPS["entr"], x)


@named
def rel_entr(x1: Any, x2: Any) -> TracedTensor:
    """x1 log(x1 / x2), for x1 = 0 and x2 >= 0 it is 0; infinite outside.

    >>> rel_entr(1.0, 1.0).item()
    0.0
    """
    return inexact_binary(OPS["rel_entr"], x1, x2)


@named
def kl_div(x1: Any, x2: Any) -> TracedTensor:
    """x1 log(x1 / x2) - x1 + x2, for x1 = 0 and x2 >= 0 it is x2; infinite outside.

    >>> kl_div(1.0, 1.0).item()
    0.0
    """
    return inexact_binary(OPS["kl_div"], x1, x2)


@named
def expit(x: Any) -> TracedTensor:
    """1 / (1 + exp(-x)), the logistic function; of complex x too.

    >>> expit(0.0).item()
    0.5
    """
    return unary(OPS["expit"], x)


@named
def logit(x: Any) -> TracedTensor:
    """log(x / (1 - x)), the inverse of `expit`.

    >>> logit(0.5).item()
    0.0
    """
    return unary(OPS["logit"], x)


@named
def log_expit(x: Any) -> TracedTensor:
    """log(expit(x)), for very negative x too.

    >>> log_expit(-1000.0).item()
    -1000.0
    """
    return unary(OPS["log_expit"], x)

"""Activation functions with the names of `jax.nn`.

In: anything array-like of real numbers. Out: a `TracedTensor`, not evaluated; integers and booleans become float64.
Holds: an exponential is taken only of what it is used for, so that no gradient is infinity times 0.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from nbgraph.api.elementwise import abs, exp, expm1, log, log1p, sqrt, square, tanh, where
from nbgraph.api.indexing import getitem
from nbgraph.api.shapes import _axis
from nbgraph.errors import ShapeError, named
from nbgraph.promote import operand, to_inexact
from nbgraph.special import expit, log_expit, ndtr

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor

sigmoid, log_sigmoid = expit, log_expit


def _inexact(x: Any) -> TracedTensor:
    return to_inexact(operand(x))


@named
def relu(x: Any) -> TracedTensor:
    """x above 0, else 0; its derivative at 0 is 0.

    >>> relu([-1.0, 2.0]).tolist()
    [0.0, 2.0]
    """
    x = operand(x)
    return where(x <= 0, 0, x)


@named
def relu6(x: Any) -> TracedTensor:
    """`relu`, but 6 above 6; its derivative at both kinks is 0.

    >>> relu6([-1.0, 2.0, 7.0]).tolist()
    [0.0, 2.0, 6.0]
    """
    return hard_tanh(x, 0.0, 6.0)


@named
def hard_tanh(x: Any, low: float = -1.0, high: float = 1.0) -> TracedTensor:
    """x between two bounds, else the bound; its derivative at the bounds is 0.

    >>> hard_tanh([-3.0, 0.5]).tolist()
    [-1.0, 0.5]
    """
    x = _inexact(x)
    return where(x <= low, low, where(x >= high, high, x))


hardtanh = hard_tanh


@named
def leaky_relu(x: Any, negative_slope: float = 0.01) -> TracedTensor:
    """x from 0 on, below it times a slope; its derivative at 0 is 1.

    >>> leaky_relu([-1.0, 2.0]).tolist()
    [-0.01, 2.0]
    """
    x = _inexact(x)
    return where(x >= 0, x, x * negative_slope)


@named
def elu(x: Any, alpha: float = 1.0) -> TracedTensor:
    """x above 0, else alpha (exp(x) - 1).

    >>> elu([0.0, 2.0]).tolist()
    [0.0, 2.0]
    """
    x = _inexact(x)
    return where(x > 0, x, alpha * expm1(where(x > 0, 0.0, x)))


@named
def celu(x: Any, alpha: float = 1.0) -> TracedTensor:
    """x above 0, else alpha (exp(x / alpha) - 1).

    >>> celu([0.0, 2.0]).tolist()
    [0.0, 2.0]
    """
    x = _inexact(x)
    return where(x > 0, x, alpha * expm1(where(x > 0, 0.0, x) / alpha))


@named
def selu(x: Any) -> TracedTensor:
    """`elu`, scaled so that mean 0 and variance 1 stay (Klambauer et al., 2017).

    >>> selu(0.0).item()
    0.0
    """
    return 1.0507009873554804934193349852946 * elu(x, 1.6732632423543772848170429916717)


@named
def gelu(x: Any, approximate: bool = True) -> TracedTensor:
    """x times the normal distribution function, or times its approximation by a hyperbolic tangent.

    >>> gelu([0.0, 1.0], approximate=False).tolist()
    [0.0, 0.8413447460685429]
    """
    x = _inexact(x)
    if not approximate:
        return x * ndtr(x)
    # (1 + tanh u) / 2 = expit(2 u), which keeps its digits where it is small.
    return x * expit(2.0 * math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3))


@named
def glu(x: Any, axis: int = -1) -> TracedTensor:
    """The first half along an axis, times `sigmoid` of the second. Raises `ShapeError` where there are no halves.

    >>> glu([2.0, 0.0]).tolist()
    [1.0]
    """
    x = _inexact(x)
    axis = _axis("glu", axis, x.type.ndim)
    size = x.type.shape[axis]
    if size % 2 != 0:
        raise ShapeError("there are no halves", operation="glu", position=0, got=x.type.shape, wanted="an even size")
    lead: tuple[Any, ...] = (slice(None),) * axis
    first, second = (getitem(x, (*lead, part)) for part in (slice(None, size // 2), slice(size // 2, None)))
    return first * expit(second)


@named
def silu(x: Any) -> TracedTensor:
    """x times `sigmoid(x)`.

    >>> silu(0.0).item()
    0.0
    """
    x = _inexact(x)
    return x * expit(x)


swish = silu


@named
def softplus(x: Any) -> TracedTensor:
    """log(1 + exp(x)).

    >>> softplus([-1000.0, 1000.0]).tolist()
    [0.0, 1000.0]
    """
    return -log_expit(-_inexact(x))


@named
def mish(x: Any) -> TracedTensor:
    """x times tanh(softplus(x)).

    >>> mish(0.0).item()
    0.0
    """
    x = _inexact(x)
    return x * tanh(softplus(x))


@named
def soft_sign(x: Any) -> TracedTensor:
    """x / (1 + |x|).

    >>> soft_sign([-1.0, 3.0]).tolist()
    [-0.5, 0.75]
    """
    x = _inexact(x)
    return x / (1.0 + abs(x))


softsign = soft_sign


@named
def hard_sigmoid(x: Any) -> TracedTensor:
    """`relu6(x + 3) / 6`.

    >>> hard_sigmoid([-3.0, 0.0]).tolist()
    [0.0, 0.5]
    """
    return relu6(_inexact(x) + 3.0) / 6.0


@named
def hard_silu(x: Any) -> TracedTensor:
    """x times `hard_sigmoid(x)`.

    >>> hard_silu([0.0, 2.0]).tolist()
    [0.0, 1.6666666666666667]
    """
    x = _inexact(x)
    return x * hard_sigmoid(x)


hard_swish = hard_silu


@named
def squareplus(x: Any, b: Any = 4.0) -> TracedTensor:
    """(x + sqrt(x**2 + b)) / 2.

    >>> squareplus(0.0).item()
    1.0
    """
    x = _inexact(x)
    return (x + sqrt(square(x) + b)) / 2.0


@named
def sparse_plus(x: Any) -> TracedTensor:
    """0 up to -1, x from 1 on, (x + 1)**2 / 4 between.

    >>> sparse_plus([-2.0, 0.0, 3.0]).tolist()
    [0.0, 0.25, 3.0]
    """
    x = _inexact(x)
    return where(x <= -1.0, 0.0, where(x >= 1.0, x, square(x + 1.0) / 4.0))


@named
def identity(x: Any) -> TracedTensor:
    """x itself.

    >>> identity([1.0]).tolist()
    [1.0]
    """
    return operand(x)


@named
def sparse_sigmoid(x: Any) -> TracedTensor:
    """(x + 1) / 2 between -1 and 1, 0 below and 1 above; at both kinks its derivative is 0.

    >>> sparse_sigmoid([-2.0, 0.0, 2.0]).tolist()
    [0.0, 0.5, 1.0]
    """
    x = _inexact(x)
    return where(x <= -1, 0, where(x >= 1, 1, 0.5 * (x + 1)))


@named
def log1mexp(x: Any) -> TracedTensor:
    """log(1 - exp(-x)) for x > 0, exact for small and for large x.

    >>> log1mexp(1e-300).item() < -690
    True
    """
    x = _inexact(x)
    near = x < math.log(2.0)
    small, large = where(near, x, 1.0), where(near, 1.0, x)
    return where(near, log(-expm1(-small)), log1p(-exp(-large)))

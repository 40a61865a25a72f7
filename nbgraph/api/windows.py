"""Windows of signal processing, with NumPy's names: vectors that fall off to both sides of their middle.

In: the number of samples. Out: constants, NumPy's values; Kaiser's has a derivative by its parameter.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from nbgraph.api.elementary import i0
from nbgraph.api.elementwise import divide, sqrt
from nbgraph.errors import named
from nbgraph.promote import operand, to_inexact

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


@named
def bartlett(M: int) -> TracedTensor:
    """A triangle, 0 at both ends.

    >>> bartlett(5).tolist()
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    return operand(np.bartlett(operator.index(M)))


@named
def blackman(M: int) -> TracedTensor:
    """0.42 - 0.5 cos(t) + 0.08 cos(2 t), t from 0 to 2 pi.

    >>> round(blackman(3)[1].item(), 12)
    1.0
    """
    return operand(np.blackman(operator.index(M)))


@named
def hamming(M: int) -> TracedTensor:
    """0.54 - 0.46 cos(t), t from 0 to 2 pi.

    >>> hamming(3)[1].item()
    1.0
    """
    return operand(np.hamming(operator.index(M)))


@named
def hanning(M: int) -> TracedTensor:
    """0.5 - 0.5 cos(t), t from 0 to 2 pi.

    >>> hanning(5).tolist()
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    return operand(np.hanning(operator.index(M)))


@named
def kaiser(M: int, beta: Any) -> TracedTensor:
    """I_0(beta sqrt(1 - s^2)) / I_0(beta), s from -1 to 1; differentiable by beta.

    >>> kaiser(3, 0.0).tolist()
    [1.0, 1.0, 1.0]
    """
    n, shape = operator.index(M), to_inexact(operand(beta))
    s = np.zeros(n) if n <= 1 else np.linspace(-1.0, 1.0, n)
    return divide(i0(shape * sqrt(operand(1.0 - s * s))), i0(shape))

"""What an array is: real or complex, equal to another, of which dtype. NumPy's names.

In: anything array-like, dtypes. Out: Python booleans and dtypes where the type alone decides, else a `TracedTensor` of
booleans, not evaluated.
"""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

import numpy as np

from nbgraph.api.elementwise import imag, real
from nbgraph.api.gather import value
from nbgraph.api.logic import equal, isnan, logical_and, logical_or, not_equal
from nbgraph.api.reductions import all
from nbgraph.api.shapes import broadcast_shapes
from nbgraph.errors import DtypeError, ShapeError, named
from nbgraph.node import Node
from nbgraph.promote import operand
from nbgraph.types import DTYPES

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


@named
def isreal(x: Any) -> TracedTensor:
    """Whether the imaginary part is zero, as booleans.

    >>> isreal([1 + 1j, 2.0]).tolist()
    [False, True]
    """
    return equal(imag(x), 0)


@named
def iscomplex(x: Any) -> TracedTensor:
    """Whether the imaginary part is not zero, as booleans.

    >>> iscomplex([1 + 1j, 2.0]).tolist()
    [True, False]
    """
    return not_equal(imag(x), 0)


@named
def iscomplexobj(x: Any) -> bool:
    """Whether the dtype is a complex one.

    >>> iscomplexobj([1.0]), iscomplexobj(1j)
    (False, True)
    """
    return operand(x).type.is_complex


@named
def isrealobj(x: Any) -> bool:
    """Whether the dtype is none of the complex ones.

    >>> isrealobj([1.0])
    True
    """
    return not iscomplexobj(x)


@named
def isscalar(element: Any) -> bool:
    """Whether it is a number of Python's or NumPy's. As in NumPy an array of no dimensions is none.

    >>> isscalar(3.0), isscalar([3.0])
    (True, False)
    """
    return np.isscalar(element)


@named
def iterable(y: Any) -> bool:
    """Whether one can iterate over it.

    >>> iterable([1]), iterable(1)
    (True, False)
    """
    return operand(y).type.ndim > 0 if isinstance(y, Node) else np.iterable(y)


@named
def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> TracedTensor:
    """Whether shapes and all elements are equal: one boolean, not evaluated.

    >>> array_equal([1, 2], [1.0, 2.0]).item(), array_equal([1, 2], 1).item()
    (True, False)
    """
    x, y = operand(a1), operand(a2)
    return _equal(x, y, equal_nan) if x.type.shape == y.type.shape else operand(False)


@named
def array_equiv(a1: Any, a2: Any) -> TracedTensor:
    """Whether the two broadcast to arrays that are equal: one boolean, not evaluated.

    >>> array_equiv([1, 1], 1).item()
    True
    """
    x, y = operand(a1), operand(a2)
    try:
        broadcast_shapes(x.type.shape, y.type.shape)
    except ShapeError:
        return operand(False)
    return _equal(x, y, False)


def _equal(x: TracedTensor, y: TracedTensor, equal_nan: bool) -> TracedTensor:
    same = equal(x, y)
    if equal_nan and x.type.inexact and y.type.inexact:
        same = logical_or(same, logical_and(isnan(x), isnan(y)))
    return all(same)


@named
def real_if_close(a: Any, tol: float = 100) -> TracedTensor:
    """The real part of a complex array whose imaginary parts are all within `tol` rounding units of zero, which
    evaluates it; else the array. A `tol` of at most 1 is the bound itself.

    >>> real_if_close([1 + 1e-15j]).tolist()
    [1.0]
    """
    x = operand(a)
    if not x.type.is_complex:
        return x
    bound = tol * np.finfo(x.type.dtype).eps if tol > 1 else tol
    return real(x) if builtins.bool(np.all(np.abs(value(imag(x))) < bound)) else x


# -- dtypes -----------------------------------------------------------------------------------------------------------


@named
def can_cast(from_: Any, to: Any, casting: Any = "safe") -> bool:
    """Whether a dtype, or that of an array, can be cast to another; by default without loss.

    >>> can_cast("int32", "float64"), can_cast("float64", "float32")
    (True, False)
    """
    return np.can_cast(from_.type.dtype if isinstance(from_, Node) else from_, to, casting)


@named
def common_type(*arrays: Any) -> np.dtype[Any]:
    """The least inexact dtype that holds all arrays; integers are float64.

    Raises `DtypeError` for booleans.

    >>> common_type([1], [1j])
    dtype('complex128')
    """
    dtypes = [operand(a).type.dtype for a in arrays]
    for position, d in enumerate(dtypes):
        if d.kind == "b":
            raise DtypeError("no numbers", operation="common_type", position=position, got=d, wanted="numbers")
    return np.result_type(np.float32, *(DTYPES["f8"] if d.kind == "i" else d for d in dtypes))

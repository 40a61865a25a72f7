"""Arrays made from values and sizes, with NumPy's names; and evaluation of several tensors together.

In: shapes (sizes may be symbolic), numbers, anything array-like; `dtype` is float64 where NumPy's is.
Out: a `TracedTensor`; nothing here is differentiable with respect to (that is `TracedTensor.from_tensor`).
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nbgraph.api.elementwise import check_device, stop_gradient
from nbgraph.api.shapes import expand_dims, moveaxis, reshape, shape_of
from nbgraph.dims import DimExpr, dim_max
from nbgraph.engine import Engine, evaluate, value
from nbgraph.errors import TOLD, DtypeError, ShapeError, named, not_an_engine, tell
from nbgraph.leaves import constant_of
from nbgraph.node import Node
from nbgraph.promote import apply, as_code, common, has_tensor, operand, result_code, to_inexact, weak
from nbgraph.trees import flatten, leaves, unflatten
from nbgraph.types import CODES, DTYPES, Size, TensorType, code_of

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor

# -- from values ------------------------------------------------------------------------------------------------------


def asarray(a: Any, dtype: Any = None, order: Any = None, *, device: Any = None, copy: Any = None) -> TracedTensor:
    """A tensor from anything array-like, lists with tensors in them included; a tensor as it is.

    Arrays are copied, unless nobody can write to them, whatever `copy` says. Raises `DtypeError` for what holds no
    numbers.

    >>> asarray([1, 2]).dtype
    dtype('int64')
    """
    check_device(device)
    x = operand(a)
    return x if dtype is None else as_code(x, code_of(dtype))


asanyarray = ascontiguousarray = asfortranarray = asarray


#: NumPy's own limit.
_MOST_DIMENSIONS = 64


@named
def array(
    object: Any, dtype: Any = None, *, copy: Any = True, order: Any = "K", subok: bool = False, ndmin: int = 0
) -> TracedTensor:
    """A tensor from anything array-like, with at least `ndmin` dimensions. The other arguments are of no account.

    >>> array([1, 2], ndmin=2).tolist()
    [[1, 2]]
    """
    x = asarray(object, dtype)
    if ndmin > _MOST_DIMENSIONS:
        raise ShapeError("too many dimensions", operation="array", position="ndmin", got=ndmin, wanted="at most 64")
    return x if x.type.ndim >= ndmin else expand_dims(x, tuple(range(ndmin - x.type.ndim)))


@named
def copy(a: Any, order: Any = "K", subok: bool = False) -> TracedTensor:
    """The tensor itself, as it is immutable; a tensor of a copy of anything else.

    >>> copy([1, 2]).tolist()
    [1, 2]
    """
    return asarray(a)


@named
def from_dlpack(x: Any, /, *, device: Any = None, copy: Any = None) -> TracedTensor:
    """A constant from what another library gives by DLPack; a tensor as it is. The memory is copied.

    >>> from_dlpack(np.array([1.0])).tolist()
    [1.0]
    """
    check_device(device)
    return x if isinstance(x, Node) else operand(np.array(np.from_dlpack(x)))  # type: ignore[return-value]


def constant(a: Any, dtype: Any = None) -> TracedTensor:
    """A leaf that is not differentiated: what depends on nothing else forgets its history when evaluated.

    A tensor gives its value without derivative (`stop_gradient`).

    >>> constant([1.0, 2.0]).dtype
    dtype('float64')
    """
    if isinstance(a, Node) or has_tensor(a):
        return stop_gradient(asarray(a, dtype))
    made: Any = constant_of(a, None if dtype is None else code_of(dtype))
    return made  # type: ignore[no-any-return]


# -- from sizes -------------------------------------------------------------------------------------------------------


@named
def full(shape: Any, fill_value: Any, dtype: Any = None, order: str = "C", *, device: Any = None) -> TracedTensor:
    """An array of one value (or of one that broadcasts).

    >>> full((2,), 1.5).tolist()
    [1.5, 1.5]
    """
    return _filled(asarray(fill_value, dtype, device=device), shape)


def _filled(value: TracedTensor, shape: Any) -> TracedTensor:
    made: TracedTensor = apply("broadcast_to", value, shape=shape_of(shape))
    return made


@named
def zeros(shape: Any, dtype: Any = None, order: str = "C", *, device: Any = None) -> TracedTensor:
    """Zeros.

    >>> zeros((2, 2)).tolist()
    [[0.0, 0.0], [0.0, 0.0]]
    """
    check_device(device)
    return _filled(weak(0, _code(dtype)), shape)


@named
def ones(shape: Any, dtype: Any = None, order: str = "C", *, device: Any = None) -> TracedTensor:
    """Ones.

    >>> ones(2, int).tolist()
    [1, 1]
    """
    check_device(device)
    return _filled(weak(1, _code(dtype)), shape)


empty = zeros


@named
def full_like(
    a: Any,
    fill_value: Any,
    dtype: Any = None,
    order: str = "K",
    subok: bool = True,
    shape: Any = None,
    *,
    device: Any = None,
) -> TracedTensor:
    """An array of one value, in the shape and dtype of another.

    >>> full_like([1, 2], 7).tolist()
    [7, 7]
    """
    return _filled_like(operand(a).type, fill_value, dtype, shape, device)


def _filled_like(t: TensorType, value: Any, dtype: Any, shape: Any, device: Any) -> TracedTensor:
    check_device(device)
    code = t.code if dtype is None else code_of(dtype)
    value = weak(value, code) if type(value) is int else as_code(operand(value), code)
    return _filled(value, t.shape if shape is None else shape)


@named
def zeros_like(
    a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *, device: Any = None
) -> TracedTensor:
    """Zeros in the shape and dtype of another array.

    >>> zeros_like([1.5, 2.5]).tolist()
    [0.0, 0.0]
    """
    return _filled_like(operand(a).type, 0, dtype, shape, device)


@named
def ones_like(
    a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *, device: Any = None
) -> TracedTensor:
    """Ones in the shape and dtype of another array.

    >>> ones_like([1.5, 2.5]).tolist()
    [1.0, 1.0]
    """
    return _filled_like(operand(a).type, 1, dtype, shape, device)


empty_like = zeros_like


@named
def eye(N: Any, M: Any = None, k: int = 0, dtype: Any = None, order: str = "C", *, device: Any = None) -> TracedTensor:
    """A matrix with ones on the k-th diagonal.

    >>> eye(2, 3, 1).tolist()
    [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    check_device(device)
    n, m = _size(N), _size(N if M is None else M)
    made: TracedTensor = apply("eye", n=n, m=m, k=operator.index(k), code=_code(dtype))
    return made


@named
def identity(n: Any, dtype: Any = None) -> TracedTensor:
    """The identity matrix.

    >>> identity(2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    return eye(n, dtype=dtype)


def _code(dtype: Any) -> str:
    return "f8" if dtype is None else code_of(dtype)


def _size(n: Any) -> Any:
    return n if type(n) is DimExpr else operator.index(n)


@named
def counted(n: Size, code: str = "i8") -> TracedTensor:
    """0, 1, ... n - 1, for a size that may be symbolic."""
    made: TracedTensor = apply("iota", n=_size(n), code=code)
    return made


@named
def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None, *, device: Any = None) -> TracedTensor:
    """start, start + step, ... before stop; `arange(n)` counts from 0. Integers may be symbolic sizes.

    >>> arange(3).tolist(), arange(1, 2, 0.5).tolist()
    ([0, 1, 2], [1.0, 1.5])
    """
    check_device(device)
    start, stop = (0, start) if stop is None else (start, stop)
    if any(type(i) is DimExpr for i in (start, stop)):
        return _symbolic_arange(start, stop, operator.index(step), code_of(dtype or "i8"))
    given = [_number("arange", i) for i in (start, stop, step)]
    code = result_code(*map(type, given)) if dtype is None else code_of(dtype)
    if given[2] == 0:
        raise ShapeError("the step is zero", operation="arange", got=step, wanted="a step that is not zero")
    values = np.arange(*given, dtype=DTYPES[code])
    values.setflags(write=False)
    return constant(values)


def _symbolic_arange(start: Any, stop: Any, step: int, code: str) -> TracedTensor:
    span = stop - start if step > 0 else start - stop
    n = (span + (abs(step) - 1)) // abs(step)
    steps = counted(n, code)
    return steps if (start, step) == (0, 1) else as_code(steps * step + start, code)


def _number(name: str, x: Any) -> Any:
    """A Python number from one, or from a 0-d array."""
    value = x.item() if hasattr(x, "item") else x
    if type(value) not in (bool, int, float):
        raise ShapeError("not a number", operation=name, got=x, wanted="real numbers or symbolic sizes")
    return value


@named
def linspace(
    start: Any,
    stop: Any,
    num: Any = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
    *,
    device: Any = None,
) -> Any:
    """`num` evenly spaced values from start to stop, along a new axis; both ends are differentiable.

    With `retstep` the pair of them and the step. `num` may be a symbolic size.

    >>> linspace(0, 1, 5).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    check_device(device)
    a, b = (to_inexact(x) for x in common(start, stop))
    num = _size(num)
    if isinstance(num, int) and num < 0:
        raise ShapeError("negative size", operation="linspace", got=num, wanted="num >= 0")
    ndim = max(a.type.ndim, b.type.ndim)
    t = as_code(reshape(_shares(num, endpoint), (num, *(1,) * ndim)), a.type.real_code)
    values = a * (1 - t) + b * t  # exact at both ends
    if dtype is not None:
        values = as_code(apply("floor", values) if code_of(dtype)[0] == "i" else values, code_of(dtype))
    values = values if axis == 0 else moveaxis(values, 0, axis)
    if not retstep:
        return values
    count = num - 1 if endpoint else num
    return values, operand(np.nan) if isinstance(count, int) and count <= 0 else (b - a) / count


def _shares(num: Size, endpoint: bool) -> TracedTensor:
    """`num` values from 0 to 1."""
    if isinstance(num, int):
        return constant(np.linspace(0.0, 1.0, num, endpoint))
    steps = dim_max(num - 1, 1) if endpoint else num
    shares: TracedTensor = counted(num, "f8") / steps
    return shares


# -- dtypes, evaluation -----------------------------------------------------------------------------------------------


@named
def result_type(*args: Any) -> np.dtype[Any]:
    """NumPy 2's common dtype of tensors, arrays, dtypes and Python numbers.

    >>> result_type("float32", 1.5)
    dtype('float32')
    """
    return DTYPES[result_code(*map(_kind, args))]


def _kind(x: Any) -> Any:
    if type(x) in (bool, int, float, complex):
        return type(x)
    if isinstance(x, str | type | np.dtype):
        return code_of(x)
    return CODES[operand(x).dtype]


def eval(*tensors: Any, engine: Engine | None = None, bindings: Any = None) -> tuple[Any, ...]:
    """The values of several tensors as read-only ndarrays, computed together: what they share runs once.

    A container of tensors gives the same container of arrays.

    >>> x = constant(2.0)
    >>> eval(x * x, {"more": x + 1, "less": x - 1})
    (array(4.), {'less': array(1.), 'more': array(3.)})
    """
    try:  # not by `named`: it costs a loop .2 us
        if len(tensors) == 1 and engine is None and bindings is None and isinstance(tensors[0], Node):
            return (value(tensors[0]),)
        return _of(tensors, engine, bindings)
    except TOLD as error:
        tell(error, eval)
        raise


def _of(tensors: Sequence[Any], engine: Engine | None, bindings: Any) -> tuple[Any, ...]:
    if engine is not None and not isinstance(engine, Engine):
        raise not_an_engine(engine)
    if bindings is None and tensors and all(isinstance(t, Node) for t in tensors):  # no containers
        return (value(tensors[0], engine),) if len(tensors) == 1 else tuple(evaluate(tensors, engine))
    if any(isinstance(t, Engine) for t in tensors):
        raise DtypeError("an engine is no tensor", operation="eval", hint="write nbg.eval(x, y, engine=engine)")
    given = [t if isinstance(t, Node) or any(isinstance(i, Node) for i in leaves(t)) else operand(t) for t in tensors]
    found, structure = flatten(given)
    return tuple(unflatten(structure, evaluate([operand(t) for t in found], engine, bindings)))

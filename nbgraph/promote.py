"""Operands: anything array-like becomes a node, and the operands of one operation get one dtype.

In: tensors, ndarrays, NumPy scalars, Python numbers, lists. Out: nodes in NumPy 2's common dtype, and the operation
recorded on them.
Holds: Python numbers (exactly `bool`, `int`, `float`, `complex`) are weak: they take the dtype of what they meet.
NumPy scalars are strong, `np.float64` too although it is a `float`. A number is a run-time operand, but the exponent
of a power, which is structure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np

import nbgraph.ops  # noqa: F401  (registers the operations)
from nbgraph import joins
from nbgraph.dims import DimExpr
from nbgraph.errors import DtypeError, NumberError, ShapeError, user_place
from nbgraph.leaves import array_constant, constant_of, scalar
from nbgraph.node import Node
from nbgraph.op import REGISTRY, Op
from nbgraph.trace import infer, is_weak, record_as
from nbgraph.trace import record1 as _record1
from nbgraph.trace import record2 as _record2
from nbgraph.types import CODES, DTYPES, Shape, are_lasting

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor

__all__ = [
    "BOUND",
    "along",
    "apply",
    "as_code",
    "binary",
    "bound",
    "common",
    "compare",
    "divide",
    "inexact_binary",
    "joined",
    "joined_before",
    "no_out",
    "operand",
    "power",
    "result_code",
    "unary",
]

WEAK = {bool: "b1", int: "i8", float: "f8", complex: "c16"}
_NUMBERS = {code: number for number, code in WEAK.items()}

record1 = cast("Callable[[Op, Node], TracedTensor]", _record1)
record2 = cast("Callable[[Op, Node, Node], TracedTensor]", _record2)

_ASTYPE = {code: REGISTRY["astype"](code) for code in DTYPES}
_DIVIDE, _POWER, _SQRT, _SIGN = (REGISTRY[name]() for name in ("divide", "power", "sqrt", "sign"))
_ADD, _MULTIPLY = REGISTRY["add"](), REGISTRY["multiply"]()
_INTEGER_POWER, _REAL_POWER = REGISTRY["integer_power"], REGISTRY["real_power"]

#: Integral exponents up to here are `integer_power`: exact derivatives of every order.
_LARGEST_EXPONENT = 64


# -- one operand ------------------------------------------------------------------------------------------------------

#: Scalars seen before: a leaf is immutable, and one for each distinct number will do.
SCALARS: dict[tuple[Any, str], TracedTensor] = {}
_SCALARS_LIMIT = 4096
_LARGEST_SINGLE = 3.4e38


def weak(value: Any, code: str) -> TracedTensor:
    """A Python number in dtype `code`."""
    found = SCALARS.get((value, code))
    return new_weak(value, code) if found is None else found


def new_weak(value: Any, code: str) -> TracedTensor:
    """A Python number in dtype `code` that `SCALARS` does not have as it stands."""
    key = (value, code)
    if not value:
        key = ("0" if type(value) is int else repr(value), code)  # zeros of either sign are equal
        found = SCALARS.get(key)
        if found is not None:
            return found
    found = _new_scalar(value, code)
    if type(value) is not complex and value == value:  # the parts of complex zeros have signs; NaN is not equal to NaN
        if len(SCALARS) >= _SCALARS_LIMIT:
            SCALARS.clear()
        SCALARS[key] = found
    return found


def _new_scalar(value: Any, code: str) -> TracedTensor:
    try:
        if code in ("f4", "c8") and not abs(value) < _LARGEST_SINGLE:
            with np.errstate(over="ignore"):
                return cast("TracedTensor", scalar(value, code))
        return cast("TracedTensor", scalar(value, code))
    except OverflowError:
        raise NumberError(
            f"the Python integer is out of bounds for {DTYPES[code]}",
            got=value if abs(value) < 10**30 else "a very large integer",
            hint="convert the tensor with .astype, or use a float",
        ) from None


def operand(x: Any) -> TracedTensor:
    """A tensor from a tensor, an array, a number or nested lists of numbers (which become constants); lists with
    tensors in them are joined.

    Raises `DtypeError` for what holds no numbers.
    """
    if isinstance(x, Node):
        return x  # type: ignore[return-value]
    if type(x) is np.ndarray:
        return cast("TracedTensor", array_constant(x))
    code = WEAK.get(type(x))
    if code is not None:
        return weak(x, code)
    if isinstance(x, np.generic) and x.dtype in CODES:
        return cast("TracedTensor", scalar(x, CODES[x.dtype]))
    if isinstance(x, DimExpr):
        return _in_code(x, "i8")
    if has_tensor(x):
        return stacked(common(*[operand(i) for i in x]), 0)
    return cast("TracedTensor", constant_of(x))


def has_tensor(x: Any) -> bool:
    """Whether nested lists have a tensor in them."""
    return isinstance(x, (list, tuple)) and any(isinstance(i, Node) or has_tensor(i) for i in x)


def stacked(nodes: Sequence[TracedTensor], axis: int) -> TracedTensor:
    """Nodes of one dtype, and of one shape as far as that is known, joined along a new axis."""
    first, types = nodes[0].type, [n.type for n in nodes]
    if types.count(first) == len(types):
        if first.concrete and joins.grows(nodes):
            return joins.join(nodes, axis, True)  # type: ignore[return-value]
    else:
        for position, t in enumerate(types):
            if t.ndim != first.ndim or differ(t.shape, first.shape):
                wanted = f"the shape of the first, {first.shape}"
                raise ShapeError("shapes differ", operation="stack", position=position, got=t.shape, wanted=wanted)
    return joined("stack", nodes, axis)


def joined_before(name: str, arrays: Any, axis: Any) -> TracedTensor | None:
    """The join, where it is of tensors of types that were joined before; else None (the hot path)."""
    if type(axis) is not int or type(arrays) not in (list, tuple):
        return None
    key: list[Any] = [name, axis]
    try:
        for x in arrays:  # in half the time of a comprehension
            key.append(x.type)
    except AttributeError:  # other operands
        return None
    before = BOUND.get(tuple(key))
    if before is None:
        return None
    op, sizes, t = before
    if joins.grows(arrays, 1) and all(n.type.concrete for n in arrays):
        return joins.join(arrays, axis % t.ndim, name == "stack")  # type: ignore[return-value]
    made: TracedTensor = record_as(t, op, tuple(arrays), sizes)
    return made


def joined(name: str, nodes: Sequence[Node], axis: int) -> TracedTensor:
    """Nodes of one dtype joined along an axis, which `stack` adds and `concatenate` does not."""
    key = (name, axis, *[n.type for n in nodes])
    op, sizes, t = BOUND.get(key) or bound(key, *nodes, axis=axis)
    made: TracedTensor = record_as(t, op, tuple(nodes), sizes)
    return made


def differ(a: Shape, b: Shape) -> bool:
    """Whether two shapes of one rank cannot be the same."""
    return a is not b and any(type(x) is int and type(y) is int and x != y for x, y in zip(a, b, strict=True))


def no_out(name: str, out: Any) -> None:
    """Tensors are immutable: NumPy's `out` is there for its place in the signature."""
    if out is not None:
        told: Any = {"got": type(out).__name__, "wanted": "None", "hint": "without `out` it gives a new tensor"}
        raise DtypeError("writes into no array", operation=name, position="out", **told)


def as_code(x: TracedTensor, code: str) -> TracedTensor:
    """x in dtype `code`."""
    return x if x.type.code == code else record1(_ASTYPE[code], x)


def to_inexact(x: TracedTensor) -> TracedTensor:
    """x itself, or as float64 where it is of integers or booleans."""
    return x if x.type.inexact else record1(_ASTYPE["f8"], x)


#: Operations, sizes and result types bound before, by everything that they depend on.
BOUND: dict[Any, Any] = {}
_BOUND_LIMIT = 20_000


def apply(name: str, *xs: Node, **params: Any) -> Any:
    """Records an operation by its name, with its parameters and sizes; a tuple where it has several results."""
    parts: list[Any] = [name]
    for x in xs:  # in half the time of a comprehension
        parts.append(x.type)
    key = (*parts, *params.items())
    op, sizes, t = BOUND.get(key) or bound(key, *xs, **params)
    return record_as(t, op, xs, sizes)


def bound(key: Any, *xs: Node, **params: Any) -> Any:
    """The operation that a name and keywords mean, its sizes, and its type, as `BOUND` will have them under the key: a
    tuple of the name, and in some form of the types and the keywords."""
    types = tuple([x.type for x in xs])
    op, sizes = REGISTRY[key[0]].bind(types, **params)
    found = op, sizes, infer(op, types, sizes)
    if all(t.lasting for t in types) and are_lasting(sizes):
        if len(BOUND) >= _BOUND_LIMIT:
            BOUND.clear()
        BOUND[key] = found
    return found


#: Operations bound before, by name, rank and axis.
ALONG: dict[tuple[str, int, Any], Op] = {}


def along(name: str, x: Node, axis: Any) -> TracedTensor:
    """Records an operation that rank and axis (an int, a tuple or list of them, None) say all about."""
    key = (name, x.type.ndim, tuple(axis) if isinstance(axis, list | range) else axis)
    try:
        op = ALONG.get(key)
        if op is None:
            op = ALONG[key] = REGISTRY[name].bind([x.type], axis=key[2])[0]
    except DtypeError:
        raise
    except TypeError:
        wanted = "an integer, or a tuple of them"
        raise DtypeError("no axis", operation=name, position="axis", got=repr(axis), wanted=wanted) from None
    return record1(op, x)


# -- the common dtype -------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def result_code(*kinds: Any) -> str:
    """NumPy 2's common dtype of dtype codes and types of Python numbers.

    >>> result_code("f4", float), result_code("i4", float), result_code("f4", "i4")
    ('f4', 'f8', 'f8')
    """
    return CODES[np.result_type(*(DTYPES[k] if isinstance(k, str) else k(0) for k in kinds))]


def common(*xs: Any) -> list[TracedTensor]:
    """Operands in their common dtype."""
    if len(xs) == 2:
        x, y = xs
        if isinstance(x, Node):
            if isinstance(y, Node):
                if x.type.code == y.type.code:
                    return [x, y]  # type: ignore[list-item]
            elif type(y) in (float, int) and x.type.inexact:  # a number takes the dtype of what it meets
                return [x, weak(y, x.type.code)]  # type: ignore[list-item]
            elif type(y) is np.ndarray and y.dtype is x.type.dtype:
                return [x, array_constant(y)]  # type: ignore[list-item]
        elif type(x) in (float, int) and isinstance(y, Node) and y.type.inexact:
            return [weak(x, y.type.code), y]  # type: ignore[list-item]
        elif type(x) is np.ndarray and isinstance(y, Node) and x.dtype is y.type.dtype:
            return [array_constant(x), y]  # type: ignore[list-item]
    elif all(isinstance(x, Node) for x in xs) and len({x.type.code for x in xs}) == 1:
        return list(xs)
    known = [x if type(x) in WEAK or type(x) is DimExpr else operand(x) for x in xs]
    code = result_code(*map(_kind, known))
    return [_in_code(x, code) for x in known]


def _kind(x: Any) -> Any:
    """What an operand counts as in promotion: a dtype code, or a type of Python numbers (sizes are ints)."""
    if isinstance(x, Node):
        return _NUMBERS[x.type.code] if x.type.code in _NUMBERS and is_weak(x) else x.type.code
    return int if type(x) is DimExpr else type(x)


def _in_code(x: Any, code: str) -> TracedTensor:
    if isinstance(x, Node):
        return as_code(cast("TracedTensor", x), code)
    if type(x) is DimExpr:
        return cast("TracedTensor", apply("size_value", code=code, n=x))
    return weak(x, code)


# -- elementwise operations -------------------------------------------------------------------------------------------


def unary(op: Op, x: Any) -> TracedTensor:
    """An operation of inexact operands; integers and booleans become float64."""
    x = operand(x)
    return record1(op, x if x.type.inexact else record1(_ASTYPE["f8"], x))


def binary(op: Op, a: Any, b: Any) -> TracedTensor:
    """An operation of two operands in their common dtype."""
    if isinstance(a, Node) and isinstance(b, Node) and a.type.code == b.type.code:
        return record2(op, a, b)
    x, y = common(a, b)
    return record2(op, x, y)


def inexact_binary(op: Op, a: Any, b: Any) -> TracedTensor:
    """An operation of two inexact operands in their common dtype; integers and booleans become float64."""
    x, y = common(a, b)
    if x.type.inexact and y.type.inexact:
        return record2(op, x, y)
    return record2(op, to_inexact(x), to_inexact(y))


def divide(a: Any, b: Any) -> TracedTensor:
    """The quotient; of integers and booleans it is float64."""
    return inexact_binary(_DIVIDE, a, b)


def compare(op: Op, a: Any, b: Any) -> TracedTensor:
    """A comparison. Python integers beyond the other operand's dtype compare as the numbers they are."""
    a, b = _comparable(a, b), _comparable(b, a)
    return binary(op, a, b)


def _comparable(x: Any, other: Any) -> Any:
    """x, in a wider dtype where it is a Python integer that the other operand's cannot hold."""
    if type(x) is not int or abs(x) < 2**31:
        return x
    if not -(2**63) <= x < 2**63:
        return math.inf if x > 0 else -math.inf
    return np.int64(x) if operand(other).type.code == "i4" else x


# -- powers -----------------------------------------------------------------------------------------------------------


def power(a: Any, b: Any) -> TracedTensor:
    """a ** b. A number as exponent is structure, if it is the same each time; a tensor is a run-time operand."""
    if type(b) is int and isinstance(a, Node) and a.type.inexact and b in COMMON_POWERS:
        return record1(COMMON_POWERS[b], a)
    kind, exponent = _constant_exponent(b)
    if exponent is None:
        return _tensor_power(*common(a, b))
    x = operand(a)
    base: Any = type(a) if type(a) in WEAK else x.type.code
    return _constant_power(as_code(x, result_code(base, kind)), exponent)


def _constant_exponent(b: Any) -> tuple[Any, int | float | None]:
    """What the exponent counts as in promotion, and its value where it is a real number."""
    kind: Any = type(b)
    if isinstance(b, np.generic | np.ndarray) and b.ndim == 0 and b.dtype in CODES and b.dtype.kind in "if":
        kind, b = CODES[b.dtype], b.item()
    is_number = type(b) in (bool, int, float) and math.isfinite(b)
    return (kind, b) if is_number else (None, None)


def _constant_power(x: TracedTensor, p: int | float) -> TracedTensor:
    if x.type.code == "b1":
        x = as_code(x, "i8")
    if not x.type.inexact and p < 0:
        raise NumberError(
            "integers to negative integer powers are not allowed",
            operation="power", got=p, wanted="an exponent >= 0", hint="use a float: x ** -1.0",
        )  # fmt: skip
    if x.type.inexact and not x.type.is_complex and p not in COMMON_POWERS and _varies(p):
        return record2(_POWER, x, weak(float(p), x.type.code))
    if p == int(p) and (abs(p) <= _LARGEST_EXPONENT or not x.type.inexact):
        return record1(_INTEGER_POWER(int(p)), x)
    return record1(_SQRT, x) if p == 0.5 else record1(_REAL_POWER(float(p)), x)


#: Operations x ** n for exponents that are structure wherever they are.
COMMON_POWERS = {n: _INTEGER_POWER(n) for n in (-2, -1, 2, 3)}
#: By place of the user's program, the first exponent there that is not common; None where there were others.
_EXPONENTS: dict[Any, Any] = {}


def _varies(p: float) -> bool:
    """Whether the exponent at the user's place is another one than before: then it is a run-time operand, as in the
    `x ** k` of a power series."""
    if p == 0.5:
        return False
    place = user_place(2)
    if len(_EXPONENTS) >= _BOUND_LIMIT:
        _EXPONENTS.clear()
    first = _EXPONENTS.setdefault(place, p)
    if first is not None and first != p:
        _EXPONENTS[place] = None
        return True
    return first is None


def _tensor_power(x: TracedTensor, y: TracedTensor) -> TracedTensor:
    """Integers by way of float64, so exact below 2**53."""
    code = x.type.code
    result = record2(_POWER, to_inexact(x), to_inexact(y))
    if x.type.inexact:
        return result
    half = record2(_MULTIPLY, record1(_SIGN, result), weak(0.5, "f8"))
    return as_code(record2(_ADD, result, half), "i8" if code == "b1" else code)

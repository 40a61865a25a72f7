"""Products with NumPy's names: matmul, dot, inner, outer, tensordot, einsum.

In: anything array-like, operands in any dtypes. Out: a `TracedTensor`, not evaluated, in the common dtype.
Holds: every product is one operation, `contract`, for each pair of operands. Sizes that do not fit raise
`ShapeError`. Nothing but `vdot` conjugates.
"""

from __future__ import annotations

import operator
import string
from collections.abc import Hashable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nbgraph.api.elementwise import conj
from nbgraph.api.shapes import diagonal, ravel, squeeze, transpose
from nbgraph.contraction import Contraction, Diagonal, Squeeze, Sum, path_finder, plan_einsum
from nbgraph.errors import ShapeError, named
from nbgraph.labels import dot_labels, inner_labels, matmul_labels, outer_labels, tensordot_labels
from nbgraph.node import Node
from nbgraph.op import REGISTRY
from nbgraph.promote import along, as_code, common, no_out, operand, record2
from nbgraph.trace import concrete_size
from nbgraph.types import TensorType, code_of

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor

_CONTRACT = REGISTRY["contract"]

#: For a pair of types: what to squeeze of each, the contraction, and whether that is all there is to it.
MATMULS: dict[Any, Any] = {}
_MATMULS_LIMIT = 20_000


def matmul(x1: Any, x2: Any) -> TracedTensor:
    """The matrix product over the last two axes; batch dimensions broadcast, vectors are rows or columns.

    >>> matmul([[1, 2], [3, 4]], [1, 1]).tolist()
    [3, 7]
    """
    x, y = common(x1, x2)
    squeeze_x, squeeze_y, op, _ = MATMULS.get((x.type, y.type)) or _plan_matmul(x, y)
    if squeeze_x:
        x = squeeze(x, squeeze_x)
    if squeeze_y:
        y = squeeze(y, squeeze_y)
    return record2(op, x, y)


def _plan_matmul(x: TracedTensor, y: TracedTensor) -> Any:
    lasting = x.type.lasting and y.type.lasting
    product = (matmul_labels if lasting else matmul_labels.__wrapped__)(x.type.shape, y.type.shape)
    plain = x.type.code == y.type.code and not product.squeeze_a and not product.squeeze_b
    plan = (product.squeeze_a, product.squeeze_b, _CONTRACT(product.a, product.b, product.out), plain)
    if lasting:
        if len(MATMULS) >= _MATMULS_LIMIT:
            MATMULS.clear()
        MATMULS[x.type, y.type] = plan
    return plan


def dot(a: Any, b: Any, out: None = None) -> TracedTensor:
    """The sum over the last axis of a and the last but one of b (the only one of a vector).

    >>> dot([1, 2], [3, 4]).item()
    11
    """
    no_out("dot", out)
    x, y = common(a, b)
    return _contract("dot", x, y, dot_labels(x.type.ndim, y.type.ndim))


@named
def inner(a: Any, b: Any) -> TracedTensor:
    """The sum over the last axes of both.

    >>> inner([[1, 2], [3, 4]], [1, 1]).tolist()
    [3, 7]
    """
    x, y = common(a, b)
    return _contract("inner", x, y, inner_labels(x.type.ndim, y.type.ndim))


@named
def vdot(a: Any, b: Any) -> TracedTensor:
    """The sum of conj(a) * b over all elements.

    >>> vdot([1j, 2], [1j, 1]).item()
    (3+0j)
    """
    x, y = common(a, b)
    return _contract("vdot", conj(ravel(x)), ravel(y), dot_labels(1, 1))


@named
def outer(a: Any, b: Any, out: None = None) -> TracedTensor:
    """Every element of a (flattened) times every element of b.

    >>> outer([1, 2], [3, 4]).tolist()
    [[3, 4], [6, 8]]
    """
    no_out("outer", out)
    x, y = common(a, b)
    return _contract("outer", ravel(x), ravel(y), outer_labels(1, 1))


@named
def tensordot(a: Any, b: Any, axes: Any = 2) -> TracedTensor:
    """The sum over pairs of axes: a number of them (the last of a, the first of b), or the axes of each.

    >>> tensordot([[1, 2], [3, 4]], [[1, 0], [0, 1]]).item()
    5
    """
    x, y = common(a, b)
    if not isinstance(axes, int):
        axes = tuple([axis if isinstance(axis, int) else tuple(axis) for axis in axes])
    return _contract("tensordot", x, y, _tensordot_labels(x.type.ndim, y.type.ndim, axes))


_tensordot_labels = lru_cache(tensordot_labels)


def _contract(name: str, x: TracedTensor, y: TracedTensor, labels: Any) -> TracedTensor:
    try:
        return record2(_contraction(labels), x, y)
    except ShapeError as error:
        error.operation = name
        raise


@lru_cache(maxsize=4096)
def _contraction(labels: Any) -> Any:
    """The operation of labels, remembered: they are long to look up one by one."""
    return _CONTRACT(*labels)


# -- einsum -----------------------------------------------------------------------------------------------------------


def einsum(
    *operands: Any,
    out: None = None,
    optimize: Any = "auto",
    dtype: Any = None,
    order: str = "K",
    casting: str = "safe",
) -> TracedTensor:
    """A sum of products over labelled dimensions, of any number of operands.

    `einsum("ij,jk->ik", a, b)` or `einsum(a, [0, 1], b, [1, 2], [0, 2])`; ellipses as in NumPy. `optimize` says how the
    order of contraction is found (as `opt_einsum.contract_path`, or NumPy's pair of a name and a number of elements),
    or is a path. Operands are cast to `dtype`; `order` and `casting` are of no account.

    >>> einsum("i,ij,j", [1, 2], [[1, 0], [0, 1]], [1, 2]).item()
    5
    """
    no_out("einsum", out)
    subscripts, given = _string_form(operands)
    values: list[Any] = list(common(*given)) if given else []
    if dtype is not None:
        values = [as_code(v, code_of(dtype)) for v in values]
    if not values:
        raise ShapeError("no operands", operation="einsum", got=operands, wanted="subscripts and operands")
    if optimize != "auto":
        optimize = path_finder(optimize)
    types = [v.type for v in values]
    steps_of = _einsum_steps if all(t.lasting for t in types) else _einsum_steps.__wrapped__
    for step in steps_of(subscripts, optimize, *types):
        values.append(_einsum_step(step, values))
    made: TracedTensor = values[-1]
    return made


@named
def einsum_path(*operands: Any, optimize: Any = "greedy", einsum_call: bool = False) -> tuple[list[Any], str]:
    """The order in which an einsum contracts, to be given as `optimize`, and a description of what it costs.

    >>> einsum_path("ij,jk,kl->il", [[1]], [[1]], [[1]])[0]
    ['einsum_path', (0, 1), (0, 1)]
    """
    subscripts, given = _string_form(operands)
    nodes = [operand(x) for x in given]
    shapes = [tuple(concrete_size(d, "a size of a path") for d in n.type.shape) for n in nodes]
    blanks = [np.broadcast_to(np.zeros((), n.type.dtype), shape) for n, shape in zip(nodes, shapes, strict=True)]
    found: Any = np.einsum_path(subscripts, *blanks, optimize=optimize)
    return found  # type: ignore[no-any-return]


class Product(NamedTuple):
    """A step that contracts two values."""

    left: int
    right: int
    op: Any


@lru_cache(maxsize=4096)
def _einsum_steps(subscripts: str, optimize: Any, *types: TensorType) -> list[Any]:
    """The steps of an einsum of these types."""
    steps: list[Any] = []
    for step in plan_einsum(subscripts, tuple(t.shape for t in types), optimize):
        product = type(step) is Contraction
        steps.append(Product(step.left, step.right, _CONTRACT(step.a, step.b, step.out)) if product else step)  # type: ignore[union-attr]
    return steps


def _einsum_step(step: Any, values: list[Any]) -> Any:
    if type(step) is Product:
        return record2(step.op, values[step.left], values[step.right])
    x = values[step.operand]
    if type(step) is Sum:
        return as_code(along("sum", x, step.axes), x.type.code)
    if type(step) is Diagonal:
        return diagonal(x, 0, step.axis1, step.axis2)
    return squeeze(x, step.axes) if type(step) is Squeeze else transpose(x, step.axes)


def _string_form(operands: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """Subscripts and operands from either form of the arguments."""
    if operands and isinstance(operands[0], str):
        return operands[0], operands[1:]
    *_, last = operands or (None,)
    given = list(operands[1::2]) if len(operands) % 2 == 0 else [*operands[1:-1:2], last]
    labels = [_label_list(part) for part in given]
    if len(operands) < 2 or not all(isinstance(part, list) for part in labels):
        wanted = "subscripts as a string, or lists of labels after the operands"
        raise ShapeError("wrong arguments", operation="einsum", got=f"{len(operands)} arguments", wanted=wanted)
    names = {part for each in labels for part in each if part is not Ellipsis}
    letter = {name: _letter(i) for i, name in enumerate(sorted(names))}
    terms = ["".join("..." if part is Ellipsis else letter[part] for part in each) for each in labels]
    n = len(operands) // 2
    return ",".join(terms[:n]) + (f"->{terms[n]}" if len(terms) > n else ""), operands[: 2 * n : 2]


def _label_list(part: Any) -> Any:
    """The labels of a list, tuple, range or vector of integers of them; None of anything else."""
    if isinstance(part, np.ndarray):
        return part.tolist() if part.ndim == 1 and part.dtype.kind in "iu" else None
    if not isinstance(part, list | tuple | range) or any(
        isinstance(p, Node) or not isinstance(p, Hashable) for p in part
    ):
        return None
    return [operator.index(p) if isinstance(p, np.integer) else p for p in part]


def _letter(i: int) -> str:
    """The i-th letter in sorted order, so that labels left to a default order keep theirs."""
    letters = string.ascii_uppercase + string.ascii_lowercase
    return letters[i] if i < len(letters) else chr(0x4E00 + i)

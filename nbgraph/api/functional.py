"""Functions of functions, with NumPy's names: pieces, slices and elements that a function of the user's is applied to.

In: a function of tensors, and anything array-like. Out: what it returns for each slice or piece, joined as one
`TracedTensor`. Holds: the function is called on tensors, so its results have derivatives; it is recorded once for each
slice or element, where the whole array at once is cheaper if the function takes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from nbgraph.api.creation import zeros_like
from nbgraph.api.gather import axis_of, value
from nbgraph.api.grids import indices
from nbgraph.api.indexing import getitem, setitem
from nbgraph.api.joining import stack
from nbgraph.api.shapes import broadcast_shapes, broadcast_to, expand_dims, moveaxis, reshape
from nbgraph.errors import ShapeError, named
from nbgraph.promote import as_code, operand
from nbgraph.trace import concrete_size
from nbgraph.types import Shape, code_of

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


@named
def piecewise(x: Any, condlist: Any, funclist: Sequence[Any], *args: Any, **kw: Any) -> TracedTensor:
    """In the dtype of x: where a condition holds, its function of those elements (or its number).

    The last one that holds counts. One function more than conditions is for the rest, which is 0 otherwise. Conditions
    are evaluated.

    >>> piecewise([-1.0, 4.0], [[True, False], [False, True]], [lambda t: -t, lambda t: t**0.5]).tolist()
    [1.0, 2.0]
    """
    x = operand(x)
    given = condlist if isinstance(condlist, list | tuple) and condlist and np.ndim(condlist[0]) else [condlist]
    masks = [np.broadcast_to(value(c).astype(bool), tuple(map(int, x.type.shape))) for c in given]
    if len(funclist) == len(masks) + 1:
        masks.append(~np.any(masks, axis=0))
    if len(funclist) != len(masks):
        got, wanted = f"{len(given)} conditions, {len(funclist)} functions", "as many, or one function more"
        raise ShapeError("functions do not match conditions", operation="piecewise", got=got, wanted=wanted)
    made = zeros_like(x)
    for mask, f in zip(masks, funclist, strict=True):
        if mask.any():
            made = setitem(made, mask, f(getitem(x, mask), *args, **kw) if callable(f) else f)
    return made


@named
def fromfunction(function: Callable[..., Any], shape: Any, *, dtype: Any = float, **kwargs: Any) -> Any:
    """What a function returns for the arrays of indices along each axis.

    >>> fromfunction(lambda i, j: i + 10 * j, (2, 2), dtype=int).tolist()
    [[0, 10], [1, 11]]
    """
    return function(*indices(shape, dtype), **kwargs)


@named
def apply_along_axis(func1d: Callable[..., Any], axis: int, arr: Any, *args: Any, **kwargs: Any) -> TracedTensor:
    """A function of vectors, for each vector along an axis; the dimensions of its result take the place of that axis.

    >>> apply_along_axis(lambda v: v / v.sum(), 1, [[1.0, 3.0], [2.0, 2.0]]).tolist()
    [[0.25, 0.75], [0.5, 0.5]]
    """
    x = operand(arr)
    at = axis_of("apply_along_axis", axis, x.type.ndim)
    moved = moveaxis(x, at, -1)
    shape = _concrete(moved.type.shape[:-1])
    found = [operand(func1d(getitem(moved, place), *args, **kwargs)) for place in np.ndindex(shape)]
    if not found:
        raise ShapeError(
            "no vectors", operation="apply_along_axis", position=2, got=x.type.shape, wanted="at least one"
        )
    joined = reshape(stack(found), (*shape, *found[0].type.shape))
    behind = range(len(shape), joined.type.ndim)
    return moveaxis(joined, tuple(behind), tuple(range(at, at + len(behind))))


@named
def apply_over_axes(func: Callable[..., Any], a: Any, axes: Any) -> TracedTensor:
    """func(a, axis), again and again for each of the axes, which stay as dimensions.

    >>> apply_over_axes(lambda x, axis: x.sum(axis), [[1, 2], [3, 4]], (0, 1)).tolist()
    [[10]]
    """
    x = operand(a)
    for axis in axes if isinstance(axes, Sequence) else (axes,):
        at = axis_of("apply_over_axes", axis, x.type.ndim)
        made = operand(func(x, at))
        made = made if made.type.ndim == x.type.ndim else expand_dims(made, at)
        if made.type.ndim != x.type.ndim:
            wanted = f"{x.type.ndim} dimensions, or one less"
            raise ShapeError("wrong rank of a result", operation="apply_over_axes", got=made.type.shape, wanted=wanted)
        x = made
    return x


def _concrete(shape: Shape) -> tuple[int, ...]:
    return tuple(concrete_size(d, "a size that is iterated over") for d in shape)


# -- vectorize --------------------------------------------------------------------------------------------------------

_TERM = re.compile(r"\(([^()]*)\)")


@named
def vectorize(
    pyfunc: Callable[..., Any] | None = None,
    otypes: Any = None,
    doc: str | None = None,
    excluded: Any = None,
    cache: bool = False,
    signature: str | None = None,
) -> Any:
    """A function of scalars (or, by a signature like "(n),(n)->()", of small arrays) as one of arrays that broadcast.

    It is called with tensors, once for each element: write functions of whole arrays where that is possible.
    `otypes` gives dtypes of results; arguments whose positions or names are in `excluded` are passed as they are.
    `cache` is of no account. Also a decorator.

    >>> vectorize(lambda a, b: a - b if a > b else a + b)([1, 2, 3, 4], 2).tolist()
    [3, 4, 1, 2]
    """
    if pyfunc is None or isinstance(pyfunc, str):
        return lambda f: vectorize(f, otypes, doc, excluded, cache, signature)
    f, skipped = pyfunc, set(excluded or ())
    codes = None if otypes is None else [code_of(np.dtype(t)) for t in otypes]

    def vectorized(*args: Any, **kwargs: Any) -> Any:
        places: list[Any] = [k for k in range(len(args)) if k not in skipped]
        names = [n for n in kwargs if n not in skipped]
        given = [operand(a) for a in (*(args[k] for k in places), *(kwargs[n] for n in names))]

        def called(xs: Sequence[Any]) -> Any:
            mixed, named = list(args), dict(kwargs)
            for k, x in zip(places, xs, strict=False):
                mixed[k] = x
            named.update(zip(names, xs[len(places) :], strict=True))
            return f(*mixed, **named)

        return _looped(called, given, _core_ranks(signature, len(given)), codes)

    vectorized.__name__ = getattr(f, "__name__", "vectorized")
    vectorized.__doc__ = doc or f.__doc__
    return vectorized


def _core_ranks(signature: str | None, n: int) -> list[int]:
    """How many dimensions a call takes of each operand."""
    if signature is None:
        return [0] * n
    terms = _TERM.findall(signature.split("->")[0])
    if "->" not in signature or len(terms) != n:
        wanted = f'one for {n} operands, such as "(n),(n)->()"'
        raise ShapeError("signature does not fit", operation="vectorize", got=repr(signature), wanted=wanted)
    return [len([d for d in t.split(",") if d.strip()]) for t in terms]


def _looped(f: Callable[[Sequence[Any]], Any], given: list[TracedTensor], ranks: list[int], codes: Any) -> Any:
    """f of the parts of operands at each place of their common leading dimensions, joined."""
    for position, (x, rank) in enumerate(zip(given, ranks, strict=True)):
        if x.type.ndim < rank:
            wanted = f"at least {rank} dimensions"
            raise ShapeError("wrong rank", operation="vectorize", position=position, got=x.type.shape, wanted=wanted)
    lead = [x.type.shape[: x.type.ndim - rank] for x, rank in zip(given, ranks, strict=True)]
    loop = _concrete(broadcast_shapes(*lead))
    wide = [broadcast_to(x, (*loop, *x.type.shape[len(own) :])) for x, own in zip(given, lead, strict=True)]
    rows = [f([getitem(x, place) for x in wide]) for place in product(*map(range, loop))]
    if not rows:
        raise ShapeError(
            "no elements to call the function with", operation="vectorize", got=loop, wanted="at least one"
        )
    several = isinstance(rows[0], tuple)
    columns = list(zip(*rows, strict=True)) if several else [rows]
    joined = [stack([operand(v) for v in column]) for column in columns]
    made = [reshape(x, (*loop, *x.type.shape[1:])) for x in joined]
    made = made if codes is None else [as_code(x, c) for x, c in zip(made, codes, strict=True)]
    return tuple(made) if several else made[0]

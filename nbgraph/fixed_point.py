"""`fixed_point`: the solution of x = f(x, args), differentiated by the equation that it solves.

In: a contraction, where to start, its arguments. Out: x*, recorded as one operation on all that f reads.
Holds: f runs once, on a node without value; what it recorded that depends on x is the step, the rest is recorded in
the caller's graph, once. The loop is inside of the operation (`nbgraph.iterate`) and leaves no history.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any, cast

from nbgraph.custom_trace import fragment_of
from nbgraph.decided import Decided, names_of, undecided
from nbgraph.engine import Engine
from nbgraph.errors import ConcretizationError, DtypeError, ShapeError, guarded
from nbgraph.iterate import FixedPoint
from nbgraph.jit import TRACES
from nbgraph.node import Node, _next_seq
from nbgraph.opened import region_of
from nbgraph.promote import operand
from nbgraph.trace import formal, record

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor

__all__ = ["fixed_point"]


def _state(given: Any, what: str) -> Any:
    if isinstance(given, dict | set) or (is_dataclass(given) and not isinstance(given, type)):
        raise DtypeError(
            f"{what} is one tensor", operation="fixed_point", got=type(given).__name__, wanted="anything array-like",
            hint="join its parts: nbg.concatenate, nbg.stack",
        )  # fmt: skip
    return operand(given)


@guarded
def fixed_point(
    f: Callable[..., Any],
    x0: Any,
    *args: Any,
    tol: float = 1e-12,
    max_iter: int = 1000,
    engine: Engine | None = None,
) -> Any:
    """The tensor x with x = f(x, *args), by iteration from `x0`, of the shape and dtype of x0 (float or complex).

    Ends when a step changes x by at most `tol * (1 + max|x|)`, `tol` being at least four times the rounding of 1.
    It is recorded, like any operation, and runs when it is evaluated (with `engine`: at once); `f` is traced once, so
    the arguments need no values and may be placeholders of any size. The derivative by whatever `f` reads, arguments
    or tensors from elsewhere, real or complex, is that of the equation, whatever the number of steps, in either mode
    and to any order; that by `x0` is zero. It solves a dense system as large as x.

    Raises `LinAlgError` when it runs if `max_iter` steps do not suffice or x is not finite, `ShapeError` or
    `DtypeError` if a step gives another type, `ConcretizationError` if the data decide a size in a step.

    >>> import nbgraph as nbg
    >>> a = nbg.TracedTensor.from_tensor(2.0)
    >>> x = nbg.fixed_point(lambda x, a: (x + a / x) / 2, 1.0, a)
    >>> print(f"{x:.6f} {x.grad(a):.6f}")
    1.414214 0.353553
    """
    start = _state(x0, "the state")
    if start.dtype.kind not in "fc":
        raise DtypeError(operation="fixed_point", position="x0", got=start.dtype, wanted="a float or complex dtype")
    before, x = _next_seq(), cast("TracedTensor", formal(start.type, "fixed_point"))
    with TRACES.here():
        out = _state(f(x, *args), "the result of a step")
    if out.dtype != x.dtype:
        raise DtypeError("a step changes the dtype", operation="fixed_point", got=out.dtype, wanted=x.dtype)
    if not _may_be_equal(out.shape, x.shape):
        raise ShapeError("a step changes the shape", operation="fixed_point", got=out.shape, wanted=x.shape)
    region, (result,) = region_of([out], before)
    inside = _made_of(x, region)
    known = {id(x), *map(id, inside)}
    if id(result) not in known:
        return result
    outside = list({id(i): i for n in inside for i in n.inputs if id(i) not in known}.values())
    if _made_of(x, region_of(undecided(_names_in([*inside, *outside])), before)[0]):
        raise ConcretizationError(
            "the data decide a size in a step",
            operation="fixed_point",
            hint="write the loop in Python, with an eval in each step, or keep the size: nbg.where, a mask",
        )
    step, words = fragment_of([x, *outside], inside, [result])
    found = record(FixedPoint(step), [start, operand(float(tol)), *outside], sizes=(int(max_iter), *words))
    if engine is not None:
        found.eval(engine)
    return found


def _may_be_equal(a: Sequence[Any], b: Sequence[Any]) -> bool:
    """Whether two shapes are equal at some sizes."""
    return len(a) == len(b) and not any(type(d - e) is int and d != e for d, e in zip(a, b, strict=True))


def _made_of(x: Node, region: Sequence[Node]) -> list[Node]:
    """The nodes of a region that depend on x."""
    known, found = {id(x)}, []
    for node in region:
        if any(id(i) in known for i in node.inputs):
            known.add(id(node))
            found.append(node)
    return found


def _names_in(nodes: Sequence[Node]) -> set[Decided]:
    """The names of sizes decided by data that nodes have."""
    return {name for n in nodes if not n.type.lasting for name in names_of((*n.type.shape, *n.sizes))}

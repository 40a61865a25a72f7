"""What `TracedTensor.grad`, `.vjp` and `.jvp` do: check what is asked for, derive, put back into the structure.

In: a tensor, what to differentiate by (a tensor or a container of them), cotangents or tangents.
Out: lazy tensors. Holds: whatever has no derivative is a `DifferentiationError` that says which, why, and what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbgraph import api, derive
from nbgraph.errors import DifferentiationError, DtypeError, ShapeError
from nbgraph.node import Node
from nbgraph.promote import as_code, operand, weak
from nbgraph.trees import flatten, unflatten
from nbgraph.within import note

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


def gradient(loss: TracedTensor, wrt: Any, allow_unused: bool) -> Any:
    """The gradient of a real scalar."""
    if loss.type.shape != () or loss.type.code[0] != "f":
        raise DifferentiationError(
            "the gradient is of a real scalar",
            operation="grad",
            got=loss.type,
            wanted="float64[] or float32[]",
            hint="reduce it to one real number, by .sum() or nbg.real; .vjp takes any shape and dtype",
        )
    ct = weak(1, loss.type.code)
    if isinstance(wrt, Node) and _why_not(wrt) is None:
        note([loss], [wrt])
        found = derive.vjp([(loss, ct)], [wrt])[0]  # the common case, without containers
        if found is not None:
            return found
    return _pull("grad", loss, wrt, ct, allow_unused)


def cotangent(out: TracedTensor, wrt: Any, ct: Any, allow_unused: bool) -> Any:
    """The cotangent of `wrt` from one of `out`."""
    return _pull("vjp", out, wrt, in_type("vjp", "ct", ct, out), allow_unused)


def tangent(out: TracedTensor, wrt: Any, along: Any) -> TracedTensor:
    """The tangent of `out` when `wrt` moves along a tangent."""
    leaves, tree = targets("jvp", wrt)
    given, other = flatten(along if tree.cls is not None else operand(along))
    if other != tree:
        raise ShapeError("tangent has another structure", operation="jvp", got=other, wanted=tree)
    tangents = [in_type("jvp", "tangent", t, w) for t, w in zip(given, leaves, strict=True)]
    _check_inexact("jvp", out)
    note([out], leaves)
    derive.seal(tangents)
    found: Any = derive.jvp([out], list(zip(leaves, tangents, strict=True)))[0]
    if found is None:
        raise _unused("jvp", 0, out.type, "this tensor depends on nothing in wrt")
    return found  # type: ignore[no-any-return]


def _pull(operation: str, out: TracedTensor, wrt: Any, ct: TracedTensor, allow_unused: bool) -> Any:
    leaves, tree = targets(operation, wrt)
    _check_inexact(operation, out)
    note([out], leaves)
    found: list[Any] = list(derive.vjp([(out, ct)], leaves))
    for position, (w, g) in enumerate(zip(leaves, found, strict=True)):
        if g is None:
            if not allow_unused:
                raise _unused(operation, position, w.type, "it is not in the graph of this tensor")
            found[position] = api.zeros_like(w)
    return unflatten(tree, found)


def _check_inexact(operation: str, out: TracedTensor) -> None:
    if not out.type.inexact:
        hint = "convert it with .astype('float64')"
        raise DifferentiationError(
            "integers and booleans have no derivative", operation=operation, got=out.type, hint=hint
        )


def targets(operation: str, wrt: Any) -> tuple[list[Any], Any]:
    """The tensors to differentiate by, and the structure they came in."""
    found, tree = flatten(wrt)
    for position, w in enumerate(found):
        problem = _why_not(w)
        if problem is not None:
            message, hint = problem
            got = w.type if isinstance(w, Node) else type(w).__name__
            raise DifferentiationError(
                message, operation=operation, position=f"{position} of wrt", got=got,
                wanted="a TracedTensor of real or complex floating point", hint=hint,
            )  # fmt: skip
    return found, tree


def _why_not(w: Any) -> tuple[str, str] | None:
    """Why one cannot differentiate by w, and what to do; None if one can."""
    if not isinstance(w, Node):
        return "not a tensor", "make it with TracedTensor.from_tensor and compute with that"
    if not w.type.inexact:
        return "integers and booleans have no derivative", "convert it with .astype('float64')"
    if not w.active and w.op is None and w.call is None:
        return "a constant is not differentiated by", "make it with TracedTensor.from_tensor"
    return None


def _unused(operation: str, position: int, got: Any, message: str) -> DifferentiationError:
    return DifferentiationError(
        message, operation=operation, position=f"{position} of wrt", got=got,
        hint="differentiate by a tensor that was used (.eval() values carry no history)"
        + ("" if operation == "jvp" else "; allow_unused=True gives zeros"),
    )  # fmt: skip


def in_type(operation: str, name: str, given: Any, like: TracedTensor) -> TracedTensor:
    """A tangent or cotangent in the dtype of the value it belongs to; its shape must be that value's."""
    x, t = operand(given), like.type
    same = x.type.ndim == t.ndim and all(
        a == b or not (type(a) is int and type(b) is int) for a, b in zip(x.type.shape, t.shape, strict=True)
    )
    if not same:
        raise ShapeError("another shape", operation=operation, position=name, got=x.type.shape, wanted=t.shape)
    if x.type.is_complex and not t.is_complex:
        raise DtypeError("another dtype", operation=operation, position=name, got=x.type.dtype, wanted=t.dtype)
    return as_code(x, t.code)

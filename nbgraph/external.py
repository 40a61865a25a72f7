"""`custom_op`: operations from outside, with a kernel of the user's.

In: the rules of an operation as functions. Out: a function of tensors that records it.
Holds: it is an operation like any other: fused around, saved, compiled, kept on disk, differentiated by its own rules
to any order. Its machine code is called by what the kernel does (`nbgraph.source_digest`), so that another kernel is
never taken for it. The rules are handed the builder `b`, as those inside of the library are (docs/add-an-operation.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nbgraph.errors import DifferentiationError, DtypeError, ShapeError, guarded
from nbgraph.kinds import Kernel
from nbgraph.op import REGISTRY, Op, Sizes
from nbgraph.promote import operand
from nbgraph.source_digest import digest_of
from nbgraph.trace import record
from nbgraph.types import Shape, TensorType, code_of

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor

__all__ = ["ShapeDtypeStruct", "custom_op"]

_NAME = re.compile(r"[A-Za-z_]\w*")


@guarded
def ShapeDtypeStruct(shape: Sequence[Any], dtype: Any) -> TensorType:
    """The type of a result: its shape and its dtype (JAX's name).

    >>> ShapeDtypeStruct((2, 3), "float32")
    float32[2, 3]
    """
    return TensorType(code_of(dtype), tuple(shape))


@guarded
def custom_op(
    name: str,
    *,
    infer: Callable[..., Any],
    kernel: Callable[..., Any],
    reference: Callable[..., Any] | None = None,
    linearize: Callable[..., Any] | None = None,
    transpose: Callable[..., Any] | None = None,
    params: Sequence[str] = (),
    results: int = 1,
    unique: bool = True,
    costly: bool = False,
    failure: str | None = None,
) -> Callable[..., Any]:
    """Registers an operation, and returns the function of tensors that records it.

    - `infer(cx, *types)`: the type of the result, or a tuple of `results` types. A type has `shape`, `dtype`, `ndim`,
      `with_shape(shape)`; `nbg.ShapeDtypeStruct(shape, dtype)` makes one. Sizes may be symbolic: `+ - * //` work,
      `cx.same(a, b)` demands that two are equal and returns it. Raise `nbg.ShapeError`, `nbg.DtypeError` for what does
      not fit.
    - `kernel(*outs, *operands)`: a Python function of arrays that Numba can compile (or one that `numba.njit` made). It
      writes its results into `outs`. Arrays are C-contiguous, indices are not checked, and it may neither allocate nor
      raise.
    - `reference(*operands)`: the same with NumPy, returning the results: the meaning, and what runs until it pays to
      compile. Without one that is `kernel` itself, in Python.
    - `linearize(b, ins, outs, tangents)`: the tangent of the result (of each of several), None being an exact zero, in
      and out. `transpose(b, ct, ins, active)`: for what is linear in the operands `active` together, a tuple of their
      cotangents, None for the others. Rules get keys of values and make new ones by the builder: `b.mul(x, y)`,
      `b.sum(x, axes=(0,))`, `b.name(x)` for this operation. A rule that is missing is an error only where it is needed.
    - `params`: names of keywords that are structure (an order, a mode): hashable, handed to every rule as keywords, to
      the kernel as further arguments.
    - `unique=False`: another run may give another right answer; `costly`: keep results for the backward pass.
    - `failure`: what it means if the kernel returns a status above 0, which raises `nbg.LinAlgError`.

    A name that is in use already is taken over if it was the user's, and refused if it is the library's.

    >>> import numpy as np
    >>> def kernel(out, x):
    ...     total = 0.0
    ...     for i in range(x.shape[0]):
    ...         total += x[i]
    ...         out[i] = total
    >>> running = custom_op(
    ...     "doc_running_sum",
    ...     infer=lambda cx, x: x,
    ...     reference=lambda x: np.cumsum(x),
    ...     kernel=kernel,
    ...     linearize=lambda b, ins, outs, tangents: b.doc_running_sum(tangents[0]),
    ...     transpose=lambda b, ct, ins, active: (b.flip(b.doc_running_sum(b.flip(ct, axis=0)), axis=0),),
    ... )
    >>> running([1.0, 2.0, 3.0]).tolist()
    [1.0, 3.0, 6.0]
    """
    _check_name(name)
    rules = {"infer": infer, "kernel": kernel, "reference": reference, "linearize": linearize, "transpose": transpose}
    for what, rule in rules.items():
        if rule is not None and not callable(rule):
            raise DtypeError(f"`{what}` is no function", operation=name, got=type(rule).__name__)
    hooks = {f"_{what}": None if rule is None else staticmethod(rule) for what, rule in rules.items()}
    traits = {"unique": unique, "costly": costly, "n_out": results, "fallible": failure is not None}
    cls: Any = type(
        f"External_{name}",
        (External,),
        {"name": name, "params": tuple(params), "failure": failure or "failed", "__slots__": (), **hooks, **traits},
    )

    @wraps(kernel)
    def recorded(*operands: Any, **given: Any) -> TracedTensor:
        op = cls(*_parameters(name, cls.params, given))
        made: TracedTensor = record(op, [operand(x) for x in operands])
        return made

    recorded.__name__ = recorded.__qualname__ = name
    recorded.__doc__ = kernel.__doc__
    del recorded.__wrapped__
    return recorded


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise DtypeError("no name for an operation", operation="custom_op", got=repr(name), wanted="an identifier")
    known = REGISTRY.get(name)
    if known is not None and not issubclass(known, External):
        raise DtypeError(
            "the name is that of an operation of the library", operation="custom_op", got=repr(name), wanted="another"
        )


def _parameters(name: str, names: Sequence[str], given: dict[str, Any]) -> list[Any]:
    if set(given) != set(names):
        got, wanted = ", ".join(given) or "none", ", ".join(names) or "none"
        raise DtypeError("keywords do not fit", operation=name, got=got, wanted=wanted)
    for key, value in given.items():
        try:
            hash(value)
        except TypeError:
            wanted = "something hashable"
            raise DtypeError(
                "a parameter is structure", operation=name, position=key, got=value, wanted=wanted
            ) from None
    return [given[key] for key in names]


class External(Kernel):
    """The base of operations from outside: the hooks of an operation, by the user's functions."""

    _infer: ClassVar[Any]
    _kernel: ClassVar[Any]
    _reference: ClassVar[Any]
    _linearize: ClassVar[Any]
    _transpose: ClassVar[Any]

    def __reduce__(self) -> Any:
        return _restored, (self.name, self._values)

    @property
    def given(self) -> dict[str, Any]:
        """The parameters as keywords."""
        return dict(zip(self.params, self._values, strict=True))

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> Any:
        made = self._infer(cx, *ins, **self.given)
        found = tuple(made) if isinstance(made, tuple | list) else (made,)
        if len(found) != self.n_out or not all(isinstance(t, TensorType) for t in found):
            wanted = "a type" if self.n_out == 1 else f"a tuple of {self.n_out} types"
            hint = "a type comes from an operand's, or from nbg.ShapeDtypeStruct(shape, dtype)"
            raise ShapeError("`infer` returned no types", operation=self.name, got=made, wanted=wanted, hint=hint)
        return found if self.n_out != 1 else found[0]

    # -- values -------------------------------------------------------------------------------------------------------

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        types = self.infer(Sizes(), [TensorType(code_of(np.asarray(x).dtype), np.shape(x)) for x in ins], sizes)
        wanted = types if isinstance(types, tuple) else (types,)
        if self._reference is None:
            return self._in_python(ins, wanted)
        made = self._reference(*ins, **self.given)
        found = tuple(np.asarray(x) for x in made) if self.n_out != 1 else (np.asarray(made),)
        got = [(x.dtype, x.shape) for x in found]
        if got != [(t.dtype, t.shape) for t in wanted]:
            shown = ", ".join(f"{d}{list(s)}" for d, s in got)
            raise ShapeError("`reference` and `infer` disagree", operation=self.name, got=shown, wanted=wanted)
        # a result of its own: an operand may be handed through
        found = tuple(x.copy() if any(np.shares_memory(x, y) for y in ins) else x for x in found)
        return found if self.n_out != 1 else found[0]

    def _in_python(self, ins: Sequence[Any], types: Sequence[TensorType]) -> Any:
        outs = tuple(np.empty(t.shape, t.dtype) for t in types)
        f = getattr(self._kernel, "py_func", self._kernel)
        status = f(*outs, *(np.ascontiguousarray(x).reshape(np.shape(x)) for x in ins), *self._values)
        if self.fallible and status:
            raise self.failed(int(status))
        return outs if self.n_out != 1 else outs[0]

    # -- code ---------------------------------------------------------------------------------------------------------

    @property
    def kernel(self) -> str:  # type: ignore[override]
        from nbgraph_kernels import registry

        name = f"user-{self.name}-{digest_of(self._kernel, self._values, self.fallible)[:32]}"
        registry.declare(name, _Build(self._kernel, self._values, self.fallible))
        return name

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        arrays = [*outs, *ins]
        code = "-".join(f"{a.type.code}_{a.type.ndim}" for a in arrays)
        lw.call(self.kernel, code, *(a.address for a in arrays), *(d for a in arrays for d in a.type.shape))

    # -- derivatives --------------------------------------------------------------------------------------------------

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        if self._linearize is None:
            raise self._missing("linearize")
        made = self._linearize(b, ins, outs, tangents, **self.given)
        self._check_count("linearize", made, self.n_out)
        return made

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        if self._transpose is None:
            raise self._missing("transpose")
        made = self._transpose(b, ct, ins, active, **self.given)
        if not isinstance(made, tuple):
            wanted = "a tuple: a cotangent for each operand, or None"
            raise ShapeError(
                "`transpose` returned no tuple", operation=self.name, got=type(made).__name__, wanted=wanted
            )
        self._check_count("transpose", made, len(ins))
        return made

    def _missing(self, rule: str) -> DifferentiationError:
        return DifferentiationError(
            f"the operation has no `{rule}` rule", operation=self.name, hint=f"give nbg.custom_op the function {rule}="
        )

    def _check_count(self, rule: str, made: Any, n: int) -> None:
        got = len(made) if isinstance(made, tuple) else 1
        if got != n and not (rule == "linearize" and made is None):
            raise ShapeError(f"`{rule}` returned another number of things", operation=self.name, got=got, wanted=n)


class _Build:
    """Makes the function over words of a kernel, for dtypes and ranks that a code like "f8_1-f8_1" says."""

    def __init__(self, function: Any, numbers: tuple[Any, ...], returns: bool) -> None:
        self.function, self.numbers, self.returns = function, numbers, returns

    def __call__(self, dtype: str) -> Any:
        from nbgraph_kernels import user

        arrays = [(code, int(rank)) for code, rank in (part.split("_") for part in dtype.split("-"))]
        return user.build(self.function, arrays, self.numbers, self.returns)


def _restored(name: str, values: tuple[Any, ...]) -> Op:
    """An operation of a pickle."""
    cls = REGISTRY.get(name)
    if cls is None:
        raise DtypeError("the operation is not registered here", operation=name, hint="import what calls nbg.custom_op")
    made: Op = cls(*values)
    return made

"""What an operation is: one class that holds everything known about it.

In: parameters (what is structure: axes, exponents, modes). Sizes (slice bounds, reshape sizes, repeat counts) are
not parameters: they travel beside the operands and are run-time words.
Out: an interned `Op` instance: equal class and parameters are one object, hashed by identity.
Holds: an operation names other operations only through the builder `b` that its rules are handed, so the files of
`nbgraph.ops` never import each other; whoever adds a class adds it to `REGISTRY` by defining it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from nbgraph.errors import DifferentiationError, ShapeError
from nbgraph.types import Shape, Size, TensorType
from nbgraph_kernels.locks import lock

REGISTRY: dict[str, type[Op]] = {}
_LOCK = lock()


class Sample(NamedTuple):
    """One case for the law tests: operands, the operation and its sizes."""

    op: Op
    args: tuple[np.ndarray[Any, Any], ...]
    sizes: tuple[int, ...] = ()
    smooth: bool = True  # False: at these operands the derivative is not defined, so only values are tested


class Expression(NamedTuple):
    """Source that computes a result from operands `{0}`, `{1}`, and what the other `{names}` in it are. `fresh`: the
    result is an array, or a number, that nothing else refers to."""

    text: str
    names: Mapping[str, Any] = {}
    fresh: bool = True


class Sizes:
    """How a shape rule compares sizes while tracing: `same` returns the common size or raises."""

    def same(self, a: Size, b: Size) -> Size:
        if a is not b and type(a - b) is int and a != b:  # of symbolic sizes, too, where it cannot be otherwise
            raise ShapeError("sizes differ", got=a, wanted=b)
        return b if type(b) is int else a

    def broadcast(self, name: str, types: Sequence[TensorType]) -> Shape:
        """The broadcast shape of the operands, aligned at the right (NumPy's rule)."""
        rank = max(t.ndim for t in types)
        shape: list[Size] = [1] * rank
        for position, t in enumerate(types):
            for axis, d in enumerate(t.shape, rank - t.ndim):
                if d == 1:
                    continue
                if shape[axis] == 1:
                    shape[axis] = d
                elif shape[axis] is not d and shape[axis] != d:
                    shape[axis] = self._join(name, position, types, shape[axis], d)
        return tuple(shape)

    def _join(self, name: str, position: int, types: Sequence[TensorType], a: Size, b: Size) -> Size:
        try:
            return self.same(a, b)
        except ShapeError:
            shapes = " and ".join(str(t.shape) for t in types)
            raise ShapeError(
                "operands do not broadcast",
                operation=name,
                position=position,
                got=types[position].shape,
                wanted=f"shapes that broadcast together, got {shapes}",
                hint="align shapes at the right; insert axes with x[:, None] or nbg.expand_dims",
            ) from None


class Op:
    """Base of every operation. See docs/add-an-operation.md."""

    name: ClassVar[str] = ""
    #: Names of the parameters, in the order of the constructor.
    params: ClassVar[tuple[str, ...]] = ()
    #: Number of results; more than one makes the result a tuple.
    n_out: ClassVar[int] = 1
    #: False where another driver or another run may give another correct answer (eigenvectors, argmax, masks):
    #: such results are saved for the backward pass, never recomputed.
    unique: ClassVar[bool] = True
    #: True where a result costs much more to compute again than to keep: it is saved for the backward pass, too.
    costly: bool = False
    #: True where it can fail at run time (LAPACK's info); the user's line is then kept with the node.
    fallible: ClassVar[bool] = False
    #: The function to name when it fails, where that is not its own name.
    told_as: ClassVar[str] = ""
    #: What a failure means, for the message.
    failure: ClassVar[str] = "numerical failure"
    #: Results made of vectors that share one meaningless phase each: (result, axis that counts the vectors, 1, or -1
    #: where the phase is conjugated).
    phases: ClassVar[tuple[tuple[int, int, int], ...]] = ()
    #: True where the result may share memory with an operand in `reference`.
    is_view: ClassVar[bool] = False
    #: "linear": tangents only there to be pulled back; "pullback": the rule that does it (`nbgraph.custom_ops`).
    direction: ClassVar[str] = ""
    version: ClassVar[int] = 1

    _interned: ClassVar[dict[tuple[Any, ...], Op]] = {}
    __slots__ = ("__dict__", "_values")
    _values: tuple[Any, ...]

    def __init_subclass__(cls) -> None:
        if "name" in cls.__dict__ and cls.name:
            REGISTRY[cls.name] = cls

    def __new__(cls, *values: Any) -> Any:
        key = (cls, *values)
        found = Op._interned.get(key)
        if found is None:
            with _LOCK:
                found = Op._interned.get(key)
                if found is None:
                    found = object.__new__(cls)
                    found._values = values
                    found.__dict__.update(zip(cls.params, values, strict=True))
                    found = Op._interned.setdefault(key, found)  # a finaliser may have made it meanwhile
        return found

    def __reduce__(self) -> Any:
        return type(self), self._values

    def __copy__(self) -> Op:
        return self

    def __deepcopy__(self, memo: Any) -> Op:
        return self

    def __repr__(self) -> str:
        if not self._values:
            return self.name
        return f"{self.name}[{', '.join(f'{k}={v}' for k, v in zip(self.params, self._values, strict=True))}]"

    # -- what every operation says of itself ---------------------------------------------------------------

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        """The instance and the sizes for user-level keywords; overridden where they need normalising."""
        return cls(*(kwargs[p] for p in cls.params)), tuple(kwargs.get("sizes", ()))

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> Any:
        """Result type (or a tuple of types). Works on ints and on `DimExpr` alike."""
        raise TypeError(f"{self.name} has no shape rule")

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        """The NumPy meaning: the oracle of every test and the interpreter of the first tier."""
        raise TypeError(f"{self.name} has no reference")

    def function_of_operands(self) -> Any:
        """`reference` as a function of the operands one by one, where no size matters and there is a shorter way to it;
        else None. The interpreter of the first tier calls it."""
        return None

    def expression(self, types: Sequence[TensorType]) -> Expression | None:
        """The same as source, for operands of these dtypes and numbers of dimensions, where that is quicker to run."""
        return None

    def function_into(self) -> Any:
        """As `function_of_operands`, with an argument `out`, an array of the result's type that it fills; or None."""
        function = self.function_of_operands()
        return function if isinstance(function, np.ufunc) and function.nout == 1 else None

    def function_adding_at(self) -> Any:
        """A function (array, operands, sizes) that adds the result to an array, where that takes less than to make
        the result: most of it is zeros. None where there is none."""
        return None

    def function_adding(self) -> Any:
        """A function (total, operands one by one) that adds a large result to `total` in less time than making it and
        adding it take; or None."""
        return None

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        """Tangent of the result (a tuple where there are several results); `None` is an exact zero."""
        raise DifferentiationError(
            "has no derivative rule", operation=self.name, hint="wrap the operand in nbg.stop_gradient"
        )

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        """Cotangents of the active operands, of a call that is linear in them together."""
        raise DifferentiationError("is not linear in its operands, so it has no transpose", operation=self.name)

    def simplify(self, b: Any, ins: Any, sizes: Shape) -> Any:
        """An equal but cheaper value for these operands, or None (a rewrite rule kept beside its operation)."""
        return None

    def part(self, b: Any, ins: Any, sizes: Shape) -> Any:
        """(results, k): the value is the k-th of the results of an operation that gives more, or None. Where a program
        has that operation anyway, its result is taken."""
        return None

    def expand(self, b: Any, ins: Any, sizes: Shape) -> Any:
        """The same value made of operations that code can be generated for, or None where it can be already."""
        return None

    def failed(self, status: int) -> Exception:
        """The error that a kernel's positive status stands for: LAPACK's info."""
        return np.linalg.LinAlgError(f"{self.failure} (LAPACK info {status})")

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        """Cases of this dtype for the law tests; none where the dtype is not supported."""
        return ()


def sample_array(
    rng: np.random.Generator, code: str, shape: tuple[int, ...], low: float = -2.0, high: float = 2.0
) -> np.ndarray[Any, Any]:
    """A random array of any supported dtype with values in [low, high), for `samples`."""
    if code == "b1":
        return np.asarray(rng.random(shape) < 0.5)
    x = rng.uniform(low, high, shape)
    if code[0] == "c":
        x = x + 1j * rng.uniform(low, high, shape)
    return np.asarray(np.rint(x) if code[0] == "i" else x).astype(code)

"""The same value, chosen or held otherwise: selection, dtypes, copies, constants."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, final

import numpy as np

from nbgraph.errors import DtypeError
from nbgraph.kinds import ALL, INEXACT, Elementwise, Kernel
from nbgraph.op import Expression, Sample, Sizes, sample_array
from nbgraph.pointwise import Unary
from nbgraph.types import DTYPES, Shape, TensorType


@final
class Where(Elementwise):
    """x where the condition holds, else y; only the chosen branch has a derivative."""

    name = "where"

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        if ins[0].code != "b1":
            raise DtypeError("condition is not boolean", operation="where", position=0, got=ins[0].dtype, wanted="bool")
        return TensorType(self.check_codes(ins[1:]), cx.broadcast(self.name, ins))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        condition, x, y = ins
        if isinstance(condition, np.bool_) and isinstance(x, np.generic) and isinstance(y, np.generic):
            return x if condition else y  # numbers, in a tenth of np.where's time
        return np.where(condition, x, y)

    def scalar(self, code: str, *xs: str) -> str:
        return f"({xs[1]} if {xs[0]} else {xs[2]})"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        dx, dy = (b.zeros(b.type(k)) if t is None else t for k, t in zip(ins[1:], tangents[1:], strict=True))
        return b.where(ins[0], dx, dy)

    def adjoint(self, b: Any, ct: Any, ins: Any, active: Sequence[bool]) -> Any:
        zero = b.lit(0, ct)
        return (
            None,
            b.where(ins[0], ct, zero) if active[1] else None,
            b.where(ins[0], zero, ct) if active[2] else None,
        )

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        for c, x, y in (((3, 4), (3, 4), (3, 4)), ((4,), (3, 1), ()), ((), (2, 0), (1, 1))):
            mask = sample_array(rng, "b1", c)
            yield Sample(cls(), (mask, sample_array(rng, code, x), sample_array(rng, code, y)))


@final
class Divisor(Unary):
    """x, but 1 where it is 0: what can be divided by (rules of derivatives make it)."""

    name = "divisor"
    codes = INEXACT

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return self.function_of_operands()(ins[0])

    def function_of_operands(self) -> Any:
        number, where = np.generic, np.where

        def divisor(x: Any) -> Any:
            if isinstance(x, number):
                return x if x else type(x)(1)
            return where(x == 0, x.dtype.type(1), x)

        return divisor

    def expression(self, types: Sequence[TensorType]) -> Expression | None:
        one = types[0].dtype.type(1)
        return None if types[0].ndim else Expression("({0} or {one})", {"one": one}, fresh=False)

    def scalar(self, code: str, *xs: str) -> str:
        return f"({DTYPES[code].name}(1) if {xs[0]} == 0 else {xs[0]})"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return b.where(b.equal(ins[0], b.lit(0, ins[0])), b.lit(0, tangents[0]), tangents[0])

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        yield from super().samples(code, rng)
        if code in cls.codes.split():
            yield Sample(cls(), (np.array([0, 2, -0.0], code),), (), False)


@final
class Astype(Elementwise):
    """The value in another dtype; complex to real drops the imaginary part."""

    name = "astype"
    params = ("code",)
    code: str

    def result_code(self, code: str) -> str:
        return self.code

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        x = np.asarray(ins[0])
        if x.dtype.kind == "c" and self.code[0] not in "cb":
            x = x.real
        return x.astype(self.code)

    def scalar(self, code: str, *xs: str) -> str:
        x = xs[0]
        if self.code == "b1":
            return f"({x} != 0)"
        if code[0] == "c" and self.code[0] != "c":
            x = f"{x}.real"
        return f"{DTYPES[self.code].name}({x})"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return b.cast(tangents[0], self.code) if b.type(ins[0]).inexact else None

    def adjoint(self, b: Any, ct: Any, ins: Any, active: Sequence[bool]) -> Any:
        return (b.cast(ct, b.type(ins[0]).code),)

    def simplify(self, b: Any, ins: Any, sizes: Shape) -> Any:
        return ins[0] if b.type(ins[0]).code == self.code else None

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        for to in ALL.split():
            yield Sample(cls(to), (sample_array(rng, code, (2, 3)),))


@final
class Copy(Unary):
    """The same value in row-major memory of its own (code generation inserts it)."""

    name = "copy"
    function = np.array

    def scalar(self, code: str, *xs: str) -> str:
        return xs[0]

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return tangents[0]

    def adjoint(self, b: Any, ct: Any, ins: Any, active: Sequence[bool]) -> Any:
        return (ct,)


@final
class RowMajor(Kernel):
    """What `copy` gives, of a layout that is best read in pieces (code generation inserts it)."""

    name = "row_major"
    kernel = "permute"
    takes_layouts = True

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        return ins[0]

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return np.array(ins[0], order="C")

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        (x,), (out,) = ins, outs
        lw.call("permute", x.type.code, out.address, x.address, len(x.type.shape), *x.type.shape, *x.layout.strides)

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        return tangents[0]

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        for shape in ((3, 4), (2, 1, 3), (0, 2), ()):
            yield Sample(cls(), (sample_array(rng, code, shape),))


@final
class StopGradient(Unary):
    """The value, without a derivative."""

    name = "stop_gradient"
    function = staticmethod(lambda x: x)
    is_view = True

    def scalar(self, code: str, *xs: str) -> str:
        return xs[0]

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return None

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        for sample in super().samples(code, rng):
            yield sample._replace(smooth=False)  # its derivative is not that of its values


@final
class Literal(Elementwise):
    """A 0-d constant that is part of the structure (derivative rules use it)."""

    name = "literal"
    params = ("code", "value")
    code: str
    value: complex

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        return TensorType(self.code, ())

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return np.array(self.value, self.code)

    def function_of_operands(self) -> Any:
        number = self.reference((), ())[()]
        return lambda: number

    def scalar(self, code: str, *xs: str) -> str:
        kind = self.code[0]
        value = {"b": bool, "i": int, "f": float, "c": complex}[kind](self.value)
        return f"{DTYPES[self.code].name}({value!r})" if kind != "b" else repr(value)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        yield Sample(cls(code, 1), ())

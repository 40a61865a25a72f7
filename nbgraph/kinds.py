"""The kinds of operations, by how code is generated for them.

Every operation derives from one of these; a kind fixes `infer`'s checks, how broadcasting meets derivatives, and the
one small hook its code generation needs:

- `Elementwise`: `scalar`, a source expression for one element. Fused into loop nests.
- `Reduction`: `initial` and `combine`. Ends a loop nest.
- `View`: `relayout`, new strides over the same memory. Generates no code.
- `Assembly`: `parts`, regions of the result and what fills them. Copies, fused into loop nests.
- `Source`: `element`, a source expression of the element's index. Fused like an elementwise operation.
- `Kernel`: `lower`, a call of a kernel from `nbgraph_kernels`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from nbgraph.errors import DtypeError
from nbgraph.op import Op, Sizes
from nbgraph.types import DTYPES, Shape, Size, TensorType

NUMERIC = "i4 i8 f4 f8 c8 c16"
INEXACT = "f4 f8 c8 c16"
REAL = "b1 i4 i8 f4 f8"
FLOATS = "f4 f8"
ALL = "b1 i4 i8 f4 f8 c8 c16"


class Layout(NamedTuple):
    """How an array lies in memory: sizes, strides and offset, counted in elements."""

    shape: Shape
    strides: Shape
    offset: Size

    @classmethod
    def row_major(cls, shape: Shape) -> Layout:
        """C order, without gaps."""
        strides: list[Size] = []
        step: Size = 1
        for d in reversed(shape):
            strides.append(step)
            step = step * d
        return cls(tuple(shape), tuple(reversed(strides)), 0)

    @property
    def is_row_major(self) -> bool:
        """Whether it is in C order from offset 0 (strides of dimensions of size 1 do not matter)."""
        plain = Layout.row_major(self.shape)
        same = (s == p or d == 1 for s, p, d in zip(self.strides, plain.strides, self.shape, strict=True))
        return self.offset == 0 and all(same)


class Elementwise(Op):
    """One result element from one element of each operand; operands broadcast."""

    #: The operand dtypes it takes (all operands have the same).
    codes: ClassVar[str] = ALL

    def result_code(self, code: str) -> str:
        """Dtype of the result for operands of dtype `code`."""
        return code

    def check_codes(self, ins: Sequence[TensorType]) -> str:
        """The common dtype of the operands, which must be among `codes`."""
        code = ins[0].code
        for position, t in enumerate(ins):
            if t.code != code or code not in self.codes.split():
                wanted = " or ".join(str(DTYPES[c]) for c in self.codes.split())
                raise DtypeError(
                    "unsupported operand dtype", operation=self.name, position=position, got=t.dtype, wanted=wanted
                )
        return code

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        return TensorType(self.result_code(self.check_codes(ins)), cx.broadcast(self.name, ins))

    def externals(self, code: str) -> tuple[str, ...]:
        """Functions that the source calls by their address (names for `nbgraph_kernels.address`)."""
        return ()

    def scalar(self, code: str, *xs: str) -> str:
        """Source of one result element; `xs` are names of the operand elements, then of the addresses of `externals`;
        `code` is the first operand's dtype."""
        raise TypeError(f"{self.name} has no scalar form")

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        """Tangent of the result; its shape may still lack broadcast dimensions."""
        return super().linearize(b, ins, (out,), tangents, ())

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        tangent = self.derivative(b, ins, outs[0], tangents)
        return None if tangent is None else b.broadcast_to(tangent, b.shape(outs[0]))

    def adjoint(self, b: Any, ct: Any, ins: Any, active: Sequence[bool]) -> Any:
        """Cotangents in the shape of the result."""
        return super().transpose(b, ct, ins, active, ())

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        cts = self.adjoint(b, ct, ins, active)
        return tuple(
            b.unbroadcast(c, b.type(x)) if flows and c is not None else None
            for c, x, flows in zip(cts, ins, active, strict=True)
        )


class Reduction(Op):
    """Combines the elements along `axes` (sorted, nonnegative); those dimensions go."""

    params = ("axes",)
    axes: tuple[int, ...]
    codes: ClassVar[str] = ALL
    #: Whether two accumulators combine as an accumulator and an element do; then it may be made block by block.
    mergeable: ClassVar[bool] = False
    #: Whether combining rounds nothing; then single precision is not accumulated in double.
    exact: ClassVar[bool] = False

    def result_code(self, code: str) -> str:
        return code

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        (x,) = ins
        if x.code not in self.codes.split():
            raise DtypeError("unsupported dtype", operation=self.name, position=0, got=x.dtype, wanted=self.codes)
        kept = tuple(d for axis, d in enumerate(x.shape) if axis not in self.axes)
        return TensorType(self.result_code(x.code), kept)

    def initial(self, code: str) -> str:
        """Source of the value of an empty reduction, in the result's dtype."""
        raise TypeError(f"{self.name} has no initial value")

    def combine(self, code: str, acc: str, x: str) -> str:
        """Source of the accumulator after one more element. `plus(acc, x)`, `times(acc, x)`, `greatest(acc, x)` and
        `least(acc, x)` are there besides Python's own: several lanes take those steps at a time."""
        raise TypeError(f"{self.name} has no combining step")


class View(Op):
    """A result that can share the operand's memory under another layout."""

    is_view = True

    def relayout(self, layout: Layout, out: TensorType, sizes: Shape) -> Layout | None:
        """The result's layout over the operand's memory, or None where there is none (then the operand is
        first copied to row-major order, for which there always is one)."""
        raise TypeError(f"{self.name} has no layout rule")


class Part(NamedTuple):
    """A region of an assembled result, and the operand that fills it (None: zeros)."""

    region: Layout
    source: int | None


class Assembly(Op):
    """A result put together from its operands, region by region."""

    #: Whether the regions that operands fill have no element in common: then they can be added to what is there.
    disjoint: ClassVar[bool] = False

    def parts(self, out: Layout, ins: Sequence[TensorType], sizes: Shape) -> list[Part]:
        """Regions in the order in which they are written; together they cover the result."""
        raise TypeError(f"{self.name} has no parts")


class Source(Op):
    """Elements computed from their index alone; `sizes` begins with the shape."""

    def element(self, code: str, index: Sequence[str], sizes: Sequence[str]) -> str:
        """Source of the element at `index` (names of the loop variables); `sizes` as source."""
        raise TypeError(f"{self.name} has no element form")

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        return None


class Kernel(Op):
    """A result that a kernel computes, from row-major operands unless `takes_layouts`."""

    #: The kernel's name in `nbgraph_kernels`.
    kernel: ClassVar[str] = ""
    #: True where `reference` may call the kernel, too: for results that no other code gives to the bit.
    interprets: ClassVar[bool] = False
    takes_layouts: ClassVar[bool] = False

    def workspace(self, ins: Sequence[TensorType], sizes: Shape) -> Size:
        """Bytes of scratch memory that `lower` will use."""
        return 0

    def reads(self, operand: TensorType, layout: Layout) -> bool:
        """Whether the kernel takes an operand in this layout; else it is copied to row-major memory."""
        return self.takes_layouts or layout.is_row_major

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        """Emits calls: `lw.call(kernel, code, *words)`. Operands have `.address` (source), `.type`, `.layout`."""
        raise TypeError(f"{self.name} has no kernel")


def plain(value: Any) -> np.ndarray[Any, Any]:
    """An ndarray from what a NumPy function returned (which may be a scalar)."""
    return np.asarray(value)

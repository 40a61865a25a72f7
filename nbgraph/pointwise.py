"""Elementwise operations that a function and its scalar source define: the bases of their families in `nbgraph.ops`.

In: a NumPy (or SciPy) function, f', and the name of the scalar function. Out: operations of one and of two operands.
Holds: operands have one dtype (the API casts) and broadcast. Complex derivatives follow the inner product
Re(conj(a) b): a holomorphic f has the adjoint ct * conj(f'(z)), which follows from transposing `multiply`.
`scalar_call` is the only place that knows where the scalar function behind a name comes from.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from nbgraph.kinds import INEXACT, Elementwise
from nbgraph.op import Expression, Sample, sample_array
from nbgraph.types import DTYPES, TensorType

#: Functions that generated code has in `math` and, for single precision, under the same name in `np`.
_MATH = frozenset(
    (
        "sqrt", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "sinh", "cosh", "tanh",
        "arctan", "arctan2", "arcsin", "arccos",
    )
)  # fmt: skip
#: Functions of complex numbers that generated code has of its own (`codegen.runtime`, `codegen.complex_functions`).
_COMPLEX = _MATH - {"arctan2"} | frozenset(
    ("sign", "sinh", "cosh", "arcsin", "arccos", "arcsinh", "arccosh", "arctanh", "exp2", "log2", "log10", "sinc")
)
#: Names in C of what NumPy calls otherwise.
_C_NAMES = {
    "arcsin": "asin", "arccos": "acos", "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh", "arctan2": "atan2",
}  # fmt: skip


def scalar_call(name: str, code: str, *xs: str) -> str:
    """Source of the call of an elementary function, by NumPy's name, on elements of a dtype.

    Complex functions are helpers of the generated code, single precision has them in `np`, double in `math`; what
    is not there is called in the C library (`libm`), in double precision.
    """
    given = ", ".join(xs)
    if code[0] == "c":
        return f"complex_{name}({given})" if name in _COMPLEX else f"np.{name}({given})"
    if name in _MATH:
        return f"{'np' if code == 'f4' or name.startswith('arc') else 'math'}.{name}({given})"
    return f"libm.{_C_NAMES.get(name, name)}({', '.join(in_double(code, x) for x in xs)})"


def in_double(code: str, x: str) -> str:
    """Source of an element as float64."""
    return x if code == "f8" else f"float64({x})"


class Unary(Elementwise):
    """An operation of one operand, given by a NumPy function, the name of a scalar function, and f'."""

    function: ClassVar[Any]
    low: ClassVar[float] = -2.0
    high: ClassVar[float] = 2.0

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return type(self).function(ins[0])

    def function_of_operands(self) -> Any:
        return type(self).function if type(self).reference is Unary.reference else None

    def scalar(self, code: str, *xs: str) -> str:
        return scalar_call(self.name, code, *xs)

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        """f'(x), given x and y = f(x)."""
        raise TypeError(f"{self.name} has no slope")

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return b.mul(tangents[0], self.slope(b, ins[0], out))

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in cls.codes.split():
            for shape in ((3, 4), (), (0, 2)):
                yield Sample(cls(), (sample_array(rng, code, shape, cls.low, cls.high),))


class Binary(Elementwise):
    """An operation of two operands, given by a NumPy ufunc and a source template."""

    function: ClassVar[Any]
    template: ClassVar[str] = ""
    low: ClassVar[float] = -2.0
    high: ClassVar[float] = 2.0

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return type(self).function(ins[0], ins[1])

    def function_of_operands(self) -> Any:
        return type(self).function if type(self).reference is Binary.reference else None

    def scalar(self, code: str, *xs: str) -> str:
        return self.template.format(*xs) if self.template else scalar_call(self.name, code, *xs)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in cls.codes.split():
            for left, right in (((3, 4), (3, 4)), ((4,), (3, 1)), ((), (2, 3)), ((0, 2), (1, 2))):
                x = sample_array(rng, code, left, cls.low, cls.high)
                yield Sample(cls(), (x, sample_array(rng, code, right, cls.low, cls.high)))


class Routine:
    """Mixed into an operation whose scalar is a function of SciPy, `double f(double, ...)`, called by its address.

    Single precision is computed in double, by the reference too.
    """

    #: The function's name in `scipy.special.cython_special`.
    routine: ClassVar[str]
    function: ClassVar[Any]

    def externals(self, code: str) -> tuple[str, ...]:
        return (f"special.{'complex_' if code[0] == 'c' else ''}{self.routine}",)

    def scalar(self, code: str, *xs: str) -> str:
        *operands, address = xs
        if code[0] == "c":
            return f"{DTYPES[code]}(cython_complex({address}, ({', '.join(operands)},)))"
        return f"cython({address}, ({', '.join(in_double(code, x) for x in operands)},))"

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        wide = "c16" if ins[0].dtype.kind == "c" else "f8"
        return np.asarray(type(self).function(*(x.astype(wide) for x in ins))).astype(ins[0].dtype)

    def expression(self, types: Sequence[TensorType]) -> Expression | None:
        if types[0].code not in ("f8", "c16") or type(self).reference is not Routine.reference:
            return None
        operands = ", ".join(f"{{{k}}}" for k in range(len(types)))
        return Expression(f"{{function}}({operands})", {"function": type(self).function})


class OwnOfReal(Routine):
    """Of complex numbers SciPy's function; of real ones `real`, source of an element `{x}` that LLVM vectorises."""

    real: ClassVar[str]

    def externals(self, code: str) -> tuple[str, ...]:
        return super().externals(code) if code[0] == "c" else ()

    def scalar(self, code: str, *xs: str) -> str:
        if code[0] == "c":
            return super().scalar(code, *xs)
        return f"{DTYPES[code]}({self.real.format(x=xs[0])})"


class Part(Elementwise):
    """One of the results of a function of SciPy, called by its address; real, or complex of complex numbers."""

    codes = INEXACT
    #: The function's name in `scipy.special`, how many results it has, and which one this is.
    routine: ClassVar[str]
    function: ClassVar[Any]
    count: ClassVar[int]
    place: ClassVar[int]
    low: ClassVar[float] = -2.0
    high: ClassVar[float] = 2.0

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        (x,) = ins
        found = type(self).function(x.astype("c16" if x.dtype.kind == "c" else "f8"))
        return np.asarray(found[self.place]).astype(x.dtype)

    def expression(self, types: Sequence[TensorType]) -> Expression | None:
        if types[0].code not in ("f8", "c16") or type(self).reference is not Part.reference:
            return None
        return Expression(f"{{function}}({{0}})[{self.place}]", {"function": type(self).function})

    def externals(self, code: str) -> tuple[str, ...]:
        return (f"special.{'complex_' if code[0] == 'c' else ''}{self.routine}",)

    def scalar(self, code: str, *xs: str) -> str:
        x = xs[0] if code[0] == "c" else in_double(code, xs[0])
        found = f"cython_part({xs[1]}, {x}, {self.count}, {self.place})"
        return f"{DTYPES[code]}({found})"

    def slope(self, b: Any, x: Any) -> Any:
        """f'(x)."""
        raise TypeError(type(self))

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return b.mul(tangents[0], self.slope(b, ins[0]))

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in cls.codes.split():
            for shape in ((3, 4), (), (0, 2)):
                yield Sample(cls(), (sample_array(rng, code, shape, cls.low, cls.high),))

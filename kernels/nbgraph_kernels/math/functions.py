"""A mathematical function as LLVM code that compiled code calls.

In:    a Python function over `Value`s, and the format of its arguments.
Out:   `Function`: an LLVM module that defines it, optimised, made once in a process; `caller`, the intrinsic by which
       compiled code calls it.
Holds: compiled code only declares the function: a call costs nothing while it is optimised. The function comes with
       variants over vectors, which LLVM's vectoriser puts in place of calls in a loop (the vector function ABI). Their
       names begin with `LANES`: once loops are vectorised the module is linked in, and they become part of the loop
       (see `machine.optimise`). What is left of a loop calls the function of one number.

What few numbers need is behind a branch: a `guarded` function goes the slow way lane by lane, one with `unless` for all
of a vector, if a number must.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from llvmlite import binding, ir

from ..language import intrinsic
from ..language.types import Typed, float32, float64
from ..machine import LANES, optimised_bitcode
from . import constants
from .values import DOUBLE, SINGLE, Format, Value

_PURE = ("nounwind", "willreturn", "memory(none)")


@cache
def _widths(bits: int) -> list[int]:
    """How many numbers of so many bits a loop may take at a time on this machine: a register full, or as many as there
    are doubles in one."""
    features = binding.get_host_cpu_features()
    registers = [128] if not features.get("avx2") else [256, 512] if features.get("avx512f") else [256]
    return sorted({r // size for r in registers for size in (64, bits)})


class _Attributes(ir.values.FunctionAttributes):
    """Attributes of LLVM functions, llvmlite's list of which is old."""

    def add(self, name: str) -> None:
        set.add(self, name)


class Function:
    """One function for one format, as a library that a program links once its loops are vectorised.

    `variants`: how many numbers each takes, by name.
    """

    def __init__(self, body: Callable[..., Value], format: Format, count: int) -> None:
        self._body, self._kind, self._count, self._bits = body, format.type, count, format.word.width
        self.name = f"nbgraph_{body.__name__}_{self._bits}"
        self.variants = {f"{LANES}{n}_{self.name}": n for n in _widths(self._bits)}
        self._made: dict[tuple[tuple[tuple[str, bool], ...], bool], bytes] = {}

    def bitcode(self, variants: tuple[tuple[str, bool], ...], tabled: bool = False) -> bytes:
        """The function of one number and these variants, made at the first ask; each variant with whether it shall
        become part of whatever calls it; `tabled`: see `constants`."""
        if (variants, tabled) not in self._made:
            module = ir.Module(self.name)
            kinds = [(v, ir.VectorType(self._kind, self.variants[v]), ("alwaysinline",) * part) for v, part in variants]
            for name, kind, how in (*kinds, (self.name, self._kind, ("noinline",))):
                arguments, builder = define(module, name, [kind] * self._count, kind, *how)
                if tabled and name in self.variants:
                    builder.table = constants.Table(builder, self.variants[name], self._bits)
                builder.ret(self._body(*arguments).ir)
                if builder.table:
                    builder.table.close()
            self._made[variants, tabled] = optimised_bitcode(str(module))
        return self._made[variants, tabled]

    def declared(self, module: Any) -> Any:
        """The function in a module that calls it, with the names of its variants."""
        found = module.globals.get(self.name)
        if found is None:
            found = _declare(module, self.name, self._kind, self._count)
            mapping = ",".join(f"_ZGV_LLVM_N{n}{'v' * self._count}_{self.name}({v})" for v, n in self.variants.items())
            found.attributes.add(f'"vector-function-abi-variant"="{mapping}"')
            for name, n in self.variants.items():
                _declare(module, name, ir.VectorType(self._kind, n), self._count)
        return found


def _declare(module: Any, name: str, kind: Any, count: int) -> Any:
    function = ir.Function(module, ir.FunctionType(kind, [kind] * count), name)
    function.attributes = _Attributes()
    for each in (*_PURE, "speculatable"):
        function.attributes.add(each)
    return function


@cache
def library(body: Callable[..., Value], format: Format, count: int) -> Function:
    """The function for one format, made at the first ask."""
    return Function(body, format, count)


def caller(body: Callable[..., Value]) -> Any:
    """The intrinsic for the function, of real numbers: integers as float64."""

    return intrinsic(lambda cx, *given: _call(cx, body, _numbers(cx, body, given)))


def caller_beside(single: Callable[..., Value], double: Callable[..., Value], exp: Callable[..., Value]) -> Any:
    """The same for a function that in double precision is made of x and e^(-x^2). Code that needs that number too, in
    a derivative, makes it by the same operations, and LLVM only once."""

    def call(cx: Any, *given: Any) -> Any:
        (x,) = _numbers(cx, single, given)
        if x.type == float32:
            return _call(cx, single, [x])
        square = cx.builder.fmul(x.ir, x.ir)
        return _call(cx, double, [x, _call(cx, exp, [Typed(float64, cx.builder.fneg(square))])])

    return intrinsic(call)


def _numbers(cx: Any, body: Callable[..., Value], given: Any) -> list[Any]:
    """Arguments in the dtype that the function has: float32 if all are, else float64."""
    values = [cx.typed(x) for x in given]
    if not all(v.type.kind in "fiub" for v in values):
        raise TypeError(f"{body.__name__} of {', '.join(str(v.type) for v in values)}")
    number = float32 if all(v.type == float32 for v in values) else float64
    return [cx.cast(v, number) for v in values]


def _call(cx: Any, body: Callable[..., Value], values: list[Any]) -> Any:
    number = values[0].type
    made = library(body, SINGLE if number == float32 else DOUBLE, len(values))
    cx.program.libraries.setdefault(made.name, made)
    function = made.declared(cx.module)
    cx.note_length()
    return Typed(number, cx.builder.call(function, [v.ir for v in values]))


class Builder(ir.IRBuilder):
    """llvmlite's, and where constants of vectors come from, if not from the code."""

    table: constants.Table | None = None


def define(module: Any, name: str, arguments: list[Any], result: Any, *attributes: str) -> tuple[list[Value], Any]:
    """A new function: its arguments, and a builder at its start."""
    function = ir.Function(module, ir.FunctionType(result, arguments), name)
    function.attributes = _Attributes()
    for each in (*_PURE, *attributes):
        function.attributes.add(each)
    builder = Builder(function.append_basic_block())
    return [Value(builder, a) for a in function.args], builder


# -- the slow way ------------------------------------------------------------------------------------------------------


def guarded(y: Value, x: Value, limit: float, slow: Callable[[Value], Value]) -> Value:
    """y, or slow(x) where |x| > limit, which should be rare; slow(x) lane after lane."""
    module, builder = x.builder.module, x.builder
    slowly = _slow_function(module, slow, x.format, x.kind, "optnone")
    large = _is_large(builder, x.ir, limit) if x.lanes else (x.abs() > limit).ir
    if x.lanes:
        return _branch(large, y, _lanes(module, slowly, x.ir.type, limit), [y.ir, x.ir])
    return _branch(large, y, slowly, [x.ir])


def unless(rare: Value, y: Value, slow: Callable[[Value], Value], x: Value) -> Value:
    """y, or where a truth value holds for any lane, which should be rare, slow(x), all of it: it gives y elsewhere."""
    return _branch(rare.ir, y, _slow_function(x.builder.module, slow, x.format, x.ir.type), [x.ir])


def _branch(rare: Any, y: Value, slow: Any, arguments: list[Any]) -> Value:
    """y, or what the call gives if any lane is rare."""
    builder, some = y.builder, rare
    if y.lanes:
        all_bits = builder.bitcast(rare, ir.IntType(y.lanes))
        some = builder.icmp_unsigned("!=", all_bits, all_bits.type(0))
    start = builder.block
    with builder.if_then(some, likely=False):
        other = builder.call(slow, arguments)
        end = builder.block
    result = builder.phi(y.ir.type)
    result.add_incoming(y.ir, start)
    result.add_incoming(other, end)
    return Value(builder, result)


def _slow_function(module: Any, slow: Callable[[Value], Value], form: Format, kind: Any, *attributes: str) -> Any:
    """The slow way of a number or a vector, a function of its own."""
    lanes = f"_{kind.count}" if isinstance(kind, ir.VectorType) else ""
    name = f"nbgraph_{slow.__name__}_{form.word.width}{lanes}"
    if name not in module.globals:
        (argument,), builder = define(module, name, [kind], kind, "noinline", "cold", *attributes)
        module.globals[name].linkage = "internal"
        builder.ret(slow(argument).ir)
    return module.globals[name]


def _lanes(module: Any, slow: Any, kind: Any, limit: float) -> Any:
    """The slow way of a vector: lane after lane; the slow function is not asked about what is not large."""
    name = f"{slow.name}_{kind.count}"
    if name in module.globals:
        return module.globals[name]
    (y, x), builder = define(module, name, [kind, kind], kind, "noinline", "cold", "optnone")
    module.globals[name].linkage = "internal"
    index = ir.IntType(32)
    large = _is_large(builder, x.ir, limit)
    start, loop, end = builder.block, builder.append_basic_block(), builder.append_basic_block()
    builder.branch(loop)
    builder.position_at_end(loop)
    lane, result = builder.phi(index), builder.phi(kind)
    is_large = builder.extract_element(large, lane)
    argument = builder.select(is_large, builder.extract_element(x.ir, lane), ir.Constant(kind.element, limit))
    chosen = builder.select(is_large, builder.call(slow, [argument]), builder.extract_element(y.ir, lane))
    changed, following = builder.insert_element(result, chosen, lane), builder.add(lane, index(1))
    for phi, first, later in ((lane, index(0), following), (result, y.ir, changed)):
        phi.add_incoming(first, start)
        phi.add_incoming(later, loop)
    builder.cbranch(builder.icmp_unsigned("<", following, index(kind.count)), loop, end)
    builder.position_at_end(end)
    builder.ret(changed)
    return module.globals[name]


def _is_large(builder: Any, x: Any, limit: float) -> Any:
    """Which lanes of x are beyond +-limit."""
    bound = [ir.Constant(x.type, [sign * limit] * x.type.count) for sign in (1, -1)]
    return builder.or_(builder.fcmp_ordered(">", x, bound[0]), builder.fcmp_ordered("<", x, bound[1]))

"""A mathematical function as LLVM code that Numba's code calls.

In:    a Python function over `Value`s, and the format of its arguments.
Out:   `Function`: text of an LLVM module that defines it, made once in a process; `caller`, the intrinsic by which
       compiled code calls it.
Holds: the function is inlined into the loop around the call before loops are vectorised. Its text is parsed anew for
       each piece of compiled code (0.2 ms), and costs nothing where it is not used.

What cannot be vectorised is a `guarded` function: it comes with variants over vectors, which LLVM's vectoriser takes
for the scalar one (the vector function ABI) and which go the slow way only if a lane must. They are named `LANES...`:
they have to be visible from outside until loops are vectorised (see `compile._optimise`), and are inlined after that.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core.typing import signature
from numba.extending import intrinsic

from ..lowering import LANES, parameters
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
    """One function for one format, as a library that `lowering.Lowered` links."""

    def __init__(self, body: Callable[..., Value], format: Format, count: int) -> None:
        self.name = f"nbgraph_{body.__name__}_{format.word.width}"
        module = ir.Module(self.name)
        arguments, builder = define(module, self.name, [format.type] * count, format.type, "alwaysinline")
        builder.ret(body(*arguments).ir)
        self.text = str(module)

    def _get_module_for_linking(self) -> Any:
        return binding.parse_assembly(self.text)


@cache
def library(body: Callable[..., Value], format: Format, count: int) -> Function:
    """The function for one format, made at the first ask."""
    return Function(body, format, count)


def caller(body: Callable[..., Value], other: Any = None) -> Any:
    """The intrinsic for the function: of floats, integers as float64; anything else is a call of `other`."""

    def call(typingctx: Any, *given: Any) -> Any:
        if not all(isinstance(t, types.Float | types.Integer) for t in given):
            return _call_of(typingctx, other, given) if other is not None else None
        single = all(t == types.float32 for t in given)
        number, format = (types.float32, SINGLE) if single else (types.float64, DOUBLE)
        made = library(body, format, len(given))

        def generate(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            context.active_code_library.add_linking_library(made)
            kind = ir.FunctionType(format.type, [format.type] * len(values))
            function = builder.module.globals.get(made.name) or ir.Function(builder.module, kind, made.name)
            return builder.call(function, values)

        return signature(number, *[number] * len(given)), generate

    call.__signature__ = _signature(body)  # type: ignore[attr-defined]
    call.__name__ = body.__name__
    return intrinsic(call)


def _signature(body: Callable[..., Value]) -> Any:
    from inspect import Parameter, Signature

    return Signature([Parameter("typingctx", Parameter.POSITIONAL_OR_KEYWORD), *parameters(body)])


def _call_of(typingctx: Any, other: Any, given: Any) -> Any:
    """A call of a function that Numba knows."""
    kind = typingctx.resolve_value_type(other)
    resolved = typingctx.resolve_function_type(kind, given, {})
    if resolved is None:
        return None

    def generate(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        return context.get_function(kind, sig)(builder, values)

    return resolved, generate


def define(module: Any, name: str, arguments: list[Any], result: Any, *attributes: str) -> tuple[list[Value], Any]:
    """A new function: its arguments, and a builder at its start."""
    function = ir.Function(module, ir.FunctionType(result, arguments), name)
    function.attributes = _Attributes()
    for each in (*_PURE, *attributes):
        function.attributes.add(each)
    builder = ir.IRBuilder(function.append_basic_block())
    return [Value(builder, a) for a in function.args], builder


# -- the slow way ------------------------------------------------------------------------------------------------------


def guarded(y: Value, x: Value, limit: float, slow: Callable[[Value], Value]) -> Value:
    """y, or slow(x) where |x| > limit, which should be rare."""
    module, type_ = x.builder.module, x.ir.type
    name = f"nbgraph_guarded_{slow.__name__}_{x.format.word.width}"
    if name not in module.globals:
        slowly = f"nbgraph_{slow.__name__}_{x.format.word.width}"
        (argument,), builder = define(module, slowly, [type_], type_, "noinline", "cold", "optnone")
        builder.ret(slow(argument).ir)
        variants = ",".join(
            f"_ZGV_LLVM_N{n}vv_{name}({_variant(module, name, module.globals[slowly], type_, n, limit)})"
            for n in _widths(x.format.word.width)
        )
        mapping = f'"vector-function-abi-variant"="{variants}"'
        (fast, argument), builder = define(module, name, [type_, type_], type_, "noinline", mapping)
        with builder.if_then((argument.abs() > limit).ir, likely=False):
            builder.ret(builder.call(module.globals[slowly], [argument.ir]))
        builder.ret(fast.ir)
    return Value(x.builder, x.builder.call(module.globals[name], [y.ir, x.ir]))


def _variant(module: Any, name: str, slow: Any, type_: Any, width: int, limit: float) -> str:
    """Defines the guarded function of vectors; gives its name."""
    kind = ir.VectorType(type_, width)
    slowly = _lanes(module, name, slow, kind, limit)
    (y, x), builder = define(module, f"{LANES}{width}_{name}", [kind, kind], kind, "alwaysinline")
    large = builder.bitcast(_is_large(builder, x.ir, limit), ir.IntType(width))
    with builder.if_then(builder.icmp_unsigned("!=", large, large.type(0)), likely=False):
        builder.ret(builder.call(slowly, [y.ir, x.ir]))
    builder.ret(y.ir)
    return f"{LANES}{width}_{name}"


def _lanes(module: Any, name: str, slow: Any, kind: Any, limit: float) -> Any:
    """The slow way of a vector: lane after lane; the slow function is not asked about what is not large."""
    (y, x), builder = define(module, f"{name}_{kind.count}", [kind, kind], kind, "noinline", "cold", "optnone")
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
    return module.globals[f"{name}_{kind.count}"]


def _is_large(builder: Any, x: Any, limit: float) -> Any:
    """Which lanes of x are beyond +-limit."""
    bound = [ir.Constant(x.type, [sign * limit] * x.type.count) for sign in (1, -1)]
    return builder.or_(builder.fcmp_ordered(">", x, bound[0]), builder.fcmp_ordered("<", x, bound[1]))

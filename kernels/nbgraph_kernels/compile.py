"""Turn a Python function over the word table into machine code.

In:    a Python function of one argument `w`, a pointer to `int64`, that returns an `int64` status.
Out:   `Compiled`: the address of a C function `int64 f(int64*)`, and the object code it was loaded from.
Holds: the code needs no symbol but libm's: no Numba runtime, no Python, no exception. A function that would
       need one is refused. One thread compiles at a time; what is interrupted leaves nothing behind.

Numba types and lowers; optimising, emitting and loading are done here, for speed. Measured on one loop
(five loops) over typed pointers: `numba.cfunc` 99 ms (160). Here 32 ms (114): front end and lowering 15
(50), LLVM's own text 2 (7), one pass over the module at level 2 8 (30), emitting 6 (22), loading 1.3. The
differences: passes for lists, closures, rewrites and objects are left out of the front end; the module is
read and optimised once, not twice; loops are vectorised but not unrolled beyond that (code 20-40 % smaller,
no slower where memory is the limit); no wrapper can raise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target

from .load import ENTRY, load
from .lowering import LANES, Lowered, lower

_RAISED = "nbgraph_raised"
_FORBIDDEN = (_RAISED, "NRT_", "Py", "_Py", "numba_", ".numba")
_WORDS = types.CPointer(types.int64)
_ENTRY_TYPE = ir.FunctionType(ir.IntType(64), [ir.IntType(64).as_pointer()])


@dataclass(frozen=True)
class Compiled:
    """Machine code for `int64 f(int64*)`.

    `address` is valid while `keepalive` lives. `object_code` holds the function `symbol`; `load.load` loads
    it again, in any process on the same kind of CPU, without numba.
    """

    address: int
    code_bytes: int
    keepalive: Any = field(repr=False)
    object_code: bytes = field(repr=False)
    symbol: str = ENTRY


def compile_words(*functions: Callable[..., Any], fastmath: Any = False, builtin: bool = False) -> Compiled:
    """Compile functions of `w` as one, and load it: they run in turn until one returns something else than 0.

    They may use the intrinsics of `words`, numbers, loops, and helpers made with `lowering.helper`. Numba's time grows
    with the square of a function's length, so that several compile faster than a long one.
    `fastmath` is Numba's: a flag, or a set of LLVM flag names such as `{"contract"}`. `builtin`: the function is
    `int64 f(int64, int64*, int64)` instead, what `python_api` makes a function of Python of.
    Raises Numba's own errors for what cannot be typed (making an array is such), `ValueError` for code that
    may raise or needs a runtime.
    """
    object_code = emit(*functions, fastmath=fastmath, builtin=builtin)
    address, keepalive = load(object_code, ENTRY)
    return Compiled(address, len(object_code), keepalive, object_code)


def emit(*functions: Callable[..., Any], fastmath: Any = False, builtin: bool = False) -> bytes:
    """Object code of `compile_words`, with the C function named `ENTRY`; not loaded."""
    arguments = (types.int64, _WORDS, types.int64) if builtin else (_WORDS,)
    with global_compiler_lock:
        lowered = [lower(function, arguments, types.int64, fastmath) for function in functions]
        names = [ENTRY] if len(lowered) == 1 else [f"{ENTRY}_{k}" for k in range(len(lowered))]
        for each, name in zip(lowered, names, strict=True):
            _add_entry(each, name)
        if len(lowered) > 1:
            _add_sequence(lowered[0].module, names)
        module = _link(lowered)
        _optimise(module)
        _check_closed(module)
        return bytes(cpu_target.target_context.codegen()._tm.emit_object(module))


def _add_entry(lowered: Lowered, name: str) -> None:
    """Add the C function.

    Numba's own gives a status and takes places for the result and an exception. Where the status may be
    other than 0, a call of `_RAISED` stays after optimising, and `_check_closed` finds it.
    """
    inner = lowered.module.globals[lowered.descriptor.llvm_func_name]
    inner.attributes.add("alwaysinline")  # else LLVM leaves a long one by itself, and does not see its status
    word = ir.IntType(64)
    raised = ir.Function(lowered.module, ir.FunctionType(ir.VoidType(), []), _RAISED)
    entry = ir.Function(lowered.module, ir.FunctionType(word, [a.type for a in inner.args[2:]]), name)
    builder = ir.IRBuilder(entry.append_basic_block())
    result, exception = builder.alloca(word), builder.alloca(inner.args[1].type.pointee)
    status = builder.call(inner, [result, exception, *entry.args])
    with builder.if_then(builder.icmp_signed("!=", status, status.type(0)), likely=False):
        builder.call(raised, [])
    builder.ret(builder.load(result))


def _add_sequence(module: Any, names: list[str]) -> None:
    """Add `ENTRY`, which calls the named functions in turn until one gives a status other than 0."""
    entry = ir.Function(module, _ENTRY_TYPE, ENTRY)
    builder = ir.IRBuilder(entry.append_basic_block())
    for name in names:
        part = module.globals.get(name) or ir.Function(module, _ENTRY_TYPE, name)
        part.attributes.add("noinline")
        status = builder.call(part, [entry.args[0]])
        with builder.if_then(builder.icmp_signed("!=", status, status.type(0)), likely=False):
            builder.ret(status)
    builder.ret(_ENTRY_TYPE.return_type(0))


def _link(lowered: list[Lowered]) -> Any:
    """One LLVM module with the functions and their helpers, in which only the entry can be seen from outside, and
    vector variants, which nothing calls before loops are vectorised."""
    module = lowered[0]._get_module_for_linking()
    parts = [*lowered[1:], *dict.fromkeys(each for one in lowered for each in one.closure())]
    for each in parts:
        module.link_in(each._get_module_for_linking(), preserve=True)
    for function in module.functions:
        if not function.is_declaration and function.name != ENTRY and not function.name.startswith(LANES):
            function.linkage = "internal"
    return module


def _optimise(module: Any) -> None:
    options = binding.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = options.slp_vectorization = True
    options.loop_unrolling = False
    builder = binding.create_pass_builder(cpu_target.target_context.codegen()._tm, options)
    builder.getModulePassManager().run(module, builder)
    variants = [f for f in module.functions if f.name.startswith(LANES) and not f.is_declaration]
    if variants:
        for function in variants:
            function.linkage = "internal"
        after = binding.create_new_module_pass_manager()
        after.add_always_inliner_pass()
        after.add_global_dead_code_eliminate_pass()
        after.run(module, builder)


def _check_closed(module: Any) -> None:
    """Refuse code with a name in it that only Numba's or Python's runtime defines."""
    open_names = [f.name for f in module.functions if f.is_declaration]
    open_names += [v.name for v in module.global_variables if v.is_declaration]
    needed = sorted(name for name in open_names if name.startswith(_FORBIDDEN))
    if needed:
        raise ValueError(f"compiled code may not allocate or raise, but it needs {', '.join(needed)}")

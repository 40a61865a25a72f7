"""Turn a Python function over the word table into machine code.

In:    a Python function of one argument `w`, a pointer to `int64`, that returns an `int64` status.
Out:   `Compiled`: the address of a C function `int64 f(int64*)`, and the object code it was loaded from.
Holds: the code needs no symbol but libm's: no runtime, no Python, no exception. A function that would need one is
       refused: it is not in the language. One thread compiles at a time; what is interrupted leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from llvmlite import ir

from . import machine
from .language import Code, Program
from .language.types import Pointer, int64
from .load import ENTRY, load

_WORDS = Pointer(int64)
#: Vectors that do not fit into registers lie on the stack; across lines of the cache they take twice as long.
_LINE = 64
_ENTRY_TYPE = ir.FunctionType(ir.IntType(64), [ir.IntType(64).as_pointer()])


@dataclass(frozen=True)
class Compiled:
    """Machine code for `int64 f(int64*)`.

    `address` is valid while `keepalive` lives. `object_code` holds the function `symbol`; `load.load` loads
    it again, in any process on the same kind of CPU.
    """

    address: int
    code_bytes: int
    keepalive: Any = field(repr=False)
    object_code: bytes = field(repr=False)
    symbol: str = ENTRY


def compile_words(
    *functions: Callable[..., Any] | Code,
    fastmath: Any = (),
    builtin: bool = False,
    plain: bool = False,
    quick: bool = False,
) -> Compiled:
    """Compile functions of `w` as one, and load it: they run in turn until one returns something else than 0.

    They may use the intrinsics of `words`, numbers, loops, and helpers made with `language.helper`. LLVM's time grows
    faster than a function's length, so that several compile faster than a long one.
    `fastmath` is a set of LLVM flag names such as `{"contract"}`. `builtin`: the function is
    `int64 f(int64, int64*, int64)` instead, what `python_api` makes a function of Python of. `plain`: no loop is worth
    vectorising; that compiles in half the time, if no vector mathematics is used. `quick`: nor are registers worth
    planning, as it is mostly calls.
    Raises `LanguageError`, a `TypeError`, for what is not in the language: what may raise, allocate or needs a runtime.
    """
    return loaded(emit(*functions, fastmath=fastmath, builtin=builtin, plain=plain, quick=quick))


def loaded(object_code: bytes) -> Compiled:
    """Object code, loaded."""
    address, keepalive = load(object_code, ENTRY)
    return Compiled(address, len(object_code), keepalive, object_code)


def emit(
    *functions: Callable[..., Any] | Code,
    fastmath: Any = (),
    builtin: bool = False,
    plain: bool = False,
    quick: bool = False,
) -> bytes:
    """Object code of `compile_words`, with the C function named `ENTRY`; not loaded."""
    program = translate(*functions, fastmath=fastmath, builtin=builtin)
    with machine.LOCK:
        module = machine.linked([str(program.module)], ENTRY)
        if plain and not program.libraries:
            machine.tidy(module)
        else:
            machine.optimise(module, list(program.libraries.values()), ENTRY)
        return machine.object_code(module, quick)


def translate(*functions: Callable[..., Any] | Code, fastmath: Any = (), builtin: bool = False) -> Program:
    """The functions as LLVM's text, in a module that is not optimised."""
    arguments = (int64, _WORDS, int64) if builtin else (_WORDS,)
    program = Program("words")
    names = [ENTRY] if len(functions) == 1 else [f"{ENTRY}_{k}" for k in range(len(functions))]
    made = [
        program.function(function, arguments, int64, fastmath or (), name)
        for function, name in zip(functions, names, strict=True)
    ]
    for function in made:
        function.attributes.alignstack = _LINE
    if len(made) > 1:
        _add_sequence(program.module, made)
    if program.libraries:
        _keep(program.module, [name for each in program.libraries.values() for name in each.variants])
    return program


def _keep(module: Any, names: list[str]) -> None:
    """Add a function that nobody calls, and that uses what LLVM would else take for unused until it uses it itself."""
    places = ir.IntType(8).as_pointer().as_pointer()
    kept = ir.Function(module, ir.FunctionType(ir.VoidType(), [places]), machine.KEPT)
    builder = ir.IRBuilder(kept.append_basic_block())
    for k, name in enumerate(names):
        place = builder.gep(kept.args[0], [ir.IntType(64)(k)])
        builder.store(builder.bitcast(module.globals[name], places.pointee), place)
    builder.ret_void()


def _add_sequence(module: Any, parts: list[Any]) -> None:
    """Add `ENTRY`, which calls the functions in turn until one gives a status other than 0."""
    entry = ir.Function(module, _ENTRY_TYPE, ENTRY)
    builder = ir.IRBuilder(entry.append_basic_block())
    for part in parts:
        part.attributes.add("noinline")
        status = builder.call(part, [entry.args[0]])
        with builder.if_then(builder.icmp_signed("!=", status, status.type(0)), likely=False):
            builder.ret(status)
    builder.ret(_ENTRY_TYPE.return_type(0))

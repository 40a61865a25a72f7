"""Functions of a user's, by Numba: they may call what `numba.njit` made, and use arrays.

In:    a Python function of one argument `w`, a pointer to `int64`, that returns an `int64` status.
Out:   `Compiled`, as of `compile`.
Holds: the code needs no symbol but libm's: no Numba runtime, no Python, no exception. A function that would
       need one is refused.

Numba types and lowers; optimising, emitting and loading are `machine`'s. Passes for lists, closures, rewrites and
objects are left out of the front end.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, Signature
from inspect import signature as inspect_signature
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils, codegen, compiler, typed_passes, untyped_passes
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import PassManager
from numba.core.registry import cpu_target
from numba.core.typing import signature
from numba.extending import intrinsic

from . import machine
from .compile import Compiled, loaded
from .load import ENTRY

_RAISED = "nbgraph_raised"
_FORBIDDEN = (_RAISED, "NRT_", "Py", "_Py", "numba_", ".numba")

_PASSES = (
    untyped_passes.TranslateByteCode,
    untyped_passes.FixupArgs,
    untyped_passes.IRProcessing,
    untyped_passes.RewriteSemanticConstants,
    untyped_passes.DeadBranchPrune,
    untyped_passes.ReconstructSSA,
    typed_passes.NopythonTypeInference,
    typed_passes.PreLowerStripPhis,
    typed_passes.IRLegalization,
    typed_passes.AnnotateTypes,
    typed_passes.NativeLowering,
    typed_passes.NoPythonBackend,
)


class _Pipeline(compiler.CompilerBase):
    """The passes, and no others."""

    def define_pipelines(self) -> list[Any]:
        manager = PassManager("words")
        for each in _PASSES:
            manager.add_pass(each, each.__name__)
        manager.finalize()
        return [manager]


class Lowered(codegen.JITCodeLibrary):
    """One lowered function: `module` (llvmlite's), `descriptor` (Numba's, with the name in it), `result`
    (its type), and `callees`, the helpers it calls. To Numba it is a library that never gets compiled."""

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...], result: Any) -> None:
        typing, target = cpu_target.typing_context, cpu_target.target_context
        super().__init__(target.codegen(), function.__name__)
        self.callees: list[Any] = []
        made = compiler.compile_extra(
            typing, target, function, arguments, result, _flags(), {}, library=self, pipeline_class=_Pipeline
        )
        self.descriptor, self.result = made.fndesc, made.signature.return_type

    def add_ir_module(self, module: Any) -> None:
        self.module = module

    def add_linking_library(self, library: Any) -> None:
        if library not in self.callees:
            self.callees.append(library)

    def closure(self) -> list[Any]:
        """Every library reached from here, each once: helpers, and Numba's own (`range` is one)."""
        found: list[Any] = []
        waiting = list(self.callees)
        while waiting:
            library = waiting.pop()
            if library not in found:
                found.append(library)
                waiting += getattr(library, "callees", ())
        return found

    def _get_module_for_linking(self) -> Any:
        return machine.parsed(cgutils.normalize_ir_text(str(self.module)))


def compile_user(function: Callable[..., Any]) -> Compiled:
    """Compile a function of `w`, and load it.

    Raises Numba's own errors for what cannot be typed (making an array is such), `ValueError` for code that
    may raise or needs a runtime.
    """
    with global_compiler_lock, machine.LOCK:
        cpu_target.typing_context.refresh()
        cpu_target.target_context.refresh()
        lowered = Lowered(function, (types.CPointer(types.int64),), types.int64)
        _add_entry(lowered)
        texts = [str(each._get_module_for_linking()) for each in (lowered, *lowered.closure())]
        module = machine.linked(texts, ENTRY)
        machine.optimise(module)
        _check_closed(module)
        return loaded(machine.object_code(module))


def helper(function: Callable[..., Any]) -> Any:
    """A function that compiled functions may call by position: typed and lowered once for each set of types."""
    lowered: dict[Any, Lowered] = {}

    def invoke(typingctx: Any, *arguments: Any) -> Any:
        if arguments not in lowered:
            lowered[arguments] = Lowered(function, arguments, None)
        callee = lowered[arguments]

        def generate(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            context.active_code_library.add_linking_library(callee)
            return context.call_internal(builder, callee.descriptor, sig, values)

        return signature(callee.result, *arguments), generate

    given = Signature([Parameter("typingctx", Parameter.POSITIONAL_OR_KEYWORD), *_parameters(function)])
    invoke.__signature__ = given  # type: ignore[attr-defined]
    return intrinsic(invoke)


def _parameters(function: Callable[..., Any]) -> list[Parameter]:
    """The parameters by name only: Numba binds by them and would stumble over their annotations."""
    return [Parameter(each, Parameter.POSITIONAL_OR_KEYWORD) for each in inspect_signature(function).parameters]


def _flags() -> Any:
    """Numba's flags for code that neither raises nor is called from Python."""
    flags = compiler.Flags()
    flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    flags.error_model = "numpy"
    return flags


def _add_entry(lowered: Lowered) -> None:
    """Add the C function.

    Numba's own gives a status and takes places for the result and an exception. Where the status may be
    other than 0, a call of `_RAISED` stays after optimising, and `_check_closed` finds it.
    """
    inner = lowered.module.globals[lowered.descriptor.llvm_func_name]
    inner.attributes.add("alwaysinline")  # else LLVM leaves a long one by itself, and does not see its status
    word = ir.IntType(64)
    raised = ir.Function(lowered.module, ir.FunctionType(ir.VoidType(), []), _RAISED)
    entry = ir.Function(lowered.module, ir.FunctionType(word, [a.type for a in inner.args[2:]]), ENTRY)
    builder = ir.IRBuilder(entry.append_basic_block())
    result, exception = builder.alloca(word), builder.alloca(inner.args[1].type.pointee)
    status = builder.call(inner, [result, exception, *entry.args])
    with builder.if_then(builder.icmp_signed("!=", status, status.type(0)), likely=False):
        builder.call(raised, [])
    builder.ret(builder.load(result))


def _check_closed(module: Any) -> None:
    """Refuse code with a name in it that only Numba's or Python's runtime defines."""
    open_names = [f.name for f in module.functions if f.is_declaration]
    open_names += [v.name for v in module.global_variables if v.is_declaration]
    needed = sorted(name for name in open_names if name.startswith(_FORBIDDEN))
    if needed:
        raise ValueError(f"compiled code may not allocate or raise, but it needs {', '.join(needed)}")

"""Numba's front end, cut down to what functions over typed pointers need.

In:    a Python function and the Numba types of its arguments.
Out:   `Lowered`: LLVM's text of it, not optimised, and of every `helper` it calls.
Holds: nothing is optimised or loaded here. A helper is typed and lowered once for each set of argument
       types, and stays a function until LLVM inlines it. (Numba's own ways are not usable: a call of an
       `njit` function optimises and loads the callee by itself, 50 ms each; `inline="always"` types each
       copy again, 230 ms where this takes 150.)
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, Signature
from inspect import signature as inspect_signature
from typing import Any

from llvmlite import binding
from numba.core import cgutils, codegen, compiler, typed_passes, untyped_passes
from numba.core.compiler_machinery import PassManager
from numba.core.cpu_options import FastMathOptions
from numba.core.registry import cpu_target
from numba.core.typing import signature
from numba.extending import intrinsic

LANES = "nbgraph_lanes_"
"""How the names begin of functions of vectors, which LLVM's vectoriser puts in place of calls of scalar ones."""

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

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...], result: Any, flags: Any) -> None:
        typing, target = cpu_target.typing_context, cpu_target.target_context
        super().__init__(target.codegen(), function.__name__)
        self.callees: list[Any] = []
        made = compiler.compile_extra(
            typing, target, function, arguments, result, flags, {}, library=self, pipeline_class=_Pipeline
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
        module = binding.parse_assembly(cgutils.normalize_ir_text(str(self.module)))
        module.data_layout = self.codegen._data_layout
        return module


def flags_for(fastmath: Any = False, noalias: bool = False) -> Any:
    """Numba's flags for code that neither raises nor is called from Python."""
    flags = compiler.Flags()
    flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    flags.error_model = "numpy"
    flags.noalias = noalias
    if fastmath:
        flags.fastmath = FastMathOptions(fastmath)
    return flags


def lower(function: Callable[..., Any], arguments: tuple[Any, ...], result: Any, fastmath: Any = False) -> Lowered:
    """Lower `function` for Numba types `arguments` and `result`; the caller holds Numba's compiler lock."""
    cpu_target.typing_context.refresh()
    cpu_target.target_context.refresh()
    return Lowered(function, arguments, result, flags_for(fastmath))


def helper(function: Callable[..., Any], fastmath: Any = False, noalias: bool = False) -> Any:
    """Decorator: a function that compiled functions may call by position; `fastmath` holds inside it.

    `noalias` promises that no two of its pointers lead to the same memory, so that it vectorises without checks.
    """
    lowered: dict[Any, Lowered] = {}

    def invoke(typingctx: Any, *arguments: Any) -> Any:
        if arguments not in lowered:
            lowered[arguments] = Lowered(function, arguments, None, flags_for(fastmath, noalias))
        callee = lowered[arguments]

        def generate(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            context.active_code_library.add_linking_library(callee)
            return context.call_internal(builder, callee.descriptor, sig, values)

        return signature(callee.result, *arguments), generate

    given = Signature([Parameter("typingctx", Parameter.POSITIONAL_OR_KEYWORD), *parameters(function)])
    invoke.__signature__ = given  # type: ignore[attr-defined]
    return intrinsic(invoke)


def parameters(function: Callable[..., Any]) -> list[Parameter]:
    """The parameters by name only: Numba binds by them and would stumble over their annotations."""
    return [Parameter(each, Parameter.POSITIONAL_OR_KEYWORD) for each in inspect_signature(function).parameters]

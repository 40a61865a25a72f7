"""From LLVM's text to object code, for the processor at hand.

In:    texts of LLVM modules, of which the first defines the functions that are seen from outside.
Out:   object code.
Holds: one thread at a time (`LOCK`). Loops are vectorised, but not unrolled beyond that: code is 20-40 % smaller, and
       no slower where memory is the limit. numba is not imported.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from llvmlite import binding

from .load import LOCK, initialise

__all__ = [
    "KEPT",
    "LANES",
    "LOCK",
    "features",
    "linked",
    "object_code",
    "optimise",
    "optimised_bitcode",
    "parsed",
    "tidy",
]

LANES = "nbgraph_lanes_"
"""How the names begin of functions of vectors, which LLVM's vectoriser puts in place of calls of scalar ones."""
FEW = 8
"""From so many places a function of vectors may be called and still become part of each. One of some fifty instructions
costs 4 ms each time; called instead, a short loop takes up to 1.3 times as long, one of ten operations no longer."""
CROWD = 4
"""So many of them in one block have more constants than there are registers (see `math.constants`; measured: six take
0.87 of the time so, single ones up to 1.15)."""
_CALLED = re.compile(rf"call [^@\n]*@({LANES}\w+)\(")
KEPT = "nbgraph_kept"
"""The function that names those, so that they are not forgotten before loops are vectorised."""


LAST_KNOWN = 22
"""The latest release of LLVM whose options are known; it ends the process at one that it does not have."""


@cache
def target_machine(level: int = 2) -> Any:
    """The processor at hand, as LLVM's code generator sees it, which takes trouble as the level says."""
    initialise()
    if binding.llvm_version_info[0] <= LAST_KNOWN:
        # Numbers are read before a nest of loops instead of for every element, though a loop in it may run no time at
        # all: loops of `exp` or `tanh` take 0.8 of the time. With sizes that are literals LLVM does so by itself.
        binding.set_option("nbgraph", "-avoid-speculation=false")
    triple = binding.get_process_triple()
    reloc = "static" if triple.startswith(("x86", "i686")) else "default"
    return binding.Target.from_triple(triple).create_target_machine(
        cpu=binding.get_host_cpu_name(),
        features=binding.get_host_cpu_features().flatten(),
        opt=level,
        reloc=reloc,
        codemodel="jitdefault",
        jit=True,
    )


@cache
def features() -> frozenset[str]:
    """What the processor at hand has, by LLVM's names."""
    return frozenset(name for name, there in binding.get_host_cpu_features().items() if there)


@cache
def data_layout() -> str:
    """How types lie in memory."""
    return str(target_machine().target_data)


def parsed(text: str) -> Any:
    """The module of a text."""
    module = binding.parse_assembly(text)
    module.triple, module.data_layout = binding.get_process_triple(), data_layout()
    return module


def linked(texts: Iterable[str], seen: str) -> Any:
    """One module of all, in which only the function `seen` can be seen from outside."""
    first, *others = texts
    module = parsed(first)
    for text in others:
        module.link_in(parsed(text))
    _hide(module, (seen, KEPT))
    return module


def _hide(module: Any, seen: tuple[str, ...]) -> None:
    for function in module.functions:
        if not function.is_declaration and function.name not in seen:
            function.linkage = "internal"


def optimise(module: Any, libraries: Sequence[Any] = (), seen: str = "") -> None:
    """One pass over the module. Then libraries (of functions, as `math.functions.Function`) are linked in with the
    vector variants that are called; those called from few places become part of the loops there. Only the function
    `seen` can be seen from outside."""
    builder = _pass_builder()
    builder.getModulePassManager().run(module, builder)
    if not libraries:
        return
    blocks = [_CALLED.findall(block) for block in str(module).split("\n\n")]
    called = Counter(name for names in blocks for name in names)
    crowded = {name for names in blocks for name in names if len(names) >= CROWD}
    for each in libraries:
        variants = tuple([(name, called[name] <= FEW) for name in each.variants if name in called])
        tabled = not crowded.isdisjoint(name for name, _ in variants) and "avx512f" not in features()
        module.link_in(binding.parse_bitcode(each.bitcode(variants, tabled)))
    _hide(module, (seen,))
    after = binding.create_new_module_pass_manager()
    after.add_always_inliner_pass()
    after.add_global_dead_code_eliminate_pass()
    after.run(module, builder)


def tidy(module: Any) -> None:
    """The few passes that suffice for code whose loops are not to be vectorised: a fifth of what `optimise` takes."""
    builder, passes = _pass_builder(), binding.create_new_module_pass_manager()
    passes.add_sroa_pass()
    passes.add_always_inliner_pass()
    passes.add_simplify_cfg_pass()
    passes.add_instruction_combine_pass()
    passes.add_loop_rotate_pass()
    passes.add_simplify_cfg_pass()
    passes.run(module, builder)


def optimised_bitcode(text: str) -> bytes:
    """A library: a module's text, optimised by itself."""
    with LOCK:
        module = parsed(text)
        builder = _pass_builder()
        builder.getModulePassManager().run(module, builder)
        return bytes(module.as_bitcode())


def _pass_builder() -> Any:
    options = binding.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = options.slp_vectorization = True
    options.loop_unrolling = False
    return binding.create_pass_builder(target_machine(), options)


def object_code(module: Any, quick: bool = False) -> bytes:
    """The module, optimised, as object code. `quick`: in a tenth of the time, for code that is no faster otherwise."""
    return bytes(target_machine(0 if quick else 2).emit_object(module))

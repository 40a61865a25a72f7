"""Object code by content: what an engine takes from disk instead of compiling it, and keeps there.

In: programs with their generated source; nests by theirs; kernels by name. Out: machine code, or None.
Holds: what is loaded was made from the same source by the same versions for the same CPU: all of that is in the name of
the file. Neither asking nor loading imports numba; until something is found by its structure, llvmlite is not imported
either, and no code is generated.
"""

from __future__ import annotations

import os
from functools import cache
from hashlib import sha256
from typing import Any

from nbgraph import codegen
from nbgraph.codegen.emit import Source
from nbgraph.engine.disk import Folder, size_limit
from nbgraph.pretty import fragment_text
from nbgraph.ssa import Program

#: Changes where object code of one source would have to be called otherwise.
FORMAT = 1

_folder = cache(Folder)


class Objects:
    """The object code in a folder; in none, where the cache is off."""

    def __init__(self, path: str | None, compiles_all: bool = False) -> None:
        self.folder = None if path is None else _folder(path, size_limit())
        #: Whether what saves time at every step is compiled early: later processes have it, too, or all is compiled.
        self.is_eager = compiles_all or path is not None
        #: Nests that are functions of their own, by text: compiled or loaded once for an engine.
        self.nests: dict[str, Any] = {}
        self.nest_bytes = 0

    def has(self, program: Program) -> bool:
        """Whether code of this structure is there; it may be another version's."""
        return self.folder is not None and self.folder.has(_stem_of(program))

    def load(self, program: Program, source: Source) -> Any:
        """The `Machine` of a program's source."""
        from nbgraph.codegen.runtime import load_source

        code = self.folder and self._get(_stem_of(program), source.text)
        return load_source(source, code) if code else None

    def keep(self, program: Program, machine: Any) -> None:
        """Keeps what was compiled for a program."""
        if self.folder:
            self._put(_stem_of(program), machine.source.text, machine.object_code)

    def has_kernel(self, name: str, code: str) -> bool:
        """Whether a kernel needs no compiling: it is in this process, or (as far as its name says) on disk."""
        from nbgraph_kernels import registry

        return registry.is_made(name, code) or (self.folder is not None and self.folder.has(_kernel_stem(name, code)))

    def load_kernel(self, name: str, code: str) -> bool:
        """Whether a kernel is in this process now, after loading it if it is on disk."""
        from nbgraph_kernels import registry
        from nbgraph_kernels.load import ENTRY

        if not registry.is_made(name, code):
            found = self._get(_kernel_stem(name, code), "")
            if found:
                registry.install(name, code, found, ENTRY)
        return registry.is_made(name, code)

    def keep_kernel(self, name: str, code: str) -> None:
        """A kernel in this process, if it is on disk; on disk, if it is in this process."""
        if self.load_kernel(name, code):
            self.make_kernel(name, code)

    def make_kernel(self, name: str, code: str) -> None:
        """A kernel in this process, from disk or compiled, and on disk (one of another engine may not be there)."""
        from nbgraph_kernels import registry

        stem, was_made = _kernel_stem(name, code), registry.is_made(name, code)
        there = self.load_kernel(name, code)
        made = registry.kernel(name, code)
        if not there or (was_made and not self._is_kept(stem)):
            self._put(stem, "", made.object_code)

    def nest(self, text: str, may_compile: bool) -> Any:
        """A nest, made before, from disk or compiled; None if it would have to be compiled and may not."""
        from nbgraph.codegen.runtime import compile_nest, load_nest

        made = self.nests.get(text)
        if made is None:
            stem = _nest_stem(text)
            code = self._get(stem, text)
            if code:
                made = load_nest(code)
            elif may_compile:
                made = compile_nest(text)
                self._put(stem, text, made.object_code)
            else:
                return None
            self.nests[text] = made
            self.nest_bytes += made.code_bytes
        return made

    # -- files -----------------------------------------------------------------------------------------------------

    def _get(self, stem: str, source: str) -> bytes | None:
        if self.folder is None or not self.folder.has(stem):
            return None
        name = _name(stem, source)
        return self.folder.get(name) if name else None

    def _put(self, stem: str, source: str, code: bytes) -> None:
        name = _name(stem, source) if self.folder else None
        if self.folder and name:
            self.folder.put(name, code)

    def _is_kept(self, stem: str) -> bool:
        name = _name(stem, "") if self.folder else None
        return not self.folder or not name or os.path.exists(os.path.join(self.folder.path, name))


# -- names -----------------------------------------------------------------------------------------------------------


def _stem_of(program: Program) -> str:
    """The index: a digest of the program's text. It says where to look; what is right, the rest of the name says."""
    text = f"{fragment_text(program.body, 'program')}\n{sorted(program.accumulating)}"
    return "fragment-" + sha256(text.encode()).hexdigest()[:24]


def _kernel_stem(name: str, code: str) -> str:
    return f"kernel-{name}-{code or 'any'}"


def _nest_stem(text: str) -> str:
    return "nest-" + sha256(text.encode()).hexdigest()[:24]


def _name(stem: str, source: str) -> str | None:
    """The file for a source: its digest, together with all else that the object code depends on."""
    here = environment()
    return here and f"{stem}-{sha256(f'{here} {stem} {source}'.encode()).hexdigest()[:40]}.o"


@cache
def environment() -> str | None:
    """A digest of versions, sources and CPU; None where the sources cannot be read, so that nothing is kept."""
    from nbgraph_kernels.identity import identity, source_digest

    here = os.path.dirname(codegen.__file__)
    try:
        with open(os.path.join(os.path.dirname(here), "__init__.py"), encoding="utf-8") as file:
            version = file.read()
        return sha256(f"{FORMAT} {version} {source_digest(here)} {identity()}".encode()).hexdigest()
    except (OSError, ImportError):
        return None

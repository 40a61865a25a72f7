"""The text of functions, as Python's own parser reads it.

In:    functions, or text that defines some. Out: `Code`: the definition, and what the names in it mean.
Holds: a file is read and parsed once in a process. Names are looked up when they are met, not before: closures may be
       filled in later.
"""

from __future__ import annotations

import ast
import builtins
import linecache
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

_TRIES = 20


class LanguageError(TypeError):
    """Code that is not in the language: it may read, write, loop and call, not allocate or raise."""


class Code(NamedTuple):
    """A function's definition."""

    name: str
    node: ast.FunctionDef
    lookup: Callable[[str], Any]
    file: str


def code_of(function: Any) -> Code:
    """The code of a function that stands in a file. Raises `LanguageError` if its text cannot be had."""
    if isinstance(function, Code):
        return function
    made = function.__code__
    node = _definitions(made.co_filename).get((made.co_name, made.co_firstlineno))
    if node is None:
        raise LanguageError(f"the text of {made.co_name} ({made.co_filename}) cannot be read")
    return Code(made.co_name, node, _Names(function), made.co_filename)


def parsed(text: str) -> ast.Module:
    """The tree of a text. CPython 3.11 counts in one number how deep the trees are that all threads build, and says
    `SystemError` where two build one at a time: then it is tried again."""
    for _ in range(_TRIES):
        try:
            return ast.parse(text)
        except SystemError:
            time.sleep(0.001)
    return ast.parse(text)


def codes_in(text: str, namespace: Mapping[str, Any], file: str) -> dict[str, Code]:
    """The functions that a text defines, by name."""
    nodes = [node for node in parsed(text).body if isinstance(node, ast.FunctionDef)]
    return {node.name: Code(node.name, node, namespace.__getitem__, file) for node in nodes}


class _Names:
    """What names mean inside a function: variables of closures, globals, builtins."""

    def __init__(self, function: Any) -> None:
        self.cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        self.globals = function.__globals__

    def __call__(self, name: str) -> Any:
        if name in self.cells:
            return self.cells[name].cell_contents
        return self.globals[name] if name in self.globals else getattr(builtins, name)


@cache
def _definitions(file: str) -> dict[tuple[str, int], ast.FunctionDef]:
    """The functions of a file, by name and first line (a decorator's, if there is one)."""
    tree = parsed("".join(linecache.getlines(file)))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return {(f.name, min([f.lineno, *(d.lineno for d in f.decorator_list)])): f for f in functions}

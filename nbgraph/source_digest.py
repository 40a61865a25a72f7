"""A digest of what a function computes: its code, and everything that it reads.

In: a Python function (or one that `numba.njit` made). Out: hexadecimal digits.
Holds: it covers the functions that it calls, and the numbers, strings, tuples and arrays among its globals, closure and
defaults, whatever their files are called; two functions with equal digests do the same. Something else that it reads
makes the digest one of this process.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from types import CodeType, FunctionType, ModuleType
from typing import Any
from uuid import uuid4

import numpy as np

__all__ = ["digest_of"]

#: Says that a digest holds in this process only.
_PROCESS = uuid4().hex
#: Modules whose version is in the name of all that is kept on disk, or that come with Python.
_KNOWN = frozenset(("math", "cmath", "numpy", "numba", "operator"))


def digest_of(*values: Any) -> str:
    """The digest of functions and values.

    >>> digest_of(lambda x: x + 1) == digest_of(lambda x: x + 1), digest_of(lambda x: x + 2) == digest_of(lambda x: x)
    (True, False)
    """
    seen: dict[int, int] = {}
    return sha256("\0".join(_described(values, seen)).encode()).hexdigest()


def _described(value: Any, seen: dict[int, int]) -> Iterator[str]:
    """Pieces of text that say what a value is; a function met before is a number."""
    value = getattr(value, "py_func", value)
    if isinstance(value, FunctionType):
        if id(value) in seen:
            yield f"function {seen[id(value)]}"
            return
        seen[id(value)] = len(seen)
        yield from _function(value, seen)
    elif isinstance(value, CodeType):
        yield from _code(value, seen)
    elif isinstance(value, tuple | list | frozenset):
        yield f"{type(value).__name__} of {len(value)}"
        for item in sorted(value, key=repr) if isinstance(value, frozenset) else value:
            yield from _described(item, seen)
    elif isinstance(value, np.ndarray):
        yield f"{value.dtype} {value.shape} {value.tobytes().hex()}"
    elif value is None or isinstance(value, bool | int | float | complex | str | bytes | np.generic | np.dtype):
        yield f"{type(value).__name__} {value!r}"
    elif isinstance(value, ModuleType) and value.__name__.partition(".")[0] in _KNOWN:
        yield f"module {value.__name__}"
    elif getattr(value, "__module__", "").partition(".")[0] in _KNOWN or isinstance(value, type(len) | type):
        yield f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', value)!s}"
    else:
        yield f"{_PROCESS} {id(value)}"


def _function(f: FunctionType, seen: dict[int, int]) -> Iterator[str]:
    yield from _code(f.__code__, seen)
    yield from _described(f.__defaults__ or (), seen)
    for cell in f.__closure__ or ():
        try:
            yield from _described(cell.cell_contents, seen)
        except ValueError:  # nothing in it yet
            yield _PROCESS
    names = sorted(_names(f.__code__))
    for name in names:
        if name not in f.__globals__:
            continue
        value = f.__globals__[name]
        yield f"global {name}"
        if isinstance(value, ModuleType) and value.__name__.partition(".")[0] not in _KNOWN:
            for attribute in names:
                if hasattr(value, attribute):
                    yield f"attribute {attribute}"
                    yield from _described(getattr(value, attribute), seen)
        else:
            yield from _described(value, seen)


def _code(code: CodeType, seen: dict[int, int]) -> Iterator[str]:
    yield code.co_code.hex()
    yield repr((code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars, code.co_argcount))
    yield from _described(code.co_consts, seen)


def _names(code: CodeType) -> set[str]:
    """Globals and attributes that code mentions, functions defined in it included."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _names(constant)
    return found

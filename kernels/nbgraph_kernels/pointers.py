"""Addresses of the BLAS and LAPACK routines and of the special functions that SciPy carries.

In:    a routine's name ("dgemm"), or a special function's ("special.digamma").
Out:   its address, as an int.
Holds: numba is not imported. Arguments of routines go by reference, integers are 32 bit, and characters have
       no hidden lengths. A special function is `double f(double, ..., int)`: Cython's last argument is 0; one with
       several results is `void f(double, double *, ...)`. It neither raises nor needs the GIL.
"""

from __future__ import annotations

import ctypes
import re
import sys
from contextlib import nullcontext
from functools import cache
from importlib import _bootstrap, import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from typing import Any

_name_of = ctypes.pythonapi.PyCapsule_GetName
_name_of.restype, _name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
_pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
_pointer_of.restype, _pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]


#: Files of the extension modules that were loaded for their capsules.
LOADED: list[str] = []


@cache
def _capsules(module: str) -> dict[str, Any]:
    """The capsules of an extension module of `scipy.linalg`, loaded without the package: 3 ms, not 150."""
    name = f"scipy.linalg.{module}"
    if name in sys.modules:
        return _capsules_of(sys.modules[name])
    package = find_spec("scipy.linalg")
    spec = package and PathFinder.find_spec(name, package.submodule_search_locations)
    if not (spec and spec.loader):
        return _capsules_of(import_module(name))
    with _being_imported(name):  # one thread at a time, as any import: it can be initialised once
        made = module_from_spec(spec)
        spec.loader.exec_module(made)
        sys.modules.pop(name, None)  # whoever imports it later gets the same module, in its place in the package
    return _capsules_of(made)


def _being_imported(name: str) -> Any:
    """A context in which no other thread imports that module."""
    lock = getattr(_bootstrap, "_ModuleLockManager", None)
    return nullcontext() if lock is None else lock(name)


def _capsules_of(module: Any) -> dict[str, Any]:
    LOADED.append(module.__file__)
    return dict(module.__pyx_capi__)


_COMPLEX = "__pyx_t_double_complex"


@cache
def _special_functions() -> dict[str, Any]:
    """The capsules of functions in double precision; of one for several types, by its own name, after "complex_" where
    it takes a complex number. Functions with several results write them through pointers."""
    from scipy.special import cython_special

    found = {}
    for name, capsule in cython_special.__pyx_capi__.items():
        result, _, arguments = _name_of(capsule).decode().removesuffix(")").partition(" (")
        given = [a for a in arguments.split(", ") if a != "int __pyx_skip_dispatch"]
        types = {a.removesuffix(" *") for a in given}
        plain = re.sub(r"^__pyx_fuse_\d+", "", name)
        if result in ("double", "void") and types == {"double"}:
            found[plain] = capsule
        elif result in (_COMPLEX, "void") and types <= {"double", _COMPLEX}:
            found[f"complex_{plain}"] = capsule
    return found


@cache
def address(routine: str) -> int:
    """The address of `routine`, a lower-case name with its type letter, or "special." and a function's name.

    Raises `LookupError` if there is none.
    """
    family, _, name = routine.rpartition(".")
    tables = (_special_functions(),) if family == "special" else map(_capsules, ("cython_blas", "cython_lapack"))
    for table in tables:
        capsule = table.get(name)
        if capsule is not None:
            return int(_pointer_of(capsule, _name_of(capsule)))
    raise LookupError(f"SciPy has no routine {routine!r}")

"""How many threads the BLAS that SciPy carries, and the one that NumPy carries, use.

In:    a number of threads.
Out:   `AtMost`, a context in which they use no more than that.
Holds: the number belongs to the process, so where contexts overlap in several threads of Python the smallest counts;
       when the last is left, what was found at the first is put back. OpenBLAS only: of another library nothing is
       known, and it is left alone. numba is not imported.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from . import pointers
from .locks import in_forked_process, lock

#: Names that distributors give OpenBLAS's functions: before and after.
_AFFIXES = [(before, after) for before in ("scipy_openblas", "openblas") for after in ("", "64_", "_64_")]


@dataclass(frozen=True, eq=False)
class Control:
    """The number of threads of one library: read, and set; and the addresses of its functions for both."""

    get: Callable[[], int]
    set: Callable[[int], Any]
    addresses: tuple[int, int]


class AtMost:
    """A context in which BLAS uses at most `n` threads. One object may be entered many times, by many threads.

    >>> from nbgraph_kernels.blas_threads import AtMost, controls
    >>> with AtMost(1):
    ...     {control.get() for control in controls()} <= {1}
    True
    """

    def __init__(self, n: int) -> None:
        self.n = n

    def __enter__(self) -> None:
        entered = False
        try:
            with _LOCK:
                _WANTED.append(self.n)
                entered = True
                for control in controls():
                    _tell(control, self.n if len(_WANTED) == 1 else min(_WANTED))
        except BaseException:  # an interrupt: nobody will leave what was not entered
            if entered:
                _WANTED.remove(self.n)
            raise

    def __exit__(self, *exception: object) -> None:
        with _LOCK:
            if self.n in _WANTED:  # else it was entered before this process was forked
                _WANTED.remove(self.n)
            for control, found in _FOUND.items():
                _tell(control, min(_WANTED, default=found))
            if not _WANTED:
                _FOUND.clear()


_LOCK = lock()
#: What the contexts that are entered ask for; what was found of libraries that were told something else.
_WANTED: list[int] = []
_FOUND: dict[Control, int] = {}


def _nobody_is_inside() -> None:
    """Puts back what was found: the threads that told the libraries are not in a forked process."""
    for control, found in _FOUND.items():
        control.set(found)
    _WANTED.clear()
    _FOUND.clear()


in_forked_process(_nobody_is_inside)


def _tell(control: Control, n: int) -> None:
    now = control.get()
    if now != n:
        _FOUND.setdefault(control, now)
        control.set(n)


def controls() -> list[Control]:
    """Of the libraries that are loaded: a library that is not cannot compute."""
    if not _LOADED["scipy"] and ("all" not in _LOADED or _scipy_file()):
        for name, file in (("numpy", _numpy_file()), ("scipy", _scipy_file())):
            found = _control(file) if file else None
            _LOADED[name] = [found] if found else []
        _LOADED["all"] = _LOADED["numpy"] + _LOADED["scipy"]
    return _LOADED["all"]


def functions() -> tuple[int, int] | None:
    """Addresses of the functions that tell and set the number of SciPy's, which is the one that compiled code calls."""
    controls()
    return _LOADED["scipy"][0].addresses if _LOADED["scipy"] else None


#: Those of "numpy", "scipy" and "all" found so far.
_LOADED: dict[str, list[Control]] = {"scipy": []}


def _numpy_file() -> str | None:
    return getattr(sys.modules.get("numpy._core._multiarray_umath"), "__file__", None)


def _scipy_file() -> str | None:
    """An extension module that SciPy's BLAS was loaded for."""
    if pointers.LOADED:
        return pointers.LOADED[0]
    return getattr(sys.modules.get("scipy.linalg._fblas"), "__file__", None)


@cache
def _control(file: str) -> Control | None:
    """That of the library which the extension module `file`, loaded already, is linked with."""
    try:
        library = ctypes.CDLL(file)  # a symbol is looked for in the libraries it needs, too
    except OSError:
        return None
    for before, after in _AFFIXES:
        get = getattr(library, f"{before}_get_num_threads{after}", None)
        put = getattr(library, f"{before}_set_num_threads{after}", None)
        if get and put:
            get.argtypes, get.restype = [], ctypes.c_int
            put.argtypes, put.restype = [ctypes.c_int], None
            places = (ctypes.cast(f, ctypes.c_void_p).value or 0 for f in (get, put))
            return Control(_reader(library, get), put, tuple(places))  # type: ignore[arg-type]
    return None


def _reader(library: Any, get: Callable[[], int]) -> Callable[[], int]:
    """How the number is read: a tenth of the time of a call, where the variable that keeps it can be seen."""
    try:
        number = ctypes.c_int.in_dll(library, "blas_cpu_number")
    except ValueError:
        return get
    return partial(getattr, number, "value")

"""The named errors, and where in the user's code they come from.

In: what went wrong, in which operation, at which operand, what was got and wanted, what to do.
Out: exceptions that are both an `NbgraphError` and the built-in a NumPy user would catch.
Holds: an error carries text only of the user's place (no frame, no code object), so it keeps
nothing alive, and pickles and copies unchanged.
"""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Callable
from functools import lru_cache, wraps
from types import CodeType
from typing import ParamSpec, TypeAlias, TypeVar

import numpy as np

__all__ = [
    "GENERATED",
    "BindingError",
    "BoundsError",
    "CacheError",
    "ConcretizationError",
    "DifferentiationError",
    "DtypeError",
    "LinAlgError",
    "NbgraphError",
    "NumberError",
    "OutOfMemoryError",
    "ShapeError",
    "Site",
    "check_steps",
    "describe",
    "guarded",
    "is_ours",
    "named",
    "user_frame",
    "user_place",
]

Site: TypeAlias = tuple[CodeType, int]
"""A place in the user's code: the code object and the line number in its file."""

_HOME = os.path.dirname(os.path.abspath(__file__)) + os.sep
_EXAMPLES = os.path.join(_HOME, "examples") + os.sep
_KERNELS = f"{os.sep}nbgraph_kernels{os.sep}"
#: Where code lies that is called for what it computes.
_LIBRARIES = (os.path.dirname(os.__file__), os.path.dirname(np.__file__), "<frozen", "<__array_function__")
#: Modules that work on the graph: what goes wrong there is a fault of the library's.
_INNER = {
    *("backward", "batch", "chains", "commits", "interpreter", "native", "pairs", "recorder", "rows"),
    *("routes", "runners", "schedule", "series", "small", "straight", "tiled", "topped"),
    *("again", "derive", "inline", "match", "parts", "path", "picks", "plans"),
    *("repeats", "roll", "seal", "stretch", "turns"),
}
#: What the code that the library generates gives for its file.
GENERATED = "<nbgraph>"


@lru_cache(maxsize=1024)
def is_ours(filename: str) -> bool:
    """Whether the file belongs to the library; its examples count as the user's code."""
    if filename.startswith(_HOME):
        return not filename.startswith(_EXAMPLES)
    return _KERNELS in filename or filename == GENERATED


def user_frame(above: int = 0) -> Site | None:
    """The innermost call that is not the library's own; cheap enough for every traced operation. `above`: so many calls
    from the innermost one are known to be the library's.

    >>> code, line = user_frame()
    >>> line
    1
    """
    frame = sys._getframe(above + 1)
    while frame is not None:
        code = frame.f_code
        if not is_ours(code.co_filename):
            return code, frame.f_lineno
        frame = frame.f_back  # type: ignore[assignment]
    return None


def user_place(above: int = 0) -> tuple[int, int]:
    """What tells the user's call from others: as `user_frame`, but an instruction instead of a line, which takes longer
    to find the longer the function is."""
    frame = sys._getframe(above + 1)
    while is_ours(frame.f_code.co_filename) and frame.f_back is not None:
        frame = frame.f_back
    return id(frame.f_code), frame.f_lasti  # not the code: its hash is that of all its bytes


def describe(site: Site | None) -> str:
    """A place as a reader wants it: `script.py:12: y = x + z`; empty for no place.

    >>> describe(None)
    ''
    """
    if site is None:
        return ""
    code, line = site
    source = linecache.getline(code.co_filename, line).strip()
    place = f"{_short(code.co_filename)}:{line}"
    return f"{place}: {source}" if source else place


def _short(filename: str) -> str:
    """Relative to the working directory where the file lies inside it."""
    try:
        return filename.removeprefix(os.path.join(os.getcwd(), ""))
    except FileNotFoundError:  # the working directory was removed
        return filename


class NbgraphError(Exception):
    """Everything this library raises on purpose.

    `message` says what is wrong; `position`, `got` and `wanted` say it of one operand; `where` is the
    user's line (found by walking the stack if not given, left out if `""`); `hint` is what to do.

    >>> print(ShapeError(operation="add", position=1, got="shape (3,)",
    ...                  wanted="a shape that broadcasts with (4,)", where="script.py:12: y = x + z"))
    add: operand 1 has shape (3,), wanted a shape that broadcasts with (4,)
      at script.py:12: y = x + z
    """

    def __init__(
        self,
        message: str = "",
        *,
        operation: str | None = None,
        position: int | str | None = None,
        got: object = None,
        wanted: object = None,
        where: Site | str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.operation = operation
        self.position = position
        self.got = got
        self.wanted = wanted
        self.where = where if isinstance(where, str) else describe(where or user_frame())
        self.hint = hint

    def __str__(self) -> str:
        parts = (self.operation, self.message, self._operand())
        lines = [": ".join(part for part in parts if part)]
        if self.where:
            lines.append(f"  at {self.where}")
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)

    def _operand(self) -> str:
        subject = "" if self.position is None else f"operand {self.position}"
        verb = "has " if subject else "got "
        got = "" if self.got is None else f"{verb}{self.got}"
        wanted = "" if self.wanted is None else f"wanted {self.wanted}"
        claim = ", ".join(part for part in (got, wanted) if part)
        return " ".join(part for part in (subject, claim) if part)


class ShapeError(NbgraphError, ValueError):
    """Shapes, ranks or structures that do not fit together."""


class DtypeError(NbgraphError, TypeError):
    """A dtype the operation does not take."""


def not_an_engine(given: object) -> DtypeError:
    """The error for an `engine` that is none."""
    hint = f"make one: nbg.Engine(jit={given!r})" if given in ("auto", "always", "never") else None
    return DtypeError("not an engine", operation="eval", got=type(given).__name__, wanted="an nbg.Engine", hint=hint)


class NumberError(DtypeError, OverflowError, ValueError):
    """A number that is too large, or that the dtype it meets cannot hold or take."""


class BoundsError(NbgraphError, IndexError):
    """An index or an axis outside of its range."""


class DifferentiationError(NbgraphError):
    """A derivative that does not exist, or whose history was dropped."""


class ConcretizationError(NbgraphError, TypeError):
    """A number was asked for that is known only when the program runs."""


class BindingError(NbgraphError):
    """A placeholder or a symbolic size without a value, or with one that does not fit."""


class LinAlgError(NbgraphError, np.linalg.LinAlgError):
    """A factorisation or a solve that failed: singular, not positive definite, not converged."""


class OutOfMemoryError(NbgraphError, MemoryError):
    """An array that does not fit into memory. The graph is as it was."""

    @classmethod
    def of(cls, error: MemoryError, operation: str | None = None) -> OutOfMemoryError:
        """The named error for one of NumPy's."""
        if isinstance(error, OutOfMemoryError):
            return error
        hint = "the graph is as it was: make it smaller (a reduction before, slices by turns, float32), then go on"
        return cls(str(error) or "out of memory", operation=operation, hint=hint)


#: Steps of a recurrence that is recorded step by step.
STEPS_LIMIT = 100_000


def check_steps(operation: str, n: int, position: int | str = 0) -> None:
    """Refuses a recurrence whose graph would fill the memory.

    >>> check_steps("polyint", 3)
    """
    if n > STEPS_LIMIT:
        wanted = f"at most {STEPS_LIMIT}"
        raise OutOfMemoryError("too many steps", operation=operation, position=position, got=n, wanted=wanted)


class CacheError(NbgraphError):
    """The folder of compiled code cannot be used or trusted."""


P = ParamSpec("P")
R = TypeVar("R")


#: Python's and NumPy's own errors, and what they are here; of several the first that fits.
_NAMED_FOR: tuple[tuple[type[Exception], type[NbgraphError]], ...] = (
    (MemoryError, OutOfMemoryError),
    (IndexError, BoundsError),
    (OverflowError, NumberError),
    (ValueError, ShapeError),
    (LookupError, ShapeError),
    (TypeError, DtypeError),
    (AttributeError, DtypeError),
    (BufferError, DtypeError),
    (ArithmeticError, ShapeError),
)
#: What `named` looks at.
TOLD: tuple[type[Exception], ...] = (NbgraphError, *(kind for kind, _ in _NAMED_FOR))


def _of_bare(error: Exception, function: Callable[..., object]) -> NbgraphError:
    name = function.__name__
    if isinstance(error, MemoryError):
        return OutOfMemoryError.of(error, name)
    kind = next(ours for theirs, ours in _NAMED_FOR if isinstance(error, theirs))
    return kind(
        str(error).removeprefix(f"{name}() "), operation=name, hint=f"it is called {name}{_parameters(function)}"
    )


def _is_no_arguments(error: Exception) -> bool:
    """Whether no argument is to blame: it came out of a function that was called back (a frame below the function's own
    is no library's), or from where nothing is left of arguments but the graph."""
    trace = error.__traceback__ and error.__traceback__.tb_next  # after the wrapper's
    inside = ""
    while trace is not None and (trace := trace.tb_next) is not None:
        file = trace.tb_frame.f_code.co_filename
        if is_ours(file):
            inside = os.path.basename(file).removesuffix(".py")
        elif not file.startswith(_LIBRARIES):
            return True
    return inside in _INNER


def _parameters(function: Callable[..., object]) -> str:
    """A signature without its types."""
    from inspect import Parameter, signature

    taken = signature(function)
    bare = [p.replace(annotation=Parameter.empty) for p in taken.parameters.values()]
    return str(taken.replace(parameters=bare, return_annotation=Parameter.empty))


def named(function: Callable[P, R]) -> Callable[P, R]:
    """A function whose errors of shape, dtype and axis bear its own name, whichever step found them.

    What Python or NumPy says of an argument that no step of ours looked at becomes a named error too. Errors of
    functions that the user gave stay as they are.

    >>> @named
    ... def double(x):
    ...     raise ShapeError("wrong rank", operation="add", position=0, where="")
    >>> double(1)
    Traceback (most recent call last):
    nbgraph.errors.ShapeError: double: wrong rank: operand 0
    """

    return _naming(function, renames=True)


def guarded(function: Callable[P, R]) -> Callable[P, R]:
    """As `named`, for a function whose named errors say already where they belong: they keep their names.

    >>> @guarded
    ... def first(x):
    ...     return x[0]
    >>> try:
    ...     first(1)
    ... except DtypeError as error:
    ...     print(error.operation, error.hint)
    first it is called first(x)
    """

    return _naming(function, renames=False)


def _naming(function: Callable[P, R], renames: bool) -> Callable[P, R]:
    """The function with bare errors named, and if it `renames`, named ones told as its own. (It adds some 0.6 µs to a
    call: what is recorded thousands of times keeps its common case outside.)"""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except TOLD as error:
            tell(error, function, renames)
            raise

    return call


def tell(error: Exception, function: Callable[..., object], renames: bool = True) -> None:
    """Names an error, one of `TOLD` that was caught right above a function, as `named` does: raises another one, or
    changes it."""
    if isinstance(error, NbgraphError):
        if renames and isinstance(error, ShapeError | DtypeError | BoundsError) and not _is_no_arguments(error):
            error.operation = function.__name__
    elif not _is_no_arguments(error):
        raise _of_bare(error, function) from error

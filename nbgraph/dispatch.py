"""NumPy's functions called with tensors: which of ours they mean.

In: what `__array_ufunc__` and `__array_function__` are given. Out: a `TracedTensor`, not evaluated; but for the few
functions that decide, print or write to files, and for what SciPy's solvers call, which evaluate.
Holds: NumPy's and SciPy's functions go by their names to those of `nbgraph`, `nbgraph.linalg`, `nbgraph.fft` and
`nbgraph.special`. What has no such function raises `DtypeError`, what writes into its argument `TypeError`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import lru_cache
from inspect import signature
from typing import Any

import numpy as np

from nbgraph import api, special
from nbgraph.errors import DtypeError
from nbgraph.node import Node
from nbgraph.operators import after
from nbgraph.promote import as_code, operand
from nbgraph.trees import tree_map
from nbgraph.types import code_of

__all__ = ["call_function", "call_ufunc"]

#: Functions of NumPy that decide, print or write to files: they evaluate.
_EVALUATED = frozenset(
    """
    allclose array_equal array_equiv array_repr array_str array2string save savez savez_compressed savetxt
    may_share_memory shares_memory
    """.split()  # noqa: SIM905
)
#: Modules that hand numbers to compiled routines.
_SOLVERS = ("scipy.optimize.", "scipy.integrate.")
#: Functions of NumPy that write into their argument, which a tensor does not allow.
_IN_PLACE = frozenset(("copyto", "fill_diagonal", "place", "put", "put_along_axis", "putmask"))
#: Where the functions of NumPy's modules are.
_HOMES = {"numpy.linalg": "nbgraph.linalg", "numpy.fft": "nbgraph.fft"}
#: What reducing and accumulating with a ufunc is called.
_REDUCE = {
    "add": "sum", "multiply": "prod", "maximum": "max", "minimum": "min", "logical_and": "all", "logical_or": "any",
}  # fmt: skip
_ACCUMULATE = {"add": "cumsum", "multiply": "cumprod", "maximum": "cummax", "minimum": "cummin"}
#: Our functions, by the ufuncs that were called on tensors.
CALLED: dict[Any, Any] = {getattr(np, name): after(name) for name in ("add", "subtract", "multiply", "divide")}
#: Keywords of ufuncs that say nothing about values, and values that are their defaults.
_IDLE = ("casting", "order", "subok")
_DEFAULTS: dict[str, Any] = {"out": None, "where": True, "dtype": None, "initial": None}


def call_ufunc(ufunc: Any, method: str, inputs: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What `ufunc.method(*inputs, **kwargs)` means."""
    name = ufunc.__name__
    given = {k: v for k, v in kwargs.items() if k not in _IDLE and not _is_default(k, v)}
    if "out" in given:
        raise TypeError(f"np.{name} with `out` writes into an array; without, it gives a new tensor")
    if method == "at":
        raise _in_place(f"{name}.at")
    if method == "reduce" and name in _REDUCE:
        return _along(_REDUCE[name], inputs, given)
    if method == "accumulate" and name in _ACCUMULATE:
        return _along(_ACCUMULATE[name], inputs, given)
    function = getattr(api, name, None) or getattr(special, name, None)
    if function is None or method not in ("__call__", "outer") or set(given) - {"dtype", "axis"}:
        raise _not_lazy(name if method == "__call__" else f"{name}.{method}", given)
    if method == "__call__":
        CALLED[ufunc] = function
    if method == "outer":
        a, b = map(operand, inputs)
        inputs = (api.reshape(a, (*a.type.shape, *(1,) * b.type.ndim)), b)
    code = given.pop("dtype", None)
    if code is not None:
        inputs = [as_code(operand(x), code_of(code)) for x in inputs]
    return function(*inputs, **given)


def _is_default(key: str, value: Any) -> bool:
    if type(value) is tuple:
        return key == "out" and all(v is None for v in value)
    return key in _DEFAULTS and value is _DEFAULTS[key]


def _along(name: str, inputs: Sequence[Any], given: dict[str, Any]) -> Any:
    (x, *rest) = inputs
    given = {"axis": 0, **dict(zip(("axis", "dtype"), rest, strict=False)), **given}
    if set(given) - {"axis", "dtype", "keepdims"}:
        raise _not_lazy(name, given)
    x = operand(x) if given.get("dtype") is None else as_code(operand(x), code_of(given["dtype"]))
    given.pop("dtype", None)
    return getattr(api, name)(x, **given)


def call_function(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What `func(*args, **kwargs)` means, a function of NumPy's that is no ufunc."""
    name = func.__name__
    if name in _EVALUATED or _asked_by_a_solver():
        args, kwargs = tree_map(_value, (tuple(args), kwargs))
        return func(*args, **kwargs)
    if name in _IN_PLACE:
        raise _in_place(name)
    home: Any = sys.modules[_HOMES.get(func.__module__, "nbgraph")]
    function = getattr(home, name, None) if name in home.__all__ else None
    if function is None:
        raise _not_lazy(func.__module__.removeprefix("numpy").lstrip(".") + f" {name}", {})
    args, kwargs = _without_out(func, args, kwargs)
    return function(*args, **kwargs)


def _asked_by_a_solver() -> bool:
    """Whether the caller is a module of SciPy's whose routines take numbers: no derivative goes through those."""
    frame: Any = sys._getframe(2)
    while frame is not None and frame.f_globals.get("__name__", "").startswith("nbgraph."):
        frame = frame.f_back
    return frame is not None and frame.f_globals.get("__name__", "").startswith(_SOLVERS)


def _without_out(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Sequence[Any], dict[str, Any]]:
    """The arguments as our functions take them: without `out`, and by name what comes after it."""
    names = _positional(func)
    at = names.index("out") if names else len(args)
    given = dict(zip(names[at:], args[at:], strict=False)) | kwargs
    if not _is_default("out", given.get("out")):
        raise TypeError(f"np.{func.__name__} with `out` writes into an array; without, it gives a new tensor")
    return args[:at], {k: v for k, v in given.items() if not (k == "out" or _is_idle(k, v))}


@lru_cache(maxsize=1024)
def _positional(func: Any) -> tuple[str, ...]:
    """The names of what a function of NumPy's takes by position, if it takes `out` among them."""
    try:
        parameters = signature(func).parameters.values()
    except ValueError:  # a builtin function that does not tell
        return ()
    names = tuple(p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD))
    return names if "out" in names else ()


def _is_idle(key: str, value: Any) -> bool:
    """Whether a keyword says nothing."""
    return (key == "where" and value is True) or isinstance(value, type(np._NoValue))


def _value(x: Any) -> Any:
    return x.eval() if isinstance(x, Node) else x  # type: ignore[attr-defined]


def _in_place(name: str) -> TypeError:
    ours = f"nbg.{name} or " if name in api.__all__ and name in _IN_PLACE else ""
    return TypeError(f"np.{name} writes into its argument; {ours}x.at gives a new tensor")


def _not_lazy(name: str, kwargs: Any) -> DtypeError:
    keywords = f" with {', '.join(kwargs)}" if kwargs else ""
    return DtypeError(
        f"numpy's {name.strip()}{keywords} does not take a TracedTensor",
        hint="use one of nbgraph's functions, or .eval() for the value",
    )

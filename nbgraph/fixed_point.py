"""`fixed_point`: the solution of x = f(x, args), differentiated by the equation that it solves.

In: a contraction, where to start, its arguments. Out: x*, recorded as one operation on the arguments.
Holds: the loop runs on values and leaves no history; the rule is made of recorded operations, so it has derivatives.
Source: the implicit function theorem, dx* = (I - J)^-1 df, where J = df/dx at x*.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from nbgraph import api
from nbgraph.custom import custom_vjp
from nbgraph.engine import Engine
from nbgraph.errors import DtypeError, LinAlgError, ShapeError, guarded
from nbgraph.linalg import solve
from nbgraph.transforms import jacrev, vjp

__all__ = ["fixed_point"]


@guarded
def fixed_point(
    f: Callable[..., Any],
    x0: Any,
    *args: Any,
    tol: float = 1e-12,
    max_iter: int = 1000,
    engine: Engine | None = None,
) -> Any:
    """The tensor x with x = f(x, *args), by iteration from `x0`, of the shape and dtype of x0 (float or complex).

    Ends when a step changes x by at most `tol * (1 + max|x|)`. Every step is evaluated (by `engine`), so `f` may be
    any function that can be traced, and the arguments need values. The derivative by `args`, real or complex tensors
    or containers of them, is that of the equation, whatever the number of steps, in reverse mode and to any order;
    that by `x0` is zero. It solves a system as large as x. Tensors that `f` reads from elsewhere are constants.

    Raises `LinAlgError` if `max_iter` steps do not suffice or x is not finite, `ShapeError` or `DtypeError` if a step
    gives another type, `DifferentiationError` in forward mode.

    >>> import nbgraph as nbg
    >>> a = nbg.TracedTensor.from_tensor(2.0)
    >>> x = nbg.fixed_point(lambda x, a: (x + a / x) / 2, 1.0, a)
    >>> print(f"{x:.6f} {x.grad(a):.6f}")
    1.414214 0.353553
    """
    return _solution(f)(_iterated(f, x0, args, tol, max_iter, engine), *args)


def _iterated(f: Callable[..., Any], x0: Any, args: Any, tol: float, max_iter: int, engine: Engine | None) -> Any:
    """The solution, as a constant."""
    x = api.asarray(x0).eval(engine)
    if x.dtype.kind not in "fc":
        raise DtypeError(operation="fixed_point", position="x0", got=x.dtype, wanted="a float or complex dtype")
    change = np.inf
    for _ in range(max_iter):
        new = api.asarray(f(api.asarray(x), *args)).eval(engine)
        if new.shape != x.shape:
            raise ShapeError("a step changes the shape", operation="fixed_point", got=new.shape, wanted=x.shape)
        if new.dtype != x.dtype:
            raise DtypeError("a step changes the dtype", operation="fixed_point", got=new.dtype, wanted=x.dtype)
        change, size = (np.max(np.abs(v), initial=0.0) for v in (new - x, new))
        x = new
        if np.isfinite(size) and change <= tol * (1 + size):
            return api.asarray(x)
        if not np.isfinite(change):
            break
    raise LinAlgError(
        "not converged",
        operation="fixed_point",
        got=f"a last change of {change:.3g}",
        wanted=f"at most {tol:.3g} * (1 + max|x|) within {max_iter} steps",
        hint="start nearer, damp f, or raise tol or max_iter",
    )


@lru_cache(maxsize=16)
def _solution(f: Callable[..., Any]) -> Any:
    """One more application of f, to its fixed point, with the implicit rule."""

    def solution(x: Any, *args: Any) -> Any:
        return f(x, *args)

    def fwd(x: Any, *args: Any) -> Any:
        out = f(x, *args)
        return out, (out, args)

    def bwd(residuals: Any, ct: Any) -> Any:
        """u = ct + J^T u; then u pulled back to the arguments."""
        x, args = residuals
        jacobian = jacrev(lambda v: _vector(f(_tensor(v, x), *args)))(_vector(x))
        system = api.eye(jacobian.shape[0], dtype=jacobian.dtype) - jacobian.T
        u = _tensor(solve(system, _vector(ct)), x)
        return (None, *vjp(lambda *given: f(x, *given), *args)[1](u))

    ruled = custom_vjp(solution)
    ruled.defvjp(fwd, bwd)
    return ruled


def _vector(x: Any) -> Any:
    """The real coordinates of a tensor: f need not be holomorphic."""
    v = api.reshape(x, (-1,))
    return api.concatenate([api.real(v), api.imag(v)]) if x.dtype.kind == "c" else v


def _tensor(v: Any, like: Any) -> Any:
    """The tensor with such coordinates."""
    if like.dtype.kind == "c":
        n = v.shape[0] // 2
        v = v[:n] + 1j * v[n:]
    return api.reshape(v, like.shape)

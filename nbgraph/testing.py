"""`check_grads`: derivatives of a function against differences and against each other.

In: a function of pytrees and arguments. Out: nothing, or `AssertionError` saying which derivative of what is wrong.
Holds: directions come from a fixed seed, so a check that fails fails again. What is checked, in random directions
v and ct of the arguments and results, with the inner product <a, b> = Re(sum(conj(a) b)):

    J v = (f(x + eps v) - f(x - eps v)) / 2 eps        forward mode against central differences
    <J* ct, v> = <ct, difference>                      reverse mode against central differences
    <J* ct, v> = <ct, J v>                             both against each other (the adjoint identity)

and, for each further order, the same of the functions (x, v) -> J v and (x, ct) -> J* ct.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import fsum
from typing import Any, NamedTuple

import numpy as np

from nbgraph import gauge
from nbgraph.engine import Engine, evaluate
from nbgraph.graph import fragments_of
from nbgraph.leaves import constant_of, leaf, own_array
from nbgraph.node import Node
from nbgraph.transforms import jvp, vjp
from nbgraph.trees import flatten, leaves, unflatten

__all__ = ["check_grads"]

Array = np.ndarray[Any, Any]
#: Step of the differences and tolerances, by the real dtype: the step balances truncation and rounding.
_EPS = {"f4": 5e-3, "f8": 6e-6}
_TOLERANCE = {"f4": 1e-2, "f8": 1e-6}


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int = 2,
    modes: str | Sequence[str] = ("fwd", "rev"),
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = None,
    *,
    engine: Engine | None = None,
    seed: int = 0,
    check_gauge: bool = True,
) -> None:
    """Checks the derivatives of `f(*args)` up to `order`; raises `AssertionError` where one is wrong.

    `args` is a tuple of arrays, numbers, tensors or containers of them, `f` returns tensors or containers of them;
    real and complex floating-point leaves are differentiated, others held fixed. `modes`: "fwd", "rev" or both.
    A difference is allowed up to `atol + rtol * size of what is wanted`; tolerances and the step `eps` depend on the
    lowest precision among the arguments where they are not given. `engine` is what evaluates.

    With `check_gauge`, a function that depends on the phases of complex eigenvectors or singular vectors raises
    `DifferentiationError`: it has no derivative, whatever differences say.

    >>> import nbgraph as nbg
    >>> check_grads(lambda x, y: nbg.sin(x) * y, (np.array([0.1, 0.2]), 3.0), order=2)
    """
    if isinstance(modes, str):
        modes = (modes,)
    assert set(modes) <= {"fwd", "rev"}, f"modes are 'fwd' and 'rev', got {modes}"
    function, point = _flat(f, args, engine)
    code = min((x.real.dtype.str[1:] for x in point), default="f8")
    defaults = _TOLERANCE[code]
    limits = (defaults if atol is None else atol, defaults if rtol is None else rtol)
    name = getattr(f, "__name__", type(f).__name__)
    check = _Check(function, point, f"derivative of {name}", eps or _EPS[code], limits, tuple(modes), engine)
    if check_gauge:
        check.gauge(np.random.default_rng(seed))
    check.run(order, np.random.default_rng(seed))


def _flat(f: Callable[..., Any], args: Sequence[Any], engine: Engine | None) -> tuple[Callable[..., Any], list[Array]]:
    """f as a function of floating-point tensors with a list of them as result, and where it is checked."""
    given, tree = flatten(tuple(args))
    arrays = [evaluate([x], engine)[0] if isinstance(x, Node) else own_array(x) for x in given]
    free = [k for k, a in enumerate(arrays) if a.dtype.kind in "fc"]

    def function(*xs: Any) -> list[Node]:
        filled = dict(zip(free, xs, strict=True))
        result = f(*unflatten(tree, (filled.get(k, x) for k, x in enumerate(given))))
        return [n for n in map(_node, leaves(result)) if n.type.inexact]

    return function, [arrays[k] for k in free]


def _node(x: Any) -> Node:
    return x if isinstance(x, Node) else constant_of(x)


class _Check(NamedTuple):
    """One function of arrays (with a list of results) at one point."""

    f: Callable[..., Any]
    point: list[Array]
    title: str
    eps: float
    limits: tuple[float, float]
    modes: tuple[str, ...]
    engine: Engine | None

    def run(self, order: int, rng: np.random.Generator) -> None:
        """Checks the first derivative, and those of the functions that give it, down to order 0."""
        if order <= 0:
            return
        vs = [_direction(rng, x) for x in self.point]
        differences = self._differences(vs)
        cts = [_direction(rng, d) for d in differences]
        tangents = None
        if "fwd" in self.modes:
            tangents = self._forward(vs, differences)
            self._deeper(order, rng, self._jvp, vs, "forward")
        if "rev" in self.modes:
            self._reverse(vs, cts, differences, tangents)
            self._deeper(order, rng, self._vjp, cts, "reverse")

    def gauge(self, rng: np.random.Generator) -> None:
        """Whether the results depend on phases that mean nothing."""
        outs = self.f(*(leaf(x, True) for x in self.point))
        gauge.check_gauge(outs, [_direction(rng, x) for x in self._values(outs)], self.engine)

    def _jvp(self, *xs_vs: Any) -> Any:
        n = len(self.point)
        return jvp(self.f, xs_vs[:n], xs_vs[n:])[1]

    def _vjp(self, *xs_cts: Any) -> Any:
        n = len(self.point)
        return list(vjp(self.f, *xs_cts[:n])[1](list(xs_cts[n:])))

    def _deeper(self, order: int, rng: np.random.Generator, f: Any, more: list[Array], mode: str) -> None:
        deeper = self._replace(f=f, point=[*self.point, *more], title=f"derivative of the {mode} {self.title}")
        deeper.run(order - 1, rng)

    def _values(self, nodes: Sequence[Node]) -> list[Array]:
        return [np.asarray(a) for a in evaluate(list(nodes), self.engine)]

    def _differences(self, vs: list[Array]) -> list[Array]:
        """The central difference in a direction, for each result."""
        above, below = (self._values(self.f(*self._moved(vs, step))) for step in (self.eps, -self.eps))
        return [(a - b) / a.dtype.type(2 * self.eps) for a, b in zip(above, below, strict=True)]

    def _moved(self, vs: list[Array], step: float) -> list[Node]:
        return [constant_of(x + x.dtype.type(step) * v) for x, v in zip(self.point, vs, strict=True)]

    def _forward(self, vs: list[Array], differences: list[Array]) -> list[Array]:
        """The tangents, which are the differences."""
        tangents = self._values(self._jvp(*self.point, *vs))
        for k, (got, wanted) in enumerate(zip(tangents, differences, strict=True)):
            self._compare(f"forward mode, result {k}", got, wanted, np.max(np.abs(wanted), initial=0.0))
        return tangents

    def _reverse(
        self, vs: list[Array], cts: list[Array], differences: list[Array], tangents: list[Array] | None
    ) -> None:
        pulled = self._values(self._vjp(*self.point, *cts))
        got, scale = _inner(pulled, vs), _norm(cts) * _norm(differences)
        self._compare("reverse mode, <J* ct, v>", got, _inner(cts, differences), scale)
        if tangents is not None:
            self._compare("adjoint identity, <J* ct, v> = <ct, J v>", got, _inner(cts, tangents), scale)

    def _compare(self, what: str, got: Any, wanted: Any, scale: float) -> None:
        atol, rtol = self.limits
        allowed = atol + rtol * float(scale)
        error = float(np.max(np.abs(got - wanted), initial=0.0))
        if not error <= allowed:  # a NaN is wrong too
            raise AssertionError(
                f"{self.title}, {what}: got {got}, wanted {wanted}\n"
                f"  largest difference {error:.3g}, allowed {allowed:.3g}\n"
                f"  operations: {', '.join(self._operations())}"
            )

    def _operations(self) -> Iterable[str]:
        """The names of the operations that the function is made of."""
        outs = self.f(*(leaf(x, True) for x in self.point))
        return dict.fromkeys(
            instr.op.name or type(instr.op).__name__ for fr in fragments_of(*outs) for instr in fr.instrs
        )


def _direction(rng: np.random.Generator, like: Array) -> Array:
    """A random array in the dtype and shape of another."""
    v = rng.standard_normal(like.shape)
    if like.dtype.kind == "f":
        return own_array(np.asarray(v, like.dtype))
    return own_array(np.asarray(v + 1j * rng.standard_normal(like.shape), like.dtype))


def _inner(a: Sequence[Array], b: Sequence[Array]) -> float:
    """Re(conj(a) b), over all leaves."""
    return fsum(float(np.real(np.vdot(x, y))) for x, y in zip(a, b, strict=True))


def _norm(a: Sequence[Array]) -> float:
    return float(np.sqrt(_inner(a, a)))

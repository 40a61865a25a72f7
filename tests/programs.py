"""Random programs over the API, and a plain oracle for them.

In: genes, that is lists of small integers (hypothesis draws and shrinks them well), and a seed for the numbers. Out: a
`Program`: leaves, and steps over a growing pool of values. Every operation is one Python function over `xp`, run once
with NumPy and once with nbgraph, which has NumPy's names.
Holds: all values are finite, of moderate size, and away from where operations are not defined. A derivative by a pool
value, in the middle or at the start, is what the result does when that value alone is moved: differences of NumPy
evaluations give it, with nothing of the library in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import erf

import nbgraph as nbg

Array = np.ndarray[Any, Any]
Gene = tuple[int, int, int, int]

LARGEST, ELEMENTS = 100.0, 48
NUMBERS = (2, 0.5, -1.5, 3, -1, 1, 0, 0.25)
EXPONENTS = (2, 3, 1, 0, 4)


# -- operations -------------------------------------------------------------------------------------------------------


class Operation(NamedTuple):
    """`fits` says whether operands may be taken; `apply(xp, *operands, k)` computes, with a small number `k`."""

    name: str
    arity: int
    fits: Callable[..., bool]
    apply: Callable[..., Any]


def _floating(x: Any) -> bool:
    return x.dtype.kind in "fc"


def _real(x: Any) -> bool:
    return x.dtype.kind == "f"


def _ranked(*ranks: int) -> Callable[[Any], bool]:
    return lambda x: x.ndim in ranks and _floating(x)


def _square(x: Any) -> bool:
    return x.ndim >= 2 and x.shape[-1] == x.shape[-2] and _floating(x)


def _broadcast(x: Any, y: Any) -> bool:
    """Whether a binary operation of the two is defined; masks meet floating point only."""
    try:
        np.broadcast_shapes(x.shape, y.shape)
    except ValueError:
        return False
    return _floating(x) or _floating(y)


def _real_pair(x: Any, y: Any) -> bool:
    return _broadcast(x, y) and _real(x) and _real(y)


def _axis(x: Any, k: int) -> Any:
    """An axis, a negative one, all of them, or two."""
    choices: list[Any] = [None, *range(x.ndim), *range(-x.ndim, 0)]
    if x.ndim > 1:
        choices += [(0, -1), (0, 1)] if x.ndim > 2 else [(0, 1)]
    return choices[k % len(choices)]


def _index(x: Any, k: int) -> Any:
    """A basic index."""
    choices = [
        (0,), (-1, ...), (slice(1, None),), (slice(None, None, -1),), (..., None), (None, slice(None, None, 2)),
        (..., slice(None, -1)), (slice(None), -1) if x.ndim > 1 else (slice(-2, None),), (..., slice(None, None, -2)),
    ]  # fmt: skip
    return choices[k % len(choices)]


def _updated(xp: Any, x: Any, y: Any, k: int, add: bool) -> Any:
    index = _index(x, k)
    if xp is not np:
        region = x.at[index]
        return region.add(y) if add else region.set(y)
    made = x.copy()
    made[index] = made[index] + y if add else y
    return made


def _stable(xp: Any, a: Any) -> Any:
    """A well-conditioned matrix made of any."""
    return xp.tanh(xp.real(a)) + 4 * np.eye(a.shape[-1])


def _hermitian(xp: Any, a: Any) -> Any:
    """A Hermitian matrix with separate eigenvalues made of any."""
    a = a * 0.25
    return a + xp.conj(xp.swapaxes(a, -1, -2)) + np.diag(5.0 * np.arange(a.shape[-1]))


def _spectral(xp: Any, a: Any, k: int) -> Any:
    """A function of a Hermitian matrix by way of its eigenvectors: it does not depend on their phases."""
    w, v = xp.linalg.eigh(_hermitian(xp, a))
    f = (xp.sin, xp.tanh, lambda w: w * 0.1)[k % 3](w)
    return xp.einsum("...ij,...j,...kj->...ik", v, f, xp.conj(v))


def _matrices(x: Any, y: Any) -> bool:
    fits = 1 <= x.ndim <= 2 and 1 <= y.ndim <= 2 and x.shape[-1] == y.shape[max(0, y.ndim - 2)]
    return fits and _floating(x)


def _einsum(xp: Any, x: Any, y: Any, k: int) -> Any:
    if k % 4 == 3 and x.shape == y.shape:
        return xp.einsum("ij,kl,li->jk", x, y, x)
    return xp.einsum(("ij,jk->ki", "ii,ik->k", "ij,ik->", "ij,jk->ik")[k % 4], x, y)


def _unary(name: str, apply: Callable[[Any, Any], Any], fits: Callable[[Any], bool] = _floating) -> Operation:
    return Operation(name, 1, fits, lambda xp, x, k: apply(xp, x))


def _solve(xp: Any, a: Any, b: Any, k: int) -> Any:
    return xp.linalg.solve(_stable(xp, a), b)


OPERATIONS = (
    # elementwise
    Operation("multiply", 2, _broadcast, lambda xp, x, y, k: x * y),
    Operation("add", 2, _broadcast, lambda xp, x, y, k: x + y),
    Operation("subtract", 2, _broadcast, lambda xp, x, y, k: xp.subtract(x, y)),
    Operation("quotient", 2, _real_pair, lambda xp, x, y, k: x / (2 + y * y)),
    _unary("sin", lambda xp, x: xp.sin(x), _real),
    _unary("tanh", lambda xp, x: xp.tanh(x), _real),
    _unary("cos", lambda xp, x: xp.cos(x), _real),
    _unary("exp", lambda xp, x: xp.exp(0.1 * x)),
    _unary("log", lambda xp, x: xp.log(1 + x * x), _real),
    _unary("log1p", lambda xp, x: xp.log1p(xp.square(x)), _real),
    _unary("expm1", lambda xp, x: xp.expm1(x * 0.1), _real),
    _unary("sqrt", lambda xp, x: xp.sqrt(x * x + 0.5), _real),
    _unary("arctan", lambda xp, x: xp.arctan(x), _real),
    _unary("erf", lambda xp, x: erf(x) if xp is np else nbg.erf(x), _real),
    _unary("tan", lambda xp, x: xp.tan(xp.sin(x)), _real),
    _unary("negative", lambda xp, x: -x),
    _unary("abs", lambda xp, x: abs(x)),
    _unary("conj", lambda xp, x: xp.conj(x) * xp.imag(x)),
    Operation("number", 1, _floating, lambda xp, x, k: (x * NUMBERS[k % 8] + NUMBERS[k // 8 % 8])),
    Operation("power", 1, _floating, lambda xp, x, k: x ** EXPONENTS[k % 5]),
    Operation("inverse", 1, _real, lambda xp, x, k: (2.5 + x * x) ** (-0.5, -1, 0.3)[k % 3]),
    Operation("constant", 1, _floating, lambda xp, x, k: x * np.linspace(-1, 1.5, x.shape[-1] if x.ndim else 1)),
    Operation("maximum", 2, _real_pair, lambda xp, x, y, k: (xp.maximum, xp.minimum)[k % 2](x, y)),
    Operation("greater", 2, _real_pair, lambda xp, x, y, k: x > y),
    Operation("where", 2, _real_pair, lambda xp, x, y, k: xp.where(x > NUMBERS[k % 8], x, y)),
    Operation("clip", 1, _real, lambda xp, x, k: xp.clip(x, -0.7, 1 + k % 3)),
    Operation("sign", 1, _real, lambda xp, x, k: xp.sign(x) * x),
    # reductions
    Operation("sum", 1, lambda x: True, lambda xp, x, k: xp.sum(x, _axis(x, k), keepdims=k % 2 == 1)),
    Operation("mean", 1, _floating, lambda xp, x, k: xp.mean(x, axis=_axis(x, k))),
    Operation("max", 1, _real, lambda xp, x, k: xp.max(x, axis=_axis(x, k), keepdims=k % 3 == 0)),
    Operation("min", 1, _real, lambda xp, x, k: xp.min(x, axis=_axis(x, k))),
    Operation("prod", 1, _floating, lambda xp, x, k: xp.prod(x, axis=_axis(x, k))),
    Operation("norm", 1, _floating, lambda xp, x, k: xp.linalg.norm(x + 0.1)),
    # products
    Operation("matmul", 2, _matrices, lambda xp, x, y, k: (x @ y) * 0.5),
    Operation("outer", 2, lambda x, y: x.ndim == y.ndim == 1 and _broadcast(x[:1], y[:1]),
              lambda xp, x, y, k: xp.outer(x, y)),
    Operation("einsum", 2, lambda x, y: _square(x) and x.ndim == y.ndim == 2 and x.shape[0] == y.shape[0], _einsum),
    Operation("tensordot", 2, lambda x, y: x.ndim and y.ndim and x.shape[-1] == y.shape[0] and _floating(x),
              lambda xp, x, y, k: xp.tensordot(x, y, 1)),
    # shapes
    _unary("reshape", lambda xp, x: xp.reshape(x, (*x.shape[:0:-1], x.shape[0])), lambda x: x.ndim > 0),
    _unary("ravel", lambda xp, x: x.ravel(), lambda x: x.ndim != 1),
    Operation("transpose", 1, _ranked(2, 3), lambda xp, x, k: xp.moveaxis(x, k % x.ndim, 0) if k % 2 else x.T),
    Operation("index", 1, lambda x: x.ndim and min(x.shape) > 1, lambda xp, x, k: x[_index(x, k)]),
    Operation("flip", 1, lambda x: x.ndim > 0, lambda xp, x, k: xp.flip(x, k % x.ndim)),
    Operation("diagonal", 1, _square, lambda xp, x, k: xp.diagonal(x, k % 3 - 1, -2, -1)),
    Operation("trace", 1, lambda x: _square(x) and x.ndim == 2, lambda xp, x, k: xp.trace(x)),
    Operation("broadcast", 1, lambda x: x.ndim < 3, lambda xp, x, k: xp.broadcast_to(x, (2 + k % 2, *x.shape))),
    Operation("concatenate", 2, lambda x, y: x.shape == y.shape and x.ndim > 0,
              lambda xp, x, y, k: xp.concatenate([x, y, x][: 2 + k // 8 % 2], axis=k % x.ndim)),
    Operation("stack", 2, lambda x, y: x.shape == y.shape, lambda xp, x, y, k: xp.stack([x, y], k % (x.ndim + 1))),
    Operation("set", 2, lambda x, y: x.ndim and min(x.shape) > 1 and not y.ndim and x.dtype == y.dtype,
              lambda xp, x, y, k: _updated(xp, x, y, k, add=False)),
    Operation("increase", 2, lambda x, y: x.ndim and min(x.shape) > 1 and not y.ndim and x.dtype == y.dtype,
              lambda xp, x, y, k: _updated(xp, x, y, k, add=True)),
    # linear algebra
    Operation("solve", 2, lambda a, b: _square(a) and a.ndim == 2 and b.ndim in (1, 2) and b.shape[0] == a.shape[0]
              and _floating(b), _solve),
    Operation("spectral", 1, _square, _spectral),
    Operation("eigenvalues", 1, _square, lambda xp, a, k: xp.linalg.eigvalsh(_hermitian(xp, a)) * 0.1),
    Operation("total", 1, _floating, lambda xp, x, k: xp.real(x * xp.conj(x)).sum()),
)  # fmt: skip


#: Operations with results that are kept for derivatives, and what it takes to combine them.
KEPT = [o for o in OPERATIONS if o.name in (
    "multiply", "add", "clip", "where", "max", "norm", "matmul", "einsum", "tensordot", "transpose", "total",
    "solve", "spectral", "eigenvalues",
)]  # fmt: skip


# -- programs ---------------------------------------------------------------------------------------------------------


class Step(NamedTuple):
    """An operation on pool values."""

    operation: Operation
    operands: tuple[int, ...]
    k: int

    def apply(self, xp: Any, pool: Sequence[Any]) -> Any:
        return self.operation.apply(xp, *(pool[i] for i in self.operands), self.k)


class Program(NamedTuple):
    """`leaves` start the pool, those at `constants` are not differentiable; each step appends to it."""

    leaves: tuple[Array, ...]
    constants: frozenset[int]
    steps: tuple[Step, ...]

    def __repr__(self) -> str:
        lines = [f"%{i}: {a.dtype}{list(a.shape)}" for i, a in enumerate(self.leaves)]
        lines += [f"constants: {sorted(self.constants)}"] * bool(self.constants)
        for i, (operation, operands, k) in enumerate(self.steps, len(self.leaves)):
            lines.append(f"%{i} = {operation.name}({', '.join(f'%{o}' for o in operands)}; {k})")
        return "\n".join(lines)

    def values(self, moved: Mapping[int, Array] | None = None) -> list[Array]:
        """The pool by NumPy, with some of its values moved where they are made."""
        moved = moved or {}
        pool: list[Array] = []
        with np.errstate(all="ignore"):
            for i in range(len(self.leaves) + len(self.steps)):
                n = i - len(self.leaves)
                value = self.leaves[i] if n < 0 else np.asarray(self.steps[n].apply(np, pool))
                pool.append(value + moved[i] if i in moved else value)
        return pool

    def last_uses(self) -> dict[int, int]:
        """The last pool position in which each value is an operand."""
        return {o: i for i, s in enumerate(self.steps, len(self.leaves)) for o in s.operands}

    def active(self) -> set[int]:
        """The pool positions that can be differentiated by: inexact, and depending on a leaf that is no constant."""
        pool = self.values()
        found = {i for i in range(len(self.leaves)) if i not in self.constants and _floating(pool[i])}
        for i, s in enumerate(self.steps, len(self.leaves)):
            if _floating(pool[i]) and not found.isdisjoint(s.operands):
                found.add(i)
        return found

    def ancestors(self, position: int) -> set[int]:
        """The pool positions that a value is computed from, itself among them."""
        found, n = {position}, len(self.leaves)
        for i in range(position, n - 1, -1):
            if i in found:
                found.update(self.steps[i - n].operands)
        return found


def decode(
    leaf_genes: Sequence[int],
    genes: Sequence[Gene],
    seed: int = 0,
    dtypes: str = "dddddDfi?",
    operations: Sequence[Operation] = OPERATIONS,
) -> Program:
    """The program of some genes: whatever fits is taken, what fits nowhere is left out."""
    rng = np.random.default_rng(seed)
    shapes = ((3,), (), (3, 3), (2, 3), (2,), (1, 3), (2, 2, 2), (3, 1), (1,))
    leaves = [_leaf(rng, shapes[g % 9], dtypes[g // 9 % len(dtypes)]) for g in leaf_genes]
    constants = frozenset(i for i, g in enumerate(leaf_genes) if g // 81 % 4 == 3)
    pool, steps = list(leaves), []
    for gene in genes:
        step = _step(gene, pool, operations)
        if step is None:
            continue
        with np.errstate(all="ignore"):
            value = np.asarray(step.apply(np, pool))
        if value.size <= ELEMENTS and value.size and np.isfinite(value).all() and np.abs(value).max() <= LARGEST:
            pool.append(value)
            steps.append(step)
    return Program(tuple(leaves), constants, tuple(steps))


def _leaf(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
    x = rng.uniform(-1.5, 1.5, shape)
    if dtype == "D":
        return np.asarray(x + 1j * rng.uniform(-1.5, 1.5, shape))
    return np.asarray(x > 0 if dtype == "?" else x * 3 if dtype == "i" else x).astype({"i": "i8"}.get(dtype, dtype))


def _step(gene: Gene, pool: Sequence[Array], operations: Sequence[Operation]) -> Step | None:
    which, first, second, k = gene
    operation = operations[which % len(operations)]
    if operation.arity == 1:
        fitting = [i for i, x in enumerate(pool) if operation.fits(x)]
        return Step(operation, (fitting[-1 - first % len(fitting)],), k) if fitting else None
    a = len(pool) - 1 - first % len(pool)
    fitting = [i for i, y in enumerate(pool) if operation.fits(pool[a], y)]
    return Step(operation, (a, fitting[-1 - second % len(fitting)]), k) if fitting else None


def random_program(seed: int, n_leaves: int = 4, n_steps: int = 12, dtypes: str = "dddddDfi?") -> Program:
    """A program without hypothesis."""
    rng = np.random.default_rng(seed)
    genes = rng.integers(0, 10_000, (n_steps, 4)).tolist()
    return decode(rng.integers(0, 10_000, n_leaves).tolist(), [tuple(g) for g in genes], seed, dtypes)


# -- losses and differences -------------------------------------------------------------------------------------------


def loss_of(xp: Any, values: Sequence[Any]) -> Any:
    """A real number that depends on every element of some values."""
    total: Any = 0.0
    for n, x in enumerate(values):
        weights = np.cos(np.arange(x.size) + n).reshape(x.shape)
        total = total + xp.sum(xp.real(x * weights)) + (xp.sum(xp.imag(x)) if x.dtype.kind == "c" else 0)
    return total


def direction(rng: np.random.Generator, like: Any) -> Array:
    v = rng.uniform(-1, 1, like.shape)
    return np.asarray(v + 1j * rng.uniform(-1, 1, like.shape) if like.dtype.kind == "c" else v)


def derivative(f: Callable[[float], float], step: float = 1e-4) -> float | None:
    """f'(0) by central differences of fourth order; None where f is not smooth around 0."""
    y = {n: f(n * step) for n in (-2, -1, 0, 1, 2)}
    inner, outer = y[1] - 2 * y[0] + y[-1], y[2] - 2 * y[0] + y[-2]
    scale = 1 + max(map(abs, y.values()))
    # Of a smooth function the second difference grows with the square of the step, of a kink with the step.
    if not abs(outer - 4 * inner) <= 1e-7 * step * scale + 1e-14 * scale:
        return None
    return (8 * (y[1] - y[-1]) - (y[2] - y[-2])) / (12 * step)


def second_derivative(f: Callable[[float, float], float], step: float = 2e-3) -> float | None:
    """The mixed derivative of f(s, t) at 0; None where f is not smooth."""

    def mixed(h: float) -> float:
        return (f(h, h) - f(h, -h) - f(-h, h) + f(-h, -h)) / (4 * h * h)

    if derivative(lambda s: f(s, 0.0)) is None or derivative(lambda t: f(0.0, t)) is None:
        return None
    fine, coarse, wide = mixed(step), mixed(2 * step), mixed(4 * step)
    better, worse = (4 * fine - coarse) / 3, (4 * coarse - wide) / 3
    return better if abs(better - worse) <= 1e-5 * (1 + abs(better)) else None


def inner(a: Any, b: Any) -> float:
    """Re(conj(a) b)."""
    return float(np.real(np.vdot(a, b)))

"""One program of thirty operations and its gradient, at two hundred random sizes; random programs at random sizes.

The oracle is NumPy, for gradients differences of it along a random direction.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import programs
import pytest

import nbgraph as nbg
from nbgraph import Engine, TracedTensor

Array = np.ndarray[Any, Any]


def thirty(xp: Any, a: Any, b: Any, c: Any) -> Any:
    """A loss of a[m, n], b[m] and c[n], whatever m and n are: svd, qr of a wide and of a tall matrix, solve, einsum."""
    la = xp.linalg
    m, n = a.shape
    gram = a @ a.T / (m + n) + xp.eye(m)
    x = la.solve(gram, b)
    tall = xp.concatenate([a, xp.eye(n)])
    wide = xp.concatenate([xp.eye(m), xp.tanh(a)], axis=1)
    r = la.qr(tall)[1]
    q = la.qr(wide)[0]
    s = la.svd(a, full_matrices=False)[1]
    mixed = xp.einsum("ij,i,j->j", a, xp.sin(x), c) + xp.cumsum(c) * xp.mean(b)
    padded = xp.pad(mixed, (1, 2))[1:-1] * xp.exp(-xp.arange(n + 1) / n)
    turned = xp.reshape(xp.transpose(a), (-1,))[::2]
    logdet = la.slogdet(gram)[1]
    spread = xp.sqrt(xp.var(turned) + 1.0) + xp.max(c) - xp.sort(b)[0]
    return (
        xp.sum(xp.sqrt(s**2 + 0.1)) + xp.sum(r**4) / n + xp.sum(q**4) + logdet * spread
        + xp.sum(padded**2) + xp.log(1.0 + xp.sum(turned**2)) + xp.trace(gram) / m
    )  # fmt: skip


def operands(rng: np.random.Generator, m: int, n: int) -> list[Array]:
    """A matrix, and vectors whose elements are apart: their largest and least stay what they are nearby."""
    vectors = [(rng.permutation(k) + rng.uniform(0.2, 0.8, k)) / k for k in (m, n)]
    return [rng.uniform(0.1, 1.0, (m, n)), *vectors]


def along(f: Any, at: list[Array], by: list[Array], h: float = 1e-4) -> float:
    """The derivative of f along a direction, by differences of fourth order."""
    y = {k: f(*(p + k * h * d for p, d in zip(at, by, strict=True))) for k in (-2, -1, 1, 2)}
    return float(8 * (y[1] - y[-1]) - (y[2] - y[-2])) / (12 * h)


def test_two_hundred_sizes_through_one_compiled_program() -> None:
    engine = Engine(jit="always")
    leaves = [TracedTensor.placeholder(s, name=name) for s, name in ((("m", "n"), "a"), (("m",), "b"), (("n",), "c"))]
    loss = thirty(nbg, *leaves)
    program = engine.compile([loss, loss.grad(leaves)], leaves)
    assert str(program).count("=") > 30
    compiled = engine.stats().compiled
    rng = np.random.default_rng(6)
    sizes = [(1, 1), (1, 5), (5, 1), (2, 2), *((int(m), int(n)) for m, n in rng.integers(1, 24, (196, 2)))]
    for m, n in sizes:
        at = operands(rng, m, n)
        value, gradient = program(*at)
        np.testing.assert_allclose(value, thirty(np, *at), rtol=1e-9, err_msg=f"{m} x {n}")
        by = [rng.standard_normal(p.shape) / p.size for p in at]
        got = sum(np.vdot(g, d) for g, d in zip(gradient, by, strict=True))
        assert abs(got - along(lambda *p: thirty(np, *p), at, by)) < 1e-5 * (1 + abs(got)), f"{m} x {n}"
    assert engine.stats().compiled == compiled == 2, "the loss, and its gradient, whatever the sizes"
    assert engine.stats().hits == 2 * len(sizes)


# -- random programs --------------------------------------------------------------------------------------------------


class Named:
    """A random program recorded on placeholders: every size of a leaf but 1 gets a name by its value."""

    def __init__(self, program: programs.Program) -> None:
        self.program = program
        self.leaves = [
            TracedTensor.placeholder(tuple(d if d == 1 else "abcdefgh"[d] for d in v.shape), v.dtype, f"v{i}")
            for i, v in enumerate(program.leaves)
        ]
        self.pool: list[Any] = list(self.leaves)
        for step in program.steps:
            self.pool.append(step.apply(nbg, self.pool))

    def loss(self, positions: list[int]) -> Any:
        """The sum of squares of some values."""
        total: Any = 0.0
        for i in positions:
            total = total + nbg.sum(nbg.real(self.pool[i] * nbg.conj(self.pool[i])))
        return total


def resized(program: programs.Program, sizes: dict[int, int], rng: np.random.Generator) -> programs.Program | None:
    """The program at other sizes; None where NumPy cannot run it, or a value is not moderate there."""
    leaves = tuple(
        programs._leaf(rng, tuple(d if d == 1 else sizes[d] for d in v.shape), v.dtype.char.replace("l", "i"))
        for v in program.leaves
    )
    other = program._replace(leaves=leaves)
    try:
        values = other.values()
    except (ValueError, IndexError, np.linalg.LinAlgError):
        return None
    return other if all(np.isfinite(v).all() and np.abs(v).max(initial=0) < 1e4 for v in values) else None


def broadcasts_more(named: Named, other: programs.Program) -> bool:
    """Whether a size that has a name turns out to be 1: numbers broadcast then, names do not."""
    pairs = zip(named.pool, other.values(), strict=True)
    return any(d == 1 != e for t, v in pairs for d, e in zip(v.shape, t.shape, strict=True))


#: Operations that take only the names of sizes; "constant" brings an array of one size.
OPERATIONS = [o for o in programs.OPERATIONS if o.name not in ("constant", "solve", "spectral", "eigenvalues")]
#: What a size of the traced program may stand for elsewhere.
CHOICES = ({2: 2, 3: 3}, {2: 4, 3: 5}, {2: 7, 3: 2})


def drawn(seed: int) -> programs.Program:
    rng = np.random.default_rng(seed)
    genes = [tuple(g) for g in rng.integers(0, 10_000, (10, 4)).tolist()]
    return programs.decode(rng.integers(0, 10_000, 4).tolist(), genes, seed, "dddddDfi", OPERATIONS)


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_random_programs_at_random_sizes(first: int) -> None:
    """Recorded once on names, evaluated at several bindings: NumPy's values, and gradients of leaves of those sizes."""
    engine, checked = Engine(jit="never"), 0
    for seed in range(first, first + 20):
        program = drawn(seed)
        try:
            named = Named(program)
        except nbg.ShapeError:  # what fits for numbers need not for names: 1 of them, or two names of one value
            continue
        active = sorted(program.active())
        wrt = [i for i in active if i < len(program.leaves)]
        gradient = named.loss(active).grad([named.leaves[i] for i in wrt], allow_unused=True) if wrt else []
        for sizes in CHOICES:
            other = resized(program, sizes, np.random.default_rng(seed))
            if other is None:
                continue
            bindings = dict(zip(named.leaves, other.leaves, strict=True))
            if broadcasts_more(named, other):
                continue
            got = nbg.eval(*named.pool, *gradient, engine=engine, bindings=bindings)
            plain = Named(other)
            plain.leaves = [TracedTensor.from_tensor(v) for v in other.leaves]
            plain.pool = list(plain.leaves)
            for step in program.steps:
                plain.pool.append(step.apply(nbg, plain.pool))
            of_leaves = plain.loss(active).grad([plain.leaves[i] for i in wrt], allow_unused=True) if wrt else []
            want = [*other.values(), *nbg.eval(*of_leaves, engine=engine)]
            single = any(v.dtype.char in "fF" for v in other.leaves)
            for g, w in zip(got, want, strict=True):
                assert g.shape == np.shape(w), f"seed {seed} at {sizes}\n{program}"
                rtol = 2e-3 if single else 1e-8
                np.testing.assert_allclose(g, w, rtol=rtol, atol=rtol, err_msg=f"seed {seed} at {sizes}\n{program}")
            checked += 1
    assert checked > 20


@pytest.mark.parametrize(
    ("f", "shapes", "compiled"),
    [
        (
            lambda xp, a, b, c: xp.tanh(a @ b).T @ c,
            [[(3, 4), (4, 2), (3, 5)], [(1, 4), (4, 2), (1, 5)], [(3, 1), (1, 2), (3, 1)], [(0, 4), (4, 2), (0, 1)]],
            [0, 0, 0],
        ),
        (
            lambda xp, a, b: xp.sum(a * b + a, axis=0),
            [[(3, 4), (3, 4)], [(1, 4), (1, 4)], [(1, 4), (3, 4)], [(1, 1), (1, 1)]],
            [0, 1, 0],
        ),
    ],
    ids=["products", "broadcasting"],
)
def test_a_size_of_one_is_a_structure_of_its_own_where_it_broadcasts(f, shapes, compiled):
    """`compiled`: how many programs more each of the further shapes needs."""
    rng, engine, seen = np.random.default_rng(0), Engine(jit="always", cache_dir=None), []
    for each in shapes:
        arrays = [rng.standard_normal(shape) for shape in each]
        got = f(nbg, *map(nbg.constant, arrays)).eval(engine)
        np.testing.assert_allclose(got, f(np, *arrays), rtol=1e-12)
        seen.append(engine.stats().compiled)
    assert np.diff(seen).tolist() == compiled


def test_gradients_at_a_size_of_one_after_others() -> None:
    """What a derivative records at a size of 1 by the structure of other sizes goes with what is 1 by structure."""
    engine, rng = Engine(jit="never"), np.random.default_rng(0)

    def f(a: Any, x: Any, y: Any) -> Any:
        v = nbg.fixed_point(lambda z: 0.3 * nbg.tanh(z) + y, nbg.zeros(y.shape))
        t = nbg.tanh(a @ v)
        return nbg.sum(nbg.sin(v)) + nbg.sum(nbg.sin(t)) + nbg.sum(nbg.sin(a / (1.0 + a * a))) + nbg.sum(nbg.sort(x))

    for n, m in ((3, 4), (5, 2), (1, 1), (4, 1), (1, 3), (1, 5)):
        a, x, y = map(TracedTensor.from_tensor, (rng.standard_normal((n, m)), np.ones(n), rng.standard_normal(m)))
        loss = f(a, x, y)
        slopes = loss.grad([x, y, a])
        second = nbg.sum(slopes[0] * nbg.cos(x)).grad(a, allow_unused=True)
        got = nbg.eval(loss, *slopes, second, engine=engine)
        d = 1e-6 * rng.standard_normal((n, m))
        ends = [f(nbg.constant(a.eval() + s * d), x, y).eval(engine) for s in (1, -1)]
        np.testing.assert_allclose(np.sum(got[3] * d), (ends[0] - ends[1]) / 2, rtol=1e-5, atol=1e-12)

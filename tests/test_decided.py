"""Sizes that the data decides: recorded as symbols, known when what they cut is run or differentiated."""

import gc
import pickle

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph.decided import ALIVE
from nbgraph.engine import default_engine
from nbgraph.testing import check_grads

RNG = np.random.default_rng(5)
NEVER = nbg.Engine(jit="never")


def leaf(*shape):
    return nbg.TracedTensor.from_tensor(RNG.normal(size=shape))


def held(k):
    """An integer tensor without a value yet."""
    return nbg.TracedTensor.from_tensor([k]).sum()


def refined(a, x, bound, lazily, engine=None):
    """A step whose rank depends on the data; the rank is a tensor, or a number found on the spot."""
    u, s, vh = nbg.linalg.svd(x, full_matrices=False)
    rank = nbg.maximum((s > bound * s[0]).sum(), 1)
    rank = rank if lazily else int(nbg.eval(rank, engine=engine)[0])
    kept = [nbg.truncate(u, rank, 1), nbg.truncate(s, rank), nbg.truncate(vh, rank)]
    return (kept[0] * kept[1]) @ kept[2] + 0.3 * a @ a.T, kept[1]


def run(a, steps, lazily, evaluate, engine):
    x, ranks = a @ a.T, []
    for k in range(steps):
        x, s = refined(a, x, 0.9 / (k + 1) ** 2, lazily, engine)
        if evaluate:
            x.eval(engine)
        ranks.append(s)
    loss = (x**2).sum()
    g = loss.grad(a)
    h = (g**2).sum().grad(a)
    return [v.copy() for v in nbg.eval(loss, g, h, engine=engine)], [int(s.shape[0]) for s in ranks]


def test_recording_evaluates_nothing_and_shows_a_symbol():
    x = leaf(5, 4)
    before = default_engine().stats().evals
    u, s, vh = nbg.linalg.svd_truncated(x, rtol=1e-3)
    y = (u * s) @ vh
    picked = x[x > 0.2] * 2.0
    assert default_engine().stats().evals == before
    assert y.shape == (5, 4)
    (size,) = s.shape
    assert repr(s) == f"TracedTensor(float64[{size}])"
    assert u.shape == (5, size)
    assert int(size) == 4
    assert u.shape == (5, 4)
    assert len(picked) == np.sum(x.eval() > 0.2)
    with pytest.raises(nbg.ConcretizationError):
        int(nbg.TracedTensor.placeholder(("n",)).shape[0])


def test_a_size_is_run_by_the_engine_that_was_given():
    before = default_engine().stats().evals
    engine = nbg.Engine(jit="never")
    assert nbg.truncate(leaf(4) * 2.0, held(3)).eval(engine).shape == (3,)
    assert default_engine().stats().evals == before
    assert engine.stats().evals > 0


def test_at_size_one_it_broadcasts_as_it_would_have():
    x, row = leaf(3, 4), np.ones((3, 5))
    for ask in (False, True):
        cut = nbg.truncate(x * 1.0, held(1), 1)
        assert not ask or int(cut.shape[1]) == 1
        both = cut + row
        np.testing.assert_array_equal(both.eval(nbg.Engine(jit="always")), x.eval()[:, :1] + row)
        np.testing.assert_array_equal(both.sum().grad(x).eval(NEVER), np.eye(1, 4) * np.full((3, 1), 5.0))


@pytest.mark.parametrize("evaluate", [False, True])
def test_a_loop_of_changing_ranks_is_what_it_is_with_numbers(evaluate):
    a = leaf(5, 3)
    want, ranks = run(a, 4, False, True, NEVER)
    got, lazily = run(a, 4, True, evaluate, NEVER)
    assert lazily == ranks
    assert len(set(ranks)) > 1
    for w, g in zip(want, got, strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-9, atol=1e-9 * np.abs(w).max())


def test_other_ranks_and_more_steps_compile_nothing():
    engine, compiled = nbg.Engine(jit="always"), []
    for steps, evaluate in ((4, False), (5, False), (8, False), (4, True), (9, True)):
        x = y = leaf(7)
        for k in range(steps):
            kept = nbg.truncate(y, (y > 0.1 * k).sum())
            y = nbg.pad_to_match(kept * kept, x) + x
            if evaluate:
                y.eval(engine)
        (y**2).sum().grad(x).eval(engine)
        compiled.append(engine.stats().compiled)
    assert 0 < compiled[0] == compiled[1] == compiled[2]
    assert compiled[3] == compiled[4]


@pytest.mark.parametrize("k", [0, 1, 2, 4])
def test_every_size_may_come_out(k):
    x = leaf(3, 4)
    cut = nbg.truncate(x**2, held(k), 1)
    before = (cut * 3.0).sum(axis=1)  # recorded while the size was open
    assert nbg.pad_to_match(cut, x, 1).eval(NEVER).shape == (3, 4)
    assert cut.shape == (3, k)
    after = cut + np.ones((3, k))  # and when it was known
    total = (before * after.sum(axis=1)).sum()
    values = x.eval()[:, :k]
    rows = (3 * values**2).sum(axis=1), (values**2 + 1).sum(axis=1)
    np.testing.assert_allclose(total.eval(NEVER), np.dot(*rows))
    want = np.zeros((3, 4))
    want[:, :k] = 2 * values * (3 * rows[1] + rows[0])[:, None]
    np.testing.assert_allclose(total.grad(x).eval(NEVER), want)


def test_derivatives_to_second_order():
    x = RNG.normal(size=(4, 3))
    check_grads(lambda a: nbg.truncate(a**3, (a[:, 0] > -9).sum() - 1), (x,), order=2)
    check_grads(lambda a: nbg.dynamic_slice(a**3, (held(1), 0), (held(2), 2)), (x,), order=2)
    check_grads(lambda a: nbg.pad_to_match(a**3, nbg.truncate(np.zeros((9, 3)), held(7))), (x,), order=2)
    check_grads(lambda a: a[a > 0.1] ** 3, (x,), order=2)
    check_grads(lambda a: a.at[a > 0.1].set(a[a > 0.1] ** 3), (x,), order=2)


def test_masks_pick_as_in_numpy():
    x = leaf(4, 5)
    y, v = x * 1.0, x.eval()
    pairs = [
        (y[y > 0.3], v[v > 0.3]),
        (y[y[:, 0] > 0, 1:3], v[v[:, 0] > 0, 1:3]),
        (nbg.flatnonzero(y > 9), np.flatnonzero(v > 9)),
        (nbg.argwhere(y > 0), np.argwhere(v > 0)),
        (nbg.compress(y[0] > 0, y, 1), np.compress(v[0] > 0, v, 1)),
        (nbg.extract(y > 0, y), np.extract(v > 0, v)),
        *zip(nbg.nonzero(y), np.nonzero(v), strict=True),
    ]
    assert all(got.data is None for got, _ in pairs)
    for got, want in pairs:
        np.testing.assert_array_equal(got.eval(NEVER), want)


def test_other_masks_compile_nothing():
    x, engine, compiled = leaf(6), nbg.Engine(jit="always"), []
    for k in (-0.5, 0.0, 0.5):
        kept = (x + k)[x + k > 0]
        (kept**2).sum().grad(x).eval(engine)
        compiled.append(engine.stats().compiled)
    assert compiled[0] > 0
    assert compiled[1:] == compiled[:1] * 2


def test_sizes_that_do_not_fit_are_named_and_change_nothing():
    x = leaf(4)
    beyond = nbg.truncate(x * 2.0, held(5))
    other = nbg.truncate(x * 2.0, held(2)) + np.ones(3)
    for _ in range(2):
        with pytest.raises(nbg.BoundsError, match="out of bounds"):
            beyond.eval(NEVER)
        with pytest.raises(nbg.ShapeError, match="broadcast"):
            other.eval(NEVER)
        with pytest.raises(nbg.BoundsError, match="negative"):
            nbg.truncate(x * 2.0, held(-1)).eval(NEVER)


def test_under_placeholders_each_eval_has_its_sizes():
    p = nbg.TracedTensor.placeholder(("n", "m"), name="p")
    u, s, vh = nbg.linalg.svd_truncated(p, rtol=1e-9)
    total = ((u * s) @ vh).sum()
    g = total.grad(p)
    for n, m, r in ((4, 3, 2), (5, 6, 1), (3, 3, 3)):
        a = RNG.normal(size=(n, r)) @ RNG.normal(size=(r, m))
        np.testing.assert_allclose(total.eval(NEVER, bindings={p: a}), a.sum())
        assert g.eval(NEVER, bindings={p: a}).shape == (n, m)
        assert s.eval(NEVER, bindings={p: a}).shape == (r,)
    with pytest.raises(nbg.BindingError, match="p"):
        s.eval(NEVER)


def test_inside_jit_it_is_as_outside():
    a = RNG.normal(size=(5, 4))
    power = leaf(3)

    def f(m, k):
        u, s, vh = nbg.linalg.svd_truncated(m, rtol=0.4)
        kept = m[m > k] ** 2
        return (u * s) @ vh, kept, nbg.grad(lambda y: (y[y > 0] ** 3).sum())(m), kept.sum() * power

    def found(f, m):
        results = f(m, 0.1)
        g = sum((r**2).sum() for r in results).grad([m, power])
        return nbg.eval(*results, *g, (g[0] ** 2).sum().grad(m), engine=NEVER)

    outer = nbg.jit(lambda m, k: nbg.jit(f)(m, k))
    for data in (a, 1.5 * a[:3], a):
        m = nbg.TracedTensor.from_tensor(data)
        for jitted in (nbg.jit(f), outer, nbg.checkpoint(outer)):
            for want, got in zip(found(f, m), found(jitted, m), strict=True):
                np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)


def test_inside_jit_its_number_is_not_to_be_had():
    x = leaf(4)
    with pytest.raises(nbg.ConcretizationError, match="while the function is traced"):
        nbg.jit(lambda x: x if len(x[x > 0]) > 1 else -x)(x)
    cubes = nbg.jit(lambda x: x**3)
    cut = nbg.truncate(x * 1.0, held(2))
    np.testing.assert_allclose(cubes(cut).sum().grad(x).eval(NEVER), [*(3 * x.eval()[:2] ** 2), 0, 0])
    p = nbg.TracedTensor.placeholder(("n",), name="p")
    g = (nbg.jit(lambda x: x[x > 0] * 2)(p) ** 2).sum().grad(p)
    for v in (np.array([1.0, -1.0, 2.0]), np.array([3.0, 4.0])):
        np.testing.assert_allclose(g.eval(NEVER, bindings={p: v}), np.where(v > 0, 8 * v, 0))


def test_under_checkpoint():
    x = leaf(6)
    f = nbg.checkpoint(lambda x: (nbg.truncate(x, (x > -9).sum() - 2) ** 3).sum())
    np.testing.assert_allclose(f(x * 1.0).grad(x).eval(NEVER), [*(3 * x.eval()[:4] ** 2), 0, 0])
    g = nbg.checkpoint(lambda y: (y**3).sum())
    cut = nbg.truncate(x * 1.0, held(2))
    np.testing.assert_allclose(g(cut).grad(x).eval(NEVER), [*(3 * x.eval()[:2] ** 2), 0, 0, 0, 0])


def test_pickles_hold_what_was_decided():
    x = leaf(4)
    y = nbg.truncate(x**2, held(3)) * 2.0
    y, x = pickle.loads(pickle.dumps((y, x)))
    assert y.shape == (3,)
    np.testing.assert_allclose(y.sum().grad(x).eval(NEVER), [*(4 * x.eval()[:3]), 0])


def test_names_go_with_their_graph():
    gc.collect()
    before = len(ALIVE)
    for k in range(20):
        y = nbg.truncate(leaf(9) * 2.0, held(2 + k % 3)) @ np.ones(2 + k % 3)
        if k % 2:
            y.eval(NEVER)
    del y
    gc.collect()
    assert len(ALIVE) <= before


def test_sizes_that_turn_out_not_to_fit_are_errors_also_in_gradients() -> None:
    p, c = nbg.TracedTensor.placeholder(("n",), name="p"), nbg.TracedTensor.placeholder(("m",), name="c")
    k = nbg.TracedTensor.placeholder((), dtype="int64", name="k")
    engine = nbg.Engine(jit="never")
    product = nbg.truncate(p, k) * c
    gradient = nbg.sum(product**2).grad(c)
    data = np.arange(6.0)
    for y, right in ((product, data[:2]), (gradient, 2 * data[:2] ** 2)):
        np.testing.assert_array_equal(y.eval(engine, bindings={p: data, k: np.int64(2), c: np.ones(2)}), right)
        with pytest.raises(nbg.ShapeError, match=r"sizes do not fit: got r\d+ = 2, wanted m = 4"):
            y.eval(engine, bindings={p: data, k: np.int64(2), c: np.ones(4)})


def test_under_placeholders_a_size_may_depend_on_another():
    p = nbg.TracedTensor.placeholder(("n", "m"), name="p")

    def refined(x):
        y = x
        for _ in range(3):
            u, s, vh = nbg.linalg.svd_truncated(y, rtol=0.3)
            y = (u * s) @ vh + 0.3 * x
        kept = y[y[:, 0] > -9.0]
        return nbg.truncate(kept, (kept[:, 0] > -9.0).sum() - 1)

    def derived(x):
        y = refined(x)
        g = (y**2).sum().grad(x)
        return y, g, (g**2).sum().grad(x)

    asked = derived(p)
    for shape in ((4, 3), (3, 5)):
        a = RNG.normal(size=shape)
        want = nbg.eval(*derived(nbg.TracedTensor.from_tensor(a)), engine=NEVER)
        together = nbg.eval(*asked, engine=NEVER, bindings={p: a})
        for y, both, w in zip(asked, together, want, strict=True):
            np.testing.assert_allclose(y.eval(NEVER, bindings={p: a}), w, rtol=1e-9, atol=1e-11)
            np.testing.assert_allclose(both, w, rtol=1e-9, atol=1e-11)


def test_under_placeholders_the_work_is_linear_in_the_number_of_sizes():
    p, counts = nbg.TracedTensor.placeholder(("n",), name="p"), []
    for steps in (5, 10, 20):
        y = p
        for _ in range(steps):
            y = nbg.pad_to_match((y * y)[y > -9.0], p) * 0.5
        before = NEVER.stats().operations
        y.eval(NEVER, bindings={p: np.ones(3)})
        counts.append(NEVER.stats().operations - before)
    assert counts[2] - counts[1] == 2 * (counts[1] - counts[0])


def shrinking(a):
    """Ranks that differ from step to step, each decided by what the one before left."""
    for k in range(5):
        u, s, vh = nbg.linalg.svd_truncated(a, rtol=10.0 ** (-0.2 * k - 0.3))[:3]
        a = nbg.tanh(u * s @ vh)
    return (a**2).sum()


#: Functions of a placeholder's shape, whose own data decide sizes.
DECIDING = {
    "mask": (("n",), lambda x: (x[x > 0] ** 2).sum()),
    "a mask of what a mask left": (("n",), lambda x: nbg.sum((y := x[x > -0.5] * 2.0)[y < 0.5] ** 2 * y.sum())),
    "none": (("n",), lambda x: (x[x > 99.0] ** 3).sum() + nbg.sin(x).sum()),
    "a part": (("n",), lambda x: (nbg.dynamic_slice(x, (1,), ((x > 0).sum(),)) ** 2 * x[0]).sum()),
    "ranks": (("m", "n"), shrinking),
}


@pytest.mark.parametrize("name", DECIDING)
def test_a_program_decides_sizes_at_each_call(name):
    """The value, its gradient and a Hessian-vector product, at several sizes: one compile; a copy is as good."""
    shape, f = DECIDING[name]
    p, engine = nbg.TracedTensor.placeholder(shape, name="p"), nbg.Engine(cache_dir=None)
    value = f(p)
    gradient = value.grad(p)
    asked = [value, gradient, (gradient * p).sum().grad(p)]
    program = engine.compile(asked, [p])
    compiled = engine.stats().compiled
    for k in range(6):
        x = RNG.normal(size=tuple(1 + (k * 3 + axis) % 7 for axis in range(len(shape))))
        for got, want in zip(program(x), nbg.eval(*asked, engine=NEVER, bindings={p: x}), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-11)
    assert engine.stats().compiled == compiled == len(program.programs)
    assert "call program 1" in str(program) and program.source.count("def ") >= compiled
    if name == "mask":
        again = pickle.loads(pickle.dumps(program))
        assert again.key == program.key
        for got, want in zip(again(x), program(x), strict=True):
            np.testing.assert_array_equal(got, want)


def test_a_program_of_leaves_decides_too():
    """Whatever data the leaf holds; what was recorded on it stays as it is."""
    x = leaf(6)
    h = nbg.tanh(x)
    y = h[h > 0.1]
    asked = [(y**2).sum() + h.sum(), y]
    program, middle = NEVER.compile(asked, x), NEVER.compile(asked, h)
    for _ in range(4):
        data = RNG.normal(size=6)
        t = np.tanh(data)
        for got in (program(data), middle(t)):
            np.testing.assert_allclose(got[0], (t[t > 0.1] ** 2).sum() + t.sum())
            np.testing.assert_allclose(got[1], t[t > 0.1])
    t = np.tanh(np.asarray(x))
    np.testing.assert_allclose(asked[1].eval(NEVER), t[t > 0.1])
    assert y.shape == (int((t > 0.1).sum()),)
    h.eval(NEVER)
    with pytest.raises(nbg.BindingError, match="was evaluated"):
        NEVER.compile(h[h > 0.2], x)


def test_the_time_of_a_program_that_decides_is_linear_in_its_stages():
    """Equal stages are one recipe: the number of those does not grow."""
    p, found = nbg.TracedTensor.placeholder(("n",), name="p"), []
    for steps in (4, 8):
        y = p
        for _ in range(steps):
            y = nbg.pad_to_match((y * y)[y > -9.0], p) * 0.5
        program = NEVER.compile(y, p)
        found.append((len(program.programs), str(program).count("call program")))
        want = np.ones(3)
        for _ in range(steps):
            want = want * want * 0.5
        np.testing.assert_allclose(program(np.ones(3)), want)
    assert found[0] == found[1]


def test_a_growing_list_of_what_was_made_of_them():
    def f(x):
        found, y = [], x * 1.0
        for k in range(5):
            found.append((y[y > 0.1 * k] ** 2).sum())
            y = y * 0.9 + nbg.stack(found).sum() * 0.01
        return nbg.stack(found)

    check_grads(f, (np.array([1.0, -2.0, 3.0, 0.5]),), order=2)
    check_grads(nbg.checkpoint(nbg.jit(f)), (np.array([1.0, -2.0, 3.0, 0.5]),), order=1)
    p = nbg.TracedTensor.placeholder(("n",), name="p")
    x = np.array([0.3, -1.0, 2.0])
    np.testing.assert_allclose(f(p).eval(NEVER, bindings={p: x}), f(nbg.TracedTensor.from_tensor(x)).eval(NEVER))


def test_a_gradient_asks_for_no_size_that_a_placeholder_decides():
    """The smaller of two sizes, of which the data decide one, stays an expression."""
    a = nbg.TracedTensor.placeholder(("n", "m"), name="a")
    kept = nbg.truncate(a, nbg.sum(nbg.sum(a, axis=1) > 0), 0)
    rows, columns = kept.shape

    def loss(x, lib):
        return lib.sum(lib.sin(lib.linalg.qr(x)[1]))

    slope = loss(kept + 3 * nbg.eye(rows, columns), nbg).grad(a)
    for shape in ((3, 4), (5, 2)):
        x, d = np.random.default_rng(0).standard_normal((2, *shape))
        r = int(np.sum(np.sum(x, axis=1) > 0))
        ends = [loss(x[:r] + 1e-6 * s * d[:r] + 3 * np.eye(r, shape[1]), np) for s in (1, -1)]
        want = (ends[0] - ends[1]) / 2e-6
        np.testing.assert_allclose(np.sum(slope.eval(bindings={a: x}) * d), want, rtol=1e-5)

"""Operations from outside: values in both tiers, derivatives, errors, what is kept on disk."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

import nbgraph as nbg
from nbgraph.source_digest import digest_of
from nbgraph.testing import check_grads

ALWAYS, NEVER = nbg.Engine(jit="always", cache_dir=None), nbg.Engine(jit="never")
X = np.random.default_rng(1).normal(size=(4, 3))
leaf = nbg.TracedTensor.from_tensor


@numba.njit
def weight(k: int) -> float:
    return 1.0 / (k + 1.0)


def weighted(out: Any, x: Any) -> None:
    """Rows times 1, 1/2, 1/3, ..."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = x[i, j] * weight(i)


def rows(x: Any) -> Any:
    return x / np.arange(1, x.shape[0] + 1)[:, None].astype(x.dtype.type(0).real.dtype)


def linear(name: str, **changes: Any) -> Any:
    rules: dict[str, Any] = {
        "infer": lambda cx, x: x,
        "kernel": weighted,
        "reference": rows,
        "linearize": lambda b, ins, outs, tangents: getattr(b, name)(tangents[0]),
        "transpose": lambda b, ct, ins, active: (getattr(b, name)(ct),),
    }
    return nbg.custom_op(name, **{**rules, **changes})


@pytest.mark.parametrize("engine", [ALWAYS, NEVER], ids=["always", "never"])
def test_values_in_both_tiers(engine: Any) -> None:
    f = linear("ext_rows")
    assert (f.__name__, f.__doc__) == ("ext_rows", "Rows times 1, 1/2, 1/3, ...")
    for x in (X, X.astype("f4"), X + 1j * X, X[:0], X[:, :1], X.T):
        got = (f(nbg.asarray(x) * 2) + 1).eval(engine)
        np.testing.assert_allclose(got, rows(2 * x) + 1, rtol=1e-6 if x.dtype == np.float32 else 1e-14)
        assert got.dtype == x.dtype
    t = leaf(X)
    np.testing.assert_allclose(f(t.T).eval(engine), rows(X.T))  # another layout is copied


def test_a_kernel_alone_is_its_own_reference() -> None:
    f = linear("ext_alone", reference=None)
    np.testing.assert_allclose(f(X).eval(NEVER), f(X).eval(ALWAYS))


def test_derivatives() -> None:
    f = linear("ext_grads")
    check_grads(lambda x: nbg.sin(f(x * x)), (X,), order=2)
    check_grads(lambda x: f(x) * x, (X + 1j * X[::-1],), order=2)
    x = p = leaf(X)
    for _ in range(4):
        x = f(x) + 0.1 * p
        assert np.isfinite(x.sum().eval(ALWAYS))
    got = x.sum().grad(p).eval(ALWAYS)
    np.testing.assert_allclose(got, x.sum().grad(p).eval(NEVER), rtol=1e-13)


def test_wrong_rules_are_caught() -> None:
    twice = linear("ext_twice", linearize=lambda b, ins, outs, tangents: b.mul(b.ext_twice(tangents[0]), 2.0))
    turned = linear("ext_turned", transpose=lambda b, ct, ins, active: (b.mul(b.ext_turned(ct), 3.0),))
    with pytest.raises(AssertionError):
        check_grads(twice, (X,), order=1, modes=("fwd",))
    with pytest.raises(AssertionError):
        check_grads(turned, (X,), order=1)


def test_a_missing_rule_names_itself() -> None:
    for rule in ("linearize", "transpose"):
        f = linear(f"ext_no_{rule}", **{rule: None})
        if rule == "transpose":
            assert f(leaf(X)).shape == nbg.jvp(f, (X,), (X,))[1].shape
        with pytest.raises(nbg.DifferentiationError, match=f"ext_no_{rule}: the operation has no `{rule}` rule"):
            x = leaf(X)
            f(x).sum().grad(x).eval()


def test_errors_are_named() -> None:
    with pytest.raises(nbg.DtypeError, match="of the library"):
        linear("sin")
    with pytest.raises(nbg.DtypeError, match="identifier"):
        linear("no name")
    with pytest.raises(nbg.DtypeError, match="`infer` is no function"):
        linear("ext_bad", infer=3)
    with pytest.raises(nbg.ShapeError, match=r"ext_bad: `infer` returned no types"):
        linear("ext_bad", infer=lambda cx, x: x.shape)(X)
    with pytest.raises(nbg.ShapeError, match=r"ext_bad: `reference` and `infer` disagree"):
        linear("ext_bad", reference=lambda x: x[0])(X).eval(NEVER)
    with pytest.raises(nbg.ShapeError, match="ext_bad: `transpose` returned no tuple"):
        x = leaf(X)
        linear("ext_bad", transpose=lambda b, ct, ins, active: ct)(x).sum().grad(x).eval()
    with pytest.raises(nbg.DtypeError, match="ext_bad: keywords do not fit"):
        linear("ext_bad")(X, order=2)
    with pytest.raises(nbg.ShapeError, match="three"):
        linear("ext_bad", infer=_three)(X)


def _three(cx: Any, x: Any) -> Any:
    raise nbg.ShapeError("wrong rank", operation="ext_bad", got=x, wanted="three dimensions")


def test_a_kernel_that_allocates_is_refused() -> None:
    def kernel(out: Any, x: Any) -> None:
        out[:] = x + 1

    f = linear("ext_allocates", kernel=kernel, reference=lambda x: x + 1)
    with pytest.raises(TypeError, match=r"user-ext_allocates-.*not allocate or raise"):
        f(X).eval(ALWAYS)
    np.testing.assert_array_equal(f(X).eval(NEVER), X + 1)


def test_parameters_results_and_failure() -> None:
    def kernel(low: Any, count: Any, x: Any, bound: float) -> int:
        count[()] = 0
        for i in range(x.shape[0]):
            if x[i] != x[i]:
                return i + 1
            low[i] = min(x[i], bound)
            count[()] += x[i] > bound
        return 0

    f = nbg.custom_op(
        "ext_limited",
        infer=lambda cx, x, bound: (x, nbg.ShapeDtypeStruct((), "int64")),
        kernel=kernel,
        params=("bound",),
        results=2,
        failure="not a number",
    )
    x = np.array([1.0, 3.0, 2.0])
    for engine in (ALWAYS, NEVER):
        for bound in (1.5, 2.5):
            low, count = f(x, bound=bound)
            np.testing.assert_array_equal(low.eval(engine), np.minimum(x, bound))
            assert count.eval(engine) == np.sum(x > bound)
        with pytest.raises(nbg.LinAlgError, match=r"ext_limited: not a number(.|\n)*test_external.py"):
            f(x * np.nan, bound=1.0)[0].eval(engine)


def test_a_name_may_be_taken_over() -> None:
    old = linear("ext_again")(leaf(X))

    def kernel(out: Any, x: Any) -> None:
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                out[i, j] = x[i, j] * 7.0

    new = linear("ext_again", kernel=kernel, reference=lambda x: 7.0 * x)(leaf(X))
    np.testing.assert_allclose(new.eval(ALWAYS), 7.0 * X)
    np.testing.assert_allclose(old.eval(ALWAYS), rows(X))


def test_pickles() -> None:
    f = linear("ext_pickled")
    x = leaf(X)
    a, b = pickle.loads(pickle.dumps((x, f(x).sum())))
    np.testing.assert_allclose(b.grad(a).eval(), f(x).sum().grad(x).eval())


PROGRAM = """
import os, sys
import numpy as np
import nbgraph as nbg
FACTOR = {factor}
def scaled(v):
    return v * FACTOR
import numba
scaled = numba.njit(scaled)
def kernel(out, x):
    for i in range(x.shape[0]):
        out[i] = scaled(x[i])
f = nbg.custom_op("scaled", infer=lambda cx, x: x, kernel=kernel)
engine = nbg.Engine(jit="always", cache_dir=sys.argv[1])
value = f(np.ones(2)).eval(engine)
stats = engine.stats()
kept = [name for name in os.listdir(sys.argv[1]) if "user-scaled" in name]
print(value[0], stats.compiled, stats.loaded, len(kept))
"""


def test_the_disk_cache_knows_what_the_kernel_does(tmp_path: Path) -> None:
    def run(factor: float) -> str:
        made = [sys.executable, "-c", PROGRAM.format(factor=factor), str(tmp_path / "cache")]
        return subprocess.run(made, capture_output=True, text=True, check=True).stdout.strip()

    assert run(2.0) == "2.0 1 0 1"
    assert run(2.0) == "2.0 0 1 1"
    assert run(3.0) == "3.0 0 1 2"  # what a callee reads has changed: the same program, another kernel


def test_digests() -> None:
    def make(k: Any) -> Any:
        return lambda x: x + k

    assert digest_of(make(1)) == digest_of(make(1)) != digest_of(make(2))
    assert digest_of(weighted) == digest_of(weighted) != digest_of(rows)
    assert digest_of(make(np.arange(3))) != digest_of(make(np.arange(1, 4)))
    assert digest_of(make(make(1))) != digest_of(make(make(2)))
    assert digest_of(make(object())) != digest_of(make(object()))


def test_a_jitted_function_sees_another_rule() -> None:
    factor = [2.0]

    @nbg.custom_vjp
    def f(x: Any) -> Any:
        return x * x

    def rule(k: float) -> Any:
        f.defvjp(lambda x: (f(x), None), lambda _, ct: (k * factor[0] * ct,))

    @nbg.custom_jvp
    def g(x: Any) -> Any:
        return f(x)

    g.defjvp(lambda primals, tangents: (g(*primals), 10.0 * tangents[0]))
    rule(1.0)
    direct, around = nbg.jit(lambda x: nbg.sum(f(x))), nbg.jit(lambda x: nbg.sum(g(x)))
    x = np.ones(2)
    assert nbg.grad(direct)(x).tolist() == [2.0, 2.0] and nbg.grad(around)(x).tolist() == [10.0, 10.0]
    rule(3.0)
    assert nbg.grad(direct)(x).tolist() == [6.0, 6.0]
    factor[0] = 5.0  # what a rule reads counts as well
    assert nbg.grad(direct)(x).tolist() == [15.0, 15.0]
    g.defjvp(lambda primals, tangents: (g(*primals), 20.0 * tangents[0]))
    assert nbg.grad(around)(x).tolist() == [20.0, 20.0]

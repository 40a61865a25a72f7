"""Nodes made by machine code: the same as Python's, no reference too many or too few, whoever records."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph.api import reductions
from nbgraph.calls import FragmentCall
from nbgraph.engine import recorder
from nbgraph.node import Node
from nbgraph.op import REGISTRY
from nbgraph.trace import RECORDING, record1, record2, record_as
from nbgraph_kernels import python_api

pytestmark = pytest.mark.skipif(not python_api.AVAILABLE, reason="this Python cannot be given builtin functions")

T = nbg.TracedTensor.from_tensor
ENGINE = nbg.Engine(jit="always", cache_dir=None)
ADD, EXP, LESS = REGISTRY["add"](), REGISTRY["exp"](), REGISTRY["less"]()
SLOTS = [name for name in Node.__slots__ if name not in ("__weakref__", "seq")]


@pytest.fixture(autouse=True)
def machine_code(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Records by machine code within a test; a table of its own."""
    ENGINE.native.objects.make_kernel("recorder", "")
    made = recorder._Recorder()
    functions = dict.fromkeys(("make", "result", "commit"), made.function)
    for name, value in {"tell": made.note, **functions}.items():
        monkeypatch.setattr(RECORDING, name, value)
    yield made


def by_python(f: Any, *args: Any) -> Any:
    kept = RECORDING.make, RECORDING.result, RECORDING.commit
    RECORDING.make = RECORDING.commit = None
    try:
        return f(*args)
    finally:
        RECORDING.make, RECORDING.result, RECORDING.commit = kept


def is_same(a: Node, b: Node) -> bool:
    return all(_same(getattr(a, name), getattr(b, name)) for name in SLOTS) and type(a) is type(b)


def _same(a: Any, b: Any) -> bool:
    if type(a) is tuple and type(b) is tuple:
        return len(a) == len(b) and all(map(_same, a, b))
    return a is b or (type(a) is type(b) and type(a) in (int, bool) and a == b)


def operands() -> dict[str, Any]:
    return {
        "active": T(np.ones(3)),
        "constant": nbg.constant(np.ones(3)),
        "row": T(np.ones((1, 3))),
        "single": T(np.ones(3, "f4")) * 2.0,
        "number": T(2.0),
        "complex": T(np.ones(3, "c16")),
    }


@pytest.mark.parametrize("a", operands())
@pytest.mark.parametrize("b", operands())
@pytest.mark.parametrize("op", [ADD, LESS])
def test_operations_of_two(op: Any, a: str, b: str) -> None:
    x, y = operands()[a], operands()[b]
    if x.type.code != y.type.code or (op is LESS and x.type.is_complex):
        return
    record2(op, x, y)  # told now
    met = RECORDING.make(op, x, y)
    assert met is not None and is_same(met, by_python(record2, op, x, y))
    assert record2(op, x, y).seq == met.seq + 2


@pytest.mark.parametrize("name", operands())
@pytest.mark.parametrize("op", [EXP, REGISTRY["abs"](), REGISTRY["isfinite"]()])
def test_operations_of_one(op: Any, name: str) -> None:
    x = operands()[name]
    record1(op, x)
    met = RECORDING.make(op, x)
    assert met is not None and is_same(met, by_python(record1, op, x))


def test_operations_with_sizes_and_lines() -> None:
    x = T(np.eye(3))
    op, sizes = REGISTRY["broadcast_to"].bind([x.type], shape=(2, 3, 3))
    t = nbg.broadcast_to(x, (2, 3, 3)).type
    assert is_same(record_as(t, op, (x,), sizes), by_python(record_as, t, op, (x,), sizes))
    made = nbg.linalg.cholesky(x)
    assert made.call is not None and __file__ in str(made.call)  # the user's line, while it is open


def test_results_of_calls() -> None:
    step = nbg.jit(lambda x: (x * 2.0, nbg.sum(x) > 0))
    y, positive = step(T(np.ones(3)))
    assert type(y.call) is FragmentCall and y.call is positive.call and y.active and not positive.active
    np.testing.assert_array_equal(y.eval(), [2, 2, 2])
    assert bool(positive)


KNOWN: dict[str, Any] = {
    "sum": nbg.sum,
    "prod": nbg.prod,
    "mean": nbg.mean,
    "max": nbg.max,
    "min": nbg.min,
    "transpose": lambda x: x.T,
    "product": lambda x: x @ x.T,
    "product with a vector": lambda x: x @ nbg.constant(np.ones(x.shape[1], x.dtype)),
}


@pytest.mark.parametrize("code", ["f8", "f4", "i4", "b1"])
@pytest.mark.parametrize("name", KNOWN)
def test_functions_that_types_say_all_about(name: str, code: str) -> None:
    f, x = KNOWN[name], T(np.ones((2, 3), code))
    wanted = by_python(f, x)
    f(x)  # told now, if it is one operation of the operands
    met = f(x)
    assert met.type is wanted.type and met.op is wanted.op and met.active == wanted.active and met.sizes == wanted.sizes
    np.testing.assert_array_equal(met.eval(ENGINE), wanted.eval(ENGINE))
    for wrong in (2.0, None, [x]):
        assert RECORDING.make(reductions._WHOLE_SUM, wrong) is None
    assert RECORDING.make(reductions._WHOLE_SUM, x) is None or name == "sum"  # in a table of this test's own


@pytest.mark.parametrize("other", [2.0, np.ones(3), None, object(), [1.0], "x"])
def test_what_is_no_node_is_left_to_python(other: Any) -> None:
    x = T(np.ones(3))
    record2(ADD, x, x)
    assert RECORDING.make(ADD, x, other) is None
    assert RECORDING.make(ADD, other, x) is None
    assert RECORDING.make(EXP, other) is None


OF_CALLS = [name for name in FragmentCall.__slots__ if name not in ("__weakref__", "seq", "inputs", "saved", "sites")]


def evaluated(count: int) -> Any:
    """`count` values of a region, all of which are asked for by evaluating the last; what they were made of."""
    for _ in range(3):  # the second is as the first was
        x = T(np.eye(3) + 0.5)
        kept = [x]
        for f in (nbg.exp, nbg.tanh, nbg.sin, nbg.cos, nbg.sqrt)[:count]:
            kept.append(f(kept[-1] * 0.25) @ x)
        kept[-1].eval(ENGINE)
    return kept


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_calls_that_have_run(count: int) -> None:
    met, wanted = evaluated(count), by_python(evaluated, count)
    call, other = met[-1].call, wanted[-1].call
    assert all(getattr(call, name) is getattr(other, name) for name in OF_CALLS)
    assert call.active is True and met[0] in set(call.inputs) and call.sites == other.sites
    assert len(call.inputs) == len(other.inputs) and (call.saved is None) == (other.saved is None)
    for a, b in zip(call.saved[1], other.saved[1], strict=True) if call.saved else ():
        np.testing.assert_array_equal(a, b)
    for node, w in zip(met[1:], wanted[1:], strict=True):
        assert node.op is None and node.call is call and w.call is other and node.slot == w.slot
        assert node.inputs == node.sizes == ()
        np.testing.assert_array_equal(node.data, w.data)
    g, w = (nbg.sum(values[-1]).grad(values[0]).eval(ENGINE) for values in (met, wanted))
    np.testing.assert_array_equal(g, w)


def test_a_line_that_may_fail_goes_into_the_call() -> None:
    for _ in range(3):
        made = nbg.linalg.cholesky(T(np.eye(3)) * 2.0)
        made.eval(ENGINE)
    assert __file__ in str(made.call.sites)


def test_a_node_that_another_thread_has_sealed_stays_as_it_is() -> None:
    x = T(np.ones(3))
    y, z = x + x, x * 2.0
    y.eval(ENGINE)
    before = {name: getattr(y, name) for name in SLOTS}
    call = RECORDING.commit(y.call.fragment, (x,), (), None, None, 0, y, 3, np.zeros(3), z, 5, np.full(3, 2.0))
    assert all(getattr(y, name) is value for name, value in before.items())
    assert type(call) is FragmentCall and z.call is call and z.slot == 5 and z.op is None and z.data[0] == 2.0


def test_evals_leak_nothing() -> None:
    x = T(np.ones(3))

    def evals(count: int) -> Any:
        for _ in range(count):
            y = nbg.exp(x + x)
            y.eval(ENGINE)
        return y.call

    call = evals(3000)  # by then all is compiled that is going to be
    watched = [x, call.fragment, call.fragment.types, type(call), type(x), None, True, RECORDING.commit]
    gc.collect()
    before, objects = [sys.getrefcount(w) for w in watched], len(gc.get_objects())
    evals(2000)
    gc.collect()
    now = [sys.getrefcount(w) for w in watched]
    assert max(abs(a - b) for a, b in zip(now, before, strict=True)) < 500  # not one for each
    assert len(gc.get_objects()) - objects < 100


def test_threads_that_evaluate_the_same() -> None:
    def work(node: Any) -> Any:
        return node.eval(ENGINE)

    for _ in range(50):
        x = T(np.ones(4))
        shared = nbg.exp(x * 0.5)
        tops = [shared * float(k) + shared for k in range(6)]
        with ThreadPoolExecutor(4) as pool:
            for k, value in enumerate(pool.map(work, [*tops, shared, *tops])):
                np.testing.assert_allclose(value, np.exp(0.5) * (1.0 if k == 6 else k % 7 + 1.0))
        np.testing.assert_allclose(nbg.sum(tops[2]).grad(x).eval(ENGINE), 1.5 * np.exp(0.5))


def test_what_was_not_met_is_left_to_python() -> None:
    x = T(np.ones(7))
    assert RECORDING.make(ADD, x, x) is None
    assert RECORDING.make(ADD, x) is None
    record2(ADD, x, x)
    assert RECORDING.make(ADD, x, x) is not None
    assert RECORDING.make(REGISTRY["multiply"](), x, x) is None
    assert RECORDING.make(ADD, x, T(np.ones((1, 7)))) is None


def test_promotion_is_as_without_it() -> None:
    for _ in range(3):
        assert (T(np.ones(3, "f4")) + T(np.ones(3))).type.code == "f8"
        assert (nbg.constant([1, 2, 3]) / nbg.constant([2, 2, 2])).type.code == "f8"
        assert (nbg.constant([1, 2, 3]) + nbg.constant([2, 2, 2])).type.code == "i8"
        assert (T(np.ones(3, "f4")) * 2.0).type.code == "f4"
        with pytest.raises(nbg.ShapeError, match="add"):
            T(np.ones(3)) + T(np.ones(4))


def test_nothing_is_leaked() -> None:
    x, y = T(np.ones(3)), T(np.ones(3))
    z = nbg.exp(x + y)
    z = x + y
    watched = [x, y, z.op, z.type, RECORDING.make, type(x)]
    gc.collect()
    before, objects = [sys.getrefcount(w) for w in watched], len(gc.get_objects())
    for _ in range(2000):
        z = nbg.exp(x + y)
        w = RECORDING.result(x.type, True, None, 3)
    del w
    gc.collect()
    z = x + y
    assert [sys.getrefcount(w) for w in watched] == before
    assert len(gc.get_objects()) - objects < 100


def test_a_chain_is_freed_without_recursion() -> None:
    x = T(np.ones(2))
    for _ in range(200_000):
        x = x + x
    del x


def test_entries_that_share_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "ENTRIES", 2)
    made = recorder._Recorder()
    for name, value in (("tell", made.note), ("make", made.function)):
        monkeypatch.setattr(RECORDING, name, value)
    for n in (*range(1, 30), *range(1, 30)):
        x = T(np.ones(n))
        y = nbg.exp(x) * x + x
        assert y.type.shape == (n,) and y.op is ADD and y.inputs[1] is x
        np.testing.assert_allclose(y.eval(), np.full(n, np.e + 1))
    assert len(made._kept) <= 2


def test_threads() -> None:
    def work(seed: int) -> list[int]:
        x, seen = T(np.full(3 + seed % 4, float(seed))), []
        for _ in range(500):
            x = x * 0.5 + x * x * 0.0
            seen.append(x.seq)
        np.testing.assert_allclose(x.eval(), 0.0, atol=1e-100)
        return seen

    with ThreadPoolExecutor(4) as pool:
        numbers = [n for seen in pool.map(work, range(8)) for n in seen]
    assert len(set(numbers)) == len(numbers)


def test_it_is_compiled_when_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "_USED", [])
    used: list[Any] = []
    monkeypatch.setattr(recorder, "use", lambda objects, may_compile: used.append(objects))
    recorder.consider(nbg.Engine(jit="never"), 10**9)
    recorder.consider(nbg.Engine(jit="auto", cache_dir=None), recorder.PAYS_SOON + 1)
    recorder.consider(ENGINE, recorder.PAYS_SOON - 1)
    assert not used
    recorder.consider(nbg.Engine(jit="auto", cache_dir=None), recorder.PAYS + 1)
    recorder.consider(ENGINE, recorder.PAYS_SOON + 1)
    assert len(used) == 2
    monkeypatch.setattr(python_api, "AVAILABLE", False)
    recorder.consider(ENGINE, recorder.PAYS_SOON + 1)
    assert len(used) == 2

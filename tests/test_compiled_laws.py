"""Machine code computes what the interpreter computes: every operation, its backward fragment, every kind of shape.

Samples of one operation run as one program, so that a compile is paid once for each operation and dtype; sizes are
run-time words, so each program runs at several.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import laws
import numpy as np
import pytest
from test_laws import samples_of, seeded

import nbgraph as nbg
from nbgraph import Engine, TracedTensor
from nbgraph.engine import interpreter
from nbgraph.errors import NbgraphError
from nbgraph.fragment import Fragment, FragmentBuilder, size_at
from nbgraph.op import REGISTRY, Sample, Sizes
from nbgraph.ssa import Program
from nbgraph.types import TensorType, type_of_array

Array = np.ndarray[Any, Any]
Call = tuple[Sequence[Array], Sequence[int]]
#: Fragments in one program: compiling grows faster than linearly with its length.
BATCH = 24
#: What is made of many steps rounds more, in units of the tolerance.
SLACK = {"logm": 20, "logm_derivative": 50}
#: How many structures of an operation are compiled; those of the slow tests.
MOST, ALL = {"f8": 6, "c16": 2}, {"f8": 24, "c16": 8}


# -- fragments and their calls ----------------------------------------------------------------------------------------


def resized(sample: Sample) -> Sample | None:
    """The same structure with larger sizes, where the operation allows it."""

    def size(d: int) -> int:
        return d + d // 2

    args = tuple(np.resize(a, tuple(map(size, a.shape))).astype(a.dtype) for a in sample.args)
    sizes = tuple(map(size, sample.sizes))
    other = sample._replace(args=args, sizes=sizes)
    try:
        wanted = sample.op.infer(Sizes(), [type_of_array(a) for a in args], sizes)
    except NbgraphError:
        return None
    if sample.op.fallible or isinstance(wanted, tuple):  # repeated rows are singular
        return None
    return other if laws.reference(other)[0].shape == wanted.shape else None  # that something is 1 is structure


def forward_call(sample: Sample) -> tuple[Fragment, Call]:
    fragment, words = laws.fragment_of(sample)
    return fragment, (sample.args, words)


def backward_call(sample: Sample, rng: np.random.Generator) -> tuple[Fragment, Call] | None:
    """The fragment of the cotangents, on random ones."""
    fragment, words = laws.fragment_of(sample)
    d = laws.derivatives_of(sample)
    if not d.cotangents:
        return None
    f, like = d.vjp_function, laws.interpret(fragment, sample.args, words)
    given: dict[Any, Array] = dict(zip(fragment.input_keys, sample.args, strict=True))
    given.update(zip(d.back.tangent_inputs, (laws.perturbation(rng, like[s]) for s in d.slots), strict=True))
    return f.fragment, ([given[k] for k in f.keys], f.words)


def calls_of(name: str, code: str, backward: bool, most: int) -> dict[Fragment, list[Call]]:
    """The distinct structures among the samples (the first `most`), each with all calls of it."""
    rng, calls = seeded(name, code), {}
    for sample in samples_of(name, code):
        for s in (sample, resized(sample)):
            if s is None:
                continue
            made = [forward_call(s)]
            if backward and s.args and s.smooth | s.op.fallible:
                made.append(backward_call(s, rng))
            for fragment, call in filter(None, made):
                if fragment in calls or len(calls) < most:
                    calls.setdefault(fragment, []).append(call)
    return calls


class Batch:
    """Several fragments as one program."""

    def __init__(self, fragments: Iterable[Fragment]) -> None:
        b, self.fragments = FragmentBuilder(), list(fragments)
        inputs = [[b.input(_anonymous(t)) for t in f.inputs] for f in self.fragments]
        symbols, outputs = [], []
        for f, ins in zip(self.fragments, inputs, strict=True):
            words = [b.word() for _ in range(f.n_words)]
            symbols += words
            outputs += _replay(b, f, ins, words)
        fragment, self.stands_for = b.finish(b.instrs, outputs)
        self.symbols, self.program = symbols, Program(fragment, tuple(dict.fromkeys(fragment.outputs)))

    def bind(self, calls: Sequence[Call]) -> tuple[Any, list[Array]]:
        arrays = [np.require(a, None, "C") for args, _ in calls for a in args]
        env = {w.symbol: v for w, v in zip(self.symbols, (v for _, words in calls for v in words), strict=True)}
        words = tuple(size_at(w, env) for w in self.stands_for)
        return self.program.bind(tuple(map(type_of_array, arrays)), words), arrays


def _anonymous(t: TensorType) -> TensorType:
    return t.with_shape(tuple(1 if d == 1 else 2 for d in t.shape))


def _replay(b: FragmentBuilder, f: Fragment, ins: Sequence[int], words: Sequence[Any]) -> list[int]:
    values = list(ins)
    env = f.environment([b.types[v] for v in values], words)
    for instr in f.instrs:
        made = b.append(instr.op, tuple(values[i] for i in instr.ins), tuple(size_at(s, env) for s in instr.sizes))
        values.extend(made if isinstance(made, tuple) else (made,))
    return [values[o] for o in f.outputs]


def assert_same(got: Array, want: Array, slack: int = 1) -> None:
    """Equal but for rounding; exactly, if there is none."""
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    if want.dtype.kind not in "fc":
        np.testing.assert_array_equal(got, want)
        return
    finite = np.abs(want[np.isfinite(want)])
    eps = 50 * slack * np.finfo(want.dtype).eps
    np.testing.assert_allclose(got, want, rtol=eps, atol=eps * np.max(finite, initial=0.0))


def check(calls: dict[Fragment, list[Call]], slack: int = 1) -> None:
    engine = Engine(jit="always")
    for fragments in (list(calls)[k : k + BATCH] for k in range(0, len(calls), BATCH)):
        batch = Batch(fragments)
        engine.native.compile(batch.program)
        for k in range(max(len(calls[f]) for f in fragments)):
            bound, arrays = batch.bind([calls[f][k % len(calls[f])] for f in fragments])
            before = [a.copy() for a in arrays]
            want = interpreter.run(bound, arrays)
            for got, w in zip(engine.native.run_bound(bound, arrays), want, strict=True):
                assert_same(got, w, slack)
            for a, b in zip(arrays, before, strict=True):
                np.testing.assert_array_equal(a, b)


def _cases(codes: str) -> list[tuple[str, str]]:
    return [(name, code) for code in codes.split() for name in sorted(REGISTRY) if samples_of(name, code)]


@pytest.mark.parametrize(("name", "code"), _cases("f8 c16"))
def test_operation_and_its_vjp(name, code):
    check(calls_of(name, code, backward=True, most=MOST[code]), SLACK.get(name, 1))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "code"), _cases("f8 c16"))
def test_more_structures_of_an_operation(name, code):
    check(calls_of(name, code, backward=True, most=ALL[code]), SLACK.get(name, 1))


@pytest.mark.parametrize("code", ["f4", "c8", "i8", "i4", "b1"])
def test_other_dtypes(code):
    """The first structures of every operation, all in a few programs."""
    calls: dict[Fragment, list[Call]] = {}
    for name in sorted(REGISTRY):
        if REGISTRY[name].fallible:
            continue  # kernels of linear algebra are long to compile and have tests of their own
        calls.update(calls_of(name, code, backward=False, most=1))
    check(calls)


# -- shapes, through the user's layer ---------------------------------------------------------------------------------

SHAPES = [
    ((), ()),
    ((3,), ()),
    ((1,), (4,)),
    ((3, 1), (1, 4)),
    ((1, 1), (2, 3)),
    ((2, 3), (3,)),
    ((0,), (1,)),
    ((0, 3), (3,)),
    ((2, 1), (0,)),
    ((2, 0, 1), (1, 4)),
    ((1,), (1,)),
]


def both(f: Any, *arrays: Any) -> None:
    """f, interpreted and compiled."""
    runs = []
    for jit in ("never", "always"):
        leaves = [TracedTensor.from_tensor(a) for a in arrays]
        runs.append(nbg.eval(*f(*leaves), engine=Engine(jit=jit)))
    for want, got in zip(*runs, strict=True):
        assert_same(got, want)


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_broadcasting_with_its_gradient(shapes):
    def f(x, y):
        out = nbg.exp(x) * y - nbg.maximum(x, y) / (1 + y * y)
        loss = nbg.sum(out * out) + nbg.mean(x)
        return out, loss, *loss.grad([x, y])

    rng = np.random.default_rng(0)
    both(f, *(rng.standard_normal(s) for s in shapes))


@pytest.mark.parametrize("shape", [(3, 4), (1, 4), (3, 1), (1, 1), (0, 4), (3, 0)], ids=str)
def test_reductions_views_and_products_with_their_gradient(shape):
    def f(x):
        y = nbg.concatenate([x.T[::-1], 2 * x.T, nbg.stack([x[:, 0]] if shape[1] else [nbg.sum(x, 1)])])
        z = y @ x
        parts = nbg.sum(z, 0, keepdims=True), nbg.mean(z, 1), nbg.reshape(z, -1)[::2], z.at[..., :1].add(1.0)
        loss = sum(nbg.sum(p * p) for p in parts) + nbg.linalg.norm(y) + nbg.trace(x) + nbg.sum(nbg.diagonal(z, -1))
        return *parts, loss, loss.grad(x)

    both(f, np.random.default_rng(1).standard_normal(shape))


def test_operands_that_lie_otherwise_in_memory():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((6, 8))
    for view in (x[::2], x[:, ::-1], x.T, x[1:, 3:], np.broadcast_to(x[0], (5, 8)), x.astype(">f8")):
        both(lambda a: (nbg.sin(a) @ nbg.ones(a.shape[1]), a.T), view)


def test_outputs_that_are_inputs_or_each_other():
    def f(x):
        return x, x + 0, nbg.reshape(x, (2, 3)), x.T, (x * 2).T, x * 2, nbg.ravel(x * 2)

    x = np.arange(6.0).reshape(3, 2)
    both(f, x)
    leaf = TracedTensor.from_tensor(x)
    results = nbg.eval(*f(leaf), engine=Engine(jit="always"))
    assert not any(np.shares_memory(a, b) for a, b in itertools.combinations(results, 2))
    assert not any(a.flags.writeable for a in results)


@pytest.mark.parametrize("code", ["f8", "c16", "f4", "i8", "b1"])
def test_special_values(code):
    """Infinities, NaN, signed zeros, the largest and the smallest: no operation makes more of them than NumPy."""
    dtype = np.dtype(code)
    if dtype.kind in "fc":
        info = np.finfo(dtype)
        values = [np.nan, np.inf, -np.inf, 0.0, -0.0, float(info.max), float(info.tiny), 1.0, -2.5]
    else:
        values = [0, 1] if dtype.kind == "b" else [0, -1, np.iinfo(dtype).max, np.iinfo(dtype).min, 7]
    x = np.array(values, dtype)
    a, b = (np.array(t).astype(dtype) for t in zip(*itertools.product(x, x), strict=True))
    names = "exp log sqrt sin cos tan tanh arctan expm1 log1p abs sign negative isnan isfinite logical_not"
    pairs = "add multiply maximum minimum less greater_equal equal not_equal logical_and logical_xor"
    if dtype.kind == "c":
        names, pairs = "abs negative isnan isfinite conj real imag", "add equal not_equal"
    elif dtype.kind == "b":
        names, pairs = "abs isnan logical_not exp", pairs
    both(lambda x: [getattr(nbg, n)(x) for n in names.split()], x)
    both(lambda x, y: [getattr(nbg, n)(x, y) for n in pairs.split()], a, b)


COMPLEX = "exp log sqrt sin cos tan tanh arctan expm1 log1p abs sign square"


@pytest.mark.parametrize("name", COMPLEX.split())
def test_complex_functions_all_over_the_plane(name):
    """Both parts small, near 1 and large: the same to rounding, relative to the modulus, and finite where it is."""
    re = [0.0, 1e-17, 1e-9, 1e-3, 1.0, 20.0, 700.0, 1e15]
    z = np.array(
        [complex(a, b) for a in [*re, *(-r for r in re)] for b in (0.0, 1e-17, 1e-9, 1e-3, 1.0, 300.0, -1e-9, -1.0)]
    )
    want, got = (getattr(nbg, name)(TracedTensor.from_tensor(z)).eval(Engine(jit=jit)) for jit in ("never", "always"))
    finite = np.isfinite(want)
    assert np.all(np.isfinite(got[finite]))
    np.testing.assert_array_less(np.abs(got[finite] - want[finite]), 4e-14 * np.abs(want[finite]) + 1e-300)


@pytest.mark.parametrize("jit", ["never", "always"])
@pytest.mark.parametrize("code", ["f4", "c8", "f8"])
def test_long_sums_are_accurate(code, jit):
    """Errors hardly grow with the length: sums are not taken one element after another."""
    n, x = 3_000_000, TracedTensor.from_tensor(np.full(3_000_000, 0.1, code))
    tenth = float(np.float32(0.1) if code != "f8" else 0.1)
    sums = nbg.sum(x), nbg.mean(x), nbg.sum(nbg.cos(x) * 2), nbg.sum(x[None], 1)[0], nbg.linalg.norm(x)
    want = n * tenth, tenth, 2 * n * np.cos(tenth), n * tenth, np.sqrt(n) * tenth
    for got, w in zip(nbg.eval(*sums, engine=Engine(jit=jit)), want, strict=True):
        assert abs(got - w) <= (5e-13 if code == "f8" else 5e-5) * w


def test_a_large_reduction_and_a_long_chain():
    def chain(x):
        for _ in range(60):
            x = nbg.sin(x) + 0.5 * x
        return x, nbg.sum(x), nbg.max(x)

    rng = np.random.default_rng(3)
    both(chain, rng.standard_normal(1000))
    both(lambda x: (nbg.sum(x), nbg.mean(x, 0), nbg.sum(x * x, 1)), rng.standard_normal((1000, 300)))


def test_long_fragments_are_several_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbgraph.codegen.fuse.PART", 8)
    x, total = TracedTensor.from_tensor(np.arange(3.0)), nbg.constant(2.0)
    for _ in range(6):  # scalars made in one function are used in later ones
        total = total + nbg.sum(x * total) / (1.0 + total * total)
    program = Engine(jit="always", cache_dir=None).compile([total, x * total], [x])
    assert program.source.count("def fragment") > 2
    values = nbg.eval(total, x * total, engine=Engine(jit="never"))
    for got, want in zip(program(np.arange(3.0)), values, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-14)


def test_permutations_of_many_dimensions_compile() -> None:
    x = np.arange(2.0**22).reshape((2,) * 22)
    axes = tuple(reversed(range(22)))
    leaf = TracedTensor.from_tensor(x)
    (got,) = Engine(jit="always", cache_dir=None).compile([nbg.transpose(leaf, axes)], [leaf])(x)
    np.testing.assert_array_equal(got, x.transpose(axes))

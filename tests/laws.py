"""The laws every operation obeys, as functions of one `Sample`; `test_laws.py` applies them to the registry.

A law returns nothing and raises AssertionError. Derivatives are checked on the materialised fragments, as the
rest of the library uses them, so these laws also cover `resolve`, `differentiate`, `transpose` and
`materialize`.
"""

from __future__ import annotations

import cmath
import ctypes
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import special

import nbgraph.ops  # noqa: F401
from nbgraph.codegen import real_functions
from nbgraph.dims import evaluate
from nbgraph.fragment import Fragment, FragmentBuilder, at_sizes, size_at
from nbgraph.interpret import interpret
from nbgraph.keys import GlobalValKey, Input
from nbgraph.kinds import Assembly, Elementwise, Layout, Reduction, Source, View
from nbgraph.linearize import differentiate
from nbgraph.materialize import MaterializedGraph, close, materialize
from nbgraph.op import Sample, Sizes
from nbgraph.resolve import resolve
from nbgraph.transpose import transpose
from nbgraph.types import DTYPES, TensorType, type_of_array
from nbgraph_kernels import address

Array = np.ndarray[Any, Any]


# -- running ---------------------------------------------------------------------------------------


def kept(f: Callable[[Sample], Any]) -> Callable[[Sample], Any]:
    """`f`, whose result is kept until another sample is asked for: the laws ask the same of a sample by turns."""
    last: list[Any] = [None, None]

    def of(sample: Sample) -> Any:
        if last[0] is not sample:
            last[:] = sample, f(sample)
        return last[1]

    return of


@kept
def fragment_of(sample: Sample) -> tuple[Fragment, tuple[int, ...]]:
    """The sample's operation as a fragment with symbolic sizes, and the words of a call."""
    b = FragmentBuilder()
    ins = [b.input(type_of_array(a)) for a in sample.args]
    symbols = tuple(b.word() for _ in sample.sizes)
    out = b.op(sample.op, *ins, sizes=symbols)
    fragment, stands_for = b.finish(b.instrs, out if isinstance(out, tuple) else (out,))
    values = {w.symbol: v for w, v in zip(symbols, sample.sizes, strict=True)}
    return fragment, tuple(values[w.symbol] for w in stands_for)


def run(sample: Sample) -> list[Array]:
    """The results of a sample, by way of its fragment."""
    fragment, words = fragment_of(sample)
    return interpret(fragment, sample.args, words)


@kept
def reference(sample: Sample) -> tuple[Array, ...]:
    """The results by the operation's reference alone."""
    with np.errstate(all="ignore"):
        result = sample.op.reference(list(sample.args), sample.sizes)
    return tuple(np.asarray(r) for r in (result if isinstance(result, tuple) else (result,)))


def inner(a: Sequence[Array], b: Sequence[Array]) -> float:
    """Re(conj(a) b) over lists of arrays."""
    return sum(float(np.real(np.vdot(x, y))) for x, y in zip(a, b, strict=True))


class Function:
    """A fragment with everything bound but some inputs: a numerical function of those.

    `keys` are all inputs of the fragment (in order); sizes are symbols that `env` gives values.
    """

    def __init__(self, graph: MaterializedGraph, env: Mapping[Any, Any]) -> None:
        self.keys = graph.inputs
        self.outputs = graph.outputs
        self.fragment, stands_for = close(graph)
        self.words = tuple(size_at(w, env) for w in stands_for)

    def __call__(self, values: Mapping[GlobalValKey, Array]) -> list[Array]:
        return interpret(self.fragment, [values[k] for k in self.keys], self.words)  # type: ignore[arg-type]


def perturbation(rng: np.random.Generator, like: Array) -> Array:
    """A random direction of an array's dtype and shape."""
    t = rng.standard_normal(like.shape)
    return np.asarray(t + 1j * rng.standard_normal(like.shape) if like.dtype.kind == "c" else t).astype(like.dtype)


# -- values ----------------------------------------------------------------------------------------


def law_types(sample: Sample) -> None:
    """Symbolic shape rule == concrete shape rule == what the reference gives; so is what is 1."""
    fragment, words = fragment_of(sample)
    env = fragment.environment([type_of_array(a) for a in sample.args], words)
    concrete = sample.op.infer(Sizes(), [type_of_array(a) for a in sample.args], sample.sizes)
    concrete = concrete if isinstance(concrete, tuple) else (concrete,)
    results = reference(sample)
    assert len(results) == len(concrete) == sample.op.n_out
    for o, t, r in zip(fragment.outputs, concrete, results, strict=True):
        assert at_sizes(fragment.types[o], env) == t
        assert fragment.types[o].klass is t.klass, f"{fragment.types[o]} is not of the class of {t}"
        assert (r.dtype, r.shape) == (t.dtype, t.shape)
    counted = len(sample.args) if sample.op.name == "stack" else 1  # how many operands there are is structure
    for d in (d for t in fragment.types for d in t.shape if isinstance(d, int)):
        assert d in (1, counted), f"the size {d} became structure: {fragment}"


def law_values(sample: Sample) -> None:
    """The fragment computes the reference, leaves its inputs alone and shares no memory with them."""
    fragment, words = fragment_of(sample)
    before = [a.copy() for a in sample.args]
    results = interpret(fragment, sample.args, words)
    for got, want in zip(results, reference(sample), strict=True):
        np.testing.assert_array_equal(got, want)
        assert got.flags.c_contiguous
        assert not any(np.shares_memory(got, a) for a in sample.args)
    for a, b in zip(sample.args, before, strict=True):
        np.testing.assert_array_equal(a, b)


def law_function_of_operands(sample: Sample) -> None:
    """The interpreter's shorter way, with arrays or NumPy's numbers for operands, is the reference."""
    function = sample.op.function_of_operands()
    if function is not None:
        (want,) = reference(sample)
        for args in (sample.args, [a[()] for a in sample.args]):
            with np.errstate(all="ignore"):
                got = function(*args)
            assert (got.shape, got.dtype) == (want.shape, want.dtype)
            np.testing.assert_array_equal(got, want)


def law_expression(sample: Sample) -> None:
    """The interpreter's source, with arrays or NumPy's numbers for operands, gives the reference; what it calls fresh
    is in memory of its own, one element after another where it has one dimension."""
    made = sample.op.expression([type_of_array(a) for a in sample.args])
    if made is not None:
        (want,) = reference(sample)
        for args in (sample.args, [a[()] for a in sample.args]):
            operands = {f"v{k}": a for k, a in enumerate(args)}
            source = made.text.format(*operands, **{name: name for name in made.names})
            with np.errstate(all="ignore"):
                got = eval(source, {**made.names, **operands})
            assert (got.shape, got.dtype) == (want.shape, want.dtype)
            np.testing.assert_array_equal(got, want)
            if made.fresh:
                assert not any(np.shares_memory(got, a) for a in args)
                assert got.ndim != 1 or got.flags.c_contiguous


def law_function_into(sample: Sample) -> None:
    """What fills an array, and what adds to one, do that with the reference's values."""
    into, adding = sample.op.function_into(), sample.op.function_adding()
    if into is not None or adding is not None:
        (want,) = reference(sample)
        with np.errstate(all="ignore"):
            if into is not None and want.ndim:
                out = np.empty(want.shape, want.dtype)
                assert into(*sample.args, out=out) is out
                np.testing.assert_array_equal(out, want)
            if adding is not None:
                total = np.ones(want.shape, want.dtype)
                wanted = total + want
                adding(total, *sample.args)
                np.testing.assert_allclose(total, wanted, rtol=1e-5)


def scattered(a: Array) -> Array:
    """The same values with gaps, in column-major order and backwards."""
    base = np.zeros(tuple(2 * d + 1 for d in a.shape[::-1]), a.dtype)
    view = base[(..., *(slice(None, None, -2) for _ in a.shape))].T
    view = view[(..., *(slice(0, d) for d in a.shape))]
    view[...] = a
    return view


def tolerance(code: str) -> float:
    return 2e-5 if code in ("f4", "c8") else 1e-12


def law_layouts(sample: Sample) -> None:
    """Operands that lie in memory otherwise give the same (up to the order of sums)."""
    other = sample._replace(args=tuple(map(scattered, sample.args)))
    for got, want in zip(run(other), run(sample), strict=True):
        tol = tolerance(want.dtype.str[1:])
        np.testing.assert_allclose(got, want, rtol=tol, atol=tol)


def law_expansion(sample: Sample) -> None:
    """What an operation expands to, if it does, computes the same."""
    fragment, words = fragment_of(sample)
    from nbgraph.rules import BUILDER

    (instr,) = fragment.instrs
    keys = fragment.input_keys
    expanded = instr.op.expand(BUILDER, tuple(keys[i] for i in instr.ins), instr.sizes)
    if expanded is None:
        return
    outs = expanded if isinstance(expanded, tuple) else (expanded,)
    env = fragment.environment([type_of_array(a) for a in sample.args], words)
    f = Function(materialize(outs, keys), env)
    for got, want in zip(f(dict(zip(keys, sample.args, strict=True))), reference(sample), strict=True):
        assert (got.dtype, got.shape) == (want.dtype, want.shape)
        tol = tolerance(want.dtype.str[1:])
        np.testing.assert_allclose(got, want, rtol=tol, atol=tol)


# -- code ------------------------------------------------------------------------------------------


class _Libm:
    """The C library's functions, as `nbgraph_kernels.libm` declares them."""

    def __getattr__(self, name: str) -> Any:
        function = getattr(ctypes.CDLL(None), name)
        real = ctypes.c_float if name.endswith("f") else ctypes.c_double
        function.restype, second = real, ctypes.c_int if name == "scalbn" else real
        return lambda x, y=None: function(real(x)) if y is None else function(real(x), second(y))


class _Math:
    """`math` as compiled code has it: what Python's raises for is NaN or infinity there."""

    def __getattr__(self, name: str) -> Any:
        return {"pow": np.power, "sigmoid": special.expit}.get(name) or getattr(math, name)


def _cython(address: int, xs: tuple[float, ...]) -> float:
    double = ctypes.c_double
    return ctypes.CFUNCTYPE(double, *[double] * len(xs), ctypes.c_int)(address)(*map(float, xs), 0)


def _cython_part(address: int, x: float, count: int, place: int) -> float:
    double = ctypes.c_double
    found = [double() for _ in range(count)]
    kind = ctypes.CFUNCTYPE(None, double, *[ctypes.POINTER(double)] * count)
    kind(address)(float(x), *map(ctypes.byref, found))
    return found[place].value


def _namespace() -> dict[str, Any]:
    names: dict[str, Any] = {"np": np, "math": _Math(), "cmath": cmath, "sign": np.sign, "cython": _cython}
    names["cython_part"] = _cython_part
    names |= {"plus": operator.add, "times": operator.mul, "greatest": np.maximum, "least": np.minimum}
    names["libm"] = real_functions.libm = _Libm()
    names |= {f.__name__: f for f in real_functions.HELPERS}
    return names | {d.name: d.type for d in DTYPES.values()}


def law_elementwise_source(sample: Sample) -> None:
    """The source of one element, evaluated by Python, agrees with the reference."""
    op = sample.op
    assert isinstance(op, Elementwise)
    code = sample.args[0].dtype.str[1:] if sample.args else "f8"
    routines = {f"f{k}": address(routine) for k, routine in enumerate(op.externals(code))}
    source = op.scalar(code, *(f"x{k}" for k in range(len(sample.args))), *routines)
    if "complex_" in source or ("cython_" in source and code[0] == "c"):
        return
    (want,) = reference(sample)
    operands = np.broadcast_arrays(*sample.args) if sample.args else []
    tol = tolerance("f4" if "4" in code + want.dtype.str or code == "c8" else "f8")
    with np.errstate(all="ignore"):
        for at in np.ndindex(want.shape):
            got = eval(source, _namespace(), routines | {f"x{k}": a[at] for k, a in enumerate(operands)})
            np.testing.assert_allclose(np.asarray(got).astype(want.dtype), want[at], rtol=tol, atol=tol)


def law_reduction_source(sample: Sample) -> None:
    """Initial value and combining step, evaluated by Python, agree with the reference."""
    op, (x,) = sample.op, sample.args
    assert isinstance(op, Reduction)
    (want,) = reference(sample)
    code, names = x.dtype.str[1:], _namespace()
    step = compile(op.combine(code, "acc", "x"), "combine", "eval")
    moved = np.moveaxis(x, op.axes, tuple(range(len(op.axes))))
    moved = moved.reshape(math.prod(x.shape[a] for a in op.axes), *want.shape)
    for at in np.ndindex(want.shape):
        acc = eval(op.initial(code), names)
        for value in moved[(slice(None), *at)]:
            acc = eval(step, names, {"acc": acc, "x": value})
        tol = tolerance(want.dtype.str[1:])
        np.testing.assert_allclose(acc, want[at], rtol=tol, atol=tol)


def law_source_element(sample: Sample) -> None:
    """Element by element from its source."""
    op = sample.op
    assert isinstance(op, Source)
    (want,) = reference(sample)
    source = op.element(
        want.dtype.str[1:], [f"i{a}" for a in range(want.ndim)], [f"n{k}" for k in range(len(sample.sizes))]
    )
    sizes = {f"n{k}": n for k, n in enumerate(sample.sizes)}
    for at in np.ndindex(want.shape):
        got = eval(source, _namespace(), sizes | {f"i{a}": i for a, i in enumerate(at)})
        assert np.asarray(got).astype(want.dtype) == want[at]


def _evaluated(layout: Layout, env: Mapping[Any, int]) -> Layout:
    def ints(sizes: Any) -> tuple[int, ...]:
        return tuple(evaluate(d, env) for d in sizes)

    return Layout(ints(layout.shape), ints(layout.strides), evaluate(layout.offset, env))


def at_layout(memory: Array, layout: Layout) -> Array:
    """The array that lies at `layout` in a flat array; every element must be inside."""
    shape, strides, offset = layout
    if 0 in shape:
        return np.empty(shape, memory.dtype)  # type: ignore[arg-type]
    ends = [(n - 1) * s for n, s in zip(shape, strides, strict=True)]  # type: ignore[operator]
    first, last = offset + sum(min(e, 0) for e in ends), offset + sum(max(e, 0) for e in ends)  # type: ignore[operator]
    assert first >= 0 and last < memory.size, f"{layout} leaves a memory of {memory.size} elements"
    steps = tuple(s * memory.itemsize for s in strides)  # type: ignore[operator]
    return np.lib.stride_tricks.as_strided(memory[offset:], shape, steps)  # type: ignore[misc, arg-type]


def layouts(shape: tuple[int, ...]) -> list[tuple[Layout, int]]:
    """Row-major, column-major with an offset, with gaps, and backwards; each with the memory it needs."""
    size = math.prod(shape)
    column = Layout.row_major(shape[::-1])
    plain = Layout.row_major(shape)
    return [
        (plain, size),
        (plain._replace(offset=2), size + 2),
        (Layout(shape, column.strides[::-1], 3), size + 3),
        (Layout(shape, tuple(2 * s for s in plain.strides), 1), 2 * size + 1),
        (Layout(shape, tuple(-s for s in plain.strides), max(size - 1, 0)), size),
    ]


def law_relayout(sample: Sample) -> None:
    """New layouts, concrete and symbolic, address the right elements; from row-major order there is one."""
    op, (x,) = sample.op, sample.args
    assert isinstance(op, View)
    (want,) = reference(sample)
    out = type_of_array(np.asarray(want))
    for layout, size in layouts(x.shape):
        memory = np.zeros(max(size, 1), x.dtype)
        at_layout(memory, layout)[...] = x
        new = op.relayout(layout, out, sample.sizes)
        assert new is not None or not layout.is_row_major
        if new is not None:
            assert new.shape == out.shape
            np.testing.assert_array_equal(at_layout(memory, new), want)
    fragment, words = fragment_of(sample)
    env: Any = fragment.environment([type_of_array(x)], words)
    plain, instr = Layout.row_major(fragment.inputs[0].shape), fragment.instrs[0]
    new = op.relayout(plain, fragment.types[-1], instr.sizes)
    assert new is not None
    memory = np.append(np.ravel(x), x.dtype.type(0))
    np.testing.assert_array_equal(at_layout(memory, _evaluated(new, env)), want)


def law_parts(sample: Sample) -> None:
    """The regions, filled in order, give the result; they cover it."""
    op = sample.op
    assert isinstance(op, Assembly)
    (want,) = reference(sample)
    fragment, words = fragment_of(sample)
    env: Any = fragment.environment([type_of_array(a) for a in sample.args], words)
    types: list[TensorType] = [fragment.types[i] for i in fragment.instrs[0].ins]
    memory = np.full(max(want.size, 1), 77, want.dtype)
    for part in op.parts(Layout.row_major(fragment.types[-1].shape), types, fragment.instrs[0].sizes):
        region = at_layout(memory, _evaluated(part.region, env))
        if region.size:
            region[...] = 0 if part.source is None else sample.args[part.source]
    np.testing.assert_array_equal(memory[: want.size].reshape(want.shape), want)


# -- derivatives -----------------------------------------------------------------------------------


class Derivatives:
    """The tangents and the cotangents of a fragment, as numerical functions."""

    def __init__(self, fragment: Fragment, arrays: Sequence[Array], words: Sequence[int]) -> None:
        self.fragment, self.words = fragment, tuple(words)
        self.env: Any = fragment.environment([type_of_array(a) for a in arrays], self.words)
        self.linear = differentiate(resolve(fragment))
        self.wrt = [i for i, k in enumerate(fragment.input_keys) if k.type.inexact]
        self.slots = [s for s, k in enumerate(self.linear.tangent_outputs) if k is not None]
        self.tangents = [k for k in self.linear.tangent_outputs if k is not None]
        self.jvp_function = self._function(self.tangents, self.linear.tangent_inputs)
        self.back = transpose(self.linear)
        self.cotangents = [k for k in self.back.tangent_outputs if k is not None]
        self.reached = [i for i, k in zip(self.wrt, self.back.tangent_outputs, strict=True) if k is not None]
        self.vjp_function = self._function(self.cotangents, self.back.tangent_inputs)

    def _function(self, outputs: Sequence[GlobalValKey], extra: Sequence[Input]) -> Function:
        return Function(materialize(outputs, (*self.fragment.input_keys, *extra)), self.env)

    def _values(self, arrays: Sequence[Array]) -> dict[GlobalValKey, Array]:
        return dict(zip(self.fragment.input_keys, arrays, strict=True))

    def jvp(self, arrays: Sequence[Array], directions: Sequence[Array]) -> list[Array]:
        """Tangents of the outputs `slots` along directions of the inputs `wrt`."""
        given = dict(zip(self.linear.tangent_inputs, directions, strict=True))
        return self.jvp_function(self._values(arrays) | given)

    def vjp(self, arrays: Sequence[Array], cts: Sequence[Array]) -> list[Array]:
        """Cotangents of the inputs `reached` for cotangents of the outputs `slots`."""
        return self.vjp_function(self._values(arrays) | dict(zip(self.back.tangent_inputs, cts, strict=True)))


@kept
def derivatives_of(sample: Sample) -> Derivatives:
    """Those of the sample's fragment."""
    fragment, words = fragment_of(sample)
    return Derivatives(fragment, sample.args, words)


def differences(
    f: Callable[[Sequence[Array]], list[Array]],
    arrays: Sequence[Array],
    wrt: Sequence[int],
    directions: Sequence[Array],
) -> list[Array]:
    """Central differences of fourth order along a direction of the inputs `wrt`."""

    def moved(h: float) -> list[Array]:
        at = list(arrays)
        for i, t in zip(wrt, directions, strict=True):
            at[i] = arrays[i] + h * t
        return [o if o.dtype.kind in "fc" else o.astype("f8") for o in f(at)]

    h = 1e-4
    far, near = [[p - m for p, m in zip(moved(s), moved(-s), strict=True)] for s in (2 * h, h)]
    return [(8 * n - d) / (12 * h) for n, d in zip(near, far, strict=True)]


def _compare(got: Array, want: Array, rtol: float) -> None:
    """Equal relative to the largest element."""
    assert got.shape == want.shape
    scale = max(1.0, float(np.max(np.abs(want), initial=0.0)))
    np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol * scale)


def _tolerance(f: Fragment, tol: float, single: float) -> float:
    """`tol`, or `single` where single precision is on the way (its differences tell little)."""
    return single if any(t.code in ("f4", "c8") for t in f.types) else tol


def _check_adjoint(
    cts: Sequence[Array], outs: Sequence[Array], pulled: Sequence[Array], along: Sequence[Array], tol: float
) -> None:
    """<ct, J t> == <J* ct, t>, relative to the size of the vectors."""
    for p, t in zip(pulled, along, strict=True):
        assert (p.dtype, p.shape) == (t.dtype, t.shape)
    scale = sum(float(np.linalg.norm(p)) * float(np.linalg.norm(t)) for p, t in zip(pulled, along, strict=True))
    left, right = inner(cts, outs), inner(pulled, along)
    assert abs(left - right) <= tol * max(1.0, scale), f"{left} != {right}"


def law_tangents(sample: Sample, rng: np.random.Generator) -> None:
    """Tangents equal central differences; an absent tangent is a zero."""
    fragment, words = fragment_of(sample)
    d = derivatives_of(sample)
    directions = [perturbation(rng, sample.args[i]) for i in d.wrt]
    want = differences(lambda at: interpret(fragment, at, words), sample.args, d.wrt, directions)
    got = dict(zip(d.slots, d.jvp(sample.args, directions), strict=True))
    for slot, w in enumerate(want):
        if not fragment.types[fragment.outputs[slot]].inexact:
            assert slot not in got
            continue
        tangent = got.get(slot, np.zeros_like(w))
        assert tangent.dtype == w.dtype
        _compare(tangent, w, _tolerance(fragment, 1e-6, 1e-2))


def law_adjoint(sample: Sample, rng: np.random.Generator) -> None:
    """<ct, J t> == <J* ct, t>, with cotangents of the operands' types."""
    fragment, _ = fragment_of(sample)
    d = derivatives_of(sample)
    directions = [perturbation(rng, sample.args[i]) for i in d.wrt]
    outs = d.jvp(sample.args, directions)
    cts = [perturbation(rng, o) for o in outs]
    pulled = d.vjp(sample.args, cts)
    along = [t for i, t in zip(d.wrt, directions, strict=True) if i in d.reached]
    _check_adjoint(cts, outs, pulled, along, _tolerance(fragment, 1e-10, 1e-3))


def law_second_order(sample: Sample, rng: np.random.Generator) -> None:
    """The pulled-back cotangents, materialised as a fragment, have the right tangents in turn."""
    fragment, _ = fragment_of(sample)
    d = derivatives_of(sample)
    if not d.cotangents:
        return
    gradient = d.vjp_function
    given = dict(zip(fragment.input_keys, sample.args, strict=True))
    for k in d.back.tangent_inputs:
        like: Any = np.empty(at_sizes(k.type, d.env).shape, k.type.dtype)  # type: ignore[arg-type]
        given[k] = perturbation(rng, like)
    arrays = [given[k] for k in gradient.keys]
    g = gradient.fragment
    second = Derivatives(g, arrays, gradient.words)  # type: ignore[arg-type]
    directions = [perturbation(rng, arrays[i]) for i in second.wrt]
    want = differences(lambda at: interpret(g, at, gradient.words), arrays, second.wrt, directions)  # type: ignore[arg-type]
    got = dict(zip(second.slots, second.jvp(arrays, directions), strict=True))
    for slot, w in enumerate(want):
        _compare(got.get(slot, np.zeros_like(w)), w, _tolerance(g, 1e-5, 1e-2))
    outs = [got[s] for s in second.slots]
    cts = [perturbation(rng, o) for o in outs]
    pulled = second.vjp(arrays, cts)
    along = [t for i, t in zip(second.wrt, directions, strict=True) if i in second.reached]
    _check_adjoint(cts, outs, pulled, along, _tolerance(g, 1e-9, 1e-3))

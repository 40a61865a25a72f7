"""The laws of operations, applied to every sample of every registered operation."""

from __future__ import annotations

import itertools
import zlib

import laws
import numpy as np
import pytest

from nbgraph.dims import dim, evaluate
from nbgraph.errors import BoundsError, ShapeError
from nbgraph.external import External
from nbgraph.kinds import ALL, Assembly, Elementwise, Reduction, Source, View
from nbgraph.op import REGISTRY, Sample, Sizes
from nbgraph.ops.indexing import normalise_index
from nbgraph.types import TensorType, type_of_array

CODES = ALL.split()
HOOKS = {
    Elementwise: laws.law_elementwise_source,
    Reduction: laws.law_reduction_source,
    Source: laws.law_source_element,
    View: laws.law_relayout,
    Assembly: laws.law_parts,
}


def seeded(name: str, code: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(f"{name} {code}".encode()))


def samples_of(name: str, code: str):
    return list(REGISTRY[name].samples(code, seeded(name, code)))


def _having_samples(codes: list[str]) -> list[tuple[str, str]]:
    return [(name, code) for name in sorted(REGISTRY) for code in codes if samples_of(name, code)]


def test_every_operation_has_samples():
    own = [name for name, cls in REGISTRY.items() if not issubclass(cls, External)]
    without = [name for name in own if not any(samples_of(name, code) for code in CODES)]
    assert not without


@pytest.mark.parametrize(("name", "code"), _having_samples(CODES))
def test_values(name, code):
    for sample in samples_of(name, code):
        laws.law_types(sample)
        laws.law_values(sample)
        laws.law_function_of_operands(sample)
        laws.law_expression(sample)
        laws.law_function_into(sample)
        laws.law_layouts(sample)
        laws.law_expansion(sample)


@pytest.mark.parametrize(
    ("name", "code"), [(n, code) for n, code in _having_samples(CODES) if issubclass(REGISTRY[n], tuple(HOOKS))]
)
def test_code(name, code):
    """Each kind's hook for code generation means what the reference does."""
    for sample in samples_of(name, code):
        for kind, law in HOOKS.items():
            if isinstance(sample.op, kind):
                law(sample)


@pytest.mark.parametrize(("name", "code"), _having_samples(["f8", "c16"]))
def test_derivatives(name, code):
    rng = seeded(name, code)
    for sample in samples_of(name, code):
        if sample.smooth and sample.args:
            laws.law_tangents(sample, rng)
            laws.law_adjoint(sample, rng)
            laws.law_second_order(sample, rng)


@pytest.mark.parametrize(("name", "code"), _having_samples(["f4", "c8"]))
def test_adjoints_in_single_precision(name, code):
    rng = seeded(name, code)
    for sample in samples_of(name, code):
        if sample.smooth and sample.args:
            laws.law_adjoint(sample, rng)


# -- keywords: what `bind` makes of them is what NumPy makes of them --------------------------------


def bound(name, *arrays, **params):
    op, sizes = REGISTRY[name].bind([type_of_array(a) for a in arrays], **params)
    sample = Sample(op, arrays, sizes)
    laws.law_types(sample)
    (result,) = laws.run(sample)
    return result


def random_index(rng, shape):
    """Integers and slices with bounds inside and outside, for some leading dimensions."""
    index = []
    for d in shape[: rng.integers(len(shape) + 1)]:
        if d and rng.random() < 0.3:
            index.append(int(rng.integers(-d, d)))
            continue
        start, stop = (None if rng.random() < 0.3 else int(rng.integers(-d - 2, d + 3)) for _ in range(2))
        index.append(slice(start, stop, [None, 1, 2, 3, -1, -2][rng.integers(6)]))
    if rng.random() < 0.5:
        index.insert(int(rng.integers(len(index) + 1)), Ellipsis if rng.random() < 0.5 else None)
    return tuple(index)


def test_basic_indices_are_numpys():
    rng = np.random.default_rng(0)
    for _ in range(400):
        shape = tuple(int(d) for d in rng.integers(0, 5, rng.integers(0, 4)))
        x = rng.standard_normal(shape)
        index = random_index(rng, shape)
        try:
            expected = x[index]
        except IndexError:  # the ellipsis shifted an integer to another dimension
            with pytest.raises(BoundsError):
                normalise_index(index, shape)
            continue
        op, sizes, newaxes = normalise_index(index, shape)
        got = laws.run(Sample(op, (x,), sizes))[0]
        np.testing.assert_array_equal(np.expand_dims(got, newaxes), expected, err_msg=f"{shape} {index}")


def test_symbolic_slices_are_numpys():
    """On a symbolic dimension, wherever it is as large as the bounds ask for."""
    d = dim("d")
    bounds = [None, 0, 1, 3, -1, -3]
    for start, stop, step in itertools.product(bounds, bounds, [None, 1, 2, -1, -3]):
        item = slice(start, stop, step)
        op, sizes, _ = normalise_index(item, (d,))
        for n in (3, 4, 6, 7):
            words = tuple(evaluate(s, {"d": n}) for s in sizes)
            if len(words) == 2 and words[1] < 0:  # the bounds cross: the documented assumption does not hold
                assert not len(range(n)[item])
                continue
            if op.axes == (("all",),):
                continue
            expected = np.arange(n)[item]
            if len(expected) == 0 and len(words) == 1:
                continue
            (got,) = laws.reference(Sample(op, (np.arange(n),), words))
            np.testing.assert_array_equal(got, expected, err_msg=f"{item} of {n}")


@pytest.mark.parametrize(
    ("index", "error"),
    [
        (5, BoundsError),
        ((0, 0, 0), BoundsError),
        ((..., ...), BoundsError),
        (1.5, BoundsError),
        (True, BoundsError),
        (slice(None, None, 0), ShapeError),
    ],
)
def test_bad_indices_name_themselves(index, error):
    with pytest.raises(error) as caught:
        normalise_index(index, (4, 3))
    assert caught.value.operation == "getitem"


@pytest.mark.parametrize("words", [(3, 3), (-1, 2), (0, -1), (5, 1)])
def test_words_that_leave_the_operand_are_refused(words):
    op = REGISTRY["slice"]((("range", 1, False),))
    with pytest.raises(BoundsError):
        op.infer(Sizes(), [TensorType("f8", (5,))], words)


def test_keywords_are_numpys():
    x = np.arange(24.0).reshape(2, 3, 4)
    np.testing.assert_array_equal(bound("sum", x), x.sum())
    np.testing.assert_array_equal(bound("sum", x, axis=-1), x.sum(-1))
    np.testing.assert_array_equal(bound("max", x, axis=(2, 0)), x.max((2, 0)))
    np.testing.assert_array_equal(bound("mean", x, axes=(1,)), x.mean(1))
    np.testing.assert_array_equal(bound("argmin", x, axis=-2), x.argmin(-2))
    np.testing.assert_array_equal(bound("reshape", x, shape=(-1, 6)), x.reshape(-1, 6))
    np.testing.assert_array_equal(bound("reshape", x, shape=-1), x.ravel())
    np.testing.assert_array_equal(bound("transpose", x), x.T)
    np.testing.assert_array_equal(bound("transpose", x, axes=(-1, 0, 1)), x.transpose(-1, 0, 1))
    np.testing.assert_array_equal(
        bound("broadcast_to", x[:, :1], shape=(5, 2, 3, 4)), x[:, :1] + np.zeros((5, 2, 3, 4))
    )
    np.testing.assert_array_equal(bound("expand_dims", x, axis=(0, -1)), x[None, ..., None])
    np.testing.assert_array_equal(bound("squeeze", x[:1]), x[0])
    np.testing.assert_array_equal(bound("flip", x, axis=-1), x[..., ::-1])
    np.testing.assert_array_equal(bound("flip", x), x[::-1, ::-1, ::-1])
    np.testing.assert_array_equal(bound("diagonal", x, offset=1, axis1=-1, axis2=0), x.diagonal(1, -1, 0))
    np.testing.assert_array_equal(bound("slice", x, axis=1, start=1, length=2), x[:, 1:3])
    np.testing.assert_array_equal(
        bound("slice", x, axis=(0, 2), start=(1, 3), length=(1, 2), step=(1, -2)), x[1:, :, 3::-2]
    )
    np.testing.assert_array_equal(bound("pad_slice", x, axis=1, start=2, size=6), np.pad(x, ((0, 0), (2, 1), (0, 0))))
    np.testing.assert_array_equal(bound("concatenate", x, x, axis=-1), np.concatenate([x, x], -1))
    np.testing.assert_array_equal(bound("eye", n=3, k=-1), np.eye(3, k=-1))
    np.testing.assert_array_equal(bound("iota", n=4, code="i8"), np.arange(4))


@pytest.mark.parametrize(
    ("name", "shapes", "params", "error"),
    [
        ("sum", [(2, 3)], {"axis": 2}, BoundsError),
        ("sum", [(2, 3)], {"axis": (0, 0)}, ShapeError),
        ("max", [(0, 3)], {"axis": 0}, ShapeError),
        ("argmax", [(3, 0)], {"axis": 1}, ShapeError),
        ("reshape", [(2, 3)], {"shape": (4, -1)}, ShapeError),
        ("reshape", [(2, 3)], {"shape": (5,)}, ShapeError),
        ("reshape", [(0,)], {"shape": (-1, 0)}, ShapeError),
        ("broadcast_to", [(2, 3)], {"shape": (2, 4)}, ShapeError),
        ("broadcast_to", [(2,)], {"shape": (1,)}, ShapeError),
        ("squeeze", [(2, 1)], {"axis": 0}, ShapeError),
        ("transpose", [(2, 3)], {"axes": (0,)}, ShapeError),
        ("diagonal", [(2, 2)], {"axis1": 1}, ShapeError),
        ("concatenate", [(2, 3), (2, 4)], {"axis": 0}, ShapeError),
        ("concatenate", [(2, 3), (2,)], {"axis": 0}, ShapeError),
        ("concatenate", [()], {"axis": 0}, BoundsError),
        ("slice_update", [(4,), (3,)], {"index": slice(0, 2)}, ShapeError),
    ],
)
def test_what_does_not_fit_is_refused(name, shapes, params, error):
    types = [TensorType("f8", shape) for shape in shapes]
    with pytest.raises(error):
        op, sizes = REGISTRY[name].bind(types, **params)
        op.infer(Sizes(), types, sizes)

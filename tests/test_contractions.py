"""`contract` against numpy.einsum: values, what it expands to, derivatives, errors."""

import sys

import laws
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nbgraph as nbg
from nbgraph.codegen.legalise import legalise
from nbgraph.dims import dim
from nbgraph.errors import DtypeError, ShapeError
from nbgraph.graph import fragments_of
from nbgraph.keys import Input
from nbgraph.kinds import Layout
from nbgraph.materialize import close, materialize
from nbgraph.op import REGISTRY, Sample, sample_array
from nbgraph.rules import BUILDER
from nbgraph.ssa import program_for
from nbgraph.types import DTYPES, TensorType

Contract, Matmul3 = REGISTRY["contract"], REGISTRY["matmul3"]
CODES = tuple(DTYPES)


def contract(spec):
    left, right, out = spec.replace("->", ",").split(",")
    return Contract(*(tuple(map(ord, part)) for part in (left, right, out)))


def arrays_for(spec, size, code="f8", seed=0):
    rng = np.random.default_rng(seed)
    left, right, _ = spec.replace("->", ",").split(",")
    return tuple(sample_array(rng, code, tuple(size[c] for c in part)) for part in (left, right))


def expanded(op, arrays, symbolic=True):
    """The fragment of what an operation expands to."""
    fragment, _ = laws.fragment_of(Sample(op, arrays))
    keys = fragment.input_keys if symbolic else [Input(i, laws.type_of_array(x)) for i, x in enumerate(arrays)]
    graph = materialize([op.expand(BUILDER, tuple(keys), ())], keys)
    assert not any(isinstance(op_key.op, Contract) for op_key in graph.operations)
    return close(graph)[0]


def check(spec, size, code="f8"):
    sample = Sample(contract(spec), arrays_for(spec, size, code))
    check_values(sample, np.einsum(spec, *sample.args))


def check_values(sample, expected):
    """The value, however the operands lie in memory, and that of the expansion at symbolic sizes."""
    laws.law_types(sample)
    laws.law_values(sample)
    laws.law_layouts(sample)
    laws.law_expansion(sample)
    (result,) = laws.run(sample)
    assert result.dtype == expected.dtype == sample.args[0].dtype
    tolerance = laws.tolerance(result.dtype.str[1:])
    np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance)


@st.composite
def patterns(draw):
    batch, m, n, k = (draw(st.integers(0, 2)) for _ in range(4))
    letters = "abcdefgh"
    groups, at = [], 0
    for count in (batch, m, n, k):
        groups.append(letters[at : at + count])
        at += count
    b, m, n, k = groups
    parts = ("".join(draw(st.permutations(part))) for part in (b + m + k, b + k + n, b + m + n))
    size = {c: draw(st.integers(0, 4)) for c in letters}
    return "{},{}->{}".format(*parts), size


@given(patterns(), st.sampled_from(CODES))
def test_random_patterns(pattern, code):
    check(*pattern, code)


@given(patterns())
@settings(max_examples=25)
def test_random_derivatives(pattern):
    spec, size = pattern
    check_derivatives(Sample(contract(spec), arrays_for(spec, size, "c16")))


def check_derivatives(sample):
    rng = np.random.default_rng(1)
    laws.law_tangents(sample, rng)
    laws.law_adjoint(sample, rng)
    laws.law_second_order(sample, rng)


@pytest.mark.parametrize("code", CODES)
def test_samples(code):
    rng = np.random.default_rng(2)
    for op in (Contract, Matmul3):
        for sample in op.samples(code, rng):
            a, b, out = sample.op._values or ((0, 1, 2), (0, 2, 3), (0, 1, 3))
            check_values(sample, np.einsum(sample.args[0], a, sample.args[1], b, out))
            if code in ("f8", "c16"):
                check_derivatives(sample)


def operations(spec, ones=""):
    """Names of what a pattern expands to."""
    size = {c: 1 if c in ones else 3 for c in spec}
    fragment = expanded(contract(spec), arrays_for(spec, size))
    return [instr.op.name for instr in fragment.instrs]


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        (",ij->ij", "multiply"),
        ("i,j->ij", "expand_dims multiply"),
        ("i,ij->ij", "expand_dims multiply"),
        ("ij,ij->", "multiply sum"),
        ("ij,ji->", "transpose multiply sum"),
        ("bi,bi->b", "multiply sum"),
        ("ij,jk->ik", "expand_dims expand_dims matmul3 squeeze"),
        ("bij,bjk->bik", "matmul3"),
        ("bij,bkj->bik", "transpose matmul3"),
        ("bij,bjk->bki", "transpose transpose matmul3"),
        ("abij,abjk->abik", "reshape reshape matmul3 reshape"),
        ("bij,jk->bik", "reshape expand_dims matmul3 reshape"),
        ("ij,bjk->bik", "expand_dims broadcast_to matmul3"),
        ("ijk,kj->i", "reshape transpose reshape matmul3 squeeze"),
    ],
)
def test_what_it_expands_to(spec, names):
    assert operations(spec) == names.split()


def test_dimensions_of_one_are_no_contraction():
    assert "matmul3" not in operations("ij,jk->ik", ones="j")
    assert "matmul3" not in operations("ij,jk->ik", ones="ik")


def test_no_operand_is_copied_where_its_layout_permits():
    """Reshapes of row-major operands to three dimensions that are views."""

    def copies(spec, symbolic):
        size = dict(zip("abcdefgh", (2, 3, 4, 5, 6, 7, 8, 9), strict=True))
        fragment = expanded(contract(spec), arrays_for(spec, size), symbolic)
        layouts: dict[int, Layout] = {i: Layout.row_major(t.shape) for i, t in enumerate(fragment.inputs)}
        copied = 0
        for instr in fragment.instrs:
            out = fragment.types[instr.first]
            if not instr.op.is_view:
                layouts[instr.first] = Layout.row_major(out.shape)
                continue
            layout = instr.op.relayout(layouts[instr.ins[0]], out, instr.sizes)
            copied += layout is None
            layouts[instr.first] = layout or Layout.row_major(out.shape)
        return copied

    for spec in ("abc,bcd->ad", "abc,cbd->ad", "bca,bcd->ad", "abc,cd->abd", "abc,abd->cd", "ab,cbd->cad",
                 "ba,dbc->dac", "abcd,abde->abce", "abcd,cdef->abef", "abcd,efcd->abef", "acb,bcd->ad"):  # fmt: skip
        for symbolic in (False, True):
            assert copies(spec, symbolic) == (spec in ("abc,cbd->ad", "acb,bcd->ad")), spec


X, Y, Z, V = (np.ones(shape) for shape in ((6, 8), (5, 6, 8), (5, 8, 6), (8,)))
VIEWS = {
    "both transposed": lambda x, y, z, v: x.T @ x[:, :6].T,
    "rows of columns": lambda x, y, z, v: x[1:4, 2:7] @ x.T[1:6, :3],
    "every other row": lambda x, y, z, v: x[::2] @ x.T[:, 1:4],
    "backwards": lambda x, y, z, v: x[:, ::-1] @ x.T,
    "stacks, transposed": lambda x, y, z, v: y.mT @ z.mT,
    "a matrix and a stack": lambda x, y, z, v: x @ z,
    "a stack by its middle": lambda x, y, z, v: nbg.einsum("ibj,bjk->bik", nbg.transpose(y, (1, 0, 2)), z),
    "two axes at once": lambda x, y, z, v: nbg.tensordot(y, y, axes=((1, 2), (1, 2))),
    "vectors": lambda x, y, z, v: (x @ v) @ x + v @ x.T @ x,
    "a dot product": lambda x, y, z, v: nbg.dot(v, v),
    "an outer product": lambda x, y, z, v: nbg.outer(v, v),
}


@pytest.mark.parametrize("name", VIEWS)
def test_views_are_multiplied_where_they_lie(name):
    """Generated code has no copy of a transposed, sliced or repeated operand: BLAS reads it by strides."""
    out = VIEWS[name](*map(nbg.TracedTensor.from_tensor, (X, Y, Z, V)))
    fragment = fragments_of(out)[-1]
    body = legalise(program_for(fragment, frozenset(fragment.outputs)).lowered()[0])
    names = [instr.op.name for instr in body.instrs]
    assert {"matmul3", "multiply"} & set(names)
    assert not {"copy", "row_major"} & set(names)


def test_equal_contractions_are_one():
    assert contract("ij,jk->ik") is contract("xb,ba->xa") is Contract((0, 1), (1, 2), (0, 2))
    assert repr(contract("ij,jk->ik")) == "contract[a=(0, 1), b=(1, 2), out=(0, 2)]"


@pytest.mark.parametrize("spec", ["ii,ij->j", "ij,k->ik", "i,ij->jj", "i,j->k"])
def test_labels_without_partners_are_refused(spec):
    with pytest.raises(ShapeError, match="contract"):
        contract(spec)


def infer(spec, *types):
    keys = [Input(i, t) for i, t in enumerate(types)]
    return BUILDER.emit(contract(spec), *keys).type


def test_errors():
    matrix, n = TensorType("f8", (2, 3)), dim("n")
    with pytest.raises(ShapeError, match=r"operand 1 has \(4, 5\), wanted size 3 along axis 0"):
        infer("ij,jk->ik", matrix, TensorType("f8", (4, 5)))
    with pytest.raises(ShapeError, match="wrong rank"):
        infer("ij,jk->ik", matrix, TensorType("f8", (3,)))
    with pytest.raises(DtypeError, match="float32"):
        infer("ij,jk->ik", matrix, TensorType("f4", (3, 4)))
    with pytest.raises(ShapeError, match="operand 1"):
        infer("ij,jk->ik", TensorType("f8", (2, n)), TensorType("f8", (1, 4)))
    assert infer("ij,jk->ik", TensorType("f8", (n, dim("m"))), matrix) is TensorType("f8", (n, 3))


class _Lowering:
    """Records calls."""

    def __init__(self):
        self.calls = []

    def call(self, *words):
        self.calls.append(words)


class _Operand:
    def __init__(self, name, t):
        self.address, self.type, self.layout = name, t, Layout.row_major(t.shape)


def test_lowering():
    n = dim("n")
    x, y, z = (_Operand(name, TensorType("f8", shape)) for name, shape in
               (("x", (1, n, 3)), ("y", (1, 3, 4)), ("z", (1, n, 4))))  # fmt: skip
    lw = _Lowering()
    Matmul3().lower(lw, [x, y], [z], ())
    strides = (4 * n, 4, 1, 3 * n, 3, 1, 12, 4, 1)
    assert lw.calls == [("gemm", "f8", "z", "x", "y", 1, n, 4, 3, *strides, 0, 0, 0)]


def test_small_products_cost_what_numpy_costs():
    """The plan is made once; a reference adds no more than a lookup and a call to NumPy's own time."""
    x, v = np.ones((4, 4)), np.ones(4)
    for spec, args, function in (("ij,jk->ik", (x, x), np.dot), ("ij,j->i", (x, v), np.dot), ("i,i->", (v, v), np.dot)):
        op = contract(spec)
        op.reference(args, ())
        ours, numpys = (calls_in(f) for f in (lambda: op.reference(args, ()), lambda: function(*args)))  # noqa: B023
        assert ours - numpys <= 3


def calls_in(function) -> int:
    """How many functions of Python and of C are called in it."""
    events = []
    before = sys.getprofile()
    sys.setprofile(lambda frame, event, argument: events.append(event))
    try:
        function()
    finally:
        sys.setprofile(before)
    return events.count("call") + events.count("c_call")

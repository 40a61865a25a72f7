"""`solve` and `eigh`: values, derivatives, degenerate spectra, what they ask of their kernels."""

import laws
import numpy as np
import pytest

from nbgraph.dims import dim
from nbgraph.errors import DifferentiationError, DtypeError, ShapeError
from nbgraph.fragment import FragmentBuilder
from nbgraph.interpret import interpret
from nbgraph.keys import Input
from nbgraph.kinds import Layout
from nbgraph.linearize import differentiate
from nbgraph.op import REGISTRY, Sample, sample_array
from nbgraph.resolve import resolve
from nbgraph.rules import BUILDER
from nbgraph.transpose import transpose
from nbgraph.types import TensorType, type_of_array

Solve, Eigh = REGISTRY["solve"], REGISTRY["eigh"]
SHAPES = [(3, 3), (4, 4), (2, 3, 3), (2, 2, 2, 2), (1, 1), (0, 0), (0, 3, 3)]


def hermitian(code, shape, seed=0):
    x = sample_array(np.random.default_rng(seed), code, shape)
    return (x + np.swapaxes(x, -1, -2).conj()).astype(code)


def fragment_of(build, *arrays):
    """A fragment of what `build(builder, *inputs)` returns."""
    b = FragmentBuilder()
    ins = [b.input(type_of_array(x)) for x in arrays]
    return b.build(build(b, *ins))


# -- solve --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["f4", "f8", "c8", "c16"])
def test_solve(code):
    rng = np.random.default_rng(0)
    for sample in Solve().samples(code, rng):
        laws.law_types(sample)
        laws.law_values(sample)
        laws.law_layouts(sample)
        (x,) = laws.run(sample)
        a, b = sample.args
        np.testing.assert_allclose(a @ x, b, atol=laws.tolerance(code) * 10)
        if code in ("f8", "c16"):
            laws.law_tangents(sample, rng)
            laws.law_adjoint(sample, rng)
            laws.law_second_order(sample, rng)


def test_a_singular_matrix_raises():
    sample = Sample(Solve(), (np.ones((2, 2)), np.ones((2, 1))))
    with pytest.raises(np.linalg.LinAlgError, match="singular"):
        laws.run(sample)


def test_solve_is_linear_in_the_right_side_alone():
    a, b = Input("a", TensorType("f8", (3, 3)), True), Input("b", TensorType("f8", (3, 2)))
    with pytest.raises(DifferentiationError):
        Solve().transpose(BUILDER, b, (a, b), (True, False), ())


def test_solve_errors():
    def infer(a, b, codes=("f8", "f8")):
        types = [TensorType(code, shape) for code, shape in zip(codes, (a, b), strict=True)]
        return BUILDER.solve(*(Input(i, t) for i, t in enumerate(types))).type

    n = dim("n")
    assert infer((2, n, n), (2, n, 4)).shape == (2, n, 4)
    assert infer((n, 3), (3, 1)).shape == (3, 1)
    with pytest.raises(ShapeError, match=r"operand 0 has \(2, 3\), wanted a square matrix"):
        infer((2, 3), (3, 1))
    with pytest.raises(ShapeError, match=r"operand 1 has \(4, 1\), wanted \(3, k\)"):
        infer((3, 3), (4, 1))
    with pytest.raises(ShapeError, match="operand 1"):
        infer((2, 3, 3), (5, 3, 1))
    with pytest.raises(ShapeError, match="ranks differ"):
        infer((2, 3, 3), (3, 1))
    with pytest.raises(ShapeError, match="at least 2 dimensions"):
        infer((3,), (3, 1))
    with pytest.raises(DtypeError, match="operand 0"):
        infer((3, 3), (3, 1), ("i8", "i8"))
    with pytest.raises(DtypeError, match="operand 1"):
        infer((3, 3), (3, 1), ("f8", "c16"))


# -- eigh ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["f4", "f8", "c8", "c16"])
@pytest.mark.parametrize("shape", SHAPES)
def test_eigh(code, shape):
    a = hermitian(code, shape)
    sample = Sample(Eigh(), (a,))
    laws.law_types(sample)
    laws.law_values(sample)
    w, v = laws.run(sample)
    tolerance = 1e-4 if code in ("f4", "c8") else 1e-12
    assert w.dtype == a.real.dtype and v.dtype == a.dtype
    np.testing.assert_allclose(w, np.linalg.eigvalsh(a), atol=tolerance)
    np.testing.assert_allclose(a @ v, v * w[..., None, :], atol=tolerance)


def test_only_the_lower_triangle_is_read():
    a = hermitian("f8", (3, 3))
    w, _ = laws.run(Sample(Eigh(), (a,)))
    np.testing.assert_array_equal(laws.run(Sample(Eigh(), (np.tril(a),)))[0], w)


def test_eigh_errors():
    with pytest.raises(ShapeError, match="square"):
        BUILDER.eigh(Input(0, TensorType("f8", (2, 3))))
    with pytest.raises(DtypeError, match="eigh"):
        BUILDER.eigh(Input(0, TensorType("i8", (3, 3))))
    assert Eigh() is Eigh(0) is Eigh(0.0) and Eigh(0.1) is not Eigh()


def spectral(b, a):
    """Eigenvalues, and v diag(exp w) v^H: a matrix function does not depend on the choice of vectors."""
    w, v = b.op("eigh", a)
    rank = b.types[v].ndim
    row = b.op("expand_dims", b.op("exp", w), axes=(rank - 2,))
    scaled = b.op("multiply", v, b.op("astype", row, code=b.types[v].code))
    turned = b.op("transpose", b.op("conj", v), axes=(*range(rank - 2), rank - 1, rank - 2))
    batch = tuple(range(rank - 2))
    i, j, k = rank, rank + 1, rank + 2
    labels = {"a": (*batch, i, j), "b": (*batch, j, k), "out": (*batch, i, k)}
    return [w, b.op("contract", scaled, turned, **labels)]


def hermitian_directions(d, arrays, seed=1):
    return [hermitian(arrays[i].dtype.str[1:], arrays[i].shape, seed) for i in d.wrt]


def check_first_and_second_order(build, a):
    """Tangents and second tangents along Hermitian directions equal differences; adjoint identities."""
    f = fragment_of(build, a)
    d = laws.Derivatives(f, [a], ())
    (t,) = hermitian_directions(d, [a])
    got = d.jvp([a], [t])
    want = laws.differences(lambda at: interpret(f, at, ()), [a], [0], [t])
    for g, w in zip(got, want, strict=True):
        np.testing.assert_allclose(g, w, atol=1e-7)
    rng = np.random.default_rng(3)
    cts = [laws.perturbation(rng, g) for g in got]
    (pulled,) = d.vjp([a], cts)
    np.testing.assert_allclose(pulled, np.swapaxes(pulled, -1, -2).conj(), atol=1e-10)
    assert laws.inner(cts, got) == pytest.approx(laws.inner([pulled], [t]), abs=1e-9)

    def gradient(at):
        return d.vjp([at], cts)

    # The gradient as a function of a, differentiated again, saved vectors recomputed by the same driver.
    g = d.vjp_function
    second = laws.Derivatives(g.fragment, [{**dict(zip(d.back.tangent_inputs, cts, strict=True)),
                                            f.input_keys[0]: a}[k] for k in g.keys], g.words)  # fmt: skip
    arrays = [a if k is f.input_keys[0] else cts[d.back.tangent_inputs.index(k)] for k in g.keys]
    directions = [t if arrays[i] is a else np.zeros_like(arrays[i]) for i in second.wrt]
    (got2,) = second.jvp(arrays, directions)
    h = 1e-4
    want2 = sum(c * gradient(a + s * h * t)[0] for s, c in ((1, 8), (-1, -8), (2, -1), (-2, 1))) / (12 * h)
    np.testing.assert_allclose(got2, want2, atol=2e-6)


@pytest.mark.parametrize("code", ["f8", "c16"])
@pytest.mark.parametrize("shape", SHAPES)
def test_derivatives_of_spectral_functions(code, shape):
    check_first_and_second_order(spectral, hermitian(code, shape))


def test_derivatives_of_vectors_whose_sign_is_fixed():
    """v itself, where nearby drivers' signs agree: differences of a small matrix."""
    a = np.diag([1.0, 2.0, 4.0]) + 0.1 * hermitian("f8", (3, 3))
    f = fragment_of(lambda b, x: [b.op("eigh", x)[1]], a)
    d = laws.Derivatives(f, [a], ())
    (t,) = hermitian_directions(d, [a])
    want = laws.differences(lambda at: interpret(f, at, ()), [a], [0], [t])
    np.testing.assert_allclose(d.jvp([a], [t])[0], want[0], atol=1e-8)


def degenerate(code):
    q, _ = np.linalg.qr(sample_array(np.random.default_rng(5), code, (4, 4)))
    return ((q * np.array([-1.0, 2.0, 2.0, 3.0])) @ q.conj().T).astype(code)


@pytest.mark.parametrize("code", ["f8", "c16"])
@pytest.mark.parametrize("matrix", ["identity", "zero", "pair"])
def test_degenerate_spectra(code, matrix):
    """The gradient of tr exp(a) is exp(a), where eigenvalues coincide too; second derivatives are finite."""
    a = {"identity": np.eye(4, dtype=code), "zero": np.zeros((4, 4), code), "pair": degenerate(code)}[matrix]

    def loss(b, x):
        _, matrix = spectral(b, x)
        trace = b.op("sum", b.op("diagonal", matrix, axis1=0, axis2=1), axes=(0,))
        return [b.op("real", trace)]

    f = fragment_of(loss, a)
    d = laws.Derivatives(f, [a], ())
    (gradient,) = d.vjp([a], [np.array(1.0)])
    w, v = np.linalg.eigh(a)
    np.testing.assert_allclose(gradient, (v * np.exp(w)) @ v.conj().T, atol=1e-10)
    g = d.vjp_function
    arrays = [a if k is f.input_keys[0] else np.array(1.0) for k in g.keys]
    second = laws.Derivatives(g.fragment, arrays, g.words)
    hessian = second.jvp(arrays, [laws.perturbation(np.random.default_rng(2), arrays[i]) for i in second.wrt])
    assert all(np.isfinite(x).all() for x in hessian)
    third = second.vjp(arrays, [np.ones_like(x) for x in hessian])
    assert all(np.isfinite(x).all() for x in third)


def test_a_projector_on_a_degenerate_pair_has_its_derivative():
    """First order is exact for what does not depend on the vectors chosen within the pair."""
    a = degenerate("c16")

    def projector(b, x):
        _, v = b.op("eigh", x)
        pair = b.op("slice", v, index=(slice(None), slice(1, 3)))
        return [b.op("contract", pair, b.op("conj", pair), a=(0, 1), b=(2, 1), out=(0, 2))]

    f = fragment_of(projector, a)
    d = laws.Derivatives(f, [a], ())
    (t,) = hermitian_directions(d, [a])
    want = laws.differences(lambda at: interpret(f, at, ()), [a], [0], [t])
    np.testing.assert_allclose(d.jvp([a], [t])[0], want[0], atol=1e-7)


def test_broadening():
    """1/d becomes d/(d^2 + g^2)."""
    a, t = np.diag([1.0, 2.0]), np.array([[0.0, 1.0], [1.0, 0.0]])
    f = fragment_of(lambda b, x: [b.op("eigh", x, broadening=0.5)[1]], a)
    dv = laws.Derivatives(f, [a], ()).jvp([a], [t])[0]
    assert abs(dv[1, 0]) == pytest.approx(1 / 1.25)
    assert abs(dv[0, 0]) == 0


def test_derivative_rules_need_no_sizes():
    """With symbolic sizes throughout, in the derivatives too."""
    n, k = dim("n"), dim("k")
    b = FragmentBuilder()
    a, right = b.input(TensorType("f8", (2, n, n))), b.input(TensorType("f8", (2, n, k)))
    w, v = b.op("eigh", a)
    f = b.build([w, v, b.op("solve", a, right)])
    linear = differentiate(resolve(f))
    back = transpose(linear)
    assert [k.type for k in linear.tangent_outputs] == [f.types[o] for o in f.outputs]
    assert [k.type for k in back.tangent_outputs] == list(f.inputs)


# -- kernels ------------------------------------------------------------------------------------------------------


class _Lowering:
    def __init__(self):
        self.calls = []

    def call(self, *words):
        self.calls.append(words)

    def workspace(self, size):
        return f"workspace({size})"


class _Operand:
    def __init__(self, name, t):
        self.address, self.type, self.layout = name, t, Layout.row_major(t.shape)


def test_lowering():
    from nbgraph_kernels import workspace

    n = dim("n")
    a, b, w = (_Operand(name, TensorType("f8", shape)) for name, shape in
               (("a", (2, 3, n, n)), ("b", (2, 3, n, 4)), ("w", (2, 3, n))))  # fmt: skip
    lw = _Lowering()
    Solve().lower(lw, [a, b], [b], ())
    Eigh().lower(lw, [a], [w, a], ())
    assert lw.calls == [
        ("solve", "f8", "b", "a", "b", 6, n, 4, f"workspace({workspace('solve', 'f8', n, 4)})"),
        ("eigh", "f8", "w", "a", "a", 6, n, f"workspace({workspace('eigh', 'f8', n)})"),
    ]

"""Other libraries and the language's own protocols on tensors: none of their users has to register anything."""

from __future__ import annotations

import copy
import functools
import math
import operator
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import opt_einsum
import pytest
from scipy import optimize

import nbgraph as nbg
from nbgraph.testing import check_grads

RNG = np.random.default_rng(3)
A, B, C = RNG.normal(size=(3, 4)), RNG.normal(size=(4, 5)), RNG.normal(size=(5, 3))
leaf = nbg.TracedTensor.from_tensor


def agree(got: Any, wanted: Any) -> None:
    assert isinstance(got, nbg.TracedTensor)
    np.testing.assert_allclose(got.eval(), np.asarray(wanted), rtol=1e-12, atol=1e-12)
    assert got.shape == np.shape(wanted)


# -- tensor networks --------------------------------------------------------------------------------------------------


def test_opt_einsum() -> None:
    network = "ij,jk,kl->il"
    agree(opt_einsum.contract(network, leaf(A), leaf(B), leaf(C)), A @ B @ C)
    agree(opt_einsum.contract_expression(network, A.shape, B.shape, C.shape)(leaf(A), B, leaf(C)), A @ B @ C)
    fixed = opt_einsum.contract_expression(network, A, B.shape, C, constants=[0, 2])
    agree(fixed(leaf(B)), A @ B @ C)
    with opt_einsum.shared_intermediates():
        agree(opt_einsum.contract("iij,j->i", leaf(np.ones((3, 3, 4))), leaf(A[0])), np.full(3, A[0].sum()))
    check_grads(lambda a, b, c: opt_einsum.contract("ij,jk,ki->", a, b, c), (A, B, C), order=2)


def test_autoray() -> None:
    ar = pytest.importorskip("autoray")
    t, s = leaf(A), leaf(A @ A.T)
    assert ar.infer_backend(t) == "nbgraph" and ar.get_dtype_name(t) == "float64"
    agree(ar.do("tensordot", t, leaf(B), 1), A @ B)
    agree(ar.do("linalg.svd", t)[1], np.linalg.svd(A)[1])
    agree(ar.do("linalg.eigh", s)[0], np.linalg.eigh(A @ A.T)[0])
    agree(ar.do("transpose", t, (1, 0)), A.T)
    agree(ar.do("concatenate", [t, t], axis=1), np.hstack([A, A]))
    agree(ar.do("zeros", (2, 3), like=t), np.zeros((2, 3)))
    agree(ar.do("complex", t, t), A + 1j * A)
    agree(ar.do("scipy.linalg.expm", s * 0.1), nbg.linalg.expm(A @ A.T * 0.1))
    agree(ar.do("scipy.special.logsumexp", t), np.log(np.exp(A).sum()))
    agree(ar.astype(t, "complex128"), A)
    assert ar.do("random.normal", size=(2, 3), like=t).shape == (2, 3)
    assert isinstance(ar.to_numpy(t), np.ndarray)
    f = ar.autojit(lambda x: ar.do("sum", ar.do("sin", x)))
    agree(f(t), np.sin(A).sum())
    check_grads(lambda x: ar.do("sum", ar.do("sin", x)), (A,), order=2)


def test_cotengra() -> None:
    ctg = pytest.importorskip("cotengra")
    given = [leaf(A), leaf(B), leaf(C)]
    agree(ctg.einsum("ij,jk,kl->il", *given), A @ B @ C)
    labels, shapes = [(0, 1), (1, 2), (2, 0)], [A.shape, B.shape, C.shape]
    agree(ctg.array_contract(given, labels, ()), np.trace(A @ B @ C))
    tree = ctg.array_contract_tree(labels, (), shapes=shapes)
    tree.slice_(target_slices=4)
    agree(tree.contract(given), np.trace(A @ B @ C))
    mantissa, exponent = tree.contract(given, strip_exponent=True)
    agree(mantissa * 10**exponent, np.trace(A @ B @ C))
    check_grads(lambda *xs: tree.contract(xs), (A, B, C), order=2)


def test_einops() -> None:
    einops = pytest.importorskip("einops")
    t = leaf(A)
    agree(einops.rearrange(t, "i (j k) -> j i k", j=2), einops.rearrange(A, "i (j k) -> j i k", j=2))
    agree(einops.reduce(t, "i j -> i", "mean"), A.mean(1))
    agree(einops.repeat(t, "i j -> i j 2"), einops.repeat(A, "i j -> i j 2"))
    agree(einops.rearrange([t, t], "b i j -> (b i) j"), np.vstack([A, A]))
    agree(einops.einsum(t, leaf(B), "i j, j k -> i k"), A @ B)
    packed, shapes = einops.pack([t, t[:, 0]], "i *")
    agree(packed, np.hstack([A, A[:, :1]]))
    agree(einops.unpack(packed, shapes, "i *")[0], A)
    check_grads(lambda x: einops.reduce(x, "i (j k) -> j", "max", j=2), (A,), order=2)


def test_einops_may_be_imported_first_or_last() -> None:
    pytest.importorskip("einops")
    code = "import {}, {}\nt = nbgraph.asarray([[1.0, 2.0], [3.0, 4.0]])\nprint(einops.reduce(t, 'i j -> j', 'sum'))"
    for order in (("einops", "nbgraph"), ("nbgraph", "einops")):
        done = subprocess.run([sys.executable, "-c", code.format(*order)], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[4. 6.]"


def test_autoray_takes_svd_as_of_numpy_whichever_is_imported_first() -> None:
    """The reduced one unless asked for, which quimb's truncations are written for."""
    pytest.importorskip("autoray")
    code = (
        "import {}, {}\nt = nbgraph.asarray([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])\n"
        "for more in ({{}}, {{'full_matrices': True}}): print([x.shape for x in autoray.do('linalg.svd', t, **more)])\n"
        "print(autoray.do('complex', t[0, 0], t[0, 1]))"
    )
    for order in (("autoray", "nbgraph"), ("nbgraph", "autoray")):
        done = subprocess.run([sys.executable, "-c", code.format(*order)], capture_output=True, text=True, check=True)
        assert done.stdout.split("\n")[:2] == ["[(3, 2), (2,), (2, 2)]", "[(3, 3), (2,), (2, 2)]"]
        assert done.stdout.split("\n")[2] == "(1+2j)"


# -- the array API standard -------------------------------------------------------------------------------------------

UNARY = """
    abs acos acosh asin asinh atan atanh ceil conj cos cosh exp expm1 floor imag isfinite isinf isnan log log1p log2
    log10 negative positive real reciprocal round sign signbit sin sinh sqrt square tan tanh trunc
    matrix_transpose isfinite zeros_like ones_like nonzero argmax argmin
    sum prod max min mean std var any all flip tril triu cumulative_sum diff count_nonzero
    unique_values unique_counts unique_inverse unique_all sort argsort
""".split()  # noqa: SIM905
BINARY = """
    add atan2 copysign divide equal floor_divide greater greater_equal hypot less less_equal logaddexp maximum minimum
    multiply nextafter not_equal pow remainder subtract matmul vecdot tensordot searchsorted
""".split()  # noqa: SIM905
OTHER = [
    ("permute_dims", lambda xp, x: xp.permute_dims(x, (1, 0))),
    ("concat", lambda xp, x: xp.concat([x, x], axis=1)),
    ("stack", lambda xp, x: xp.stack([x, x], axis=-1)),
    ("unstack", lambda xp, x: xp.unstack(x, axis=1)),
    ("expand_dims", lambda xp, x: xp.expand_dims(x, axis=0)),
    ("moveaxis", lambda xp, x: xp.moveaxis(x, 0, 1)),
    ("repeat", lambda xp, x: xp.repeat(x, 2, axis=0)),
    ("roll", lambda xp, x: xp.roll(x, 1, axis=0)),
    ("tile", lambda xp, x: xp.tile(x, (2, 1))),
    ("reshape", lambda xp, x: xp.reshape(x, (9,), copy=True)),
    ("broadcast_to", lambda xp, x: xp.broadcast_to(x, (2, 3, 3))),
    ("take", lambda xp, x: xp.take(x, xp.asarray([0, 2]), axis=1)),
    ("take_along_axis", lambda xp, x: xp.take_along_axis(x, xp.argsort(x, axis=1), axis=1)),
    ("astype", lambda xp, x: xp.astype(x, xp.float32)),
    ("clip", lambda xp, x: xp.clip(x, min=-0.5, max=0.5)),
    ("where", lambda xp, x: xp.where(x > 0, x, -x)),
    ("sort", lambda xp, x: xp.sort(x, axis=0, descending=True)),
    ("cumulative_prod", lambda xp, x: xp.cumulative_prod(x, axis=1)),
    ("meshgrid", lambda xp, x: xp.meshgrid(x[0, :], x[1, :], indexing="ij")),
    ("linspace", lambda xp, x: xp.linspace(0.0, 1.0, 5, endpoint=False)),
    ("arange", lambda xp, x: xp.arange(1, 7, 2)),
    ("eye", lambda xp, x: xp.eye(3, 4, k=1)),
    ("full", lambda xp, x: xp.full((2,), 3.0, dtype=xp.float32, device="cpu" if xp is nbg else None)),
    ("std", lambda xp, x: xp.std(x, axis=0, correction=1.0, keepdims=True)),
    ("bitwise", lambda xp, x: xp.bitwise_left_shift(xp.bitwise_xor(xp.asarray([5, 6]), xp.asarray(3)), xp.asarray(1))),
    ("result_type", lambda xp, x: xp.zeros(1, dtype=xp.result_type(x, xp.complex64))),
    *(
        (f"linalg.{name}", lambda xp, x, name=name: getattr(xp.linalg, name)(x @ x.T + xp.eye(3)))
        for name in (
            "cholesky",
            "det",
            "eigvalsh",
            "inv",
            "matrix_norm",
            "matrix_rank",
            "pinv",
            "slogdet",
            "svdvals",
            "trace",
        )
    ),
    ("linalg.matrix_power", lambda xp, x: xp.linalg.matrix_power(x, 3)),
    ("linalg.solve", lambda xp, x: xp.linalg.solve(x, x[:, 0])),
    ("linalg.vector_norm", lambda xp, x: xp.linalg.vector_norm(x, axis=0, ord=1)),
    ("linalg.outer", lambda xp, x: xp.linalg.outer(x[0, :], x[1, :])),
    ("linalg.cross", lambda xp, x: xp.linalg.cross(x, x + 1.0)),
    ("linalg.diagonal", lambda xp, x: xp.linalg.diagonal(x, offset=1)),
    ("fft.fft", lambda xp, x: xp.fft.ifft(xp.fft.fft(xp.astype(x, xp.complex128)), norm="ortho")),
    ("fft.rfft", lambda xp, x: xp.fft.rfft(x, n=4, axis=0)),
    ("fft.freq", lambda xp, x: xp.fft.fftshift(xp.fft.fftfreq(5, d=0.5))),
]


def parts(x: Any) -> list[Any]:
    return [part for y in x for part in parts(y)] if isinstance(x, tuple | list) else [x]


@pytest.mark.filterwarnings("ignore")
def test_array_api_functions_are_those_of_the_standard() -> None:
    xs = pytest.importorskip("array_api_strict")
    x, y = RNG.normal(size=(3, 3)), RNG.normal(size=(3, 3))
    positive = {"acosh": 2.0, "log": 3.0, "log1p": 3.0, "log2": 3.0, "log10": 3.0, "sqrt": 3.0, "pow": 3.0}
    small = ("acos", "asin", "atanh")
    for name in UNARY:
        a = abs(x) + positive[name] if name in positive else np.tanh(x) if name in small else x
        if name in ("imag", "real", "conj"):
            a = a + 1j * y
        if name in ("cumulative_sum", "searchsorted"):
            a = a[0]
        same(name, lambda xp, a, name=name: getattr(xp, name)(a), xs, a)
    for name in BINARY:
        a, b = (abs(x) + 1.0, y) if name == "pow" else (np.sort(x[0]), y[0]) if name == "searchsorted" else (x, y)
        same(name, lambda xp, a, b, name=name: getattr(xp, name)(a, b), xs, a, b)
    for name, f in OTHER:
        same(name, f, xs, x)


def same(name: str, f: Any, xs: Any, *arrays: Any) -> None:
    """What the reference implementation of the standard gives, in values, dtype and shape."""
    given = [leaf(a) for a in arrays]
    got, wanted = f(given[0].__array_namespace__(), *given), f(xs, *map(xs.asarray, arrays))
    pairs = list(zip(parts(got), parts(wanted), strict=True))
    for g, w in pairs:
        w = np.asarray(w)
        assert isinstance(g, nbg.TracedTensor), name
        assert (g.dtype, g.shape) == (w.dtype, w.shape), name
        np.testing.assert_allclose(g.eval(), w, rtol=1e-6 if w.dtype == np.float32 else 1e-10, atol=1e-12, err_msg=name)


def test_array_api_namespace() -> None:
    t = leaf(A)
    xp = t.__array_namespace__(api_version="2024.12")
    info = xp.__array_namespace_info__()
    assert xp is nbg and info.devices() == [t.device] and info.default_device() == "cpu"
    assert info.default_dtypes()["indexing"] == nbg.argmax(t).dtype
    assert info.dtypes(kind="complex floating") == {"complex64": np.complex64, "complex128": np.complex128}
    assert info.capabilities()["boolean indexing"] and set(info.dtypes(kind=("bool", "integral"))) == {
        "bool",
        "int32",
        "int64",
    }
    assert xp.isdtype(t.dtype, "real floating")
    agree(xp.from_dlpack(A), A)
    assert xp.from_dlpack(t) is t
    strict = pytest.importorskip("array_api_strict")
    unsigned = {"int8", "int16", "uint8", "uint16", "uint32", "uint64"}
    names = {n for n in strict.__all__ if not n.startswith("__") and "flags" not in n.lower()} - {"Device"} - unsigned
    assert {n for n in names if not hasattr(nbg, n)} == set()
    assert {n for n in strict.linalg.__all__ if not hasattr(nbg.linalg, n)} == set()
    assert {n for n in strict.fft.__all__ if not hasattr(nbg.fft, n)} == set()


# -- SciPy ------------------------------------------------------------------------------------------------------------


def test_minimize_takes_value_and_grad() -> None:
    def rosenbrock(x: Any) -> Any:
        return nbg.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)

    for method, start in (("BFGS", 0.0), ("L-BFGS-B", 0.0), ("CG", 0.0), ("TNC", 0.7), ("SLSQP", 0.7)):
        found = optimize.minimize(nbg.value_and_grad(rosenbrock), np.full(3, start), jac=True, method=method)
        np.testing.assert_allclose(found.x, 1.0, atol=1e-4, err_msg=method)
    hessian = optimize.minimize(
        rosenbrock, np.zeros(3), jac=nbg.grad(rosenbrock), hess=nbg.hessian(rosenbrock), method="trust-exact"
    )
    np.testing.assert_allclose(hessian.x, 1.0, atol=1e-4)
    root = optimize.root(lambda x: nbg.square(x) - 2.0, [1.0], jac=nbg.jacrev(lambda x: nbg.square(x) - 2.0))
    np.testing.assert_allclose(root.x, np.sqrt(2.0), rtol=1e-7)
    assert abs(optimize.brentq(lambda x: nbg.cos(x) - x, 0.0, 1.0) - 0.7390851332151607) < 1e-9


# -- the language -----------------------------------------------------------------------------------------------------


def test_the_languages_protocols() -> None:
    t = leaf(A)
    agree(functools.reduce(operator.matmul, [t, leaf(B), leaf(C)]), A @ B @ C)
    agree(functools.reduce(nbg.add, t), A.sum(0))
    agree(sum(t), A.sum(0))
    agree(max(t[0], key=float), A[0].max())
    assert len(t) == 3 and [r.shape for r in t] == [(4,)] * 3
    first, *rest = t
    agree(first, A[0])
    assert len(rest) == 2 and (A[1, 2] in t) and (99.0 not in t)
    assert f"{t[0, 0]:.3f}" == f"{A[0, 0]:.3f}" and f"{leaf(2)}" == "2"
    assert round(float(leaf(2.5)), 0) == 2.0 and math.sqrt(leaf(4.0)) == 2.0
    assert [10, 20, 30][leaf(1)] == 20 and list(range(leaf(2))) == [0, 1]
    with pytest.raises(TypeError, match=r"x = x.at\[index\].set\(value\)"):
        t[0] = 1.0
    with pytest.raises(TypeError, match=r"nbg\.delete"):
        del t[0]
    x = t
    x += 1.0
    agree(x, A + 1.0)
    agree(t, A)


def test_positions_of_arguments_are_numpys() -> None:
    """`out` stands among them, and is refused."""
    a = np.random.default_rng(0).random((3, 4))
    x = nbg.TracedTensor.from_tensor(a)
    for name, args in {"max": (0, None, True), "sum": (0, None, None, True), "std": (0, None, None, 1)}.items():
        got = getattr(np, name)(x, *args)
        np.testing.assert_allclose(got.eval(), getattr(np, name)(a, *args), strict=True)
        with pytest.raises(TypeError, match="`out` writes into an array"):
            getattr(np, name)(x, 0, out=np.zeros(4))
    assert x.compress([True, False, True], 0).tolist() == a.compress([True, False, True], 0).tolist()
    assert (x.item(5), x.item(1, 2), x.item((1, 2))) == (a.item(5), a.item(1, 2), a.item((1, 2)))
    assert [t.shape for t in np.atleast_2d(x, x[0])] == [(3, 4), (1, 4)]


def test_lists_of_tensors_are_operands() -> None:
    """As NumPy takes lists of numbers, also nested ones; nothing is evaluated, so that gradients are right."""
    assert nbg.grad(lambda x: nbg.mean([x, x + 2.0]))(0.0).item() == 1.0
    assert nbg.grad(lambda x: nbg.sum(nbg.append([[x, 1.0]], [[x * x, 2.0]], axis=0)))(3.0).item() == 7.0
    with pytest.raises(nbg.ShapeError, match="shapes differ"):
        nbg.sum([nbg.asarray([1.0]), nbg.asarray([1.0, 2.0])])


def test_identity_and_equality() -> None:
    t, u = leaf([1.0, 2.0]), leaf([1.0, 2.0])
    assert hash(t) != hash(u) and {t: 1}[t] == 1 and t in [t]
    assert isinstance(t == u, nbg.TracedTensor) and (t == u).all()
    assert (t == None) is False and (t != None) is True  # noqa: E711
    assert copy.copy(t) is t and copy.deepcopy([t])[0] is t
    y = (t * 2.0).sum()
    x, z = pickle.loads(pickle.dumps((t, y)))
    agree(z.grad(x), [2.0, 2.0])


def test_dlpack() -> None:
    t = leaf(A)
    made = np.from_dlpack(t)
    np.testing.assert_array_equal(made, A)
    made[0, 0] = 99.0  # of its own
    agree(t, A)
    assert t.__dlpack_device__() == (1, 0)

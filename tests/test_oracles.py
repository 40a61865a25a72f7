"""Derivatives against recorded ones of another library (tests/data/README.md says whose): JVP, VJP and Hessian-vector.

Operations that have no function here are written with those that have, so that chains of rules are tested too.
"""

from __future__ import annotations

import functools
import gzip
import itertools
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nbgraph as nbg

Array = np.ndarray[Any, Any]
Case = dict[str, Any]
VENDORED = Path(__file__).parent / "data" / "oracles.jsonl.gz"
SHARED = Path(__file__).parents[2] / "shared" / "data" / "oracles"


class NotHere(Exception):
    """A case of an operation that has no function here yet."""


# -- the operations ---------------------------------------------------------------------------------------------------
# A function of the inputs, of `op_args`, and of `op_kwargs` by name.

OPS: dict[str, Callable[..., Any]] = {}


def operation(*names: str) -> Callable[[Any], Any]:
    def enter(f: Any) -> Any:
        OPS.update(dict.fromkeys(names, f))
        return f

    return enter


def axes(dim: Any) -> Any:
    """Dimensions as an axis; an empty list is all of them."""
    return (tuple(dim) or None) if isinstance(dim, list) else dim


for _name, _function in {
    "abs": nbg.abs, "neg": nbg.negative, "positive": nbg.positive, "conj": nbg.conj, "conj_physical": nbg.conj,
    "real": nbg.real, "imag": nbg.imag, "square": nbg.square, "sqrt": nbg.sqrt, "exp": nbg.exp, "expm1": nbg.expm1,
    "log": nbg.log, "log1p": nbg.log1p, "sin": nbg.sin, "cos": nbg.cos, "tan": nbg.tan, "tanh": nbg.tanh,
    "atan": nbg.arctan, "erf": nbg.erf, "sign": nbg.sign, "sgn": nbg.sign, "mul": nbg.multiply, "pow": nbg.power,
    "float_power": nbg.power, "true_divide": nbg.divide, "div_no_rounding_mode": nbg.divide,
    "maximum": nbg.maximum, "max_binary": nbg.maximum, "clamp_min": nbg.maximum,
    "minimum": nbg.minimum, "min_binary": nbg.minimum, "clamp_max": nbg.minimum,
    "log2": lambda x: nbg.log(x) / math.log(2), "log10": lambda x: nbg.log(x) / math.log(10),
    "exp2": lambda x: 2.0**x, "sinh": lambda x: (nbg.exp(x) - nbg.exp(-x)) / 2,
    "cosh": lambda x: (nbg.exp(x) + nbg.exp(-x)) / 2, "reciprocal": lambda x: 1 / x, "rsqrt": lambda x: x**-0.5,
    "sigmoid": lambda x: 1 / (1 + nbg.exp(-x)), "erfc": lambda x: 1 - nbg.erf(x),
    "deg2rad": lambda x: x * (math.pi / 180), "rad2deg": lambda x: x * (180 / math.pi),
    "special_ndtr": lambda x: 0.5 * (1 + nbg.erf(x / math.sqrt(2))), "special_entr": lambda x: -x * nbg.log(x),
    "double": lambda x, **_: nbg.real(x).astype("float64"), "cdouble": lambda x, **_: x.astype("complex128"),
    "fill": lambda x, value: nbg.full_like(x, value), "add": lambda x, y, alpha=1: x + alpha * y,
    "sub": lambda x, y, alpha=1: x - alpha * y, "rsub": lambda x, y, alpha=1: y - alpha * x,
    "__radd__": lambda x, y: y + x, "__rsub__": lambda x, y: y - x, "__rmul__": lambda x, y: y * x,
    "__rdiv__": lambda x, y: y / x, "__rpow__": lambda x, y: y**x,
    "hypot": lambda x, y: nbg.sqrt(x * x + y * y), "complex": lambda x, y: x + 1j * y,
    "polar": lambda x, y: x * nbg.exp(1j * y), "logaddexp": lambda x, y: nbg.log(nbg.exp(x) + nbg.exp(y)),
    "xlogy": lambda x, y: x * nbg.log(y), "special_xlog1py": lambda x, y: x * nbg.log1p(y),
    "multi_dot": lambda *xs: nbg.linalg.multi_dot(xs), "inv": nbg.linalg.inv, "det": nbg.linalg.det,
    "inv_ex": lambda a: nbg.linalg.inv_ex(a).result, "slogdet": lambda a: tuple(nbg.linalg.slogdet(a)),
    "lu": lambda a, pivot: tuple(nbg.linalg.lu(a)[1:]), "matrix_exp": nbg.linalg.expm,
    "lu_factor": lambda a, pivot: nbg.linalg.lu_factor(a).lu, "matrix_power": nbg.linalg.matrix_power,
    "lu_factor_ex": lambda a, pivot: nbg.linalg.lu_factor_ex(a).lu, "eigvals": nbg.linalg.eigvals,
    "tensorinv": nbg.linalg.tensorinv, "tensorsolve": lambda a, b, dims: nbg.linalg.tensorsolve(a, b, dims),
    "cross": lambda a, b, dim=-1: nbg.cross(a, b, axis=dim),
    "householder_product": nbg.linalg.householder_product, "vecdot": lambda x, y, dim=-1: nbg.vecdot(x, y, axis=dim),
    "nn_functional_relu": lambda x: nbg.maximum(x, 0), "nn_functional_relu6": lambda x: nbg.clip(x, 0, 6),
    "nn_functional_silu": lambda x: x / (1 + nbg.exp(-x)), "nn_functional_logsigmoid": lambda x: -_softplus(-x),
    "nn_functional_mish": lambda x: x * nbg.tanh(_softplus(x)), "nn_functional_softsign": lambda x: x / (1 + abs(x)),
    "nn_functional_tanhshrink": lambda x: x - nbg.tanh(x),
    "nn_functional_elu": lambda x: nbg.where(x > 0, x, nbg.expm1(x)),
    "nn_functional_celu": lambda x: nbg.where(x > 0, x, nbg.expm1(x)),
}.items():  # fmt: skip
    operation(_name)(_function)


def _softplus(x: Any) -> Any:
    return nbg.log1p(nbg.exp(-abs(x))) + nbg.maximum(x, 0)


for _name, _function in {"sum": nbg.sum, "mean": nbg.mean, "amax": nbg.max, "amin": nbg.min}.items():

    @operation(_name)
    def _reduce(x, f=_function, dim=None, keepdim=False):
        return f(x, axis=axes(dim), keepdims=keepdim) if x.ndim or dim is None else f(x)


@operation("prod")
def _prod(x, dim=None, keepdim=False, dtype=None):
    return nbg.prod(x, axis=dim if x.ndim else None, keepdims=keepdim, dtype=dtype)


@operation("diagonal")
def _diagonal(x, offset=0, dim1=0, dim2=1):
    return nbg.diagonal(x, offset, dim1, dim2)


@operation("norm", "matrix_norm")
def _norm(x, ord=None, dim=None, keepdim=False):
    """Names of infinity come as strings; spectral norms wait for the singular values."""
    if isinstance(ord, list):
        ord, dim = None, ord
    order = float(ord) if isinstance(ord, str) and "inf" in ord else ord
    matrix = x.ndim == 2 if dim is None else isinstance(dim, list) and len(dim) == 2
    if order == "nuc" or (matrix and order in (2, -2)):
        raise NotHere
    return nbg.linalg.norm(x, order, axis=axes(dim), keepdims=keepdim)


@operation("vector_norm")
def _vector_norm(x, ord=2, dim=None, keepdim=False):
    """Over any dimensions, as if they were one."""
    given = range(x.ndim) if dim is None or not x.ndim else dim if isinstance(dim, list) else [dim]
    over = [d % x.ndim for d in given]
    kept = [d for d in range(x.ndim) if d not in over]
    sizes = [x.shape[d] for d in kept]
    flat = nbg.reshape(nbg.transpose(x, (*kept, *over)), (*sizes, math.prod(x.shape[d] for d in over)))
    made = nbg.linalg.norm(flat, float(ord), axis=-1)
    return nbg.expand_dims(made, tuple(over)) if keepdim and over else made


@operation("solve")
def _solve(a, b, solve=nbg.linalg.solve):
    if b.shape == a.shape[:-1]:
        return nbg.squeeze(solve(a, b[..., None]), -1)
    return solve(a, b)


@operation("solve_ex")
def _solve_ex(a, b):
    return _solve(a, b, lambda a, b: nbg.linalg.solve_ex(a, b).result)


@operation("lu_solve")
def _lu_solve(lu, b, pivots, adjoint, left):
    """x a = b is a^H x^H = b^H."""
    x = nbg.linalg.lu_solve((lu, pivots), b if left else nbg.conj(b.mT), trans=2 if adjoint == left else 0)
    return x if left else nbg.conj(x.mT)


def pivots_of(case: Case) -> Any:
    """The pivots of an `lu_solve`, which are not recorded: for each member those that give the recorded tangent."""
    xs, (probe,) = arrays(case["inputs"]), case["probes"]
    want, directions = arrays(probe["pytorch_ref"]["jvp"])[0], arrays(probe["direction"])
    *batch, n, _ = xs[0].shape
    found, least = np.zeros((*batch, n), np.int32), np.full(batch, np.inf)
    for pivots in itertools.product(*(range(i, n) for i in range(n))):
        given = np.broadcast_to(np.array(pivots, np.int32), found.shape)
        f = functools.partial(_lu_solve, pivots=given, **case["op_kwargs"])
        error = np.linalg.norm(nbg.jvp(f, tuple(xs), tuple(directions))[1].eval(ENGINE) - want, axis=(-2, -1))
        found, least = np.where((error < least)[..., None], given, found), np.minimum(error, least)
    return found


@operation("vander")
def _vander(x, N=None):
    return nbg.vander(x, N, True) if x.ndim else nbg.vander(x[None], N, True)


@operation("eig")
def _eig(a):
    values, vectors = nbg.linalg.eig(a)
    return values, abs(vectors)


@operation("eigh")
def _eigh(a, UPLO="L"):
    values, vectors = nbg.linalg.eigh(a + nbg.conj(a.mT), UPLO)
    return values, abs(vectors)


@operation("eigvalsh")
def _eigvalsh(a, UPLO="L"):
    return nbg.linalg.eigvalsh(a + nbg.conj(a.mT), UPLO)


# -- the cases --------------------------------------------------------------------------------------------------------


def array(t: Case) -> Array:
    data = np.array(t["data"], dtype="f8")
    if t["dtype"] == "complex128":
        data = data.reshape(-1, 2) @ np.array([1, 1j])
    return data.reshape(t["shape"])


def arrays(given: Case) -> list[Array]:
    return [array(t) for t in given.values()]


def read(path: Path) -> Iterator[Case]:
    with gzip.open(path, "rt") as lines:
        yield from map(json.loads, lines)


def evaluated(values: Any) -> list[Array]:
    return [np.asarray(v) for v in nbg.eval(*values, engine=ENGINE)] if values else []


ENGINE = nbg.Engine(jit="never")


def check(case: Case) -> None:
    """JVP, VJP, and HVP if there is one, of a case."""
    op, args, kwargs = OPS[case["op"]], case.get("op_args") or [], case.get("op_kwargs") or {}
    xs = arrays(case["inputs"])
    if case["op"] == "lu_solve":
        kwargs = kwargs | {"pivots": pivots_of(case)}

    def f(*inputs: Any) -> tuple[Any, ...]:
        out = op(*inputs, *args, **kwargs)
        return out if isinstance(out, tuple) else (out,)

    for probe in case["probes"]:
        want = probe["pytorch_ref"]
        directions, cts = arrays(probe["direction"]), arrays(probe["cotangent"])
        compare(case, "jvp", nbg.jvp(f, tuple(xs), tuple(directions))[1], want["jvp"])
        compare(case, "vjp", nbg.vjp(f, *xs)[1](tuple(cts)), want["vjp"])

        def observed(*inputs: Any, cts: Any = cts) -> Any:
            return sum(nbg.sum(nbg.real(np.conj(ct) * out)) for ct, out in zip(cts, f(*inputs), strict=True))

        if "hvp" in want:
            gradient = nbg.grad(observed, argnums=tuple(range(len(xs))))
            compare(case, "hvp", nbg.jvp(gradient, tuple(xs), tuple(directions))[1], want["hvp"])


def compare(case: Case, kind: str, got: Any, want: Case) -> None:
    rtol = 1e-6 if case["op"] in ("eigh", "eigvalsh", "eig", "eigvals") else 1e-7
    for g, w in zip(evaluated(got), arrays(want), strict=True):
        assert g.shape == w.shape, kind
        scale = float(np.max(np.abs(w), initial=0.0))
        np.testing.assert_allclose(g, w, rtol=rtol, atol=max(1e-9, rtol * 1e-3 * scale), err_msg=kind)


def run(cases: Iterator[Case]) -> int:
    """How many cases ran; failures are told together."""
    ran, failures = 0, []
    for case in cases:
        if case["op"] not in OPS or case["expected_behavior"] != "success":
            continue
        try:
            check(case)
        except NotHere:
            continue
        except Exception as error:
            shapes = [t["shape"] for t in case["inputs"].values()]
            told = f"{case['op']} {case['dtype']} {shapes} {case.get('op_args')} {case.get('op_kwargs')}"
            failures.append(f"{told}: {type(error).__name__} {str(error)[:600]}")
        ran += 1
    assert not failures, f"{len(failures)} of {ran} cases:\n" + "\n".join(failures[:20])
    return ran


def test_the_vendored_cases():
    assert run(read(VENDORED)) >= 300


def test_all_cases():
    paths = [p for name in sorted(OPS) for p in sorted(SHARED.glob(f"{name}.*.jsonl.gz"))]
    if not paths:
        pytest.skip("the full set of oracles (../shared/data/oracles) is not here")
    assert run(case for p in paths for case in read(p)) >= 1600

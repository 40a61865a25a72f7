"""The cases of the database of derivatives (tests/data/README.md), and each of its operations as written with nbgraph.

In: a case. Out: nothing, or `AssertionError` where a JVP, VJP or Hessian-vector product differs from the recorded one.
Holds: a family is what one file has, an operation with what is observed of it. Operations that have no function here
are written with those that have, so that chains of rules are tested too; `OPS` has all of them.
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

import nbgraph as nbg
from nbgraph import nn, special

Array = np.ndarray[Any, Any]
Case = dict[str, Any]
SHARED = Path(__file__).parents[2] / "shared" / "data" / "oracles"
NEVER = nbg.Engine(jit="never")

#: Decompositions of spectra, whose references are good to fewer digits.
SPECTRAL = {"eigh", "eigvalsh", "eig", "eigvals", "svd", "svdvals", "cond", "pinv", "pinv_hermitian", "pinv_singular"}
SPECTRAL |= {"lstsq_grad_oriented"}

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
    "log2": nbg.log2, "log10": nbg.log10, "exp2": nbg.exp2, "sinh": nbg.sinh, "cosh": nbg.cosh,
    "asin": nbg.arcsin, "acos": nbg.arccos, "asinh": nbg.arcsinh, "acosh": nbg.arccosh, "atanh": nbg.arctanh,
    "atan2": nbg.arctan2, "sinc": nbg.sinc, "reciprocal": nbg.reciprocal, "rsqrt": nbg.rsqrt,
    "deg2rad": nbg.deg2rad, "rad2deg": nbg.rad2deg, "angle": nbg.angle, "copysign": nbg.copysign,
    "fmax": nbg.fmax, "fmin": nbg.fmin, "floor": nbg.floor, "ceil": nbg.ceil, "trunc": nbg.trunc,
    "frac": lambda x: x - nbg.trunc(x), "__rmod__": lambda x, y: y % x, "frexp": lambda x: nbg.frexp(x)[0],
    "ldexp": lambda x, y: x * 2.0**y, "nan_to_num": nbg.nan_to_num, "i0": nbg.i0, "sigmoid": special.expit,
    "digamma": special.digamma, "lgamma": special.gammaln, "erfc": special.erfc, "erfinv": special.erfinv,
    "special_entr": special.entr, "special_erfcx": special.erfcx, "special_i0e": special.i0e, "special_i1": special.i1,
    "special_i1e": special.i1e, "special_log_ndtr": special.log_ndtr, "special_ndtr": special.ndtr,
    "special_ndtri": special.ndtri,
    "double": lambda x, **_: nbg.real(x).astype("float64"), "cdouble": lambda x, **_: x.astype("complex128"),
    "fill": lambda x, value: nbg.full_like(x, value), "add": lambda x, y, alpha=1: x + alpha * y,
    "sub": lambda x, y, alpha=1: x - alpha * y, "rsub": lambda x, y, alpha=1: y - alpha * x,
    "__radd__": lambda x, y: y + x, "__rsub__": lambda x, y: y - x, "__rmul__": lambda x, y: y * x,
    "__rdiv__": lambda x, y: y / x, "__rpow__": lambda x, y: y**x,
    "hypot": nbg.hypot, "complex": lambda x, y: x + 1j * y,
    "polar": lambda x, y: x * nbg.exp(1j * y), "logaddexp": lambda x, y: _logaddexp(x, y),
    "xlogy": special.xlogy, "special_xlog1py": special.xlog1py,
    "nn_functional_relu": nn.relu, "nn_functional_relu6": nn.relu6, "nn_functional_silu": nn.silu,
    "nn_functional_logsigmoid": nn.log_sigmoid, "nn_functional_mish": nn.mish, "nn_functional_softsign": nn.soft_sign,
    "nn_functional_tanhshrink": lambda x: x - nbg.tanh(x), "nn_functional_elu": nn.elu, "nn_functional_celu": nn.celu,
    "nn_functional_selu": nn.selu, "nn_functional_hardsigmoid": nn.hard_sigmoid,
    "nn_functional_hardtanh": lambda x, min_val=-1.0, max_val=1.0: nn.hard_tanh(x, min_val, max_val),
    "nn_functional_softplus": lambda x, beta, threshold: _softplus(x, beta, threshold),
    "nn_functional_hardshrink": lambda x, lambd=0.5: nbg.where(abs(x) > lambd, x, 0),
    "nn_functional_softshrink": lambda x, lambd=0.5: nbg.where(abs(x) > lambd, x - lambd * nbg.sign(x), 0),
    "nn_functional_threshold": lambda x, threshold, value: nbg.where(x > threshold, x, value),
    "nn_functional_prelu": lambda x, w: _prelu(x, w),
    "multi_dot": lambda *xs: nbg.linalg.multi_dot(xs), "inv": nbg.linalg.inv, "det": nbg.linalg.det,
    "inv_ex": lambda a: nbg.linalg.inv_ex(a).result, "slogdet": lambda a: tuple(nbg.linalg.slogdet(a)),
    "lu": lambda a, pivot: tuple(nbg.linalg.lu(a)[1:]), "matrix_exp": nbg.linalg.expm,
    "lu_factor": lambda a, pivot: nbg.linalg.lu_factor(a).lu, "matrix_power": nbg.linalg.matrix_power,
    "lu_factor_ex": lambda a, pivot: nbg.linalg.lu_factor_ex(a).lu, "eigvals": nbg.linalg.eigvals,
    "tensorinv": nbg.linalg.tensorinv, "tensorsolve": lambda a, b, dims: nbg.linalg.tensorsolve(a, b, dims),
    "cross": lambda a, b, dim=-1: nbg.cross(a, b, axis=dim),
    "householder_product": nbg.linalg.householder_product, "vecdot": lambda x, y, dim=-1: nbg.vecdot(x, y, axis=dim),
}.items():  # fmt: skip
    operation(_name)(_function)


def _logaddexp(x: Any, y: Any) -> Any:
    if x.dtype.kind == "c":
        return special.logsumexp(nbg.stack(nbg.broadcast_arrays(x, y)), axis=0)
    return nbg.logaddexp(x, y)


def _softplus(x: Any, beta: float, threshold: float) -> Any:
    """Linear above a threshold."""
    return nbg.where(beta * x > threshold, x, nn.softplus(beta * x) / beta)


def _prelu(x: Any, w: Any) -> Any:
    """A slope for each channel, of the second dimension."""
    if w.ndim and x.ndim != 2:
        w = nbg.reshape(w, (-1, *[1] * (x.ndim - 2)) if x.ndim else ())
    return nbg.where(x > 0, x, x * w)


for _name, _function in {"sum": nbg.sum, "mean": nbg.mean, "amax": nbg.max, "amin": nbg.min}.items():

    @operation(_name)
    def _reduce(x, f=_function, dim=None, keepdim=False):
        return f(x, axis=axes(dim), keepdims=keepdim) if x.ndim or dim is None else f(x)


for _name, _function in {"nansum": nbg.nansum, "nanmean": nbg.nanmean}.items():

    @operation(_name)
    def _without_nan(x, f=_function, dim=None, keepdim=False):
        return f(x, axis=axes(dim), keepdims=keepdim) if x.ndim else f(x)


for _name, _function in {"var": nbg.var, "std": nbg.std}.items():

    @operation(_name, f"{_name}_unbiased")
    def _spread(x, given=None, f=_function, dim=None, keepdim=False, unbiased=None, correction=None):
        """PyTorch's default is n - 1; a boolean may come by position, dimensions too."""
        if isinstance(given, bool):
            unbiased = given
        elif given is not None:
            dim = given
        ddof = (1 if unbiased is None else int(unbiased)) if correction is None else correction
        return f(x, axis=axes(dim), ddof=ddof, keepdims=keepdim)


@operation(*(f"polygamma_polygamma_n_{n}" for n in range(5)), "special_polygamma_special_polygamma_n_0")
def _polygamma(x, n):
    return special.polygamma(n, x)


@operation(*(f"mvlgamma_mvlgamma_p_{p}" for p in (1, 3, 5)))
def _mvlgamma(x, p):
    return special.multigammaln(x, p)


@operation("logit")
def _logit(x, eps=None):
    return special.logit(x if eps is None else nbg.clip(x, eps, 1 - eps))


@operation("round", "round_decimals_0", "round_decimals_3", "round_decimals_neg_3")
def _round(x, decimals=0):
    return nbg.round(x, decimals)


@operation("prod")
def _prod(x, dim=None, keepdim=False, dtype=None):
    return nbg.prod(x, axis=dim if x.ndim else None, keepdims=keepdim, dtype=dtype)


@operation("diagonal")
def _diagonal(x, offset=0, dim1=0, dim2=1):
    return nbg.diagonal(x, offset, dim1, dim2)


@operation("norm", "matrix_norm")
def _norm(x, ord=None, dim=None, keepdim=False):
    """Names of infinity come as strings."""
    if isinstance(ord, list):
        ord, dim = None, ord
    order = float(ord) if isinstance(ord, str) and "inf" in ord else ord
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


def _rrelu(x, slopes):
    """Random slopes where x < 0, recorded or, without training, the mean of their bounds."""
    return nbg.where(x < 0, slopes * x, x)


operation("nn_functional_rrelu")(_rrelu)


def slopes_of(case: Case) -> Any:
    """The random slopes of an `rrelu`: those that give the recorded tangent."""
    kwargs, (probe,) = case.get("op_kwargs") or {}, case["probes"]
    if not kwargs.get("training", False):
        return (kwargs.get("lower", 1 / 8) + kwargs.get("upper", 1 / 3)) / 2
    (tangent,), (direction,) = arrays(probe["pytorch_ref"]["jvp"]), arrays(probe["direction"])
    return tangent / direction


def pivots_of(case: Case) -> Any:
    """The pivots of an `lu_solve`, which are not recorded: for each member those that give the recorded tangent."""
    xs, (probe,) = arrays(case["inputs"]), case["probes"]
    want, directions = arrays(probe["pytorch_ref"]["jvp"])[0], arrays(probe["direction"])
    *batch, n, _ = xs[0].shape
    found, least = np.zeros((*batch, n), np.int32), np.full(batch, np.inf)
    for pivots in itertools.product(*(range(i, n) for i in range(n))):
        given = np.broadcast_to(np.array(pivots, np.int32), found.shape)
        f = functools.partial(_lu_solve, pivots=given, **case["op_kwargs"])
        error = np.linalg.norm(nbg.jvp(f, tuple(xs), tuple(directions))[1].eval(NEVER) - want, axis=(-2, -1))
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


@operation("svd")
def _svd(a, full_matrices=True, observed="svd_s"):
    u, s, vh = nbg.linalg.svd(a, full_matrices=full_matrices)
    k = s.shape[-1]
    u, vh = u[..., :k], vh[..., :k, :]
    seen = {"svd_s": s, "svd_u_abs": abs(u), "svd_vh_abs": (s, abs(vh)), "svd_uvh_product": (s, u @ vh)}
    return seen[observed]


operation("svdvals")(nbg.linalg.svdvals)
operation("cond")(nbg.linalg.cond)


@operation("qr")
def _qr(a):
    return tuple(nbg.linalg.qr(a))


@operation("cholesky", "cholesky_ex")
def _cholesky(a, upper=False):
    return nbg.linalg.cholesky(a + nbg.conj(a.mT), upper=upper)


@operation("pinv", "pinv_hermitian")
def _pinv(a, rtol=None, hermitian=False):
    return nbg.linalg.pinv(a + nbg.conj(a.mT) if hermitian else a, rtol=rtol, hermitian=hermitian)


@operation("pinv_singular")
def _pinv_singular(a, b):
    return nbg.linalg.pinv(a @ b.mT, rtol=None)


@operation("solve_triangular")
def _solve_triangular(a, b, upper, left, unitriangular):
    if left:
        return nbg.linalg.solve_triangular(a, b, lower=not upper, unit_diagonal=unitriangular)
    return nbg.linalg.solve_triangular(a, b.mT, trans=1, lower=not upper, unit_diagonal=unitriangular).mT


@operation("lstsq_grad_oriented")
def _lstsq(a, b, driver=None):
    x, residuals, *_ = nbg.linalg.lstsq(a, b)
    return x, nbg.zeros(0) if driver == "gelsy" else residuals


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


def families() -> list[str]:
    """Names of the files of the full set, none if it is not here."""
    return sorted(p.name.removesuffix(".jsonl.gz") for p in SHARED.glob("*.jsonl.gz"))


def cases_of(family: str) -> list[Case]:
    return list(read(SHARED / f"{family}.jsonl.gz"))


def function_of(case: Case) -> Callable[..., tuple[Any, ...]]:
    """The operation with its arguments, as a function of the inputs with a tuple of results."""
    op, args, kwargs = OPS[case["op"]], case.get("op_args") or [], case.get("op_kwargs") or {}
    if case["op"] == "svd":
        kwargs = kwargs | {"observed": case["observable"]["kind"]}
    if case["op"] == "lu_solve":
        kwargs = kwargs | {"pivots": pivots_of(case)}
    if case["op"] == "nn_functional_rrelu":
        kwargs = {"slopes": slopes_of(case)}

    def f(*inputs: Any) -> tuple[Any, ...]:
        out = op(*inputs, *args, **kwargs)
        return out if isinstance(out, tuple) else (out,)

    return f


def check(case: Case, engine: nbg.Engine = NEVER) -> None:
    """JVP, VJP, and HVP if there is one, of a case."""
    f, xs = function_of(case), arrays(case["inputs"])
    for probe in case["probes"]:
        want = probe["pytorch_ref"]
        directions, cts = arrays(probe["direction"]), arrays(probe["cotangent"])
        found = {"jvp": nbg.jvp(f, tuple(xs), tuple(directions))[1], "vjp": nbg.vjp(f, *xs)[1](tuple(cts))}

        def observed(*inputs: Any, cts: Any = cts) -> Any:
            return sum(nbg.sum(nbg.real(np.conj(ct) * out)) for ct, out in zip(cts, f(*inputs), strict=True))

        if "hvp" in want:
            gradient = nbg.grad(observed, argnums=tuple(range(len(xs))))
            found["hvp"] = nbg.jvp(gradient, tuple(xs), tuple(directions))[1]
        compare(case["op"], found, want, engine)


def compare(op: str, found: Case, want: Case, engine: nbg.Engine) -> None:
    rtol = 1e-6 if op in SPECTRAL else 1e-7
    got = [np.asarray(v) for v in nbg.eval(*(v for vs in found.values() for v in vs), engine=engine)]
    wanted = [(kind, w) for kind in found for w in arrays(want[kind])]
    for g, (kind, w) in zip(got, wanted, strict=True):
        assert g.shape == w.shape, kind
        scale = float(np.max(np.abs(w), initial=0.0))
        np.testing.assert_allclose(g, w, rtol=rtol, atol=max(1e-9, rtol * 1e-3 * scale), err_msg=kind)


def failures(cases: list[Case], engine: nbg.Engine = NEVER) -> list[str]:
    """What went wrong, a line a case."""
    told = []
    for case in cases:
        try:
            check(case, engine)
        except Exception as error:
            shapes = [t["shape"] for t in case["inputs"].values()]
            what = f"{case['op']} {case['dtype']} {shapes} {case.get('op_args')} {case.get('op_kwargs')}"
            told.append(f"{what}: {type(error).__name__} {str(error)[:600]}")
    return told

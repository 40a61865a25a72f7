"""`nbg.scipy.linalg`: linear algebra with SciPy's signatures and defaults, which differ from NumPy's.

In: anything array-like; matrices are the last two axes. Out: what SciPy's function gives, of `TracedTensor`s.
Holds: names without a signature of their own here are those of `nbg.linalg`. `overwrite_...`, `lwork` and drivers are
taken and change nothing: tensors are immutable, and there is one driver for each task. `check_finite` too: what is not
finite is seen at the eval, where it raises `LinAlgError` or gives NaN. What is not there raises a named error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbgraph import api, linalg
from nbgraph.errors import ShapeError, named
from nbgraph.linalg import (
    PLU,
    EighResult,
    EigResult,
    LinAlgError,
    LstsqResult,
    LuFactors,
    LuFactorsInfo,
    PolarResult,
    QRResult,
    ResultInfo,
    SchurResult,
    SlogdetResult,
    SVDResult,
    block_diag,
    cholesky_ex,
    circulant,
    companion,
    cond,
    convolution_matrix,
    coshm,
    cosm,
    cross,
    dft,
    diagonal,
    expm,
    fractional_matrix_power,
    hadamard,
    hankel,
    hilbert,
    householder_product,
    inv_ex,
    ishermitian,
    issymmetric,
    khatri_rao,
    logm,
    lu_factor_ex,
    matmul,
    matmul_toeplitz,
    matrix_norm,
    matrix_power,
    matrix_rank,
    matrix_transpose,
    multi_dot,
    outer,
    polar,
    sinhm,
    sinm,
    slogdet,
    solve_continuous_lyapunov,
    solve_discrete_lyapunov,
    solve_ex,
    solve_sylvester,
    solve_toeplitz,
    sqrtm,
    svd_truncated,
    tanhm,
    tanm,
    tensordot,
    tensorinv,
    tensorsolve,
    toeplitz,
    trace,
    vecdot,
    vector_norm,
)
from nbgraph.linalg.least_squares import rounding_unit
from nbgraph.linalg.stacks import lower as lower_part
from nbgraph.linalg.stacks import matrix, square, upper
from nbgraph.promote import common

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor

__all__ = [
    "PLU",
    "EigResult",
    "EighResult",
    "LinAlgError",
    "LstsqResult",
    "LuFactors",
    "LuFactorsInfo",
    "PolarResult",
    "QRResult",
    "ResultInfo",
    "SVDResult",
    "SchurResult",
    "SlogdetResult",
    "block_diag",
    "cho_factor",
    "cho_solve",
    "cholesky",
    "cholesky_ex",
    "circulant",
    "companion",
    "cond",
    "convolution_matrix",
    "coshm",
    "cosm",
    "cross",
    "det",
    "dft",
    "diagonal",
    "eig",
    "eigh",
    "eigh_tridiagonal",
    "eigvals",
    "eigvalsh",
    "eigvalsh_tridiagonal",
    "expm",
    "fractional_matrix_power",
    "hadamard",
    "hankel",
    "hilbert",
    "householder_product",
    "inv",
    "inv_ex",
    "ishermitian",
    "issymmetric",
    "khatri_rao",
    "logm",
    "lstsq",
    "lu",
    "lu_factor",
    "lu_factor_ex",
    "lu_solve",
    "matmul",
    "matmul_toeplitz",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "multi_dot",
    "norm",
    "null_space",
    "orth",
    "outer",
    "pinv",
    "pinvh",
    "polar",
    "qr",
    "schur",
    "sinhm",
    "sinm",
    "slogdet",
    "solve",
    "solve_continuous_lyapunov",
    "solve_discrete_lyapunov",
    "solve_ex",
    "solve_sylvester",
    "solve_toeplitz",
    "solve_triangular",
    "sqrtm",
    "svd",
    "svd_truncated",
    "svdvals",
    "tanhm",
    "tanm",
    "tensordot",
    "tensorinv",
    "tensorsolve",
    "toeplitz",
    "trace",
    "vecdot",
    "vector_norm",
]


def _refuse(operation: str, name: str, got: Any, wanted: str) -> None:
    """A keyword whose value means what is not there."""
    raise ShapeError("not supported", operation=operation, position=name, got=repr(got), wanted=wanted)


def _adjoint(a: Any) -> TracedTensor:
    return api.conj(api.matrix_transpose(a))


# -- systems ----------------------------------------------------------------------------------------------------------

_STRUCTURES = {
    None: "general", "gen": "general", "sym": "symmetric", "her": "hermitian", "pos": "positive definite",
    "banded": "general",
}  # fmt: skip
_KNOWN = (
    "general", "diagonal", "tridiagonal", "upper triangular", "lower triangular", "symmetric", "hermitian",
    "positive definite",
)  # fmt: skip


def _assumed(operation: str, a: Any, assume_a: Any, lower: bool) -> tuple[str, TracedTensor]:
    """The structure, and the matrix with what is not read replaced by what the structure says."""
    structure: Any = assume_a
    if assume_a is None or isinstance(assume_a, str):
        structure = _STRUCTURES.get(assume_a, assume_a)
    if structure not in _KNOWN:
        _refuse(operation, "assume_a", assume_a, f"one of {', '.join(_KNOWN)}")
    x = square(operation, a)
    if structure in ("symmetric", "hermitian", "positive definite"):
        half = lower_part(x) if lower else lower_part(api.matrix_transpose(x))
        other = half if structure == "symmetric" else api.conj(half)
        diagonal = x * api.eye(x.shape[-1], dtype=x.dtype)
        x = half + api.matrix_transpose(other) + diagonal if lower else api.matrix_transpose(half) + other + diagonal
    elif structure == "tridiagonal":
        x = api.triu(api.tril(x, 1), -1)
    return structure, x


@named
def solve(
    a: Any,
    b: Any,
    lower: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
    assume_a: Any = None,
    transposed: bool = False,
) -> TracedTensor:
    """x with a @ x = b, or a.T @ x = b if `transposed`. `assume_a` names a structure; then only what that needs is
    read, of symmetric matrices the `lower` or the upper triangle.

    >>> solve([[4.0, 99.0], [0.0, 4.0]], [2.0, 4.0], lower=True, assume_a="pos").tolist()
    [0.5, 1.0]
    """
    structure, x = _assumed("solve", a, assume_a, lower)
    if structure in ("upper triangular", "lower triangular"):
        trans = "T" if transposed else "N"
        return linalg.solve_triangular(x, b, trans=trans, lower=structure == "lower triangular")
    if structure == "diagonal":
        entries, right = common(api.diagonal(x, 0, -2, -1), b)
        return api.divide(right, entries if right.ndim == 1 else api.expand_dims(entries, -1))
    x = api.matrix_transpose(x) if transposed else x
    if structure == "positive definite":
        return linalg.cho_solve(linalg.cho_factor(x, lower=True), b)
    return linalg.solve(x, b)


@named
def inv(
    a: Any, overwrite_a: bool = False, check_finite: bool = True, *, assume_a: Any = None, lower: bool = False
) -> TracedTensor:
    """The inverse; `assume_a` and `lower` as for `solve`.

    >>> inv([[2.0]]).tolist()
    [[0.5]]
    """
    structure, x = _assumed("inv", a, assume_a, lower)
    if structure == "upper triangular":
        x = upper(x)
    elif structure == "lower triangular":
        x = lower_part(x, diagonal=True)
    elif structure == "diagonal":
        x = x * api.eye(x.shape[-1], dtype=x.dtype)
    return linalg.inv(x)


@named
def det(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> TracedTensor:
    """The determinant.

    >>> det([[2.0]]).item()
    2.0
    """
    return linalg.det(a)


@named
def lstsq(
    a: Any,
    b: Any,
    cond: Any = None,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
    lapack_driver: Any = None,
) -> Any:
    """(x, residuals, rank, s) of least squares; singular values below `cond` times the largest count as zero, by
    default the rounding unit.

    >>> lstsq([[2.0]], [4.0])[0].tolist()
    [2.0]
    """
    _driver("lstsq", lapack_driver, (None, "gelsd", "gelsy", "gelss"))
    return linalg.lstsq(a, b, -1 if cond is None else cond)


@named
def pinv(a: Any, *, atol: Any = None, rtol: Any = None, return_rank: bool = False, check_finite: bool = True) -> Any:
    """The pseudo-inverse; singular values up to atol + rtol times the largest count as zero, by default max(m, n) times
    the rounding unit. With `return_rank` the pair of it and the rank.

    >>> pinv([[2.0], [0.0]]).tolist()
    [[0.5, 0.0]]
    """
    return _pseudo("pinv", matrix("pinv", a), atol, rtol, return_rank, False)


@named
def pinvh(
    a: Any,
    atol: Any = None,
    rtol: Any = None,
    lower: bool = True,
    return_rank: bool = False,
    check_finite: bool = True,
) -> Any:
    """`pinv` of Hermitian matrices; only their `lower` triangle is read, or the upper one.

    >>> pinvh([[2.0, 99.0], [0.0, 0.0]]).tolist()
    [[0.5, 0.0], [0.0, 0.0]]
    """
    return _pseudo("pinvh", _assumed("pinvh", a, "hermitian", lower)[1], atol, rtol, return_rank, True)


def _pseudo(name: str, x: TracedTensor, atol: Any, rtol: Any, return_rank: bool, hermitian: bool) -> Any:
    if rtol is None:
        rtol = 0.0 if atol is not None else rounding_unit(x)
    if atol is None and not return_rank:
        return linalg.pinv(x, rtol=rtol, hermitian=hermitian)
    s = api.stop_gradient(linalg.svdvals(x))
    largest = api.max(s, -1)
    limit = rtol * largest + (0.0 if atol is None else atol)
    made = linalg.pinv(
        x, rtol=api.where(largest == 0, 1.0, limit / api.where(largest == 0, 1.0, largest)), hermitian=hermitian
    )
    return (made, api.sum(s > api.expand_dims(limit, -1), -1)) if return_rank else made


@named
def solve_triangular(
    a: Any,
    b: Any,
    trans: int | str = 0,
    lower: bool = False,
    unit_diagonal: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
) -> TracedTensor:
    """As `nbg.linalg.solve_triangular`.

    >>> solve_triangular([[2.0]], [4.0]).tolist()
    [2.0]
    """
    return linalg.solve_triangular(a, b, trans, lower, unit_diagonal)


# -- factors ----------------------------------------------------------------------------------------------------------


@named
def cholesky(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> TracedTensor:
    """The Cholesky factor; the upper one by default, a = U^H @ U.

    >>> cholesky([[4.0, 2.0], [2.0, 5.0]]).tolist()
    [[2.0, 1.0], [0.0, 2.0]]
    """
    return linalg.cholesky(a, upper=not lower)


@named
def cho_factor(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """(c, lower) for `cho_solve`.

    >>> cho_factor([[4.0]])[0].tolist()
    [[2.0]]
    """
    return linalg.cho_factor(a, lower)


@named
def cho_solve(c_and_lower: Any, b: Any, overwrite_b: bool = False, check_finite: bool = True) -> TracedTensor:
    """x with a @ x = b, given `cho_factor(a)`.

    >>> cho_solve(cho_factor([[4.0]]), [8.0]).tolist()
    [2.0]
    """
    return linalg.cho_solve(c_and_lower, b)


@named
def qr(
    a: Any,
    overwrite_a: bool = False,
    lwork: Any = None,
    mode: str = "full",
    pivoting: bool = False,
    check_finite: bool = True,
) -> Any:
    """(Q, R): square Q with mode "full", min(m, n) columns with "economic"; with "r" the tuple (R,).

    >>> [x.shape for x in qr([[3.0], [4.0]])]
    [(2, 2), (2, 1)]
    """
    if pivoting:
        _refuse("qr", "pivoting", pivoting, "False")
    if mode not in ("full", "r", "economic"):
        _refuse("qr", "mode", mode, "'full', 'r' or 'economic'")
    q, r = linalg.qr(a, "reduced" if mode == "economic" else "complete")
    return (r,) if mode == "r" else (q, r)


@named
def lu(
    a: Any, permute_l: bool = False, overwrite_a: bool = False, check_finite: bool = True, p_indices: bool = False
) -> Any:
    """(p, l, u) with a = p @ l @ u; with `p_indices` p is a vector, a = l[p] @ u; with `permute_l` (p @ l, u).

    >>> [x.tolist() for x in lu([[1.0, 2.0], [2.0, 2.0]], p_indices=True)]
    [[1, 0], [[1.0, 0.0], [0.5, 1.0]], [[2.0, 2.0], [0.0, 1.0]]]
    """
    if permute_l:
        return linalg.lu(a, True)
    p, left, right = linalg.lu(a)
    return (api.argmax(p, -1) if p_indices else p), left, right


@named
def lu_factor(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """(lu, piv) for `lu_solve`.

    >>> lu_factor([[2.0]])[0].tolist()
    [[2.0]]
    """
    return linalg.lu_factor(a)


@named
def lu_solve(
    lu_and_piv: Any, b: Any, trans: int = 0, overwrite_b: bool = False, check_finite: bool = True
) -> TracedTensor:
    """x with a @ x = b, given `lu_factor(a)`.

    >>> lu_solve(lu_factor([[2.0]]), [4.0]).tolist()
    [2.0]
    """
    return linalg.lu_solve(lu_and_piv, b, trans)


# -- spectra ----------------------------------------------------------------------------------------------------------


def _driver(operation: str, given: Any, known: tuple[Any, ...]) -> None:
    if given not in known:
        _refuse(operation, "driver", given, " or ".join(map(repr, known)))


@named
def svd(
    a: Any,
    full_matrices: bool = True,
    compute_uv: bool = True,
    overwrite_a: bool = False,
    check_finite: bool = True,
    lapack_driver: str = "gesdd",
) -> Any:
    """(U, s, Vh), or s alone.

    >>> svd([[2.0]])[1].tolist()
    [2.0]
    """
    _driver("svd", lapack_driver, ("gesdd", "gesvd"))
    return linalg.svd(a, full_matrices, compute_uv)


@named
def svdvals(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> TracedTensor:
    """The singular values.

    >>> svdvals([[2.0]]).tolist()
    [2.0]
    """
    return linalg.svdvals(a)


@named
def eig(
    a: Any,
    b: Any = None,
    left: bool = False,
    right: bool = True,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
    homogeneous_eigvals: bool = False,
) -> Any:
    """(w, v) with a @ v = v * w, or a @ v = b @ v * w for a regular b; with `right=False` only w.

    >>> eig([[2.0]])[0].tolist()
    [(2+0j)]
    """
    if left or homogeneous_eigvals:
        name = "left" if left else "homogeneous_eigvals"
        _refuse("eig", name, True, "False")
    x = a if b is None else linalg.solve(b, a)
    return linalg.eig(x) if right else linalg.eigvals(x)


@named
def eigvals(
    a: Any,
    b: Any = None,
    overwrite_a: bool = False,
    check_finite: bool = True,
    homogeneous_eigvals: bool = False,
) -> TracedTensor:
    """The w of `eig`.

    >>> eigvals([[2.0]]).tolist()
    [(2+0j)]
    """
    found: TracedTensor = eig(a, b, right=False, homogeneous_eigvals=homogeneous_eigvals)
    return found


@named
def eigh(
    a: Any,
    b: Any = None,
    *,
    lower: bool = True,
    eigvals_only: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    type: int = 1,
    check_finite: bool = True,
    subset_by_index: Any = None,
    subset_by_value: Any = None,
    driver: Any = None,
) -> Any:
    """(w, v) of Hermitian matrices, of which the `lower` triangle is read, or w alone.

    With a positive definite b, of `type` 1: a v = w b v, 2: a b v = w v, or 3: b a v = w v. `subset_by_index` is the
    pair of the first and the last to keep; `subset_by_value` keeps those in (lowest, highest], a number that the data
    decides.

    >>> eigh([[2.0, 0.0], [0.0, 1.0]], subset_by_index=[0, 0])[0].tolist()
    [1.0]
    """
    _driver("eigh", driver, (None, "ev", "evd", "evr", "evx", "gv", "gvd", "gvx"))
    if type not in (1, 2, 3):
        _refuse("eigh", "type", type, "1, 2 or 3")
    if subset_by_index is not None and subset_by_value is not None:
        _refuse("eigh", "subset_by_value", subset_by_value, "one of both")
    uplo = "L" if lower else "U"
    if b is None:
        w, v = (linalg.eigvalsh(a, uplo), None) if eigvals_only else linalg.eigh(a, uplo)
    else:
        w, v = _generalised(
            _assumed("eigh", a, "hermitian", lower)[1], _assumed("eigh", b, "hermitian", lower)[1], type
        )
        v = None if eigvals_only else v
    kept = _kept(w, subset_by_index, subset_by_value)
    if kept is not None:
        w, v = w[..., kept], None if v is None else v[..., kept]
    return w if v is None else (w, v)


def _generalised(a: Any, b: Any, type: int) -> Any:
    """By the Cholesky factor of b, as LAPACK's xSYGV."""
    factor = linalg.cholesky(b)
    if type == 1:
        half = linalg.solve_triangular(factor, a, lower=True)
        inner = _adjoint(linalg.solve_triangular(factor, _adjoint(half), lower=True))
    else:
        inner = _adjoint(factor) @ a @ factor
    w, y = linalg.eigh((inner + _adjoint(inner)) * 0.5)
    return w, factor @ y if type == 3 else linalg.solve_triangular(factor, y, trans="C", lower=True)


def _kept(w: TracedTensor, by_index: Any, by_value: Any) -> Any:
    """Which eigenvalues are asked for: None for all."""
    if by_index is not None:
        n = w.shape[-1]
        first, last = _pair("subset_by_index", by_index)
        if not 0 <= first <= last or (isinstance(n, int) and last >= n):
            _refuse("eigh", "subset_by_index", by_index, f"0 <= first <= last < {n}")
        return slice(first, last + 1)
    if by_value is None:
        return None
    if w.ndim != 1:
        _refuse("eigh", "subset_by_value", by_value, "None, of a stack of matrices")
    lowest, highest = _pair("subset_by_value", by_value)
    return api.flatnonzero(api.logical_and(w > lowest, w <= highest))


def _pair(name: str, given: Any) -> Any:
    if not hasattr(given, "__len__") or len(given) != 2:
        _refuse("eigh", name, given, "a pair")
    return given


@named
def eigvalsh(
    a: Any,
    b: Any = None,
    *,
    lower: bool = True,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    type: int = 1,
    check_finite: bool = True,
    subset_by_index: Any = None,
    subset_by_value: Any = None,
    driver: Any = None,
) -> TracedTensor:
    """The w of `eigh`.

    >>> eigvalsh([[2.0]]).tolist()
    [2.0]
    """
    wanted: Any = {"subset_by_index": subset_by_index, "subset_by_value": subset_by_value, "driver": driver}
    found: TracedTensor = eigh(a, b, lower=lower, eigvals_only=True, type=type, **wanted)
    return found


@named
def eigh_tridiagonal(
    d: Any,
    e: Any,
    eigvals_only: bool = False,
    select: str = "a",
    select_range: Any = None,
    check_finite: bool = True,
    tol: float = 0.0,
    lapack_driver: str = "auto",
) -> Any:
    """(w, v) of the real symmetric matrix with diagonal d[n] and off-diagonal e[n - 1], or w alone. `select`: "a" for
    all, "i" for indices, "v" for values in `select_range`.

    >>> eigh_tridiagonal([2.0, 2.0], [0.0], eigvals_only=True).tolist()
    [2.0, 2.0]
    """
    if select not in ("a", "i", "v", 0, 1, 2):
        _refuse("eigh_tridiagonal", "select", select, "'a', 'i' or 'v'")
    if select not in ("a", 0) and select_range is None:
        _refuse("eigh_tridiagonal", "select_range", select_range, f"a pair, with select={select!r}")
    main, beside = common(d, e)
    a = api.diag(main) + api.diag(beside, -1) + api.diag(beside, 1)
    which: Any = {"i": {"subset_by_index": select_range}, "v": {"subset_by_value": select_range}}
    chosen = which.get({1: "v", 2: "i"}.get(select, select), {})  # type: ignore[call-overload]
    return eigh(a, eigvals_only=eigvals_only, **chosen)


@named
def eigvalsh_tridiagonal(
    d: Any,
    e: Any,
    select: str = "a",
    select_range: Any = None,
    check_finite: bool = True,
    tol: float = 0.0,
    lapack_driver: str = "auto",
) -> TracedTensor:
    """The w of `eigh_tridiagonal`.

    >>> eigvalsh_tridiagonal([2.0, 3.0], [0.0]).tolist()
    [2.0, 3.0]
    """
    found: TracedTensor = eigh_tridiagonal(d, e, True, select, select_range)
    return found


# -- functions --------------------------------------------------------------------------------------------------------


@named
def schur(
    a: Any,
    output: str = "real",
    lwork: Any = None,
    overwrite_a: bool = False,
    sort: Any = None,
    check_finite: bool = True,
) -> Any:
    """(T, Z), not sorted; see `nbg.linalg.schur`.

    >>> schur([[2.0]])[0].tolist()
    [[2.0]]
    """
    if sort is not None:
        _refuse("schur", "sort", sort, "None")
    return linalg.schur(a, output)


@named
def norm(a: Any, ord: Any = None, axis: Any = None, keepdims: bool = False, check_finite: bool = True) -> TracedTensor:
    """As `nbg.linalg.norm`.

    >>> norm([3.0, 4.0]).item()
    5.0
    """
    return linalg.norm(a, ord, axis, keepdims)


@named
def orth(A: Any, rcond: Any = None) -> TracedTensor:
    """An orthonormal basis of the range of A[m, n]: as many columns as there are singular values above `rcond` (by
    default max(m, n) times the rounding unit) times the largest, a number that the data decides.

    >>> abs(orth([[2.0, 0.0], [0.0, 0.0]])).tolist()
    [[1.0], [0.0]]
    """
    u, s, _ = linalg.svd(A, full_matrices=False)
    return api.truncate(u, _rank(A, s, rcond), axis=1)


@named
def null_space(
    A: Any,
    rcond: Any = None,
    *,
    overwrite_a: bool = False,
    check_finite: bool = True,
    lapack_driver: str = "gesdd",
) -> TracedTensor:
    """An orthonormal basis of the null space of A[m, n], the columns that `orth` leaves out of the right vectors.

    >>> abs(null_space([[2.0, 0.0], [0.0, 0.0]])).tolist()
    [[0.0], [1.0]]
    """
    _driver("null_space", lapack_driver, ("gesdd", "gesvd"))
    _, s, vh = linalg.svd(A)
    n, rank = vh.shape[0], _rank(A, s, rcond)
    return _adjoint(api.flip(api.truncate(api.flip(vh, 0), n - rank, axis=0), 0))


def _rank(A: Any, s: TracedTensor, rcond: Any) -> TracedTensor:
    """How many singular values count."""
    x = matrix("rank", A)
    unit = rounding_unit(x) if rcond is None else rcond
    return api.sum(s > api.max(s, initial=0.0) * unit)

"""Singular values and eigenvalues with SciPy's signatures: generalised problems, parts of a spectrum.

In: anything array-like; matrices are the last two axes. Out: `TracedTensor`s, not evaluated, or tuples of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbgraph import api, linalg
from nbgraph.errors import ShapeError, named
from nbgraph.linalg.stacks import matrix
from nbgraph.promote import common
from nbgraph.scipy.linalg.keywords import adjoint, assumed, check_driver, refuse

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


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
    check_driver("svd", lapack_driver, ("gesdd", "gesvd"))
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
        refuse("eig", name, True, "False")
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
    check_driver("eigh", driver, (None, "ev", "evd", "evr", "evx", "gv", "gvd", "gvx"))
    if type not in (1, 2, 3):
        refuse("eigh", "type", type, "1, 2 or 3")
    if subset_by_index is not None and subset_by_value is not None:
        refuse("eigh", "subset_by_value", subset_by_value, "one of both")
    uplo = "L" if lower else "U"
    if b is None:
        w, v = (linalg.eigvalsh(a, uplo), None) if eigvals_only else linalg.eigh(a, uplo)
    else:
        w, v = _generalised(assumed("eigh", a, "hermitian", lower)[1], assumed("eigh", b, "hermitian", lower)[1], type)
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
        inner = adjoint(linalg.solve_triangular(factor, adjoint(half), lower=True))
    else:
        inner = adjoint(factor) @ a @ factor
    w, y = linalg.eigh((inner + adjoint(inner)) * 0.5)
    return w, factor @ y if type == 3 else linalg.solve_triangular(factor, y, trans="C", lower=True)


def _kept(w: TracedTensor, by_index: Any, by_value: Any) -> Any:
    """Which eigenvalues are asked for: None for all."""
    if by_index is not None:
        n = w.shape[-1]
        first, last = _pair("subset_by_index", by_index)
        if not 0 <= first <= last or (isinstance(n, int) and last >= n):
            refuse("eigh", "subset_by_index", by_index, f"0 <= first <= last < {n}")
        return slice(first, last + 1)
    if by_value is None:
        return None
    if w.ndim != 1:
        refuse("eigh", "subset_by_value", by_value, "None, of a stack of matrices")
    lowest, highest = _pair("subset_by_value", by_value)
    return api.flatnonzero(api.logical_and(w > lowest, w <= highest))


def _pair(name: str, given: Any) -> Any:
    if not hasattr(given, "__len__") or len(given) != 2:
        refuse("eigh", name, given, "a pair")
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
    chosen = _selected("eigh_tridiagonal", select, select_range)
    main, beside = common(d, e)
    a = api.diag(main) + api.diag(beside, -1) + api.diag(beside, 1)
    return eigh(a, eigvals_only=eigvals_only, **chosen)


def _selected(name: str, select: Any, select_range: Any) -> Any:
    """Keywords of `eigh` for those of SciPy's functions of bands."""
    if select not in ("a", "i", "v", 0, 1, 2):
        refuse(name, "select", select, "'a', 'i' or 'v'")
    if select not in ("a", 0) and select_range is None:
        refuse(name, "select_range", select_range, f"a pair, with select={select!r}")
    which: Any = {"i": {"subset_by_index": select_range}, "v": {"subset_by_value": select_range}}
    return which.get({1: "v", 2: "i"}.get(select, select), {})


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


@named
def eig_banded(
    a_band: Any,
    lower: bool = False,
    eigvals_only: bool = False,
    overwrite_a_band: bool = False,
    select: str = "a",
    select_range: Any = None,
    max_ev: int = 0,
    check_finite: bool = True,
) -> Any:
    """(w, v) of the Hermitian matrix whose bands are a_band[u + 1, n]: `a_band[u + i - j, j]` of the upper half, or
    `a_band[i - j, j]` of the `lower` one; or w alone. The matrix is made. `select`: as in `eigh_tridiagonal`.

    >>> eig_banded([[0.0, 0.0], [3.0, 1.0]], eigvals_only=True).tolist()
    [1.0, 3.0]
    """
    chosen, bands = _selected("eig_banded", select, select_range), matrix("eig_banded", a_band)
    count, n = bands.type.shape[-2:]
    if bands.type.ndim != 2 or not isinstance(count, int) or count == 0:
        wanted = "a matrix of a known number of bands, one or more"
        raise ShapeError("wrong shape", operation="eig_banded", position=0, got=bands.type.shape, wanted=wanted)
    a = api.diag(bands[0 if lower else count - 1])
    for k in range(1, count if not isinstance(n, int) else min(count, n)):
        below = api.diag(bands[k, : n - k] if lower else api.conj(bands[count - 1 - k, k:]), -k)
        a = a + below + adjoint(below)
    return eigh(a, eigvals_only=eigvals_only, **chosen)


@named
def eigvals_banded(
    a_band: Any,
    lower: bool = False,
    overwrite_a_band: bool = False,
    select: str = "a",
    select_range: Any = None,
    check_finite: bool = True,
) -> TracedTensor:
    """The w of `eig_banded`.

    >>> eigvals_banded([[3.0, 1.0]]).tolist()
    [1.0, 3.0]
    """
    found: TracedTensor = eig_banded(a_band, lower, True, select=select, select_range=select_range)
    return found

"""Systems with banded matrices and their Cholesky factors, with SciPy's signatures.

In: bands as SciPy stores them, `ab[u + i - j, j] = a[i, j]`, of matrices or of stacks of them, and vectors or matrices
b (batch dimensions broadcast). Out: `TracedTensor`s, not evaluated, differentiable by bands and right-hand sides.
Holds: values and the derivatives of solutions take O(n r^2) time and O(n r) memory, r the rows of the band; the
derivative of a Cholesky factor takes whole matrices. What of a band lies outside of the matrix is not read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbgraph import api
from nbgraph.errors import ShapeError, named
from nbgraph.linalg.stacks import stacked
from nbgraph.promote import apply, common, operand, to_inexact

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


@named
def solve_banded(
    l_and_u: Any, ab: Any, b: Any, overwrite_ab: bool = False, overwrite_b: bool = False, check_finite: bool = True
) -> TracedTensor:
    """x with a @ x = b, for a with l diagonals below the main one and u above: `ab[u + i - j, j] = a[i, j]`.

    Raises `LinAlgError` at the eval if a is singular. Source: LAPACK xGBSV.

    >>> solve_banded((1, 0), [[2.0, 4.0], [2.0, 0.0]], [2.0, 6.0]).tolist()
    [1.0, 1.0]
    """
    below, above = _widths(l_and_u)
    band, right, is_vector = _system("solve_banded", ab, b, below + above + 1)
    x = apply("banded_solve", band, right, above=above)
    return api.squeeze(x, -1) if is_vector else x


@named
def solveh_banded(
    ab: Any,
    b: Any,
    overwrite_ab: bool = False,
    overwrite_b: bool = False,
    lower: bool = False,
    check_finite: bool = True,
) -> TracedTensor:
    """x with a @ x = b, for a Hermitian and positive definite, of which `ab` is the upper half, `ab[u + i - j, j]`, or
    the `lower` one, `ab[i - j, j]`.

    Raises `LinAlgError` at the eval if a is not positive definite. Source: LAPACK xPBSV.

    >>> solveh_banded([[4.0, 5.0], [2.0, 0.0]], [6.0, 7.0], lower=True).tolist()
    [1.0, 1.0]
    """
    band, right, is_vector = _system("solveh_banded", ab, b, None)
    x = apply("banded_definite_solve", band, right, below=bool(lower))
    return api.squeeze(x, -1) if is_vector else x


@named
def cholesky_banded(
    ab: Any, overwrite_ab: bool = False, lower: bool = False, check_finite: bool = True
) -> TracedTensor:
    """The band of the Cholesky factor of a, stored as the half of it that `ab` is; see `solveh_banded`.

    What of it lies outside of the matrix is 0. Source: LAPACK xPBTRF.

    >>> cholesky_banded([[4.0, 5.0], [2.0, 0.0]], lower=True).tolist()
    [[2.0, 2.0], [1.0, 0.0]]
    """
    band = _band("cholesky_banded", to_inexact(operand(ab)), None)
    made: TracedTensor = apply("banded_cholesky", band, below=bool(lower))
    return made


@named
def cho_solve_banded(cb_and_lower: Any, b: Any, overwrite_b: bool = False, check_finite: bool = True) -> TracedTensor:
    """x with a @ x = b, given (`cholesky_banded(ab, lower=lower)`, lower).

    >>> cho_solve_banded((cholesky_banded([[4.0, 5.0], [2.0, 0.0]], lower=True), True), [6.0, 7.0]).tolist()
    [1.0, 1.0]
    """
    factor, lower = _pair("cho_solve_banded", cb_and_lower, "(cb, lower)")
    band, right, is_vector = _system("cho_solve_banded", factor, b, None)
    beside = _rows("cho_solve_banded", band) - 1
    other = _adjoint(band, 0 if lower else beside)
    first, last = (band, other) if lower else (other, band)  # c c^H: the lower factor comes first
    half = apply("banded_solve", first, right, above=0)
    x = apply("banded_solve", last, half, above=beside)
    return api.squeeze(x, -1) if is_vector else x


def _adjoint(band: TracedTensor, above: int) -> TracedTensor:
    """The band of a^H, where that of a has `above` diagonals above the main one: row i is moved by i - above."""
    rows, n = _rows("adjoint", band), band.shape[-1]
    padded = api.pad(api.conj(band), [(0, 0)] * (band.ndim - 1) + [(rows, rows)])
    moved = [padded[..., i, rows - (i - above) : rows - (i - above) + n] for i in range(rows)]
    return api.stack(moved[::-1], -2)


# -- operands ---------------------------------------------------------------------------------------------------------


def _system(name: str, ab: Any, b: Any, rows: int | None) -> tuple[TracedTensor, TracedTensor, bool]:
    """A band and right-hand sides [..., n, k] with equal batch dimensions, and whether b was one vector."""
    band, right = (to_inexact(x) for x in common(ab, b))
    is_vector = right.ndim == 1
    right = api.expand_dims(right, 1) if is_vector else right
    _band(name, band, rows)
    n, sized = band.shape[-1], right.shape[-2] if right.ndim else None
    if sized is None or (isinstance(n, int) and isinstance(sized, int) and n != sized):
        told: Any = {"got": right.shape, "wanted": f"[{n}] or [..., {n}, k]"}
        raise ShapeError("sizes differ", operation=name, position="b", **told)
    band, right = stacked(band, right)
    return band, right, is_vector


def _band(name: str, band: TracedTensor, rows: int | None) -> TracedTensor:
    wanted = "[..., r, n]" if rows is None else f"[..., {rows}, n], l + u + 1 rows"
    if band.ndim < 2 or band.shape[-2] == 0 or (rows is not None and band.shape[-2] != rows):
        raise ShapeError("no band", operation=name, position="ab", got=band.shape, wanted=wanted)
    return band


def _rows(name: str, band: TracedTensor) -> int:
    """The number of rows: it is structure."""
    rows = band.shape[-2]
    if not isinstance(rows, int):
        raise ShapeError(
            "no band", operation=name, position="ab", got=band.shape, wanted="a number of rows that is known"
        )
    return rows


def _widths(l_and_u: Any) -> tuple[int, int]:
    below, above = _pair("solve_banded", l_and_u, "(l, u)")
    for n in (below, above):
        if not hasattr(n, "__index__") or n.__index__() < 0:
            told: Any = {"got": repr(l_and_u), "wanted": "two numbers of diagonals"}
            raise ShapeError("no widths of a band", operation="solve_banded", position="l_and_u", **told)
    return below.__index__(), above.__index__()


def _pair(name: str, given: Any, wanted: str) -> Any:
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise ShapeError("no pair", operation=name, position=0, got=repr(given), wanted=wanted)
    return given

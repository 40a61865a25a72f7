"""Errors of linear algebra and of its derivatives on hard matrices, against mpmath.

    backward    how far the result is from being exact for another matrix, in units of rounding (2.2e-16) of the matrix
    forward     |result - exact| / |exact|
    derivative  the same of the derivative along one direction (symmetric where a triangle is read)

`cond` is the condition number. Exact derivatives are differences of exact values, of 60 digits. `--output` writes the
page of the documentation.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bench.matrices import hard_matrices

SUMMARY = "errors of linear algebra and its derivatives on ill-conditioned matrices, against mpmath"

DIGITS = 60
STEP = 1e-20


class Subject(NamedTuple):
    """One function of a matrix: by nbgraph, by mpmath, and the backward error of its result (None: it has none)."""

    function: Callable[[Any, Any], Any]
    exact: Callable[[Any, Any], Any]
    backward: Callable[[Any, Any], float] | None


class Row(NamedTuple):
    """The errors of one function at one matrix."""

    function: str
    matrix: str
    condition: float
    backward: float | None
    forward: float
    derivative: float


# -- the functions, in nbgraph ----------------------------------------------------------------------------------------


def _subjects() -> dict[str, Subject]:
    return {
        "solve": Subject(lambda nbg, a: nbg.linalg.solve(a, _right(a.shape[0])), _exact_solve, _residual),
        "inv": Subject(lambda nbg, a: nbg.linalg.inv(a), lambda mp, a: a**-1, _inverse_residual),
        "det": Subject(lambda nbg, a: nbg.linalg.det(a), lambda mp, a: mp.matrix([[mp.det(a)]]), None),
        "cholesky": Subject(lambda nbg, a: nbg.linalg.cholesky(a), lambda mp, a: mp.cholesky(a), _factor_residual),
        "qr": Subject(_qr, _exact_qr, None),
        "svdvals": Subject(lambda nbg, a: nbg.linalg.svdvals(a), _exact_singular_values, None),
        "svd, plane of two": Subject(_svd_plane, lambda mp, a: _exact_plane(mp, a, True), None),
        "eigvalsh": Subject(lambda nbg, a: nbg.linalg.eigvalsh(a), lambda mp, a: mp.eigsy(a)[0], None),
        "eigh, plane of two": Subject(_eigh_plane, lambda mp, a: _exact_plane(mp, a, False), None),
        "lstsq": Subject(
            lambda nbg, a: nbg.linalg.lstsq(a[:, :-2], _right(a.shape[0]), rcond=0.0)[0], _exact_lstsq, None
        ),
        "expm": Subject(lambda nbg, a: nbg.linalg.expm(a), lambda mp, a: mp.expm(a, method="taylor"), None),
    }


#: Those that read one triangle: their direction is symmetric.
_SYMMETRIC = ("cholesky", "eigvalsh", "eigh, plane of two")


def _right(n: int) -> Any:
    import numpy as np

    return np.cos(np.arange(n) + 1.0)


def _qr(nbg: Any, a: Any) -> Any:
    """R with a positive diagonal: unique."""
    r = nbg.linalg.qr(a, mode="r")
    return nbg.sign(nbg.diagonal(r))[:, None] * r


def _eigh_plane(nbg: Any, a: Any) -> Any:
    """The projector to the plane of the two smallest eigenvalues, whatever the vectors in it."""
    v = nbg.linalg.eigh(a).eigenvectors[:, :2]
    return v @ v.T


def _svd_plane(nbg: Any, a: Any) -> Any:
    u = nbg.linalg.svd(a).U[:, -2:]
    return u @ u.T


# -- exactly ----------------------------------------------------------------------------------------------------------


def _exact_solve(mp: Any, a: Any) -> Any:
    return mp.lu_solve(a, mp.matrix(list(_right(a.rows))))


def _exact_qr(mp: Any, a: Any) -> Any:
    return mp.cholesky(a.T * a).T  # R^T R = A^T A


def _exact_singular_values(mp: Any, a: Any) -> Any:
    return mp.matrix([mp.sqrt(w) for w in reversed(list(mp.eigsy(a.T * a)[0]))])


def _exact_plane(mp: Any, a: Any, is_left: bool) -> Any:
    _, v = mp.eigsy(a * a.T if is_left else a)
    v = v[:, :2]
    return v * v.T


def _exact_lstsq(mp: Any, a: Any) -> Any:
    a = a[:, : a.cols - 2]
    return mp.lu_solve(a.T * a, a.T * mp.matrix(list(_right(a.rows))))


# -- backward errors, in units of rounding ----------------------------------------------------------------------------


def _relative(residual: Any, size: float) -> float:
    import numpy as np

    return float(np.linalg.norm(residual) / size / np.finfo(float).eps)


def _residual(a: Any, x: Any) -> float:
    import numpy as np

    return _relative(a @ x - _right(len(a)), np.linalg.norm(a) * np.linalg.norm(x))


def _inverse_residual(a: Any, x: Any) -> float:
    import numpy as np

    return _relative(a @ x - np.eye(len(a)), np.linalg.norm(a) * np.linalg.norm(x))


def _factor_residual(a: Any, factor: Any) -> float:
    import numpy as np

    return _relative(factor @ factor.T - a, np.linalg.norm(a))


def decompositions() -> Iterator[tuple[str, str, float, float]]:
    """Function, matrix, and two errors in units of rounding: of the product of the factors, of their orthogonality."""
    import numpy as np

    import nbgraph as nbg

    for name, a in hard_matrices():
        n = len(a)
        q, r = (x.eval() for x in nbg.linalg.qr(a))
        u, s, vh = (x.eval() for x in nbg.linalg.svd(a))
        w, v = (x.eval() for x in nbg.linalg.eigh(a))
        size, one = float(np.linalg.norm(a)), np.eye(n)
        yield "qr", name, _relative(q @ r - a, size), _relative(q.T @ q - one, 1.0)
        yield "svd", name, _relative(u * s @ vh - a, size), _relative(u.T @ u - one, 1.0)
        yield "eigh", name, _relative(v * w @ v.T - a, size), _relative(v.T @ v - one, 1.0)


# -- measuring --------------------------------------------------------------------------------------------------------


def rows(functions: Any = None) -> Iterator[Row]:
    """The errors of each function at each matrix; `functions` are names, or None for all."""
    for name, subject in _subjects().items():
        if functions is None or name in functions:
            for matrix, a in hard_matrices():
                yield _row(name, subject, matrix, a)


def _row(name: str, subject: Subject, matrix: str, a: Any) -> Row:
    import mpmath
    import numpy as np

    import nbgraph as nbg

    mp = mpmath.mp.clone()
    mp.dps = DIGITS
    along = np.random.default_rng(7).uniform(0.0, 2.0, a.shape) * a
    along = (along + along.T) / 2 if name in _SYMMETRIC else along
    leaf = nbg.TracedTensor.from_tensor(a)
    result = subject.function(nbg, leaf)
    value, slope = result.eval(), result.jvp(leaf, along).eval()
    at, step = mp.matrix(a.tolist()), mp.matrix(along.tolist()) * mp.mpf(STEP)
    exact = subject.exact(mp, at)
    exact_slope = (subject.exact(mp, at + step) - subject.exact(mp, at - step)) / (2 * mp.mpf(STEP))
    backward = subject.backward(a, value) if subject.backward else None
    return Row(
        name, matrix, float(np.linalg.cond(a)), backward, _error(mp, value, exact), _error(mp, slope, exact_slope)
    )


def _error(mp: Any, found: Any, exact: Any) -> float:
    import numpy as np

    found = np.asarray(found, float).reshape(exact.rows, exact.cols)
    size = mp.norm(exact, 2)
    return float(mp.norm(mp.matrix(found.tolist()) - exact, 2) / (size if size else 1))


# -- the command ------------------------------------------------------------------------------------------------------

HEAD = """\
# How accurate linear algebra and its derivatives are

Results of nbgraph in double precision on matrices that are hard, beside those of mpmath with 60 digits. This page is
written by `python -m bench accuracy --output docs/accuracy.md`.

The matrices are symmetric and positive definite: Hilbert's of order 10; of order 6, eigenvalues 1, 1 + gap, 2, 3, 4, 5
with gaps from 1e-3 to 1e-14; and D (X X^T + 1) D of order 6, D falling from 1 to 1e-5. Functions of general matrices
are given them as such: their derivative is along a direction that is not symmetric.

- **forward**: |result - exact| / |exact|, in the Frobenius norm. An algorithm that is backward stable, as LAPACK's are,
  gives about the unit of rounding, 2e-16, times the condition number of the function. For `solve`, `inv` and `det`
  that is `cond`, the largest over the smallest singular value; for eigenvalues and singular values it is 1; for the
  plane of two eigenvectors it is one over the gap to the others, however small the gap between the two.
- **derivative**: the same of the derivative along one direction, the elements times random numbers from 0 to 2. It may
  lose `cond` once more.
- **backward**: |a x - b| / (|a| |x|), or |L L^T - a| / |a|, in units of rounding: a few are LAPACK's quality.
"""

READING = """\
## What it says

- Residuals are a few units of rounding throughout, so results are the exact ones of a matrix that differs from the
  given one in its last digits. What is lost beyond that is the condition of the problem: Hilbert's matrix leaves four
  digits of a solution, and of its derivative.
- Eigenvalues and singular values are good to rounding whatever the gap. The derivative of a single one is not: it is
  the vectors' business, and loses rounding over the gap.
- The derivative of a plane of two vectors does not depend on the gap inside it, and where the gap is below the limit
  (1e-12 of the largest value) it is good to rounding. Above it, the turns inside the plane are large and cancel only up
  to rounding over the gap: at 1e-9 half of the digits are left.
- `expm` has SciPy's errors, a hundred units of rounding at a norm of 5; its derivative has them too.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", metavar="NAMES", help="functions, by commas")
    parser.add_argument("--output", metavar="FILE", help="write the page here instead of printing it")


def run(options: argparse.Namespace) -> int:
    text = page(list(rows(options.only.split(",") if options.only else None)))
    if options.output:
        Path(options.output).write_text(text)
    else:
        print(text)
    return 0


def page(found: list[Row]) -> str:
    """The page: a table for each function, and one of the decompositions."""
    parts = [HEAD]
    for name in dict.fromkeys(r.function for r in found):
        own = [r for r in found if r.function == name]
        has_backward = own[0].backward is not None
        head = ["matrix", "cond", "forward", "derivative", *(["backward"] if has_backward else [])]
        parts.append(f"## {name}\n")
        parts.append(_table(head, [_cells(r) for r in own]))
    parts.append("## Decompositions, in units of rounding\n")
    cells = [[*row[:2], *(f"{x:.1f}" for x in row[2:])] for row in decompositions()]
    parts.append(_table(["function", "matrix", "product", "orthogonality"], cells))
    return "\n".join([*parts, READING])


def _cells(row: Row) -> list[str]:
    backward = [] if row.backward is None else [f"{row.backward:.1f}"]
    return [row.matrix, f"{row.condition:.0e}", f"{row.forward:.0e}", f"{row.derivative:.0e}", *backward]


def _table(head: list[str], cells: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"

"""`nbg.linalg`: linear algebra with NumPy's names, signatures and defaults.

In: anything array-like; matrices are the last two axes, batch dimensions broadcast. Out: a `TracedTensor`, or a named
tuple of them. Integers and booleans become float64.
Holds: a matrix that cannot be dealt with (singular, not converged) raises `LinAlgError` when it is evaluated, with the
user's line; wrong shapes raise `ShapeError` at once.
"""

from nbgraph.api import diagonal, matmul, matrix_transpose, outer, trace
from nbgraph.errors import LinAlgError
from nbgraph.linalg.decompositions import (
    PolarResult,
    QRResult,
    SVDResult,
    cholesky,
    polar,
    qr,
    svd,
    svdvals,
)
from nbgraph.linalg.least_squares import LstsqResult, lstsq, matrix_rank, pinv
from nbgraph.linalg.norms import cond, norm
from nbgraph.linalg.spectra import EighResult, eigh, eigvalsh
from nbgraph.linalg.systems import solve
from nbgraph.linalg.triangular import cho_factor, cho_solve, solve_triangular

__all__ = [
    "EighResult",
    "LinAlgError",
    "LstsqResult",
    "PolarResult",
    "QRResult",
    "SVDResult",
    "cho_factor",
    "cho_solve",
    "cholesky",
    "cond",
    "diagonal",
    "eigh",
    "eigvalsh",
    "lstsq",
    "matmul",
    "matrix_rank",
    "matrix_transpose",
    "norm",
    "outer",
    "pinv",
    "polar",
    "qr",
    "solve",
    "solve_triangular",
    "svd",
    "svdvals",
    "trace",
]

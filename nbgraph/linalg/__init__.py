"""`nbg.linalg`: linear algebra with NumPy's names, signatures and defaults.

In: anything array-like; matrices are the last two axes, batch dimensions broadcast. Out: a `TracedTensor`, or a named
tuple of them. Integers and booleans become float64.
Holds: a matrix that cannot be dealt with (singular, not converged) raises `LinAlgError` when it is evaluated, with the
user's line; wrong shapes raise `ShapeError` at once.
"""

from nbgraph.api import cross, matmul, matrix_transpose, outer, tensordot, vecdot
from nbgraph.errors import LinAlgError
from nbgraph.linalg.decompositions import (
    PolarResult,
    QRResult,
    SVDResult,
    cholesky,
    cholesky_ex,
    polar,
    qr,
    svd,
    svdvals,
)
from nbgraph.linalg.determinants import SlogdetResult, det, slogdet
from nbgraph.linalg.eigen import EigResult, eig, eigvals
from nbgraph.linalg.factors import PLU, LuFactors, LuFactorsInfo, lu, lu_factor, lu_factor_ex, lu_solve
from nbgraph.linalg.functions import SchurResult, expm, fractional_matrix_power, logm, schur, solve_sylvester, sqrtm
from nbgraph.linalg.inverses import ResultInfo, inv, inv_ex, solve_ex
from nbgraph.linalg.least_squares import LstsqResult, lstsq, matrix_rank, pinv
from nbgraph.linalg.norms import cond, matrix_norm, norm, vector_norm
from nbgraph.linalg.products import (
    diagonal,
    householder_product,
    matrix_power,
    multi_dot,
    tensorinv,
    tensorsolve,
    trace,
)
from nbgraph.linalg.special_matrices import (
    block_diag,
    circulant,
    companion,
    convolution_matrix,
    coshm,
    cosm,
    dft,
    hadamard,
    hankel,
    hilbert,
    ishermitian,
    issymmetric,
    khatri_rao,
    matmul_toeplitz,
    sinhm,
    sinm,
    solve_continuous_lyapunov,
    solve_discrete_lyapunov,
    solve_toeplitz,
    tanhm,
    tanm,
    toeplitz,
)
from nbgraph.linalg.spectra import EighResult, eigh, eigvalsh
from nbgraph.linalg.systems import solve
from nbgraph.linalg.triangular import cho_factor, cho_solve, solve_triangular
from nbgraph.linalg.truncated import svd_truncated

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
    "eigvals",
    "eigvalsh",
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
    "outer",
    "pinv",
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

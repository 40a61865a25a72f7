"""Compiled kernels over raw memory: matrix products, factorisations, searches, and the driver of whole
programs.

In:    addresses, sizes and strides, in a table of 64-bit words.
Out:   results in the memory the caller gave, and a status word.
Holds: every kernel is a C function `int64 f(int64* w)`. It returns 0, a positive LAPACK-like failure, or a
       negative number for an illegal table. It never allocates, never raises, and holds no lock. Nothing
       here knows of graphs. Importing this package imports no compiler: the first `kernel(...)` that is not on disk
       imports llvmlite, the first kernel of a user's numba.
"""

from .pointers import address
from .registry import Kernel, dtypes, externals, install, kernel, names, workspace

__all__ = ["Kernel", "address", "dtypes", "externals", "install", "kernel", "names", "workspace"]

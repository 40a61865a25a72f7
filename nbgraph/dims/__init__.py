"""Symbolic sizes: integer polynomials over size symbols, `//`, `%`, `min` and `max`.

In: names of sizes, ints, and arithmetic on them.
Out: a `Size`: a plain `int` where the result is constant, else an interned `DimExpr`.
"""

from nbgraph.dims import division  # noqa: F401  (registers its operations)
from nbgraph.dims.arithmetic import substitute
from nbgraph.dims.expression import DimExpr, Size, dim, evaluate, symbols
from nbgraph.dims.extrema import dim_max, dim_min
from nbgraph.dims.text import to_source

__all__ = [
    "DimExpr",
    "Size",
    "dim",
    "dim_max",
    "dim_min",
    "evaluate",
    "substitute",
    "symbols",
    "to_source",
]

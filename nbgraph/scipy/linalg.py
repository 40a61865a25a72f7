"""`nbg.linalg`, under SciPy's name."""

from nbgraph.linalg import *  # noqa: F403
from nbgraph.linalg import __all__ as __all__

"""`nbg.scipy`: what programs look for under the names of SciPy's modules (as `jax.scipy` has them).

>>> import nbgraph as nbg
>>> nbg.scipy.special.erf(0.0).item()
0.0
"""

from nbgraph import fft
from nbgraph.scipy import linalg, signal, special, stats

__all__ = ["fft", "linalg", "signal", "special", "stats"]

"""`nbg.special`, under SciPy's name."""

from nbgraph.special import *  # noqa: F403
from nbgraph.special import __all__ as __all__

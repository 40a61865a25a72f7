"""The engine: what runs a graph. `Engine`, the default engine, and `evaluate` over nodes."""

from nbgraph.engine.core import Engine, default_engine, evaluate, value
from nbgraph.engine.stats import Stats

__all__ = ["Engine", "Stats", "default_engine", "evaluate", "value"]

"""Real problems with known answers, each a plain loop, differentiated through: `python -m nbgraph.examples.NAME`.

In: options of the command line. Out: a table, or one JSON value with `--json`; a plot with `--plot FILE`.
Holds: each module's functions do the work, its `main` is the command; what cannot be done is one line and status 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pkgutil import iter_modules

__all__ = ["menu", "names", "run_example"]


def names() -> list[str]:
    """The examples."""
    return sorted(m.name for m in iter_modules(__path__) if m.name != "command")


def run_example(name: str, argv: Sequence[str]) -> int:
    """Runs the command of an example; the exit status."""
    status: int = import_module(f"{__name__}.{name}").main(argv)
    return status


def menu() -> dict[str, str]:
    """The examples, and of each the first line of what its module says.

    >>> print(menu()["kalman"])
    The Kalman filter of a local level, and the maximum of its likelihood.
    """
    return {name: (import_module(f"{__name__}.{name}").__doc__ or "").partition("\n")[0] for name in names()}

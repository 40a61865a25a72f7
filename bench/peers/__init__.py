"""Implementations of the workloads, a folder a workload, a file an implementation.

An implementation is a module with

- `available() -> str | None`: imports the library, and says what is missing if something is;
- `make(n, K, data) -> run`: prepares (traces, builds) a run of size n and K steps over NumPy data. `run()` computes
  everything afresh and returns NumPy results that are ready: `(value, gradient)`;
- `NOTE`, if there is something to know about its row;
- `limit(n, K) -> str | None`, if it cannot do every size in reasonable time: why not this one;
- `SLOW = True`, if even its smallest run takes many seconds: `--smoke` leaves it out;
- `remark() -> str`, if it has something to tell after its runs.

Nothing heavy is imported before `available()` is called: the time it takes is the import time.
"""

from __future__ import annotations

import importlib


def missing(*modules: str) -> str | None:
    """Imports modules; a sentence on the first that cannot be, else None."""
    for name in modules:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            return f"{error.name} is not installed"
    return None

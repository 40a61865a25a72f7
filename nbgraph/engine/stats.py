"""What an engine counts. `Counters` is written by the engine under its lock; `Stats` is the frozen snapshot.

Holds: `tally` is written by compiled code, which holds the interpreter's lock then: calls, operations, nanoseconds.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass
class Counters:
    """Counts since the engine was made."""

    evals: int = 0
    fragments: int = 0
    compiled: int = 0
    loaded: int = 0
    hits: int = 0
    interpreted: int = 0
    operations: int = 0
    compile_seconds: float = 0.0
    run_seconds: float = 0.0
    code_bytes: int = 0
    refused: int = 0

    def __post_init__(self) -> None:
        self.tally: np.ndarray[Any, Any] = np.zeros(3, np.int64)

    def snapshot(self) -> Stats:
        calls, operations, nanoseconds = self.tally.tolist()
        counts = asdict(self)
        counts["hits"] += calls
        counts["operations"] += operations
        counts["run_seconds"] += nanoseconds * 1e-9
        return Stats(**counts)


@dataclass(frozen=True)
class Stats:
    """A snapshot of an engine's counters.

    `evals`: evals that had work to do. `fragments`: distinct structures seen. `compiled`, `loaded`: machine code made,
    taken from disk. `hits`, `interpreted`: fragment calls run by machine code, by NumPy. `operations`: primitive
    operations executed. `compile_seconds`, `run_seconds`: seconds. `code_bytes`: bytes of machine code.
    `refused`: programs that are interpreted since there is as much of it as the engine may have (`code_limit`).
    """

    evals: int
    fragments: int
    compiled: int
    loaded: int
    hits: int
    interpreted: int
    operations: int
    compile_seconds: float
    run_seconds: float
    code_bytes: int
    refused: int

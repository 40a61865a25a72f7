"""The words that the kernel `replay` reads: a program at given sizes.

In: the calls of a tape as runs, their programs at these sizes, and where values lie. Out: an `Image`: words, and which
of them are relative to where the image lies.
Holds: a run has one table for each call of its period. A word that changes from repetition to repetition is a column:
moving by a constant, a few words by turns, or in the worst case a word for each repetition. What is where is said in
`nbgraph_kernels.replay`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from nbgraph.engine.arena import ALIGN, Arena, Run
from nbgraph.engine.native import Code, Native, placed_for
from nbgraph.engine.tape import Tape
from nbgraph.ssa import Bound

Array = np.ndarray[Any, Any]

#: Where the head says which call failed.
FAILED = 6
_HEAD = 9
#: What a word is: a number as it stands, relative to the arena, relative to the image, an argument's number.
_PLAIN, _ARENA, _IMAGE, _ARGUMENT = range(4)
#: Kinds of columns, and the mask of a word for each repetition.
_AFFINE, _TABLE, _ALL = 0, 1, -1
_TURNS = (2, 4, 8)


class Image:
    """See the module. The arena begins at `arena_at` bytes; both together have `nbytes`."""

    def __init__(
        self,
        native: Native,
        tape: Tape,
        runs: Sequence[Run],
        bounds: Sequence[Bound],
        arena: Arena,
        n_arguments: int,
        constants: Sequence[Array],
    ) -> None:
        self._native, self._calls, self._bounds, self._arena = native, tape.calls, bounds, arena
        self._words, self._kinds = array("q", bytes(8 * _HEAD)), bytearray(_HEAD)
        self._workspace = -(-arena.nbytes // ALIGN) * ALIGN
        self._scratch = 0
        given = [(k, _ARGUMENT) for k in range(1, n_arguments + 1)] + [(c.ctypes.data, _PLAIN) for c in constants]
        made = [(at, _ARENA) for at in arena.place[len(given) :]]
        self._value_words = np.array([*given, *made], np.int64).reshape(-1, 2)
        self._write_head([self._run(run) for run in runs])
        self._finish()

    def write(self, at: Array) -> None:
        """Writes the image at the place it is for."""
        np.add(self._template, at.ctypes.data * self._relative, out=at)

    # -- pieces --------------------------------------------------------------------------------------------------

    def _put(self, words: Iterable[int], kinds: Iterable[int]) -> int:
        """Appends words; the byte offset of the first."""
        at = 8 * len(self._words)
        self._words.extend(words)
        self._kinds.extend(kinds)
        return at

    def _write_head(self, runs: Sequence[tuple[int, int, int]]) -> None:
        """Runs are (repetitions, number of rows, where the rows are)."""
        at_runs = self._put([w for run in runs for w in run], [_PLAIN, _PLAIN, _IMAGE] * len(runs))
        arguments = [k for k, kind in enumerate(self._kinds) if kind == _ARGUMENT]
        places = [w for k in arguments for w in (8 * k, self._words[k])]
        at_places = self._put(places, [_IMAGE, _PLAIN] * len(arguments))
        head = (len(arguments), at_places, len(runs), at_runs, 0, self._arena.zeroed // 8)
        for k, (word, kind) in enumerate(zip(head, (_PLAIN, _IMAGE, _PLAIN, _IMAGE, _ARENA, _PLAIN), strict=True)):
            self._words[k], self._kinds[k] = word, kind

    def _finish(self) -> None:
        self.n_words = len(self._words)
        self.arena_at = -(-8 * self.n_words // ALIGN) * ALIGN
        self.nbytes = self.arena_at + self._workspace + self._scratch
        kinds = np.frombuffer(self._kinds, np.uint8)
        self._relative = ((kinds == _ARENA) | (kinds == _IMAGE)).astype(np.int64)
        self._template = np.array(self._words, np.int64) + self.arena_at * (kinds == _ARENA)
        del self._words, self._kinds, self._value_words

    def _run(self, run: Run) -> tuple[int, int, int]:
        start, period, repetitions = run
        rows = [self._row(range(t, t + period * repetitions, period)) for t in range(start, start + period)]
        at = self._put([w for row in rows for w in row], [_PLAIN, _IMAGE, _PLAIN, _IMAGE] * period)
        return repetitions, period, at

    def _row(self, calls: range) -> tuple[int, int, int, int]:
        """One call of a run's period: its function, its table, its columns."""
        bound = self._bounds[calls[0]]
        code = self._native.codes[bound.program]
        placed = placed_for(code, bound)
        self._scratch = max(self._scratch, placed.workspace)
        changing = list(self._operands(calls, code, len(bound.out_types)))
        fixed = [(int(words[0]), int(kinds[0])) for words, kinds in changing]
        rest = [(w + self._workspace, _ARENA) if relative else (w, _PLAIN) for w, relative in placed.rest]
        words, kinds = zip(*fixed, *rest, strict=True) if fixed or rest else ((), ())
        table = self._put(words, kinds)
        columns = [self._column(table + 8 * k, *each) for k, each in enumerate(changing) if _varies(*each)]
        at = self._put([w for c, _ in columns for w in c], [kind for _, k in columns for kind in k])
        return code.machine.address, table, len(columns), at

    def _operands(self, calls: range, code: Code, n_outputs: int) -> Iterable[tuple[Array, Array]]:
        """Words and their kinds, one a repetition, of each input and output."""
        sources = np.array([self._calls[c].sources for c in calls], np.int64).reshape(len(calls), -1)
        for i in code.picks:
            found = self._value_words[sources[:, i]]
            yield found[:, 0], found[:, 1]
        outputs = np.array([self._arena.outputs[c] for c in calls], np.int64).reshape(len(calls), n_outputs)
        for p in range(n_outputs):
            yield outputs[:, p], np.full(len(calls), _ARENA)

    def _column(self, at: int, words: Array, kinds: Array) -> tuple[Sequence[int], Sequence[int]]:
        """How a word of a table changes: five words and their kinds."""
        if kinds[0] != _ARGUMENT and (kinds == kinds[0]).all():
            steps = np.diff(words)
            if (steps == steps[0]).all():
                return (at, _AFFINE, int(words[0]), int(steps[0]), 0), (_IMAGE, _PLAIN, int(kinds[0]), _PLAIN, _PLAIN)
            for turns in _TURNS:
                if (words[turns:] == words[:-turns]).all():
                    words, kinds = words[:turns], kinds[:turns]
                    break
        mask = len(words) - 1 if len(words) in _TURNS else _ALL
        table = self._put(words.tolist(), kinds.tolist())
        return (at, _TABLE, table, 0, mask), (_IMAGE, _PLAIN, _IMAGE, _PLAIN, _PLAIN)


def _varies(words: Array, kinds: Array) -> bool:
    return bool((words != words[0]).any() or (kinds != kinds[0]).any())

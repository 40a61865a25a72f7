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
from itertools import pairwise
from typing import Any

import numpy as np

from nbgraph.engine.arena import ALIGN, Arena, Run
from nbgraph.engine.native import Native, placed_for
from nbgraph.engine.tape import Tape
from nbgraph.ssa import Bound

Array = np.ndarray[Any, Any]
#: A word's values, one a repetition, and what each is.
Column = tuple[Array, Array]

#: Where the head says which call failed.
FAILED = 6
_HEAD = 9
#: What a word is: a number as it stands, relative to the arena, relative to the image, an argument's number.
_PLAIN, _ARENA, _IMAGE, _ARGUMENT = range(4)
#: Kinds of columns, and the mask of a word for each repetition.
_AFFINE, _TABLE, _ALL = 0, 1, -1
_TURNS = (2, 4, 8)
#: How many repetitions at the beginning and at the end of a run may be unlike the others.
_ENDS = ((0, 0), (1, 0), (0, 1), (1, 1))


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
        #: The runs as they are in the image.
        self.runs: list[Run] = []
        self._heads: list[tuple[int, int, int]] = []  # repetitions, number of rows, where the rows are
        for run in runs:
            self._run(run)
        self._write_head()
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

    def _write_head(self) -> None:
        runs = self._heads
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
        del self._words, self._kinds, self._value_words, self._heads

    def _run(self, run: Run) -> None:
        """One run of the image; several, if its first or last repetition is unlike the others."""
        start, period, repetitions = run
        rows = [list(self._operands(range(t, t + period * repetitions, period))) for t in range(start, start + period)]
        ends = [(first, last) for first, last in _ENDS if first + last < repetitions]
        first, last = next((e for e in ends if _is_compact(rows, *e)), (0, 0))
        cuts = sorted({0, first, repetitions - last, repetitions})
        for begin, end in pairwise(cuts):
            self._piece(start, [[(w[begin:end], k[begin:end]) for w, k in row] for row in rows], end - begin)
            self.runs.append((start + period * begin, period, end - begin))

    def _operands(self, calls: range) -> Iterable[Column]:
        """Words and their kinds, one a repetition, of each input and output of a call."""
        bound = self._bounds[calls[0]]
        sources = np.array([self._calls[c].sources for c in calls], np.int64).reshape(len(calls), -1)
        for i in self._native.codes[bound.program].picks:
            found = self._value_words[sources[:, i]]
            yield found[:, 0], found[:, 1]
        n_outputs = len(bound.out_types)
        outputs = np.array([self._arena.outputs[c] for c in calls], np.int64).reshape(len(calls), n_outputs)
        for p in range(n_outputs):
            yield outputs[:, p], np.full(len(calls), _ARENA)

    def _piece(self, start: int, rows: Sequence[Sequence[Column]], repetitions: int) -> None:
        made = [w for t, row in enumerate(rows, start) for w in self._row(t, row)]
        at = self._put(made, [_PLAIN, _IMAGE, _PLAIN, _IMAGE] * len(rows))
        self._heads.append((repetitions, len(rows), at))

    def _row(self, call: int, operands: Sequence[Column]) -> tuple[int, int, int, int]:
        """One call of a run's period: its function, its table, its columns."""
        bound = self._bounds[call]
        code = self._native.codes[bound.program]
        placed = placed_for(code, bound)
        self._scratch = max(self._scratch, placed.workspace)
        table = [(int(words[0]), int(kinds[0])) for words, kinds in operands]
        table += [(w + self._workspace, _ARENA) if relative else (w, _PLAIN) for w, relative in placed.rest]
        at = self._put([w for w, _ in table], [kind for _, kind in table])
        columns = [self._column(at + 8 * k, *each) for k, each in enumerate(operands) if not _is_fixed(*each)]
        at_columns = self._put([w for c, _ in columns for w in c], [kind for _, k in columns for kind in k])
        return code.machine.address, at, len(columns), at_columns

    def _column(self, at: int, words: Array, kinds: Array) -> tuple[Sequence[int], Sequence[int]]:
        """How a word of a table changes: five words and their kinds."""
        step = _step(words, kinds)
        if step is not None:
            return (at, _AFFINE, int(words[0]), step, 0), (_IMAGE, _PLAIN, int(kinds[0]), _PLAIN, _PLAIN)
        turns = _turns(words, kinds)
        table = self._put(words[:turns].tolist(), kinds[:turns].tolist())
        return (at, _TABLE, table, 0, turns - 1 if turns else _ALL), (_IMAGE, _PLAIN, _IMAGE, _PLAIN, _PLAIN)


def _is_fixed(words: Array, kinds: Array) -> bool:
    return bool((words == words[0]).all() and (kinds == kinds[0]).all())


def _step(words: Array, kinds: Array) -> int | None:
    """By what addresses move, if by a constant."""
    if kinds[0] == _ARGUMENT or (kinds != kinds[0]).any():
        return None
    steps = np.diff(words)
    return int(steps[0]) if len(steps) and (steps == steps[0]).all() else None


def _turns(words: Array, kinds: Array) -> int | None:
    """How many words come by turns."""
    for turns in _TURNS:
        if turns < len(words) and (words[turns:] == words[:-turns]).all() and (kinds[turns:] == kinds[:-turns]).all():
            return turns
    return None


def _is_compact(rows: Sequence[Sequence[Column]], first: int, last: int) -> bool:
    """Whether no column needs a word for each repetition, if so many are left out at the ends."""
    for row in rows:
        for words, kinds in row:
            w, k = words[first : len(words) - last], kinds[first : len(words) - last]
            if not _is_fixed(w, k) and _step(w, k) is None and _turns(w, k) is None:
                return False
    return True

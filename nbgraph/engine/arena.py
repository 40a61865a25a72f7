"""Where the values of a tape lie: one piece of memory, planned once for given sizes.

In: a tape, its calls as runs, each call's program at these sizes. Out: an `Arena`: offsets of values and of outputs,
and how many bytes there are; what begins as zero comes first.
Holds: what an output of a run gives, repetition by repetition, lies in the rows of one stack, so that value numbers
that move by a constant are addresses that move by a constant. Where all is read within a few repetitions the stack has
a few rows, used by turns. Memory is used again once all that lies there was read.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush

from nbgraph.engine.tape import NOWHERE, Tape
from nbgraph.ssa import Bound
from nbgraph.types import TensorType

ALIGN = 64
_TURNS = (1, 2, 4, 8)
Run = tuple[int, int, int]


class Arena:
    """`place[v]` is the offset of value v (-1: it does not lie here), `outputs[c]` are those of the outputs of call c.

    `zeroed`, `nbytes`: how much begins as zero, how much there is.
    """

    def __init__(self, tape: Tape, runs: Sequence[Run], bounds: Sequence[Bound]) -> None:
        self._tape, self._calls, self._bounds = tape, tape.calls, bounds
        self.place = [-1] * tape.n_values
        self.outputs = [[-1] * len(call.dests) for call in self._calls]
        self._last = self._last_reads()
        self._end = 0
        for run in runs:
            self._each(run, adding=True)
        self.zeroed = self._end
        self._free: dict[int, list[int]] = {}
        self._busy: list[tuple[int, int, int]] = []
        for run in runs:
            self._pass_to(run[0])
            self._each(run, adding=False)
        self.nbytes = self._end

    def _last_reads(self) -> list[int]:
        """The last call that reads each value (-1: none); outputs are read after all calls."""
        last = [-1] * self._tape.n_values
        for c, call in enumerate(self._calls):
            for v in call.sources:
                last[v] = c
        for v in self._tape.outputs:
            last[v] = len(self._calls)
        return last

    def _each(self, run: Run, adding: bool) -> None:
        """Places for the outputs of a run that are added up, or for the others."""
        start, period, repetitions = run
        for t in range(start, start + period):
            accumulating = self._calls[t].program.accumulating
            for p, type_ in enumerate(self._bounds[t].out_types):
                if (p in accumulating) is adding:
                    place = self._sums if adding else self._stack
                    place(range(t, t + period * repetitions, period), p, row_bytes(type_))

    def _sums(self, calls: range, p: int, nbytes: int) -> None:
        """Rows that begin as zero; what nobody reads is added up in a row of its own."""
        unread = -1
        for c in calls:
            v = self._calls[c].dests[p]
            at = self.place[v] if v != NOWHERE else unread
            if at < 0:
                at = self._append(nbytes)
            if v == NOWHERE:
                unread = at
            else:
                self.place[v] = at
            self.outputs[c][p] = at

    def _stack(self, calls: range, p: int, nbytes: int) -> None:
        """Rows for all calls, or a few by turns."""
        values = [self._calls[c].dests[p] for c in calls]
        last = [max(c, self._last[v]) if v != NOWHERE else c for c, v in zip(calls, values, strict=True)]
        turns = _turns(calls, last)
        start = self._take(nbytes * turns, max(max(last), calls[-1]))
        for k, (c, v) in enumerate(zip(calls, values, strict=True)):
            at = self.outputs[c][p] = start + nbytes * (k % turns)
            if v != NOWHERE:
                self.place[v] = at

    def _append(self, nbytes: int) -> int:
        """A new piece, aligned if it fills a cache line."""
        unit = min(ALIGN, nbytes & -nbytes)
        at = -(-self._end // unit) * unit
        self._end = at + nbytes
        return at

    # -- memory that is used again -------------------------------------------------------------------------------

    def _take(self, nbytes: int, last: int) -> int:
        """A piece that is in use up to a call."""
        pieces = self._free.get(nbytes)
        at = pieces.pop() if pieces else self._append(nbytes)
        heappush(self._busy, (last, at, nbytes))
        return at

    def _pass_to(self, call: int) -> None:
        """Frees what is not read from this call on."""
        while self._busy and self._busy[0][0] < call:
            _, at, nbytes = heappop(self._busy)
            self._free.setdefault(nbytes, []).append(at)


def _turns(calls: range, last: Sequence[int]) -> int:
    """How many rows do, if each is written again only after all its reads."""
    n = len(calls)
    for turns in _TURNS:
        if turns < n and all(read < written for read, written in zip(last, calls[turns:], strict=False)):
            return turns
    return n


def row_bytes(t: TensorType) -> int:
    """The bytes of a value's row: whole cache lines, or a power of two."""
    if t.nbytes > ALIGN // 2:
        return -(-t.nbytes // ALIGN) * ALIGN
    return max(8, 1 << (t.nbytes - 1).bit_length()) if t.nbytes else 8

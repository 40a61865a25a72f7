"""What has to run for some nodes to have values.

In: target nodes, and drafts of calls that are not part of the graph yet. Out: `Row`s in an order that runs: calls of
fragments with the slots wanted of each, and sums. Only what is not known yet is in it.
Wanted are the targets, what later rows use, what live nodes stand for, and, where a history will be kept, results
that must not be computed twice. Sizes that the data decides under bindings are noted as the rows that decide them run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import chain as one_after_another
from itertools import repeat
from operator import attrgetter
from sys import getrefcount
from typing import Any

from nbgraph.calls import AliasCall, Formal, FragmentCall, JoinCall, Placeholder, RepeatCall, SplitCall, SumCall
from nbgraph.decided import Decided
from nbgraph.engine.chains import Chain, chain_along, chain_from
from nbgraph.engine.rows import Array, ChainRow, Key, MergedRow, Results, Row, is_plain, kept_slots
from nbgraph.errors import BindingError, ShapeError
from nbgraph.fragment import at_sizes, size_at
from nbgraph.loops import LONG, LoopCall, dissolve
from nbgraph.memory import zeros
from nbgraph.node import Node
from nbgraph.parts import ReplayCall
from nbgraph.picks import PickCall, PlaceCall
from nbgraph.repeats import SHORTEST, LoopRun, added_up
from nbgraph.resolve import is_computed_once
from nbgraph.seal import ONLY_REFERENCE, Draft, equal_sizes
from nbgraph.settle import checked
from nbgraph.stretch import EACH, Pauses
from nbgraph.trace import unaliased
from nbgraph.turns import fuse, may_be_part
from nbgraph.types import Shape, TensorType

_call, _data, _op, _slot = (attrgetter(name) for name in ("call", "data", "op", "slot"))
_ONLY_NONE = {id(None)}
#: What may have to run.
_RUN = (FragmentCall, LoopCall, JoinCall, RepeatCall, ReplayCall, SplitCall, SumCall, PickCall, PlaceCall)


class Schedule:
    """The rows for some targets, and how to name a node's value among their results."""

    def __init__(
        self,
        targets: Sequence[Node],
        drafts: Sequence[Draft],
        bound: Mapping[int, Any],
        sizes: dict[Any, int],
        only_targets: bool = False,
        names: Sequence[Decided] = (),
    ) -> None:
        self.bound, self.sizes, self.only_targets = bound, sizes, only_targets
        self.home: dict[int, tuple[Draft, int]] = {
            id(node): (d, slot) for d in drafts for slot, node in d.nodes if node.op is not None
        }
        self.draft_of = {id(d.call): d for d in drafts}
        #: By the id of a call: the chain that it runs in, and its place there.
        self.chained: dict[int, tuple[Chain, int]] = {}
        targets = [*targets, *(name.node for name in names)]
        self.rows = self._collect(targets, only_targets)
        self.steps = self._merge(self.rows)
        #: Sums in the making, by the id of their call.
        self.totals: dict[int, Array] = {}
        self._survey(targets)
        #: The nodes of sizes that the data decides; those sizes that results of this schedule decide.
        self.deciding = targets[len(targets) - len(names) :]
        self.decided: dict[Key, list[Decided]] = {}
        sources = self.targets[len(targets) - len(names) :]
        del self.targets[len(targets) - len(names) :]
        for name, source in zip(names, sources, strict=True):
            if type(source) is tuple:
                self.decided.setdefault(source, []).append(name)
            else:
                self.sizes[name] = checked(int(source))

    def key(self, node: Node) -> Key:
        """Where the value of a node without data is among the results."""
        while node.op is None and type(node.call) is AliasCall and node.data is None:
            node = node.call.inputs[0]
        if node.op is not None:
            d, slot = self.home[id(node)]
            return id(d.call), slot
        return id(node.call), node.slot

    def known(self, node: Node) -> Any:
        """The value of a node if it needs no row."""
        while node.data is None and node.op is None and type(node.call) is AliasCall:
            node = node.call.inputs[0]
        if node.data is None and self.bound:
            return self.bound.get(id(node))
        return node.data

    def arguments(self, call: FragmentCall) -> tuple[tuple[TensorType, ...], Shape]:
        """The input types and words of a call, concrete."""
        types = tuple([i.type for i in call.inputs])
        if not self.sizes:
            return types, call.words
        return (
            tuple(at_sizes(t, self.sizes) for t in types),
            tuple(size_at(w, self.sizes) for w in call.words),
        )

    def check(self, call: FragmentCall) -> None:
        """Raises where sizes that are known only now do not fit in a call, or in what it was derived from."""
        for a, b in equal_sizes(call):
            got, wanted = size_at(a, self.sizes), size_at(b, self.sizes)
            if got != wanted:
                raise ShapeError("sizes do not fit", got=f"{a} = {got}", wanted=f"{b} = {wanted}")

    def _collect(self, targets: Sequence[Node], only_targets: bool) -> list[Any]:
        """Youngest first, so that a chain is met at its end."""
        self._found: dict[int, Any] = {}
        self._waiting: list[tuple[float, int]] = []
        #: Calls of repeats that have to run since a repeat needs more of them than their operands; the next one last.
        self._later: list[FragmentCall] = []
        #: Runs that a gradient found, by the id of their newest call.
        self._runs: dict[int, Any] = {}
        self._pauses = Pauses()
        #: Calls that run before all others, since what they need is known.
        self._first: set[int] = set()
        self._plain = not only_targets and not self.sizes and not self.bound
        self._visit(targets)
        while self._waiting or self._wait_for_more():
            row = self._found[heappop(self._waiting)[1]]
            if type(row) is ChainRow:  # met as one of its calls
                continue
            if type(row.call) is LoopCall:
                self._enter_loop(row.call)
                continue
            chain = self._chain(row.call) if self._plain and is_plain(row) else None
            if chain is not None:
                self._enter(chain)
                continue
            self._visit(row.call.inputs)
            if type(row.call) is RepeatCall and not _is_loop(row.call):
                self._runs[id(row.call.run.calls[0])] = row.call.run
                if any(kind == "saved" for kind, _ in row.call.plan.sources):
                    self._later += [call for call in row.call.calls[::-1] if call.saved is None]
        rows = list({row.id: row for row in self._found.values()}.values())
        rows.sort(key=lambda row: (row.id not in self._first, row.call.seq))
        for row in rows:
            if type(row.call) is FragmentCall and not only_targets:
                row.wanted.update(kept_slots(row.call, row.draft))
        return rows

    def _visit(self, nodes: Iterable[Node]) -> None:
        """Notes what has to run for nodes to have values."""
        for node in nodes:
            if node.data is not None:
                continue
            if node.op is None and not self.bound and type(node.call) is not AliasCall:
                call_id, slot = id(node.call), node.slot  # the common case
            elif self.known(node) is not None:
                continue
            else:
                call_id, slot = self.key(node)
            row = self._found.get(call_id)
            if row is None:
                made_by = unaliased(node)
                if type(made_by.call) is LoopCall and (not self._plain or made_by.call.n < LONG):
                    dissolve(made_by.call)
                    call_id, slot = self.key(made_by)
                row = self._wait_for(self._row(made_by))
            row.wanted.add(slot)

    def _wait_for_more(self) -> bool:
        """Whether a repeat needs a call that nothing else asked for: the others may be of a chain with it."""
        while self._later:
            call = self._later.pop()
            if id(call) not in self._found:
                self._wait_for(Row(call, None))
                return True
        return False

    def _wait_for(self, row: Row) -> Any:
        found = self._found.setdefault(row.id, row)
        if found is row:
            heappush(self._waiting, (-row.call.seq, row.id))
        return found

    def _chain(self, call: FragmentCall) -> Chain | None:
        """The chain that ends with a call, if there is one; of calls that a gradient was led through it is known."""
        run = self._runs.get(id(call))
        chain = run and chain_along(run.calls, run.pattern, self._makers, self._waits, self._is_free)
        if chain:
            return chain
        if not self._pauses.are_over(call.fragment):
            return None
        chain = chain_from(call, self._maker, self._makers, self._waits, self._is_free)
        self._pauses.note(call.fragment, chain is not None)
        return chain

    def _enter(self, chain: Chain) -> None:
        """Puts a chain in the place of its calls."""
        ids = list(map(id, chain.calls))
        drafts = {k: self.draft_of[i] for k, i in enumerate(ids) if i in self.draft_of} if self.draft_of else {}
        row = ChainRow(chain, drafts)
        self._found.update(dict.fromkeys(ids, row))
        self.chained.update(zip(ids, zip(repeat(chain), range(len(ids))), strict=True))
        self._first.update(map(id, chain.free))
        self._visit(chain.inputs)

    def _enter_loop(self, loop: LoopCall) -> None:
        """A loop is a chain as it is."""
        loop.close()
        chain = Chain.of_loop(loop)
        self._found[id(loop)] = ChainRow(chain, {}, loop)
        self.chained[id(loop)] = chain, 0
        self._visit(chain.inputs)

    def _maker(self, node: Node) -> Any:
        """The call that makes the value of a node; None where that is known."""
        while node.data is None and node.op is None and type(node.call) is AliasCall:
            node = node.call.inputs[0]
        if node.data is not None:
            return None
        return node.call if node.op is None else self.home[id(node)][0].call

    def _makers(self, nodes: Sequence[Node]) -> tuple[list[Any], list[int]]:
        """The calls that make the values of nodes, None where these are known, and the slots."""
        if set(map(id, map(_data, nodes))) == set(map(id, map(_op, nodes))) == _ONLY_NONE:
            calls = list(map(_call, nodes))
            if AliasCall not in set(map(type, calls)):
                return calls, list(map(_slot, nodes))  # the common case, in C
        unknown = [node if node.data is None else None for node in nodes]
        found = [None if n is None else n.call if n.op is None else self.home[id(n)][0].call for n in unknown]
        slots = [-1 if n is None else n.slot if n.op is None else self.home[id(n)][1] for n in unknown]
        for k, call in enumerate(found if AliasCall in set(map(type, found)) else ()):
            if type(call) is AliasCall:
                (found[k],), (slots[k],) = self._makers(call.inputs)
        return found, slots

    def _waits(self, call: Any) -> bool:
        """Whether a call has to run, is in no chain yet and runs before none."""
        if id(call) in self.chained or id(call) in self._first:
            return False
        return call.nodes is not None or id(call) in self.draft_of

    def _is_free(self, call: Any) -> bool:
        """Whether a call may run before all others: it is in no chain, and all it needs is known."""
        return type(call) is FragmentCall and id(call) not in self.chained and not any(self._makers(call.inputs)[0])

    def _chain_of(self, call: RepeatCall) -> tuple[Chain | None, int]:
        """The chain that the calls of a repeat run in one after another, or ran in, and the place of the newest."""
        if _is_loop(call):
            loop, steps = call.rest.loop, call.rest.steps
            return self.chained.get(id(loop), (loop.ran, 0))[0], steps - 1
        calls = call.calls
        chain, k = self.chained.get(id(calls[0]), (None, 0))
        if chain is None or chain.calls[max(k + 1 - len(calls), 0) : k + 1][::-1] != tuple(calls):
            return None, 0
        return chain, k

    def chain_of(self, call: RepeatCall) -> tuple[Any, int]:
        """The same, as it was when this was drawn up."""
        return self._chains[id(call)]

    def by_turns(self) -> bool:
        """Makes calls of several fragments by turns calls of one; whether there were any, so that it has to be drawn up
        once more."""
        if len(self.rows) < 2 * SHORTEST:
            return False
        rows = [row for row in self.rows if type(row) is Row and row.draft is None]
        parts = [row.call for row in rows if type(row.call) is FragmentCall and may_be_part(row.call)]
        return len(parts) >= 2 * SHORTEST and fuse(parts, {})

    def decides(self, step: Any) -> list[Key]:
        """The results of a step that are sizes of later ones."""
        return [key for key in step.places() if key in self.decided]

    def decide(self, keys: Iterable[Key], results: Results) -> None:
        """Notes sizes whose values are among the results now."""
        for key in keys:
            self.sizes.update(dict.fromkeys(self.decided[key], checked(int(results[key]))))

    # -- sums --------------------------------------------------------------------------------------------------------

    def _survey(self, targets: Sequence[Node]) -> None:
        """Reads everything off the nodes that running needs: another thread may change them meanwhile.

        Also finds what need not be kept: results of derived calls that only steps of this schedule read. A cotangent
        is worth nothing once the calls below it have run, and a second derivative computes it again. `_added` are
        those that go into one sum and nowhere else: they are added where they are made. `_released` are the others,
        by the call that reads them last.
        """
        self.targets = [self._source(n) for n in targets]
        self._sources = {
            id(step.call): [self._source(n) if n.data is None else n.data for n in step.call.inputs]
            for step in self.steps
        }
        #: Of the calls of repeats, by id: what operands are; what they had kept.
        self._operands: dict[int, Any] = {}
        self._kept: dict[int, Any] = {}
        #: By the id of a repeat, the chain of its calls.
        self._chains: dict[int, tuple[Chain | None, int]] = {}
        for row in self.rows:
            if type(row.call) is RepeatCall:
                self._survey_repeat(row.call)
        once: list[Any] = [row.call for row in self.rows if type(row) is Row and _is_computed_once(row.call)]
        for row in self.rows:
            if type(row) is ChainRow and is_computed_once(row.call.fragment):
                once += row.call.calls if row.loop is None else [row.loop]
        #: Calls that may not be computed twice, with what waits for them.
        self._once = [(call, call.nodes) for call in once]
        last: dict[Key, int] = {}
        times: Counter[Key] = Counter()
        for call, sources in self._sources.items():
            keys = [s for s in sources if type(s) is tuple]
            times.update(keys)
            last.update(dict.fromkeys(keys, call))
        self._passing = self._find_passing({id(n) for n in targets})
        sums = {id(row.call): row.call for row in self.rows if type(row.call) is SumCall}
        repeats = {row.id for row in self.rows if type(row.call) is RepeatCall}
        self._added: dict[Key, SumCall] = {}
        self._released: dict[int, list[tuple[Key, TensorType]]] = {}
        many = {reader: added_up(call) for reader, call in sums.items()}
        fragments = {row.id: row.call.fragment for row in self.rows if type(row.call) is FragmentCall}
        for key, t in self._passing.items():
            reader = last.get(key, 0)
            # The one term of its kind the sum adds itself: a call alone runs the same program (`engine.backward`).
            one = key[0] in fragments and fragments[key[0]] not in many.get(reader, ())
            if reader in sums and times[key] == 1 and not self.only_targets and not one:
                self._added[key] = sums[reader]
            elif key[0] not in repeats:
                self._released.setdefault(reader, []).append((key, t))

    def _survey_repeat(self, call: RepeatCall) -> None:
        """The same of the calls that a repeat goes through; of a loop its chain knows all."""
        chain, _ = self._chains[id(call)] = self._chain_of(call)
        for node in one_after_another.from_iterable(call.each.values()):
            if node.data is None:
                self._operands[id(node)] = self._source(node)
        if _is_loop(call):
            return
        for p in {which for kind, which in call.plan.sources if kind in ("input", "saved")}:
            if p >= len(call.rest.types):  # a saved value
                continue
            nodes = call.rest.column(p)
            kind = EACH if chain is None else chain.pattern[p]
            if kind >= 0:  # all but the oldest are results of the call before
                keys = zip(map(id, call.calls[1:]), repeat(kind))
                self._operands.update(zip(map(id, nodes), keys, strict=False))
            for node in nodes if kind == EACH else nodes[-1:]:
                if node.data is None:
                    self._operands[id(node)] = self._source(node)
        self._kept.update((id(c), c.saved) for c in call.calls if c.saved is not None)

    def operand(self, node: Node) -> Any:
        """The value of an operand of a call that a repeat goes through, or its key among the results."""
        return self._operands[id(node)]

    def kept(self, call: FragmentCall) -> Any:
        """What a call had kept for its derivative before anything ran here."""
        return self._kept.get(id(call))

    def still_holds(self) -> bool:
        """Whether no other thread has computed meanwhile what may not be computed twice: its choices are those that
        the graph has. Needs the lock."""
        for call, waited in self._once:
            d = self.draft_of.get(id(call))
            if call.nodes is not waited if d is None else any(node.op is None for _, node in d.nodes):
                return False
        return True

    def _source(self, node: Node) -> Any:
        """The value of a node, or its key among the results."""
        if node.op is None and node.data is None and not self.bound and type(node.call) is not AliasCall:
            return id(node.call), node.slot  # the common case
        known = self.known(node)
        return self.key(node) if known is None else known

    def sources(self, call: Any) -> list[Any]:
        """For each input of a call its value, or its key among the results."""
        return self._sources[id(call)]

    def _find_passing(self, targets: set[int]) -> dict[Key, TensorType]:
        rows = [row for row in self.rows if _is_backward(row.call)]
        if not rows:
            return {}
        uses: Counter[int] = Counter()
        for call in [r.call for r in self.rows] + [s.call for s in self.steps if type(s) is MergedRow]:
            uses.update(map(id, call.inputs))
        passing: dict[Key, TensorType] = {}
        for row in rows:
            passing.update(_passing(row, uses, targets))
        return passing

    def is_passing(self, key: Key) -> bool:
        """Whether only steps of this schedule read a result."""
        return key in self._passing

    def released_by(self, call: Any) -> list[tuple[Key, TensorType]]:
        """The results, with their types, that are not needed once a call has run."""
        return self._released.get(id(call), [])

    def is_added(self, source: Any) -> bool:
        """Whether a value goes into its sum where it is made."""
        return type(source) is tuple and source in self._added

    def totals_for(self, places: Mapping[Key, int]) -> dict[int, Array]:
        """For the slots of a step that only go into a sum: the array they are added to."""
        if not self._added:
            return {}
        found: dict[int, Array] = {}
        for key, slot in places.items():
            total = self._added.get(key)
            if total is not None:
                found[slot] = self._total(total)
        return found

    def _total(self, call: SumCall) -> Array:
        made = self.totals.get(id(call))
        if made is None:
            t = at_sizes(call.inputs[0].type, self.sizes)
            made = self.totals[id(call)] = zeros(t.shape, t.dtype)
        return made

    def _merge(self, rows: Sequence[Any]) -> list[Any]:
        """Rows, where a call and one derived from it that waits for nothing else run as one."""
        by_call = {row.id: row for row in rows}
        partner: dict[int, Row] = {}
        taken: set[int] = set()
        for row in rows:
            origin = row.call.origin if type(row.call) is FragmentCall else None
            if (
                origin is None
                or origin[0] is None
                or id(origin[0]) not in by_call
                or id(origin[0]) in partner
                or id(origin[0]) in taken
            ):
                continue
            if all(kind in ("input", "saved") or self.known(node) is not None for (kind, _), node in _given(row.call)):
                partner[id(origin[0])] = row
                taken.add(row.id)
        return [MergedRow(row, partner[row.id]) if row.id in partner else row for row in rows if row.id not in taken]

    def _row(self, node: Node) -> Row:
        draft = self.home[id(node)][0] if node.op is not None else None
        call = draft.call if draft is not None else node.call
        if type(call) is Formal:
            raise call.asked()
        if type(call) is Placeholder:
            raise BindingError(
                f"placeholder {call.name!r} is not bound",
                wanted=f"{node.type}",
                hint=f"pass bindings={{{call.name}: array}} to eval",
            )
        assert type(call) in _RUN, call
        return Row(call, draft)


def _is_backward(call: Any) -> bool:
    """Whether a call is of a backward pass, and has yet to run."""
    derived = type(call) is FragmentCall and call.origin is not None
    return (derived or type(call) in (ReplayCall, RepeatCall)) and bool(call.nodes)


def _passing(row: Row, uses: Mapping[int, int], targets: set[int]) -> dict[Key, TensorType]:
    """Results of a call whose nodes are referred to by inputs of scheduled calls only, with their types."""
    entries = row.call.nodes
    if type(row.call) is RepeatCall:  # its sums can be added to another sum; the rest is handed over as it is
        entries = [entry for entry in entries if entry[0] in row.call.sums]
    slots = [slot for slot, _ in entries]
    nodes = [ref() for _, ref in entries]
    found: dict[Key, TensorType] = {}
    kept: set[Key] = set()
    for slot, node, count in zip(slots, nodes, list(map(getrefcount, nodes)), strict=True):
        if node is None:
            continue
        key = (row.id, slot)
        found[key] = node.type
        if id(node) in targets or count != ONLY_REFERENCE + uses.get(id(node), 0) or not node.type.concrete:
            kept.add(key)
    for key in kept:
        del found[key]
    return found


def _given(call: FragmentCall) -> Iterable[Any]:
    """What a derived call's inputs are, with the nodes."""
    assert call.origin is not None
    return zip(call.origin[1].sources, call.inputs, strict=True)


def _is_loop(call: RepeatCall) -> bool:
    """Whether a repeat goes through the rows of a loop, which has not been taken apart."""
    return type(call.rest) is LoopRun and call.rest.loop.calls is None


def _is_computed_once(call: Any) -> bool:
    """Whether that holds of a call (of a repeat's calls, what they kept is read)."""
    return type(call) is FragmentCall and is_computed_once(call.fragment)

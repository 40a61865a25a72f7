"""Identity of values and operations across fragments.

`GlobalValKey` is `Input(id, type)` or `Derived(op_key, slot)`; `GlobalOpKey` is an operation with its parameters, the
keys of its operands, its sizes and its mode. Both are interned with weak values: structural equality is object
identity and hashing costs O(1), so no comparison ever descends into a graph however deep it is.
A key lives as long as somebody holds it; the chain below it lives with it.
"""

from __future__ import annotations

import weakref
from collections.abc import Hashable
from typing import Any, ClassVar, NamedTuple

from nbgraph.op import Op, Sizes
from nbgraph.types import Shape, TensorType
from nbgraph_kernels.locks import lock

_LOCK = lock()
_SIZES = Sizes()


class Linear(NamedTuple):
    """Mode of an operation in a linear fragment: which operands carry tangents. It is part of identity, because a
    product linear in its first operand transposes differently from one linear in its second."""

    active: tuple[bool, ...]


PRIMAL = None  # the mode of an ordinary operation
Mode = Linear | None


class GlobalValKey:
    """Identity of a value: `Input` or `Derived`."""

    __slots__ = ("__weakref__", "type")
    type: TensorType
    linear: bool


class Input(GlobalValKey):
    """A value that comes from outside. `linear` inputs are tangents or cotangents."""

    __slots__ = ("id", "linear")
    _table: ClassVar[weakref.WeakValueDictionary[Any, Input]] = weakref.WeakValueDictionary()
    id: Hashable

    def __new__(cls, id: Hashable, type: TensorType, linear: bool = False) -> Input:
        key = (id, type, linear)
        with _LOCK:
            found = cls._table.get(key)
            if found is None:
                found = object.__new__(cls)
                found.id, found.type, found.linear = id, type, linear
                cls._table[key] = found
            return found

    def __reduce__(self) -> Any:
        return Input, (self.id, self.type, self.linear)

    def __repr__(self) -> str:
        return f"Input({self.id!r}: {self.type})"


class GlobalOpKey:
    """Structural identity of an operation: primitive with its parameters, input keys, sizes, mode."""

    __slots__ = ("__weakref__", "inputs", "mode", "op", "sizes", "types")
    _table: ClassVar[weakref.WeakValueDictionary[Any, GlobalOpKey]] = weakref.WeakValueDictionary()
    op: Op
    inputs: tuple[GlobalValKey, ...]
    sizes: Shape
    mode: Mode
    types: tuple[TensorType, ...]

    def __new__(cls, op: Op, inputs: tuple[GlobalValKey, ...], sizes: Shape = ()) -> GlobalOpKey:
        # The operands are alive (they are in `inputs`), so their addresses identify them.
        key = (op, tuple(map(id, inputs)), sizes)
        with _LOCK:
            found = cls._table.get(key)
            if found is None:
                found = object.__new__(cls)
                found.op, found.inputs, found.sizes = op, inputs, sizes
                mask = tuple(k.linear for k in inputs)
                found.mode = Linear(mask) if any(mask) else PRIMAL
                inferred = op.infer(_SIZES, [k.type for k in inputs], sizes)
                found.types = inferred if isinstance(inferred, tuple) else (inferred,)
                cls._table[key] = found
            return found

    def results(self) -> tuple[GlobalValKey, ...]:
        """The keys of all results."""
        return tuple(Derived(self, slot) for slot in range(len(self.types)))

    def __repr__(self) -> str:
        mode = "" if self.mode is PRIMAL else f" linear{tuple(map(int, self.mode.active))}"
        return f"GlobalOpKey({self.op!r}/{len(self.inputs)}{mode} -> {', '.join(map(str, self.types))})"


class Derived(GlobalValKey):
    """Result `slot` of an operation."""

    __slots__ = ("op_key", "slot")
    _table: ClassVar[weakref.WeakValueDictionary[Any, Derived]] = weakref.WeakValueDictionary()
    op_key: GlobalOpKey
    slot: int

    def __new__(cls, op_key: GlobalOpKey, slot: int) -> Derived:
        key = (id(op_key), slot)
        with _LOCK:
            found = cls._table.get(key)
            if found is None:
                found = object.__new__(cls)
                found.op_key, found.slot, found.type = op_key, slot, op_key.types[slot]
                cls._table[key] = found
            return found

    @property
    def linear(self) -> bool:  # type: ignore[override]
        return self.op_key.mode is not PRIMAL

    def __repr__(self) -> str:
        return f"Derived({self.op_key!r}, {self.slot})"


def operations_below(outputs: Any, stop: Any = ()) -> list[GlobalOpKey]:
    """The operations that `outputs` need, operands first, without recursion; keys in `stop` count as inputs."""
    done: set[int] = set()
    order: list[GlobalOpKey] = []
    stopped = {id(k) for k in stop}
    stack = [k.op_key for k in reversed(list(outputs)) if isinstance(k, Derived) and id(k) not in stopped]
    while stack:
        top = stack[-1]
        if id(top) in done:
            stack.pop()
            continue
        below = [
            k.op_key
            for k in reversed(top.inputs)
            if isinstance(k, Derived) and id(k) not in stopped and id(k.op_key) not in done
        ]
        if below:
            stack.extend(below)
        else:
            stack.pop()
            done.add(id(top))
            order.append(top)
    return order

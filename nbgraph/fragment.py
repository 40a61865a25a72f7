"""Fragments: closed regions of operations as a flat SSA list.

In: a `FragmentBuilder` fed with input types and operations.
Out: `Fragment`, hash-consed: the same structure is the same object (`f1 is f2`).
Holds: values are numbered, inputs first, then the results in order; an operation's operands come before it.
No values and no concrete sizes: each size that is not literally 1 is a symbol, `("d", i, axis)` where it can be read
off input `i`, else `("w", k)`, the k-th run-time word of a call.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from nbgraph.dims import DimExpr, dim, evaluate, substitute, symbols
from nbgraph.errors import BindingError, NbgraphError
from nbgraph.keys import Derived, GlobalOpKey, GlobalValKey, Input
from nbgraph.op import REGISTRY, Op, Sizes
from nbgraph.types import Shape, Size, TensorType, code_of
from nbgraph_kernels.locks import lock

_LOCK = lock()


class Instr(NamedTuple):
    """One operation in SSA form: results are `first, first + 1, ... first + op.n_out - 1`."""

    op: Op
    ins: tuple[int, ...]
    sizes: Shape
    first: int

    @property
    def outs(self) -> range:
        return range(self.first, self.first + self.op.n_out)


class Fragment:
    """A closed region of operations with positional inputs and outputs. Make one with `FragmentBuilder`.

    `inputs` and `types` are symbolic types (`types` of every value), `instrs` the operations, `outputs` value numbers,
    `n_words` how many run-time words a call brings.
    """

    __slots__ = ("__weakref__", "cache", "inputs", "instrs", "n_words", "outputs", "types")
    _table: ClassVar[weakref.WeakValueDictionary[Any, Fragment]] = weakref.WeakValueDictionary()

    inputs: tuple[TensorType, ...]
    instrs: tuple[Instr, ...]
    outputs: tuple[int, ...]
    types: tuple[TensorType, ...]
    n_words: int
    #: Derived structure (derivatives, executable versions), filled by the layers above under `lock`.
    cache: dict[Any, Any]

    lock = _LOCK

    def __new__(
        cls,
        inputs: tuple[TensorType, ...],
        instrs: tuple[Instr, ...],
        outputs: tuple[int, ...],
        types: tuple[TensorType, ...],
        n_words: int = 0,
    ) -> Fragment:
        key = (inputs, instrs, outputs, n_words)
        with _LOCK:
            found = cls._table.get(key)
            if found is None:
                found = object.__new__(cls)
                found.inputs, found.instrs, found.outputs = inputs, instrs, outputs
                found.types, found.n_words, found.cache = types, n_words, {}
                cls._table[key] = found
            return found

    def __reduce__(self) -> Any:
        return Fragment, (self.inputs, self.instrs, self.outputs, self.types, self.n_words)

    @property
    def key(self) -> tuple[GlobalValKey, ...]:
        """The keys of the outputs, inputs numbered by position."""
        return self.output_keys

    @property
    def input_keys(self) -> tuple[Input, ...]:
        """`Input(i)` for each input."""
        return tuple(Input(i, t) for i, t in enumerate(self.inputs))

    @property
    def output_keys(self) -> tuple[GlobalValKey, ...]:
        keys = self.value_keys()
        return tuple(keys[o] for o in self.outputs)

    def value_keys(self, inputs: Sequence[GlobalValKey] | None = None) -> list[GlobalValKey]:
        """The key of every value, given the keys of the inputs (default `Input(i)`)."""
        keys: list[GlobalValKey] = list(self.input_keys if inputs is None else inputs)
        for instr in self.instrs:
            op_key = GlobalOpKey(instr.op, tuple(keys[i] for i in instr.ins), instr.sizes)
            keys.extend(op_key.results())
        return keys

    def environment(self, types: Sequence[TensorType], words: Sequence[Size]) -> dict[Any, Size]:
        """What each size symbol stands for at a call with these input types and words."""
        env: dict[Any, Size] = {("w", k): w for k, w in enumerate(words)}
        for i, given in enumerate(types):
            for axis, size in enumerate(given.shape):
                env["d", i, axis] = size
        for i, (mine, given) in enumerate(zip(self.inputs, types, strict=True)):
            _check_sizes(i, mine, given, env)
        return env

    def __repr__(self) -> str:
        return f"<Fragment of {len(self.instrs)} operations, {len(self.inputs)} inputs>"

    def __str__(self) -> str:
        from nbgraph.pretty import fragment_text

        return fragment_text(self)


def _check_sizes(i: int, mine: TensorType, given: TensorType, env: Mapping[Any, Size]) -> None:
    """Sizes that the operations need equal are equal (placeholders learn it only here)."""
    wanted = tuple(size_at(d, env) for d in mine.shape)
    for w, g in zip(wanted, given.shape, strict=True):
        if type(w) is int and type(g) is int and w != g:
            raise BindingError("sizes do not fit together", position=i, got=given.shape, wanted=wanted)


def at_sizes(t: TensorType, env: Mapping[Any, Size]) -> TensorType:
    """A symbolic type with its symbols replaced by what they stand for."""
    if t.concrete:
        return t
    return TensorType(t.code, tuple(d if type(d) is int else size_at(d, env) for d in t.shape))


def size_at(d: Size, env: Mapping[Any, Size]) -> Size:
    """A size with its symbols replaced; an int where everything is known."""
    if type(d) is int:
        return d
    try:
        return evaluate(d, env)  # type: ignore[arg-type]
    except TypeError:
        return substitute(d, env)


class _Unify(Sizes):
    """Shape rules over symbols: sizes that an operation needs equal become one symbol."""

    def __init__(self) -> None:
        self.replaced: dict[Any, Size] = {}

    def find(self, d: Size) -> Size:
        """The representative of a size."""
        while isinstance(d, DimExpr) and self.replaced:
            known = {n: self.replaced[n] for n in symbols(d) if n in self.replaced}
            if not known:
                break
            d = substitute(d, known)
        return d

    def same(self, a: Size, b: Size) -> Size:
        a, b = self.find(a), self.find(b)
        if a is b or a == b:
            return a
        if type(a) is int and type(b) is int:
            return super().same(a, b)
        keep, drop = (a, b) if _is_plainer(b, a) else (b, a)
        name = drop.symbol if isinstance(drop, DimExpr) else None
        if name is not None and not (isinstance(keep, DimExpr) and name in symbols(keep)):
            self.replaced[name] = keep
        return keep


def _is_plainer(drop: Size, keep: Size) -> bool:
    """Whether `drop` is the better one to replace: words before input sizes, later before earlier symbols."""
    if not isinstance(drop, DimExpr) or drop.symbol is None:
        return False
    if not isinstance(keep, DimExpr) or keep.symbol is None:
        return True
    return _age(drop.symbol) > _age(keep.symbol)


def _age(name: Any) -> tuple[Any, ...]:
    return (1, *name[1:]) if name[0] == "w" else (0, *name[1:])


class FragmentBuilder:
    """Builds a `Fragment` operation by operation.

    >>> import nbgraph.ops
    >>> b = FragmentBuilder()
    >>> x = b.input(TensorType("f8", ("n", "m")))
    >>> f = b.build([b.op("sin", b.op("multiply", x, x))])
    >>> f
    <Fragment of 2 operations, 1 inputs>
    """

    def __init__(self) -> None:
        self.cx = _Unify()
        self.inputs: list[TensorType] = []
        self.types: list[TensorType] = []
        self.instrs: list[Instr] = []
        self.words: list[DimExpr] = []
        self._known: dict[Any, Any] = {}

    def input(self, type: Any) -> int:
        """A new input of this type (a `TensorType`, `(dtype, shape)`, or anything with `.dtype` and `.shape`)."""
        t = _as_type(type)
        if self.instrs:
            raise NbgraphError("inputs come before operations", operation="FragmentBuilder.input")
        i = len(self.inputs)
        shape = tuple(1 if d == 1 and type_is_int(d) else dim(("d", i, axis)) for axis, d in enumerate(t.shape))
        self._unify_names(t.shape, shape)
        self.inputs.append(t.with_shape(shape))
        self.types.append(self.inputs[i])
        return i

    def _unify_names(self, given: Shape, mine: Shape) -> None:
        """Equal names in the given shapes stand for equal sizes."""
        named: dict[Any, Size] = self.__dict__.setdefault("_named", {})
        for theirs, symbol in zip(given, mine, strict=True):
            if not type_is_int(theirs):
                self.cx.same(named.setdefault(theirs, symbol), symbol)

    def word(self) -> DimExpr:
        """A new size that only a call knows."""
        w = dim(("w", len(self.words)))
        self.words.append(w)
        return w

    def op(self, op: str | Op, *values: int, sizes: Shape | None = None, **params: Any) -> Any:
        """Appends an operation by its registered name with NumPy's keywords, or an `Op` with its sizes.

        Returns the number of its result, or a tuple of numbers.
        """
        ins = [self.types[v] for v in values]
        if isinstance(op, str):
            op, bound = REGISTRY[op].bind(ins, **params)
            sizes = bound if sizes is None else sizes
        key = (op, tuple(values), tuple(sizes or ()))
        if key not in self._known:
            self._known[key] = self.append(*key)
        return self._known[key]

    def append(self, op: Op, values: tuple[int, ...], sizes: Shape) -> Any:
        """Appends an `Op` in any case; `op` merges equal operations."""
        instr = Instr(op, values, sizes, len(self.types))
        t = op.infer(self.cx, [self.types[v] for v in values], sizes)
        self.types.extend(t if isinstance(t, tuple) else (t,))
        self.instrs.append(instr)
        return instr.first if op.n_out == 1 else tuple(instr.outs)

    def build(self, outputs: Any) -> Fragment:
        """The finished fragment; operations that no output needs are dropped."""
        wanted = [outputs] if isinstance(outputs, int) else list(outputs)
        instrs = list(live_instrs(self.instrs, wanted))
        return self.finish(instrs, wanted)[0]

    def finish(self, instrs: Sequence[Instr], outputs: Sequence[int]) -> tuple[Fragment, tuple[Size, ...]]:
        """The canonical fragment, and for each of its words the size (in this builder's symbols) it stands for."""
        return canonical(len(self.inputs), self.types, instrs, outputs, self.cx.find)


def type_is_int(d: Any) -> bool:
    return isinstance(d, int) and not isinstance(d, bool)


def _as_type(given: Any) -> TensorType:
    if isinstance(given, TensorType):
        return given
    if isinstance(given, tuple) and len(given) == 2:
        return TensorType(code_of(given[0]), tuple(given[1]))
    inner = getattr(given, "type", None)
    if isinstance(inner, TensorType):
        return inner
    return TensorType(code_of(given.dtype), tuple(given.shape))


def live_instrs(instrs: Sequence[Instr], outputs: Iterable[int]) -> Iterator[Instr]:
    """Those operations, in order, that the outputs need."""
    needed = set(outputs)
    keep = []
    for instr in reversed(instrs):
        if not needed.isdisjoint(instr.outs):
            keep.append(instr)
            needed.update(instr.ins)
    return reversed(keep)


def canonical(
    n_inputs: int,
    types: Sequence[TensorType],
    instrs: Sequence[Instr],
    outputs: Sequence[int],
    find: Any = lambda d: d,
) -> tuple[Fragment, tuple[Size, ...]]:
    """Numbers values by position and renames size symbols canonically.

    Returns the fragment and, for each of its words, the original size that the word stands for.
    """
    names = _Names(find, types[:n_inputs])
    number = {v: v for v in range(n_inputs)}
    new_types = [names.type(t) for t in types[:n_inputs]]
    new_instrs = []
    for instr in instrs:
        first = len(new_types)
        for slot, old in enumerate(instr.outs):
            number[old] = first + slot
            new_types.append(names.type(types[old]))
        sizes = tuple(names.size(s) for s in instr.sizes)
        new_instrs.append(Instr(instr.op, tuple(number[i] for i in instr.ins), sizes, first))
    fragment = Fragment(
        tuple(new_types[:n_inputs]),
        tuple(new_instrs),
        tuple(number[o] for o in outputs),
        tuple(new_types),
        len(names.words),
    )
    return fragment, tuple(names.words)


class _Names:
    """Renames size symbols: those that can be read off an input first, others as words in the order they are met."""

    def __init__(self, find: Any, inputs: Sequence[TensorType]) -> None:
        self.find = find
        self.renamed: dict[Any, Size] = {}
        self.words: list[Size] = []
        self._found: dict[DimExpr, Size] = {}  # a size occurs in many types, and what it is renamed to stays
        for i, t in enumerate(inputs):
            for axis, d in enumerate(t.shape):
                d = find(d)
                if isinstance(d, DimExpr) and d.symbol is not None:
                    self.renamed.setdefault(d.symbol, dim(("d", i, axis)))

    def size(self, d: Size) -> Size:
        if not isinstance(d, DimExpr):
            return d
        found = self._found.get(d)
        if found is None:
            found = self._found[d] = self._renamed(self.find(d))
        return found

    def _renamed(self, d: Size) -> Size:
        for name in sorted(symbols(d) - self.renamed.keys(), key=repr):
            self.renamed[name] = dim(("w", len(self.words)))
            self.words.append(dim(name))
        return substitute(d, self.renamed)

    def type(self, t: TensorType) -> TensorType:
        if t.concrete:
            return t
        return TensorType(t.code, tuple(self.size(d) for d in t.shape))


__all__ = [
    "Derived",
    "Fragment",
    "FragmentBuilder",
    "GlobalOpKey",
    "GlobalValKey",
    "Input",
    "Instr",
    "at_sizes",
    "canonical",
    "live_instrs",
    "size_at",
]

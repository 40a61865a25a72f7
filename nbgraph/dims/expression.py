"""Expressions over sizes in canonical form.

In: names of sizes, and terms. Out: `DimExpr`, interned, and atoms; numbers stay ints.
Holds:
- Equal canonical expressions are the identical object, so `==` is `is` and hashing is O(1).
- A symbol stands for a size, so it is >= 0.

A canonical polynomial lists its terms in graded lexicographic order. A term is a monomial (atoms with
powers, atoms in order) and a nonzero coefficient; an atom is a symbol or an operation that is not
polynomial, with canonical operands. Order never depends on addresses, only on names and structure, so
it is the same in every process. What the operations of expressions do is said in `arithmetic` and `division`, which put
them into `OPERATIONS`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable, Mapping
from itertools import count
from typing import Any, Final, NoReturn, SupportsIndex, TypeAlias, cast, final
from weakref import WeakValueDictionary

from nbgraph.dims.order import digest, name_key, term_key
from nbgraph.errors import BindingError, ConcretizationError, named
from nbgraph_kernels.locks import lock

SYMBOL: Final = "symbol"
FLOOR: Final = "//"
MODULO: Final = "%"
MIN: Final = "min"
MAX: Final = "max"

Monomial: TypeAlias = "tuple[tuple[Atom, int], ...]"
Polynomial: TypeAlias = "dict[Monomial, int]"
Key: TypeAlias = "tuple[Any, ...]"

ONE: Final[Monomial] = ()

#: What + - * // % min max do with sizes.
OPERATIONS: Final[dict[str, Callable[..., Size]]] = {}

# Weak values: names may be numbered per graph, so a table that only grows would be a leak. The lock is
# reentrant because building an object can run the collector, and with it anybody's finaliser.
_table: WeakValueDictionary[Key, Any] = WeakValueDictionary()
_lock = lock()
_serial = count()


def _interned(key: Key, build: Callable[[], Any]) -> Any:
    found = _table.get(key)
    if found is None:
        with _lock:
            found = _table.get(key)
            if found is None:
                found = _table[key] = build()
    return found


class _Frozen:
    """Set once while it is built, read-only afterwards; copies are the object itself."""

    __slots__ = ("__weakref__",)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __copy__(self) -> _Frozen:
        return self

    def __deepcopy__(self, memo: object) -> _Frozen:
        return self

    def _set(self, **values: object) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)


@final
class Atom(_Frozen):
    """A factor that no polynomial identity opens: a symbol, or an operation on canonical sizes."""

    __slots__ = ("args", "key", "kind", "names", "nonnegative")
    kind: str
    args: tuple[Any, ...]
    key: Key
    names: frozenset[Hashable]
    nonnegative: bool

    def __init__(self, kind: str, args: tuple[Any, ...]) -> None:
        if kind == SYMBOL:
            key: Key = (0, name_key(args[0]), "", next(_serial))
            names = frozenset(args)
        else:
            key = (1, (), digest(kind, args), next(_serial))
            names = frozenset[Hashable]().union(*map(symbols, args))
        self._set(kind=kind, args=args, key=key, names=names, nonnegative=_atom_nonnegative(kind, args))

    def __reduce__(self) -> tuple[Any, ...]:
        return atom_of, (self.kind, *self.args)


def atom_of(kind: str, *args: Any) -> Atom:
    # 1, 1.0 and True are equal but are different names.
    key = (kind, type(args[0]), args[0]) if kind == SYMBOL else (kind, *args)
    return cast(Atom, _interned(key, lambda: Atom(kind, args)))


def _atom_nonnegative(kind: str, args: tuple[Any, ...]) -> bool:
    match kind:
        case "symbol":
            return True
        case "%":
            return nonnegative(args[1])
        case "max":
            return any(map(nonnegative, args))
        case _:
            return all(map(nonnegative, args))


@final
class DimExpr(_Frozen):
    """A size that is known only when the program runs. Made by `dim` and by arithmetic.

    >>> n, m = dim("n"), dim("m")
    >>> (n + 1) * m - m
    m*n
    >>> (n * m) // m is n, n - n, (n + 3) // 2
    (True, 0, (n + 1)//2 + 1)
    """

    __slots__ = ("names", "terms")
    terms: tuple[tuple[Monomial, int], ...]
    names: frozenset[Hashable]

    def __init__(self, terms: tuple[tuple[Monomial, int], ...]) -> None:
        names = frozenset[Hashable]().union(*(atom.names for mono, _ in terms for atom, _ in mono))
        self._set(terms=terms, names=names)

    @property
    def symbol(self) -> Any:
        """The name where the expression is a lone symbol, else None."""
        if len(self.terms) == 1 and self.terms[0][1] == 1 and len(self.terms[0][0]) == 1:
            atom, power = self.terms[0][0][0]
            if power == 1 and atom.kind == SYMBOL:
                return atom.args[0]
        return None

    def __add__(self, other: Size) -> Size:
        return _arithmetic("+", self, other)

    def __radd__(self, other: Size) -> Size:
        return _arithmetic("+", other, self)

    def __sub__(self, other: Size) -> Size:
        return _arithmetic("-", self, other)

    def __rsub__(self, other: Size) -> Size:
        return _arithmetic("-", other, self)

    def __mul__(self, other: Size) -> Size:
        return _arithmetic("*", self, other)

    def __rmul__(self, other: Size) -> Size:
        return _arithmetic("*", other, self)

    def __floordiv__(self, other: Size) -> Size:
        return _arithmetic("//", self, other)

    def __rfloordiv__(self, other: Size) -> Size:
        return _arithmetic("//", other, self)

    def __mod__(self, other: Size) -> Size:
        return _arithmetic("%", self, other)

    def __rmod__(self, other: Size) -> Size:
        return _arithmetic("%", other, self)

    def __divmod__(self, other: Size) -> tuple[Size, Size]:
        return self // other, self % other

    def __rdivmod__(self, other: Size) -> tuple[Size, Size]:
        return other // self, other % self

    def __pow__(self, exponent: Any) -> Any:
        if isinstance(exponent, float | complex):
            return float(self) ** exponent
        if not isinstance(exponent, int) or exponent < 0:
            return NotImplemented
        power: Size = 1
        for _ in range(exponent):
            power = self * power
        return power

    def __neg__(self) -> Size:
        return OPERATIONS["*"](self, -1)

    def __pos__(self) -> DimExpr:
        return self

    def __truediv__(self, other: Any) -> Any:
        return float(self) / _number(other) if isinstance(other, _NUMBERS) else NotImplemented

    def __rtruediv__(self, other: Any) -> Any:
        return _number(other) / float(self) if isinstance(other, _NUMBERS) else NotImplemented

    def __index__(self) -> int:
        return self._asked("an int")

    def __float__(self) -> float:
        hint = "nbg.asarray(size) is the size as a tensor, for arithmetic with any numbers"
        return float(self._asked("a float", hint))

    def __bool__(self) -> bool:
        return self._asked("a truth value") != 0

    def __lt__(self, other: SupportsIndex) -> bool:
        return self._asked("the outcome of a comparison") < operator.index(other)

    def __le__(self, other: SupportsIndex) -> bool:
        return self._asked("the outcome of a comparison") <= operator.index(other)

    def __gt__(self, other: SupportsIndex) -> bool:
        return self._asked("the outcome of a comparison") > operator.index(other)

    def __ge__(self, other: SupportsIndex) -> bool:
        return self._asked("the outcome of a comparison") >= operator.index(other)

    def _asked(self, wanted: str, hint: str = "") -> int:
        """The number, where all names are of sizes that can be asked for (`nbgraph.decided`)."""
        ask = {name: getattr(name, "ask", None) for name in self.names}
        if not all(ask.values()):
            self._refuse(wanted, hint)
        return evaluate(self, {name: known() for name, known in ask.items() if known})

    def _refuse(self, wanted: str, hint: str = "") -> NoReturn:
        raise ConcretizationError(
            f"{wanted} was asked of the size {self}, whose value is known only when sizes are bound",
            hint=hint or "keep it symbolic (dim_min, dim_max, arithmetic), or bind concrete sizes",
        )

    def __repr__(self) -> str:
        from nbgraph.dims.text import render

        return render(self, str, people=True)

    def __format__(self, spec: str) -> str:
        try:
            return format(str(self), spec)
        except ValueError:  # a format of numbers
            return format(self._asked("a number as text"), spec)

    def __reduce__(self) -> tuple[Any, ...]:
        return restore, (self.terms,)


Size: TypeAlias = "int | DimExpr"


@named
def dim(name: Hashable) -> DimExpr:
    """The size called `name`.

    >>> dim("n") is dim("n"), dim("n") == dim("m")
    (True, False)
    """
    return cast(DimExpr, canonical({((atom_of(SYMBOL, name), 1),): 1}))


def symbols(expr: Size) -> frozenset[Hashable]:
    """The names of the symbols in `expr`.

    >>> sorted(symbols(dim("n") // dim("m") + 1)), symbols(3)
    (['m', 'n'], frozenset())
    """
    return expr.names if isinstance(expr, DimExpr) else frozenset()


def evaluate(expr: Size, env: Mapping[Hashable, int]) -> int:
    """The value of `expr` where each name has the value `env` gives it.

    >>> evaluate((dim("n") + 1) // 2, {"n": 6})
    3
    """
    if not isinstance(expr, DimExpr):
        return expr
    total = 0
    for mono, value in expr.terms:
        for atom, power in mono:
            value *= _evaluate_atom(atom, env) ** power
        total += value
    return total


def _evaluate_atom(atom: Atom, env: Mapping[Hashable, int]) -> int:
    kind, args = atom.kind, atom.args
    if kind == SYMBOL:
        try:
            return env[args[0]]
        except KeyError:
            raise BindingError(f"the size {args[0]} has no value") from None
    if kind == FLOOR:
        return evaluate(args[0], env) // evaluate(args[1], env)
    if kind == MODULO:
        return evaluate(args[0], env) % evaluate(args[1], env)
    values = [evaluate(arg, env) for arg in args]
    if any(isinstance(v, DimExpr) for v in values):  # to compare one that the data decide would be to run it
        raise TypeError("an extremum of sizes that are not known")
    return (min if kind == MIN else max)(values)


# -- operators with numbers of any kind -------------------------------------------------------------------------------

_NUMBERS: Final = (int, float, complex, DimExpr)
_OF_NUMBERS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": operator.floordiv,
    "%": operator.mod,
}


def _arithmetic(symbol: str, left: Any, right: Any) -> Size:
    """Take ints of any kind (NumPy's too); with a float, ask for the number; leave the rest to the other operand."""
    try:
        sizes = as_size(left), as_size(right)
    except TypeError:
        if isinstance(left, _NUMBERS) and isinstance(right, _NUMBERS):
            return _OF_NUMBERS[symbol](_number(left), _number(right))  # type: ignore[no-any-return]
        return NotImplemented  # type: ignore[no-any-return]
    return OPERATIONS[symbol](*sizes)


def _number(x: Any) -> Any:
    return float(x) if isinstance(x, DimExpr) else x


def as_size(x: Size | SupportsIndex) -> Size:
    return x if isinstance(x, DimExpr) else operator.index(x)


# -- canonical form ---------------------------------------------------------------------------------------------------


def canonical(poly: Polynomial) -> Size:
    terms = [(mono, coef) for mono, coef in poly.items() if coef]
    if not terms:
        return 0
    if len(terms) == 1 and terms[0][0] == ONE:
        return terms[0][1]
    terms.sort(key=term_key)
    fixed = tuple(terms)
    return cast(DimExpr, _interned(fixed, lambda: DimExpr(fixed)))


def restore(terms: tuple[tuple[Monomial, int], ...]) -> Size:
    """Unpickle: order is found anew, as ties between names of one text depend on the process."""
    return canonical({monomial(dict(mono)): coef for mono, coef in terms})


def polynomial(size: Size) -> Polynomial:
    return {ONE: size} if isinstance(size, int) else dict(size.terms)


def monomial(powers: dict[Atom, int]) -> Monomial:
    return tuple(sorted(((a, p) for a, p in powers.items() if p), key=lambda factor: factor[0].key))


def nonnegative(size: Size) -> bool:
    """Whether it is plain to see that the size is >= 0 for all sizes."""
    if isinstance(size, int):
        return size >= 0
    return all(coef > 0 and all(atom.nonnegative for atom, _ in mono) for mono, coef in size.terms)


def is_at_least(a: Size, b: Size) -> bool:
    """Whether it is plain to see that a >= b for all sizes: a - b is `nonnegative`."""
    difference = polynomial(a)
    for mono, coef in polynomial(b).items():
        difference[mono] = difference.get(mono, 0) - coef
    return all(c == 0 or (c > 0 and all(atom.nonnegative for atom, _ in mono)) for mono, c in difference.items())


def wrap(atom: Atom) -> DimExpr:
    return cast(DimExpr, canonical({((atom, 1),): 1}))


def only_atom(size: Size) -> Atom | None:
    """The atom, where the size is nothing but one."""
    if isinstance(size, int) or len(size.terms) > 1:
        return None
    mono, coef = size.terms[0]
    return mono[0][0] if coef == 1 and len(mono) == 1 and mono[0][1] == 1 else None

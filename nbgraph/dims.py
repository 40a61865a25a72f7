"""Symbolic sizes: integer polynomials over size symbols, `//`, `%`, `min` and `max`.

In: names of sizes, ints, and arithmetic on them.
Out: a `Size`: a plain `int` where the result is constant, else an interned `DimExpr`.
Holds:
- Equal canonical expressions are the identical object, so `==` is `is` and hashing is O(1).
- A symbol stands for a size, so it is >= 0; simplifications may use that, and nothing else.
- Where `a // b` simplifies (`n*m // m` is `n`), the divisor is taken to be nonzero.

A canonical polynomial lists its terms in graded lexicographic order. A term is a monomial (atoms with
powers, atoms in order) and a nonzero coefficient; an atom is a symbol or an operation that is not
polynomial, with canonical operands. Order never depends on addresses, only on names and structure, so
it is the same in every process.
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import reduce
from hashlib import blake2b
from itertools import count
from math import gcd
from typing import Any, Final, NoReturn, SupportsIndex, TypeAlias, cast, final
from weakref import WeakValueDictionary

from nbgraph.errors import BindingError, ConcretizationError

__all__ = [
    "DimExpr",
    "Size",
    "dim",
    "dim_max",
    "dim_min",
    "evaluate",
    "substitute",
    "symbols",
    "to_source",
]

SYMBOL: Final = "symbol"
FLOOR: Final = "//"
MODULO: Final = "%"
MIN: Final = "min"
MAX: Final = "max"

Monomial: TypeAlias = "tuple[tuple[_Atom, int], ...]"
Polynomial: TypeAlias = "dict[Monomial, int]"
Key: TypeAlias = "tuple[Any, ...]"

_ONE: Final[Monomial] = ()

# Weak values: names may be numbered per graph, so a table that only grows would be a leak. The lock is
# reentrant because building an object can run the collector, and with it anybody's finaliser.
_table: WeakValueDictionary[Key, Any] = WeakValueDictionary()
_lock = threading.RLock()
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
class _Atom(_Frozen):
    """A factor that no polynomial identity opens: a symbol, or an operation on canonical sizes."""

    __slots__ = ("args", "key", "kind", "names", "nonnegative")
    kind: str
    args: tuple[Any, ...]
    key: Key
    names: frozenset[Hashable]
    nonnegative: bool

    def __init__(self, kind: str, args: tuple[Any, ...]) -> None:
        if kind == SYMBOL:
            key: Key = (0, _name_key(args[0]), "", next(_serial))
            names = frozenset(args)
        else:
            key = (1, (), _digest(kind, args), next(_serial))
            names = frozenset[Hashable]().union(*map(symbols, args))
        self._set(kind=kind, args=args, key=key, names=names, nonnegative=_atom_nonnegative(kind, args))

    def __reduce__(self) -> tuple[Any, ...]:
        return _atom, (self.kind, *self.args)


def _atom(kind: str, *args: Any) -> _Atom:
    # 1, 1.0 and True are equal but are different names.
    key = (kind, type(args[0]), args[0]) if kind == SYMBOL else (kind, *args)
    return cast(_Atom, _interned(key, lambda: _Atom(kind, args)))


def _atom_nonnegative(kind: str, args: tuple[Any, ...]) -> bool:
    match kind:
        case "symbol":
            return True
        case "%":
            return _nonnegative(args[1])
        case "max":
            return any(map(_nonnegative, args))
        case _:
            return all(map(_nonnegative, args))


def _name_key(name: Hashable) -> Key:
    """An order for names of any type: numbers by value, text by alphabet, tuples by item."""
    match name:
        case bool():
            return (3, repr(name))
        case int():
            return (0, name)
        case str():
            return (1, name)
        case tuple():
            return (2, tuple(map(_name_key, name)))
        case _:
            return (3, repr(name))


def _digest(kind: str, args: Iterable[Size]) -> str:
    """An order for operations: by their text while it is short, by a hash of it where it is long.

    Bounded, because operands share parts and a written-out text can be exponentially long.
    """
    text = f"{kind}({', '.join(map(_label, args))})"
    return text if len(text) <= 120 else f"{kind}#{blake2b(text.encode(), digest_size=16).hexdigest()}"


def _label(size: Size) -> str:
    if isinstance(size, int):
        return str(size)
    return "+".join(f"{coef}{[(_atom_label(a), p) for a, p in mono]}" for mono, coef in size.terms)


def _atom_label(atom: _Atom) -> str:
    return repr(atom.args[0]) if atom.kind == SYMBOL else cast(str, atom.key[2])


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
        return _arithmetic(_add, self, other)

    def __radd__(self, other: Size) -> Size:
        return _arithmetic(_add, other, self)

    def __sub__(self, other: Size) -> Size:
        return _arithmetic(_subtract, self, other)

    def __rsub__(self, other: Size) -> Size:
        return _arithmetic(_subtract, other, self)

    def __mul__(self, other: Size) -> Size:
        return _arithmetic(_multiply, self, other)

    def __rmul__(self, other: Size) -> Size:
        return _arithmetic(_multiply, other, self)

    def __floordiv__(self, other: Size) -> Size:
        return _arithmetic(_floordiv, self, other)

    def __rfloordiv__(self, other: Size) -> Size:
        return _arithmetic(_floordiv, other, self)

    def __mod__(self, other: Size) -> Size:
        return _arithmetic(_modulo, self, other)

    def __rmod__(self, other: Size) -> Size:
        return _arithmetic(_modulo, other, self)

    def __pow__(self, exponent: Any) -> Any:
        if isinstance(exponent, float | complex):
            return float(self) ** exponent
        if not isinstance(exponent, int) or exponent < 0:
            return NotImplemented
        return _product([self] * int(exponent))

    def __neg__(self) -> Size:
        return _multiply(self, -1)

    def __pos__(self) -> DimExpr:
        return self

    def __truediv__(self, other: Any) -> Any:
        return float(self) / _number(other) if isinstance(other, _NUMBERS) else NotImplemented

    def __rtruediv__(self, other: Any) -> Any:
        return _number(other) / float(self) if isinstance(other, _NUMBERS) else NotImplemented

    def __index__(self) -> int:
        return self._asked("an int")

    def __float__(self) -> float:
        return float(
            self._asked("a float", "nbg.asarray(size) is the size as a tensor, for arithmetic with any numbers")
        )

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
        return _render(self, str, people=True)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self.terms,)


Size: TypeAlias = "int | DimExpr"


def dim(name: Hashable) -> DimExpr:
    """The size called `name`.

    >>> dim("n") is dim("n"), dim("n") == dim("m")
    (True, False)
    """
    return cast(DimExpr, _canonical({((_atom(SYMBOL, name), 1),): 1}))


def dim_min(*sizes: Size) -> Size:
    """The smallest of the sizes.

    >>> n, m = dim("n"), dim("m")
    >>> dim_min(n, dim_min(m, n + 1)), dim_min(n, 0), dim_min(3, 2)
    (min(m, n), 0, 2)
    """
    return _extremum(MIN, sizes, lambda kept, size: _nonnegative(_subtract(size, kept)))


def dim_max(*sizes: Size) -> Size:
    """The largest of the sizes.

    >>> n, m = dim("n"), dim("m")
    >>> dim_max(n, m, 2*m), dim_max(n, 0), dim_max(3, 2)
    (max(2*m, n), n, 3)
    """
    return _extremum(MAX, sizes, lambda kept, size: _nonnegative(_subtract(kept, size)))


def symbols(expr: Size) -> frozenset[Hashable]:
    """The names of the symbols in `expr`.

    >>> sorted(symbols(dim("n") // dim("m") + 1)), symbols(3)
    (['m', 'n'], frozenset())
    """
    return expr.names if isinstance(expr, DimExpr) else frozenset()


def substitute(expr: Size, mapping: Mapping[Hashable, Size]) -> Size:
    """`expr` with sizes in place of names, all at once; names not in `mapping` stay.

    >>> n, m = dim("n"), dim("m")
    >>> substitute(n // 2 + m, {"n": 2*m, "m": 1})
    m + 1
    """
    if not isinstance(expr, DimExpr) or expr.names.isdisjoint(mapping):
        return expr
    return _fold(expr, lambda atom: _substitute_atom(atom, mapping))


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


def to_source(expr: Size, name_of: Callable[[Any], str]) -> str:
    """A Python integer expression for `expr`, with `name_of(name)` where a symbol stands.

    >>> to_source(dim_min(dim(0), dim(1) ** 2, 3), lambda i: f"w[{i}]")
    'min(min(w[1]*w[1], w[0]), 3)'
    """
    return _render(expr, name_of, people=False)


# Polynomials


def _canonical(poly: Polynomial) -> Size:
    terms = [(mono, coef) for mono, coef in poly.items() if coef]
    if not terms:
        return 0
    if len(terms) == 1 and terms[0][0] == _ONE:
        return terms[0][1]
    terms.sort(key=_term_key)
    fixed = tuple(terms)
    return cast(DimExpr, _interned(fixed, lambda: DimExpr(fixed)))


def _restore(terms: tuple[tuple[Monomial, int], ...]) -> Size:
    """Unpickle: order is found anew, as ties between names of one text depend on the process."""
    return _canonical({_monomial(dict(mono)): coef for mono, coef in terms})


def _term_key(term: tuple[Monomial, int]) -> Key:
    mono = term[0]
    return -sum(power for _, power in mono), tuple((atom.key, -power) for atom, power in mono)


def _size_key(size: Size) -> Key:
    """Order of operands: expressions by their terms, numbers last."""
    if isinstance(size, int):
        return 1, size
    return 0, tuple((_term_key(term), term[1]) for term in size.terms)


def _polynomial(size: Size) -> Polynomial:
    return {_ONE: size} if isinstance(size, int) else dict(size.terms)


def _monomial(powers: dict[_Atom, int]) -> Monomial:
    return tuple(sorted(((a, p) for a, p in powers.items() if p), key=lambda factor: factor[0].key))


def _arithmetic(f: Callable[[Any, Any], Size], left: Any, right: Any) -> Any:
    """Take ints of any kind (NumPy's too); with a float, ask for the number; leave the rest to the other operand."""
    try:
        sizes = _as_size(left), _as_size(right)
    except TypeError:
        if isinstance(left, _NUMBERS) and isinstance(right, _NUMBERS):
            return _WITH_FLOATS[f](_number(left), _number(right))
        return NotImplemented
    return f(*sizes)


def _number(x: Any) -> Any:
    return float(x) if isinstance(x, DimExpr) else x


def _as_size(x: Size | SupportsIndex) -> Size:
    return x if isinstance(x, DimExpr) else operator.index(x)


def _add(left: Size, right: Size) -> Size:
    total = _polynomial(left)
    for mono, coef in _polynomial(right).items():
        total[mono] = total.get(mono, 0) + coef
    return _canonical(total)


def _subtract(left: Size, right: Size) -> Size:
    return _add(left, _multiply(right, -1))


def _multiply(left: Size, right: Size) -> Size:
    total: Polynomial = {}
    for a, p in _polynomial(left).items():
        for b, q in _polynomial(right).items():
            mono = _times(a, b)
            total[mono] = total.get(mono, 0) + p * q
    return _canonical(total)


def _product(factors: Iterable[Size], start: Size = 1) -> Size:
    return reduce(_multiply, factors, start)


def _times(a: Monomial, b: Monomial) -> Monomial:
    powers = dict(a)
    for atom, power in b:
        powers[atom] = powers.get(atom, 0) + power
    return _monomial(powers)


def _over(a: Monomial, b: Monomial) -> Monomial | None:
    """a / b where b divides a."""
    powers = dict(a)
    for atom, power in b:
        powers[atom] = powers.get(atom, 0) - power
    return None if min(powers.values(), default=0) < 0 else _monomial(powers)


def _nonnegative(size: Size) -> bool:
    """Whether it is plain to see that the size is >= 0 for all sizes."""
    if isinstance(size, int):
        return size >= 0
    return all(coef > 0 and all(atom.nonnegative for atom, _ in mono) for mono, coef in size.terms)


# Floor division and modulo. Both start from a == q*b + r, which gives a//b == q + r//b and a%b == r%b.


def _floordiv(a: Size, b: Size) -> Size:
    if isinstance(b, int):
        return _floordiv_int(a, b)
    q, r = _split(a, b)
    if r == 0:
        return q
    shared = _shared(r, b)
    if shared != 1:  # (g*x)//(g*y) == x//y
        return _add(q, _floordiv(_floordiv(r, shared), _floordiv(b, shared)))
    return _add(q, _wrap(_atom(FLOOR, r, b)))


def _modulo(a: Size, b: Size) -> Size:
    if isinstance(b, int):
        return _modulo_int(a, b)
    r = _split(a, b)[1]
    if r == 0 or _is_modulo(r, b):
        return r
    shared = _shared(r, b)
    if shared != 1:  # (g*x) % (g*y) == g*(x % y)
        return _multiply(_modulo(_floordiv(r, shared), _floordiv(b, shared)), shared)
    return _wrap(_atom(MODULO, r, b))


def _shared(a: Size, b: DimExpr) -> Size:
    """The largest monomial, with its number, that divides every term of both."""
    terms = [*_polynomial(a).items(), *b.terms]
    mono = reduce(_common, (mono for mono, _ in terms))
    return _canonical({mono: gcd(*(coef for _, coef in terms))})


def _common(a: Monomial, b: Monomial) -> Monomial:
    other = dict(b)
    return tuple((atom, min(power, other[atom])) for atom, power in a if atom in other)


def _split(a: Size, b: DimExpr) -> tuple[Size, Size]:
    """Polynomial division by the leading term of b, for the terms it divides exactly."""
    rest, quotient, remainder = _polynomial(a), dict[Monomial, int](), dict[Monomial, int]()
    lead, lead_coef = b.terms[0]
    while rest:
        mono = min(rest, key=lambda m: _term_key((m, 0)))
        coef = rest.pop(mono)
        ratio = _over(mono, lead)
        if ratio is None or coef % lead_coef:
            remainder[mono] = coef
            continue
        quotient[ratio] = factor = coef // lead_coef
        for other, other_coef in b.terms[1:]:
            target = _times(ratio, other)
            rest[target] = rest.get(target, 0) - factor * other_coef
    return _canonical(quotient), _canonical(remainder)


def _floordiv_int(a: Size, k: int) -> Size:
    if isinstance(a, int):
        return a // k
    if k == 0:
        raise ZeroDivisionError(f"({a})//0")
    if k < 0:
        return _floordiv_int(-a, -k)
    whole, rest, constant = _split_int(a, k)
    numerator = _add(rest, constant)
    return whole if isinstance(numerator, int) else _add(whole, _floor_rest(numerator, k))


def _floor_rest(a: DimExpr, k: int) -> Size:
    """a // k, where no coefficient is a multiple of k and the constant is in [0, k)."""
    shared, inner = _common_factor(a, k), _shifted_floor(a)
    if shared > 1:  # a//(g*h) == (a//g)//h, and a//g is a polynomial again
        return _floordiv_int(_floordiv_int(a, shared), k // shared)
    if a.terms[0][1] < 0:  # -(x)//k == -((x + k - 1)//k), so that both ways to round up are one
        return _multiply(_floordiv_int(_add(_multiply(a, -1), k - 1), k), -1)
    if inner is not None:  # (x//m + c)//k == (x + c*m)//(k*m)
        (x, m), constant = inner
        return _floordiv_int(_add(x, constant * m), k * m)
    return _wrap(_atom(FLOOR, a, k))


def _shifted_floor(a: DimExpr) -> tuple[tuple[Size, int], int] | None:
    """x, m and c where a is x//m + c for a number m."""
    mono, coef = a.terms[0]
    if len(mono) != 1 or mono[0][1] != 1 or coef != 1:
        return None
    atom, constant = mono[0][0], _add(a, -_wrap(mono[0][0]))
    if atom.kind != FLOOR or not isinstance(atom.args[1], int) or not isinstance(constant, int):
        return None
    x, m = atom.args
    return (x, m), constant


def _split_int(a: DimExpr, k: int) -> tuple[Size, Size, int]:
    """whole, rest, constant with a == k*whole + rest + constant: the multiples of k taken out."""
    poly = _polynomial(a)
    constant = poly.pop(_ONE, 0)
    whole = {mono: coef // k for mono, coef in poly.items() if coef % k == 0}
    rest = {mono: coef for mono, coef in poly.items() if coef % k}
    return _add(_canonical(whole), constant // k), _canonical(rest), constant % k


def _common_factor(a: DimExpr, k: int) -> int:
    return gcd(k, *(coef for mono, coef in a.terms if mono))


def _modulo_int(a: Size, k: int) -> Size:
    if isinstance(a, int):
        return a % k
    if k == 0:
        raise ZeroDivisionError(f"({a}) % 0")
    if k < 0:
        return _multiply(_modulo_int(-a, -k), -1)
    rest = _canonical({mono: coef % k for mono, coef in a.terms})
    if isinstance(rest, int) or _is_modulo(rest, k):
        return rest
    return _modulo_rest(rest, k)


def _modulo_rest(a: DimExpr, k: int) -> Size:
    """a % k, where all coefficients are in [0, k): (g*x + c) % (g*h) == g*((x + c//g) % h) + c%g."""
    shared = _common_factor(a, k)
    if shared == 1:
        return _wrap(_atom(MODULO, a, k))
    constant = dict(a.terms).get(_ONE, 0) % shared
    return _add(_multiply(_modulo_int(_floordiv_int(a, shared), k // shared), shared), constant)


def _is_modulo(a: Size, b: Size) -> bool:
    """Whether a is x % b for some x."""
    atom = _only_atom(a)
    return atom is not None and atom.kind == MODULO and atom.args[1] == b


# Atoms as sizes


def _wrap(atom: _Atom) -> DimExpr:
    return cast(DimExpr, _canonical({((atom, 1),): 1}))


def _only_atom(size: Size) -> _Atom | None:
    """The atom, where the size is nothing but one."""
    if isinstance(size, int) or len(size.terms) > 1:
        return None
    mono, coef = size.terms[0]
    return mono[0][0] if coef == 1 and len(mono) == 1 and mono[0][1] == 1 else None


def _extremum(kind: str, sizes: Iterable[Size], covers: Callable[[Size, Size], bool]) -> Size:
    """min or max: flat, sorted, without the operands that another one covers."""
    kept: list[Size] = []
    for size in _flat(kind, sizes):
        if not any(covers(other, size) for other in kept):
            kept = [other for other in kept if not covers(size, other)] + [size]
    if not kept:
        raise TypeError(f"dim_{kind} expected at least one size")
    return kept[0] if len(kept) == 1 else _wrap(_atom(kind, *sorted(kept, key=_size_key)))


def _flat(kind: str, sizes: Iterable[Size]) -> Iterable[Size]:
    for size in map(_as_size, sizes):
        atom = _only_atom(size)
        yield from atom.args if atom is not None and atom.kind == kind else (size,)


_OPERATIONS: Final[dict[str, Callable[..., Size]]] = {
    FLOOR: _floordiv,
    MODULO: _modulo,
    MIN: dim_min,
    MAX: dim_max,
}


_NUMBERS: Final = (int, float, complex, DimExpr)
_WITH_FLOATS: Final[dict[Any, Callable[[Any, Any], Any]]] = {
    _add: operator.add,
    _subtract: operator.sub,
    _multiply: operator.mul,
    _floordiv: operator.floordiv,
    _modulo: operator.mod,
}


def _fold(expr: DimExpr, value_of: Callable[[_Atom], Size]) -> Size:
    """The polynomial with other sizes in place of its atoms."""
    total: Size = 0
    for mono, coef in expr.terms:
        factors = (value_of(atom) for atom, power in mono for _ in range(power))
        total = _add(total, _product(factors, coef))
    return total


def _substitute_atom(atom: _Atom, mapping: Mapping[Hashable, Size]) -> Size:
    if atom.names.isdisjoint(mapping):
        return _wrap(atom)
    if atom.kind == SYMBOL:
        return _as_size(mapping[atom.args[0]])
    return _OPERATIONS[atom.kind](*(substitute(arg, mapping) for arg in atom.args))


def _evaluate_atom(atom: _Atom, env: Mapping[Hashable, int]) -> int:
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
    return (min if kind == MIN else max)(evaluate(arg, env) for arg in args)


# Printing. Precedence as in Python: a product is safe beside +; in a product only names and calls are.


def _render(size: Size, name_of: Callable[[Any], str], *, people: bool) -> str:
    if isinstance(size, int):
        return str(size)
    terms = _positive_first([(_render_term(t, name_of, people), t[1] < 0) for t in size.terms])
    head, *rest = (("-" if negative else "+", text) for text, negative in terms)
    return head[0].removeprefix("+") + head[1] + "".join(f" {sign} {text}" for sign, text in rest)


def _positive_first(terms: list[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """`n - m` rather than `-m + n`."""
    first = next((i for i, (_, negative) in enumerate(terms) if not negative), 0)
    return [terms[first], *terms[:first], *terms[first + 1 :]]


def _render_term(term: tuple[Monomial, int], name_of: Callable[[Any], str], people: bool) -> str:
    """Coefficient times factors; the sign is left to the sum, but `-(n//2)` keeps its brackets."""
    mono, coef = term[0], abs(term[1])
    if term[1] == 1 and len(mono) == 1 and mono[0][1] == 1:
        return _render_atom(mono[0][0], name_of, people)
    factors = [str(coef)] if coef != 1 or not mono else []
    for atom, power in mono:
        text = _render_atom(atom, name_of, people)
        factor = f"({text})" if atom.kind in (FLOOR, MODULO) else text
        factors += [f"{factor}**{power}"] if people and power > 1 else [factor] * power
    return "*".join(factors)


def _render_atom(atom: _Atom, name_of: Callable[[Any], str], people: bool) -> str:
    if atom.kind == SYMBOL:
        return name_of(atom.args[0])
    texts = [_render(arg, name_of, people=people) for arg in atom.args]
    if atom.kind in (MIN, MAX):
        return _render_call(atom.kind, texts, people)
    left, right = (_tight(arg, text) for arg, text in zip(atom.args, texts, strict=True))
    return f"{left}//{right}" if atom.kind == FLOOR else f"{left} % {right}"


def _render_call(name: str, texts: list[str], people: bool) -> str:
    if people:
        return f"{name}({', '.join(texts)})"
    return reduce(lambda left, right: f"{name}({left}, {right})", texts)


def _tight(operand: Size, text: str) -> str:
    """An operand of // or %: brackets around all but names, calls and numbers."""
    atom = _only_atom(operand)
    bare = operand >= 0 if isinstance(operand, int) else atom is not None and atom.kind in (SYMBOL, MIN, MAX)
    return text if bare else f"({text})"

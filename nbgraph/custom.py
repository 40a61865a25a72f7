"""`custom_jvp` and `custom_vjp`: functions with derivative rules of the user's.

In: a function, and a rule for it. Out: the function, recorded as one operation (`nbgraph.custom_ops`) whose derivative
is the rule.
Holds: for each kind of arguments (structure, dtypes, shapes, static values) the function and its rule run once, on
nodes without values, as a jitted function does, and again when something that they read has changed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Any, NamedTuple

from nbgraph import api
from nbgraph.captures import Guards
from nbgraph.custom_check import Place, cotangents, match, result_and_rest
from nbgraph.custom_trace import Definition, Finished, definition_of
from nbgraph.errors import GENERATED, DifferentiationError
from nbgraph.jit import TRACES, Static, Traced, is_array, is_scalar, is_traced
from nbgraph.node import Node, _next_seq
from nbgraph.opened import region_of
from nbgraph.promote import WEAK, operand
from nbgraph.record_call import STALE
from nbgraph.trace import formal, record
from nbgraph.trees import flatten, unflatten

__all__ = ["custom_jvp", "custom_vjp"]

_KEPT = 8


def custom_jvp(
    fun: Callable[..., Any] | None = None,
    nondiff_argnums: int | Sequence[int] = (),
    nondiff_argnames: str | Sequence[str] = (),
) -> Any:
    """The function `fun` with a rule of its own for tangents, given by `f.defjvp(rule)`; used as a decorator.

    `rule(*nondiff, primals, tangents)` returns `(result, tangent of the result)`, where `primals` is the tuple of
    arguments and `tangents` has their structure; it has to be linear in the tangents, which are tensors (None for
    what is no real or complex tensor). Reverse mode is the rule transposed. `f.defjvps(*rules)` takes a rule for each
    argument instead, `rule(tangent, result, *primals)`, or None for a zero. The arguments `nondiff_argnums` (or named
    so) come first, as they are; what is no tensor among them has to be hashable.

    Arguments and results are containers of tensors. Rules are differentiated in turn. A tensor that the function reads
    from elsewhere is a constant to it: `DifferentiationError` if one differentiates by it, and if
    there is no rule, or one that is not linear; `ShapeError` and `DtypeError` if what it returns does not fit.

    >>> import nbgraph as nbg
    >>> @nbg.custom_jvp
    ... def log1pexp(x):
    ...     return nbg.log(1 + nbg.exp(x))
    >>> @log1pexp.defjvp
    ... def rule(primals, tangents):
    ...     (x,), (dx,) = primals, tangents
    ...     return log1pexp(x), (1 - 1 / (1 + nbg.exp(x))) * dx
    >>> float(nbg.grad(log1pexp)(100.0))
    1.0
    """
    if fun is None:
        return partial(custom_jvp, nondiff_argnums=nondiff_argnums, nondiff_argnames=nondiff_argnames)
    made = _Function(fun, False, nondiff_argnums, nondiff_argnames)

    def defjvp(rule: Callable[..., Any], symbolic_zeros: bool = False) -> Callable[..., Any]:
        """Declares the rule. Zero tangents cost nothing, so `symbolic_zeros` is of no account; returns the rule."""
        made.define(rule)
        return rule

    def defjvps(*rules: Callable[..., Any] | None) -> None:
        """Declares a rule for each argument."""
        made.define(_sum_of(made, rules))

    return _shown(fun, made, defjvp=defjvp, defjvps=defjvps)


def custom_vjp(
    fun: Callable[..., Any] | None = None,
    nondiff_argnums: int | Sequence[int] = (),
    nondiff_argnames: str | Sequence[str] = (),
) -> Any:
    """The function `fun` with a rule of its own for cotangents, given by `f.defvjp(fwd, bwd)`; used as a decorator.

    `fwd` takes the arguments of `fun` and returns `(result, residuals)`; `bwd(*nondiff, residuals, ct)` returns a tuple
    of cotangents, one for each argument but those of `nondiff_argnums`, in their structure; None is a zero. `ct` has
    the structure of the result (None for what is not real or complex). The inner product is Re(conj(a) b), so the rule
    of a holomorphic f is `ct * nbg.conj(f'(z))`.

    What a call gives is the result of `fwd`. Otherwise as `custom_jvp`: containers, `nondiff_argnums`, errors. Forward
    mode raises `DifferentiationError`, but where the derivative of a gradient takes it (`nbg.hessian`, `nbg.hvp`):
    there it is `bwd` transposed, as long as that is linear in `ct`.

    >>> import nbgraph as nbg
    >>> @nbg.custom_vjp
    ... def clipped(x):
    ...     return x
    >>> clipped.defvjp(lambda x: (x, None), lambda _, ct: (nbg.clip(ct, -1, 1),))
    >>> float(nbg.grad(lambda x: clipped(x) ** 2)(3.0))
    1.0
    """
    if fun is None:
        return partial(custom_vjp, nondiff_argnums=nondiff_argnums, nondiff_argnames=nondiff_argnames)
    made = _Function(fun, True, nondiff_argnums, nondiff_argnames)

    def defvjp(
        fwd: Callable[..., Any], bwd: Callable[..., Any], symbolic_zeros: bool = False, optimize_remat: bool = False
    ) -> None:
        """Declares the rule; the other arguments are JAX's, and of no account here."""
        made.define(fwd, bwd)

    return _shown(fun, made, defvjp=defvjp)


def _shown(fun: Callable[..., Any], made: _Function, **methods: Any) -> Any:
    """What the user calls: a function, so that it becomes a method in a class."""

    @wraps(fun)
    def ruled(*args: Any, **kwargs: Any) -> Any:
        return made(args, kwargs)

    vars(ruled).update(methods, rules=made.rules)
    return ruled


def _sum_of(f: _Function, rules: Sequence[Callable[..., Any] | None]) -> Callable[..., Any]:
    """One rule made of a rule for each argument."""

    def rule(primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
        out = f(tuple(primals), {})
        leaves, tree = flatten(out)
        if len(rules) != len(primals):
            raise DifferentiationError(
                "defjvps takes a rule for each argument, or None",
                operation=f.title,
                got=len(rules),
                wanted=len(primals),
            )
        total: list[Any] = [None] * len(leaves)
        for r, t in zip(rules, tangents, strict=True):
            if r is not None and t is not None:
                more = match(Place(f.title, r), "the tangent", r(t, out, *primals), tree, leaves)
                total = [b if a is None else a if b is None else a + b for a, b in zip(total, more, strict=True)]
        return out, unflatten(tree, [api.zeros_like(x) if t is None else t for x, t in zip(leaves, total, strict=True)])

    return rule


class _Call(NamedTuple):
    """How a call is recorded, and what it returns: `results` are numbers of results, or things in a list of one."""

    finished: Finished
    outside: Callable[[], Any]
    results: list[Any]
    tree: Any


class _Function:
    """A function, its rule, and how calls of it are recorded. `known`: those of tensors by position, by their types."""

    def __init__(self, f: Callable[..., Any], reverse: bool, nums: Any, names: Any) -> None:
        self.f, self.reverse = f, reverse
        self.signer = Traced(f, _as_tuple(nums), _as_tuple(names))
        self.title = f"{'custom_vjp' if reverse else 'custom_jvp'} of {self.signer.name}"
        self.rules: list[Callable[..., Any]] = []
        try:
            self._signature: Any = inspect.signature(f)
        except (TypeError, ValueError):
            self._signature = None
        self._forget()

    def _forget(self) -> None:
        self._known: dict[Any, _Call] = {}
        self._calls: dict[Any, list[_Call]] = {}

    def define(self, *rules: Callable[..., Any]) -> None:
        """Sets the rule."""
        for r in rules:
            if not callable(r):
                raise DifferentiationError("a rule is a function", operation=self.title, got=type(r).__name__)
        self.rules[:] = rules
        self._forget()

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not kwargs:
            try:
                call = self._known[tuple([a.type for a in args])]
            except (AttributeError, KeyError):
                pass
            else:
                outside = call.outside()
                if outside is not STALE:
                    return _recorded(call, args, outside)
        if not self.rules:
            method = "f.defvjp(fwd, bwd)" if self.reverse else "f.defjvp(rule)"
            raise DifferentiationError("the function has no rule", operation=self.title, hint=f"declare it by {method}")
        if self._signature is not None:
            bound = self._signature.bind(*args, **kwargs)
            bound.apply_defaults()
            args, kwargs = bound.args, bound.kwargs
        if kwargs:
            raise DifferentiationError("an argument by name alone", operation=self.title, got=", ".join(kwargs))
        nondiff = {k % len(args) for k in self.signer.nums if -len(args) <= k < len(args)}
        args = tuple([Static(a) if k in nondiff and not _is_operand(a) else a for k, a in enumerate(args)])
        nodes: list[Any] = []
        key = tuple([self.signer.sign(a, nodes) for a in args])
        for call in self._calls.get(key, ()):
            outside = call.outside()
            if outside is not STALE:
                return _recorded(call, nodes, outside)
        under_way = definition_of((id(self), key))
        if under_way is not None and self.reverse and under_way.results is None:
            return self.f(*[a.value if type(a) is Static else a for a in args])  # in fwd: what it computes
        if under_way is not None:
            results, tree = under_way.out
            return _filled(results, tree, under_way.call(nodes))
        return self._trace(key, args, nodes, nondiff)

    # -- tracing ------------------------------------------------------------------------------------------------------

    def _trace(self, key: Any, args: tuple[Any, ...], nodes: list[Any], nondiff: set[int]) -> Any:
        leaves, tree = flatten(args)
        numbers = [type(x) in WEAK for x in leaves if is_traced(x)]
        formals = [formal(n.type, self.signer.name, w) for n, w in zip(nodes, numbers, strict=True)]
        given = iter(formals)
        values = unflatten(tree, [next(given) if is_traced(x) else x.value if type(x) is Static else x for x in leaves])
        start = _next_seq()
        with Definition(self.signer.name, (id(self), key), self.reverse, formals) as d, TRACES.here():
            run = self._run_reverse if self.reverse else self._run_forward
            run(d, values, [k for k in range(len(args)) if k not in nondiff])
            finished = d.finished()
        results, out_tree = d.out
        if finished is None:
            return _filled(results, out_tree, d.call(nodes))
        guards = Guards(
            [self.f, *self.rules, *(x.value if type(x) is Static else x for x in leaves if not is_traced(x))]
        )
        call = _Call(finished, _reader(guards, finished.outside), results, out_tree)
        if all(n.seq > start or id(n) in guards.tensors or is_scalar(n) for n in finished.outside):
            calls = self._calls.setdefault(key, [])
            calls.insert(0, call)
            del calls[_KEPT:]
            if len(formals) == len(args) and all(type(s) not in (tuple, type) for s in key):
                self._known[key] = call
        return _recorded(call, nodes, finished.outside)

    def _run_forward(self, d: Definition, values: tuple[Any, ...], diff: list[int]) -> None:
        start = _next_seq()
        outs = self._ran(d, self.f(*values), start)
        (rule,) = self.rules
        place = Place(self.title, rule)
        primals = tuple([values[k] for k in diff])
        leaves, tree = flatten(primals)
        # of an argument that is not differentiated there is a tangent, too: an operand that nothing uses
        tangents = {id(x): formal(x.type, d.name) for x in d.formals if x.type.inexact}
        d.given = list(tangents.values())
        start = _next_seq()
        moved = unflatten(tree, [tangents.get(id(x)) for x in leaves])
        others = [values[k] for k in range(len(values)) if k not in diff]
        result, tangent = result_and_rest(place, rule(*others, primals, moved), "(result, tangent)")
        match(place, "the result", result, d.out[1], outs, values=True)
        found = match(place, "the tangent", tangent, d.out[1], outs)
        self._ruled(d, [t for t, r in zip(found, d.out[0], strict=True) if type(r) is int], start)

    def _run_reverse(self, d: Definition, values: tuple[Any, ...], diff: list[int]) -> None:
        fwd, bwd = self.rules
        place = Place(self.title, fwd)
        plain, plain_tree = flatten(self.f(*values))
        start = _next_seq()
        result, left = result_and_rest(place, fwd(*values), "(result, residuals)")
        match(place, "the result", result, plain_tree, plain, values=True)
        residuals, left_tree = flatten(left)
        at = [k for k, x in enumerate(residuals) if isinstance(x, Node)]
        outs = self._ran(d, result, start, [residuals[k] for k in at])
        for k, node in zip(at, self._opened, strict=True):
            residuals[k] = d.stand_in(node, partial(formal, node.type, d.name))
        cts: list[Any] = []
        for x, r in zip(outs, d.out[0], strict=True):
            cts.append(formal(x.type, d.name) if type(r) is int and x.type.inexact else None)
        d.given = [ct for ct in cts if ct is not None]
        start = _next_seq()
        others = [values[k] for k in range(len(values)) if k not in diff]
        made = bwd(*others, unflatten(left_tree, residuals), unflatten(d.out[1], cts))
        found = cotangents(Place(self.title, bwd), made, [values[k] for k in diff])
        self._ruled(d, [found.get(id(x)) if x.type.inexact else None for x in d.formals], start)

    def _ran(self, d: Definition, result: Any, start: int, others: Sequence[Node] = ()) -> list[Any]:
        """Notes what the function recorded; the leaves of its result."""
        leaves, tree = flatten(result)
        nodes = [operand(x) for x in leaves if is_traced(x)]
        region, found = region_of([*nodes, *others], start)
        d.ran(region, found[: len(nodes)])
        self._opened = found[len(nodes) :]
        number = iter(range(len(nodes)))
        given = iter(found)
        shown = [next(given) if is_traced(x) else x for x in leaves]
        d.out = [next(number) if is_traced(x) else [x] for x in leaves], tree
        return shown

    def _ruled(self, d: Definition, found: Sequence[Node | None], start: int) -> None:
        """Notes what the rule recorded."""
        region, nodes = region_of([n for n in found if n is not None], start)
        given = iter(nodes)
        d.rule_region = region
        d.rule_results = [None if n is None else next(given) for n in found]


# -- recording --------------------------------------------------------------------------------------------------------


def _recorded(call: _Call, args: Sequence[Any], outside: Sequence[Node]) -> Any:
    op, sizes, n = call.finished.op, call.finished.sizes, len(call.results)
    if op.n_out == 1 and n == 1:
        return _filled(call.results, call.tree, (record(op, (*args, *outside), sizes),))
    if op.n_out == 1:
        found: Sequence[Node] = (record(op, (*args, *outside), sizes),)
    else:
        found = record(op, (*args, *outside), sizes)
    return _filled(call.results, call.tree, found)


def _filled(results: Sequence[Any], tree: Any, nodes: Sequence[Node]) -> Any:
    if tree.cls is None and type(results[0]) is int:
        return nodes[0]
    return unflatten(tree, [nodes[r] if type(r) is int else r[0] for r in results])


def _reader(guards: Guards, outside: Sequence[Node]) -> Callable[[], Any]:
    """A function that gives the operands from outside, as they are now; `STALE` where something has changed."""
    if not guards.lines:
        found = tuple(outside)
        return lambda: found
    names: dict[str, Any] = {"STALE": STALE, **guards.names}
    shown = []
    for k, node in enumerate(outside):
        names[f"outside{k}"] = node
        shown.append(guards.tensors.get(id(node), f"outside{k}"))
    lines = ["def read():", "  try:", *(f"    {line}" for line in guards.lines)]
    lines.append("  except (AttributeError, KeyError, IndexError, TypeError, ValueError): return STALE")
    lines.append(f"  return ({''.join(f'{x}, ' for x in shown)})")
    exec(compile("\n".join(lines), GENERATED, "exec"), names)
    read: Callable[[], Any] = names["read"]
    return read


def _as_tuple(given: Any) -> tuple[Any, ...]:
    return tuple(given) if isinstance(given, (tuple, list, set, frozenset, range)) else (given,)


def _is_operand(x: Any) -> bool:
    """Whether a value becomes an operand even where it is not differentiated by."""
    return isinstance(x, Node) or is_array(x)

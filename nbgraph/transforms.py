"""Derivatives of Python functions, with JAX's names and signatures.

In: a function of pytrees of tensors, and arguments: arrays, numbers, tensors, containers of them.
Out: lazy tensors in the structure JAX gives, differentiable again.
Holds: the function is run once for each call, with variables in place of the arguments differentiated by: an array
becomes a leaf, a tensor gets a second identity (an alias), so that the derivative is by this argument alone while
outer derivatives flow through it. That keeps nested derivatives apart, also where functions close over tensors.

Complex: the inner product is Re(conj(a) b), so `grad` of |z|^2 is 2z. Jacobians follow JAX: `jacfwd` takes real
arguments (results may be complex), `jacrev` gives the derivatives of real results (arguments may be complex, each row
is then a gradient in the sense above); `holomorphic=True` gives f'(z) itself, of complex functions of complex numbers.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from math import prod
from typing import Any, NamedTuple

import numpy as np

from nbgraph import api, derive
from nbgraph.errors import BoundsError, DifferentiationError, DtypeError, ShapeError, describe, guarded, user_frame
from nbgraph.gradients import in_type
from nbgraph.leaves import constant_of, leaf, own_array
from nbgraph.node import Node
from nbgraph.trace import alias_of, concrete_size
from nbgraph.trees import TreeDef, flatten, structure, unflatten

__all__ = ["grad", "hessian", "hvp", "jacfwd", "jacrev", "jvp", "linearize", "value_and_grad", "vjp"]

Argnums = int | Sequence[int]
Function = Callable[..., Any]


class ArgumentDtypeError(DifferentiationError, DtypeError):
    """An argument to differentiate by that is integer or boolean, or complex where it has to be real."""


# -- gradients ----------------------------------------------------------------------------------------------------


def grad(fun: Function, argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False) -> Function:
    """The function that gives the gradient of `fun`, a function with a real scalar result.

    `argnums` says by which positional arguments: an int, or a sequence (then the result is a tuple). The gradient has
    the structure, shapes and dtypes of the argument; it is zero by what `fun` does not use. With `has_aux`, `fun`
    returns `(result, aux)`, and the gradient function `(gradient, aux)`. Raises `DifferentiationError` if the result is
    no real scalar or the argument is integer or boolean.

    >>> float(grad(lambda x: x**3)(2.0))
    12.0
    >>> x, y = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    >>> by_p, by_y = grad(lambda p, y: (p["x"] * y).sum(), argnums=(0, 1))({"x": x}, y)
    >>> print(by_p["x"], by_y)
    [3. 4.] [1. 2.]
    """
    both = value_and_grad(fun, argnums, has_aux, holomorphic)

    @wraps(fun)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, found = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return gradient


def value_and_grad(fun: Function, argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False) -> Function:
    """The function that gives `(result, gradient)`, or `((result, aux), gradient)`; otherwise as `grad`.
    Warns of a result that is no tensor, so that its gradient is zero: `float` and `np.array` give values.

    >>> value, gradient = value_and_grad(lambda x: (x * x).sum())(np.array([1.0, 2.0]))
    >>> print(value, gradient)
    5.0 [2. 4.]
    """

    @wraps(fun)
    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        run = _run("grad", fun, args, kwargs, argnums, has_aux)
        out = _scalar_result(run, fun, holomorphic)
        if run.lost:
            warnings.warn(
                f"grad of {_name(fun)}: the result is no tensor, so the gradient is zero; no gradient flows through "
                f"what float, np.array and .eval() give ({describe(user_frame())})",
                stacklevel=2,
            )
        cts = _pull(run, [constant_of(1, out.type.code)])
        found = unflatten(run.tree, map(api.conj, cts) if holomorphic else cts)
        return ((out, run.aux), found) if has_aux else (out, found)

    return value_and_gradient


def _scalar_result(run: _Run, fun: Function, holomorphic: bool) -> Any:
    """The only result of a function that has a gradient."""
    wanted = "c" if holomorphic else "f"
    if len(run.outputs) == 1 and run.out_tree == structure(0):
        (out,) = run.outputs
        if out.type.shape == () and out.type.code[0] == wanted:
            return out
    got = ", ".join(map(repr, (o.type for o in run.outputs)))
    raise DifferentiationError(
        "the gradient is of a scalar",
        operation=f"grad of {_name(fun)}",
        got=f"{got} in the structure {run.out_tree}",
        wanted=f"one {'complex' if holomorphic else 'real floating-point'} number",
        hint="sum the result, use jacrev, vjp, or has_aux=True for further results",
    )


# -- products -----------------------------------------------------------------------------------------------------


@guarded
def jvp(fun: Function, primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False) -> Any:
    """`(result, tangent of the result)` of `fun(*primals)` in the direction `tangents`.

    `tangents` has the structure and shapes of `primals` (a tuple or list of arguments). With `has_aux`, `fun` returns
    `(result, aux)` and this `(result, tangent, aux)`. The tangent of an integer or boolean result is zero. Raises
    `ShapeError` or `DtypeError` if tangents do not fit, `DifferentiationError` for integer or boolean arguments.

    >>> out, tangent = jvp(lambda x, y: x * y, (2.0, 3.0), (1.0, 10.0))
    >>> float(out), float(tangent)
    (6.0, 23.0)
    """
    run = _run_all("jvp", fun, primals, has_aux)
    pushed = _push(run, _matching(tuple(tangents), run.variables, run.tree, "tangent"))
    return (run.result, run.results(pushed), run.aux) if has_aux else (run.result, run.results(pushed))


@guarded
def linearize(fun: Function, *primals: Any, has_aux: bool = False) -> Any:
    """`(result, f_jvp)`: `f_jvp(*tangents)` gives the tangent of `fun` at `primals`, without running `fun` again.

    >>> out, f_jvp = linearize(lambda x: x * x, 3.0)
    >>> float(f_jvp(1.0)), float(f_jvp(2.0))
    (6.0, 12.0)
    """
    run = _run_all("linearize", fun, primals, has_aux)

    def f_jvp(*tangents: Any) -> Any:
        return run.results(_push(run, _matching(tangents, run.variables, run.tree, "tangent")))

    return (run.result, f_jvp, run.aux) if has_aux else (run.result, f_jvp)


@guarded
def vjp(fun: Function, *primals: Any, has_aux: bool = False) -> Any:
    """`(result, f_vjp)`: `f_vjp(ct)` gives the tuple of cotangents of `primals` from one of the result.

    `ct` has the structure and shapes of the result; what it says of integer and boolean results is not used. With
    `has_aux`, `fun` returns `(result, aux)` and this `(result, f_vjp, aux)`. Raises as `jvp`.

    >>> out, f_vjp = vjp(lambda x, y: x * y, 2.0, 3.0)
    >>> [float(ct) for ct in f_vjp(1.0)]
    [3.0, 2.0]
    """
    run = _run_all("vjp", fun, primals, has_aux)

    def f_vjp(ct: Any) -> Any:
        return unflatten(run.tree, _pull(run, _matching(ct, run.outputs, run.out_tree, "cotangent")))

    return (run.result, f_vjp, run.aux) if has_aux else (run.result, f_vjp)


@guarded
def hvp(fun: Function, primals: Any, tangents: Any) -> Any:
    """The Hessian of `fun` (with a real scalar result) at `primals`, times `tangents`: forward over reverse.

    `primals` and `tangents` are tuples of arguments, as for `jvp`. The result has the structure of the only argument,
    or is a tuple where there are several: the product with the whole Hessian, all arguments together.
    Costs a few evaluations of `fun`; the Hessian itself is never made.

    >>> print(hvp(lambda x: (x**3).sum(), (np.array([1.0, 2.0]),), (np.array([1.0, 1.0]),)))
    [ 6. 12.]
    """
    primals, tangents = (tuple(p) if isinstance(p, (tuple, list)) else (p,) for p in (primals, tangents))
    argnums = 0 if len(primals) == 1 else tuple(range(len(primals)))
    return jvp(grad(fun, argnums), primals, tangents)[1]


# -- Jacobians ----------------------------------------------------------------------------------------------------


def jacfwd(fun: Function, argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False) -> Function:
    """The function that gives the Jacobian of `fun`, column by column (for few inputs and many outputs).

    For a result and an argument that are arrays its shape is `result.shape + argument.shape`; where they are
    containers, every leaf of the result's structure holds one structure of the argument. `argnums` and `has_aux` are
    as in `grad`. Arguments are real, or `holomorphic`; sizes must be known while tracing.

    >>> print(jacfwd(lambda x: x * x)(np.array([1.0, 2.0])))
    [[2. 0.]
     [0. 4.]]
    """

    @wraps(fun)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        run = _run("jacfwd", fun, args, kwargs, argnums, has_aux)
        _check_codes("jacfwd", fun, "argument", run.variables, "c" if holomorphic else "f")
        _check_codes("jacfwd", fun, "result", run.outputs, "c" if holomorphic else "fc")
        columns = [[_push(run, [t], [v]) for t in _basis(v)] for v in run.variables]
        blocks = [
            [_block([c[o] for c in by], -1, out, v, out) for v, by in zip(run.variables, columns, strict=True)]
            for o, out in enumerate(run.outputs)
        ]
        return _jacobian(run, blocks, has_aux)

    return jacobian


def jacrev(fun: Function, argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False) -> Function:
    """The function that gives the Jacobian of `fun`, row by row (for many inputs and few outputs).

    Shapes and structures are those of `jacfwd`. Results are real, or `holomorphic`.

    >>> print(jacrev(lambda x: x * x)(np.array([1.0, 2.0])))
    [[2. 0.]
     [0. 4.]]
    """

    @wraps(fun)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        run = _run("jacrev", fun, args, kwargs, argnums, has_aux)
        _check_codes("jacrev", fun, "argument", run.variables, "c" if holomorphic else "fc")
        _check_codes("jacrev", fun, "result", run.outputs, "c" if holomorphic else "f")
        blocks = []
        for out in run.outputs:
            rows = [_pull(run, [ct], [out]) for ct in _basis(out)]
            blocks.append([_block([r[k] for r in rows], 0, out, v, v) for k, v in enumerate(run.variables)])
        if holomorphic:
            blocks = [[api.conj(b) for b in row] for row in blocks]
        return _jacobian(run, blocks, has_aux)

    return jacobian


def hessian(fun: Function, argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False) -> Function:
    """The function that gives the Hessian of `fun`: `jacfwd` of `jacrev`.

    Its shape is `result.shape + argument.shape + argument.shape`; containers nest in that order.

    >>> print(hessian(lambda x: (x**3).sum())(np.array([1.0, 2.0])))
    [[ 6.  0.]
     [ 0. 12.]]
    """
    return jacfwd(jacrev(fun, argnums, has_aux, holomorphic), argnums, has_aux, holomorphic)


def _basis(node: Node) -> Iterator[Node]:
    """The unit vectors in the space of a value."""
    shape = tuple(concrete_size(d, "a size in a Jacobian") for d in node.type.shape)
    for k in range(prod(shape)):
        unit = np.zeros(shape, node.type.dtype)
        unit.reshape(-1)[k] = 1
        unit.setflags(write=False)
        yield leaf(unit, False)


def _block(parts: Sequence[Node], axis: int, out: Node, variable: Node, like: Node) -> Any:
    """Rows or columns put together, in the dtype of `like`."""
    shape = out.type.shape + variable.type.shape
    if not parts:
        return api.zeros(shape, like.type.dtype)
    return api.reshape(api.stack(parts, axis=axis), shape)


def _jacobian(run: _Run, blocks: Iterable[Sequence[Any]], has_aux: bool) -> Any:
    found = run.results([unflatten(run.tree, row) for row in blocks])
    return (found, run.aux) if has_aux else found


def _check_codes(what: str, fun: Function, role: str, nodes: Sequence[Node], kinds: str) -> None:
    for position, node in enumerate(nodes):
        if node.type.code[0] not in kinds:
            raise ArgumentDtypeError(
                f"{role} {position} has no Jacobian of this kind",
                operation=f"{what} of {_name(fun)}",
                got=node.type,
                wanted=" or ".join({"f": "real", "c": "complex"}[k] for k in kinds) + " floating point",
                hint="jacfwd takes real arguments, jacrev real results, holomorphic=True complex ones; see nbg.vjp",
            )


# -- running a function -------------------------------------------------------------------------------------------


class _Run(NamedTuple):
    """A function that was run: its variables (in the structure `tree`) and what came out."""

    variables: list[Node]
    tree: TreeDef
    outputs: list[Node]
    out_tree: TreeDef
    aux: Any
    lost: bool  # whether nothing that came out is a tensor

    @property
    def result(self) -> Any:
        return unflatten(self.out_tree, self.outputs)

    def results(self, leaves: Iterable[Any]) -> Any:
        """Something for each result, in the structure of the result."""
        return unflatten(self.out_tree, leaves)


def _run_all(what: str, fun: Function, args: Sequence[Any], has_aux: bool) -> _Run:
    return _run(what, fun, tuple(args), {}, tuple(range(len(args))), has_aux)


def _run(what: str, fun: Function, args: tuple[Any, ...], kwargs: Any, argnums: Argnums, has_aux: bool) -> _Run:
    """Runs `fun` with variables in place of the arguments `argnums`."""
    numbers = _positions(what, fun, argnums, len(args))
    leaves, tree = flatten(args[numbers[0]] if isinstance(argnums, int) else tuple(args[k] for k in numbers))
    variables = _variables(f"{what} of {_name(fun)}", leaves)
    picked = unflatten(tree, variables)
    given = list(args)
    for k, arg in zip(numbers, (picked,) if isinstance(argnums, int) else picked, strict=True):
        given[k] = arg
    result, aux = _split(fun(*given, **kwargs), fun, has_aux)
    outputs, out_tree = flatten(result)
    lost = not any(isinstance(o, Node) for o in outputs)
    return _Run(variables, tree, [o if isinstance(o, Node) else constant_of(o) for o in outputs], out_tree, aux, lost)


def _positions(what: str, fun: Function, argnums: Argnums, n: int) -> list[int]:
    numbers = [argnums] if isinstance(argnums, int) else list(argnums)
    for k in numbers:
        if not -n <= k < n:
            raise BoundsError(
                "argnums names an argument that was not given",
                operation=f"{what} of {_name(fun)}",
                got=k,
                wanted=f"a position among the {n} positional arguments",
                hint="pass it by position; keyword arguments are not differentiated",
            )
    return [k % n for k in numbers]


def _split(result: Any, fun: Function, has_aux: bool) -> tuple[Any, Any]:
    if not has_aux:
        return result, None
    if isinstance(result, tuple) and len(result) == 2:
        return result
    raise DifferentiationError(
        "with has_aux=True a function returns (result, aux)", operation=_name(fun), got=f"a {type(result).__name__}"
    )


def _variables(what: str, values: Sequence[Any]) -> list[Node]:
    """What a function is differentiated by: an array becomes a leaf, a tensor gets a second identity."""
    # Sealed first: an open tensor and its alias could meet in one fragment, which would then need its own result.
    derive.seal([v for v in values if isinstance(v, Node)])
    variables = [alias_of(v) if isinstance(v, Node) else leaf(own_array(v), True) for v in values]
    for position, v in enumerate(variables):
        if not v.type.inexact:
            raise ArgumentDtypeError(
                "integer and boolean values have no derivative",
                operation=what,
                position=position,
                got=v.type,
                wanted="real or complex floating point",
                hint="pass a float (2.0, not 2), or an argument that argnums leaves out",
            )
    return variables


def _name(fun: Any) -> str:
    return str(getattr(fun, "__name__", type(fun).__name__))


# -- moving tangents and cotangents -------------------------------------------------------------------------------


def _push(run: _Run, tangents: Sequence[Node], variables: Sequence[Node] | None = None) -> list[Node]:
    """The tangents of the results from those of (all) variables; explicit zeros where there is none."""
    derive.seal(tangents)
    by = run.variables if variables is None else variables
    found = derive.jvp(run.outputs, list(zip(by, tangents, strict=True)))
    return [api.zeros_like(out) if t is None else t for out, t in zip(run.outputs, found, strict=True)]


def _pull(run: _Run, cts: Sequence[Node], outputs: Sequence[Node] | None = None) -> list[Node]:
    """The cotangents of the variables from those of (all) results; explicit zeros where there is none."""
    derive.seal(cts)
    of = run.outputs if outputs is None else outputs
    found = derive.vjp([(o, ct) for o, ct in zip(of, cts, strict=True) if o.type.inexact], run.variables)
    return [api.zeros_like(v) if ct is None else ct for v, ct in zip(run.variables, found, strict=True)]


def _matching(tree: Any, nodes: Sequence[Node], treedef: TreeDef, what: str) -> list[Node]:
    """The leaves of a tree of tangents or cotangents, in the types of `nodes`."""
    leaves, given = flatten(tree)
    if given != treedef:
        raise ShapeError(f"{what}s of another structure", got=given, wanted=treedef)
    return [_in_type(v, n, what, k) for k, (v, n) in enumerate(zip(leaves, nodes, strict=True))]


def _in_type(value: Any, like: Any, what: str, position: int) -> Any:
    """A tangent or cotangent in the type of its value; of integers and booleans there is none to look at."""
    return in_type(what, str(position), value, like) if like.type.inexact else constant_of(0, like.type.code)

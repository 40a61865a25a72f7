"""A case in each library: from its function and NumPy arrays to a call without arguments that computes it afresh.

In: a `Case` and its arrays. Out: a function that returns NumPy arrays or what its library returns, ready.
Holds: operands are the library's own arrays, made before; derivatives are the library's; one thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.cases import Case

Call = Callable[[], Any]


def nbgraph(case: Case, arrays: list[Any], threads: int = 1) -> Call:
    """A compiled program."""
    import nbgraph as nbg

    engine = nbg.Engine(jit="always", cache_dir=None, threads=threads)
    leaves = [nbg.TracedTensor.from_tensor(a) for a in arrays]
    function = case.functions["nbgraph"](nbg)
    if case.wrt:
        out = function(*leaves[:-1])
        outputs = [out, *out.vjp([leaves[i] for i in case.wrt], leaves[-1])]
    else:
        outputs = [function(*leaves)]
    program = engine.compile(outputs, leaves)
    return lambda: program(*arrays)


def numpy(case: Case, arrays: list[Any]) -> Call:
    """What is called at once."""
    import numpy as np

    function = case.functions["numpy"](np)
    return lambda: function(*arrays)


def copy(case: Case, arrays: list[Any]) -> Call:
    """A copy in memory, into a new array."""
    return lambda: case.functions["copy"](None)(*arrays)


def torch(case: Case, arrays: list[Any]) -> Call:
    """Eager, gradients by autograd."""
    import torch as library

    library.set_num_threads(1)
    operands = [library.from_numpy(a) if a.ndim else library.tensor(float(a), dtype=library.float64) for a in arrays]
    function = case.functions["torch"](library)
    if not case.wrt:
        return lambda: function(*operands)
    wrt = [operands[i].requires_grad_() for i in case.wrt]

    def run() -> Any:
        out = function(*operands[:-1])
        return (out, *library.autograd.grad(out, wrt, operands[-1]))

    return run


def jax(case: Case, arrays: list[Any]) -> Call:
    """Jitted."""
    import jax as library

    library.config.update("jax_enable_x64", True)
    operands = [library.numpy.asarray(a) for a in arrays]
    function = case.functions["jax"](library)

    def with_gradients(*given: Any) -> Any:
        out, pull = library.vjp(function, *given[:-1])
        gradients = pull(given[-1])
        return (out, *(gradients[i] for i in case.wrt))

    jitted = library.jit(with_gradients if case.wrt else function)
    return lambda: library.block_until_ready(jitted(*operands))

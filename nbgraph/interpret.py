"""Running a fragment with NumPy, operation by operation: the oracle of the tests and the first tier.

In: a fragment (or SSA program), arrays, run-time words. Out: arrays of the outputs, C-contiguous, of the inferred
dtypes, sharing memory with nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nbgraph.fragment import Fragment, at_sizes, size_at
from nbgraph.memory import empty
from nbgraph.types import TensorType, type_of_array

Array = np.ndarray[Any, Any]


def interpret(fragment: Fragment, arrays: Sequence[Array], words: Sequence[int] = ()) -> list[Array]:
    """The outputs of a fragment, by the references of its operations."""
    env: Any = fragment.environment([type_of_array(a) for a in arrays], tuple(words))
    values: list[Any] = list(arrays)
    with np.errstate(all="ignore"):
        for instr in fragment.instrs:
            sizes = tuple(size_at(s, env) for s in instr.sizes)
            result = instr.op.reference([values[i] for i in instr.ins], sizes)  # type: ignore[arg-type]
            values.extend(result if isinstance(result, tuple) else (result,))
    return [own(values[o], at_sizes(fragment.types[o], env)) for o in fragment.outputs]


def own(value: Any, t: TensorType) -> Array:
    """A value as an array of exactly type `t`, in memory of its own."""
    result = empty(t.shape, t.dtype)
    result[...] = value
    return result

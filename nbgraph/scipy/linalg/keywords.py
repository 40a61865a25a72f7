"""What SciPy's keywords say of matrices, and the refusal of those that ask for what is not there.

In: a keyword's value, and a matrix. Out: the matrix as the keyword has it, or a named error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbgraph import api
from nbgraph.errors import ShapeError
from nbgraph.linalg.stacks import lower as lower_part
from nbgraph.linalg.stacks import square

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


def refuse(operation: str, name: str, got: Any, wanted: str) -> None:
    """A keyword whose value means what is not there."""
    raise ShapeError("not supported", operation=operation, position=name, got=repr(got), wanted=wanted)


def adjoint(a: Any) -> TracedTensor:
    return api.conj(api.matrix_transpose(a))


def check_driver(operation: str, given: Any, known: tuple[Any, ...]) -> None:
    if given not in known:
        refuse(operation, "driver", given, " or ".join(map(repr, known)))


_STRUCTURES = {
    None: "general", "gen": "general", "sym": "symmetric", "her": "hermitian", "pos": "positive definite",
    "banded": "general",
}  # fmt: skip
_KNOWN = (
    "general", "diagonal", "tridiagonal", "upper triangular", "lower triangular", "symmetric", "hermitian",
    "positive definite",
)  # fmt: skip


def assumed(operation: str, a: Any, assume_a: Any, lower: bool) -> tuple[str, TracedTensor]:
    """The structure, and the matrix with what is not read replaced by what the structure says."""
    structure: Any = assume_a
    if assume_a is None or isinstance(assume_a, str):
        structure = _STRUCTURES.get(assume_a, assume_a)
    if structure not in _KNOWN:
        refuse(operation, "assume_a", assume_a, f"one of {', '.join(_KNOWN)}")
    x = square(operation, a)
    if structure in ("symmetric", "hermitian", "positive definite"):
        half = lower_part(x) if lower else lower_part(api.matrix_transpose(x))
        other = half if structure == "symmetric" else api.conj(half)
        diagonal = x * api.eye(x.shape[-1], dtype=x.dtype)
        x = half + api.matrix_transpose(other) + diagonal if lower else api.matrix_transpose(half) + other + diagonal
    elif structure == "tridiagonal":
        x = api.triu(api.tril(x, 1), -1)
    return structure, x

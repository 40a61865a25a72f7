"""einops on tensors: its functions find the backend of an array among the subclasses of its own class.

In: nothing. Out: nothing; if einops is installed, it knows tensors. Holds: einops goes by NumPy's functions, which stay
lazy on tensors. Without einops, or with one that has other insides, this does nothing.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from nbgraph.tensor import TracedTensor

__all__ = ["BACKEND"]


def _backend() -> Any:
    """A backend of einops for tensors, or None."""
    if find_spec("einops") is None:
        return None
    try:
        from einops._backends import NumpyBackend
    except ImportError:
        return None

    class Backend(NumpyBackend):  # type: ignore[misc]
        """Tensors, by NumPy's functions."""

        framework_name = "nbgraph"

        def is_appropriate_type(self, tensor: Any) -> bool:
            return isinstance(tensor, TracedTensor)

    return Backend


#: Kept alive here: einops only finds it.
BACKEND = _backend()

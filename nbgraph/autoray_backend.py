"""autoray on tensors: it finds nearly all functions here by name; these are the two that it takes in another form.

In: nothing. Out: nothing; autoray, if it is imported, before or after, knows them. Holds: it is not imported here,
which takes longer than this library.
"""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from importlib.util import find_spec
from typing import Any

from nbgraph import linalg
from nbgraph.tensor import TracedTensor


def _register(autoray: Any) -> None:
    """Says what autoray says of NumPy: `svd` is the reduced one unless asked for; `complex` is of two parts."""
    if hasattr(autoray, "register_function"):
        autoray.register_function("nbgraph", "linalg.svd", _svd)
        autoray.register_function("nbgraph", "complex", _complex)


def _svd(a: Any, full_matrices: bool = False, **named: Any) -> Any:
    return linalg.svd(a, full_matrices=full_matrices, **named)


def _complex(real: Any, imag: Any) -> TracedTensor:
    made: TracedTensor = real + 1j * imag
    return made


class _WhenImported(MetaPathFinder):
    """Is asked for each module that is imported; at the first import of autoray it steps aside."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != "autoray":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_register(module: Any) -> None:
                execute(module)
                _register(module)

            spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec


if "autoray" in sys.modules:
    _register(sys.modules["autoray"])
else:
    sys.meta_path.insert(0, _WhenImported())

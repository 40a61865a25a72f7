"""What the array API standard asks a namespace about: `nbg.__array_namespace_info__()`.

In: nothing. Out: capabilities, devices, dtypes. Holds: there is one device, "cpu", and seven dtypes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["NamespaceInfo"]

_KINDS = {
    "bool": ("bool",),
    "signed integer": ("int32", "int64"),
    "unsigned integer": (),
    "integral": ("int32", "int64"),
    "real floating": ("float32", "float64"),
    "complex floating": ("complex64", "complex128"),
    "numeric": ("int32", "int64", "float32", "float64", "complex64", "complex128"),
}


class NamespaceInfo:
    """Inspection of the namespace.

    >>> NamespaceInfo().default_device()
    'cpu'
    """

    def capabilities(self) -> dict[str, Any]:
        """Boolean indexing and data-dependent shapes are there: what decides a size is evaluated."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> str:
        """The device."""
        return "cpu"

    def default_dtypes(self, *, device: Any = None) -> dict[str, np.dtype[Any]]:
        """The dtypes of what is made without naming one."""
        names = {"real floating": "float64", "complex floating": "complex128", "integral": "int64", "indexing": "int64"}
        return {kind: np.dtype(name) for kind, name in names.items()}

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, np.dtype[Any]]:
        """The dtypes of a kind, or of several, or all.

        >>> sorted(NamespaceInfo().dtypes(kind="real floating"))
        ['float32', 'float64']
        """
        kinds = ("bool", "numeric") if kind is None else (kind,) if isinstance(kind, str) else kind
        return {name: np.dtype(name) for k in kinds for name in _KINDS[k]}

    def devices(self) -> list[str]:
        """The devices."""
        return ["cpu"]

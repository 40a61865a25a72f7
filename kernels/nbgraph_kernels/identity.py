"""What machine code made here depends on, besides its source.

In:    the sources of this package, versions, the CPU.
Out:   a digest: object code made under one may be loaded under an equal one, and under no other.
Holds: numba is not imported; versions are read from the files that hold them (`importlib.metadata` takes
       20 ms). Raises `OSError` where the sources cannot be read.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from hashlib import sha256
from importlib.util import find_spec

_NOT_OF_CODE = ("NUMBA_CACHE_DIR", "NUMBA_NUM_THREADS")


@cache
def identity() -> str:
    """The digest, in hexadecimal."""
    import numpy as np
    from llvmlite import binding

    features = binding.get_host_cpu_features().flatten()
    cpu = f"{binding.get_process_triple()} {binding.get_host_cpu_name()} {features}"
    # Numba reads its options, the CPU to compile for among them, from variables of these names.
    options = sorted((k, v) for k, v in os.environ.items() if k.startswith("NUMBA_") and k not in _NOT_OF_CODE)
    parts = [sys.version, cpu, str(options), np.__version__, str(binding.llvm_version_info)]
    parts += [version_text(package) for package in ("llvmlite", "numba", "scipy")]
    parts.append(source_digest(os.path.dirname(__file__)))
    return sha256("\0".join(parts).encode()).hexdigest()


def source_digest(folder: str) -> str:
    """A digest of the names and contents of all Python files below a folder."""
    digest = sha256()
    for here, folders, names in os.walk(folder, onerror=_raise):
        folders.sort()
        for name in sorted(names):
            if name.endswith(".py"):
                with open(os.path.join(here, name), "rb") as file:
                    content = file.read()
                digest.update(f"{os.path.relpath(here, folder)}/{name} {len(content)}\0".encode())
                digest.update(content)
    return digest.hexdigest()


def version_text(package: str) -> str:
    """The text that says which version of an installed package this is, without importing the package."""
    spec = find_spec(package)
    for name in ("_version.py", "version.py"):
        path = os.path.join(os.path.dirname(spec.origin), name) if spec and spec.origin else name
        if os.path.isabs(path) and os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                return file.read()
    from importlib.metadata import version

    return version(package)


def _raise(error: OSError) -> None:
    raise error

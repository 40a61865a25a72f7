"""Put object code in memory and find its entry.

In:    object code and the name of a function in it, as `compile.emit` makes them (or a file kept them).
Out:   the function's address, and the owner of its memory.
Holds: numba is not imported. The address is valid as long as the owner lives; dropping the owner frees the
       code.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from .locks import lock

ENTRY = "nbgraph_entry"
"""The name of the function in every piece of object code made by `compile`."""

LOCK = lock(awaited=4)
"""One thread is in LLVM at a time."""


@cache
def initialise() -> None:
    """Makes LLVM ready for this processor."""
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()


def load(object_code: bytes, symbol: str) -> tuple[int, Any]:
    """Load `object_code` and return `(address, keepalive)` of its function `symbol`.

    Names the code does not define are looked for in the process (libm). Raises `LookupError` if `symbol` is
    not in it. The bytes are executed: check where they came from first.
    """
    from llvmlite import binding

    with LOCK:
        initialise()
        target = binding.Target.from_triple(binding.get_process_triple())
        engine = binding.create_mcjit_compiler(binding.parse_assembly(""), target.create_target_machine())
        engine.add_object_file(binding.ObjectFileRef.from_data(object_code))
        engine.finalize_object()
        address = engine.get_function_address(symbol)
    if not address:
        raise LookupError(f"object code without a function {symbol!r}")
    return address, engine

"""An operation that failed at run time, on the way to the user's named error."""

from __future__ import annotations

from typing import Any

import numpy as np

from nbgraph.errors import BoundsError, LinAlgError, OutOfMemoryError, describe
from nbgraph.fragment import Fragment


class OperationFailed(Exception):
    """Which operation failed, and how: the exception that its reference raised, or one made of a kernel's status."""

    def __init__(self, op: Any, error: Exception) -> None:
        super().__init__(op, error)
        self.op, self.error = op, error

    @classmethod
    def from_status(cls, op: Any, status: int) -> OperationFailed:
        """A kernel's status, as the operation reads it."""
        return cls(op, op.failed(status))

    def named(self, call: Any) -> Exception:
        """The user's error: operation and the line that recorded it."""
        if isinstance(self.error, MemoryError):
            return OutOfMemoryError.of(self.error, self.op.told_as or self.op.name)
        out_of_bounds = self.op.fallible and isinstance(self.error, BoundsError)
        if not (out_of_bounds or isinstance(self.error, np.linalg.LinAlgError)):
            return self.error
        where = self._line(call)
        while where is None and call is not None and call.origin is not None:
            # A derived call fails where the operation that it is derived from was recorded.
            call = call.origin[0]
            where = None if call is None else self._line(call)
        kind, place = BoundsError if out_of_bounds else LinAlgError, describe(where) if where else None
        name = self.op.told_as or self.op.name
        return kind(self.error.args[0], operation=name, got=getattr(self.error, "got", None), where=place)

    def _line(self, call: Any) -> Any:
        """The user's line of the failed operation in a call, or of another one that fails alike (a gather, where its
        adjoint, a scatter, finds an index out of bounds)."""
        sites = [(_op_at(call.fragment, slot), site) for slot, site in (call.sites if call is not None else None) or ()]
        same = [site for op, site in sites if op is self.op]
        alike = [site for op, site in sites if op is not None and op.failure == self.op.failure]
        return next(iter(same + alike), None)


def _op_at(fragment: Fragment, slot: int) -> Any:
    return next((instr.op for instr in fragment.instrs if slot in instr.outs), None)

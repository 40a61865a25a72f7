"""An operation that failed at run time, on the way to the user's named error."""

from __future__ import annotations

from typing import Any

import numpy as np

from nbgraph.errors import LinAlgError, describe
from nbgraph.fragment import Fragment


class OperationFailed(Exception):
    """Which operation failed, and how: the exception that its reference raised, or one made of a kernel's status."""

    def __init__(self, op: Any, error: Exception) -> None:
        super().__init__(op, error)
        self.op, self.error = op, error

    @classmethod
    def from_status(cls, op: Any, status: int) -> OperationFailed:
        """A kernel's status: LAPACK's info if positive."""
        return cls(op, np.linalg.LinAlgError(f"failed with info {status}: {op.failure}"))

    def named(self, sites: Any, fragment: Fragment) -> Exception:
        """The user's error: operation and the line that recorded it."""
        if not isinstance(self.error, np.linalg.LinAlgError):
            return self.error
        where = next((site for slot, site in sites or () if _op_at(fragment, slot) is self.op), None)
        return LinAlgError(str(self.error), operation=self.op.name, where=describe(where) if where else None)


def _op_at(fragment: Fragment, slot: int) -> Any:
    return next((instr.op for instr in fragment.instrs if slot in instr.outs), None)

"""The builder that derivative rules are handed.

In: keys of values. Out: keys of new values; operations are named as methods (`b.cos(x)`, `b.sum(x, axes=(0,))`), looked
up in the registry, so that operations never import each other.
Holds: sizes are symbolic; `b.shape(x)` may be handed on as sizes, never inspected as numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nbgraph.keys import GlobalOpKey, GlobalValKey
from nbgraph.op import REGISTRY, Op
from nbgraph.types import Shape, TensorType

Value = GlobalValKey


class RuleBuilder:
    """Emits operations on keys; equal operations are one key."""

    def type(self, x: Value) -> TensorType:
        return x.type

    def shape(self, x: Value) -> Shape:
        return x.type.shape

    def emit(self, op: Op, *ins: Value, sizes: Shape = ()) -> Any:
        """An operation on keys: the key of its result, or a tuple of keys."""
        results = GlobalOpKey(op, ins, sizes).results()
        return results[0] if len(results) == 1 else results

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_") or name not in REGISTRY:
            raise AttributeError(f"no operation is registered as {name!r}")
        cls = REGISTRY[name]

        def call(*ins: Value, **params: Any) -> Any:
            op, sizes = cls.bind([k.type for k in ins], **params)
            return self.emit(op, *ins, sizes=sizes)

        return call

    # -- arithmetic; the second operand may be a Python number ----------------------------------------------

    def lit(self, value: complex, like: Value) -> Value:
        """A constant of the dtype of `like`, part of the structure."""
        return self.literal(code=like.type.code, value=value)  # type: ignore[no-any-return]

    def _pair(self, x: Any, y: Any) -> tuple[Value, Value]:
        x = x if isinstance(x, GlobalValKey) else self.lit(x, y)
        y = y if isinstance(y, GlobalValKey) else self.lit(y, x)
        return x, y

    def add(self, x: Any, y: Any) -> Value:
        """x + y, where None is an exact zero."""
        if x is None or y is None:
            return y if x is None else x  # type: ignore[no-any-return]
        return self.emit(REGISTRY["add"](), *self._pair(x, y))  # type: ignore[no-any-return]

    def sub(self, x: Any, y: Any) -> Value:
        """x - y, where None is an exact zero."""
        if y is None:
            return x  # type: ignore[no-any-return]
        if x is None:
            return self.neg(y)
        return self.emit(REGISTRY["subtract"](), *self._pair(x, y))  # type: ignore[no-any-return]

    def mul(self, x: Any, y: Any) -> Value:
        return self.emit(REGISTRY["multiply"](), *self._pair(x, y))  # type: ignore[no-any-return]

    def div(self, x: Any, y: Any) -> Value:
        return self.emit(REGISTRY["divide"](), *self._pair(x, y))  # type: ignore[no-any-return]

    def neg(self, x: Value) -> Value:
        return self.emit(REGISTRY["negative"](), x)  # type: ignore[no-any-return]

    def conj(self, x: Value) -> Value:
        """The conjugate; a real value as it is."""
        return self.emit(REGISTRY["conj"](), x) if x.type.is_complex else x

    def cast(self, x: Value, code: str) -> Value:
        """x as dtype `code` (a complex value loses its imaginary part)."""
        return x if x.type.code == code else self.emit(REGISTRY["astype"](code), x)

    # -- shapes -------------------------------------------------------------------------------------------------

    def broadcast_to(self, x: Value, shape: Shape) -> Value:
        """x repeated to a shape; x itself where it has that shape."""
        if x.type.shape == tuple(shape):
            return x
        op, sizes = REGISTRY["broadcast_to"].bind([x.type], shape=tuple(shape))
        return self.emit(op, x, sizes=sizes)  # type: ignore[no-any-return]

    def unbroadcast(self, ct: Value, t: TensorType) -> Value:
        """The cotangent of an operand of type `t` that was broadcast: sums over what was repeated."""
        lead = ct.type.ndim - t.ndim
        axes = tuple(range(lead)) + tuple(
            lead + i for i, d in enumerate(t.shape) if d == 1 and ct.type.shape[lead + i] != 1
        )
        if axes:
            ct = self.emit(REGISTRY["sum"](axes), ct)
        return self.reshape_like(ct, t)

    def reshape_like(self, x: Value, t: TensorType) -> Value:
        """x in the shape of `t` (equal element counts)."""
        if x.type.shape == t.shape:
            return x
        op, sizes = REGISTRY["reshape"].bind([x.type], shape=t.shape)
        return self.emit(op, x, sizes=sizes)  # type: ignore[no-any-return]

    def zeros(self, t: TensorType) -> Value:
        """Exact zeros of a type, made explicit."""
        return self.broadcast_to(self.literal(code=t.code, value=0), t.shape)


BUILDER = RuleBuilder()

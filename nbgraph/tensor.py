"""`TracedTensor`: the user's handle on a value that is recorded, not computed.

In: operators and methods, on tensors, ndarrays, numbers. Out: further tensors; values where they are asked for.
Holds: attributes and `repr` never evaluate; `eval`, `float`, `bool`, `str`, iteration over values and `np.asarray` do,
and never break the graph. A tensor is immutable: what looks like a change gives a new one.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, final

import numpy as np

from nbgraph import api, dispatch, gradients, pickling
from nbgraph.api.indexing import getitem
from nbgraph.api.products import MATMULS
from nbgraph.dims import DimExpr, dim
from nbgraph.elsewhere import OF_TENSORS, Missing
from nbgraph.engine import Engine, evaluate, value
from nbgraph.errors import ConcretizationError, ShapeError, not_an_engine
from nbgraph.leaves import leaf, leaf_of_number, own_array
from nbgraph.node import Node
from nbgraph.op import REGISTRY
from nbgraph.operators import bitwise, changing, defers, forward, reflected
from nbgraph.promote import COMMON_POWERS, along, record1, record2
from nbgraph.settle import refresh
from nbgraph.trace import RECORDING, Known, concrete_size, placeholder, set_handle, value_of
from nbgraph.trees import declare_leaf
from nbgraph.types import Shape, Size, TensorType, code_of
from nbgraph.updates import At

__all__ = ["TracedTensor"]

Array = np.ndarray[Any, Any]


def _product(x: Any, y: Any) -> Any:
    plan = MATMULS.get((x.type, y.type))
    return record2(plan[2], x, y) if plan is not None and plan[3] else api.matmul(x, y)


_MATMUL, _TRANSPOSE = Known(_product), Known(lambda x: along("transpose", x, None))
_NEGATIVE, _ABS, _INVERT = (REGISTRY[name]() for name in ("negative", "abs", "invert"))


# -- the class --------------------------------------------------------------------------------------------------------


#: Numbers that are differentiated by as they are.
_REALS: dict[type, str] = {float: "f8", np.float64: "f8", np.float32: "f4"}


@final
class TracedTensor(Node):
    """A value of the graph: dtype, shape, how it comes about, and its data once it is known.

    Make leaves with `TracedTensor.from_tensor`, `nbg.constant` or `TracedTensor.placeholder`; operations give the rest.
    Methods are the functions of the same name with the tensor as first argument. `==` compares elements; tensors are
    hashed by identity. `copy` and `copy.deepcopy` return the tensor itself. Pickles keep the graph below, see
    `nbgraph.pickling`.

    >>> x = TracedTensor.from_tensor([1.0, 2.0])
    >>> y = (x * x).sum()
    >>> y
    TracedTensor(float64[])
    >>> y.eval()
    array(5.)
    >>> y.grad(x).tolist()
    [2.0, 4.0]
    """

    __slots__ = ()
    __array_priority__: ClassVar[float] = 1000.0

    @classmethod
    def from_tensor(cls, a: Any, dtype: Any = None) -> TracedTensor:
        """A leaf that can be differentiated by, from anything array-like (copied unless nobody can write to it).

        A tensor gives a new leaf with its value: it is evaluated, and no gradient flows back through it. A leaf of
        integers or booleans has no derivative. Raises `DtypeError` for what holds no numbers.

        >>> TracedTensor.from_tensor([[1.0, 2.0]]).shape
        (1, 2)
        """
        code = dtype is None and _REALS.get(type(a))
        if code:
            return leaf_of_number(a, code)  # type: ignore[return-value]
        made: Any = leaf(own_array(a.eval() if isinstance(a, TracedTensor) else a, dtype and code_of(dtype)), True)
        return made  # type: ignore[no-any-return]

    @classmethod
    def placeholder(cls, shape: Any, dtype: Any = "float64", name: str | None = None) -> TracedTensor:
        """An input whose value comes with each eval; a size is an int, a name, or made from `nbg.dim`.

        Raises `ShapeError` for what is no size. See `docs/guides/shapes.md`.

        >>> x = TracedTensor.placeholder(("n", 3), name="x")
        >>> x.sum(axis=1).shape
        (n,)
        >>> x.sum().eval(bindings={x: np.ones((2, 3))})
        array(6.)
        """
        given = shape if isinstance(shape, tuple | list) else (shape,)
        sizes: Shape = tuple(map(_size, given))
        made: Any = placeholder(TensorType(code_of(dtype), sizes), name or "placeholder")
        return made  # type: ignore[no-any-return]

    # -- attributes ---------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> Shape:
        """The sizes: ints, or `DimExpr` where a size is known only when it runs.

        A size that the data decides is an int once it was evaluated; until then `int` of it evaluates it.
        """
        if not self.type.concrete:
            refresh(self)
        return self.type.shape

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self.type.ndim

    @property
    def size(self) -> Size:
        """The number of elements."""
        return self.type.size if self.type.concrete else math.prod(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype."""
        return self.type.dtype

    @property
    def itemsize(self) -> int:
        """The bytes of one element."""
        return self.type.dtype.itemsize

    @property
    def nbytes(self) -> Size:
        """The bytes of all elements."""
        return self.size * self.itemsize

    @property
    def device(self) -> str:
        """Where values are: "cpu"."""
        return "cpu"

    def to_device(self, device: Any, /, *, stream: Any = None) -> TracedTensor:
        """The tensor itself; there is one device, "cpu"."""
        api.elementwise.check_device(device)
        return self

    @property
    def flat(self) -> TracedTensor:
        """One dimension of all elements."""
        return api.ravel(self)

    @property
    def T(self) -> TracedTensor:
        """All axes reversed."""
        make = RECORDING.make
        found = None if make is None else make(_TRANSPOSE, self)
        return _TRANSPOSE(self) if found is None else found  # type: ignore[no-any-return]

    @property
    def mT(self) -> TracedTensor:
        """The last two axes exchanged."""
        return api.matrix_transpose(self)

    @property
    def real(self) -> TracedTensor:
        """The real part."""
        return api.real(self)

    @property
    def imag(self) -> TracedTensor:
        """The imaginary part; zeros of a real tensor."""
        return api.imag(self)

    @property
    def at(self) -> At:
        """`x.at[index].set(value)`, `.add`, `.mul`, `.max`, `.min`: x with a region changed, as a new tensor.

        >>> nbg_zeros = TracedTensor.from_tensor([0.0, 0.0, 0.0])
        >>> nbg_zeros.at[1:].add([1, 2]).tolist()
        [0.0, 1.0, 2.0]
        """
        return At(self)

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name not in OF_TENSORS]

    # -- values -------------------------------------------------------------------------------------------------------

    def eval(self, engine: Engine | None = None, bindings: Any = None) -> Array:
        """The value as a read-only ndarray; only what is new since the last eval is computed.

        `engine` defaults to `nbg.default_engine()`; `bindings` maps placeholders to arrays. The graph goes on as if
        nothing had happened: the tensor can be used and differentiated through.

        >>> (TracedTensor.from_tensor(2.0) + 1).eval()
        array(3.)
        """
        if engine is not None and not isinstance(engine, Engine):
            raise not_an_engine(engine)
        return evaluate([self], engine, bindings)[0] if bindings else value(self, engine)

    def item(self, *index: Any) -> Any:
        """The only element as a Python number, or the one at an index; `ShapeError` if there are more."""
        if index:
            return self._at(*index).item()
        if self.type.concrete and self.type.size != 1:
            raise ShapeError(
                "only a tensor of one element is a number",
                operation="item", got=f"shape {self.type.shape}", wanted="one element",
                hint="reduce it first (.any(), .all(), .sum(), ...), or index it",
            )  # fmt: skip
        return self.eval().item()

    def _at(self, first: Any, *rest: Any) -> TracedTensor:
        """The element at one index for each dimension, or at a tuple of them, or at a flat index."""
        if rest or type(first) is tuple:
            return getitem(self, (first, *rest) if rest else first)
        return getitem(api.ravel(self), first)

    def compress(self, condition: Any, axis: Any = None) -> TracedTensor:
        """The slices along an axis (None: elements of the flattened tensor) where a condition holds."""
        return api.compress(condition, self, axis)

    def tobytes(self) -> bytes:
        """The bytes of the value, in row-major order."""
        return self.eval().tobytes()

    def block_until_ready(self) -> TracedTensor:
        """The tensor itself, evaluated (JAX's name)."""
        self.eval()
        return self

    def tolist(self) -> Any:
        """The value as nested lists of Python numbers."""
        return self.eval().tolist()

    def __bool__(self) -> bool:
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item() if self.type.shape else value(self).item())

    def __int__(self) -> int:
        return int(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __index__(self) -> int:
        if self.type.code not in ("i4", "i8") or self.type.ndim:
            raise ConcretizationError("only a 0-d tensor of integers is an index", got=self.type, wanted="int64[]")
        return int(self.item())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.eval(), dtype=dtype, copy=copy)

    def __dlpack__(self, **kwargs: Any) -> Any:
        return np.array(self.eval()).__dlpack__(**kwargs)  # a copy: the graph's own data may not be written to

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)  # CPU

    def __len__(self) -> int:
        if not self.type.ndim:
            raise TypeError("len() of a 0-d tensor")
        return concrete_size(self.type.shape[0], "the length")

    def __iter__(self) -> Iterator[TracedTensor]:
        if not self.type.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return map(self.__getitem__, range(len(self)))

    def __contains__(self, value: Any) -> bool:
        return bool(api.any(api.equal(self, value)))

    def __repr__(self) -> str:
        """The type, and the value where it is known and short; evaluates nothing."""
        data = value_of(self)
        shown = f", {data}" if data is not None and data.ndim <= 1 and data.size <= 8 else ""
        return f"TracedTensor({self.type}{shown})"

    def __str__(self) -> str:
        return str(self.eval())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else str(self)

    # -- derivatives --------------------------------------------------------------------------------------------------

    def grad(self, wrt: Any, allow_unused: bool = False) -> Any:
        """The gradient of this real scalar by a tensor, or by a container of them (then in a container like it).

        Lazy, and differentiable again. By complex tensors the inner product is Re(conj(a) b): |z|^2 has gradient 2z.
        Raises `DifferentiationError` if this is no real scalar, or if `wrt` is integer, boolean, a constant, or not in
        its graph; with `allow_unused=True` the last gives zeros.

        >>> x = TracedTensor.from_tensor([1.0, 3.0])
        >>> (x**2).sum().grad({"x": x})["x"].tolist()
        [2.0, 6.0]
        """
        return gradients.gradient(self, wrt, allow_unused)

    def vjp(self, wrt: Any, ct: Any, allow_unused: bool = False) -> Any:
        """The cotangent of `wrt` from the cotangent `ct` of this tensor, in its shape; otherwise as `grad`.

        >>> x = TracedTensor.from_tensor([1.0, 3.0])
        >>> (x * x).vjp(x, [1.0, 10.0]).tolist()
        [2.0, 60.0]
        """
        return gradients.cotangent(self, wrt, ct, allow_unused)

    def jvp(self, wrt: Any, tangent: Any) -> TracedTensor:
        """The tangent of this tensor when `wrt` moves by `tangent` (a tensor, or containers alike).

        Raises `DifferentiationError` where `grad` would.

        >>> x = TracedTensor.from_tensor([1.0, 3.0])
        >>> (x * x).jvp(x, [1.0, 10.0]).tolist()
        [2.0, 60.0]
        """
        return gradients.tangent(self, wrt, tangent)

    # -- operators ----------------------------------------------------------------------------------------------------

    __add__, __radd__ = forward("add"), reflected("add")
    __sub__, __rsub__ = forward("subtract"), reflected("subtract")
    __mul__, __rmul__ = forward("multiply"), reflected("multiply")
    __truediv__, __rtruediv__ = forward("divide"), reflected("divide")
    __lt__, __le__ = forward("less"), forward("less_equal")
    __gt__, __ge__ = forward("greater"), forward("greater_equal")
    __eq__, __ne__ = forward("equal"), forward("not_equal")
    __mod__, __rmod__ = forward("remainder"), reflected("remainder")
    __floordiv__, __rfloordiv__ = forward("floor_divide"), reflected("floor_divide")
    __and__, __rand__ = bitwise("bitwise_and"), bitwise("bitwise_and", True)
    __or__, __ror__ = bitwise("bitwise_or"), bitwise("bitwise_or", True)
    __xor__, __rxor__ = bitwise("bitwise_xor"), bitwise("bitwise_xor", True)
    __lshift__, __rlshift__ = bitwise("left_shift"), bitwise("left_shift", True)
    __rshift__, __rrshift__ = bitwise("right_shift"), bitwise("right_shift", True)
    __hash__ = object.__hash__

    def __pow__(self, other: Any) -> TracedTensor:
        if type(other) is int and self.type.inexact and other in COMMON_POWERS:
            return record1(COMMON_POWERS[other], self)
        return NotImplemented if defers(other) else api.power(self, other)

    def __rpow__(self, other: Any) -> TracedTensor:
        return NotImplemented if defers(other) else api.power(other, self)

    def __matmul__(self, other: Any) -> TracedTensor:
        if type(other) is TracedTensor:
            make = RECORDING.make
            found = None if make is None else make(_MATMUL, self, other)
            return _MATMUL(self, other) if found is None else found  # type: ignore[no-any-return]
        return NotImplemented if defers(other) else api.matmul(self, other)

    def __rmatmul__(self, other: Any) -> TracedTensor:
        return NotImplemented if defers(other) else api.matmul(other, self)

    def __neg__(self) -> TracedTensor:
        return record1(_NEGATIVE, self)

    def __pos__(self) -> TracedTensor:
        return self

    def __abs__(self) -> TracedTensor:
        return record1(_ABS, self)

    def __invert__(self) -> TracedTensor:
        return record1(_INVERT, self)

    def __divmod__(self, other: Any) -> Any:
        return NotImplemented if defers(other) else api.divmod(self, other)

    def __rdivmod__(self, other: Any) -> Any:
        return NotImplemented if defers(other) else api.divmod(other, self)

    def __getitem__(self, index: Any) -> TracedTensor:
        return getitem(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError("a TracedTensor cannot be changed in place: use x = x.at[index].set(value)")

    def __delitem__(self, index: Any) -> None:
        raise TypeError("a TracedTensor cannot be changed in place: use x = nbg.delete(x, index, axis)")

    # -- functions as methods -----------------------------------------------------------------------------------------

    sum, prod, mean, max, min = api.sum, api.prod, api.mean, api.max, api.min
    var, std, ptp, round = api.var, api.std, api.ptp, api.round
    any, all, argmax, argmin = api.any, api.all, api.argmax, api.argmin
    ravel, flatten, squeeze, swapaxes = api.ravel, api.ravel, api.squeeze, api.swapaxes
    take, repeat, nonzero, choose = api.take, api.repeat, api.nonzero, api.choose
    cumsum, cumprod, argsort, searchsorted = api.cumsum, api.cumprod, api.argsort, api.searchsorted
    argpartition = api.argpartition
    sort, partition = changing("sort", "nbg.sort(x)"), changing("partition", "nbg.partition(x, kth)")
    fill, put = changing("fill", "nbg.full_like(x, value)"), changing("put", "nbg.put(x, indices, values)")
    resize = changing("resize", "nbg.resize(x, shape)")
    dot, diagonal, trace, clip = api.dot, api.diagonal, api.trace, api.clip
    conj, conjugate = api.conj, api.conj

    def astype(self, dtype: Any, copy: bool = True) -> TracedTensor:
        """The tensor in another dtype (`copy` is of no account: tensors are immutable)."""
        return api.astype(self, dtype)

    def reshape(self, *shape: Any, order: str = "C", copy: Any = None) -> TracedTensor:
        """The same elements under another shape, given as one tuple or as sizes."""
        return api.reshape(self, shape[0] if len(shape) == 1 else shape, order)

    def transpose(self, *axes: Any) -> TracedTensor:
        """Axes in another order, given as one tuple or one by one; reversed if none are given."""
        return api.transpose(self, (axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes) or None)

    def copy(self) -> TracedTensor:
        """The tensor itself, as it is immutable."""
        return self

    # -- protocols ----------------------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if not kwargs and method == "__call__":  # as by an array that is the first operand
            called = dispatch.CALLED.get(ufunc)
            if called is not None:
                return called(*inputs)
        return dispatch.call_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        return dispatch.call_function(func, args, kwargs)

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        return sys.modules["nbgraph"]

    def __copy__(self) -> TracedTensor:
        return self

    def __deepcopy__(self, memo: Any) -> TracedTensor:
        return self

    def __reduce_ex__(self, protocol: Any) -> Any:
        return pickling.reduce(self)


for _name in OF_TENSORS:
    setattr(TracedTensor, _name, Missing("a TracedTensor", _name, OF_TENSORS))
set_handle(declare_leaf(TracedTensor))


def _size(d: Any) -> Size:
    """A size of a placeholder."""
    if isinstance(d, str) and d:
        return dim(d)
    if isinstance(d, DimExpr):
        return d
    if isinstance(d, bool | str) or not hasattr(d, "__index__") or operator.index(d) < 0:
        wanted = "an int >= 0, a name, or an expression of sizes (nbg.dim)"
        raise ShapeError("not a size", operation="placeholder", got=repr(d), wanted=wanted)
    return operator.index(d)

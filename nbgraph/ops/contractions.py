"""Contractions of two operands: every product of a matrix, a vector or a tensor is one operation, `contract`.

In: two operands of one dtype and a label for each of their dimensions. A label in both operands and not in the result
is summed over; so `matmul` of matrices is (0, 1), (1, 2) -> (0, 2). Diagonals and sums over a label of one operand
alone come before (see `nbgraph.contraction`).
Out: their product, bilinear: no operand is conjugated.
Holds: code is generated for `matmul3` (and for multiplications and sums) only; `Contract.expand` gets there by views
where the layout permits.

Labels fall into four groups, named as in BLAS: batch (in a, b and the result), m (a and the result), n (b and the
result), k (a and b, summed).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any, final

import numpy as np

from nbgraph.errors import DtypeError, ShapeError
from nbgraph.kinds import Kernel, Layout
from nbgraph.labels import common_size
from nbgraph.op import Expression, Op, Sample, Sizes, sample_array
from nbgraph.orders import Groups, lies_in_runs
from nbgraph.types import Shape, Size, TensorType
from nbgraph_kernels.locks import cached_property

Labels = tuple[int, ...]


def _check_labels(a: Labels, b: Labels, out: Labels) -> None:
    """The labels are those of a contraction (an internal mistake otherwise: the API takes sums and diagonals first)."""
    for labels in (a, b, out):
        if len(set(labels)) != len(labels):
            raise ShapeError("a label is repeated", operation="contract", got=labels, wanted="different labels")
    known = {*a, *b}
    lonely = (set(a) - set(b) - set(out)) | (set(b) - set(a) - set(out)) | (set(out) - known)
    if lonely:
        wanted = "each label in at least two of a, b and out"
        raise ShapeError("a label has no partner", operation="contract", got=(a, b, out), wanted=wanted)


@final
class Contract(Op):
    """The sum over the labels that `out` lacks of the products of a and b: `numpy.einsum` of two operands.

    Labels are small ints, renumbered by first use in a, then b, so equal contractions are one operation.
    """

    name = "contract"
    params = ("a", "b", "out")
    a: Labels
    b: Labels
    out: Labels

    def __new__(cls, a: Labels, b: Labels, out: Labels) -> Any:
        found = Op._interned.get((cls, a, b, out))
        if found is None:
            number: dict[int, int] = {}
            for label in (*a, *b):
                number.setdefault(label, len(number))
            _check_labels(a, b, out)
            found = super().__new__(cls, *(tuple(number[x] for x in labels) for labels in (a, b, out)))
        return found

    @cached_property
    def costly(self) -> bool:
        """Whether labels are summed over: the result is smaller than the work."""
        return len({*self.a, *self.b}) > len(self.out)

    @cached_property
    def groups(self) -> Groups:
        return Groups.of(self.a, self.b, self.out)

    @cached_property
    def _shared(self) -> tuple[tuple[int, int], ...]:
        """The places of each label of both operands, among the dimensions of a, then b."""
        return tuple((i, len(self.a) + self.b.index(x)) for i, x in enumerate(self.a) if x in self.b)

    @cached_property
    def _sources(self) -> tuple[int, ...]:
        """Where among the dimensions of a, then b, each dimension of the result is."""
        return tuple((*self.a, *self.b).index(x) for x in self.out)

    @cached_property
    def _run(self) -> Callable[..., Any]:
        return _numpy_plan(self.a, self.b, self.out)

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        x, y = ins
        for position, (t, labels) in enumerate(((x, self.a), (y, self.b))):
            if t.ndim != len(labels):
                wanted = f"{len(labels)} dimensions"
                raise ShapeError("wrong rank", operation=self.name, position=position, got=t.shape, wanted=wanted)
        if x.code != y.code:
            raise DtypeError("dtypes differ", operation=self.name, position=1, got=y.dtype, wanted=x.dtype)
        shape = (*x.shape, *y.shape)
        for i, j in self._shared:
            if shape[i] != shape[j]:
                shape = self._common(cx, x, y, shape, i, j)
        return TensorType(x.code, tuple([shape[i] for i in self._sources]))

    def _common(self, cx: Sizes, x: TensorType, y: TensorType, shape: Shape, i: int, j: int) -> Shape:
        """The sizes of both operands with those of one label made the same."""
        wanted = f"size {shape[i]} along axis {j - x.ndim} (operand 0 has shape {x.shape})"
        size = common_size(cx, shape[i], shape[j], operation=self.name, position=1, got=y.shape, wanted=wanted)
        return tuple(size if at in (i, j) else d for at, d in enumerate(shape))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return self._run(ins[0], ins[1])

    def function_of_operands(self) -> Any:
        return self._run

    def expression(self, types: Sequence[TensorType]) -> Expression | None:
        g = self.groups
        if not g.k:
            return _product_expression(self.a, self.b, self.out)
        return _dot_expression(self.a, self.b, self.out, g) if _is_dot(g) else None

    def function_into(self) -> Any:
        g = self.groups
        return self._run if not g.k or _is_dot(g) else None

    def function_adding(self) -> Any:
        return _adding_plan(self.groups, self.a, self.b, self.out)

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        (x, y), (dx, dy) = ins, tangents
        return b.add(
            b.emit(self, dx, y) if dx is not None else None,
            b.emit(self, x, dy) if dy is not None else None,
        )

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        # Each label of one operand is in the other or in the result, so these are contractions again.
        x, y = ins
        return (
            b.emit(Contract(self.out, self.b, self.a), ct, b.conj(y)) if active[0] else None,
            b.emit(Contract(self.a, self.out, self.b), b.conj(x), ct) if active[1] else None,
        )

    def expand(self, b: Any, ins: Any, sizes: Shape) -> Any:
        x, y = ins
        size: dict[int, Size] = dict(zip(self.a, b.shape(x), strict=True))
        for label, d in zip(self.b, b.shape(y), strict=True):
            if type(size.get(label)) is not int:
                size[label] = d
        ones = {label for label, d in size.items() if _is_one(d)}
        if ones:
            return self._expand_without(b, x, y, ones)
        if not self.groups.k:
            return b.mul(self._factor(b, x, self.a), self._factor(b, y, self.b))
        if not self.groups.m and not self.groups.n and b.type(x).code != "b1":
            return self._expand_dot(b, x, y)
        return self._expand_product(b, x, y, size)

    def _expand_without(self, b: Any, x: Any, y: Any, ones: set[int]) -> Any:
        """Dimensions of size 1 go first and come back last: neither sum nor product needs them."""
        rest = [tuple(label for label in labels if label not in ones) for labels in self._values]
        x = _squeezed(b, x, [i for i, label in enumerate(self.a) if label in ones])
        y = _squeezed(b, y, [i for i, label in enumerate(self.b) if label in ones])
        result = Contract(*rest).expand(b, (x, y), ())
        axes = tuple(i for i, label in enumerate(self.out) if label in ones)
        return b.expand_dims(result, axes=axes) if axes else result

    def _factor(self, b: Any, x: Any, labels: Labels) -> Any:
        """An operand as the result has its labels; what is read over and over is read in the order it lies in."""
        order = tuple(label for label in self.out if label in labels)
        if order != labels and len(order) < len(self.out):
            x, labels = b.copy(b.transpose(x, axes=tuple(labels.index(label) for label in order))), order
        return _aligned(b, x, labels, self.out)

    def _expand_dot(self, b: Any, x: Any, y: Any) -> Any:
        """Without m and n every element is used once: a fused product and sum reads memory once, as BLAS would."""
        batch, k = self.groups.batch, self.groups.k
        order = self.a if tuple(label for label in self.a if label in batch) == batch else batch + k
        product = b.mul(_aligned(b, x, self.a, order), _aligned(b, y, self.b, order))
        total = b.sum(product, axes=tuple(i for i, label in enumerate(order) if label in k))
        return b.cast(total, b.type(x).code)

    def _expand_product(self, b: Any, x: Any, y: Any, size: dict[int, Size]) -> Any:
        """By `matmul3`, with its operands so ordered that the result comes out in the order wanted if it can."""
        batch, m, n, k = self.groups
        left, right = (x, self.a, m), (y, self.b, n)
        runs = [(kind, tuple(run)) for kind, run in groupby(self.out, lambda label: (label in m) - (label in n))]
        kinds = [kind for kind, _ in runs if kind]
        if kinds[:1] == [-1]:
            left, right = right, left
        lead, rows, columns = batch, left[2], right[2]
        repeats = not batch and len(kinds) == 3
        if repeats:
            # The result is [left's, right's, left's]: over the first, right is repeated (a stride of 0 copies nothing,
            # and so does matmul with a matrix against a batch).
            lead, left, right = runs[0][1], right, left
            rows, columns = runs[1][1], runs[2][1]
        k = _summed_order(left[1], right[1], lead, rows, columns, k)
        x3 = _stacked(b, left[0], left[1], (() if repeats else lead, rows, k), size)
        y3 = _stacked(b, right[0], right[1], (lead, k, columns), size)
        if repeats:
            x3 = b.broadcast_to(x3, (math.prod(size[label] for label in lead), *b.shape(x3)[1:]))
        result = _unstacked(b, b.emit(Matmul3(), x3, y3), (lead, rows, columns), size)
        return _aligned(b, result, (*lead, *rows, *columns), self.out)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        size = {"i": 3, "j": 4, "k": 2, "b": 2, "c": 3, "o": 1, "z": 0}
        for spec in _SAMPLES.split():
            left, right, out = spec.replace(">", ",").split(",")
            labels = [tuple(ord(c) for c in part) for part in (left, right, out)]
            arrays = [sample_array(rng, code, tuple(size[c] for c in part)) for part in (left, right)]
            yield Sample(cls(*labels), tuple(arrays))


_SAMPLES = """
    ,> ,ij>ij i,j>ij i,i> i,i>i ij,j>i ji,j>i ij,jk>ik ji,jk>ik ij,kj>ki bij,bjk>bik ijb,bjk>kib ib,ib>b bi,bi>b
    ijk,kj>i bci,ij>bcj ij,bjk>bik bij,jk>bik ijc,cjk>ki ij,ij> ij,ji> io,ok>ik oi,ij>oj bo,bo>o ob,bo>ob
    iz,zj>ij zi,ij>zj z,z>
    bz,bz>b cbij,bcjk>cbik bijc,jck>bik
"""


@final
class Matmul3(Kernel):
    """Matrix products of two batches, [batch, m, k] x [batch, k, n] -> [batch, m, n], over any strides.

    Source: BLAS xGEMM, xGEMV. It appears when `contract` is expanded for code generation.
    """

    name = "matmul3"
    kernel = "gemm"
    takes_layouts = True

    def reads(self, operand: TensorType, layout: Layout) -> bool:
        # Else matrices that lie inside each other would be gathered element by element, more than once.
        return layout.strides[0] != 1 or not operand.inexact or _has_unit_stride(layout)

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        return _LIKE_MATMUL.infer(cx, ins, sizes)

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return np.matmul(ins[0], ins[1])

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        (x, y), (out,) = ins, outs
        nbatch, m, k = x.type.shape
        blas_reads = x.type.inexact and all(_has_unit_stride(v.layout) for v in (x, y, out))
        lw.call(
            "gemm" if blas_reads else "matmul", x.type.code,
            out.address, x.address, y.address, nbatch, m, y.type.shape[2], k,
            *out.layout.strides, *x.layout.strides, *y.layout.strides, 0, 0, 0,
        )  # fmt: skip

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        return _LIKE_MATMUL.linearize(b, ins, outs, tangents, sizes)

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        return _LIKE_MATMUL.transpose(b, ct, ins, active, sizes)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        for nbatch, m, k, n in ((1, 3, 4, 2), (2, 3, 1, 2), (3, 1, 2, 1), (2, 3, 0, 2), (0, 1, 2, 3)):
            yield Sample(cls(), (sample_array(rng, code, (nbatch, m, k)), sample_array(rng, code, (nbatch, k, n))))


_LIKE_MATMUL: Contract = Contract((0, 1, 2), (0, 2, 3), (0, 1, 3))


def _has_unit_stride(layout: Layout) -> bool:
    """Whether a matrix of the batch is known to be contiguous along its rows or its columns."""
    return any(s == 1 or _is_one(d) for s, d in zip(layout.strides[1:], layout.shape[1:], strict=True))


def _is_one(d: Size) -> bool:
    return type(d) is int and d == 1


# -- symbolic rearrangement -----------------------------------------------------------------------------------------


def _aligned(b: Any, x: Any, labels: Labels, order: Labels) -> Any:
    """x with its labels in the order of `order`, and dimensions of size 1 for those it lacks (but not leading ones)."""
    kept = tuple(label for label in order if label in labels)
    if kept != labels:
        x = b.transpose(x, axes=tuple(labels.index(label) for label in kept))
    lead = next((i for i, label in enumerate(order) if label in labels), len(order))
    missing = tuple(i for i, label in enumerate(order[lead:]) if label not in labels)
    return b.expand_dims(x, axes=missing) if missing else x


def _squeezed(b: Any, x: Any, axes: list[int]) -> Any:
    return b.squeeze(x, axes=tuple(axes)) if axes else x


def _stacked(b: Any, x: Any, labels: Labels, groups: Sequence[Labels], size: dict[int, Size]) -> Any:
    """x with one dimension for each group of labels (1 for an empty one)."""
    order = tuple(label for group in groups for label in group)
    x = _aligned(b, x, labels, order)
    if any(len(group) > 1 for group in groups):
        return b.reshape(x, shape=tuple(math.prod(size[label] for label in group) for group in groups))
    missing = tuple(i for i, group in enumerate(groups) if not group)
    return b.expand_dims(x, axes=missing) if missing else x


def _unstacked(b: Any, x: Any, groups: Sequence[Labels], size: dict[int, Size]) -> Any:
    """The inverse of `_stacked`: one dimension for each label."""
    if any(len(group) > 1 for group in groups):
        return b.reshape(x, shape=tuple(size[label] for group in groups for label in group))
    return _squeezed(b, x, [i for i, group in enumerate(groups) if not group])


def _summed_order(left: Labels, right: Labels, lead: Labels, rows: Labels, columns: Labels, k: Labels) -> Labels:
    """The order of the summed labels, of the two that the operands have, that copies fewer row-major operands."""

    def copies(order: Labels) -> int:
        return (not lies_in_runs(left, lead, rows, order)) + (not lies_in_runs(right, lead, order, columns))

    own = (tuple(label for label in labels if label in k) for labels in (left, right))
    return min(own, key=copies)


# -- the same with NumPy, planned once an operation -----------------------------------------------------------------


def _numpy_plan(a: Labels, b: Labels, out: Labels) -> Callable[..., Any]:
    """A function of two arrays with as few NumPy calls as the labels permit."""
    g = Groups.of(a, b, out)
    if not g.k:
        return _product_plan(a, b, out)
    if _is_dot(g):
        return _dot_plan(a, b, out, g)
    if not g.m and not g.n:
        return _inner_plan(a, b, out, g)
    return _matmul_plan(a, b, out, g)


def _is_dot(g: Groups) -> bool:
    return not g.batch and len(g.k) == 1 and len(g.m) <= 1 and len(g.n) <= 1


def _product_plan(a: Labels, b: Labels, out: Labels) -> Callable[..., Any]:
    left, right = _view(a, out), _view(b, out)
    if left is None and right is None:
        return np.multiply
    if left is None:
        return lambda x, y, out=None: np.multiply(x, right(y), out)  # type: ignore[misc]
    if right is None:
        return lambda x, y, out=None: np.multiply(left(x), y, out)
    return lambda x, y, out=None: np.multiply(left(x), right(y), out)


def _adding_plan(g: Groups, a: Labels, b: Labels, out: Labels) -> Callable[[Any, Any, Any], None] | None:
    """A function that adds an outer product to what is there; None where the product is another one."""
    turned = out == g.n + g.m
    if g.batch or g.k or not (out == g.m + g.n or turned) or a != g.m or b != g.n:
        return None
    from nbgraph_kernels.rank_one import add_outer, takes

    def add(total: Any, x: Any, y: Any) -> None:
        if turned:
            x, y = y, x
        matrix = total.reshape(x.size, y.size)
        if takes(matrix):
            add_outer(matrix, x.reshape(-1), y.reshape(-1))
        else:
            np.add(matrix, np.multiply(x.reshape(-1, 1), y.reshape(-1)), matrix)

    return add


def _product_expression(a: Labels, b: Labels, out: Labels) -> Expression:
    """`_product_plan` as source."""
    texts: list[str] = []
    names: dict[str, Any] = {"multiply": np.multiply}
    for k, labels in enumerate((a, b)):
        axes, index = _placing(labels, out)
        turned, placed = f".transpose({{axes{k}}})" * (axes is not None), f"[{{index{k}}}]" * (index is not None)
        texts.append(f"{{{k}}}{turned}{placed}")
        names |= {f"axes{k}": axes, f"index{k}": index}
    return Expression(f"{{multiply}}({', '.join(texts)})", names)


def _view(labels: Labels, order: Labels) -> Callable[[Any], Any] | None:
    """As `_aligned`, for arrays; None where the array serves as it is."""
    axes, index = _placing(labels, order)
    if index is None:
        return None if axes is None else lambda x: x.transpose(axes)
    if axes is None:
        return lambda x: x[index]
    return lambda x: x.transpose(axes)[index]


def _placing(labels: Labels, order: Labels) -> tuple[tuple[int, ...] | None, tuple[Any, ...] | None]:
    """What an array is transposed by for that, and what index then gives it the dimensions it lacks (None: nothing)."""
    kept = tuple(label for label in order if label in labels)
    lead = next((i for i, label in enumerate(order) if label in labels), len(order))
    index = tuple(slice(None) if label in labels else None for label in order[lead:])
    axes = tuple(labels.index(label) for label in kept)
    return None if kept == labels else axes, index if None in index else None


def _dot_order(a: Labels, b: Labels, out: Labels, g: Groups) -> tuple[bool, bool, bool]:
    """How the operands go into `numpy.dot`: whether they are exchanged, and whether each is turned."""
    if a[-1] == g.k[0] and b[0] == g.k[0] and out == g.m + g.n:
        return False, False, False
    if len(a) == 1 or len(b) == 1:
        return True, False, False
    if out == g.m + g.n:
        return False, a[0] in g.k, b[1] in g.k
    return True, a[0] not in g.k, b[1] not in g.k


def _dot_plan(a: Labels, b: Labels, out: Labels, g: Groups) -> Callable[..., Any]:
    """Vectors and matrices: `numpy.dot`, the operands turned and exchanged as `out` wants it."""
    exchanged, left, right = _dot_order(a, b, out, g)
    if exchanged:
        return lambda x, y, out=None: np.dot(y.T if right else y, x.T if left else x, out)
    if left or right:
        return lambda x, y, out=None: np.dot(x.T if left else x, y.T if right else y, out)
    return np.dot


def _dot_expression(a: Labels, b: Labels, out: Labels, g: Groups) -> Expression:
    """The same as source; the method takes two thirds of the function's time."""
    exchanged, left, right = _dot_order(a, b, out, g)
    x, y = "{0}" + ".T" * left, "{1}" + ".T" * right
    return Expression(f"{y}.dot({x})" if exchanged else f"{x}.dot({y})")


def _inner_plan(a: Labels, b: Labels, out: Labels, g: Groups) -> Callable[[Any, Any], Any]:
    if g.batch:
        return lambda x, y: np.einsum(x, a, y, b, out)
    axes = tuple(b.index(label) for label in a)
    if a == b:
        return lambda x, y: np.dot(x.reshape(x.size), y.reshape(y.size))
    return lambda x, y: np.dot(x.reshape(x.size), y.transpose(axes).reshape(y.size))


def _matmul_plan(a: Labels, b: Labels, out: Labels, g: Groups) -> Callable[[Any, Any], Any]:
    """`numpy.matmul` of [*batch, m, k] and [*batch, k, n], several labels of m, k or n made one."""
    left, right = _view(a, (*g.batch, *g.m, *g.k)), _view(b, (*g.batch, *g.k, *g.n))
    after = _view((*g.batch, *g.m, *g.n), out)
    first, second = len(g.batch), len(g.batch) + len(g.m)
    third = len(g.batch) + len(g.k)
    plain = len(g.m) == len(g.n) == len(g.k) == 1
    multiply = np.matmul if g.batch else np.dot

    def run(x: Any, y: Any) -> Any:
        x = x if left is None else left(x)
        y = y if right is None else right(y)
        if plain:
            product = multiply(x, y)
        else:
            batch, m, k, n = x.shape[:first], x.shape[first:second], math.prod(x.shape[second:]), y.shape[third:]
            x, y = x.reshape((*batch, math.prod(m), k)), y.reshape((*batch, k, math.prod(n)))
            product = multiply(x, y).reshape((*batch, *m, *n))
        return product if after is None else after(product)

    return run

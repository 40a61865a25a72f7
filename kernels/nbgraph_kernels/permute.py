"""Copies of arrays of any layout to row-major order: transposes, permutations of many small dimensions, slices.

In:    words: to, source, rank, then the sizes, then the source's strides in elements (0 and negative ones too).
Out:   `to`, row-major. Status 0.
Holds: nothing of `to` overlaps the source; at most `MOST` dimensions. Dimensions that lie behind each other in the
       source are one first.

Where the last dimension has unit stride and some length, rows are copied. Else a tile at a time: the last dimensions of
the result, up to `TILE` elements side by side there, times those with the smallest strides among the others, up to
`TILE` elements near each other in the source. So a line of memory is fetched for one tile or two, whatever the strides.
A dimension of unit stride is among the latter, as soon as the former make a line: so it is not cut. Where in source and
result the elements of a tile are is tabled once; a dimension longer than a tile is cut. Tiles follow each other so that
pages of memory are used up.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .language import helper
from .regions import LINE, fetch, settle, shifted, stream
from .regions import POINTERS as REGIONS
from .tile import lanes, turn_lines
from .words import ELEMENTS, POINTERS, stack

MOST = 64
#: Elements of a tile along either side: at most, and enough.
TILE, ENOUGH = 32, 16
#: Elements in a row from which it is copied as such.
ROW = 12

#: Bytes of a result from which all lines of a tile are asked for while the one before is copied, and stored past the
#: cache where they are whole lines (measured: half of the time for 2048 x 2048 float64).
MANY = 2**23
PAGE = 4096

#: What elements of so many bytes are moved as, where squares of them are turned in registers.
_AS = {4: "f4", 8: "f8"}

_words = POINTERS["i8"]
_sizes, _from, _to, _index, _taken, _steps, _turns = (stack(8 * MOST) for _ in range(7))
_near, _near_to, _row = stack(8 * TILE), stack(8 * TILE), stack(8 * TILE)


@partial(helper, apart=True)
def _collapsed(w: Any, size: Any, stride: Any) -> Any:
    """Dimensions without those of size 1, and those that lie behind each other as one; their number, -1 for nothing."""
    rank = 0
    for axis in range(w[2]):
        n, s = w[3 + axis], w[3 + w[2] + axis]
        if n == 0:
            return -1
        if n > 1:
            if rank > 0 and stride[rank - 1] == n * s:
                size[rank - 1] *= n
                stride[rank - 1] = s
            else:
                size[rank], stride[rank] = n, s
                rank += 1
    return rank


@partial(helper, apart=True)
def _add_axis(table: Any, count: Any, n: Any, stride: Any) -> Any:
    """A table of `count` offsets with a dimension more, slower than those in it, as far as it has room; how many of the
    dimension there are."""
    most = min(n, TILE // count)
    for k in range(1, most):
        for i in range(count):
            table[k * count + i] = table[i] + k * stride
    return most


@helper
def _magnitude(x: Any) -> Any:
    return x if x >= 0 else -x


@partial(helper, apart=True)
def _nearest(taken: Any, stride: Any, rank: Any) -> Any:
    """The dimension that no table has with the smallest stride, -1 if there is none."""
    best = -1
    for axis in range(rank):
        if taken[axis] == 0 and (best < 0 or _magnitude(stride[axis]) < _magnitude(stride[best])):
            best = axis
    return best


@partial(helper, apart=True)
def _ordered(
    order: Any, taken: Any, size: Any, stride: Any, step: Any, rank: Any, columns: Any, rows: Any, page: Any
) -> Any:
    """The dimensions that tiles go through, the quickest first; their number. First the last ones of the result, then
    those near in the source, as far as either stays in a page of memory: so pages are wholly used while their addresses
    are known. Then the others in the result's order."""
    count = 0
    for axis in range(rank):
        taken[axis] = 1 if step[axis] >= size[axis] else 0
    reach, axis = columns, rank - 1
    while axis >= 0:
        if taken[axis] == 0:
            reach *= (size[axis] + step[axis] - 1) // step[axis]
            if reach > page:
                break
            order[count], taken[axis] = axis, 1
            count += 1
        axis -= 1
    reach, axis = rows, _nearest(taken, stride, rank)
    while axis >= 0:
        reach *= (size[axis] + step[axis] - 1) // step[axis]
        if reach > page:
            break
        order[count], taken[axis] = axis, 1
        count += 1
        axis = _nearest(taken, stride, rank)
    for k in range(rank):
        axis = rank - 1 - k
        if taken[axis] == 0:
            order[count] = axis
            count += 1
    return count


def _turned_one_by_one(piece: Any, source: Any, rows: Any, columns: Any, at_from: Any) -> None:
    """Columns of a tile, contiguous in the source, as rows of a piece."""
    for j in range(columns):
        at = at_from[j]
        for i in range(rows):
            piece[i * TILE + j] = source[at + i]


def _turned(dtype: str) -> Any:
    """The same by squares in vector registers, as far as there are whole ones."""
    width, turn, one_by_one = lanes(dtype), turn_lines(dtype), helper(_turned_one_by_one, apart=True)

    def turned(piece: Any, source: Any, rows: Any, columns: Any, at_from: Any) -> None:
        across, down = columns - columns % width, rows - rows % width
        for j in range(0, across, width):
            for i in range(0, down, width):
                turn(shifted(piece, i * TILE + j), TILE, shifted(source, i), shifted(at_from, j))
        if down < rows:
            one_by_one(shifted(piece, down * TILE), shifted(source, down), rows - down, across, at_from)
        if across < columns:
            one_by_one(shifted(piece, across), source, rows, columns - across, shifted(at_from, across))

    return turned


def build(name: str, dtype: str) -> Callable[[Any], int]:
    """The Python function of `permute` for elements of `dtype`."""
    bytes_of = ELEMENTS[dtype].bitwidth // 8
    elements = REGIONS[_AS.get(bytes_of, dtype)]
    reserve = stack(TILE * TILE * bytes_of)
    turned = helper(_turned(_AS[bytes_of]) if bytes_of in _AS else _turned_one_by_one, apart=True)

    @helper
    def row(to: Any, source: Any, count: Any, stride: Any) -> None:
        if stride == 1:
            for j in range(count):
                to[j] = source[j]
        else:
            for j in range(count):
                to[j] = source[j * stride]

    @partial(helper, apart=True)
    def tile(to: Any, source: Any, piece: Any, rows: Any, columns: Any, at_from: Any, near_to: Any) -> None:
        # By way of a piece of the stack: lines a power of two apart would drive each other out of the cache.
        turned(piece, source, rows, columns, at_from)
        for i in range(rows):
            at = near_to[i]
            for j in range(columns):
                to[at + j] = piece[i * TILE + j]

    @partial(helper, apart=True)
    def tile_past(to: Any, source: Any, piece: Any, rows: Any, columns: Any, at_from: Any, near_to: Any) -> None:
        # The same, stored past the cache: rows of whole lines need not be fetched to be written.
        turned(piece, source, rows, columns, at_from)
        for i in range(rows):
            stream(to, near_to[i], shifted(piece, i * TILE), columns)

    @partial(helper, apart=True)
    def scattered(to: Any, source: Any, rows: Any, columns: Any, at_from: Any, near_from: Any, near_to: Any) -> None:
        for j in range(columns):
            at = at_from[j]
            for i in range(rows):
                to[near_to[i] + j] = source[near_from[i] + at]

    @partial(helper, apart=True)
    def rows_only(to_at: Any, source_at: Any, size: Any, stride: Any, index: Any, rank: Any) -> None:
        """Row by row, the other dimensions in order."""
        n, s = size[rank - 1], stride[rank - 1]
        for axis in range(rank):
            index[axis] = 0
        while True:
            row(elements(to_at, 2), elements(source_at, 0), n, s)
            to_at += n * bytes_of
            axis = rank - 2
            while axis >= 0:
                index[axis] += 1
                source_at += stride[axis] * bytes_of
                if index[axis] < size[axis]:
                    break
                source_at -= stride[axis] * size[axis] * bytes_of
                index[axis] = 0
                axis -= 1
            if axis < 0:
                return

    def permute(w: Any) -> int:
        size, stride, to_stride = _words(_sizes()), _words(_from()), _words(_to())
        index, taken, step = _words(_index()), _words(_taken()), _words(_steps())
        rank = _collapsed(w, size, stride)
        if rank < 0:
            return 0
        if rank == 0:
            elements(w[0], 2)[0] = elements(w[1], 0)[0]
            return 0
        if rank == 1 or (stride[rank - 1] == 1 and size[rank - 1] >= ROW):
            rows_only(w[0], w[1], size, stride, index, rank)
            return 0
        total = 1
        for k in range(rank):
            axis = rank - 1 - k
            to_stride[axis] = total
            total *= size[axis]
            taken[axis], index[axis], step[axis] = 0, 0, 1
        # The last dimensions: side by side in the result.
        row_from, near_from, near_to = _words(_row()), _words(_near()), _words(_near_to())
        row_from[0] = near_from[0] = near_to[0] = 0
        columns, cut_column, unit, axis = 1, -1, 1, rank - 1
        while axis >= 0 and cut_column < 0 and columns < ENOUGH:
            if stride[axis] == 1 and columns * bytes_of >= LINE:
                break
            most = _add_axis(row_from, columns, size[axis], stride[axis])
            taken[axis], step[axis] = 1, most
            if most < size[axis]:
                cut_column, unit = axis, columns
            columns *= most
            axis -= 1
        # Those near each other in the source.
        rows, cut_row, unit_row = 1, -1, 1
        axis = _nearest(taken, stride, rank)
        while axis >= 0 and cut_row < 0 and rows < ENOUGH:
            most = _add_axis(near_from, rows, size[axis], stride[axis])
            _add_axis(near_to, rows, size[axis], to_stride[axis])
            taken[axis], step[axis] = 1, most
            if most < size[axis]:
                cut_row, unit_row = axis, rows
            rows *= most
            axis = _nearest(taken, stride, rank)
        together = aligned = True
        for i in range(rows):
            together = together and near_from[i] == i
            aligned = aligned and near_to[i] * bytes_of % LINE == 0
        large = together and total * bytes_of >= MANY
        past = large and aligned and columns * bytes_of % LINE == 0 and w[0] % LINE == 0
        # Dimensions wholly in a tile have one step; what is left of a cut one may be less than a tile.
        order = _words(_turns())
        count = _ordered(order, taken, size, stride, step, rank, columns, rows, PAGE // bytes_of)
        to_at = source_at = 0
        last = False
        while not last:
            across = columns if cut_column < 0 else unit * min(step[cut_column], size[cut_column] - index[cut_column])
            down = rows if cut_row < 0 else unit_row * min(step[cut_row], size[cut_row] - index[cut_row])
            to, source = elements(w[0] + to_at * bytes_of, 2), elements(w[1] + source_at * bytes_of, 0)
            k = 0
            while k < count:
                axis = order[k]
                index[axis] += step[axis]
                to_at += step[axis] * to_stride[axis]
                source_at += step[axis] * stride[axis]
                if index[axis] < size[axis]:
                    break
                to_at -= index[axis] * to_stride[axis]
                source_at -= index[axis] * stride[axis]
                index[axis] = 0
                k += 1
            last = k == count
            if large:
                following = elements(w[1] + source_at * bytes_of, 0)
                for j in range(columns):
                    fetch(following, row_from[j], rows)
                if not past:
                    for i in range(down):
                        fetch(to, near_to[i], across)
            if past:
                tile_past(to, source, elements(reserve(), 1), down, across, row_from, near_to)
            elif together:
                tile(to, source, elements(reserve(), 1), down, across, row_from, near_to)
            else:
                scattered(to, source, down, across, row_from, near_from, near_to)
        if past:
            settle()
        return 0

    return permute

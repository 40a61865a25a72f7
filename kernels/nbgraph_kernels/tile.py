"""A tile of a matrix product in vector registers, and the panels it reads: what `panels` is made of.

In:    typed pointers, row counts, strides in elements.
Out:   a tile of C, two vectors of rows by up to six columns; a panel of A, columns of two vectors behind each other.
Holds: float32 and float64. Written with LLVM's vectors of 32 bytes, because no vectoriser finds this from loops: twelve
       sums stay in registers, and no multiplication waits for another one.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from .language import intrinsic
from .language.types import ELEMENTS

_BYTES = 32
_I64 = ir.IntType(64)
_CONTRACT = ("contract",)


def lanes(dtype: str) -> int:
    """Elements of a vector."""
    return _BYTES * 8 // ELEMENTS[dtype].bitwidth


def multiply(dtype: str, columns: int) -> Any:
    """Make `multiply(c, c_column, a, a_column, b, b_row, b_column, depth, keep)`: a tile of `2 * lanes` rows.

    Rows of c and a have unit stride. c's old values are added to if `keep` is not 0.
    """
    width = lanes(dtype)

    @intrinsic
    def tile(cx: Any, c: Any, cj: Any, a: Any, ap: Any, b: Any, bp: Any, bj: Any, depth: Any, keep: Any) -> None:
        cj, ap, bp, bj, depth, keep = (cx.typed(x).ir for x in (cj, ap, bp, bj, depth, keep))
        build = cx.builder
        places = _places(cx, c, cj, columns, width)
        starts = _begun(cx, places, keep, c)
        apart = [_opaque(cx, build.mul(bj, _I64(j))) if j else _I64(0) for j in range(columns)]
        before = build.block
        loop, after = build.append_basic_block("depth"), build.append_basic_block("done")
        build.cbranch(build.icmp_signed(">", depth, _I64(0)), loop, after)
        build.position_at_end(loop)
        step, at_a, at_b = build.phi(_I64), build.phi(a.ir.type), build.phi(b.ir.type)
        sums = [build.phi(_vector(c, width)) for _ in starts]
        rows = [_loaded(cx, at_a, k * width, width) for k in range(2)]
        found = []
        for j in range(columns):
            factor = _spread(cx, build.load(build.gep(at_b, [apart[j]])), width)
            for k in range(2):
                product = build.fmul(rows[k], factor, flags=_CONTRACT)
                found.append(build.fadd(sums[2 * j + k], product, flags=_CONTRACT))
        left = build.sub(step, _I64(1))
        moved = build.gep(at_a, [ap]), build.gep(at_b, [bp])
        build.cbranch(build.icmp_signed(">", left, _I64(0)), loop, after)
        for phi, first, then in zip((step, at_a, at_b), (depth, a.ir, b.ir), (left, *moved), strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(then, loop)
        for phi, first, then in zip(sums, starts, found, strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(then, loop)
        build.position_at_end(after)
        for place, first, then in zip(places, starts, found, strict=True):
            total = build.phi(_vector(c, width))
            total.add_incoming(first, before)
            total.add_incoming(then, loop)
            # Phis come first in a block: stores are appended below.
            place.append(total)
        for place, total in places:
            build.store(total, place, align=1)

    return tile


def _vector(pointer: Any, width: int) -> Any:
    return ir.VectorType(pointer.ir.type.pointee, width)


def _places(cx: Any, c: Any, cj: Any, columns: int, width: int) -> list[list[Any]]:
    """Where the vectors of a tile are."""
    build, kind = cx.builder, _vector(c, width).as_pointer()
    made = []
    for j in range(columns):
        column = build.gep(c.ir, [build.mul(cj, _I64(j))])
        made += [[build.bitcast(build.gep(column, [_I64(k * width)]), kind)] for k in range(2)]
    return made


def _begun(cx: Any, places: list[list[Any]], keep: Any, c: Any) -> list[Any]:
    """What sums start from: the old values, or zeros."""
    build, before = cx.builder, cx.builder.block
    kept, begin = build.append_basic_block("kept"), build.append_basic_block("begin")
    build.cbranch(build.icmp_signed("!=", keep, _I64(0)), kept, begin)
    build.position_at_end(kept)
    old = [build.load(place, align=1) for (place,) in places]
    build.branch(begin)
    build.position_at_end(begin)
    made = []
    for value in old:
        start = build.phi(value.type)
        start.add_incoming(ir.Constant(value.type, [0.0] * value.type.count), before)
        start.add_incoming(value, kept)
        made.append(start)
    return made


def _loaded(cx: Any, at: Any, offset: Any, width: int) -> Any:
    build = cx.builder
    offset = _I64(offset) if isinstance(offset, int) else offset
    place = build.gep(at, [offset])
    return build.load(build.bitcast(place, ir.VectorType(at.type.pointee, width).as_pointer()), align=1)


def _spread(cx: Any, number: Any, width: int) -> Any:
    """The number in every lane."""
    empty = ir.Constant(ir.VectorType(number.type, width), ir.Undefined)
    one = cx.builder.insert_element(empty, number, ir.IntType(32)(0))
    return cx.builder.shuffle_vector(one, empty, ir.Constant(ir.VectorType(ir.IntType(32), width), [0] * width))


def _opaque(cx: Any, number: Any) -> Any:
    """The number, of which LLVM does not know where it comes from: else it makes each address from the one before, one
    after the other, and the sums wait for them."""
    byte = ir.IntType(8).as_pointer()
    name = "llvm.launder.invariant.group.p0i8"
    launder = cx.module.globals.get(name) or ir.Function(cx.module, ir.FunctionType(byte, [byte]), name)
    return cx.builder.ptrtoint(cx.builder.call(launder, [cx.builder.inttoptr(number, byte)]), _I64)


def copy_row(dtype: str, count: int) -> Any:
    """Make `copy_row(to, source)`: so many elements, in vectors as far as they go."""
    width = lanes(dtype)

    @intrinsic
    def copy(cx: Any, to: Any, source: Any) -> None:
        whole = count - count % width
        for k in range(0, whole, width):
            _stored(cx, _loaded(cx, source.ir, k, width), to.ir, _I64(k), width)
        for k in range(whole, count):
            value = cx.builder.load(cx.builder.gep(source.ir, [_I64(k)]))
            cx.builder.store(value, cx.builder.gep(to.ir, [_I64(k)]))

    return copy


def turn(dtype: str) -> Any:
    """Make `turn(to, to_column, source, source_row)`: a square of as many rows as a vector has elements, transposed."""
    width = lanes(dtype)

    @intrinsic
    def turned(cx: Any, to: Any, column: Any, source: Any, row: Any) -> None:
        column, row = cx.typed(column).ir, cx.typed(row).ir
        build = cx.builder
        lines = [_loaded(cx, source.ir, build.mul(row, _I64(i)), width) for i in range(width)]
        for i, line in enumerate(_transposed(cx, lines, width)):
            _stored(cx, line, to.ir, build.mul(column, _I64(i)), width)

    return turned


def turn_lines(dtype: str) -> Any:
    """Make `turn_lines(to, to_column, source, starts)`: the same of lines that begin at the places in a table."""
    width = lanes(dtype)

    @intrinsic
    def turned(cx: Any, to: Any, column: Any, source: Any, starts: Any) -> None:
        column, build = cx.typed(column).ir, cx.builder
        places = [build.load(build.gep(starts.ir, [_I64(i)])) for i in range(width)]
        lines = [_loaded(cx, source.ir, place, width) for place in places]
        for i, line in enumerate(_transposed(cx, lines, width)):
            _stored(cx, line, to.ir, build.mul(column, _I64(i)), width)

    return turned


def _transposed(cx: Any, lines: list[Any], width: int) -> list[Any]:
    """The columns of a square, given its rows."""
    half = width // 2
    low, high = (_interleaved(width, start) for start in (0, half))
    for _ in range(width.bit_length() - 1):
        pairs = [(lines[i], lines[i + half]) for i in range(half)]
        lines = [cx.builder.shuffle_vector(x, y, mask) for x, y in pairs for mask in (low, high)]
    return lines


def _interleaved(width: int, start: int) -> Any:
    """Half of each of two vectors, element by element in turn."""
    chosen = [k for i in range(start, start + width // 2) for k in (i, width + i)]
    return ir.Constant(ir.VectorType(ir.IntType(32), width), chosen)


def _stored(cx: Any, value: Any, to: Any, offset: Any, width: int) -> None:
    build = cx.builder
    place = build.bitcast(build.gep(to, [offset]), ir.VectorType(to.type.pointee, width).as_pointer())
    build.store(value, place, align=1)

"""Counting what falls where, with NumPy's names: bincount, digitize, histograms.

In: anything array-like. Out: a `TracedTensor`. Holds: what is counted decides a size or a bin, so it is evaluated; sums
of weights have a derivative by the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nbgraph.api.elementwise import subtract
from nbgraph.api.gather import take, value
from nbgraph.api.ordering import searchsorted
from nbgraph.api.shapes import flip, ravel, reshape
from nbgraph.errors import BoundsError, ShapeError, named
from nbgraph.node import Node
from nbgraph.promote import apply, as_code, operand

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor

Array = np.ndarray[Any, Any]


@named
def bincount(x: Any, weights: Any = None, minlength: int = 0) -> TracedTensor:
    """How often each number from 0 on occurs in a vector, or the sum of its weights; evaluates x.

    >>> bincount([0, 2, 2], weights=[1.0, 0.5, 0.25]).tolist()
    [1.0, 0.0, 0.75]
    """
    index = operand(x)
    if index.type.inexact or index.type.ndim != 1:
        raise ShapeError(
            "wrong operand", operation="bincount", position=0, got=index.type, wanted="a vector of integers"
        )
    given = value(as_code(index, "i8"))
    if given.size and given.min() < 0:
        raise BoundsError("negative number", operation="bincount", position=0, got=given.min(), wanted="numbers >= 0")
    if weights is None:
        return operand(np.bincount(given, minlength=minlength))
    return _weighed("bincount", given, operand(weights), max(int(given.max(initial=-1)) + 1, minlength))


def _weighed(name: str, index: Array, weights: TracedTensor, n: int) -> TracedTensor:
    """The sums of the weights of equal indices."""
    if weights.type.shape != index.shape:
        wanted = f"shape {index.shape}"
        raise ShapeError(
            "weights do not fit", operation=name, position="weights", got=weights.type.shape, wanted=wanted
        )
    code = "f8" if not weights.type.is_complex else "c16"
    made: TracedTensor = apply("scatter_add", operand(index), as_code(weights, code), n=n)
    return made


@named
def digitize(x: Any, bins: Any, right: bool = False) -> TracedTensor:
    """The number of the bin of each element: i with bins[i-1] <= x < bins[i], or with the `right` edge included.

    Bins are monotonic, of either direction: they are evaluated to see which.

    >>> digitize([0.5, 2.0, 9.0], [1.0, 2.0, 3.0]).tolist()
    [0, 2, 3]
    """
    edges = value(bins)
    steps = np.diff(edges)
    if edges.ndim != 1 or not (np.all(steps >= 0) or np.all(steps <= 0)):
        wanted = "a vector that rises or falls throughout"
        raise ShapeError("bins are not monotonic", operation="digitize", position=1, got=bins, wanted=wanted)
    side = "left" if right else "right"
    if np.all(steps >= 0):
        return searchsorted(bins, x, side)
    return subtract(len(edges), searchsorted(flip(bins), x, side))


# -- histograms -------------------------------------------------------------------------------------------------------


@named
def histogram_bin_edges(a: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> TracedTensor:
    """The edges that `histogram` would take; evaluates a.

    >>> histogram_bin_edges([1.0, 3.0], 2).tolist()
    [1.0, 2.0, 3.0]
    """
    return operand(_edges("histogram_bin_edges", value(ravel(a)), bins, range))


def _edges(name: str, given: Array, bins: Any, range: Any) -> Array:
    try:
        return np.histogram_bin_edges(given, bins if isinstance(bins, int | str) else value(bins), range)
    except (ValueError, TypeError) as error:
        raise ShapeError(str(error), operation=name, position="bins") from None


@named
def histogram(
    a: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> tuple[TracedTensor, TracedTensor]:
    """How many elements (or what sum of weights) fall into each bin, and the edges of the bins; evaluates a.

    >>> counts, edges = histogram([1.0, 2.0, 1.5], bins=2)
    >>> counts.tolist(), edges.tolist()
    ([1, 2], [1.0, 1.5, 2.0])
    """
    given = value(ravel(a))
    edges = _edges("histogram", given, bins, range)
    if weights is None:
        found = operand(np.histogram(given, edges)[0])
    else:
        place = _places(given, edges)
        inside = np.flatnonzero((place >= 0) & (place < len(edges) - 1))
        found = _weighed("histogram", place[inside], take(ravel(weights), inside), len(edges) - 1)
    if density:
        found = found / np.diff(edges) / found.sum()
    return found, operand(edges)


def _places(given: Array, edges: Array) -> Array:
    """The bin of each element; the last one has its right edge."""
    place = np.searchsorted(edges, given, side="right") - 1
    place[given == edges[-1]] = len(edges) - 2
    return place


@named
def histogramdd(
    sample: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> tuple[TracedTensor, list[TracedTensor]]:
    """How many points (rows of the array `sample`, or a list of coordinates) fall into each box, and the edges along
    each axis; evaluates the points.

    >>> counts, edges = histogramdd(np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 0.2]]), bins=2)
    >>> counts.tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """
    points = _points(sample)
    if isinstance(bins, Sequence):
        bins = [b if isinstance(b, int) else value(b) for b in bins]
    try:
        counts, found = np.histogramdd(points, bins, range)
    except (ValueError, TypeError) as error:
        raise ShapeError(str(error), operation="histogramdd", position="bins") from None
    edges = list(found)
    counted = operand(counts)
    if weights is not None:
        places = np.stack([_places(x, e) for x, e in zip(points.T, edges, strict=True)])
        shape = counts.shape
        inside = np.flatnonzero(np.all((places >= 0) & (places < np.array(shape)[:, None]), axis=0))
        flat = np.ravel_multi_index(tuple(places[:, inside]), shape)
        counted = reshape(_weighed("histogramdd", flat, take(ravel(weights), inside), counts.size), shape)
    if density:
        counted = counted / counted.sum()
        for axis, e in enumerate(edges):
            counted = counted / np.diff(e).reshape((-1,) + (1,) * (len(edges) - axis - 1))
    return counted, [operand(e) for e in edges]


def _points(sample: Any) -> Array:
    """[points, dimensions]; a list is one of coordinates, as in NumPy."""
    if isinstance(sample, list | tuple):
        return np.atleast_2d([value(x) for x in sample]).T
    given = value(sample)
    return given[:, None] if given.ndim == 1 else given


@named
def histogram2d(
    x: Any, y: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> tuple[TracedTensor, TracedTensor, TracedTensor]:
    """How many of the points (x, y) fall into each box, and the edges along both axes; evaluates the points.

    >>> counts, xedges, yedges = histogram2d([0.0, 1.0, 1.0], [0.0, 1.0, 0.2], bins=2)
    >>> counts.tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """
    if not isinstance(bins, int | str) and (isinstance(bins, Node) or len(bins) not in (1, 2)):
        bins = [bins, bins]
    counts, edges = histogramdd([x, y], bins, range, density, weights)
    return counts, edges[0], edges[1]

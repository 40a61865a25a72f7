"""Implementations of the growing sweep (`bench.growing`), one a file; the algorithm, written once, is `sweep`."""

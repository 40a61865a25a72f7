"""Gradients of factorisations at n = 4 to 512, and transforms, sorts and additions at places of many numbers.

One core, one thread, medians, float64; a compiled program against torch (eager) and JAX (jitted), as far as installed.
`ratio` is nbgraph's time over that of the better of the others; the target is 0.25 up to n = 16, and 1 above.
"""

from __future__ import annotations

import argparse

from bench import kernels

SUMMARY = "gradients of factorisations, transforms, sorts: compiled programs against torch and JAX"
FAMILIES = ("factorisations", "orderings")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kernels.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    return kernels.run(options, FAMILIES, "linalg")

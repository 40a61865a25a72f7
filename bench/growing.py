"""Two-site DMRG on an open Heisenberg chain whose bond dimension grows, 2, 4, 8 ... n, n: the data decide the ranks.

K sites, largest bond dimension n; nothing is differentiated. What is compared are the energies after each sweep; the
last one of 12 sites at n = 32 is exact to 1e-9 (`bench.peers.growing.sweep`). Times, none of which includes imports:

    cold   preparing and the first run in a fresh process, compiling included
    first  preparing and the first run at this n and K, in a process that has run a smaller chain before
    warm   median of the runs after that, each from bond dimension 2 again, of all in one process, by turns
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from bench import harness, report
from bench.workload import Driver, Implementation, Workload

SUMMARY = "a DMRG sweep with a growing bond dimension, against a library that compiles for every shape"

#: The ground state energy of 12 sites (exact diagonalisation).
EXACT = {12: -5.142090632840529}


def data(n: int) -> Any:
    """The first state and the largest bond dimension of every sweep, for a number of sites."""

    def of(sites: int) -> Any:
        from bench.peers.growing.sweep import data_for

        return data_for(n, sites)

    return of


def reference(n: int, K: int, given: Any) -> tuple[float, Any]:
    """The energies by NumPy, which have to end at the exact one."""
    from bench.peers.growing.numpy_eager import make

    energy, energies = make(n, K, given)()
    if K in EXACT and n >= 32 and abs(energy - EXACT[K]) > 1e-9:
        raise ArithmeticError(f"the energy of {K} sites is {energy}, not {EXACT[K]}")
    return energy, energies


GROWING = Workload(
    path="bench.growing:GROWING",
    title="two-site DMRG, bond dimension growing from 2 to n, K sites",
    folder="bench.peers.growing",
    data=data,
    reference=reference,
    implementations={
        "nbgraph auto": Implementation("nbgraph_sweep", {"jit": "auto"}),
        "nbgraph always": Implementation("nbgraph_sweep", {"jit": "always"}),
        "nbgraph jitted auto": Implementation("nbgraph_sweep", {"jit": "auto", "jitted": True}),
        "nbgraph jitted always": Implementation("nbgraph_sweep", {"jit": "always", "jitted": True}),
        "numpy": Implementation("numpy_eager"),
        "jax jit": Implementation("jax_jit"),
    },
    baseline="jax jit",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--n", type=int, default=32, help="largest bond dimension")
    parser.add_argument("--K", type=int, default=12, help="sites")
    parser.add_argument("--repeats", type=int, default=5, metavar="R", help="warm runs")
    parser.add_argument("--seconds", type=float, default=300, metavar="S", help="after which a process is given up")
    parser.add_argument("--only", default="", metavar="NAME", help="rows whose name begins with this")
    parser.add_argument("--smoke", action="store_true", help="n=4, 5 sites, three runs, only what is installed")
    parser.add_argument("--json", metavar="FILE", help="also write the results here")


def run(options: argparse.Namespace) -> int:
    """Measures and reports; 1 if nbgraph is not right."""
    if options.smoke:
        options.n, options.K, options.repeats = 4, 5, 3
    options.points, options.limits, options.cold = [(options.n, options.K)], False, True
    driver = Driver(GROWING, options, lambda text: print(text, file=sys.stderr, flush=True))
    environment = harness.environment() | {"in_use": driver.in_use}
    driver.run(GROWING.select([options.only] if options.only else []))
    rows = report.compared(driver.rows, GROWING.baseline)
    result = {"benchmark": "growing", "workload": GROWING.title, "environment": environment, "rows": rows}
    if options.json:
        report.write_json(result, options.json)
    report.show(result, only_measured=options.smoke)
    bad = [row for row in rows if row["implementation"].startswith("nbgraph") and row["status"] != "ok"]
    return 1 if bad else 0

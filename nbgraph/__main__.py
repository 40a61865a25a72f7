"""The command `nbgraph`, also `python -m nbgraph`: the Ising model on a periodic strip, see `nbgraph.ising`.

In: a width, temperatures, a tolerance. Out: a table beside the exact values, or JSON; a plot if asked for.
`nbgraph --list` names the other examples, `nbgraph NAME` runs one; `nbgraph cache` is a command of its own, see
`nbgraph.cache`.
Holds: with --json nothing else goes to stdout; what cannot be done is one line on stderr, and status 2.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from nbgraph import Engine, cache, ising
from nbgraph.examples import menu, names, run_example
from nbgraph.examples.command import LineParser, add_common, effort, ends_quietly, new_figure, save
from nbgraph.ising import Solution

HEAD = ("T", "K", "", "lnZ", "U", "C", "steps")
TEMPERATURES = (1.8, 2.0, ising.TC, 2.5, 3.0)  # both sides of the transition


@ends_quietly
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if list(argv[:1]) == ["cache"]:
        return cache.main(argv[1:])
    if argv and argv[0] in names():
        return run_example(argv[0], argv[1:])
    parser = arguments()
    args = parser.parse_args(argv)
    if args.list:
        return show_menu()
    figure = new_figure(args.plot, parser) if args.plot else None
    engine, start = Engine(jit=args.jit), time.perf_counter()
    try:
        found = [ising.solve(args.width, T, args.tol, engine) for T in args.temperatures]
    except ising.NotConverged as error:
        parser.error(str(error))
    if args.json:
        print(json.dumps([s._asdict() for s in found], indent=1))
    else:
        report(args.width, found, engine, time.perf_counter() - start)
    if figure:
        plot(figure, args.width, found)
        save(figure, args.plot, parser)
    return 0


# -- arguments --------------------------------------------------------------------------------------------------------


def arguments() -> LineParser:
    parser = LineParser(
        prog="nbgraph",
        description="Free energy, energy and specific heat of the Ising model on a periodic strip, per site: power "
        "iteration on its transfer matrix and two derivatives through the loop, beside the exact values.",
        epilog="nbgraph --list: more examples; nbgraph NAME: one of them. nbgraph cache path|info|clear: code on disk.",
    )
    parser.add_argument("--width", type=width_of, default=10, metavar="N", help="spins in a row, 1 to 10 (%(default)s)")
    parser.add_argument("--temperatures", type=number_of, nargs="+", default=TEMPERATURES, metavar="T", help="K = 1/T")
    parser.add_argument(
        "--tol", type=number_of, default=1e-10, metavar="X", help="the last step's length (%(default)s)"
    )
    add_common(parser)
    parser.add_argument("--list", action="store_true", help="print the examples that can be run, and nothing else")
    return parser


def width_of(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 10:
        raise argparse.ArgumentTypeError(f"{text!r} is not a width: an integer from 1 to 10")
    return int(text)


def number_of(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1e-100 < value < 1e100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return value


def show_menu() -> int:
    """The examples, one a line."""
    print("python -m nbgraph NAME, or python -m nbgraph.examples.NAME, with --help, --json, --plot FILE:")
    for name, line in menu().items():
        print(f"  {name:10}  {line}")
    return 0


# -- the table --------------------------------------------------------------------------------------------------------


def report(width: int, found: Sequence[Solution], engine: Engine, seconds: float) -> None:
    """The table, and what it took."""
    print(
        "Ising model, per site; K = 1/T, U = -dlnZ/dK, C = K^2 d2lnZ/dK2\n"
        f"loop: periodic strip of width {width}, power iteration; strip: the same, exact; Onsager: infinite lattice"
    )
    show([row for solution in found for row in rows(width, solution)])
    print(effort(engine, seconds))


def rows(width: int, s: Solution) -> Iterable[tuple[str, ...]]:
    """One temperature: the loop, the exact strip, the infinite lattice."""
    yield f"{s.T:.6g}", f"{s.K:.6g}", "loop", *map(digits, s[2:5]), str(s.iterations)
    yield "", "", "strip", *map(digits, ising.strip(width, s.K)), ""
    yield "", "", "Onsager", *map(digits, ising.onsager(s.K)), ""


def digits(value: float) -> str:
    return f"{value:.10f}" if abs(value) < 1e4 else f"{value:.10g}"


def show(table: Sequence[Sequence[str]]) -> None:
    """By rich if it is there."""
    try:
        from rich import box
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        return plain(table)
    drawn = Table(box=box.SIMPLE, padding=0)
    for name in HEAD:
        drawn.add_column(name, justify="left" if not name else "right", no_wrap=True)
    for n, row in enumerate(table):
        drawn.add_row(*row, end_section=n % 3 == 2)
    Console(width=max(Console().width, 80)).print(drawn)


def plain(table: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(HEAD, *table, strict=True)]
    for row in (HEAD, *table):
        print("  ".join(cell.rjust(n) for cell, n in zip(row, widths, strict=True)))


# -- the plot ---------------------------------------------------------------------------------------------------------


def plot(figure: Any, width: int, found: Sequence[Solution]) -> None:
    """U and C over T: the loop as points, the exact strip and the infinite lattice as lines."""
    T = np.linspace(0.9 * min(s.T for s in found), 1.1 * max(s.T for s in found), 61)
    lines: list[tuple[str, str, Sequence[Any]]] = [
        (f"strip of width {width}, exact", "-", [ising.strip(width, 1 / t) for t in T]),
        ("infinite lattice", ":", [ising.onsager(1 / t) for t in T]),
    ]
    for axes, name in zip(figure.subplots(1, 2), ("U", "C"), strict=True):
        axes.plot([s.T for s in found], [getattr(s, name) for s in found], "o", label="loop")
        for label, style, values in lines:
            axes.plot(T, [getattr(v, name) for v in values], style, label=label)
        axes.set(xlabel="T", ylabel=name)
    axes.legend()


if __name__ == "__main__":
    sys.exit(main())

"""What the commands share: options, one-line errors, a progress bar, plots.

In: an example's options and its work. Out: JSON alone on stdout with `--json`, else what the example prints.
Holds: an error of an option, of a file or of the mathematics is one line on stderr, and status 2.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from nbgraph.engine import Engine
from nbgraph.errors import NbgraphError

__all__ = ["LineParser", "Parser", "add_common", "effort", "integer", "new_figure", "progress", "real", "run", "save"]


class LineParser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}\n")


class Parser(LineParser):
    """The parser of an example; `--json`, `--plot` and `--jit` are there."""

    def __init__(self, name: str, description: str) -> None:
        super().__init__(prog=f"python -m nbgraph.examples.{name}", description=description)
        add_common(self)


def add_common(parser: argparse.ArgumentParser) -> None:
    """The options that every command has."""
    parser.add_argument("--jit", choices=("auto", "always", "never"), default="auto", help="(%(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON only")
    parser.add_argument("--plot", metavar="FILE", help="draw into FILE (needs matplotlib)")


def integer(low: int, high: int) -> Callable[[str], int]:
    """The type of an option: an integer in a range."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and len(text) < 20 and low <= int(text) <= high):
            raise argparse.ArgumentTypeError(f"{text!r} is not an integer from {low} to {high}")
        return int(text)

    return parse


def real(low: float = -math.inf, high: float = math.inf) -> Callable[[str], float]:
    """The type of an option: a finite number between bounds, which it may be."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and low <= value <= high):
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {low:g} to {high:g}")
        return value

    return parse


def run(
    parser: LineParser,
    args: argparse.Namespace,
    solve: Callable[[], Any],
    report: Callable[[Any], None],
    draw: Callable[[Any, Any], None],
    engine: Engine | None = None,
) -> int:
    """Solves, prints and draws: `solve` gives what JSON holds, `report` prints it, `draw` puts it into a figure.

    With the engine that did the work, what it took is printed below the report.
    """
    figure = new_figure(parser) if args.plot else None
    start = time.perf_counter()
    try:
        found = solve()
        text = json.dumps(found, allow_nan=False)  # a result that is not finite is an error
        if args.json:
            print(text)
        else:
            report(found)
            if engine:
                print(effort(engine, time.perf_counter() - start))
        if figure:
            draw(figure, found)
            save(figure, args.plot, parser)
    except (NbgraphError, ArithmeticError, MemoryError, OSError, ValueError) as error:
        parser.error(str(error))
    return 0


def effort(engine: Engine, seconds: float) -> str:
    """Seconds, and what was compiled."""
    s = engine.stats()
    return (
        f"{seconds:.2f} s in all: {s.evals} evals, {s.operations} operations, {s.run_seconds:.2f} s running\n"
        f"{s.fragments} structures; {s.compiled} compiled in {s.compile_seconds:.2f} s, {s.loaded} loaded; "
        f"{s.hits} calls by machine code (hits), {s.interpreted} by NumPy"
    )


# -- plots ------------------------------------------------------------------------------------------------------------


def new_figure(parser: LineParser) -> Any:
    """An empty figure."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        parser.error("--plot needs matplotlib: pip install matplotlib")
    return Figure(figsize=(9, 4), layout="constrained")


def save(figure: Any, file: str, parser: LineParser) -> None:
    """The figure in a file."""
    try:
        figure.savefig(file)
    except (OSError, ValueError) as error:  # no such folder; no such format
        parser.error(str(error))


# -- progress ---------------------------------------------------------------------------------------------------------


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar on stderr, where that is a terminal and rich is there; what it gives is called once a step."""
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:
        yield lambda: None
        return
    if not sys.stderr.isatty():
        yield lambda: None
        return
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)

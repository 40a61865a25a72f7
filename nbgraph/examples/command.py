"""What the commands of the examples share: options, one-line errors, a progress bar, plots.

In: an example's options and its work. Out: JSON alone on stdout with `--json`, else what the example prints.
Holds: an error of an option, of a file or of the mathematics is one line on stderr, and status 2.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from nbgraph.errors import NbgraphError

__all__ = ["Parser", "integer", "progress", "real", "run"]


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line; `--json` and `--plot` are there."""

    def __init__(self, name: str, description: str) -> None:
        super().__init__(prog=f"python -m nbgraph.examples.{name}", description=description)
        self.add_argument("--json", action="store_true", help="print JSON only")
        self.add_argument("--plot", metavar="FILE", help="draw into FILE (needs matplotlib)")

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}\n")


def integer(low: int, high: int) -> Callable[[str], int]:
    """The type of an option: an integer in a range."""

    def parse(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
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
    parser: Parser,
    args: argparse.Namespace,
    solve: Callable[[], Any],
    report: Callable[[Any], None],
    draw: Callable[[Any, Any], None],
) -> int:
    """Solves, prints and draws: `solve` gives what JSON holds, `report` prints it, `draw` puts it into a figure."""
    figure = _figure(parser) if args.plot else None
    try:
        found = solve()
        if args.json:
            print(json.dumps(found))
        else:
            report(found)
        if figure:
            draw(figure, found)
            figure.savefig(args.plot)
    except (NbgraphError, ArithmeticError, OSError, ValueError) as error:
        parser.error(str(error))
    return 0


def _figure(parser: Parser) -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        parser.error("--plot needs matplotlib: pip install matplotlib")
    return Figure(figsize=(9, 4), layout="constrained")


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

"""What the commands share: options, one-line errors, a progress bar, plots.

In: an example's options and its work. Out: JSON alone on stdout with `--json`, else what the example prints.
Holds: an error of an option, of a file or of the mathematics is one line on stderr, and status 2. Ctrl-C and a pipe
that was closed end a command without a word.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, Protocol

from nbgraph.engine import Engine
from nbgraph.errors import NbgraphError

__all__ = [
    "LineParser",
    "Parser",
    "add_common",
    "effort",
    "ends_quietly",
    "integer",
    "new_figure",
    "progress",
    "real",
    "run",
    "save",
]


class Main(Protocol):
    """A command; it takes its arguments from the command line where it is given none."""

    def __call__(self, argv: Sequence[str] | None = None) -> int: ...


class LineParser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        self._negative_number_matcher = re.compile(r"-\.?\d[\d.]*(e[+-]?\d+)?$", re.IGNORECASE)  # -1e-3 is no option

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


def ends_quietly(main: Main) -> Main:
    """A command that Ctrl-C ends with status 130, and a reader who closed the pipe with 141, as the shell has them."""

    @wraps(main)
    def command(argv: Sequence[str] | None = None) -> int:
        try:
            status = main(argv)
            sys.stdout.flush()
            return status
        except KeyboardInterrupt:
            return 130
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still to be flushed
            return 141

    return command


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
    figure = new_figure(args.plot, parser) if args.plot else None
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
    except BrokenPipeError:
        raise
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


def new_figure(file: str, parser: LineParser) -> Any:
    """An empty figure; an error now, and not after the work, if it could not be saved there."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        parser.error("--plot needs matplotlib: pip install matplotlib")
    figure, path = Figure(figsize=(9, 4), layout="constrained"), Path(file)
    formats = figure.canvas.get_supported_filetypes()
    if path.suffix and path.suffix[1:].lower() not in formats:
        parser.error(f"argument --plot: {file!r} does not end in one of {', '.join(sorted(formats))}")
    if path.is_dir() or not path.parent.is_dir():
        parser.error(f"argument --plot: {file!r} cannot be a file: {'a folder' if path.is_dir() else 'no such folder'}")
    return figure


def save(figure: Any, file: str, parser: LineParser) -> None:
    """The figure in a file; PNG if its name does not say what."""
    try:
        figure.savefig(file, format=None if Path(file).suffix else "png")
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

"""`python -m bench <name> ...`: runs a benchmark.

A benchmark is a module with `SUMMARY`, `add_arguments(parser)` and `run(options) -> exit status`, listed here. None
imports anything heavy at its top: measuring is done in processes of its own (`bench.harness`).
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

#: Name on the command line -> module.
BENCHMARKS = {
    "loops": "bench.loops",
    "compile": "bench.compile_cost",
    "examples": "bench.examples",
    "growth": "bench.growth",
    "start": "bench.start",
    "functions": "bench.functions",
    "calls": "bench.calls",
    "kernels": "bench.kernels",
    "linalg": "bench.linalg",
    "accuracy": "bench.accuracy",
    "growing": "bench.growing",
    "shapes": "bench.shapes",
    "threads": "bench.threads",
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Benchmarks of nbgraph and its peers.")
    commands = parser.add_subparsers(required=True, metavar="name")
    for name, path in BENCHMARKS.items():
        module = importlib.import_module(path)
        command = commands.add_parser(name, help=module.SUMMARY, description=module.__doc__)
        command.formatter_class = argparse.RawDescriptionHelpFormatter
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    options = parser.parse_args(arguments)
    return int(options.run(options))


if __name__ == "__main__":
    sys.exit(main())

"""Kernels and generated code against other libraries: one core, one thread, medians; `--list` names the cases.

    nbgraph   a compiled program: arrays in, new arrays out
    NumPy, torch (eager), JAX (jitted), as far as installed and as a case has them
    copy      a copy of the same bytes into a new array, where moving memory is the measure

`ratio` is nbgraph's time over that of the best of the others, or of the copy. All results are compared, and a row that
differs says so. All libraries run in one process, by turns of a call or a millisecond, since a machine's speed drifts;
a ratio is the median of the rounds'.

Many cases take long: `--limit` bounds a run, `--json FILE --join` adds its rows to those there, and shows all of them.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from bench import harness, report
from bench.cases import FAMILIES, Case, every_case

SUMMARY = "reductions, rows, products, networks, permutations: compiled programs against NumPy, torch and JAX"

LIBRARIES = ("nbgraph", "numpy", "torch", "jax", "copy")
Row = dict[str, Any]
Found = dict[str, dict[str, Row]]


# -- in the measuring process ----------------------------------------------------------------------------------------


def measure(
    libraries: Sequence[str], families: Sequence[str], names: Sequence[str], repeats: int, budget: float
) -> Iterator[Row]:
    """A row for each case and library that it has, timed in rounds of a turn of each."""
    known = every_case(families)
    for name in names:
        rows: dict[str, Row] = {}
        runs: dict[str, Any] = {}
        for library in libraries:
            if library in known[name].functions:
                _prepare(library, known[name], runs, rows)
        rounds = harness.by_turns(runs, repeats, budget)
        for library, row in rows.items():
            taken = rounds[library]
            times = {"ms": statistics.median(taken), "least_ms": min(taken)}
            times["ratio"] = harness.ratio(rounds["nbgraph"], taken)
            yield {"name": name, "library": library} | times | row


def _prepare(library: str, case: Case, runs: dict[str, Any], rows: dict[str, Row]) -> None:
    """Adds a library's run after its first call, and the row begun; nothing where it is absent."""
    from bench import libraries

    arrays = case.data()
    try:
        run, prepared = harness.timed(lambda: getattr(libraries, library)(case, arrays))
    except ModuleNotFoundError:
        return
    result, first = harness.timed(run)
    runs[library], rows[library] = run, {"prepare_ms": prepared + first, "sums": _sums(result)}


def _sums(result: Any) -> list[list[float]]:
    """Of each result a weighted sum and the sum of magnitudes: enough to see a wrong one."""
    import numpy as np

    sums = []
    for each in result if isinstance(result, tuple | list) else [result]:
        x = np.asarray(each.detach() if hasattr(each, "detach") else each).reshape(-1)
        weights = np.cos(np.arange(min(x.size, 997)))
        wide = x.astype("c16" if x.dtype.kind == "c" else "f8")
        tiled = wide[: x.size - x.size % weights.size].reshape(-1, weights.size) @ weights
        sums.append([float(np.abs(tiled.sum())), float(np.abs(wide).sum())])
    return sums


# -- the command -----------------------------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--list", action="store_true", help="name the cases and stop")
    parser.add_argument("--only", metavar="PREFIX", default="", help="cases whose names begin so (several by commas)")
    parser.add_argument("--libraries", metavar="NAMES", default=",".join(LIBRARIES), help="which, by commas")
    parser.add_argument("--repeats", type=int, default=25, metavar="R", help="calls of each")
    parser.add_argument(
        "--seconds", type=float, default=2.0, metavar="S", help="fewer calls, if they take longer together"
    )
    parser.add_argument("--limit", type=float, metavar="S", help="what takes longer is not in the table")
    parser.add_argument("--json", metavar="FILE", help="also write the results here")
    parser.add_argument("--join", action="store_true", help="add to the rows in that file, and show all")


def run(options: argparse.Namespace, families: Sequence[str] = FAMILIES, benchmark: str = "kernels") -> int:
    known = every_case(families)
    chosen = [name for name in known if name.startswith(tuple(options.only.split(",")))]
    if options.list:
        print("\n".join(chosen))
        return 0
    libraries = ["nbgraph", *(name for name in options.libraries.split(",") if name != "nbgraph")]
    found = _found(libraries, families, chosen, options)
    rows = [_row(known[name], found) for name in chosen]
    if options.limit:
        rows = [row for row in rows if row["ms"]["nbgraph"] is not None]
    if options.join:
        rows = report.joined(rows, options.json, "name")
    _print(rows, libraries)
    if options.json:
        result = {"benchmark": benchmark, "environment": harness.environment(), "rows": rows}
        report.write_json(result, options.json)
    return 1 if any(row["ms"]["nbgraph"] is None for row in rows) else 0


def _found(libraries: Sequence[str], families: Sequence[str], names: Sequence[str], options: Any) -> Found:
    """The rows of each library by case."""
    found: Found = {library: {} for library in libraries}
    sizes = {"families": families, "names": names, "repeats": options.repeats, "budget": options.seconds}
    results, failure = harness.isolated("bench.kernels:measure", options.limit, libraries=libraries, **sizes)
    for row in results:
        found[row["library"]][row["name"]] = row
    if failure:
        print(failure, file=sys.stderr)
    return found


def _row(case: Case, found: Found) -> Row:
    measured = {library: rows[case.name] for library, rows in found.items() if case.name in rows}
    ms = {library: measured[library]["ms"] if library in measured else None for library in found}
    ours = measured.get("nbgraph", {}).get("ms")
    ratios = {name: row["ratio"] for name, row in measured.items() if ours and name != "nbgraph"}
    if "copy" in ratios:
        ratios["copy"] /= case.scale
        ms["copy"] *= case.scale  # type: ignore[operator]
    # A copy is the measure where there is one; else the best of the libraries.
    ratio = ratios["copy"] if "copy" in ratios else max(ratios.values(), default=None)
    prepare = {library: row["prepare_ms"] for library, row in measured.items()}
    head = {"name": case.name, "ms": ms, "ratios": ratios, "ratio": ratio, "target": case.target}
    return head | {"prepare_ms": prepare, "remark": _disagreement(measured)}


def _disagreement(measured: dict[str, Row]) -> str:
    """Which libraries computed something else than nbgraph."""
    ours = measured.get("nbgraph")
    if ours is None:
        return "failed"
    wrong = [
        name
        for name, row in measured.items()
        if name != "copy" and any(not _agree(a, b) for a, b in zip(ours["sums"], row["sums"], strict=True))
    ]
    return f"differs from {', '.join(wrong)}" if wrong else ""


def _agree(a: Sequence[float], b: Sequence[float]) -> bool:
    return all(math.isclose(x, y, rel_tol=1e-3, abs_tol=1e-3 * max(a[1], b[1])) for x, y in zip(a, b, strict=True))


def _print(rows: list[Row], libraries: list[str]) -> None:
    print(report.environment_text(harness.environment() | {"in_use": {}}))
    cells = [
        [
            row["name"],
            *(_time(row["ms"].get(library)) for library in libraries),
            *(report.number(row["ratios"].get(library)) for library in libraries[1:]),
            report.number(row["ratio"]),
            report.number(row["target"]),
            "" if row["ratio"] is None else "met" if row["ratio"] <= row["target"] else "MISSED",
            row["remark"],
        ]
        for row in rows
    ]
    head = [
        "case",
        *(f"{library} ms" for library in libraries),
        *(f"/ {library}" for library in libraries[1:]),
        "ratio",
        "target",
        "",
        "remark",
    ]
    report.table(head, cells, text_columns=("case", "", "remark"))
    for family in dict.fromkeys(row["name"].split("/")[0] for row in rows):
        print(f"{family}: geometric means of the ratios to {_means(rows, family, libraries[1:])}")


def _time(ms: float | None) -> str:
    return "" if ms is None else report.number(ms)


def _means(rows: list[Row], family: str, others: Sequence[str]) -> str:
    """To each of the others over a family's cases, and over how many."""
    said = []
    for library in others:
        logs = [
            math.log(r["ratios"][library])
            for r in rows
            if r["name"].startswith(family + "/") and library in r["ratios"]
        ]
        if logs:
            said.append(f"{library} {math.exp(sum(logs) / len(logs)):.2f} ({len(logs)})")
    return ", ".join(said) or "nobody"

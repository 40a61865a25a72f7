"""Kernels and generated code against other libraries: one core, one thread, medians; `--list` names the cases.

    nbgraph   a compiled program: arrays in, new arrays out
    NumPy, torch (eager), JAX (jitted), as far as installed and as a case has them
    copy      a copy of the same bytes into a new array, where moving memory is the measure

`ratio` is nbgraph's time over that of the best of the others, or of the copy. All results are compared, and a row that
differs says so.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from bench import harness, report
from bench.cases import FAMILIES, Case, every_case

SUMMARY = "reductions, rows, products, networks, permutations: compiled programs against NumPy, torch and JAX"

LIBRARIES = ("nbgraph", "numpy", "torch", "jax", "copy")
Row = dict[str, Any]


# -- in the measuring process ----------------------------------------------------------------------------------------


def measure(library: str, families: Sequence[str], names: Sequence[str], repeats: int, budget: float) -> Iterator[Row]:
    """A row for each case that the library has."""
    from bench import libraries

    known = every_case(families)
    for name in names:
        case = known[name]
        if library not in case.functions:
            continue
        arrays = case.data()
        try:
            run, prepared = harness.timed(lambda case=case, arrays=arrays: getattr(libraries, library)(case, arrays))
        except ModuleNotFoundError:
            return
        result, first = harness.timed(run)
        sums = _sums(result)
        del result
        times = harness.repeated(run, repeats, budget)
        yield {
            "name": name,
            "ms": times["warm_ms"],
            "least_ms": times["warm_min_ms"],
            "prepare_ms": prepared + first,
        } | {"sums": sums}


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
    parser.add_argument("--json", metavar="FILE", help="also write the results here")


def run(options: argparse.Namespace, families: Sequence[str] = FAMILIES, benchmark: str = "kernels") -> int:
    known = every_case(families)
    chosen = [name for name in known if name.startswith(tuple(options.only.split(",")))]
    if options.list:
        print("\n".join(chosen))
        return 0
    libraries = ["nbgraph", *(name for name in options.libraries.split(",") if name != "nbgraph")]
    sizes = {"families": families, "names": chosen, "repeats": options.repeats, "budget": options.seconds}
    found: dict[str, dict[str, Row]] = {}
    for library in libraries:
        results, failure = harness.isolated("bench.kernels:measure", library=library, **sizes)
        found[library] = {r["name"]: r for r in results}
        if failure:
            print(f"{library}: {failure}", file=sys.stderr)
    rows = [_row(known[name], found) for name in chosen]
    _print(rows, libraries)
    if options.json:
        result = {"benchmark": benchmark, "environment": harness.environment(), "rows": rows}
        report.write_json(result, options.json)
    return 1 if any(row["ms"]["nbgraph"] is None for row in rows) else 0


def _row(case: Case, found: dict[str, dict[str, Row]]) -> Row:
    measured = {library: rows.get(case.name) for library, rows in found.items()}
    ms = {library: row["ms"] if row else None for library, row in measured.items()}
    if ms.get("copy") is not None:
        ms["copy"] *= case.scale  # type: ignore[operator]
    # A copy is the measure where there is one; else the best of the libraries.
    others = [ms["copy"]] if ms.get("copy") else [t for name, t in ms.items() if t and name != "nbgraph"]
    ratio = ms["nbgraph"] / min(others) if ms["nbgraph"] and others else None
    return {"name": case.name, "ms": ms, "ratio": ratio, "target": case.target, "remark": _disagreement(measured)}


def _disagreement(measured: dict[str, Row | None]) -> str:
    """Which libraries computed something else than nbgraph."""
    ours = measured.get("nbgraph")
    if ours is None:
        return "failed"
    wrong = [
        name
        for name, row in measured.items()
        if row and name != "copy" and any(not _agree(a, b) for a, b in zip(ours["sums"], row["sums"], strict=True))
    ]
    return f"differs from {', '.join(wrong)}" if wrong else ""


def _agree(a: Sequence[float], b: Sequence[float]) -> bool:
    return all(math.isclose(x, y, rel_tol=1e-3, abs_tol=1e-3 * max(a[1], b[1])) for x, y in zip(a, b, strict=True))


def _print(rows: list[Row], libraries: list[str]) -> None:
    print(report.environment_text(harness.environment() | {"in_use": {}}))
    cells = [
        [
            row["name"],
            *(_time(row["ms"][library]) for library in libraries),
            report.number(row["ratio"]),
            report.number(row["target"]),
            "" if row["ratio"] is None else "met" if row["ratio"] <= row["target"] else "MISSED",
            row["remark"],
        ]
        for row in rows
    ]
    head = ["case", *(f"{library} ms" for library in libraries), "ratio", "target", "", "remark"]
    report.table(head, cells, text_columns=("case", "", "remark"))
    for family in dict.fromkeys(row["name"].split("/")[0] for row in rows):
        print(f"{family}: geometric means of the ratios to {_means(rows, family, libraries[1:])}")


def _time(ms: float | None) -> str:
    return "" if ms is None else report.number(ms)


def _means(rows: list[Row], family: str, others: Sequence[str]) -> str:
    """To each of the others over a family's cases."""
    said = []
    for library in others:
        pairs = [(r["ms"]["nbgraph"], r["ms"][library]) for r in rows if r["name"].startswith(family + "/")]
        logs = [math.log(a / b) for a, b in pairs if a and b]
        if logs:
            said.append(f"{library} {math.exp(sum(logs) / len(logs)):.2f}")
    return ", ".join(said) or "nobody"

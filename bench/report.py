"""Reports: rows as a table (by rich, if it is installed) and as JSON.

In: a result, `{"benchmark", "workload", "environment", "rows"}`. Out: text on standard output; a file.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]
KINDS = ("cold", "first", "warm")


def compared(rows: Sequence[Row], baseline: str) -> list[Row]:
    """Rows with times an iteration added, and the name of what their `warm_ratio` is to."""

    def times(row: Row) -> Row:
        ms = {kind: row.get(f"{kind}_ms") for kind in KINDS}
        each = {f"{kind}_us_per_iteration": None if t is None else t * 1e3 / row["K"] for kind, t in ms.items()}
        return each | {"baseline": baseline}

    return [row | times(row) if "K" in row else row for row in rows]


def write_json(result: dict[str, Any], file: str) -> None:
    """Writes the whole result, or leaves what was there."""
    temporary = Path(f"{file}.part")
    temporary.write_text(json.dumps(result, indent=1) + "\n")
    os.replace(temporary, file)


def joined(rows: Sequence[Row], file: str | None, key: str) -> list[Row]:
    """The rows of an earlier result in a file, those with the same key replaced, and the others after them."""
    there = json.loads(Path(file).read_text())["rows"] if file and Path(file).exists() else []
    return list({row[key]: row for row in (*there, *rows)}.values())


class Ledger:
    """Rows in a file (or none) that later runs add to: a row with the same values of the fields `keys` is replaced."""

    def __init__(self, file: Path | None, keys: Sequence[str]) -> None:
        self.file, self.keys = file, keys
        there = file is not None and file.exists()
        self.rows: list[Row] = json.loads(file.read_text())["rows"] if there and file else []

    def add(self, row: Row, environment: dict[str, Any]) -> None:
        """Adds a row, with what it was measured on, and writes the file."""
        place = [row[k] for k in self.keys]
        at = next((n for n, r in enumerate(self.rows) if [r[k] for k in self.keys] == place), len(self.rows))
        self.rows[at : at + 1] = [row | {"commit": environment["commit"], "cpu": environment["cpu"]}]
        if self.file:
            write_json({"environment": environment, "rows": self.rows}, str(self.file))


def show(result: dict[str, Any], only_measured: bool = False) -> None:
    """The environment, the table, and the notes of the implementations in it."""
    rows = [r for r in result["rows"] if not (only_measured and r["status"] in ("absent", "skipped"))]
    print(f"{result['workload']}\n{environment_text(result['environment'])}")
    order = {name: k for k, name in enumerate(dict.fromkeys(r["implementation"] for r in rows))}
    rows = sorted(rows, key=lambda r: ("n" not in r, r.get("n", 0), r.get("K", 0), order[r["implementation"]]))
    baseline = next((r["baseline"] for r in rows if "baseline" in r), "baseline")
    head = ["n", "K", "implementation"]
    head += [f"{kind} ms" for kind in KINDS] + [f"{kind} µs/it" for kind in KINDS] + [f"warm / {baseline}", "remark"]
    table(head, [_cells(r) for r in rows], text_columns=("implementation", "remark"))
    for name in order:
        note = next(r["note"] for r in rows if r["implementation"] == name)
        if note:
            print(f"{name}: {note}")


def _cells(row: Row) -> list[str]:
    times = [row.get(f"{kind}_ms") for kind in KINDS] + [row.get(f"{kind}_us_per_iteration") for kind in KINDS]
    status = "" if row["status"] == "ok" else row["status"]
    remark = ", ".join(text for text in (status, row.get("detail"), row.get("remark")) if text)
    return [
        str(row.get("n", "")),
        str(row.get("K", "")),
        row["implementation"],
        *map(number, [*times, row.get("warm_ratio")]),
        remark,
    ]


def number(x: float | None) -> str:
    """Three digits."""
    if x is None:
        return "-"
    return f"{x:.0f}" if abs(x) >= 100 else f"{x:.3g}"


def environment_text(env: dict[str, Any]) -> str:
    """Processor, versions, and the BLAS libraries in use with their choice of core."""
    lines = [f"{env['cpu']}, {env['threads']} thread, Python {env['python']}, {env['system']}, commit {env['commit']}"]
    in_use = env.get("in_use", {}).values()
    versions = {name: v for used in in_use for name, v in used["versions"].items()}
    lines.append(", ".join(f"{name} {v}" for name, v in versions.items()))
    for name, used in env.get("in_use", {}).items():
        pools = (" ".join(str(v) for v in pool.values() if v is not None) for pool in used["thread_pools"])
        lines.append(f"  {name}: {'; '.join(pools)}" if used["thread_pools"] else "")
    return "\n".join(line for line in lines if line)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], text_columns: Sequence[str] = ()) -> None:
    """Prints a table; columns are numbers, aligned right, unless named."""
    try:
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ModuleNotFoundError:
        print(plain_table(head, rows, text_columns))
        return
    made = Table(box=box.SIMPLE_HEAD)
    for name in head:
        made.add_column(name, justify="left" if name in text_columns else "right", overflow="fold")
    for row in rows:
        made.add_row(*map(Text, row))  # as it is: no markup in messages
    Console(width=None if sys.stdout.isatty() else 180).print(made)


def plain_table(head: Sequence[str], rows: Sequence[Sequence[str]], text_columns: Sequence[str] = ()) -> str:
    """The same as text."""
    widths = [max(len(row[k]) for row in [head, *rows]) for k in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        parts = (c.ljust(w) if h in text_columns else c.rjust(w) for c, w, h in zip(cells, widths, head, strict=True))
        return "  ".join(parts).rstrip()

    return "\n".join([line(head), line(["-" * w for w in widths]), *map(line, rows)])


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]], text_columns: Sequence[str] = ()) -> str:
    """The same for a page."""
    rule = ["---" if name in text_columns else "---:" for name in head]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, rule, *rows])

"""The command `nbgraph cache`: where compiled code is kept, how much of it there is, and away with it.

In: `path`, `info` or `clear`. Out: lines on standard output; 2 and one line on standard error where the cache is off.
Holds: only files that nbgraph wrote are counted or removed. Another folder is chosen by NBGRAPH_CACHE_DIR.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from nbgraph.engine.disk import Entry, Folder, folder_path, size_limit
from nbgraph.errors import NbgraphError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; the exit status."""
    parser = argparse.ArgumentParser(prog="nbgraph cache", description="Compiled code on disk.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, what in (("path", "print the folder"), ("info", "what is in it"), ("clear", "remove what is in it")):
        commands.add_parser(name, help=what)
    command = parser.parse_args(argv).command
    try:
        folder = the_folder()
    except NbgraphError as error:
        print(f"nbgraph cache: {str(error).splitlines()[0]}", file=sys.stderr)
        return 2
    if command == "path":
        print(folder.path)
    elif command == "info":
        print(info(folder))
    else:
        print(f"removed {amount(folder.clear())} from {folder.path}")
    return 0


def the_folder() -> Folder:
    """The folder that an `Engine()` uses."""
    path = folder_path(...)
    if path is None:
        raise NbgraphError("the cache is off: NBGRAPH_CACHE_DIR is empty, or there is no home folder")
    return Folder(path, size_limit())


def info(folder: Folder) -> str:
    """A few lines for people."""
    entries = folder.entries()
    kinds = {kind: [e for e in entries if e.name.startswith(kind)] for kind in ("fragment", "kernel")}
    lines = [f"folder     {folder.path}", f"bound      {in_bytes(folder.limit)}", f"all        {amount(entries)}"]
    lines += [f"{kind + 's':10} {amount(found)}" for kind, found in kinds.items()]
    return "\n".join(lines)


def amount(entries: Sequence[Entry]) -> str:
    return f"{len(entries)} file{'s' if len(entries) != 1 else ''}, {in_bytes(sum(e.size for e in entries))}"


def in_bytes(size: int) -> str:
    """A number of bytes for people.

    >>> in_bytes(900), in_bytes(268435456)
    ('900 bytes', '256.0 MiB')
    """
    power = min((max(size, 1).bit_length() - 1) // 10, 3)
    return f"{size} bytes" if power == 0 else f"{size / 1024**power:.1f} {('KiB', 'MiB', 'GiB')[power - 1]}"

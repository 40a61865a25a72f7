"""Many processes with one folder, killed at any moment."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cache_processes import LOOP, POSIX, command, run

#: Forks writers and readers of one small folder and kills them at random moments; prints what they got wrong.
STORM = """
import json, os, random, signal, sys, time
from nbgraph.engine.disk import Folder
path, processes, kills = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

def content(k):
    return random.Random(k).randbytes(2000 + 37 * k)

def work(seed):
    rng, folder = random.Random(seed), Folder(path, 30_000)
    while True:
        k = rng.randrange(20)
        found = folder.get(f"kernel-{k}-x.o")
        if found is not None and found != content(k):
            os.write(2, b"broken\\n")
            os._exit(1)
        if found is None:
            folder.put(f"kernel-{k}-x.o", content(k))

def start(seed):
    child = os.fork()
    if not child:
        try:
            work(seed)
        finally:
            os._exit(2)
    return child

rng, wrong, living = random.Random(0), [], [start(k) for k in range(processes)]
for kill in range(kills):
    time.sleep(rng.random() * 0.01)
    victim = living.pop(rng.randrange(len(living)))
    os.kill(victim, signal.SIGKILL)
    wrong.append(os.waitstatus_to_exitcode(os.waitpid(victim, 0)[1]))
    living.append(start(1000 + kill))
for victim in living:
    os.kill(victim, signal.SIGKILL)
    wrong.append(os.waitstatus_to_exitcode(os.waitpid(victim, 0)[1]))
folder = Folder(path, 30_000)
entries = folder.entries()
whole = sum(folder.get(e.name) is not None for e in entries)
print(json.dumps([sorted(set(wrong)), len(entries), whole, sum(e.size for e in entries)]))
"""


@POSIX
def test_killed_writers_leave_nothing_broken(tmp_path: Path) -> None:
    ended, entries, whole, size = run(STORM, str(tmp_path / "cache"), "8", "200")
    assert ended == [-9] and whole == entries > 0
    assert size <= 30_000 * (1 + 8 / 16)


def killed_processes(folder: Path, processes: int, kills: int, seconds: float) -> Iterator[tuple[int, str, str]]:
    """Runs the loop in so many processes at a time until so many were killed; of each its status and output."""
    rng = np.random.default_rng(0)
    env = os.environ | {"NBGRAPH_CACHE_DIR": str(folder)}
    living: list[tuple[subprocess.Popen[str], float]] = []
    while kills > 0 or living:
        while kills > 0 and len(living) < processes:
            pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": env}
            process = subprocess.Popen(command(LOOP, "always", "3"), **pipes)
            living.append((process, time.monotonic() + seconds * rng.random()))
        for each in list(living):
            process, end = each
            if process.poll() is None and time.monotonic() > end:
                process.kill()
            if process.poll() is not None:
                living.remove(each)
                kills -= process.returncode == -9
                yield process.returncode, *process.communicate()
        time.sleep(0.01)


@POSIX
@pytest.mark.parametrize(
    ("processes", "kills"), [(3, 6), pytest.param(8, 200, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_killed_compilers(processes: int, kills: int, tmp_path: Path) -> None:
    """On a cold folder; what is not killed finishes right, and the folder is whole in the end."""
    folder = tmp_path / "cache"
    want, killed, finished = run(LOOP, "never", "3")["gradient"], 0, 0
    for status, out, err in killed_processes(folder, processes, kills, seconds=processes * 1.0):
        killed += status == -9
        if status != -9:
            finished += 1
            assert (status, err) == (0, "")
            np.testing.assert_allclose(json.loads(out)["gradient"], want, rtol=1e-12)
    print(f"{killed} killed, {finished} finished")
    assert killed >= kills
    last = [run(LOOP, "always", "3", cache=folder) for _ in range(2)][1]
    assert last["modules"] == [] and last["compiled"] == 0 and last["loaded"] >= 2
    np.testing.assert_allclose(last["gradient"], want, rtol=1e-12)
    last = [run(LOOP, "always", "3", cache=folder) for _ in range(2)][1]
    assert last["modules"] == [] and last["loaded"] >= 2
    np.testing.assert_allclose(last["gradient"], want, rtol=1e-12)

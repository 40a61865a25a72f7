"""Compiled code on disk: what a later process finds, what is refused, what survives damage, kills and a full disk."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import stat
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph.__main__ import main
from nbgraph.codegen import runtime
from nbgraph.engine import disk, objects, tiers
from nbgraph.engine.disk import Folder, folder_path, head_of, size_limit, user_folder
from nbgraph_kernels import identity, registry

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")

#: The loop with a check at every step, and its gradient; prints what it took.
LOOP = """
import json, sys
import numpy as np
import nbgraph as nbg
engine = nbg.Engine(jit=sys.argv[1])
A = np.array([[2.0, 1.0, 0.5], [1.0, 3.0, 0.25], [0.5, 0.25, 1.0]])
a, x = nbg.TracedTensor.from_tensor(A), nbg.constant(np.ones(3))
for _ in range(int(sys.argv[2])):
    y = a @ x
    x, previous = y / nbg.linalg.norm(y), x
    nbg.linalg.norm(x - previous).eval(engine)
gradient = (x @ (a @ x)).grad(a).eval(engine)
s = engine.stats()
print(json.dumps({"gradient": gradient.tolist(), "compiled": s.compiled, "loaded": s.loaded,
                  "interpreted": s.interpreted, "modules": sorted({"numba", "scipy.linalg"} & set(sys.modules))}))
"""

#: Placeholders, a checkpointed and jitted step, a size that the data decides; prints the gradient and what it took.
PLACED = """
import json, sys
import numpy as np
import nbgraph as nbg
engine, n = nbg.Engine(jit=sys.argv[1]), int(sys.argv[2])
a, x = (nbg.TracedTensor.placeholder(shape, name="a") for shape in (("n", "m"), ("m",)))
step = nbg.checkpoint(nbg.jit(lambda x: nbg.tanh(a.T @ (a @ x)) + x))
y = step(x)
g = (y[y > 0.1] ** 2).sum().grad(a)
A = np.arange(n * (n + 1.0)).reshape(n, n + 1) / n**3
found = g.eval(engine, bindings={a: A, x: np.linspace(-0.5, 1.0, n + 1)})
s = engine.stats()
print(json.dumps({"gradient": found.tolist(), "compiled": s.compiled, "loaded": s.loaded}))
"""


def command(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}", *arguments]


def run(code: str, *arguments: str, cache: Path | str = "", **variables: str) -> Any:
    """What a fresh process prints, as JSON."""
    env = os.environ | {"NBGRAPH_CACHE_DIR": str(cache)} | variables
    done = subprocess.run(command(code, *arguments), capture_output=True, text=True, env=env, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def value(engine: nbg.Engine) -> float:
    """A structure of its own, one fragment without kernels."""
    x = nbg.TracedTensor.from_tensor([1.0, 2.0, 3.0])
    return float((nbg.sqrt(x + 1) * x).sum().eval(engine))


WANT = float(np.sum(np.sqrt([2.0, 3.0, 4.0]) * [1.0, 2.0, 3.0]))


def always(cache: Any) -> nbg.Engine:
    return nbg.Engine(jit="always", cache_dir=cache)


def counts(engine: nbg.Engine) -> tuple[int, int]:
    return engine.stats().compiled, engine.stats().loaded


@pytest.fixture(scope="module")
def loop_cache(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A folder that one process has filled, and what that process found."""
    folder = tmp_path_factory.mktemp("loop") / "cache"
    return folder, run(LOOP, "always", "4", cache=folder)


@pytest.fixture(scope="module")
def value_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("value") / "cache"
    assert value(always(folder)) == pytest.approx(WANT)
    return folder


@pytest.fixture
def filled(value_cache: Path, tmp_path: Path) -> Path:
    """A copy of a folder in which the code of `value` is."""
    folder = tmp_path / "cache"
    shutil.copytree(value_cache, folder)
    return folder


@pytest.fixture(autouse=True)
def warn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "_warned", set())


def fragment_file(folder: Path) -> Path:
    (found,) = folder.glob("fragment-*.o")
    return found


# -- a later process --------------------------------------------------------------------------------------------------


def test_importing_is_light() -> None:
    code = "import sys, json, nbgraph; print(json.dumps([m for m in sys.modules if '.' not in m]))"
    assert not {"numba", "llvmlite", "scipy", "opt_einsum"} & set(run(code))


@pytest.mark.parametrize("jit", ["always", "auto"])
def test_a_later_process_imports_no_numba(jit: str, loop_cache: tuple[Path, Any]) -> None:
    folder, first = loop_cache
    assert first["modules"] == [] and first["compiled"] >= 2 and first["loaded"] == 0
    later = run(LOOP, jit, "50", cache=folder)
    assert later["modules"] == []
    assert (later["compiled"], later["loaded"], later["interpreted"]) == (0, first["compiled"], 0)
    np.testing.assert_allclose(later["gradient"], run(LOOP, "never", "50")["gradient"], rtol=1e-12)


def test_sizes_known_at_run_time_are_no_part_of_what_is_kept(tmp_path: Path) -> None:
    first = run(PLACED, "always", "3", cache=tmp_path / "cache")
    later = run(PLACED, "always", "5", cache=tmp_path / "cache")
    assert first["loaded"] == later["compiled"] == 0 < first["compiled"] == later["loaded"]
    np.testing.assert_allclose(later["gradient"], run(PLACED, "never", "5")["gradient"], rtol=1e-12)


def test_what_is_loaded_is_what_was_compiled(filled: Path) -> None:
    first, second = always(None), always(filled)
    assert value(first) == value(second)
    assert (counts(first), counts(second)) == ((1, 0), (0, 1))
    assert second.stats().code_bytes == first.stats().code_bytes and second.stats().compile_seconds == 0.0
    assert second.explain().startswith("load 1: new structure") and "test_disk_cache.py" in second.explain()


def test_auto_loads_at_first_sight_and_looks_once(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = nbg.Engine(cache_dir=filled)
    assert value(engine) == WANT or counts(engine) == (0, 1)
    assert (counts(engine), engine.stats().hits, engine.stats().interpreted) == ((0, 1), 1, 0)

    other, asked = nbg.Engine(cache_dir=filled), []
    monkeypatch.setattr(objects.Objects, "has", lambda self, program: asked.append(program))
    for _ in range(3):
        value(other)
    assert len(asked) == 1 and counts(other) == (0, 0)


def test_auto_does_not_compile_a_kernel_to_load_a_fragment(loop_cache: tuple[Path, Any], tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    shutil.copytree(loop_cache[0], folder)
    for each in folder.glob("kernel-gemm-*"):
        each.unlink()
    found = run(LOOP, "auto", "4", cache=folder)
    assert found["modules"] == [] and found["compiled"] == found["loaded"] == 0 and found["interpreted"] > 0


def test_a_kernel_on_disk_makes_compiling_cheaper(monkeypatch: pytest.MonkeyPatch) -> None:
    x = nbg.TracedTensor.placeholder(("n", "n"), name="x")
    program = nbg.Engine(jit="always", cache_dir=None).compile([x @ x], [x])
    (body,) = [p.lowered()[0] for p in program.programs]
    there, missing = (tiers.shared_seconds(body, lambda name, code, made=made: made) for made in (True, False))
    assert there == 0
    assert missing == pytest.approx(sum(tiers.FIRST_USE[name] for name in ("gemm", *tiers.DRIVERS)))
    for is_there in (True, False):
        ledger = tiers.Ledger(program.programs[0])
        ledger.is_made = lambda name, code, is_there=is_there: is_there
        ledger.record(ledger.own + missing / 2)
        assert ledger.pays(1) is is_there


def test_kernels_are_found_by_name(loop_cache: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_MADE", {})
    found = objects.Objects(str(loop_cache[0]))
    assert found.has_kernel("gemm", "f8") and not found.has_kernel("gemm", "c8")
    assert found.load_kernel("gemm", "f8") and not found.load_kernel("gemm", "c8")
    assert registry.is_made("gemm", "f8") and not registry.is_made("gemm", "c8")
    assert not objects.Objects(None).has_kernel("solve", "f4") and not objects.Objects(None).load_kernel("solve", "f4")


def test_a_kernel_of_an_engine_without_cache_is_kept_by_one_with(tmp_path: Path) -> None:
    value(always(None))  # the drivers are in this process now
    value(always(tmp_path / "cache"))
    kept = {each.name.rpartition("-")[0] for each in (tmp_path / "cache").glob("kernel-*")}
    assert {"kernel-entry-any", "kernel-objects_driver-any"} <= kept


def test_pickled_programs_load(tmp_path: Path) -> None:
    x = nbg.TracedTensor.placeholder(("n",), name="x")
    program = always(tmp_path / "cache").compile([nbg.cos(x).sum()], [x])
    (tmp_path / "program").write_bytes(pickle.dumps(program))
    code = """
import json, pickle, sys, numpy as np
program = pickle.loads(open(sys.argv[1], "rb").read())
s = program.engine.stats()
print(json.dumps([float(program(np.array([0.0, 0.0]))[0]), s.compiled, s.loaded, "numba" in sys.modules]))
"""
    assert run(code, str(tmp_path / "program"), cache=tmp_path / "cache") == [2.0, 0, 1, False]


# -- what is not loaded -----------------------------------------------------------------------------------------------


def cut(k: int) -> Any:
    return lambda path: path.write_bytes(path.read_bytes()[:k])


def flip(k: int) -> Any:
    def damage(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[k] ^= 0x10
        path.write_bytes(data)

    return damage


def of_another_name(path: Path) -> None:
    content = path.read_bytes()[disk._HEAD :]
    path.write_bytes(head_of("fragment-another-name.o", content) + content)


def linked(path: Path) -> None:
    path.rename(path.parent / "elsewhere")
    path.symlink_to("elsewhere")


def of_all(path: Path) -> None:
    path.chmod(0o666)


DAMAGE = {
    "empty": cut(0),
    "cut in its head": cut(20),
    "cut in its content": cut(-1),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "format": flip(15),
    "digest": flip(20),
    "first byte": flip(disk._HEAD),
    "last byte": flip(-1),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "foreign": lambda path: path.write_bytes(b"\x7fELF" + bytes(5000)),
    "another name": of_another_name,
    "a link": pytest.param(linked, marks=POSIX),
    "a pipe": pytest.param(lambda path: (path.unlink(), os.mkfifo(path)), marks=POSIX),
    "others may write": pytest.param(of_all, marks=POSIX),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_compiled_again_and_replaced(damage: Any, filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damage(fragment_file(filled))
    with monkeypatch.context() as patched:
        patched.setattr(runtime, "load_source", lambda *_: pytest.fail("what was not verified was loaded"))
        engine = always(filled)
        with pytest.warns(RuntimeWarning, match="cache") as caught:
            assert value(engine) == pytest.approx(WANT)
    assert counts(engine) == (1, 0) and len(caught) == 1
    healed = always(filled)
    assert value(healed) == pytest.approx(WANT) and counts(healed) == (0, 1)


def test_a_damaged_kernel_is_compiled_again(loop_cache: tuple[Path, Any], tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    shutil.copytree(loop_cache[0], folder)
    for each in folder.glob("kernel-*"):
        flip(-5)(each)
    assert run(LOOP, "always", "4", cache=folder)["gradient"] == loop_cache[1]["gradient"]
    assert run(LOOP, "always", "4", cache=folder)["modules"] == []


def test_another_version_is_not_loaded(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "environment", lambda: "another version, or another CPU")
    engine = always(filled)
    assert value(engine) == pytest.approx(WANT) and counts(engine) == (1, 0)
    assert len(list(filled.glob("fragment-*.o"))) == 2  # both are kept
    assert counts_of_auto(filled) == (0, 1)


def counts_of_auto(folder: Path) -> tuple[int, int]:
    engine = nbg.Engine(cache_dir=folder)
    value(engine)
    return counts(engine)


def test_under_auto_another_version_is_interpreted(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "environment", lambda: "another version, or another CPU")
    assert counts_of_auto(filled) == (0, 0)


def test_without_sources_nothing_is_kept(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "environment", lambda: None)
    engine, before = always(filled), sorted(filled.iterdir())
    assert value(engine) == pytest.approx(WANT) and counts(engine) == (1, 0)
    assert sorted(filled.iterdir()) == before


def test_the_identity_is_of_cpu_versions_sources_and_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from llvmlite import binding

    fresh = identity.identity.__wrapped__
    here = fresh()
    assert here == fresh() == identity.identity()
    changes: list[tuple[Any, str, Any]] = [
        (binding, "get_host_cpu_name", lambda: "abacus"),
        (binding, "get_host_cpu_features", lambda: binding.FeatureMap(sse2=True)),
        (np, "__version__", "0"),
        (identity, "version_text", lambda package: package),
        (identity, "source_digest", lambda folder: ""),
    ]
    seen = {here}
    for owner, name, changed in changes:
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, changed)
            seen.add(fresh())
    monkeypatch.setenv("NUMBA_CPU_NAME", "generic")
    seen.add(fresh())
    assert len(seen) == 2 + len(changes)


def test_versions_are_those_installed() -> None:
    for package in ("llvmlite", "numba", "scipy"):
        assert __import__("importlib.metadata").metadata.version(package) in identity.version_text(package)


def test_sources_count_by_name_and_content(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a.py").write_text("1")
    (tmp_path / "note.txt").write_text("1")
    seen = [identity.source_digest(str(tmp_path))]
    (tmp_path / "note.txt").write_text("2")
    assert identity.source_digest(str(tmp_path)) == seen[0]
    (tmp_path / "inner" / "a.py").write_text("2")
    seen.append(identity.source_digest(str(tmp_path)))
    (tmp_path / "inner" / "a.py").rename(tmp_path / "inner" / "b.py")
    seen.append(identity.source_digest(str(tmp_path)))
    assert len(set(seen)) == 3
    with pytest.raises(OSError):
        identity.source_digest(str(tmp_path / "nowhere"))


# -- folders ----------------------------------------------------------------------------------------------------------


@POSIX
def test_the_folder_is_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        value(always(tmp_path / "some" / "cache"))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "some" / "cache").stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in (tmp_path / "some" / "cache").iterdir()} == {0o600}


def refused(folder: Path) -> None:
    """The folder is neither read nor written, and said to be so once."""
    before = sorted(folder.iterdir()) if folder.is_dir() else None
    with pytest.warns(RuntimeWarning, match="keeps no code in|cannot write") as caught:
        for _ in range(2):
            engine = always(folder)
            assert value(engine) == pytest.approx(WANT) and counts(engine) == (1, 0)
    assert len(caught) == 1
    assert (sorted(folder.iterdir()) if folder.is_dir() else None) == before


@POSIX
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702, 0o1777])
def test_a_folder_that_others_can_write_to_is_refused(mode: int, filled: Path) -> None:
    filled.chmod(mode)
    refused(filled)


@POSIX
def test_a_link_counts_as_what_it_leads_to(filled: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(filled)
    engine = always(link)
    assert value(engine) == pytest.approx(WANT) and counts(engine) == (0, 1)
    filled.chmod(0o777)
    refused(link)


@POSIX
def test_a_folder_of_another_user_is_refused(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    refused(filled)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    refused(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


@POSIX
def test_a_folder_that_can_only_be_read_is_read(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def read_only(path: Any, flags: int, *rest: Any) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return opened(path, flags, *rest)

    def not_touched(*_: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "open", read_only)
    monkeypatch.setattr(os, "utime", not_touched)
    engine = always(filled)
    assert value(engine) == pytest.approx(WANT) and counts(engine) == (0, 1)
    x = nbg.TracedTensor.from_tensor([1.0, 2.0])
    with pytest.warns(RuntimeWarning, match="cannot write to its cache.*Read-only") as caught:
        for f in (nbg.sin, nbg.cos):
            f(x * 3).eval(engine)
    assert counts(engine) == (2, 1) and len(caught) == 1


@POSIX
def test_a_full_disk(tmp_path: Path) -> None:
    """As far as this process goes: no file may be longer than 200 bytes."""
    code = "import resource, warnings; resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))\n"
    code += "caught = warnings.catch_warnings(record=True).__enter__(); warnings.simplefilter('always')\n"
    code += (
        LOOP.replace("print(", "found = (")
        + "\nprint(json.dumps([json.loads(found), [str(w.message) for w in caught]]))"
    )
    found, said = run(code, "always", "2", cache=tmp_path / "cache")
    assert found["compiled"] >= 2 and len(said) == 1 and "cannot write to its cache" in said[0]
    assert list((tmp_path / "cache").iterdir()) == []
    np.testing.assert_allclose(found["gradient"], run(LOOP, "never", "2")["gradient"], rtol=1e-12)


def test_no_cache(filled: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NBGRAPH_CACHE_DIR", str(filled))
    before = sorted(filled.iterdir())
    engine = always(None)
    assert engine.cache_dir is None and value(engine) == pytest.approx(WANT) and counts(engine) == (1, 0)
    assert sorted(filled.iterdir()) == before
    default = nbg.Engine(jit="always")
    assert default.cache_dir == str(filled) and value(default) == pytest.approx(WANT) and counts(default) == (0, 1)


def test_which_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.chdir(tmp_path)
    assert folder_path("here") == str(tmp_path / "here") == folder_path(Path("here"))
    assert folder_path("~/there") == str(home / "there") and folder_path(None) is None
    monkeypatch.setenv("NBGRAPH_CACHE_DIR", str(tmp_path / "mine"))
    assert folder_path(...) == str(tmp_path / "mine")
    monkeypatch.setenv("NBGRAPH_CACHE_DIR", "")
    assert folder_path(...) is None
    monkeypatch.delenv("NBGRAPH_CACHE_DIR")
    assert folder_path(...) == user_folder()
    with pytest.raises(nbg.CacheError, match="got 5, wanted a path"):
        nbg.Engine(cache_dir=5)


@POSIX
def test_where_platforms_keep_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert user_folder() == "/caches/nbgraph"
    for value in ("", "relative"):  # not to be used, says the specification
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert user_folder() == "/home/me/.cache/nbgraph"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert user_folder() == "/home/me/Library/Caches/nbgraph"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", "/local")
    assert user_folder() == os.path.join("/local", "nbgraph")


# -- the bound --------------------------------------------------------------------------------------------------------


def names(folder: Folder) -> list[str]:
    return [e.name for e in folder.entries()]


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path / "cache"), 8 * 1000)
    for k in range(7):
        folder.put(f"kernel-{k}-x.o", bytes(1000 - disk._HEAD))
        os.utime(tmp_path / "cache" / f"kernel-{k}-x.o", (k, k))
    assert folder.get("kernel-0-x.o") == bytes(1000 - disk._HEAD)  # used now
    (tmp_path / "cache" / "notes.txt").write_text("not ours" * 1000)
    for k in range(7, 20):
        folder.put(f"kernel-{k}-x.o", bytes(1000 - disk._HEAD))
        assert sum(e.size for e in folder.entries()) <= 8 * 1000
        if k == 8:
            assert names(folder)[0] not in ("kernel-0-x.o", "kernel-1-x.o") and "kernel-0-x.o" in names(folder)
    assert "kernel-19-x.o" in names(folder) and len(names(folder)) >= 6
    assert (tmp_path / "cache" / "notes.txt").exists()
    folder.put("kernel-large-x.o", bytes(9000))
    assert "kernel-large-x.o" not in names(folder)


def test_several_writers_keep_the_bound(tmp_path: Path) -> None:
    writers = [Folder(str(tmp_path / "cache"), 64_000) for _ in range(3)]
    for k in range(150):
        writers[k % 3].put(f"fragment-{k}-x.o", bytes(1000))
        assert sum(e.size for e in writers[0].entries()) <= 64_000 * (1 + 3 / 16)


def test_what_killed_writers_left_is_removed(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path), 10_000)
    old, new = tmp_path / f".12-{'a' * 16}.tmp", tmp_path / f".13-{'b' * 16}.tmp"
    for each in (old, new):
        each.write_bytes(bytes(100))
    os.utime(old, (0, 0))
    folder.put("kernel-a-x.o", b"code")
    assert not old.exists() and new.exists() and names(folder) == ["kernel-a-x.o"]
    assert [e.name for e in folder.clear()] == ["kernel-a-x.o"] and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("1000", 1000), ("4k", 4096), ("256M", 2**28), (" 1 GB ", 2**30), ("2g", 2**31)]
)
def test_size(text: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBGRAPH_CACHE_SIZE", text)
    assert size_limit() == size


@pytest.mark.parametrize("text", ["", "much", "-1", "1.5M", "1T"])
def test_what_is_no_size(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NBGRAPH_CACHE_SIZE", text)
    with pytest.raises(nbg.CacheError, match="NBGRAPH_CACHE_SIZE: not a size"):
        nbg.Engine(cache_dir=tmp_path)


def test_a_bound_of_nothing_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBGRAPH_CACHE_SIZE", "0")
    value(always(tmp_path / "cache"))
    assert not (tmp_path / "cache").exists()


# -- many processes, and kills ----------------------------------------------------------------------------------------

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


# -- the command ------------------------------------------------------------------------------------------------------


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(["cache", *argv]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_the_command(filled: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBGRAPH_CACHE_DIR", str(filled))
    monkeypatch.setenv("NBGRAPH_CACHE_SIZE", "3M")
    (filled / "notes.txt").write_text("not ours")
    n = len(list(filled.glob("*.o")))
    assert said(capsys, "path") == f"{filled}\n"
    info = said(capsys, "info")
    assert str(filled) in info and "3.0 MiB" in info and f"{n} files" in info and "fragments  1 file," in info
    assert said(capsys, "clear").startswith(f"removed {n} files")
    assert [each.name for each in filled.iterdir()] == ["notes.txt"]
    assert "all        0 files, 0 bytes" in said(capsys, "info")
    engine = always(filled)
    assert value(engine) == pytest.approx(WANT) and counts(engine) == (1, 0)


def test_the_command_of_a_folder_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NBGRAPH_CACHE_DIR", str(tmp_path / "none"))
    assert "0 files" in said(capsys, "info") and "removed 0 files" in said(capsys, "clear")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(("variable", "given"), [("NBGRAPH_CACHE_DIR", ""), ("NBGRAPH_CACHE_SIZE", "much")])
def test_what_the_command_cannot_do_is_one_line(
    variable: str, given: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NBGRAPH_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv(variable, given)
    assert main(["cache", "info"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and variable in err


@pytest.mark.parametrize("argv", [(), ("sweep",), ("info", "more")])
def test_bad_commands(argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["cache", *argv])
    assert stopped.value.code == 2 and "usage: nbgraph cache" in capsys.readouterr().err


def test_warnings_are_said_once_for_each_folder(tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for name in ("a", "b"):
            (tmp_path / name).write_text("")
            for _ in range(2):
                Folder(str(tmp_path / name), 1000).put("kernel-a-x.o", b"")
    assert len(caught) == 2

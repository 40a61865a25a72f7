"""A folder of files that were written by this user and are what was written.

In: names and bytes. Out: the bytes put under a name, or None.
Holds: a file is there whole or not at all (written under another name, then renamed), and what is read is checked
against the digest at its head, so that anything cut, changed or foreign counts as not there. A folder that others can
write to is not used. Nothing here raises because of the state of the disk: a warning, once, and the cache is off.
Many processes may use one folder; the least recently used files go when it grows beyond its bound.
"""

from __future__ import annotations

import os
import re
import stat
import sys
import time
import warnings
from contextlib import suppress
from hashlib import sha256
from typing import Any, NamedTuple

from nbgraph.errors import CacheError

#: Begins every file; another format is another head.
MAGIC = b"nbgraph object 1"
_HEAD = len(MAGIC) + sha256().digest_size
_NAME = re.compile(r"[a-z]+-[\w-]+\.o")
_TEMPORARY = re.compile(r"\.\d+-[0-9a-f]{16}\.tmp")
#: Seconds after which a temporary file has no living writer.
_ABANDONED = 3600.0
#: Without waiting, without following links; where the platform knows of these.
_FLAGS = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))

DEFAULT_SIZE = "256M"
_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}

_warned: set[tuple[str, str]] = set()


class Entry(NamedTuple):
    """A file of the cache, and when it was last used."""

    name: str
    size: int
    used: float


class Folder:
    """Files by name; at most `limit` bytes of them."""

    def __init__(self, path: str, limit: int) -> None:
        self.path, self.limit = path, limit
        self._writable = limit > 0
        self._room: int | None = None  # what may be written before the folder is looked through again
        self._stems: set[str] = set()
        self._listed = -1

    def has(self, stem: str) -> bool:
        """Whether there is a file whose name is `stem`, a dash, and more. One `stat`, where nothing has changed."""
        try:
            changed = os.stat(self.path).st_mtime_ns
            if changed != self._listed:
                self._stems = {name.rpartition("-")[0] for name in os.listdir(self.path)}
                self._listed = changed
        except OSError:
            return False
        return stem in self._stems

    def get(self, name: str) -> bytes | None:
        """What was put under this name."""
        if not self._trusted():
            return None
        path = os.path.join(self.path, name)
        try:
            content = _read(path, name)
            if content is None:
                self._warn("altered", f"found {path} not as it was written; it is made anew")
                return None
            with suppress(OSError):  # a folder that can only be read
                os.utime(path)
            return content
        except FileNotFoundError:
            return None
        except OSError as error:
            self._warn("unreadable", f"cannot read from its cache: {error}")
            return None

    def put(self, name: str, content: bytes) -> None:
        """Keeps bytes under a name."""
        size = _HEAD + len(content)
        if not self._writable or size > self.limit:
            return
        try:
            os.makedirs(self.path, 0o700, exist_ok=True)
            if self._trusted():
                self._make_room(size)
                self._write(name, head_of(name, content) + content)
        except OSError as error:
            self._writable = False
            self._warn("unwritable", f"cannot write to its cache, so what is compiled is not kept: {error}")

    def entries(self) -> list[Entry]:
        """The files of the cache, the least recently used first."""
        found = [e for e in self._scan() if _NAME.fullmatch(e.name)]
        return sorted(found, key=lambda e: e.used)

    def clear(self) -> list[Entry]:
        """Removes all files of the cache, and no others; what was removed."""
        found = self.entries()
        for each in self._scan():
            self._remove(each.name)
        return found

    # -- the files -------------------------------------------------------------------------------------------------

    def _write(self, name: str, data: bytes) -> None:
        temporary = os.path.join(self.path, f".{os.getpid()}-{os.urandom(8).hex()}.tmp")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600)
            with open(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            with suppress(FileNotFoundError, PermissionError):  # cleared meanwhile; open elsewhere, on Windows
                os.replace(temporary, os.path.join(self.path, name))
        finally:
            with suppress(OSError):
                os.unlink(temporary)

    def _scan(self) -> list[Entry]:
        """The files of the cache and what interrupted writers left."""
        found = []
        with suppress(OSError), os.scandir(self.path) as files:
            for each in files:
                if _NAME.fullmatch(each.name) or _TEMPORARY.fullmatch(each.name):
                    with suppress(OSError):  # gone meanwhile
                        at = each.stat(follow_symlinks=False)
                        found.append(Entry(each.name, at.st_size, at.st_mtime))
        return found

    def _remove(self, name: str) -> None:
        with suppress(OSError):
            os.unlink(os.path.join(self.path, name))

    def _make_room(self, size: int) -> None:
        """Removes the least recently used files until this many bytes fit, and left-over temporary ones.

        The folder is looked through at the first write, and again after a sixteenth of the bound: that is how far
        each of several processes may be wrong about it.
        """
        if self._room is None or self._room < size:
            for each in self._scan():
                if _TEMPORARY.fullmatch(each.name) and time.time() - each.used > _ABANDONED:
                    self._remove(each.name)
            entries = self.entries()
            total = sum(e.size for e in entries)
            if total + size > self.limit:
                for each in entries:
                    self._remove(each.name)
                    total -= each.size
                    if total + size <= self.limit - self.limit // 8:
                        break
            self._room = min(self.limit - total, max(self.limit // 16, size))
        self._room -= size

    # -- trust -----------------------------------------------------------------------------------------------------

    def _trusted(self) -> bool:
        """Whether the folder is there and nobody else can write to it."""
        try:
            at = os.stat(self.path)
        except OSError:
            return False
        problem = "is not a folder" if not stat.S_ISDIR(at.st_mode) else _distrust(at)
        if problem:
            self._warn("distrust", f"keeps no code in {self.path}, which {problem}")
        return problem is None

    def _warn(self, what: str, text: str) -> None:
        """Once in a process."""
        if (self.path, what) not in _warned:
            _warned.add((self.path, what))
            warnings.warn(f"nbgraph {text} (see NBGRAPH_CACHE_DIR)", RuntimeWarning, stacklevel=2)


def head_of(name: str, content: bytes) -> bytes:
    """What a file begins with: the format, and the digest of its name and content."""
    return MAGIC + sha256(MAGIC + name.encode() + b"\0" + content).digest()


def _read(path: str, name: str) -> bytes | None:
    """The content of a file; None where it is not as `Folder.put` wrote it."""
    with open(os.open(path, os.O_RDONLY | _FLAGS), "rb") as file:
        at = os.fstat(file.fileno())
        if not stat.S_ISREG(at.st_mode) or _distrust(at):
            return None
        data = file.read()
    content = data[_HEAD:]
    return content if data[:_HEAD] == head_of(name, content) else None


def _distrust(at: os.stat_result) -> str | None:
    """Why not to believe what is in a file or folder. Windows has no such modes: there a profile is private."""
    if sys.platform == "win32":
        return None
    if at.st_uid != os.geteuid():
        return f"belongs to another user ({at.st_uid})"
    if at.st_mode & 0o022:
        return f"others can write to (mode {stat.S_IMODE(at.st_mode):o})"
    return None


# -- which folder ------------------------------------------------------------------------------------------------------


def folder_path(given: Any) -> str | None:
    """The folder for an engine's `cache_dir`: `...` is NBGRAPH_CACHE_DIR, or the user's own. None: no cache."""
    if given is ...:
        given = os.environ.get("NBGRAPH_CACHE_DIR", user_folder())
        given = given or None  # the empty string switches off
    if given is None:
        return None
    try:
        return os.path.abspath(os.path.expanduser(os.fsdecode(given)))
    except TypeError:
        raise CacheError("not a folder", operation="Engine", got=given, wanted="a path, or None for no cache") from None


def user_folder() -> str | None:
    """`nbgraph` where the platform keeps a user's caches; None where there is no home."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or os.path.expanduser(r"~\AppData\Local")
    elif sys.platform == "darwin":
        base = os.path.expanduser("~/Library/Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME", "")
        base = base if os.path.isabs(base) else os.path.expanduser("~/.cache")
    return os.path.join(base, "nbgraph") if os.path.isabs(base) else None


def size_limit() -> int:
    """The bound in bytes, from NBGRAPH_CACHE_SIZE: a number, which k, M or G may follow."""
    text = os.environ.get("NBGRAPH_CACHE_SIZE", DEFAULT_SIZE)
    found = re.fullmatch(r"\s*(\d+)\s*([kmg]?)b?\s*", text, re.IGNORECASE)
    if not found:
        raise CacheError(
            "not a size", operation="NBGRAPH_CACHE_SIZE", got=text, wanted='bytes, as "268435456" or "256M"'
        )
    return int(found[1]) * _UNITS[found[2].lower()]

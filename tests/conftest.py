"""Compiled code is not kept on disk, nor taken from there, where a test does not ask for it."""

from __future__ import annotations

import os

os.environ["NBGRAPH_CACHE_DIR"] = ""

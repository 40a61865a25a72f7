"""Compiled code is not kept on disk, nor taken from there, where a test does not ask for it; but for kernels.

A kernel is compiled by the first process of a test run that needs it, and loaded by the others: hundreds of them would
otherwise be compiled in each.

What hypothesis draws is the same in every run, and takes the time it takes: `pytest --hypothesis-profile=default` draws
anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "same", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("same")

os.environ["NBGRAPH_CACHE_DIR"] = ""


@pytest.fixture(scope="session", autouse=True)
def kernels_are_compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    from nbgraph_kernels import registry
    from nbgraph_kernels.load import ENTRY, load

    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "kernels"
    folder.mkdir(exist_ok=True)
    make, made = registry._compile, registry._MADE

    def found_or_made(name: str, dtype: str) -> registry.Kernel:
        if registry._MADE is not made:  # a test of just this
            return make(name, dtype)
        file = folder / f"{name}-{dtype}"
        if file.exists():
            return loaded(name, dtype, file)
        kernel = make(name, dtype)
        part = file.with_name(f"{file.name}.{os.getpid()}")
        part.write_bytes(kernel.object_code)
        os.replace(part, file)
        return kernel

    def loaded(name: str, dtype: str, file: Path) -> registry.Kernel:
        code = file.read_bytes()
        needs, (address, alive) = registry.externals(name, dtype), load(code, ENTRY)
        return registry.Kernel(name, dtype, address, needs, len(code), code, ENTRY, alive)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_compile", found_or_made)
        yield

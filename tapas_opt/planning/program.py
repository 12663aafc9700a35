"""Which program a cell was run by: a hash over what of it can decide what comes out."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

import tapas_opt

__all__ = ["program", "sources"]

SPARED = (
    "__main__.py", "adapters/", "agent/", "api/", "bench/", "cli/", "client/", "plot/", "service/", "state/",
    "telemetry/", "web/", "worth.py", "planning/findings.py", "planning/money.py", "planning/tables.py",
)  # fmt: skip
"""Sources that nothing imports which a cell runs: what they read from files is in its key as it was read."""

COMPUTING = ("highspy", "numba", "numpy", "scipy")
"""Packages that compute for a cell."""


@cache
def program() -> str:
    """A hash over the program's own :func:`sources` and versions of what computes: others may come to other numbers."""
    folder = Path(tapas_opt.__file__).parent
    told = hashlib.sha256(repr([(name, version(name)) for name in COMPUTING]).encode())
    for path in sources(folder):
        told.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return told.hexdigest()[:16]


def sources(folder: Path) -> list[Path]:
    """All modules of a package's folder that are not :data:`SPARED`, in order."""
    return sorted(path for path in folder.rglob("*.py") if not path.relative_to(folder).as_posix().startswith(SPARED))

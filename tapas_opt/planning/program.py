"""Which program a cell was run by: a hash over what of it can decide what comes out."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tapas_opt

__all__ = ["named_by", "program", "sources"]

SPARED = (
    "__main__.py", "adapters/", "agent/", "api/", "bench/", "cli/", "client/", "plot/", "service/", "state/",
    "web/", "worth.py", "planning/findings.py", "planning/money.py", "planning/tables.py",
)  # fmt: skip
"""Sources that nothing imports which a cell runs."""

COMPUTING = ("highspy", "numba", "numpy", "ortools", "pandas", "scikit-learn", "scipy")
"""Packages that compute for a cell, or for the models that it goes by."""


@cache
def program() -> str:
    """A hash over the program's own :func:`sources` and versions of what computes: others may come to other numbers."""
    folder = Path(tapas_opt.__file__).parent
    told = hashlib.sha256(repr([(name, version(name)) for name in COMPUTING]).encode())
    for path in sources(folder):
        told.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return told.hexdigest()[:16]


def named_by(*decides: Any) -> str:
    """A name for what comes out of these JSON values and this program."""
    return hashlib.sha256(json.dumps((program(), *decides)).encode()).hexdigest()[:32]


def sources(folder: Path) -> list[Path]:
    """All modules of a package's folder that are not :data:`SPARED`, in order."""
    return sorted(path for path in folder.rglob("*.py") if not path.relative_to(folder).as_posix().startswith(SPARED))

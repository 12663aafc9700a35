"""The tables of a study, as CSV files for whoever goes on with other tools."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tapas_opt.durable import replace_text
from tapas_opt.planning.worths import EACH

__all__ = ["TABLES", "flat", "kept_out_words", "levels_words", "raised_words", "write_tables"]

TABLES = ("cells", "fits", "worths", "costs")
"""Lists of a study's answer, each a CSV file of its name."""


def write_tables(answer: Mapping[str, Any], folder: Path) -> None:
    """Write one CSV file for each of :data:`TABLES`; None is an empty cell.

    A list with nothing in it has no file, and none from before is left.

    Raises
    ------
    OSError
        The folder cannot be written to.
    """
    for name in TABLES:
        file = folder / f"{name}.csv"
        if answer[name]:
            replace_text(file, _text([flat(row) for row in answer[name]]))
        else:
            file.unlink(missing_ok=True)


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with what is nested in it side by side: metrics by their own names, levels of money as ``…_low``."""
    told: dict[str, Any] = {}
    for name, value in row.items():
        if name == "metrics":
            told |= value
        elif isinstance(value, Mapping):
            told |= {f"{name}_{level}": inner for level, inner in value.items()}
        elif isinstance(value, list):
            words = kept_out_words if name == "kept_out" else _sentence
            told[name] = "; ".join(words(item) for item in value)
        else:
            told[name] = value
    return told


def kept_out_words(item: Mapping[str, Any]) -> str:
    """What keeps VMs out, such as ``ups_transient_limit: 5 VMs, by 18.5 W or more``."""
    vms = f"{item['vms']} VM{'s' if item['vms'] != 1 else ''}"
    return f"{item['constraint']}: {vms}, by {item['short_by']:,g} {item['unit']} or more"


def raised_words(row: Mapping[str, Any]) -> str:
    """Which limit of a worth is raised and by how much: ``ups:U2 +1,000 W``, ``ups:* +1,000 W each``."""
    each = " each" if row["element"].endswith(EACH) else ""
    return f"{row['element']} +{row['step']:,} {row['unit']}{each}"


def levels_words(levels: Mapping[str, float | None], form: str = ".4g") -> str:
    """A figure that assumptions spread: ``12.0 (8.0 to 18.0)``; a dash where it is not known."""
    base, low, high = ("–" if levels[name] is None else f"{levels[name]:,{form}}" for name in ("base", "low", "high"))
    return f"{base} ({low} to {high})"


def _sentence(binding: Mapping[str, Any]) -> str:
    """What breaks a risk, in one cell."""
    worst = "undefined" if binding["worst"] is None else f"{binding['worst']:.4g}"
    told = f"{binding['which'] or binding['scenario']}: {binding['metric']} {worst} > {binding['limit']:g}"
    return f"{told} in {binding['runs_broken']} of {binding['runs']}"


def _text(rows: Sequence[Mapping[str, Any]]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()

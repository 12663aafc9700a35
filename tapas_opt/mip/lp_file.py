"""A model as text in the LP format, which people read and other solvers take.

Names are kept as far as the format allows: ``assign[V1,S1]`` is ``assign(V1,S1)``, and what else it does not allow
becomes ``_``. The same model is always the same text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from textwrap import fill

import numpy as np

from tapas_opt.mip.model import MipArrays

__all__ = ["lp_text"]

LINE = 110
TIE = "~"
"""Stands for a blank at which no line ends: a term stays together."""

BINARY, GENERAL = "Binary", "General"


def lp_text(arrays: MipArrays, comment: str = "") -> str:
    """The model as an LP file; ``comment`` is put before it, line by line."""
    columns, rows = _allowed(arrays.column_names()), _allowed(arrays.row_names())
    terms = _terms(arrays, columns)
    lines = [
        *(rf"\ {line}".rstrip() for line in comment.splitlines()),
        "Minimize",
        _wrapped(f"cost: {_sum(zip(columns, arrays.cost.tolist(), strict=True)) or _nothing(columns)}"),
        "Subject To",
        *(line for r, name in enumerate(rows) for line in _row(arrays, r, name, terms[r], columns)),
        "Bounds",
        *(_bounds(name, low, high) for name, low, high in zip(columns, arrays.lower, arrays.upper, strict=True)),
        *_kinds(arrays, columns),
        "End",
    ]
    return "\n".join(lines) + "\n"


def _allowed(names: Sequence[str]) -> list[str]:
    """The names in letters that the format takes; of several that become one, all but the first get a number."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        text = re.sub(r"[^A-Za-z0-9_.,()@/]", "_", name.replace("[", "(").replace("]", ")"))
        text = text if re.match(r"[A-Za-z_]", text) else f"_{text}"
        seen[text] += 1
        found.append(text if seen[text] == 1 else f"{text}_{seen[text]}")
    return found


def _terms(arrays: MipArrays, columns: Sequence[str]) -> list[str]:
    """The left side of each row."""
    start, index, value = arrays.start.tolist(), arrays.index.tolist(), arrays.value.tolist()
    return [
        _sum((columns[index[n]], value[n]) for n in range(start[r], start[r + 1])) for r in range(arrays.rows_count)
    ]


def _sum(terms: Iterable[tuple[str, float]]) -> str:
    text = " ".join(f"{'-' if factor < 0 else '+'}{TIE}{_factor(factor)}{name}" for name, factor in terms if factor)
    return text.removeprefix(f"+{TIE}")


def _nothing(columns: Sequence[str]) -> str:
    """A sum of no terms, which the format does not take."""
    return f"0 {columns[0] if columns else 'nothing'}"


def _factor(factor: float) -> str:
    return "" if abs(factor) == 1 else f"{_number(abs(factor))}{TIE}"


def _number(value: float) -> str:
    if np.isinf(value):
        return "inf" if value > 0 else "-inf"
    return str(int(value)) if value == int(value) else repr(float(value))


def _row(arrays: MipArrays, r: int, name: str, terms: str, columns: Sequence[str]) -> Iterator[str]:
    """One line, or two for a row between two limits; one that limits nothing is left out."""
    low, high = float(arrays.row_lower[r]), float(arrays.row_upper[r])
    left = terms or _nothing(columns)
    if low == high:
        yield _wrapped(f"{name}: {left} = {_number(low)}")
        return
    if np.isfinite(high):
        yield _wrapped(f"{name}: {left} <= {_number(high)}")
    if np.isfinite(low):
        yield _wrapped(f"{name}{'_least' if np.isfinite(high) else ''}: {left} >= {_number(low)}")


def _wrapped(text: str) -> str:
    lines = fill(
        text, LINE, initial_indent=" ", subsequent_indent="   ", break_long_words=False, break_on_hyphens=False
    )
    return lines.replace(TIE, " ")


def _bounds(name: str, low: float, high: float) -> str:
    if low == high:
        return f" {name} = {_number(low)}"
    return f" {_number(low)} <= {name} <= {_number(high)}"


def _kinds(arrays: MipArrays, columns: Sequence[str]) -> Iterator[str]:
    binary = arrays.integer & (arrays.lower == 0) & (arrays.upper == 1)
    for title, which in ((BINARY, binary), (GENERAL, arrays.integer & ~binary)):
        if which.any():
            yield title
            yield from (f" {columns[j]}" for j in np.flatnonzero(which).tolist())

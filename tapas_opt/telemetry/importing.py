"""Writing an import into a folder, a part at a time: memory is that of one part, and what is done is not done again."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tapas_opt.domain.history import TABLES, Table
from tapas_opt.errors import Fault, InvalidInput, ServerUnreachable
from tapas_opt.telemetry.dense import schema_of
from tapas_opt.telemetry.names import SERVING
from tapas_opt.telemetry.tally import Tally

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["DAY_S", "Imported", "Part", "Span", "import_history", "spans_of", "work_folder"]

DAY_S = 86_400
_SHOWN = 8

WORK = ".import"
SUMMARY = "import.json"
_PART = re.compile(r"\d+-\d+")
_ALL: Mapping[str, Table] = {**TABLES, SERVING.name: SERVING}


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of whole slots inside one day; Unix seconds, the end not included."""

    start_s: int
    end_s: int
    step_s: int

    @property
    def slots(self) -> int:
        """How many slots it has."""
        return (self.end_s - self.start_s) // self.step_s

    @property
    def name(self) -> str:
        """What its part is called on disk."""
        return f"{self.start_s:012d}-{self.end_s:012d}"


@dataclass(frozen=True, slots=True)
class Part:
    """The tables of one span, and what became of its readings."""

    tables: Mapping[str, pa.Table]
    tally: Tally


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import left in its folder: rows by table, counts, and how many parts were there from an earlier run."""

    rows: Mapping[str, int]
    tally: Tally
    resumed: int


def spans_of(start_s: float, end_s: float, step_s: int, longest_s: int = DAY_S) -> list[Span]:
    """Cut a time into days, or into shorter stretches, of whole slots that lie on multiples of ``step_s``."""
    first, last = int(start_s // step_s) * step_s, int(end_s // step_s) * step_s
    edges = [first, *range((first // longest_s + 1) * longest_s, last, longest_s), last]
    on_slots = [edge // step_s * step_s for edge in edges]
    return [Span(a, b, step_s) for a, b in pairwise(on_slots) if b > a]


def import_history(
    out: Path,
    request: Mapping[str, Any],
    spans: Sequence[Span],
    read: Callable[[Span], Part],
    progress: Callable[[float, str], None] | None = None,
) -> Imported:
    """Read every span that ``out`` does not hold yet, then join them into one file for each table.

    An import that was interrupted is continued by the same request. Each part is written under another name and then
    renamed, so that a part is whole or not there.

    Raises
    ------
    InvalidInput
        If the folder holds anything but an unfinished import of the same request, or there is no reading at all.
    """
    work = work_folder(out, request)
    tally, resumed = Tally(), 0
    for i, span in enumerate(spans):
        if progress is not None:
            progress(i / len(spans), span.name)
        folder = work / span.name
        if folder.exists():
            resumed += 1
        else:
            try:
                part = read(span)
            except ServerUnreachable as error:
                if i == 0:
                    raise
                kept = f"{i} of {len(spans)} parts are kept in {out}, and the same command goes on from there"
                raise ServerUnreachable(f"{error}; {kept}") from error
            _write_part(folder, part)
        tally.add(Tally.from_json(json.loads((folder / SUMMARY).read_text(encoding="utf-8"))))
    if not tally.read:
        shutil.rmtree(work)
        raise InvalidInput.one("history", "readings", f"there is none{_unknown(tally)}")
    rows = _join(out, [work / span.name for span in spans])
    shutil.rmtree(work)
    if progress is not None:
        progress(1.0, "done")
    return Imported(rows, tally, resumed)


def _unknown(tally: Tally) -> str:
    """What a source offered that the site does not have: the usual reason for an import of nothing."""
    names = [name for group in tally.unknown.values() for name in group]
    if not names:
        return "; check the times, the metrics and the units"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"; those of {', '.join(names[:_SHOWN])}{more} are not of the site, name them in --hosts"


def work_folder(out: Path, request: Mapping[str, Any]) -> Path:
    """Where the parts of an import are kept until it is whole; the request stands beside them.

    Where no part was finished yet, there is nothing to mix, and another request takes the place of the first.

    Raises
    ------
    InvalidInput
        See :func:`import_history`.
    """
    work = out / WORK
    try:
        if not (work / SUMMARY).exists():
            if out.exists() and any(path.name != WORK for path in out.iterdir()):
                raise InvalidInput.one("history", "out", f"{out}: already holds files; name a new or empty folder")
            work.mkdir(parents=True, exist_ok=True)
            (work / SUMMARY).write_text(json.dumps(request), encoding="utf-8")
        earlier = json.loads((work / SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput.one("history", "out", f"{out}: cannot be written: {error}") from error
    asked = json.loads(json.dumps(request))
    if not any(_PART.fullmatch(path.name) for path in work.iterdir()):
        (work / SUMMARY).write_text(json.dumps(request), encoding="utf-8")
        return work
    differing = [key for key in sorted({*earlier, *asked}) if earlier.get(key) != asked.get(key)]
    if differing:
        raise InvalidInput(
            "history",
            [
                Fault(
                    f"out, {key}",
                    f"{out} holds an unfinished import with {earlier.get(key)!r}, not {asked.get(key)!r}; "
                    "finish that one with its own options, or name another folder",
                )
                for key in differing
            ],
        )
    return work


def _write_part(folder: Path, part: Part) -> None:
    import pyarrow.parquet as pq  # noqa: PLC0415  slow to import

    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    for name, table in part.tables.items():
        pq.write_table(table, unfinished / f"{name}.parquet")
    (unfinished / SUMMARY).write_text(json.dumps(part.tally.to_json()), encoding="utf-8")
    unfinished.rename(folder)


def _join(out: Path, parts: Sequence[Path]) -> dict[str, int]:
    """One file for each table of the schema, also for those without a row: readers expect them all."""
    import pyarrow.parquet as pq  # noqa: PLC0415  slow to import

    rows: dict[str, int] = {}
    for name, table in _ALL.items():
        files = [part / f"{name}.parquet" for part in parts if (part / f"{name}.parquet").exists()]
        if not files and name not in TABLES:
            continue
        unfinished = out / f"{name}.parquet.unfinished"
        rows[name] = 0
        with pq.ParquetWriter(unfinished, schema_of(table)) as writer:
            for file in files:
                piece = pq.read_table(file, schema=schema_of(table))
                rows[name] += piece.num_rows
                writer.write_table(piece)
        unfinished.rename(out / f"{name}.parquet")
    return rows

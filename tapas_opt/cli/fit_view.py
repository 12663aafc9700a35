"""What ``tapas-opt fit`` says to a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tapas_opt.cli.output import console

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["show"]

_SHOWN = 12
"""Refused sensors that are listed; the rest are counted."""


def show(data: Mapping[str, Any]) -> None:
    """Tables of errors and coverage, then everything worth a sentence."""
    out = console()
    out.print(_errors(data))
    out.print(_coverage(data))
    if data["against_truth"]:
        out.print(_truth(data))
    for line in (*_readings(data), *_notes(data), *_verdict(data)):
        out.print(line)


def _table(title: str, *headings: str, words: int = 2) -> Table:
    """The first columns are words, the others numbers."""
    from rich.table import Table  # noqa: PLC0415  only a person's output needs it

    table = Table(title=title)
    for i, heading in enumerate(headings):
        table.add_column(heading, justify="left" if i < words else "right")
    return table


def _errors(data: Mapping[str, Any]) -> Table:
    title = f"Errors on held-out days, against the sensors ({data['judged']['days']})"
    table = _table(title, "model", "unit", "mean error", "of the mean", "p95 error", "rows fitted", "rows judged")
    for name, row in data["models"].items():
        errors = (f"{row['mae']:.3g}", _percent(row["mae_frac_of_mean"], 1), f"{row['p95_error']:.3g}")
        table.add_row(name, row["unit"], *errors, f"{row['rows_train']:,}", f"{row['rows_test']:,}")
    return table


def _coverage(data: Mapping[str, Any]) -> Table:
    title = "Share below the upper value on held-out days"
    headings = ("model", "of what", "promised", "reached", "hottest days", "top 5 % hours", "row-days")
    table = _table(title, *headings)
    for name, row in data["models"].items():
        reached = row["coverage"] if row["rows_test"] else None
        shares = (reached, row["coverage_hottest_days"], row["coverage_top_hours"], row["coverage_row_day"])
        table.add_row(name, row["promise"], _percent(row["level"], 0), *map(_percent, shares))
    return table


def _percent(share: float | None, digits: int = 2) -> str:
    return "–" if share is None else f"{share:.{digits}%}"


def _truth(data: Mapping[str, Any]) -> Table:
    table = _table(
        "Errors against the simulated truth", "model", "unit", "mean error", "of the mean", "bias", "coverage"
    )
    for name, row in data["against_truth"].items():
        mae, of_mean, bias = f"{row['mae']:.3g}", _percent(row["mae_frac_of_mean"], 1), f"{row['bias']:+.2g}"
        table.add_row(name, row["unit"], mae, of_mean, bias, _percent(row["coverage"]))
    return table


def _readings(data: Mapping[str, Any]) -> Iterator[str]:
    """What was not believed."""
    for name, count in data["gated"].items():
        yield f"{count:,} readings of {name} outside the physical range count as missing"
    for name, count in data["dropped"].items():
        if count:
            yield f"{count:,} rows of {name} dropped: no key, or the key was there before"
    for one in data["refused"][:_SHOWN]:
        whose = f" of {one['name']}" if one["name"] else ""
        yield f"refused: {one['table']}.{one['column']}{whose}: {one['readings']:,} readings: {one['reason']}"
    if len(data["refused"]) > _SHOWN:
        yield f"refused: {len(data['refused']) - _SHOWN} sensors more; --json names them all"
    if data["missing"]:
        yield f"not in this history: {', '.join(data['missing'])}"


def _notes(data: Mapping[str, Any]) -> Iterator[str]:
    if data["pooled_servers"]:
        yield f"without readings, on the pooled model: {', '.join(data['pooled_servers'])}"
    for name, row in data["models"].items():
        yield from (f"{name}: {note}" for note in row["extrapolated"])
        if row["short"]:
            yield f"{name}: covers less than it promises, by more than chance explains"
    if not data["instances_measured"]:
        yield "no instance's power was measured by configuration: the table of profiles stands"
    yield from (f"profile: {words}" for words in data["profiles_off"])
    yield from (drift["words"] for drift in data["drift"])


def _verdict(data: Mapping[str, Any]) -> Iterator[str]:
    """What became of the models."""
    named = f"{data['folder']}: models {data['fingerprint']}"
    if "promoted" in data:
        yield from _promotion(data, named)
    else:
        if data["judged_on_fitting_days"]:
            yield "these days overlap those of the fit: errors look smaller than on days not seen"
        drifted = len(data["drift"])
        yield f"{named}: {drifted} of {len(data['models'])} drifted" if drifted else f"{named}: none has drifted"
    if "report" in data:
        yield f"report: {data['report']}"


def _promotion(data: Mapping[str, Any], named: str) -> Iterator[str]:
    if data["not_compared"]:
        yield f"not compared with the models in use: {data['not_compared']}"
    yield from (f"worse than in use: {reason}" for reason in data["worse"])
    if not data["promoted"]:
        yield f"{named} are not put in use; --force would"
    elif data["compared"] and not data["worse"]:
        yield f"{named} in use, no model worse than before"
    else:
        yield f"{named} in use"

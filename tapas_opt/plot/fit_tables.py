"""The tables of a fit's page: errors, coverage, comparison, the worst servers by name, and what was refused."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from tapas_opt.plot.html_table import table

__all__ = [
    "compared_table",
    "coverage_table",
    "errors_table",
    "ranges_table",
    "refused_table",
    "truth_table",
    "worst_table",
]

_REFUSED_AT_MOST = 150
_WORST = 5

Data = Mapping[str, Any]


def errors_table(data: Data) -> str:
    """Mean errors on the judged days against the sensors."""
    rows = [
        [name, row["unit"], _number(row["mae"]), _percent(row["mae_frac_of_mean"], 1), _signed(row["bias"]),
         _number(row["p95_error"]), f"{row['rows_train']:,}", f"{row['rows_test']:,}", _percent(row["refused_frac"], 1)]
        for name, row in data["models"].items()
    ]  # fmt: skip
    heads = ("Model", "Unit", "Mean error", "of the mean", "Bias", "95 % below", "Fitted on", "Judged on", "Not judged")
    return table(heads, rows, words=2)


def coverage_table(data: Data) -> str:
    """What stayed below its upper value; models short of their promise, beyond chance, are marked."""
    rows = [
        [name, row["promise"], _percent(row["level"], 0), _percent(row["coverage"] if row["rows_test"] else None),
         _percent(row["coverage_row_day"]),
         _percent(row["coverage_hottest_days"]), _percent(row["coverage_top_hours"])]
        for name, row in data["models"].items()
    ]  # fmt: skip
    short = [row["short"] for row in data["models"].values()]
    heads = ("Model", "Promise about", "Promised", "Reached", "Row-days", "Hottest days", "Top 5 % of power hours")
    return table(heads, rows, words=2, marked=short)


def truth_table(data: Data) -> str:
    """Errors against the simulated truth."""
    rows = [
        [name, row["unit"], _number(row["mae"]), _percent(row["mae_frac_of_mean"], 1), _signed(row["bias"]),
         _number(row["p95_error"]), _percent(row["coverage"]), _percent(row["coverage_row_day"])]
        for name, row in data["against_truth"].items()
    ]  # fmt: skip
    return table(
        ("Model", "Unit", "Mean error", "of the mean", "Bias", "95 % below", "Coverage", "Row-days"), rows, words=2
    )


def compared_table(data: Data) -> str:
    """The models in use beside the new ones, on the same days."""
    rows = [
        [row["name"], "; ".join(row["worse"]) or "no worse", _number(row["mae_in_use"]), _number(row["mae_new"]),
         _percent(row["coverage_in_use"]), _percent(row["coverage_new"])]
        for row in data["compared"]
    ]  # fmt: skip
    heads = ("Model", "Verdict", "Mean error in use", "Mean error new", "Coverage in use", "Coverage new")
    return table(heads, rows, words=2, marked=[bool(row["worse"]) for row in data["compared"]])


def worst_table(data: Data) -> str:
    """The servers or domains with the largest mean error of each model, by name."""
    rows = [
        [name if i == 0 else "", one["name"], _number(one["mae"]), _signed(one["bias"]), f"{one['rows']:,}"]
        for name, row in data["models"].items()
        for i, one in enumerate(row["worst"][:_WORST])
    ]
    return table(("Model", "Server or domain", "Mean error", "Bias", "Readings"), rows, words=2)


def refused_table(data: Data) -> str:
    """Whose readings were not believed, how many, and why."""
    refused = data["refused"]
    rows = [
        [f"{one['table']}.{one['column']}", one["name"] or "all", one["reason"], f"{one['readings']:,}"]
        for one in refused[:_REFUSED_AT_MOST]
    ]
    hidden = len(refused) - len(rows)
    more = f"<p class='none'>{hidden:,} more are in the JSON file.</p>" if hidden > 0 else ""
    counted = [f"{count:,} readings of {name} outside their physical range" for name, count in data["gated"].items()]
    counted += [f"{count:,} rows of {name} without a key, or with one that was there" for name, count in
                data["dropped"].items() if count]  # fmt: skip
    counted += [f"{name}: not in this history" for name in data["missing"]]
    listed = "".join(f"<li>{html.escape(text)}</li>" for text in counted)
    if not rows and not listed:
        return "<p class='none'>Every reading was believed.</p>"
    kept = table(("Readings", "Of", "Why", "How many"), rows, words=3) if rows else ""
    return f"<ul>{listed}</ul>{kept}{more}"


def ranges_table(data: Data) -> str:
    """The range that each input had in the fitting days, and how often the judged days left it."""
    rows = [
        [name, feature["name"], feature["unit"], _number(feature["lowest"]), _number(feature["highest"]),
         _percent(data["models"][name]["beyond"].get(feature["name"]), 1)]
        for name, features in data["features"].items()
        for feature in features
    ]  # fmt: skip
    heads = ("Model", "Input", "Unit", "Lowest", "Highest", "Outside on the judged days")
    return table(heads, rows, words=3)


def _number(value: float) -> str:
    return f"{value:,.3g}" if abs(value) < 1_000 else f"{value:,.0f}"


def _signed(value: float) -> str:
    return f"{value:+,.2g}" if abs(value) < 99.5 else f"{value:+,.0f}"


def _percent(share: float | None, digits: int = 2) -> str:
    return "–" if share is None else f"{100.0 * share:.{digits}f} %"

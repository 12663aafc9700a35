"""Pictures of many runs: what becomes of a metric as a setting goes up, policy by policy, over seeds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tapas_opt.plot.style import LIMIT, dressed, plain, policy_colours
from tapas_opt.plot.tables import METRICS

__all__ = ["throttling_against"]

Row = Mapping[str, Any]

_SLOWED = ("thermal_throttle_time_frac", "power_cap_time_frac")
_PANELS: Mapping[str, str] = {**{name: METRICS[name].words for name in _SLOWED}, "vms_rejected_frac": "VMs turned away"}
_SETTINGS: Mapping[str, str] = {
    "oversubscribe": "servers added, %",
    "oversubscription": "servers added, %",
    "saas_share": "share of VMs that are LLM instances, %",
}
"""Settings that are fractions; any other is drawn as it is."""

_DASHES = ("solid", "dash", "dot", "dashdot")
_THINNEST, _WIDEST = 1.8, 6.0


def throttling_against(rows: Any, over: str = "oversubscribe", claim_frac: float | None = None) -> Any:
    """Time slowed for heat, time under a power cap, and VMs turned away for either, against a setting.

    A point is the mean over seeds, its bar their range. Lines become thinner, so that none hides another.

    Parameters
    ----------
    rows
        A list of mappings or a ``DataFrame``, one row a run: ``policy``, the setting, ``thermal_throttle_time_frac``,
        ``power_cap_time_frac`` and ``vms_rejected_frac``, and ``site`` where there are several, each a line of its
        own. A value that is missing (None, NaN) is left out, and is not zero.
    over
        Name of the setting in the rows.
    claim_frac
        Draws a line that somebody claims time slowed to stay below.

    Returns
    -------
    plotly.graph_objects.Figure
        One panel for heat, one for power, one for VMs.
    """
    from plotly.subplots import make_subplots  # noqa: PLC0415  slow to import

    told: Sequence[Row] = rows if isinstance(rows, Sequence) else rows.to_dict("records")
    sites = list(dict.fromkeys(row.get("site") for row in told))
    by_line: dict[tuple[str, Any], list[Row]] = {}
    for row in told:
        by_line.setdefault((str(row["policy"]), row.get("site")), []).append(row)
    titles = list(_PANELS.values())
    figure = make_subplots(rows=1, cols=len(_PANELS), subplot_titles=titles, horizontal_spacing=0.08)
    colours = policy_colours(policy for policy, _ in by_line)
    for panel, metric in enumerate(_PANELS, start=1):
        for n, ((policy, site), own) in enumerate(by_line.items(), start=1):
            name = plain(policy if len(sites) == 1 else f"{policy}, {site}")
            width = _THINNEST + (_WIDEST - _THINNEST) * (1 - n / len(by_line))
            line = {"color": colours[policy], "width": width, "dash": _DASHES[sites.index(site) % len(_DASHES)]}
            _line(figure, name, line, list(_points(own, over, metric)), panel)
        if claim_frac is not None and metric in _SLOWED:
            claim = {"color": LIMIT, "width": 1.4, "dash": "dash"}
            figure.add_hline(y=100.0 * claim_frac, line=claim, col=panel, row=1)
    figure.update_xaxes(title_text=_SETTINGS.get(over, plain(over.replace("_", " "))))
    figure.update_yaxes(title_text="%", rangemode="tozero")
    return dressed(figure, 380, titles)


def _points(rows: Sequence[Row], over: str, metric: str) -> Iterator[tuple[float, float, float, float]]:
    """By setting in order: its value, then the mean, the lowest and the highest of the seeds; fractions in per cent."""
    found: dict[float, list[float]] = {}
    for row in rows:
        setting, value = row.get(over), row.get(metric)
        if setting is not None and value is not None and math.isfinite(value):
            found.setdefault(float(setting), []).append(100.0 * float(value))
    scale = 100.0 if over in _SETTINGS else 1.0
    for setting, values in sorted(found.items()):
        yield scale * setting, sum(values) / len(values), min(values), max(values)


def _line(
    figure: Any, name: str, line: dict[str, Any], points: Sequence[tuple[float, float, float, float]], panel: int
) -> None:
    """A policy in a panel; the legend names it once."""
    if not points:
        return
    x, mean, lowest, highest = zip(*points, strict=True)
    bars = {
        "type": "data",
        "symmetric": False,
        "array": [high - middle for high, middle in zip(highest, mean, strict=True)],
        "arrayminus": [middle - low for low, middle in zip(lowest, mean, strict=True)],
        "thickness": 1,
        "width": 4,
    }
    figure.add_scatter(
        x=x, y=mean, error_y=bars, mode="lines+markers", name=name, legendgroup=name, showlegend=panel == 1,
        line=line, marker={"size": 4 + line["width"]}, hovertemplate="%{y:.3f} %", row=1, col=panel,
    )  # fmt: skip

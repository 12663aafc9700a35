"""The report of a study: how many servers fit, what stands in the way of more, and what that is worth."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tapas_opt.planning.findings import breaches
from tapas_opt.planning.study import Assumed, Money, Risk, Study
from tapas_opt.planning.tables import kept_out_words, levels_words, raised_words
from tapas_opt.plot.html_table import table
from tapas_opt.plot.page import Section, page
from tapas_opt.plot.studies import throttling_against
from tapas_opt.plot.style import dressed, plain, policy_colours
from tapas_opt.plot.tables import METRICS, Metric

__all__ = ["fitting_figure", "study_headline", "write_study_report"]

Row = Mapping[str, Any]

NBSP = "\u00a0"
"""A number stays with its unit."""

_HOW_TO_READ = (
    "<p class='note'><b>How to read this page.</b> A cell is one policy through the same days on one site, with one "
    "seed and one failure. A filling is safe at a risk if every one of its cells, over all scenarios, failures and "
    "seeds, stays at or below each limit; servers fit up to the last filling before the first that is not safe. "
    "<b>Modelled, not measured</b>: no real room was touched.</p>"
)


def write_study_report(answer: Mapping[str, Any], study: Study, path: Path) -> None:
    """Write a study as one HTML file that opens without a network.

    Parameters
    ----------
    answer
        What ``tapas-opt whatif --json`` prints.
    """
    opening = (
        f"<h1>{html.escape(study.name)}</h1>\n<p class='headline'>{html.escape(study_headline(answer))}</p>\n"
        + _HOW_TO_READ
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(f"Study: {study.name}", opening, _sections(answer, study)), encoding="utf-8")


def study_headline(answer: Mapping[str, Any]) -> str:
    """One sentence for the first site and risk: how many servers each policy carries."""
    fits = answer["fits"]
    first = fits[0]
    alike = [row for row in fits if all(row[name] == first[name] for name in ("site", "saas_share", "risk"))]
    told = "; ".join(f"{row['policy']} {_servers(row)}" for row in alike)
    return f"{first['site']}, risk “{first['risk']}”, servers that fit: {told}."


def _servers(row: Row) -> str:
    """How many fit; more might, where all that were tried are safe."""
    if row["servers"] is None:
        return "none safely"
    return f"{row['servers']:,}" + (" or more" if row["next_oversubscription"] is None else "")


def _sections(answer: Mapping[str, Any], study: Study) -> list[Section]:
    return [
        Section("How many servers fit, at which risk", _risks(study), fitting_figure(answer["fits"]),
                _fits_table(answer["fits"])),
        Section("What binds beyond", "<p>At the first filling that is not safe: which failure breaks which limit, and "
                "in how many of its runs.</p>", below=_binding_table(answer["fits"])),
        *_slowed(answer["cells"]),
        *_worths(answer["worths"]),
        *_money(answer["costs"], study.money),
        Section("Every cell", "<p>Shaded: not safe at the first risk.</p>", below=_cells_table(answer["cells"], study)),
    ]  # fmt: skip


def _slowed(cells: Sequence[Row]) -> list[Section]:
    """Nothing to draw a line through where a room is filled in one way only."""
    if len({row["oversubscription"] for row in cells}) < 2:
        return []
    figure = throttling_against([{**row, **row["metrics"]} for row in cells], over="oversubscription")
    words = "<p>The mean over all cells of a filling, and their range. Who turns VMs away has fewer to slow.</p>"
    return [Section("Slowed, or turned away, against oversubscription", words, figure)]


def fitting_figure(fits: Sequence[Row]) -> Any:
    """Servers that fit by site, share and risk, a bar for each policy; none where the first filling is not safe."""
    import plotly.graph_objects as go  # noqa: PLC0415  slow to import

    figure = go.Figure()
    colours = policy_colours(row["policy"] for row in fits)
    for policy in dict.fromkeys(row["policy"] for row in fits):
        own = [row for row in fits if row["policy"] == policy]
        names = [plain(f"{row['site']}, {_percent(row['saas_share'])} SaaS, {row['risk']}") for row in own]
        figure.add_bar(
            x=names, y=[row["servers"] or 0 for row in own], name=policy, marker_color=colours[policy],
            text=[f"{row['servers'] or 0:,}" for row in own], textposition="outside", cliponaxis=False,
        )  # fmt: skip
    figure.update_layout(barmode="group", bargap=max(0.2, 1.0 - _WIDEST_BAR * len(fits)))
    figure.update_layout(uniformtext={"minsize": _SMALLEST_TEXT, "mode": "hide"})
    figure.update_yaxes(title_text="servers that fit", rangemode="tozero")
    return dressed(figure, 360)


_WIDEST_BAR = 0.08
"""Of the picture's width."""

_SMALLEST_TEXT = 10
"""A number that does not fit its bar at this size is left out; the table has it."""

_TURNED_AWAY = Metric("VMs turned away", "%", 100.0, 1)
"""The only limit that is no metric of a run by itself."""


def _risks(study: Study) -> str:
    items = (f"<li><b>{html.escape(name)}</b>: {html.escape(_limits(risk))}</li>" for name, risk in study.risks.items())
    return f"<ul>{''.join(items)}</ul>"


def _limits(risk: Risk) -> str:
    return "; ".join(f"{_metric(name).words} ≤ {_value(name, limit)}" for name, limit in risk.limits().items())


def _fits_table(fits: Sequence[Row]) -> str:
    rows = [
        [
            row["site"], _percent(row["saas_share"]), row["policy"], row["risk"],
            "none" if row["servers"] is None else f"{row['servers']:,}",
            "–" if row["servers"] is None else "+" + _percent(row["oversubscription"]),
            "–" if row["vms"] is None else f"{row['vms']:,}",
            "all that were tried are safe" if row["next_oversubscription"] is None
            else "+" + _percent(row["next_oversubscription"]),
        ]
        for row in fits
    ]  # fmt: skip
    heads = ("site", "SaaS", "policy", "risk", "servers", "filling", "VMs on them, at least", "first not safe")
    return table(heads, rows)


def _binding_table(fits: Sequence[Row]) -> str:
    rows = [
        [
            row["site"], _percent(row["saas_share"]), row["policy"], row["risk"],
            "+" + _percent(row["next_oversubscription"]), item["scenario"], item["weather"],
            item["which"] or "none", _metric(item["metric"]).words, _value(item["metric"], item["worst"]),
            _value(item["metric"], item["limit"]), f"{item['runs_broken']} of {item['runs']}",
        ]
        for row in fits
        for item in row["binding"]
    ]  # fmt: skip
    if not rows:
        return "<p class='none'>Every filling that was tried is safe.</p>"
    where = ("site", "SaaS", "policy", "risk", "at", "scenario", "weather", "failure")
    return table((*where, "limit of", "worst", "allowed", "runs"), rows)


def _worths(worths: Sequence[Row]) -> list[Section]:
    if not worths:
        return []
    words = (
        "<p>All VMs are placed on the empty site at once, secure against any single failure: as it is, and with one "
        "limit, or each of a kind (*), raised. The true worth, in VMs, lies between the two ends; where they are far "
        "apart, neither answer was proven to be the best. VMs come whole: what is worth well below one lets none more "
        "in, and a larger step may. Hundredths tell of a calmer room, not of a VM.</p>"
    )
    rows = [
        [
            row["site"], "+" + _percent(row["oversubscription"]), _percent(row["saas_share"]),
            raised_words(row),
            f"{row['placed_before']:.0f} of {row['wanted']:.0f}", f"{row['placed_after']:.0f}",
            _number(row["least"]), _number(row["most"]),
            _levels(row["revenue_per_h"], ".2f") if "revenue_per_h" in row else "–",
            "; ".join(map(kept_out_words, row["kept_out"])) or "nothing",
        ]
        for row in worths
    ]  # fmt: skip
    before = ("site", "filling", "SaaS", "raised", "VMs placed before", "after")
    heads = (*before, "VMs more, at least", "at most", "revenue / h", "what keeps others out, before")
    return [Section("What one more kW or 1,000 CFM is worth, and where", words, below=table(heads, rows))]


_ASSUMED = {
    "built_kw": "building a kW of UPS capacity",
    "building_years": "years that the building lasts",
    "stranded_kw_year": "a kW that is built and not drawn, a year",
    "server": "a server",
    "server_years": "years that a server lasts",
    "energy_kwh": "a kWh at the meter",
    "pue": "kWh at the meter for one that servers draw",
    "revenue_server_h": "revenue of a server with a VM, an hour",
    "sla_penalty_server_h": "penalty for performance that was promised, a server-hour",
}
"""Fields of :class:`~tapas_opt.planning.study.Money` in words."""


def _money(costs: Sequence[Row], money: Money | None) -> list[Section]:
    if money is None:
        return []
    assumed = [
        [words, *(f"{getattr(value, level):,g}" for level in ("low", "base", "high"))]
        if isinstance(value, Assumed) else [words, "", f"{value:g}", ""]
        for name, words in _ASSUMED.items()
        for value in [getattr(money, name)]
    ]  # fmt: skip
    figures = (
        "cost_per_server_h",
        "cost_per_million_tokens",
        "cost_per_h",
        "stranded_per_h",
        "revenue_per_h",
        "margin_per_h",
    )
    rows = [
        [
            row["site"],
            "+" + _percent(row["oversubscription"]),
            _percent(row["saas_share"]),
            row["failure"],
            row["policy"],
            *(_levels(row[name]) for name in figures),
        ]
        for row in costs
    ]
    heads = (
        "site",
        "filling",
        "SaaS",
        "failure",
        "policy",
        *(name.replace("_per_", " / ").replace("_", " ") for name in figures),
    )
    what = "base (low to high); the mean over scenarios, weather, elements that fail, and seeds"
    words = f"<p>In {html.escape(money.currency)}, {what}.</p>"
    return [
        Section("What it costs and brings", words, below=table(heads, rows)),
        Section("What was assumed", below=table(("assumption", "low", "base", "high"), assumed)),
    ]


def _cells_table(cells: Sequence[Row], study: Study) -> str:
    risk = next(iter(study.risks.values()))
    names = ("ups_trips", "breaker_trips", "thermal_throttle_time_frac", "power_cap_time_frac", "max_gpu_temperature_c",
             "peak_row_power_frac", "saas_performance_loss_frac", "iaas_performance_loss_frac")  # fmt: skip
    where = ("site", "filling", "SaaS", "scenario", "weather", "failure", "policy", "seed")
    heads = (*where, _TURNED_AWAY.words, *(_metric(name).words for name in names))
    rows = [
        [
            row["site"], "+" + _percent(row["oversubscription"]), _percent(row["saas_share"]), row["scenario"],
            row["weather"],
            row["which"] or row["failure"], row["policy"], str(row["seed"]),
            _value("vms_rejected_frac", row["vms_rejected_frac"]),
            *(_value(name, row["metrics"][name]) for name in names),
        ]
        for row in cells
    ]  # fmt: skip
    return table(heads, rows, marked=[bool(breaches(row, risk)) for row in cells])


def _metric(name: str) -> Metric:
    return METRICS.get(name, _TURNED_AWAY)


def _value(name: str, value: float | None) -> str:
    return _metric(name).told(value).replace(" ", NBSP)


def _percent(frac: float) -> str:
    return f"{100.0 * frac:.0f}{NBSP}%"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{round(value, 2) + 0.0:,.2f}"  # no −0.00


def _levels(levels: Mapping[str, float | None], form: str = ".4g") -> str:
    return levels_words(levels, form).replace(" to ", f"{NBSP}to{NBSP}")

"""The report of a fit: how good each model is, for whom it is worst, what was not believed, and what was decided."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapas_opt.learn.judge import Judgement
from tapas_opt.plot import fit_tables as tables
from tapas_opt.plot.fit_figures import days_figure, density_figure, titled
from tapas_opt.plot.page import Section, folded, page
from tapas_opt.plot.words import listed

__all__ = ["fit_headline", "write_fit_report"]

_HOW_TO_READ = (
    "<p class='note'><b>How to read this page.</b> Every number is of days that neither the fit nor its margins have "
    "seen. <i>Coverage</i> is the share that stayed at or below the upper value: of what the model promises about, of "
    "row-days (the row's highest reading against its highest upper value), on the hottest fifth of the days, and in "
    "the 5 % of hours of highest power. Shaded rows are short of what was promised, by more than chance explains. Bias "
    "is observed − predicted.</p>"
)


def write_fit_report(data: Mapping[str, Any], judged: Mapping[str, Judgement], path: Path) -> None:
    """Write a fit as one HTML file that opens without a network, and ``data`` as JSON beside it (``.json``).

    Parameters
    ----------
    data
        What ``tapas-opt fit --json`` prints.
    judged
        The same judgements with their samples, for the pictures.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    text = page(f"Learned models of {data['site']}", _opening(data), _sections(data, judged))
    path.write_text(text, encoding="utf-8")
    path.with_suffix(".json").write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def fit_headline(data: Mapping[str, Any]) -> str:
    """One sentence: what became of the models, how near they come, and which break their promise."""
    models = data["models"]
    near = [
        f"{words} {models[name]['mae']:.2g} {models[name]['unit']}"
        for name, words in (("inlet_temperature", "inlets"), ("gpu_temperature", "GPUs"), ("server_power", "servers"))
        if models[name]["rows_test"]
    ]
    return f"{_decided(data)}; mean errors: {', '.join(near)}; {_kept(models)}."


def _kept(models: Mapping[str, Any]) -> str:
    """Which models break their promise beyond chance, or which one comes nearest to it."""
    short = [name for name, row in models.items() if row["short"]]
    if short:
        return f"{listed(short)} cover{'s' if len(short) == 1 else ''} less than promised"
    judged = {name: row for name, row in models.items() if row["rows_test"]}
    if not judged:
        return "nothing was read on the days to judge"
    least = min(judged, key=lambda name: judged[name]["coverage"] - judged[name]["level"])
    reached, promised = judged[least]["coverage"], judged[least]["level"]
    return f"all cover what they promise, within chance (the least: {least} {reached:.1%} of {promised:.0%})"


def _decided(data: Mapping[str, Any]) -> str:
    if "promoted" not in data:
        drifted = [drift["name"] for drift in data["drift"]]
        return f"{listed(drifted)} drifted" if drifted else "No model has drifted"
    if not data["promoted"]:
        return f"Not put in use, because worse: {listed([reason.partition(':')[0] for reason in data['worse']])}"
    return "Put in use although worse" if data["worse"] else "Put in use"


def _opening(data: Mapping[str, Any]) -> str:
    training, judged = data["training"], data["judged"]
    notes = [drift["words"] for drift in data["drift"]] + [f"worse: {reason}" for reason in data.get("worse", ())]
    notes += [f"profile: {words}" for words in data.get("profiles_off", ())]
    alarms = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
    whose = f"site {html.escape(data['site'])} · {data['servers']:,} servers"
    fitted = f"{training['days']} (readings {html.escape(training['fingerprint'])})"
    return (
        f"<h1>Learned models {data['fingerprint']} · {whose}</h1>\n"
        f"<p class='headline'>{html.escape(fit_headline(data))}</p>\n"
        f"<p>Fitted on {fitted}, judged on {judged['days']}.</p>\n"
        + (f"<ul>{alarms}</ul>\n" if alarms else "")
        + _HOW_TO_READ
    )


def _sections(data: Mapping[str, Any], judged: Mapping[str, Judgement]) -> list[Section]:
    return [
        Section("Errors, against the sensors", "<p>Sensors are noisy, and their noise is part of these.</p>",
                below=tables.errors_table(data)),
        Section("Coverage of the upper values", below=tables.coverage_table(data)),
        *_against_truth(data),
        *_compared(data),
        Section("Predicted against observed", "<p>On the dashed line they agree; darker is more often, on a "
                "logarithmic scale.</p>", density_figure(_samples(judged))),
        Section("What was left over, day by day", "", days_figure(judged)),
        Section("For whom it is worst", below=tables.worst_table(data)),
        Section("What was not believed, and why", below=tables.refused_table(data)),
        Section("Where the models are at home", _extrapolated(data), below=tables.ranges_table(data)),
        Section("The numbers behind this page", below=_raw(data)),
    ]  # fmt: skip


def _samples(judged: Mapping[str, Judgement]) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """A domain's margin is relative; what is drawn of it are the day maxima of the domains' sums."""
    return {
        f"{one.name} (day maxima, W)" if one.mean_observed is None else titled(one.name, one.unit): one.sample
        for one in judged.values()
    }


def _against_truth(data: Mapping[str, Any]) -> list[Section]:
    words = (
        "<p>A simulated history knows what its sensors should have read. Predicted from the sensors, as in service.</p>"
    )
    return (
        [Section("Errors, against the truth", words, below=tables.truth_table(data))] if data["against_truth"] else []
    )


def _compared(data: Mapping[str, Any]) -> list[Section]:
    if not data.get("compared"):
        return []
    words = "<p>Both were judged on the same days. The new models take over together, or not at all.</p>"
    return [Section("Beside the models in use", words, below=tables.compared_table(data))]


def _extrapolated(data: Mapping[str, Any]) -> str:
    notes = [f"{name}: {note}" for name, row in data["models"].items() for note in row["extrapolated"]]
    listed_notes = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
    words = "<p>Outside these ranges margins widen, and answers say EXTRAPOLATED.</p>"
    servers = ", ".join(data["pooled_servers"])
    pooled = f"<p>On the pooled model of their hardware, for want of readings: {html.escape(servers)}.</p>"
    return words + (f"<ul>{listed_notes}</ul>" if notes else "") + (pooled if servers else "")


def _raw(data: Mapping[str, Any]) -> str:
    """Without what the tables above have already, and the JSON file beside has anyway."""
    short = {key: value for key, value in data.items() if key not in ("models", "refused", "features", "compared")}
    text = json.dumps(short, indent=1, ensure_ascii=False)
    return folded("The JSON file, but for the tables above", f"<pre>{html.escape(text)}</pre>")

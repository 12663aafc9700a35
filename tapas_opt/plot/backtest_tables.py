"""The tables of a backtest's page: what it is from, how far models are off, and whom policies turned away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tapas_opt.plot.html_table import table
from tapas_opt.plot.words import clock_time, listed, moment, percent, several_days
from tapas_opt.simulation.record import Run

__all__ = ["calibration_table", "facts_table", "turned_away_table"]

_TURNED_AWAY_AT_MOST = 200

Data = Mapping[str, Any]


def facts_table(answer: Data) -> str:
    """Which days, VMs, models and readings; what weakens the comparison is marked."""
    facts = [*_days_and_vms(answer), *_models(answer["models"]), *_readings(answer["history"])]
    return table(("", ""), [(what, said) for what, said, _ in facts], marked=[mark for _, _, mark in facts])


def _days_and_vms(answer: Data) -> Iterator[tuple[str, str, bool]]:
    history, vms = answer["history"], answer["vms"]
    yield "Replayed", f"from {moment(history['from_s'])} until {moment(history['until_s'])}", False
    yield "VMs", f"{vms['replayed']:,}, of which {vms['saas']:,} are instances of endpoints", False
    there = f"{vms['at_the_start']:,} VMs; " + (
        "each policy places them anew, where the operator could not have moved them"
        if vms["anew"]
        else "they stay where they are"
    )
    if vms["of_this_site"]:
        yield "There when the days begin", there, False
    else:
        yield "Of somewhere else", "the VMs are of another cluster: what happened here happened without them", True
    if vms["too_short"]:
        yield "Left out", f"{vms['too_short']:,} VMs that came and went between two readings", False


def _models(models: Data) -> Iterator[tuple[str, str, bool]]:
    whose = f"{models['fingerprint']}, " + (f"from {models['folder']}" if models["folder"] else "learned for this page")
    until = f"fitted on readings until {moment(models['learned_until_s'])}, margins on those after"
    yield "Models", f"{whose}, {until}", False
    if models["saw_these_days"]:
        yield (
            "They saw these days",
            "the models were learned from these very days: they look better than they are",
            True,
        )


def _readings(history: Data) -> Iterator[tuple[str, str, bool]]:
    if history["filled_frac"] > 0.0:
        yield "Filled in", f"{percent(history['filled_frac'], 2)} of the servers' power, which was not read", False
    yield "Rows with a meter", percent(history["row_meters_frac"]), False


def calibration_table(misses: Data) -> str:
    """Errors by model."""
    rows = [
        [name, one["unit"], *(_number(one[what]) for what in ("mae", "p95_error")), _signed(one["bias"]),
         f"{one['readings']:,}"]
        for name, one in misses.items()
    ]  # fmt: skip
    return table(("Model", "Unit", "Mean error", "95 % below", "Bias", "Readings"), rows, words=2)


def turned_away_table(run: Run) -> str:
    """Who asked for a server when, and under which policies found none."""
    asked: dict[tuple[float, str], list[str]] = {}
    for record in run.records:
        for one in record.turned_away:
            asked.setdefault((one.t_s, one.text), []).append(record.policy)
    if not asked:
        return "<p class='none'>Every VM found a server.</p>"
    days = several_days(t_s for t_s, _ in asked)
    rows = [(clock_time(t_s, days), vm, listed(policies)) for (t_s, vm), policies in sorted(asked.items())]
    hidden = len(rows) - _TURNED_AWAY_AT_MOST
    more = f"<p class='none'>{hidden:,} later ones are not shown.</p>" if hidden > 0 else ""
    return table(("When", "VM", "Turned away by"), rows[:_TURNED_AWAY_AT_MOST]) + more


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.3g}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+,.2g}".replace("-", "−")

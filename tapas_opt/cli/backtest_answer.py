"""What ``backtest`` was asked, judged before anything runs, and what it answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from tapas_opt.cli.output import writing
from tapas_opt.cli.progress import bar
from tapas_opt.control.forecast import Profiles
from tapas_opt.domain.panel import DAY_S, SLOT_S, Panel
from tapas_opt.domain.site_file import read_site
from tapas_opt.domain.topology import Topology, topology_of
from tapas_opt.domain.vm_list import Lived, read_vm_list
from tapas_opt.errors import Fault, InvalidInput
from tapas_opt.learn.fit import fit
from tapas_opt.learn.models import LearnedModels
from tapas_opt.simulation.backtest.past import Past, borrowed, past_of
from tapas_opt.simulation.backtest.replay import Backtest
from tapas_opt.simulation.metrics import json_safe
from tapas_opt.simulation.policies.table import judge_names
from tapas_opt.simulation.record import Record
from tapas_opt.simulation.series import write_series
from tapas_opt.telemetry.history import read_panel, span_of
from tapas_opt.telemetry.pods import is_pods, read_pods
from tapas_opt.telemetry.profiles.read import read_profiles

__all__ = ["Asked", "backtested"]


@dataclass(frozen=True, slots=True)
class Asked:
    """The command's options."""

    site: Path
    history: Path
    vms: Path
    policies: tuple[str, ...]
    days: float
    models: Path | None
    profiles: Path
    anew: bool
    out: Path | None


def backtested(asked: Asked, as_json: bool) -> dict[str, Any]:
    """The shape of ``simulate``'s answer, and ``as_it_happened``, ``calibration``, ``history``, ``vms``, ``models``.

    Raises
    ------
    InvalidInput
        If an option or a file is wrong, before any policy runs.
    """
    _judge(asked)
    topology = topology_of(read_site(asked.site))
    whole = _whole(asked)
    lives = _lives(asked, topology, whole)
    profiles = Profiles(read_profiles(asked.profiles))
    if asked.out is not None:
        with writing("backtest", "--out", asked.out):
            asked.out.mkdir(parents=True, exist_ok=True)
    with bar("learning", 2.0, as_json) as show:
        models = _models(asked, topology, whole)
        show(advance=1.0, description="reading history")
        panel = read_panel(asked.history, topology, since_s=whole.split_s).panel
    past = _past(panel, lives, profiles.measured(models))
    test = Backtest(past, models, profiles.measured(models), asked.anew)
    as_it_happened, records, misses = _runs(test, asked.policies, as_json)
    answer = {
        "scenario": "backtest",
        "seed": None,
        "servers": len(topology.servers),
        "days": test.past.days,
        "policies": {record.policy: json_safe(record.metrics) for record in records},
        "as_it_happened": {record.policy: json_safe(record.metrics) for record in as_it_happened},
        "calibration": misses,
        "history": _of_history(test.past),
        "vms": _of_vms(test.past) | {"anew": asked.anew},
        "models": _of_models(test) | {"folder": asked.models and str(asked.models)},
    }
    if asked.out is not None:
        _write(answer, [*as_it_happened, *records], asked.out)
    return answer


def _judge(asked: Asked) -> None:
    faults = list(judge_names(asked.policies))
    if not (isfinite(asked.days) and asked.days > 0.0):
        faults.append(Fault("--days", f"{asked.days:g}: must be above 0"))
    if faults:
        raise InvalidInput("backtest", faults)


@dataclass(frozen=True)
class _Whole:
    """When a history begins and ends, and from when on it is replayed."""

    from_s: float
    split_s: float
    until_s: float


def _whole(asked: Asked) -> _Whole:
    """The last days are replayed, or all of a shorter history whose models are given."""
    from_s, until_s = span_of(asked.history)
    days_s = asked.days * DAY_S // SLOT_S * SLOT_S
    return _Whole(from_s, max(from_s, until_s - max(days_s, SLOT_S)), until_s)


def _models(asked: Asked, topology: Topology, whole: _Whole) -> LearnedModels:
    """Those given, or what the days before teach."""
    if asked.models is not None:
        models = LearnedModels.load(asked.models)
        models.check_covers(topology)
        return models
    if whole.split_s <= whole.from_s:
        what = (
            f"no day is left to learn from before the {asked.days:g} that are replayed; ask for fewer, or give --models"
        )
        raise InvalidInput.one("backtest", "--days", what)
    return fit(read_panel(asked.history, topology, until_s=whole.split_s).panel)


def _lives(asked: Asked, topology: Topology, whole: _Whole) -> tuple[Lived, ...]:
    if is_pods(asked.vms):
        return read_pods(asked.vms, whole.split_s, whole.until_s - SLOT_S, SLOT_S)
    return read_vm_list(asked.vms, topology.servers, whole.from_s, whole.until_s)


def _past(panel: Panel, lives: Sequence[Lived], profiles: Profiles) -> Past:
    """Lists of this site say of every VM where it ran."""
    laid_out = past_of if all(one.server is not None for one in lives) else borrowed
    return laid_out(panel, lives, profiles)


def _runs(
    test: Backtest, policies: Sequence[str], as_json: bool
) -> tuple[list[Record], list[Record], dict[str, Any] | None]:
    """As it happened, twice; each policy; and how far predictions were off. VMs of elsewhere have not happened here."""
    happened = all(stay.server is not None for stay in test.past.stays)
    seconds = test.past.slots * SLOT_S
    with bar("replaying", (len(policies) + happened) * seconds, as_json) as show:
        as_it_happened, misses = [test.as_measured()], None
        if happened:
            show(description="as it happened")
            predicted, misses = test.as_predicted(lambda step_s: show(advance=step_s))
            as_it_happened.append(predicted)
        records = []
        for policy in policies:
            show(description=policy)
            records.append(test.run(policy, lambda step_s: show(advance=step_s)))
    return as_it_happened if happened else [], records, misses


def _of_history(past: Past) -> dict[str, Any]:
    return {
        "from_s": past.start_s,
        "until_s": past.start_s + past.slots * SLOT_S,
        "filled_frac": past.filled_frac,
        "row_meters_frac": float(np.isfinite(past.meter_w[0]).mean()),
    }


def _of_vms(past: Past) -> dict[str, Any]:
    return {
        "replayed": len(past.stays),
        "at_the_start": sum(stay.first == 0 for stay in past.stays),
        "saas": sum(stay.profile is not None for stay in past.stays),
        "too_short": past.too_short,
        "of_this_site": all(stay.server is not None for stay in past.stays),
    }


def _of_models(test: Backtest) -> dict[str, Any]:
    training = test.models.inlet_temperature.training
    return {
        "fingerprint": test.models.fingerprint,
        "learned_until_s": training.until_s,
        "saw_these_days": training.until_s >= test.past.start_s,
    }


def _write(answer: dict[str, Any], records: list[Record], folder: Path) -> None:
    with writing("backtest", "--out", folder):
        text = json.dumps(answer, indent=2, ensure_ascii=False, allow_nan=False)
        (folder / "summary.json").write_text(text + "\n", encoding="utf-8")
        write_series(records, folder / "series.csv.gz")

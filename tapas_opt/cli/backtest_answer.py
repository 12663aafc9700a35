"""What ``backtest`` answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tapas_opt.cli.backtest_given import Asked, given_of, ready
from tapas_opt.cli.output import write_json, writing
from tapas_opt.cli.progress import bar
from tapas_opt.domain.panel import SLOT_S
from tapas_opt.plot.backtest_report import write_backtest
from tapas_opt.simulation.backtest.misses import Misses
from tapas_opt.simulation.backtest.past import Past
from tapas_opt.simulation.backtest.replay import Backtest
from tapas_opt.simulation.metrics import json_safe
from tapas_opt.simulation.record import Incident, Record
from tapas_opt.simulation.series import write_series

__all__ = ["backtested"]


def backtested(asked: Asked, as_json: bool) -> dict[str, Any]:
    """The shape of ``simulate``'s answer, and ``as_it_happened``, ``calibration``, ``history``, ``vms``, ``models``.

    Raises
    ------
    InvalidInput
        Before any policy runs: listing everything that is wrong with options and files, and if nothing is, everything
        that their days lack.
    """
    given = given_of(asked)
    if asked.out is not None:
        with writing("backtest", "--out", asked.out):
            asked.out.mkdir(parents=True, exist_ok=True)
    test = ready(asked, given, as_json)
    as_it_happened, records, misses = _runs(test, asked.policies, as_json)
    turned_away = {record.policy: [_asked(one) for one in record.turned_away] for record in records}
    answer = {
        "scenario": "backtest",
        "seed": None,
        "servers": len(given.topology.servers),
        "days": test.past.days,
        "policies": {record.policy: json_safe(record.metrics) for record in records},
        "as_it_happened": {record.policy: json_safe(record.metrics) for record in as_it_happened},
        "turned_away": turned_away,
        "calibration": None if misses is None else misses.summary(),
        "history": _of_history(test.past),
        "vms": _of_vms(test.past) | {"anew": asked.anew},
        "models": _of_models(test) | {"folder": asked.models and str(asked.models)},
    }
    if asked.out is not None:
        _write(answer, given.topology.site.name, (as_it_happened, records), misses, asked.out)
    return answer


def _runs(test: Backtest, policies: Sequence[str], as_json: bool) -> tuple[list[Record], list[Record], Misses | None]:
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


def _asked(one: Incident) -> dict[str, Any]:
    """A VM, and when it asked for a server."""
    return {"vm": one.text, "t_s": one.t_s}


def _write(
    answer: dict[str, Any], site: str, runs: tuple[list[Record], list[Record]], misses: Misses | None, folder: Path
) -> None:
    as_it_happened, records = runs
    sample = {} if misses is None else misses.sample()
    with writing("backtest", "--out", folder):
        write_backtest(answer, site, as_it_happened, records, sample, folder / "report.html")
        write_json(answer, folder / "summary.json")
        write_series([*as_it_happened, *records], folder / "series.csv.gz")

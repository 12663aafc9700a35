"""Learning from history, from the first reading to the last margin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.panel import Panel
from tapas_opt.errors import Fault, InvalidInput
from tapas_opt.learn.artefact import Artefact, Training
from tapas_opt.learn.fitting.domain import fit_domain_margin, fit_row_overhead
from tapas_opt.learn.fitting.fitted import Fitted, settled, with_errors
from tapas_opt.learn.fitting.gpu_temperature import fit_gpu_temperature
from tapas_opt.learn.fitting.inlet import fit_inlet
from tapas_opt.learn.fitting.instance import fit_instance_power
from tapas_opt.learn.fitting.load import fit_loads
from tapas_opt.learn.fitting.power import fit_gpu_power, fit_surface
from tapas_opt.learn.fitting.split import Split, split_days
from tapas_opt.learn.judge import Judgement, judge
from tapas_opt.learn.models import LearnedModels
from tapas_opt.learn.sums import server_sums

__all__ = ["fit", "fit_and_judge"]


def fit(panel: Panel, progress: Callable[[str], None] = lambda model: None) -> LearnedModels:
    """Learn all models of a site from its history; see :func:`fit_and_judge`."""
    return fit_and_judge(panel, progress)[0]


def fit_and_judge(
    panel: Panel, progress: Callable[[str], None] = lambda model: None
) -> tuple[LearnedModels, dict[str, Judgement]]:
    """Learn all models of a site from its history, and judge them on the days that they have not seen.

    Parameters
    ----------
    progress
        Called with the name of each model when it is done.

    Raises
    ------
    InvalidInput
        If the history is shorter than four days; or listing every sensor without any reading to fit or calibrate on,
        and the hardware of which too few readings are believed to learn a model.
    """
    split = split_days(panel.day)
    _check_readings(panel, split)
    training = _training(panel, split.fit)

    def settle(fitted: Fitted) -> Artefact[Any]:
        progress(fitted.name)
        return settled(fitted, training)

    inlet = settle(fit_inlet(panel, split))
    gpu_power = settle(fit_gpu_power(panel, split))
    server_power = settle(fit_surface("server_power", "W", panel.server_power_w, panel, split))
    airflow = settle(fit_surface("airflow", "CFM", panel.airflow_cfm, panel, split))
    vm_load, own_load = (settle(fitted) for fitted in fit_loads(panel, split))
    sums = server_sums(panel, inlet, gpu_power, server_power, airflow, vm_load)
    row_overhead = settle(fit_row_overhead(panel, split, sums))
    learned = LearnedModels(
        inlet_temperature=inlet,
        gpu_temperature=settle(fit_gpu_temperature("gpu_temperature", panel.gpu_c, panel, split)),
        gpu_memory_temperature=settle(fit_gpu_temperature("gpu_memory_temperature", panel.gpu_memory_c, panel, split)),
        gpu_power=gpu_power,
        server_power=server_power,
        airflow=airflow,
        vm_load=vm_load,
        own_load=own_load,
        instance_power=settle(fit_instance_power(panel, split)),
        row_overhead=row_overhead,
        domain_margin=settle(fit_domain_margin(panel, split, sums, row_overhead)),
    )
    learned.check_covers(panel.topology)
    judged = judge(learned, panel, split.judge)
    return with_errors(learned, judged), judged


def _check_readings(panel: Panel, split: Split) -> None:
    """Every model is needed, so every kind of sensor is; only rows may go without a meter."""
    sensors: dict[str, NDArray[Any]] = {
        "rooms.outdoor_c": panel.outdoor_c,
        "servers.inlet_c": panel.inlet_c,
        "servers.power_w": panel.server_power_w,
        "servers.airflow_cfm": panel.airflow_cfm,
        "gpus.load_frac": panel.load_frac,
        "gpus.power_w": panel.gpu_power_w,
        "gpus.temperature_c": panel.gpu_c,
        "gpus.memory_temperature_c": panel.gpu_memory_c,
        "vms.load_frac": panel.vm_load_frac,
    }
    faults = [
        Fault(name, f"holds no reading in the days to {purpose}, on which a model depends; bring history that does")
        for name, values in sensors.items()
        for purpose, days in (("fit", split.fit), ("calibrate", split.calibrate))
        if not any(np.isfinite(values[t]).any() for t in np.flatnonzero(days))
    ]
    if not faults and not np.isfinite(panel.room_load_frac[split.fit]).any():
        what = "is known of too few servers of every room to say how full the room is; bring history of the others too"
        faults.append(Fault("servers.power_w", what))
    if faults:
        raise InvalidInput("history", faults)


def _training(panel: Panel, fitting: NDArray[np.bool_]) -> Training:
    seconds = panel.t_s[fitting]
    return Training(float(seconds[0]), float(seconds[-1]), panel.fingerprint)

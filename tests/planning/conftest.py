"""Small studies with a story."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tapas_opt.control.profiles import Profiles
from tapas_opt.domain.configuration import read_profiles
from tapas_opt.learn.models import LearnedModels
from tapas_opt.planning.study import SiteAsked, Study
from tapas_opt.simulation.case import Learned


@pytest.fixture(scope="session")
def learned(repository: Path) -> Learned:
    profiles = Profiles(read_profiles(repository / "data" / "demo" / "profiles.csv"))
    return Learned(profiles, LearnedModels.load(repository / "models" / "demo"))


@pytest.fixture(scope="session")
def study() -> Callable[..., Study]:
    """A study of sixteen servers for a quarter of an hour under the baseline, unless told otherwise."""

    def make(**other: Any) -> Study:
        given: dict[str, Any] = {
            "format": "tapas-opt/study/1",
            "name": "sixteen servers",
            "sites": (SiteAsked("small", servers=16),),
            "policies": ("baseline",),
            "days": 0.01,
            "seeds": (1,),
        }
        return Study(**(given | other))

    return make


@pytest.fixture(scope="session")
def outcome() -> Callable[..., dict[str, Any]]:
    """What a cell came to: nothing happened, unless told otherwise; a metric by its name, anything else as well."""

    def make(**other: Any) -> dict[str, Any]:
        row: dict[str, Any] = {
            "site": "small", "scenario": "week", "weather": "own", "oversubscription": 0.0, "saas_share": 0.5,
            "failure": "none", "which": "", "policy": "baseline", "seed": 1, "servers": 100, "hours": 10.0,
            "built_kw": 500.0, "peak_kw": 400.0, "asked_tokens": 2e9, "served_tokens": 2e9, "saas_vm_h": 500.0,
            "iaas_vm_h": 500.0, "vms_rejected_frac": 0.0,
        }  # fmt: skip
        metrics: dict[str, Any] = {
            "ups_trips": 0, "breaker_trips": 0, "thermal_throttle_time_frac": 0.0, "power_cap_time_frac": 0.0,
            "max_gpu_temperature_c": 80.0, "peak_row_power_frac": 0.9, "saas_performance_loss_frac": 0.0,
            "iaas_performance_loss_frac": 0.0, "quality_loss_frac": 0.0, "vms_placed": 90, "energy_kwh": 4000.0,
        }  # fmt: skip
        metrics |= {name: value for name, value in other.items() if name in metrics}
        row |= {name: value for name, value in other.items() if name not in metrics}
        return {**row, "metrics": metrics}

    return make

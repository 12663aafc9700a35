"""A history whose every coefficient is known, of the site `two_rows`."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tapas_opt.domain.site import Site
from tapas_opt.domain.topology import Topology, topology_of
from tapas_opt.learn.fit import fit
from tapas_opt.learn.models import LearnedModels
from tapas_opt.telemetry.panel import panel_of

KNOWN = SimpleNamespace(
    outdoor_slope=0.5,  # °C per °C between 15 and 25 °C outside, flat elsewhere
    room_load_c=3.0,
    gpu_a=0.6,
    gpu_b=0.08,
    memory_a=0.7,
    memory_b=0.07,
    gpu_idle_w=55.0,
    gpu_power_w=(60.0, 360.0),  # at no load and at full load of a VM
    server_w=(500.0, 8.8, 10.0),  # constant, per W of mean GPU power, per °C of inlet above 20
    overhead_w=400.0,
    noise_c=0.3,
)
SLOT_S, SLOTS_PER_DAY = 300.0, 288
TEMPLATES = ("office", "office", "office", "steady", "steady", None)  # S6 runs no VM


def _loads(t_s: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`[t, s]` VM load: an office works from 8 to 20 h, the steady one always; NaN without a VM."""
    day = (t_s // 3600 % 24 >= 8) & (t_s // 3600 % 24 < 20)
    columns = {"office": np.where(day, 0.7, 0.2), "steady": np.full(t_s.size, 0.8), None: np.full(t_s.size, np.nan)}
    base = np.stack([columns[name] for name in TEMPLATES], axis=1)
    return np.clip(base + rng.normal(0, 0.05, base.shape), 0, 1)


def synthetic_history(topology: Topology, days: int = 8, seed: int = 1) -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    t = SLOT_S * np.arange(days * SLOTS_PER_DAY)
    slots, servers, gpus = t.size, len(topology.servers), 8
    outdoor = 20 + 8 * np.sin(2 * np.pi * t / 86_400) + np.repeat(rng.normal(0, 1, days), SLOTS_PER_DAY)
    load = _loads(t, rng)
    low, high = KNOWN.gpu_power_w
    power = np.where(np.isnan(load), KNOWN.gpu_idle_w, low + (high - low) * np.nan_to_num(load))
    gpu_power = np.repeat(power[..., None], gpus, axis=2) + rng.normal(0, 2, (slots, servers, gpus))

    # Inlets warm with the room's load, and fans draw more where inlets are warm: solved for the load L of the room,
    # L·nameplate = Σ (base + w·(h + 3·L − 20)).
    constant, per_w, per_c = KNOWN.server_w
    weather = KNOWN.outdoor_slope * (np.clip(outdoor, 15, 25) - 15)
    without_load = 18 + weather[:, None] + 0.1 * np.arange(servers)
    base_w = constant + per_w * gpu_power.mean(axis=2)
    nameplate = 6_500.0 * servers
    room_load = (base_w + per_c * (without_load - 20)).sum(axis=1) / (nameplate - per_c * KNOWN.room_load_c * servers)
    inlet = without_load + KNOWN.room_load_c * room_load[:, None]
    server_w = base_w + per_c * (inlet - 20)
    core = KNOWN.gpu_a * inlet[..., None] + KNOWN.gpu_b * gpu_power + 10 + np.arange(gpus)
    memory = KNOWN.memory_a * inlet[..., None] + KNOWN.memory_b * gpu_power + 12 + np.arange(gpus)

    at, s, g = (index.ravel() for index in np.indices((slots, servers, gpus)))
    names = np.array(topology.servers)
    row = topology.server_row[:, None] == np.arange(len(topology.rows))
    vm = np.argwhere(~np.isnan(load))
    return {
        "rooms": pd.DataFrame({"t_s": t, "room": topology.rooms[0], "outdoor_c": outdoor}),
        "servers": pd.DataFrame(
            {
                "t_s": np.repeat(t, servers),
                "server": np.tile(names, slots),
                "inlet_c": (inlet + rng.normal(0, KNOWN.noise_c, inlet.shape)).ravel(),
                "power_w": server_w.ravel(),
                "airflow_cfm": (300 + 1.5 * gpu_power.mean(axis=2) + 5 * (inlet - 20)).ravel(),
            }
        ),
        "gpus": pd.DataFrame(
            {
                "t_s": t[at],
                "server": names[s],
                "gpu": g,
                "load_frac": np.repeat(np.nan_to_num(load)[..., None], gpus, axis=2).ravel(),
                "power_w": gpu_power.ravel(),
                "temperature_c": (core + rng.normal(0, KNOWN.noise_c, core.shape)).ravel(),
                "memory_temperature_c": (memory + rng.normal(0, KNOWN.noise_c, core.shape)).ravel(),
            }
        ),
        "rows": pd.DataFrame(
            {
                "t_s": np.repeat(t, len(topology.rows)),
                "row": np.tile(topology.rows, slots),
                "meter_power_w": (server_w @ row + KNOWN.overhead_w).ravel(),
            }
        ),
        "vms": pd.DataFrame(
            {
                "t_s": t[vm[:, 0]],
                "vm": [f"VM{number}" for number in vm[:, 1]],
                "server": names[vm[:, 1]],
                "template": [TEMPLATES[number] for number in vm[:, 1]],
                "load_frac": load[vm[:, 0], vm[:, 1]],
            }
        ),
    }


@pytest.fixture(scope="session")
def known() -> SimpleNamespace:
    return KNOWN


@pytest.fixture
def topology(two_rows: Site) -> Topology:
    return topology_of(two_rows)


@pytest.fixture
def make_history() -> Callable[..., dict[str, pd.DataFrame]]:
    return synthetic_history


_FITTED: dict[str, LearnedModels] = {}


@pytest.fixture
def learned(topology: Topology) -> LearnedModels:
    """Eight days of `two_rows`, learned once."""
    if not _FITTED:
        _FITTED["two_rows"] = fit(panel_of(synthetic_history(topology), topology))
    return _FITTED["two_rows"]

"""Plants with nothing random in them, so that a person can work out what they must do."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tapas_opt.domain.site import Site
from tapas_opt.domain.topology import Topology, topology_of
from tapas_opt.plant.parameters import Parameters
from tapas_opt.plant.plant import Demand, Plant

UNIFORM = replace(
    Parameters(), resistance_spread=0.0, row_spread_k=0.0, server_spread_k=0.0, row_end_rise_k=0.0, rack_top_rise_k=0.0
)


@pytest.fixture(scope="session")
def two_rows_topology(two_rows: Site) -> Topology:
    return topology_of(two_rows)


@pytest.fixture
def uniform(two_rows_topology: Topology) -> Callable[..., Plant]:
    """``two_rows`` with machines and places all alike, at a constant outdoor temperature (10 °C: 18 °C inlets)."""

    def make(topology: Topology = two_rows_topology, outdoor_c: float = 10.0, **changes: float) -> Plant:
        return Plant(topology, seed=1, parameters=replace(UNIFORM, **changes), outdoor=lambda t_s: outdoor_c)

    return make


@pytest.fixture
def at_load() -> Callable[[Plant, float], Demand]:
    """Every GPU asks for the same fraction of its range above idle."""

    def demand(plant: Plant, load_frac: float) -> Demand:
        m = plant.machines
        return Demand(m.gpu_idle_w + load_frac * (m.gpu_max_w - m.gpu_idle_w))

    return demand


@pytest.fixture(scope="session")
def dataset(repository: Path) -> Callable[[str], Path]:
    """A file of the public data sets, which the project reads where they are found and never ships."""
    folder = Path(os.environ.get("TAPAS_DATA_DIR", repository.parent / "shared" / "datasets"))

    def find(name: str) -> Path:
        if not (folder / name).exists():
            pytest.skip(f"{name} is not in {folder}; set TAPAS_DATA_DIR")
        return folder / name

    return find

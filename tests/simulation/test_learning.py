"""A simulated site is known by its own models before its story begins."""

from __future__ import annotations

import numpy as np
import pytest

from tapas_opt.domain.site_generator import generate_site
from tapas_opt.domain.topology import topology_of
from tapas_opt.learn.models import LearnedModels
from tapas_opt.plant.plant import Plant
from tapas_opt.simulation.learning import asks_models, learned_of


@pytest.fixture(scope="module")
def topology():
    return topology_of(generate_site(16))


@pytest.fixture(scope="module")
def models(topology):
    """Of the fewest days that a fit takes."""
    return learned_of(topology.site, days=4.2)


def test_models_know_which_gpus_of_the_room_are_hot(topology, models, repository):
    """A story with any seed is told in the room that was learned from; the demo's models know another room."""
    machines = Plant(topology, seed=5).machines
    inlet_c, full_w = np.full(len(topology.servers), 25.0), np.full(machines.has_gpu.shape, 400.0)

    def likeness(known: LearnedModels) -> float:
        learned_c = known.gpu_temperature_central_c(topology, inlet_c, full_w)
        return float(np.corrcoef(machines.resistance_k_per_w.ravel(), learned_c.ravel())[0, 1])

    assert models.check_covers(topology) == ()
    assert likeness(models) > 0.95
    assert likeness(LearnedModels.load(repository / "models" / "demo")) < 0.95


def test_only_policies_that_go_by_models_ask_for_them():
    assert not asks_models(["baseline", "polca"])
    assert asks_models(["baseline", "place"])

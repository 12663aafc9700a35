"""What was asked of a run."""

from __future__ import annotations

import numpy as np
import pytest

from tapas_opt.domain.site_generator import generate_site
from tapas_opt.planning.traffic import traffic_of
from tapas_opt.simulation.case import Case, world_of


def test_tokens_and_hours_are_those_of_the_story(learned):
    """What is served of what is asked for agrees with the record's own loss, over time."""
    world = world_of(Case("week", site=generate_site(16), days=0.05), learned)
    record = world.run("baseline")
    told = traffic_of(world.story, record)
    assert told.saas_vm_h + told.iaas_vm_h == pytest.approx(14 * 1.2)
    instances = sum(1 for vm in world.story.running if vm.endpoint)
    assert told.saas_vm_h == pytest.approx(instances * 1.2)
    frac = record.served_frac
    assert np.nanmin(frac) - 1e-9 <= told.served_tokens / told.asked_tokens <= np.nanmax(frac) + 1e-9
    first = world.story.demand_tokens_per_s(world.story.start_s, world.story.planned_tokens_per_s(world.story.running))
    assert told.asked_tokens == pytest.approx(sum(first.values()) * 0.05 * 86_400, rel=0.5)

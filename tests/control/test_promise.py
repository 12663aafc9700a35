"""Which choices keep an endpoint's promise."""

from __future__ import annotations

import numpy as np
import pytest

from tapas_opt.control.events import PlanApplied
from tapas_opt.control.profiles import PARKED
from tapas_opt.control.promise import in_time, kept_frac
from tapas_opt.control.telemetry import Readings
from tapas_opt.domain.configuration import LOAD_LEVELS
from tapas_opt.domain.failure import Failure, FailureKind
from tapas_opt.domain.workload import Endpoint, Slo
from tapas_opt.reconfiguration.problem import Stage

LARGE = "llama2-70b-fp16-tp8-b64-f1410"
SLOWER = "llama2-70b-fp16-tp8-b64-f1200"


@pytest.fixture
def in_time_for(profiles):
    """Names of the choices that are in time for an endpoint, and of those that are not."""

    def named(endpoint):
        kept = in_time(endpoint, profiles)
        names = np.array([option.name for option in profiles.options])
        return set(names[kept].tolist()), set(names[~kept].tolist())

    return named


@pytest.fixture
def usual(profiles):
    """Five times the unloaded latencies of what it prefers."""
    profile = profiles.get(LARGE, "dgx-a100")
    return Endpoint("conv", Slo.of_unloaded(profile.ttft_s, profile.tbt_s), LARGE)


def test_a_profile_keeps_its_own_promise_at_its_goodput(profiles, usual):
    """99 % at its goodput, nearly; all the more at half of it; a slower clock of the same model less."""
    full, half = (kept_frac(profiles.get(LARGE, "dgx-a100"), level, usual.slo) for level in (1.0, 0.5))
    assert full == pytest.approx(0.99, abs=0.003)
    assert half > full > kept_frac(profiles.get(SLOWER, "dgx-a100"), 1.0, usual.slo)


def test_a_slower_clock_is_in_time_at_half_its_goodput_only(in_time_for, usual):
    _, late = in_time_for(usual)
    serving = {name for name in late if name.startswith((LARGE, SLOWER)) and not name.endswith("@0")}
    assert serving == {f"{SLOWER}@1"}


def test_what_is_preferred_is_always_in_time_and_who_rests_never(in_time_for):
    """A promise that nobody can keep. To rest with weights loaded is to let others be slower; parking has its price."""
    hasty = Endpoint("conv", Slo(1e-3, 1e-3), LARGE)
    fine, _ = in_time_for(hasty)
    assert fine == {f"{LARGE}@{level:g}" for level in LOAD_LEVELS if level > 0.0} | {PARKED}


def test_nobody_rests_while_all_is_calm_and_who_rested_serves_again(controller, usual, saas, run):
    """Six instances for the demand of one: at rest they would save energy, and answers would come later."""
    controller.apply(controller.put_endpoint(usual))
    run(saas(6))
    asked = Readings(0.0, endpoint_tokens_per_s={"conv": 1_000.0})
    controller.observe(asked)
    assert not controller.plan_reconfiguration(Stage.SETTLED, now_s=0.0, deadline_s=1.0).needed
    controller.apply([PlanApplied("p", "now", {"c1": f"{LARGE}@0"})])
    changes = controller.plan_reconfiguration(Stage.SETTLED, now_s=0.0, deadline_s=1.0).changes
    assert set(changes) == {"c1"}
    assert not changes["c1"].endswith("@0")


def test_promises_count_where_there_is_time_and_nothing_is_failed(controller, usual, saas, run):
    """Late answers are better than none while power is short."""
    controller.apply(controller.put_endpoint(usual))
    run(saas(2))

    def barred(stage, *failures):
        problem = controller.reconfiguration_problem(stage, failures, now_s=0.0)
        return set(np.array(problem.choices.names)[~problem.allowed[0]])

    assert f"{SLOWER}@1" in barred(Stage.SETTLED)
    assert barred(Stage.NOW) == barred(Stage.SETTLED, Failure(FailureKind.UPS, "U1")) == set()

"""From a fleet and a forecast to the routing plan's problem."""

import numpy as np
import pytest

from tapas_opt.control import events as happened
from tapas_opt.control.routes import routing_problem
from tapas_opt.control.telemetry import Readings
from tapas_opt.domain.failure import Failure, FailureKind
from tapas_opt.solve import solve

EVEN = {"conv": {"conv/short": 0.75, "conv/long": 0.25}}
SMALL = "llama2-7b-fp16-tp2-b64-f1410@1"


@pytest.fixture
def problem_of(controller, forecast_of):
    def problem(*failures, mix=EVEN, **fields):
        return routing_problem(forecast_of(controller.fleet, *failures, **fields), mix)

    return problem


def goodput_of(problem):
    return dict(zip(problem.instances, problem.instance_goodput.tolist(), strict=True))


@pytest.fixture
def full(profiles, chat):
    """What routing plans on of one instance of ``conv``, tokens/s."""
    return int(profiles.get(chat.configuration, "dgx-a100").goodput_tokens_per_s)


def test_demand_is_split_by_the_mix_and_rounded_up(problem_of, saas, run):
    """1,001 tokens/s: ⌈750.75⌉ and ⌈250.25⌉."""
    run(saas(2))
    problem = problem_of(readings=Readings(0.0, endpoint_tokens_per_s={"conv": 1_001.0}))
    assert dict(zip(problem.classes, problem.class_tokens_per_s.tolist(), strict=True)) == {
        "conv/short": 751,
        "conv/long": 251,
    }


def test_an_endpoint_without_instances_or_mix_is_no_error(problem_of):
    """Nobody serves, nobody asks."""
    problem = problem_of(mix={})
    assert (problem.instances, problem.classes, problem.endpoints) == ((), (), ("conv",))


def test_an_instance_carries_its_goodput_as_far_as_its_level_allows(controller, problem_of, chat, saas, run, full):
    """Half of it at level 0.5; nothing when parked or steered away from."""
    run(saas(4))
    name = chat.configuration
    controller.apply([happened.PlanApplied("p", "now", {"c1": f"{name}@0.5", "c2": "parked", "c3": f"{name}@0"})])
    assert goodput_of(problem_of()) == {"c0": full, "c1": int(full / 2), "c2": 0, "c3": 0}


def test_an_instance_that_loads_weights_takes_nothing_until_its_agent_says_so(controller, problem_of, saas, run, full):
    """It was told to become small at 0 s, and says when it is."""
    run(saas(2))
    controller.apply([happened.PlanApplied("p", "settled", {"c0": SMALL})])
    assert goodput_of(problem_of()) == {"c0": 0, "c1": full}
    controller.apply(controller.acknowledge("c0", 2, None))
    assert goodput_of(problem_of())["c0"] > full


def test_another_clock_takes_effect_without_a_pause(controller, problem_of, chat, saas, run):
    """No weights are loaded: it goes on serving, at what the plan says."""
    run(saas(1))
    slower = chat.configuration.replace("f1410", "f990")
    controller.apply([happened.PlanApplied("p", "now", {"c0": f"{slower}@1"})])
    assert goodput_of(problem_of())["c0"] > 0


def hottest_w(problem):
    """What the only instance's hottest GPU draws when full, less its ceiling."""
    return int(problem.gpu_power_w.sum() - problem.gpu_headroom_w[0])


@pytest.mark.parametrize(("runs", "told"), [(1410, 990), (990, 1410)])
def test_until_another_clock_is_acknowledged_either_may_be_what_runs(
    controller, problem_of, chat, saas, run, runs, told
):
    """It takes what it carries at 990 MHz, and counts with what it draws at 1410 MHz for that, whichever way it goes.

    Of 2,098 tokens/s, 1,542 are a load of 0.735: between 220.8 W at half load and 287.3 W at full load 252.1 W, where
    at 990 MHz it is 186.3 W.
    """
    run(saas(1))

    def tell(mhz):
        name = chat.configuration.replace("f1410", f"f{mhz}")
        controller.apply([happened.PlanApplied("p", "now", {"c0": f"{name}@1"})])

    def acknowledged():
        controller.apply(controller.acknowledge("c0", controller.fleet.vms["c0"].generation, None))
        return problem_of()

    tell(runs)
    before = acknowledged()
    tell(told)
    during, after = problem_of(), acknowledged()
    slow = after if told == 990 else before
    assert goodput_of(during)["c0"] == goodput_of(slow)["c0"] == 1_542
    assert hottest_w(during) - hottest_w(slow) == pytest.approx(252.1 - 186.3, abs=2.0)


def test_dark_servers_take_nothing(controller, problem_of, saas, run):
    """Both UPSs of the pair are lost."""
    run(saas(80))
    problem = problem_of(Failure(FailureKind.UPS, "U1"), Failure(FailureKind.UPS, "U2"))
    pair_of, pairs = controller.fleet.topology.server_ups_pair()
    dark = np.array(["U1" in pairs[p] and "U2" in pairs[p] for p in pair_of])
    assert ((problem.instance_goodput == 0) == dark[problem.instance_server]).all()


def test_segments_grow_costlier_and_reach_what_the_profile_draws(
    controller, problem_of, forecast_of, profiles, chat, saas, run
):
    """Convex, as filling in order needs; unloaded no less than the hottest GPU draws there, and the same when full."""
    run(saas(1))
    problem = problem_of()
    for segments in (problem.latency_cost, problem.power_w, problem.gpu_power_w):
        assert (np.diff(segments[0] / np.diff(problem.breakpoints_permille)) >= -1e-9).all()
    profile = profiles.get(chat.configuration, "dgx-a100")
    unloaded_w = forecast_of(controller.fleet).ceiling_w[0] - problem.gpu_headroom_w[0]
    assert unloaded_w >= profile.hottest_gpu_power_w[0]
    rounded_up_w = 2 * len(problem.breakpoints_permille)
    assert 0.0 <= unloaded_w + problem.gpu_power_w[0].sum() - profile.hottest_gpu_power_w[-1] <= rounded_up_w


def test_nothing_is_refused_while_an_instance_has_room(problem_of, saas, run, full):
    """Two instances asked for 99 % of what they carry: the last percents are dear, and yet cheaper than a refusal."""
    run(saas(2))
    problem = problem_of(readings=Readings(0.0, endpoint_tokens_per_s={"conv": 0.99 * 2 * full}))
    answer = solve(problem, deadline_s=5.0)
    assert max(answer.plan.unserved_frac.values()) == pytest.approx(0.0, abs=1e-9)

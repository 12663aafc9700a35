"""Load of VMs and endpoints, arrivals, and the generated trace."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tapas_opt.domain.site_generator import HARDWARE
from tapas_opt.domain.topology import topology_of
from tapas_opt.domain.workload import VmKind
from tapas_opt.plant.plant import Plant
from tapas_opt.plant.population import Population, demand_of
from tapas_opt.plant.profiling import measure_profiles
from tapas_opt.plant.weather import DAY_S, WEEK_S
from tapas_opt.plant.workload import Workload, generate_trace, iaas_gpu_power_w
from tapas_opt.telemetry.trace import read_trace

A100 = HARDWARE["dgx-a100"]
QUARTERS = np.arange(0.0, 2 * WEEK_S, 900.0)


@pytest.fixture(scope="module")
def workload() -> Workload:
    return Workload(seed=1)


def test_demand_of_an_endpoint_follows_day_and_week(workload):
    """Afternoons carry more than twice what nights do, and weekends less than weekdays."""
    demand = np.array([workload.endpoint_load_frac(t_s)["conv"] for t_s in QUARTERS]).reshape(14, 96)
    weekdays = demand[[0, 1, 2, 3, 4, 7, 8, 9, 10, 11]]
    profile = weekdays.mean(axis=0)
    assert profile[52:68].mean() > 2.0 * profile[4:20].mean()
    assert weekdays.max() > 1.1 * demand[[5, 6, 12, 13]].max()


def test_vms_of_one_tenant_move_together(workload):
    """Templates learn what a customer's VMs have in common; without it history would teach nothing."""
    vms = [workload.vm(f"vm-{i}", iaas_frac=1.0) for i in range(60)]
    tenant = np.array([vm.tenant for vm in vms])
    load = np.array([workload.vm_load_frac(vms, t_s) for t_s in QUARTERS[:672:4]])
    correlation = np.corrcoef(load.T)
    same = (tenant[:, None] == tenant) & ~np.eye(60, dtype=bool)
    assert correlation[same].mean() > correlation[tenant[:, None] != tenant].mean() + 0.3


def test_customers_scatter_by_six_per_cent_around_their_rhythm_and_vms_by_five_around_theirs():
    """The same hour of sixty Tuesdays: only noise differs, of a tenant's template, and of a VM besides."""
    calm = Workload(seed=1, bursts_per_day=0.0)
    tuesdays = DAY_S + 11 * 3600.0 + WEEK_S * np.arange(60)
    templates = np.array([list(calm.template_load_frac(t_s).values()) for t_s in tuesdays])
    unclipped = (templates.min(axis=0) > 0.0) & (templates.max(axis=0) < 1.0)
    assert unclipped.sum() >= 8
    assert templates.std(axis=0)[unclipped].mean() == pytest.approx(0.06, rel=0.15)
    vms = [vm for vm in calm.initial_vms(60, iaas_frac=1.0) if unclipped[calm.tenants.index(vm.tenant)]]
    own = [
        load - calm.template_load_frac(t_s)[vm.tenant]
        for t_s in tuesdays[:20]
        for vm, load in zip(vms, calm.vm_load_frac(vms, t_s), strict=True)
    ]
    assert np.std(own) == pytest.approx(0.05, rel=0.15)


def test_gpus_of_a_tenant_are_a_few_per_cent_unevenly_busy():
    """3 % more for the first and less for the last, of what is above idle; the mean is the load's."""
    powers = iaas_gpu_power_w(0.5, 1.0, A100) - 63.0
    assert powers / 168.5 == pytest.approx(np.linspace(1.03, 0.97, 8))


def test_load_depends_on_name_and_time_only(workload):
    """A VM's load is its own, whoever else is asked about, in whatever order."""
    vms = [workload.vm(f"vm-{i}") for i in range(5)]
    alone = [float(workload.vm_load_frac([vm], 7777.0)[0]) for vm in vms]
    assert workload.vm_load_frac(vms[::-1], 7777.0)[::-1] == pytest.approx(alone)
    assert Workload(seed=1).vm_load_frac(vms, 7777.0) == pytest.approx(alone)
    assert Workload(seed=2).vm_load_frac(vms, 7777.0) != pytest.approx(alone)


def test_about_half_of_the_vms_are_iaas(workload):
    """TAPAS: about half; and the share can be set."""
    kinds = [vm.kind for vm in workload.initial_vms(400)]
    assert kinds.count(VmKind.IAAS) == pytest.approx(200, abs=40)
    assert all(vm.kind is VmKind.SAAS and vm.configuration for vm in workload.initial_vms(20, iaas_frac=0.0))


def test_a_days_arrivals_come_in_order_on_that_day(workload):
    """Names never repeat over days."""
    days = [workload.arrivals(day, 30) for day in (3, 4)]
    times = [arrival.at_s for arrival in days[0]]
    assert times == sorted(times)
    assert 3 * DAY_S <= times[0] < times[-1] < 4 * DAY_S
    assert len({arrival.vm.name for day in days for arrival in day}) == 60


def test_most_arrivals_come_in_working_hours(workload):
    """Around one o'clock, give or take four hours; a fifth of the customers have agreed to be capped."""
    hours = np.array([arrival.at_s % DAY_S / 3600.0 for day in range(20) for arrival in workload.arrivals(day, 30)])
    assert hours.mean() == pytest.approx(13.0, abs=0.5)
    assert hours.std() == pytest.approx(4.0, rel=0.15)
    opaque = workload.initial_vms(600, iaas_frac=1.0)
    assert np.mean([vm.capping_agreed for vm in opaque]) == pytest.approx(0.2, abs=0.05)


def test_vms_live_for_days_to_weeks(workload):
    """In the median two weeks, nine tenths of them between five and forty days."""
    days = np.array([vm.lifetime_s for vm in workload.initial_vms(600)]) / DAY_S
    assert np.median(days) == pytest.approx(14.0, rel=0.1)
    assert np.quantile(days, [0.05, 0.95]) == pytest.approx([5.2, 37.5], rel=0.2)


def test_iaas_power_is_its_load_on_the_gpus_range_and_falls_with_the_clock():
    """Half of 63..400 W is 231.5 W in the mean; at 70 % of the clock the dynamic half falls to 0.484 of itself."""
    full, slow = iaas_gpu_power_w([0.5], [1.0], A100), iaas_gpu_power_w([0.5], [0.7], A100)
    assert full.shape == (1, 8)
    assert full.mean() == pytest.approx(231.5)
    # v = 0.44 + 0.56 × 0.7 = 0.832; 0.7 × 0.832² = 0.4845
    assert slow.mean() == pytest.approx(63.0 + 168.5 * 0.4845, abs=0.1)
    assert iaas_gpu_power_w(1.0, 1.0, A100).max() <= 400.0


def test_servers_without_a_vm_stay_idle(two_rows, workload):
    """One IaaS VM on S2 at full load; the others ask for idle power."""
    topology = topology_of(two_rows)
    plant = Plant(topology, seed=1)
    vm = workload.vm("vm-1", iaas_frac=1.0)
    demand = demand_of(topology, plant.idle_demand(), [vm], np.array([1]), np.array([0.9]), {})
    assert (np.delete(demand.gpu_power_w, 1, axis=0) == 63.0).all()
    assert demand.gpu_power_w[1].mean() == pytest.approx(63.0 + 0.9 * 337.0)


def test_a_saas_vm_draws_what_its_instance_does(two_rows, workload):
    """A full 70B instance on eight GPUs: about 280 W each."""
    topology = topology_of(two_rows)
    plant = Plant(topology, seed=1)
    vm = next(vm for vm in workload.initial_vms(50, iaas_frac=0.0) if vm.endpoint == "conv")
    running = {p.configuration.name: p.configuration for p in measure_profiles(A100, "dgx-a100")}
    demand = demand_of(topology, plant.idle_demand(), [vm], np.array([0]), np.array([1.0]), running)
    assert demand.gpu_power_w[0].mean() == pytest.approx(279.0, abs=3.0)


def test_vms_come_and_go_and_never_share_a_server(demo_topology, workload):
    """Most servers are taken at any time; over weeks most VMs are replaced."""
    population = Population(demo_topology, workload, seed=1)
    first, _ = population.at(0.0)
    for day in range(1, 36):
        vms, servers = population.at(day * DAY_S)
        assert len(set(servers.tolist())) == len(vms) > 64
    assert len({vm.name for vm in vms} & {vm.name for vm in first}) < 40


def test_the_committed_trace_is_what_the_generator_makes(repository):
    """Rewritten by python -m tapas_opt.plant.demo_data."""
    committed, made = read_trace(repository / "data" / "demo" / "trace"), generate_trace(1)
    assert committed.keys() == made.keys() == {"conv", "code"}
    for name, table in made.items():
        pd.testing.assert_frame_equal(committed[name], table)


@pytest.mark.parametrize(("name", "means"), [("conv", (1155.0, 211.0)), ("code", (2048.0, 28.0))])
def test_generated_lengths_have_the_published_means(name, means):
    """Azure 2023: conversation 1,155 and 211 tokens, code 2,048 and 28; over ten seeds within 4 %."""
    tables = pd.concat([generate_trace(seed)[name] for seed in range(10)])
    assert tables.context_tokens.mean() == pytest.approx(means[0], rel=0.04)
    assert tables.generated_tokens.mean() == pytest.approx(means[1], rel=0.04)


def test_generated_traces_resemble_the_real_ones(dataset):
    """Tails within 20 %, means within 15 %; code comes in bursts, by ten seconds as scattered as thinned real ones."""
    real, made = read_trace(dataset("azure-llm-2023")), generate_trace(1)
    for name, table in made.items():
        for column in ("context_tokens", "generated_tokens"):
            assert table[column].mean() == pytest.approx(real[name][column].mean(), rel=0.15)
            assert table[column].quantile(0.99) == pytest.approx(real[name][column].quantile(0.99), rel=0.2)
    for name, requests in (("conv", 6_000 / 19_366), ("code", 3_000 / 8_819)):
        thinned = real[name][np.random.default_rng(1).random(len(real[name])) < requests]
        assert burstiness(made[name]) == pytest.approx(burstiness(thinned), rel=0.15)


def test_demand_is_as_unsteady_as_that_of_real_services(dataset, workload):
    """Ten minutes by ten minutes through nine days, beside ServeGen's chat models: within half and twice their range.

    How far a day is off the mean day's shape, and by how much demand rises within ten minutes at worst, 1 % of times.
    """
    rates = pd.read_parquet(dataset("servegen-alibaba/rates.parquet"), columns=["model", "t_s", "rate_rps"])
    windows = np.arange(0.0, 9 * DAY_S, 600.0)
    real = [
        unsteadiness(rates[rates.model == model].groupby("t_s").rate_rps.sum().reindex(windows).fillna(0.0).to_numpy())
        for model in ("m-small", "m-mid", "m-large")
    ]
    made = unsteadiness(np.array([workload.endpoint_load_frac(t_s)["conv"] for t_s in windows]))
    for ours, theirs in zip(made, zip(*real, strict=True), strict=True):
        assert 0.5 * min(theirs) < ours < 2.0 * max(theirs)


def unsteadiness(demand: np.ndarray) -> tuple[float, float]:
    days = demand.reshape(9, -1) / demand.reshape(9, -1).mean(axis=1, keepdims=True)
    busy = demand[:-1] > 0.2 * demand.mean()
    return float((days - days.mean(axis=0)).std()), float(np.quantile(np.diff(demand)[busy] / demand[:-1][busy], 0.99))


def burstiness(table: pd.DataFrame) -> float:
    counts = np.bincount((table.t_s // 10).astype(int))
    return float(counts.std() / counts.mean())

"""The plant with work on it: which VM is where, what it runs, and actuators that take their time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.control.actuation import Actuation, Option
from tapas_opt.control.profiles import Profiles
from tapas_opt.domain.topology import Topology
from tapas_opt.domain.workload import Endpoint
from tapas_opt.plant.plant import Demand, Plant
from tapas_opt.plant.swings import NO_JOB
from tapas_opt.plant.truth import Truth
from tapas_opt.plant.workload import Workload
from tapas_opt.simulation.answering import Answered, Engines
from tapas_opt.simulation.crew import Crew, Instances, Spread, crew_of, spread_of
from tapas_opt.simulation.policy import Shares
from tapas_opt.simulation.record import Moment
from tapas_opt.simulation.sensed import Telemetry
from tapas_opt.simulation.tenants import Tenants

__all__ = ["MachineRoom"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

THROTTLED_SPEED = 0.5
"""Hardware slowdown halves the clocks (facts: cut by two or more)."""

DRAINED_S = 60.0
"""In steps of that length what had begun before has ended; in shorter ones it still draws."""


@dataclass(frozen=True, slots=True)
class _Served:
    """Tokens per second asked for and served in a step, quality × served, and the mean speed of opaque VMs."""

    asked: float
    served: float
    quality: float
    iaas_performance_frac: float


class MachineRoom(Tenants):
    """Runs VMs on a plant, one step at a time.

    Parameters
    ----------
    options
        What instances may be told to run, by name.
    endpoints
        Those whose users are looked at: what they were promised is judged.
    measured
        Profiles by which instances truly behave, in place of the plant's model of them.

    Attributes
    ----------
    answered
        What became of the requests of the last step.
    """

    def __init__(
        self,
        plant: Plant,
        workload: Workload,
        options: Mapping[str, Option],
        actuation: Actuation,
        endpoints: Sequence[Endpoint] = (),
        measured: Profiles | None = None,
    ) -> None:
        super().__init__(plant.topology.servers, options, actuation)
        self.plant = plant
        self.topology: Topology = plant.topology
        self._workload = workload
        self._instances = Instances(self.topology, measured)
        self._crew: Crew | None = None
        self._laid_out = self.changes
        self._peak_w: FloatArray = np.zeros(0)
        self._engines_on: IntArray = np.zeros(0, dtype=np.int64)
        self._job = np.zeros(0, dtype=np.int64)
        self._spread: tuple[Shares, Crew, Spread] | None = None
        self._engines = Engines(endpoints)
        self.answered = Answered.nobody([item.name for item in endpoints])
        self._idle_w = plant.idle_demand().gpu_power_w

    @property
    def crew(self) -> Crew:
        """The VMs as arrays."""
        if self._crew is None or self._laid_out != self.changes:
            self._laid_out = self.changes
            self._crew = crew_of(self.running.values(), self.topology, self._instances)
            self._peak_w = self._crew.peak_w(self._idle_w)
            self._engines_on = self._crew.engines(len(self._idle_w))
            self._job = np.full(len(self.topology.servers), NO_JOB)
            self._job[self._crew.iaas_server] = self._workload.jobs(self._crew.iaas)
        return self._crew

    @property
    def capped(self) -> frozenset[str]:
        """VMs whose clock is capped, or whose server's power brake is on."""
        braked = self.plant.truth.braked
        if not braked.any():
            return self.crew.capped
        return self.crew.capped | {name for name, item in self.running.items() if braked[item.server]}

    def step(self, dt_s: float, demand_tokens_per_s: Mapping[str, float], shares: Shares) -> Moment:
        """Let time pass under this demand, spread by these shares."""
        power_w = self._idle_w.copy()
        speed = self._speed()
        iaas_performance_frac = self._run_iaas(power_w, speed)
        given = self._given(demand_tokens_per_s, shares)
        done = given * speed[self.crew.instance_server]
        self.answered = self._engines.step(dt_s, self.crew, given, speed, demand_tokens_per_s)
        self.crew.draw_saas(self._engines.working_tokens_per_s if dt_s < DRAINED_S else given, power_w)
        truth = self.plant.step(dt_s, Demand(power_w, self._peak_w, self._engines_on, self._job))
        asked, quality = sum(demand_tokens_per_s.values()), float((done * self.crew.quality).sum())
        return self._moment(truth, _Served(asked, float(done.sum()), quality, iaas_performance_frac))

    def telemetry(self, demand_tokens_per_s: Mapping[str, float]) -> Telemetry:
        """What collectors hear now."""
        truth = self.plant.truth
        return Telemetry(truth.t_s, self.plant.read(), truth.ups_power_w, demand_tokens_per_s)

    def _run_iaas(self, power_w: FloatArray, speed: FloatArray) -> float:
        """Fill in what opaque VMs draw; their mean speed relative to what they asked for."""
        crew = self.crew
        if not crew.iaas:
            return 1.0
        crew.draw_iaas(self._workload.vm_load_frac(crew.iaas, self.plant.t_s), power_w)
        return float(np.mean(crew.iaas_frequency_frac * speed[crew.iaas_server]))

    def _given(self, demand: Mapping[str, float], shares: Shares) -> FloatArray:
        """``[instance]`` tokens/s that gateways send."""
        crew = self.crew
        if self._spread is None or self._spread[0] is not shares or self._spread[1] is not crew:
            self._spread = shares, crew, spread_of(shares, crew.position)
        return self._spread[2].given(demand, crew.most_tokens_per_s)

    def _speed(self) -> FloatArray:
        """``[server]`` relative speed: nothing in the dark, half while its hottest GPU throttles or it is braked."""
        truth = self.plant.truth
        slowed = 1.0 - (1.0 - THROTTLED_SPEED) * np.maximum(truth.throttled_frac.max(axis=1), truth.braked)
        return np.where(truth.dark, 0.0, slowed)

    def _moment(self, truth: Truth, served: _Served) -> Moment:
        effect = self.plant.effect
        return Moment(
            t_s=truth.t_s,
            row_power_w=truth.row_power_w,
            row_budget_w=effect.row_budget_w,
            ups_power_w=truth.ups_power_w,
            ups_capacity_w=effect.ups_capacity_w,
            aisle_airflow_cfm=truth.aisle_airflow_cfm,
            aisle_capacity_cfm=truth.aisle_airflow_capacity_cfm,
            hottest_gpu_c=float(np.nanmax(truth.gpu_temperature_c)),
            throttled_servers=int(truth.throttled.any(axis=1).sum()),
            quality_frac=served.quality / served.served if served.served > 0 else float("nan"),
            served_frac=min(served.served / served.asked, 1.0) if served.asked > 0 else 1.0,
            iaas_performance_frac=served.iaas_performance_frac,
            slo_attainment_frac=self.answered.attainment_frac,
            p99_ttft_s=self.answered.ttft_s(0.99),
        )

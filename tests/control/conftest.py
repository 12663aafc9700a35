"""Controllers of the demo site and of ``two_rows``, whose models say what a test can work out by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tapas_opt.control import events as happened
from tapas_opt.control.controller import Controller, Settings
from tapas_opt.control.fleet import Fleet
from tapas_opt.control.forecast import Forecast
from tapas_opt.control.profiles import Profiles
from tapas_opt.control.telemetry import Latest, Readings
from tapas_opt.control.tracked import untracked
from tapas_opt.domain.configuration import read_profiles
from tapas_opt.domain.failure import Failure
from tapas_opt.domain.site import Site
from tapas_opt.domain.topology import Topology
from tapas_opt.domain.workload import Endpoint, Slo, Vm, VmKind
from tapas_opt.learn.models import LearnedModels

SMALL, LARGE = "llama2-7b-fp16-tp2-b64-f1410", "llama2-70b-fp16-tp8-b64-f1410"


@pytest.fixture(scope="session")
def profiles(repository: Path) -> Profiles:
    return Profiles(read_profiles(repository / "data" / "demo" / "profiles.csv"))


@pytest.fixture(scope="session")
def models(repository: Path) -> LearnedModels:
    """As learned from the demo site's history."""
    return LearnedModels.load(repository / "models" / "demo")


@pytest.fixture(scope="session")
def chat() -> Endpoint:
    """Prefers the large model at full clock; accepts any."""
    return Endpoint("conv", Slo(2.0, 0.2), LARGE)


@pytest.fixture
def make(demo_site: Site, models: LearnedModels, profiles: Profiles) -> Callable[..., Controller]:
    """A controller of the demo site that answers greedily, so that tests are quick and never wait for a solver."""

    def made(**settings: object) -> Controller:
        return Controller(demo_site, models, profiles, settings=Settings(**({"solver": "greedy"} | settings)))

    return made


@pytest.fixture
def controller(make: Callable[..., Controller], chat: Endpoint) -> Controller:
    """With the endpoint ``conv`` and nothing on its 80 servers."""
    controller = make()
    controller.apply(controller.put_endpoint(chat))
    return controller


@pytest.fixture
def iaas() -> Callable[..., list[Vm]]:
    """``iaas(3)``: opaque VMs ``i0``, ``i1``, ``i2`` of a tenant with history."""

    def vms(count: int, **fields: object) -> list[Vm]:
        usual = {"kind": VmKind.IAAS, "tenant": "tenant01"}
        return [Vm(**{"name": f"i{n}", **usual, **fields}) for n in range(count)]

    return vms


@pytest.fixture
def saas() -> Callable[..., list[Vm]]:
    """``saas(3)``: instances ``c0``, ``c1``, ``c2`` of the endpoint ``conv``."""

    def vms(count: int, **fields: object) -> list[Vm]:
        usual = {"kind": VmKind.SAAS, "tenant": "acme", "endpoint": "conv"}
        return [Vm(**{"name": f"c{n}", **usual, **fields}) for n in range(count)]

    return vms


@pytest.fixture
def run(controller: Controller) -> Callable[..., None]:
    """Put VMs on servers of the demo site, one each in file order from ``first`` on, running."""

    def adopted(vms: list[Vm], first: int = 0) -> None:
        servers = controller.fleet.topology.servers[first : first + len(vms)]
        on = [happened.VmOnServer(vm, server) for vm, server in zip(vms, servers, strict=True)]
        controller.apply(controller.adopt(on))

    return adopted


@pytest.fixture
def forecast_of(models: LearnedModels, profiles: Profiles) -> Callable[..., Forecast]:
    """A forecast over a fleet at hour 0 of the week and 25 °C outside, without telemetry unless readings are given."""

    def forecast(fleet: Fleet, *failures: Failure, readings: Readings | None = None, **fields: object) -> Forecast:
        latest = Latest()
        if readings is not None:
            latest.take(readings)
        tracked = untracked(fleet.topology)
        usual = Forecast(fleet, models, profiles, latest, 0.0, outdoor_c=25.0, failures=failures, tracked=tracked)
        return replace(usual, **fields)

    return forecast


@pytest.fixture
def fleet(demo_site: Site, chat: Endpoint, saas: Callable[..., list[Vm]], iaas: Callable[..., list[Vm]]) -> Fleet:
    """``c0`` to ``c9`` on the first ten servers, ``i0`` to ``i9`` on the next ten, 60 empty ones."""
    fleet = Fleet(demo_site)
    on = zip([*saas(10), *iaas(10)], fleet.topology.servers, strict=False)
    fleet.apply([happened.EndpointPut(chat), happened.VmsAdopted(tuple(happened.VmOnServer(*pair) for pair in on))])
    return fleet


@pytest.fixture
def measured() -> Callable[..., Readings]:
    """``measured(fleet, 3_000.0, servers=79)``: what meters of the first servers show, the same of each."""

    def readings(
        fleet: Fleet, power_w: float = 3_000.0, servers: int = 80, at_s: float = 0.0, **more: object
    ) -> Readings:
        return Readings(at_s, server_power_w=dict.fromkeys(fleet.topology.servers[:servers], power_w), **more)

    return readings


@pytest.fixture
def as_predicted(models: LearnedModels) -> Callable[..., Readings]:
    """``as_predicted(topology, 60.0)``: sensors of idle servers that say exactly what the models predict.

    ``inlet_more``, ``gpu_more`` and ``power_more`` are added, one number or one a server; ``without`` leaves
    quantities out.
    """

    def made(
        topology: Topology, at_s: float, *, outdoor_c: float = 20.0, without: tuple[str, ...] = (), **more: object
    ):
        hardware = topology.hardware[0]
        idle_w = models.gpu_power.entries[hardware].idle_power_w
        power = np.full(len(topology.servers), 1_500.0)
        for _ in range(6):  # power rises with inlet temperature, and that with the room's power
            load = np.array([power.mean() / topology.site.hardware[hardware].max_power_w])
            inlet = models.inlet_central_c(topology, np.array([outdoor_c]), load, np.zeros(1))
            power = models.server_power_w(hardware, idle_w, inlet)
        inlet_read = inlet + more.get("inlet_more", 0.0)
        gpus = np.full((len(topology.servers), 8), idle_w)
        core = models.gpu_temperature_central_c(topology, inlet_read, gpus)
        core = core + np.reshape(more.get("gpu_more", 0.0), (-1, 1))
        power_read = models.server_power_w(hardware, idle_w, inlet_read) + more.get("power_more", 0.0)
        said = {
            "outdoor_c": dict.fromkeys(topology.rooms, outdoor_c),
            "server_power_w": power_read,
            "inlet_c": inlet_read,
            "airflow_cfm": models.airflow_cfm(hardware, idle_w, inlet_read),
            "hottest_gpu_c": core.max(axis=1),
            "gpu_power_w": gpus,
            "gpu_temperature_c": core,
            "gpu_memory_temperature_c": models.gpu_memory_temperature_central_c(topology, inlet_read, gpus),
        }
        named = {
            quantity: values if isinstance(values, dict) else dict(zip(topology.servers, values.tolist(), strict=True))
            for quantity, values in said.items()
            if quantity not in without
        }
        return Readings(at_s, **named)

    return made

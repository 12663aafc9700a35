"""Small rooms and days with a story, and a policy that does as it is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tapas_opt.control.actuation import Actuation, Option
from tapas_opt.control.profiles import Profiles
from tapas_opt.domain.configuration import Profile, read_profiles
from tapas_opt.domain.failure import Failure, FailureKind
from tapas_opt.domain.site import Site
from tapas_opt.domain.topology import topology_of
from tapas_opt.domain.workload import Group, Vm
from tapas_opt.plant.plant import Plant
from tapas_opt.plant.workload import ENDPOINTS, Workload
from tapas_opt.simulation.day import endpoint_of, make_day
from tapas_opt.simulation.machine_room import MachineRoom
from tapas_opt.simulation.policy import Orders, Request, Shares
from tapas_opt.simulation.sensed import Telemetry
from tapas_opt.simulation.story import DAY_S, FailureAt, Story

MONDAY = 7
"""The eighth day."""

REQUESTS = 1_000


def at_hour(hour: float) -> float:
    return MONDAY * DAY_S + hour * 3600.0


@pytest.fixture(scope="session")
def clock() -> Callable[[float], float]:
    """Seconds at an hour of the simulated day."""
    return at_hour


@pytest.fixture(scope="session")
def profiles(repository: Path) -> Profiles:
    return Profiles(read_profiles(repository / "data" / "demo" / "profiles.csv"))


@pytest.fixture(scope="session")
def started(profiles: Profiles) -> dict[str, Profile]:
    """Profile that the instances of each endpoint start with."""
    by_name = {profile.configuration.name: profile for profile in profiles.all}
    return {endpoint: by_name[name] for endpoint, name in ENDPOINTS.items()}


@pytest.fixture(scope="session")
def options(profiles: Profiles) -> dict[str, Option]:
    return {option.name: option for option in profiles.options}


@pytest.fixture(scope="session")
def trace() -> dict[str, pd.DataFrame]:
    """A thousand requests an endpoint; the prompt's length is the request's number, so that none can be mistaken."""
    table = {"t_s": range(REQUESTS), "context_tokens": range(1, REQUESTS + 1), "generated_tokens": [10] * REQUESTS}
    return {endpoint: pd.DataFrame(table) for endpoint in ENDPOINTS}


@pytest.fixture(scope="session")
def failing() -> Callable[..., FailureAt]:
    """A UPS that fails at an hour of the day, for half an hour."""

    def make(hour: float, ups: str = "U2", for_s: float = 1800.0) -> FailureAt:
        return FailureAt(at_hour(hour), at_hour(hour) + for_s, Failure(FailureKind.UPS, ups))

    return make


@pytest.fixture(scope="session")
def make(started: dict[str, Profile], trace: dict[str, pd.DataFrame]) -> Callable[..., Story]:
    """Draw a day: 12 VMs at midnight and 4 more until the next, unless told otherwise."""

    def draw(failures: Sequence[FailureAt] = (), **other: object) -> Story:
        numbers = {"day": MONDAY, "running": 12, "arriving": 4} | other
        return make_day(Workload(seed=1), started, trace, failures, **numbers)  # type: ignore[arg-type]

    return draw


@pytest.fixture
def room_of(options: dict[str, Option], started: dict[str, Profile]) -> Callable[..., MachineRoom]:
    """A room on a mild day, its servers on and idle; users of both endpoints are looked at."""

    def build(site: Site, start_s: float = at_hour(0)) -> MachineRoom:
        plant = Plant(topology_of(site), seed=1, start_s=start_s, outdoor=lambda t_s: 15.0)
        endpoints = [endpoint_of(name, profile) for name, profile in started.items()]
        return MachineRoom(plant, Workload(seed=1), options, Actuation(), endpoints)

    return build


@dataclass
class Scripted:
    """Places VMs in the order of the servers, serves evenly, and answers a failure with orders that are given."""

    servers: Sequence[str]
    answer: Orders = field(default_factory=Orders)
    routes: bool = True
    name: str = "scripted"
    asked: list[tuple[str, float]] = field(default_factory=list)
    vms: dict[str, Vm] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    def adopt(self, vms: Sequence[tuple[Vm, str]], groups: Sequence[Group], now_s: float) -> None:
        self.asked.append(("adopt", now_s))
        self.taken |= {server for _, server in vms}
        self.vms |= {vm.name: vm for vm, _ in vms}

    def place(self, vms: Sequence[Vm], groups: Sequence[Group], now_s: float) -> Mapping[str, str]:
        self.asked.append(("place", now_s))
        free = [server for server in self.servers if server not in self.taken]
        found = dict(zip((vm.name for vm in vms), free, strict=False))
        self.taken |= set(found.values())
        self.vms |= {vm.name: vm for vm in vms if vm.name in found}
        return found

    def release(self, names: Sequence[str], now_s: float) -> None:
        self.asked.append(("release", now_s))
        for name in names:
            del self.vms[name]

    def observe(self, telemetry: Telemetry) -> Orders:
        self.asked.append(("observe", telemetry.t_s))
        return Orders()

    def shares(self, now_s: float) -> Shares:
        members: dict[str, list[str]] = {}
        for vm in self.vms.values():
            if vm.endpoint:
                members.setdefault(vm.endpoint, []).append(vm.name)
        return {endpoint: dict.fromkeys(names, 1 / len(names)) for endpoint, names in members.items()}

    def route(self, requests: Sequence[Request], now_s: float) -> int:
        return len(requests) if self.routes else 0

    def announced(self, outage: Failure, now_s: float) -> None:
        self.asked.append(("announced", now_s))

    def failed(self, failure: Failure, now_s: float) -> Orders:
        self.asked.append(("failed", now_s))
        return self.answer

    def cleared(self, failure: Failure, now_s: float) -> Orders:
        self.asked.append(("cleared", now_s))
        return Orders()

    def review(self, now_s: float) -> Orders:
        self.asked.append(("review", now_s))
        return Orders()

    def applied(self, vm: str, now_s: float) -> None:
        self.asked.append((f"applied {vm}", now_s))

    def times(self, what: str) -> list[float]:
        return [t_s for name, t_s in self.asked if name == what]


@pytest.fixture(scope="session")
def scripted() -> type[Scripted]:
    return Scripted


@pytest.fixture
def metered(two_rows: Site) -> Callable[..., Telemetry]:
    """Telemetry of ``two_rows`` at rest, but for what the meters of its rows (W) and UPSs (W) show."""
    plant = Plant(topology_of(two_rows), seed=1, outdoor=lambda t_s: 15.0)

    def make(row_w: Sequence[float], ups_w: Sequence[float] = (1_000.0,) * 4, t_s: float = 0.0) -> Telemetry:
        sensed = replace(plant.read(), t_s=t_s, row_meter_power_w=np.array(row_w))
        return Telemetry(t_s, sensed, np.array(ups_w), {})

    return make

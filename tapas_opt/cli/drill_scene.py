"""What every policy of the drill meets alike: a site, a day with its VMs, requests and failures, and the room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tapas_opt.cli.paths import demo_data, demo_models
from tapas_opt.control.actuation import Actuation
from tapas_opt.control.controller import Controller
from tapas_opt.control.profiles import Profiles
from tapas_opt.domain.configuration import Profile, read_profiles
from tapas_opt.domain.failure import Failure, FailureKind
from tapas_opt.domain.site import Site
from tapas_opt.domain.site_file import read_site
from tapas_opt.domain.topology import topology_of
from tapas_opt.errors import Fault, InvalidInput
from tapas_opt.learn.models import LearnedModels
from tapas_opt.plant.plant import Plant
from tapas_opt.plant.workload import ENDPOINTS, Workload
from tapas_opt.simulation.day import make_day
from tapas_opt.simulation.machine_room import MachineRoom
from tapas_opt.simulation.policies.table import Known
from tapas_opt.simulation.story import DAY_S, FailureAt, Story
from tapas_opt.telemetry.trace import read_trace

__all__ = ["DrillScene", "read_scene"]

DAY = 28
"""The day after the four weeks that the demo's models were learned from: a Monday."""

RUNNING_FRAC, ARRIVING_FRAC = 62 / 80, 20 / 80
"""VMs that run at midnight, and that arrive during the day, per server of the site."""

ADOPTED_EVERY = 10
"""Every so many servers, in the order of the site file, a naive allocator has put a VM before the day began."""

UPS_FAILS_AT_H, AHU_FAILS_AT_H, FAILS_FOR_S = 15.0, 17.0, 1800.0


@dataclass(frozen=True)
class DrillScene:
    """A day, and everything that a room and a controller for it are made of.

    Attributes
    ----------
    started
        By endpoint: the profile of the configuration that its instances start with.
    """

    site_path: Path
    site: Site
    profiles: Profiles
    models: LearnedModels
    day: Story
    started: dict[str, Profile]
    seed: int

    def known(self) -> Known:
        """What a policy may know of the site."""
        return Known(self.site, self.models, self.profiles, self.day.endpoints)

    def controller(self) -> Controller:
        """An empty fleet on this site, with what has been learned."""
        return Controller(self.site, self.models, self.profiles)

    def room(self) -> MachineRoom:
        """The room at the start of the day: servers on and idle, the same machines and sensors each time."""
        plant = Plant(topology_of(self.site), seed=self.seed, start_s=self.day.start_s)
        options = {option.name: option for option in self.profiles.options}
        return MachineRoom(plant, self.day.workload, options, Actuation(), self.day.endpoints)


def read_scene(site_path: Path, trace_folder: Path, hours: tuple[float, float], seed: int) -> DrillScene:
    """Read site, profiles, models and trace, and draw the day.

    Raises
    ------
    InvalidInput
        A file is wrong, the models do not cover the site, or the trace is not one of the drill's endpoints.
    """
    site = read_site(site_path)
    trace = read_trace(trace_folder)
    _judge_endpoints(trace_folder, sorted(trace))
    profiles = Profiles(read_profiles(demo_data() / "profiles.csv"))
    models = LearnedModels.load(demo_models())
    topology = topology_of(site)
    models.check_covers(topology)
    by_name = {profile.configuration.name: profile for profile in profiles.all}
    started = {endpoint: by_name[configuration] for endpoint, configuration in ENDPOINTS.items()}
    day = make_day(
        Workload(seed=seed),
        started,
        trace,
        _failures(site),
        day=DAY,
        running=round(RUNNING_FRAC * len(topology.servers)),
        arriving=round(ARRIVING_FRAC * len(topology.servers)),
        hours=hours,
        occupied=topology.servers[::ADOPTED_EVERY],
    )
    return DrillScene(site_path, site, profiles, models, day, started, seed)


def _judge_endpoints(folder: Path, found: Sequence[str]) -> None:
    """The drill serves the two services of the Azure traces, no more and no fewer."""
    expected = f"the drill's endpoints are {' and '.join(sorted(ENDPOINTS))}, one CSV file each"
    faults = [Fault("folder", f"has no trace for endpoint {name}; {expected}") for name in set(ENDPOINTS) - set(found)]
    faults += [Fault(name, f"is no endpoint of the drill; {expected}") for name in found if name not in ENDPOINTS]
    if faults:
        raise InvalidInput(str(folder), sorted(faults, key=str))


def _failures(site: Site) -> tuple[FailureAt, ...]:
    """The second UPS and the first air handler of the first room, at the daily peak."""
    room = site.rooms[0]
    ups, ahu = room.upses[min(1, len(room.upses) - 1)], room.ahus[0]
    return _failing(UPS_FAILS_AT_H, FailureKind.UPS, ups.name), _failing(AHU_FAILS_AT_H, FailureKind.AHU, ahu.name)


def _failing(hour: float, kind: FailureKind, element: str) -> FailureAt:
    at_s = DAY * DAY_S + hour * 3600.0
    return FailureAt(
        at_s, at_s + FAILS_FOR_S, Failure(kind, element, 0.0, started_at_s=at_s, expected_duration_s=FAILS_FOR_S)
    )

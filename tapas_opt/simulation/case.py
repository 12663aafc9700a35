"""One case of a study: a scenario on a site with a seed, through which policies are taken one by one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, isfinite

import numpy as np
from numpy.typing import NDArray

from tapas_opt.control.actuation import Actuation
from tapas_opt.control.profiles import Profiles
from tapas_opt.domain.configuration import Profile
from tapas_opt.domain.site import Site
from tapas_opt.domain.site_generator import MAX_SERVERS, MIN_SERVERS, SiteShape, generate_site
from tapas_opt.domain.topology import Topology, topology_of
from tapas_opt.errors import Fault, InvalidInput
from tapas_opt.learn.models import LearnedModels
from tapas_opt.plant.parameters import Parameters
from tapas_opt.plant.plant import Plant
from tapas_opt.plant.weather import Weather
from tapas_opt.plant.weather_file import HourlyWeather
from tapas_opt.plant.workload import ENDPOINTS, Workload
from tapas_opt.simulation.day import endpoint_of, groups_of
from tapas_opt.simulation.failing import read_failures, shifted
from tapas_opt.simulation.lives import population
from tapas_opt.simulation.loop import run_story
from tapas_opt.simulation.machine_room import MachineRoom
from tapas_opt.simulation.policies.table import Known, judge_names, policy_of
from tapas_opt.simulation.record import Record
from tapas_opt.simulation.scenarios import OVERSUBSCRIPTION, SCENARIOS, SHAPES, Frame
from tapas_opt.simulation.story import DAY_S, Story

__all__ = ["Case", "Learned", "World", "judge", "site_of", "started_with", "world_of"]

FloatArray = NDArray[np.float64]

FIRST_DAY = 28
"""The day after the four weeks of history that models are learned from: a Monday."""

OCCUPANCY = 0.9

SAAS_SHARE = 0.5
UNBUILT = frozenset({"--days", "--oversubscribe", "--servers", "--site"})
"""Options which, where one is wrong, leave nothing to judge failures by."""

LONGEST_DAYS = 366.0
FEWEST_SERVERS = 16


@dataclass(frozen=True, slots=True)
class Learned:
    """What is known of hardware and site before: profiles and learned models.

    Attributes
    ----------
    measured
        Whether instances truly do what their profiles say. If not, profiles are what was once observed of the plant's
        own model of instances, and nearly right.
    """

    profiles: Profiles
    models: LearnedModels
    measured: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """What is simulated.

    Attributes
    ----------
    servers
        Of a generated site, before those that ``oversubscription`` adds under the same budgets.
    oversubscription
        The scenario's if None.
    occupancy
        VMs that live on the site, per server.
    failures
        Besides the scenario's: ``ups:U2@3d14h+5m``, from the start.
    site
        In place of a generated one.
    demand_shape
        By endpoint its demand at each minute of an hour, relative to the hour's mean.
    weather
        Real outdoor temperature in place of the seed's and of what the scenario adds to it.
    weather_day
        The day of it (from 0) with which the story begins; the first of its hottest so many days if None.
    """

    scenario: str = "week"
    servers: int = 1000
    days: float = 1.0
    seed: int = 1
    oversubscription: float | None = None
    saas_share: float = SAAS_SHARE
    occupancy: float = OCCUPANCY
    failures: tuple[str, ...] = ()
    site: Site | None = None
    demand_shape: Mapping[str, FloatArray] = field(default_factory=dict)
    weather: HourlyWeather | None = None
    weather_day: int | None = None

    @property
    def added_frac(self) -> float:
        """Servers added, as a fraction."""
        return OVERSUBSCRIPTION.get(self.scenario, 0.0) if self.oversubscription is None else self.oversubscription


@dataclass(frozen=True)
class World:
    """A case made ready: what every policy meets alike.

    Attributes
    ----------
    started
        By endpoint: the profile of the configuration that its instances start with.
    """

    case: Case
    site: Site
    learned: Learned
    story: Story
    started: Mapping[str, Profile]

    def run(self, policy: str, on_step: Callable[[float], None] = lambda _: None) -> Record:
        """Take a policy through it, in a room of its own; ``wall_s`` is measured."""
        began = time.perf_counter()
        record = run_story(self.story, self.room(), policy_of(policy, self.known()), self.started, on_step)
        return replace(record, metrics={**record.metrics, "wall_s": round(time.perf_counter() - began, 2)})

    def known(self) -> Known:
        """What policies may know of it."""
        return Known(self.site, self.learned.models, self.learned.profiles, self.story.endpoints)

    def room(self) -> MachineRoom:
        """The room as the story begins: servers on and idle."""
        story = self.story
        sensors = Parameters(bad_sensor_frac=story.bad_sensor_frac, bad_sensor_horizon_s=story.end_s - story.start_s)
        plant = Plant(
            topology_of(self.site),
            seed=self.case.seed,
            start_s=story.start_s,
            parameters=sensors,
            outdoor=story.outdoor,
        )
        measured = self.learned.profiles if self.learned.measured else None
        options = {option.name: option for option in self.learned.profiles.options}
        return MachineRoom(plant, story.workload, options, Actuation(), story.endpoints, measured)


def judge(case: Case, policies: Sequence[str]) -> list[Fault]:
    """Everything that is wrong with a case and the names of policies."""
    faults = list(_faults(case))
    if case.weather is not None and not any(fault.where in ("--days", "--weather-day") for fault in faults):
        try:
            _real_weather(case, case.weather)
        except InvalidInput as error:
            faults += [Fault("--weather", f"{error.subject}: {fault.what}") for fault in error.faults]
    if case.failures and UNBUILT.isdisjoint(fault.where for fault in faults):
        try:
            read_failures(case.failures, topology_of(site_of(case)), case.days * DAY_S)
        except InvalidInput as error:
            faults += error.faults
    return [*faults, *judge_names(policies)]


def world_of(case: Case, learned: Learned) -> World:
    """Make a case ready.

    Raises
    ------
    InvalidInput
        Listing everything that is wrong with it.
    """
    faults = judge(case, ())
    if faults:
        raise InvalidInput("simulate", faults)
    site = site_of(case)
    topology = topology_of(site)
    learned.models.check_covers(topology)
    started = started_with(learned.profiles, learned.measured, topology)
    return World(case, site, learned, _story(case, topology, started), started)


def _faults(case: Case) -> Iterator[Fault]:
    if case.scenario not in SCENARIOS:
        yield Fault("--scenario", f"{case.scenario!r} does not exist; there are {', '.join(SCENARIOS)}")
    if not (isfinite(case.days) and 0.0 < case.days <= LONGEST_DAYS):
        yield Fault("--days", f"{case.days:g}: must be above 0, and no more than {LONGEST_DAYS:g}")
    if case.weather_day is not None and case.weather_day < 0:
        yield Fault("--weather-day", f"{case.weather_day}: must be 0 or more")
    elif case.weather_day is not None and case.weather is None:
        yield Fault("--weather-day", f"{case.weather_day}: is a day of real weather; give it with --weather")
    if not 0.0 <= case.saas_share <= 1.0:
        yield Fault("--saas-share", f"{case.saas_share:g}: must be between 0 and 1")
    if not 0.0 < case.occupancy <= 1.0:
        yield Fault("--occupancy", f"{case.occupancy:g}: must be above 0, and no more than 1")
    addable = 0.0 <= case.added_frac <= 10.0
    if not addable:
        yield Fault("--oversubscribe", f"{case.added_frac:g}: must be between 0 and 10")
    most = MAX_SERVERS / (1.0 + case.added_frac if addable else 1.0)
    if case.site is None and not max(FEWEST_SERVERS, MIN_SERVERS) <= case.servers <= most:
        yield Fault("--servers", f"{case.servers}: must be between {FEWEST_SERVERS} and {MAX_SERVERS} with those added")
    if case.site is not None and case.added_frac:
        of_scenario = f"; {case.scenario} adds servers unless it is 0" if case.oversubscription is None else ""
        what = f"cannot be combined with --site: its budgets are what its file says{of_scenario}"
        yield Fault("--oversubscribe", what)
    if case.site is not None and sum(1 for _ in case.site.servers()) < FEWEST_SERVERS:
        yield Fault(
            "--site", f"has fewer than {FEWEST_SERVERS} servers: too small for a simulation of VMs that come and go"
        )
    yield from (
        Fault("--trace", f"{name}: is no endpoint; there are {', '.join(ENDPOINTS)}")
        for name in case.demand_shape
        if name not in ENDPOINTS
    )


def site_of(case: Case) -> Site:
    """The one given, or a generated one with more servers under the budgets of ``servers``."""
    if case.site is not None:
        return case.site
    shape = replace(SHAPES.get(case.scenario, SiteShape()), oversubscription=case.added_frac)
    return generate_site(round(case.servers * (1.0 + case.added_frac)), shape=shape)


def started_with(profiles: Profiles, measured: bool, topology: Topology) -> dict[str, Profile]:
    """Profiles of what endpoints start with, on the hardware that most servers are of.

    Where measured profiles do not have what the demo starts with: the best answers, and the most of them.

    Raises
    ------
    InvalidInput
        Listing the endpoints that cannot start.
    """
    most = topology.hardware[int(np.bincount(topology.server_hardware).argmax())]
    needed = topology.hardware if measured else (most,)
    there = [
        profile
        for profile in profiles.all
        if profile.hardware == most and all(profiles.get(profile.configuration.name, name) for name in needed)
    ]
    by_name = {profile.configuration.name: profile for profile in there}
    if measured and there:
        best = max(there, key=lambda profile: (profile.quality, profile.goodput_tokens_per_s))
        return {endpoint: by_name.get(name, best) for endpoint, name in ENDPOINTS.items()}
    if measured:
        there_is = ", ".join(sorted({profile.hardware for profile in profiles.all}))
        what = f"has no profile on {' and '.join(needed)}, which the site has, but on {there_is}; give --site of these"
        raise InvalidInput.one("profiles", "--profiles", what)
    faults = [
        Fault(f"endpoint {endpoint}", f"{name!r} has no profile on {', '.join(needed)}")
        for endpoint, name in ENDPOINTS.items()
        if name not in by_name
    ]
    if faults:
        raise InvalidInput("profiles", faults)
    return {endpoint: by_name[name] for endpoint, name in ENDPOINTS.items()}


def _real_weather(case: Case, weather: HourlyWeather) -> HourlyWeather:
    """The part of it that the story meets, from time 0 on; InvalidInput if it is shorter than that."""
    day = weather.hottest_day(ceil(case.days)) if case.weather_day is None else case.weather_day
    weather.check_covers(day * DAY_S, (day + case.days) * DAY_S)
    return weather.from_day(day)


def _outdoor(case: Case, start_s: float, end_s: float, warmer_k: float) -> Callable[[float], float]:
    """Outdoor temperature (°C) by time."""
    if case.weather is None:
        drawn = Weather(case.seed)
        return lambda t_s: drawn.outdoor_c(t_s) + warmer_k
    real = _real_weather(case, case.weather)
    return lambda t_s: real.outdoor_c(min(t_s, end_s) - start_s)


def _story(case: Case, topology: Topology, started: Mapping[str, Profile]) -> Story:
    start_s = FIRST_DAY * DAY_S
    end_s = start_s + case.days * DAY_S
    twist = SCENARIOS[case.scenario](Frame(topology, tuple(ENDPOINTS), start_s, end_s))
    configurations = {name: profile.configuration.name for name, profile in started.items()}
    workload = Workload(seed=case.seed, endpoints=configurations, spikes=twist.spikes)
    asked = read_failures(case.failures, topology, end_s - start_s)
    vms = round(case.occupancy * len(topology.servers))
    living = population(workload, vms=vms, saas_share=case.saas_share, start_s=start_s, end_s=end_s, seed=case.seed)
    return Story(
        start_s=start_s,
        end_s=end_s,
        workload=workload,
        endpoints=tuple(endpoint_of(name, started[name]) for name in workload.endpoints),
        groups=groups_of(workload),
        adopted=(),
        running=living.running,
        arrivals=living.arrivals,
        failures=(*twist.failures, *(shifted(item, start_s) for item in asked)),
        goodput_of={name: profile.goodput_tokens_per_s for name, profile in started.items()},
        demand_shape=case.demand_shape,
        outdoor=_outdoor(case, start_s, end_s, twist.warmer_k),
        bad_sensor_frac=twist.bad_sensor_frac,
    )

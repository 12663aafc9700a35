"""The policies by their names, made for a site."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tapas_opt.control.controller import Controller
from tapas_opt.control.profiles import Profiles
from tapas_opt.control.recorder import Met, unrecorded
from tapas_opt.control.settings import Settings
from tapas_opt.domain.site import Site
from tapas_opt.domain.topology import topology_of
from tapas_opt.domain.workload import Endpoint
from tapas_opt.errors import Fault, InvalidInput
from tapas_opt.learn.models import LearnedModels
from tapas_opt.simulation.policies.composed import Composed
from tapas_opt.simulation.policies.controlled import BY_WORK, Controlled
from tapas_opt.simulation.policies.even import EvenPlacer, EvenRouter, PackingPlacer, UniformCap
from tapas_opt.simulation.policies.insight import Insight
from tapas_opt.simulation.policies.polca import Polca
from tapas_opt.simulation.policies.roster import Roster
from tapas_opt.simulation.policies.tapas_configure import TapasConfigurator
from tapas_opt.simulation.policies.tapas_place import TapasPlacer
from tapas_opt.simulation.policies.tapas_route import TapasRouter
from tapas_opt.simulation.policy import Policy

__all__ = ["BLIND", "HEURISTIC", "POLICIES", "Known", "judge_names", "policy_of"]


HEURISTIC = Settings(secure=False, solver="greedy", arm_every_s=0.0, settle_after_s=0.0)
"""Of a controller that is asked for forecasts only: the paper's heuristics do not plan for failures."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a policy may know of a site before anything happens."""

    site: Site
    models: LearnedModels
    profiles: Profiles
    endpoints: tuple[Endpoint, ...]

    def controller(self, settings: Settings, met: Met = unrecorded) -> Controller:
        """An empty fleet with its endpoints; ``met`` is told of each problem with its answer."""
        controller = Controller(self.site, self.models, self.profiles, settings=settings, met=met)
        for endpoint in self.endpoints:
            controller.apply(controller.put_endpoint(endpoint))
        return controller


def _blind(
    name: str, placer: type[EvenPlacer] = EvenPlacer, configurator: type[UniformCap | Polca] = UniformCap
) -> Callable[[Known], Policy]:
    """The baseline, or that with another part that knows nothing that was learned."""

    def made(known: Known) -> Policy:
        roster = Roster(topology_of(known.site))
        return Composed(name, roster, placer(roster), EvenRouter(roster), configurator(roster))

    return made


def _tapas(name: str, parts: Sequence[str]) -> Callable[[Known], Policy]:
    """The baseline with some of its parts replaced by TAPAS's."""

    def made(known: Known) -> Policy:
        roster = Roster(topology_of(known.site))
        insight = Insight(known.controller(HEURISTIC))
        return Composed(
            name,
            roster,
            TapasPlacer(roster, insight) if "place" in parts else EvenPlacer(roster),
            TapasRouter(insight) if "route" in parts else EvenRouter(roster),
            TapasConfigurator(roster, insight) if "config" in parts else UniformCap(roster),
            insight,
        )

    return made


def _tapas_opt(known: Known) -> Policy:
    return Controlled(known.controller(BY_WORK))


_PARTS = ("place", "route", "config", "place+route", "place+config", "route+config")

POLICIES: Mapping[str, Callable[[Known], Policy]] = {
    "baseline": _blind("baseline"),
    "packed": _blind("packed", placer=PackingPlacer),
    "polca": _blind("polca", configurator=Polca),
    **{name: _tapas(name, name.split("+")) for name in _PARTS},
    "tapas": _tapas("tapas", ("place", "route", "config")),
    "tapas-opt": _tapas_opt,
}
"""How each policy is made."""

BLIND = ("baseline", "packed", "polca")
"""Policies that know nothing that was learned."""


def judge_names(names: Sequence[str]) -> list[Fault]:
    """What is wrong with names of policies."""
    there = ", ".join(POLICIES)
    faults = [
        Fault("--policy", f"{name!r} does not exist; there are {there}") for name in names if name not in POLICIES
    ]
    twice = sorted({name for name in names if names.count(name) > 1})
    return faults + [Fault("--policy", f"{name!r} is given twice; give it once") for name in twice]


def policy_of(name: str, known: Known) -> Policy:
    """Make a policy.

    Raises
    ------
    InvalidInput
        There is no policy of this name.
    """
    faults = judge_names([name])
    if faults:
        raise InvalidInput("policies", faults)
    return POLICIES[name](known)

"""The cells of a study: one case, one policy, one seed each, named by a hash of all that decides what comes out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from tapas_opt.domain.failure import FailureKind
from tapas_opt.domain.site import Site
from tapas_opt.domain.topology import Topology, topology_of
from tapas_opt.errors import Fault, InvalidInput
from tapas_opt.planning.program import program
from tapas_opt.planning.rooms import built
from tapas_opt.planning.study import Study, WeatherAsked
from tapas_opt.planning.worths import AS_IS, raised, scarcest
from tapas_opt.plant.weather_file import HourlyWeather
from tapas_opt.simulation.case import Case, Learned, world_of
from tapas_opt.simulation.failing import read_failures
from tapas_opt.simulation.story import DAY_S

__all__ = ["COORDINATES", "Cell", "Named", "Step", "cells_of", "learned_fingerprint"]

ANY = "*"
DECIDING = ("scenario", "days", "seed", "saas_share", "failures", "weather_day")
"""What of a case decides what comes out, besides its site and its weather."""

COORDINATES = ("site", "scenario", "weather", "oversubscription", "saas_share", "failure", "which", "policy", "seed")
"""What tells the cells of a study apart, in this order."""


@dataclass(frozen=True, slots=True)
class Named:
    """What a study names by files: sites and weather by the study's names of them."""

    sites: Mapping[str, Site] = field(default_factory=dict)
    weather: Mapping[str, HourlyWeather] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of a study.

    Attributes
    ----------
    site, weather
        The study's names of them; they themselves are in ``case``.
    failure, which
        The study's name of what fails, and the elements that fail.
    key
        A hash of all that decides what comes out.
    """

    site: str
    weather: str
    oversubscription: float
    failure: str
    which: str
    policy: str
    case: Case
    key: str

    def coordinates(self) -> dict[str, Any]:
        """Where in the study it stands, by :data:`COORDINATES`."""
        case = self.case
        values = (self.site, case.scenario, self.weather, self.oversubscription, case.saas_share)
        return dict(zip(COORDINATES, (*values, self.failure, self.which, self.policy, case.seed), strict=True))


@dataclass(frozen=True, slots=True)
class Step:
    """A placement of all VMs on a site of the study, as it is or with one limit raised, to see what that is worth.

    Attributes
    ----------
    element, step, unit
        What is raised, such as ``ups:U2``, and by how much; :data:`~tapas_opt.planning.worths.AS_IS` for nothing.
    """

    site: str
    oversubscription: float
    element: str
    step: int
    unit: str
    case: Case
    key: str

    def coordinates(self) -> dict[str, Any]:
        """Where in the study it stands."""
        told = {name: getattr(self, name) for name in ("site", "oversubscription", "element", "step", "unit")}
        return {**told, "saas_share": self.case.saas_share}


def cells_of(study: Study, named: Named, learned: Learned | None) -> tuple[tuple[Cell, ...], tuple[Step, ...]]:
    """All cells of a study, the most alike one after the other, and the steps whose worth is asked for.

    Parameters
    ----------
    named
        What the study's files hold; what is not among them though the study names a file is passed over.
    learned
        None where it cannot be read: then all that needs no models is judged, and nothing comes back.

    Raises
    ------
    InvalidInput
        Listing every failure that does not exist on one of the sites, and what else is wrong with these.
    """
    faults: list[Fault] = []
    known = "" if learned is None else learned_fingerprint(learned)
    cells: list[Cell] = []
    steps: list[Step] = []
    for (n, asked), added_frac in product(enumerate(study.sites), study.oversubscription):
        if asked.name not in named.sites and (asked.file is not None or asked.servers is None):
            continue
        try:
            site = built(asked, named.sites.get(asked.name), added_frac)
        except InvalidInput as error:
            faults += [Fault(f"sites[{n}]", str(fault)) for fault in error.faults]
            continue
        base = Case(days=study.days, oversubscription=0.0, site=site)
        if learned is not None:
            faults += _unready(study, base, named, n, learned)
        try:
            failing = _failing(study, asked.name, topology_of(site))
        except InvalidInput as error:
            faults += error.faults
            continue
        cells += _of_site(study, named, base, asked.name, added_frac, failing, known)
        steps += _steps(study, named, base, asked.name, added_frac, known)
    if faults or learned is None:
        raise InvalidInput("study", list(dict.fromkeys(faults)))
    return tuple(cells), tuple(steps)


def learned_fingerprint(learned: Learned) -> str:
    """A hash over models and profiles, and whether these are true."""
    profiles = repr(sorted(learned.profiles.all, key=repr))
    return hashlib.sha256(f"{learned.models.fingerprint} {learned.measured} {profiles}".encode()).hexdigest()[:16]


def _unready(study: Study, base: Case, named: Named, site: int, learned: Learned) -> Iterator[Fault]:
    """What keeps a site, or weather, from being simulated."""
    for n, weather in enumerate(study.weather):
        try:
            world_of(_under(base, weather, named), learned)
        except InvalidInput as error:
            for fault in error.faults:
                of_weather = fault.where.startswith("--weather")
                yield Fault(f"weather[{n}]", fault.what) if of_weather else Fault(f"sites[{site}]", str(fault))


def _under(case: Case, weather: WeatherAsked, named: Named) -> Case:
    hourly = named.weather.get(weather.name)
    return replace(case, weather=hourly, weather_day=None if hourly is None else weather.day)


def _of_site(
    study: Study,
    named: Named,
    base: Case,
    name: str,
    added_frac: float,
    failing: Sequence[tuple[str, tuple[str, ...]]],
    known: str,
) -> Iterator[Cell]:
    """Cells of a site as it was built and filled."""
    layout = _layout(base)
    for scenario, weather, saas_share, (failure, events), policy, seed in product(
        study.scenarios, study.weather, study.saas_share, failing, study.policies, study.seeds
    ):
        case = _under(base, weather, named)
        case = replace(case, scenario=scenario, saas_share=saas_share, failures=events, seed=seed)
        which = " + ".join(event.partition("@")[0] for event in events)
        key = _key("run", case, layout, known, policy)
        yield Cell(name, weather.name, added_frac, failure, which, policy, case, key)


def _steps(study: Study, named: Named, base: Case, name: str, added_frac: float, known: str) -> Iterator[Step]:
    """A site as it is, and with each of its scarcest limits raised."""
    if study.worth is None or base.site is None:
        return
    first = replace(_under(base, study.weather[0], named), scenario=study.scenarios[0], seed=study.seeds[0])
    for saas_share, element in product(study.saas_share, (AS_IS, *scarcest(base.site, study.worth.places))):
        case = replace(first, saas_share=saas_share, site=raised(base.site, element, study.worth))
        step, unit = (study.worth.airflow_cfm, "CFM") if element.startswith("ahu:") else (study.worth.power_w, "W")
        key = _key("placed", case, _layout(case), known, "")
        yield Step(name, added_frac, element, step if element else 0, unit if element else "", case, key)


def _layout(case: Case) -> str:
    """A hash over a case's site; its name changes nothing."""
    assert case.site is not None
    return hashlib.sha256(repr(replace(case.site, name="site")).encode()).hexdigest()


def _key(what: str, case: Case, layout: str, known: str, policy: str) -> str:
    outdoor = "" if case.weather is None else hashlib.sha256(case.weather.hourly_c.tobytes()).hexdigest()
    decides = (program(), what, layout, outdoor, known, policy, *(getattr(case, name) for name in DECIDING))
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:32]


def _failing(study: Study, site: str, topology: Topology) -> list[tuple[str, tuple[str, ...]]]:
    """Name and events of what fails, ``*`` replaced by each element of its kind in turn; InvalidInput lists faults."""
    found: list[tuple[str, tuple[str, ...]]] = []
    faults: list[Fault] = []
    for name, events in study.failures.items():
        for one in product(*(_each(event, topology) for event in events)):
            try:
                read_failures(one, topology, study.days * DAY_S)
            except InvalidInput as error:
                faults += [Fault(f"failures.{name}", f"on site {site}: {fault.what}") for fault in error.faults]
                break  # the others that * stands for are as wrong
            found.append((name, one))
    if faults:
        raise InvalidInput("study", faults)
    return found


def _each(event: str, topology: Topology) -> tuple[str, ...]:
    """The event, or one for each element that ``*`` stands for."""
    kind, colon, rest = event.partition(":")
    if not colon or not rest.startswith(ANY):
        return (event,)
    elements: Mapping[str, tuple[str, ...]] = {
        FailureKind.UPS: topology.upses,
        FailureKind.PDU: topology.pdus,
        FailureKind.AHU: topology.ahus,
        FailureKind.CHILLED_WATER: topology.rooms,
        FailureKind.ROOM_POWER: topology.rooms,
        FailureKind.ROOM_AIRFLOW: topology.rooms,
    }
    return tuple(f"{kind}:{name}{rest[1:]}" for name in elements[kind]) if kind in elements else (event,)

"""The cells of a study: one case, one policy, one seed each, named by a hash of all that decides what comes out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from tapas_opt.domain.failure import FailureKind
from tapas_opt.domain.site import Site
from tapas_opt.domain.topology import Topology, topology_of
from tapas_opt.errors import Fault, InvalidInput
from tapas_opt.planning.lessons import Lesson, lesson_of
from tapas_opt.planning.program import named_by
from tapas_opt.planning.rooms import built, layout
from tapas_opt.planning.study import Study, WeatherAsked
from tapas_opt.planning.worths import AS_IS, raised, scarcest, together
from tapas_opt.plant.weather_file import HourlyWeather
from tapas_opt.simulation.case import Case, Learned, world_of
from tapas_opt.simulation.failing import read_failures
from tapas_opt.simulation.learning import asks_models
from tapas_opt.simulation.story import DAY_S

__all__ = ["COORDINATES", "GIVEN", "Cell", "Named", "Step", "Work", "cells_of", "goes_by", "profiles_fingerprint"]

ANY = "*"

GIVEN = ""
"""What cells go by that have no lesson: models that the study names, or any, where a policy reads none."""

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
    lesson
        What has to be learned before; None where the policy reads no models, or the study names some.
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
    lesson: Lesson | None
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
    lesson
        What has to be learned before, of the site as it is; None where the study names models.
    """

    site: str
    oversubscription: float
    element: str
    step: int
    unit: str
    case: Case
    lesson: Lesson | None
    key: str

    def coordinates(self) -> dict[str, Any]:
        """Where in the study it stands."""
        told = {name: getattr(self, name) for name in ("site", "oversubscription", "element", "step", "unit")}
        return {**told, "saas_share": self.case.saas_share}


Work = Lesson | Cell | Step
"""What is run somewhere, and comes to something that is kept."""


def goes_by(work: Work) -> str:
    """By which models: the key of the lesson that comes before, or :data:`GIVEN`."""
    lesson = None if isinstance(work, Lesson) else work.lesson
    return GIVEN if lesson is None else lesson.key


@dataclass(frozen=True, slots=True)
class _Filling:
    """A site of the study with servers added, and how it is known.

    Attributes
    ----------
    profiles, models
        Fingerprints of those that are given; where models are learned, the key of the lesson.
    lesson
        None where models are given.
    """

    name: str
    added_frac: float
    base: Case
    profiles: str
    models: str
    lesson: Lesson | None

    def key(self, what: str, case: Case, laid_out: str, models: str, policy: str) -> str:
        """The key of a cell or a step that reads these models."""
        outdoor = "" if case.weather is None else hashlib.sha256(case.weather.hourly_c.tobytes()).hexdigest()
        deciding = (getattr(case, name) for name in DECIDING)
        return named_by(what, laid_out, outdoor, self.profiles, models, policy, *deciding)


def cells_of(study: Study, named: Named, learned: Learned | None) -> tuple[tuple[Cell, ...], tuple[Step, ...]]:
    """All cells of a study, the most alike one after the other, and the steps whose worth is asked for.

    Parameters
    ----------
    named
        What the study's files hold; what is not among them though the study names a file is passed over.
    learned
        Of a study that names no models: those that stand for its sites' own until these are learned. None where it
        cannot be read: then all that needs no models is judged, and nothing comes back.

    Raises
    ------
    InvalidInput
        Listing every failure that does not exist on one of the sites, and what else is wrong with these.
    """
    faults: list[Fault] = []
    profiles = "" if learned is None else profiles_fingerprint(learned)
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
        if learned is not None:
            lesson = lesson_of(asked.name, added_frac, site) if study.models is None else None
            models = learned.models.fingerprint if lesson is None else lesson.key
            filling = _Filling(asked.name, added_frac, base, profiles, models, lesson)
            cells += _of_site(study, named, filling, failing)
            steps += _steps(study, named, filling)
    if faults or learned is None:
        raise InvalidInput("study", list(dict.fromkeys(faults)))
    return tuple(cells), tuple(steps)


def profiles_fingerprint(learned: Learned) -> str:
    """A hash over profiles, and whether these are true."""
    profiles = repr(sorted(learned.profiles.all, key=repr))
    return hashlib.sha256(f"{learned.measured} {profiles}".encode()).hexdigest()[:16]


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
    study: Study, named: Named, filling: _Filling, failing: Sequence[tuple[str, tuple[str, ...]]]
) -> Iterator[Cell]:
    """Cells of a site as it was built and filled."""
    laid_out = _layout(filling.base)
    name, added_frac = filling.name, filling.added_frac
    for scenario, weather, saas_share, (failure, events), policy, seed in product(
        study.scenarios, study.weather, study.saas_share, failing, study.policies, study.seeds
    ):
        case = _under(filling.base, weather, named)
        case = replace(case, scenario=scenario, saas_share=saas_share, failures=events, seed=seed)
        which = " + ".join(event.partition("@")[0] for event in events)
        models, lesson = (filling.models, filling.lesson) if asks_models([policy]) else ("", None)
        key = filling.key("run", case, laid_out, models, policy)
        yield Cell(name, weather.name, added_frac, failure, which, policy, case, lesson, key)


def _steps(study: Study, named: Named, filling: _Filling) -> Iterator[Step]:
    """A site as it is, and with each of its scarcest limits raised."""
    site = filling.base.site
    if study.worth is None or site is None:
        return
    first = replace(_under(filling.base, study.weather[0], named), scenario=study.scenarios[0], seed=study.seeds[0])
    for saas_share, element in product(study.saas_share, (AS_IS, *scarcest(site, study.worth.places), *together(site))):
        case = replace(first, saas_share=saas_share, site=raised(site, element, study.worth))
        step, unit = (study.worth.airflow_cfm, "CFM") if element.startswith("ahu:") else (study.worth.power_w, "W")
        told = (element, step, unit) if element else (AS_IS, 0, "")
        key = filling.key("placed", case, _layout(case), filling.models, "")
        yield Step(filling.name, filling.added_frac, *told, case, filling.lesson, key)


def _layout(case: Case) -> str:
    assert case.site is not None
    return layout(case.site)


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

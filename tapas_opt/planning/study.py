"""The file of a study: which cases are run, at which risk a room is full, and what things cost.

The product of its lists is run, once for each policy and seed. Everything is judged before anything runs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter
from pydantic_core import PydanticCustomError

from tapas_opt.domain.fields import STRICT, Count, Fraction, Name, NonNegative, Positive, field_faults
from tapas_opt.domain.site_generator import HARDWARE, MAX_SERVERS, SiteShape
from tapas_opt.domain.yaml_file import read_yaml
from tapas_opt.errors import Fault, InvalidInput
from tapas_opt.simulation.case import FEWEST_SERVERS, LONGEST_DAYS
from tapas_opt.simulation.policies.table import POLICIES
from tapas_opt.simulation.scenarios import SCENARIOS

__all__ = ["Assumed", "Money", "Risk", "SiteAsked", "Steps", "Study", "WeatherAsked", "contradictions", "read_study"]


def _one_of(names: Collection[str]) -> AfterValidator:
    """Refuse any other name, and say which there are."""

    def judged(name: str) -> str:
        if name not in names:
            raise PydanticCustomError("unknown", "does not exist; there are {names}", {"names": ", ".join(names)})
        return name

    return AfterValidator(judged)


PolicyName = Annotated[str, _one_of(POLICIES)]
ScenarioName = Annotated[str, _one_of(SCENARIOS)]
Text = Annotated[str, Field(min_length=1, max_length=120)]
Limit = NonNegative | None


@dataclass(frozen=True, slots=True)
class SiteAsked:
    """A site of the study: generated for a number of servers, or read from a file.

    Attributes
    ----------
    servers, hardware, shape
        Of a generated one (:func:`~tapas_opt.domain.site_generator.generate_site`), before servers are added.
    file
        A site file, relative to the study's.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    name: Name
    servers: Annotated[int, Field(ge=FEWEST_SERVERS, le=MAX_SERVERS)] | None = None
    hardware: Literal["dgx-a100", "dgx-h100"] = "dgx-a100"
    shape: SiteShape = field(default_factory=SiteShape)
    file: Text | None = None


@dataclass(frozen=True, slots=True)
class WeatherAsked:
    """Weather of the study: each seed's own, or real temperatures by the hour.

    Attributes
    ----------
    file, place, day
        A table of hourly temperatures beside the study, which of its places, and the day (from 0) to begin with: the
        first of its hottest so many if not given.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    name: Name
    file: Text | None = None
    place: Text | None = None
    day: Annotated[int, Field(ge=0)] | None = None


@dataclass(frozen=True, slots=True)
class Risk:
    """At which metrics a run is still safe: the highest value of each, null for what is not looked at.

    Attributes
    ----------
    vms_rejected_frac
        Part of the VMs asked for that got no server: what a policy turns away does not fit.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    ups_trips: Limit = 0.0
    breaker_trips: Limit = 0.0
    thermal_throttle_time_frac: Limit = 0.007
    power_cap_time_frac: Limit = 0.007
    vms_rejected_frac: Limit = 0.01
    worst_overload_frac_of_tolerance: Limit = None
    max_gpu_temperature_c: Limit = None
    saas_performance_loss_frac: Limit = None
    iaas_performance_loss_frac: Limit = None
    quality_loss_frac: Limit = None
    p99_ttft_s: Limit = None
    p99_tbt_s: Limit = None

    def limits(self) -> dict[str, float]:
        """By metric, those that are looked at."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: float(value) for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Assumed:
    """A price that nobody knows: low, base and high."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    low: NonNegative
    base: NonNegative
    high: NonNegative


@dataclass(frozen=True, slots=True)
class Money:
    """What things cost, in ``currency``; nothing has a default, because none of it is ours to know.

    Attributes
    ----------
    built_kw
        Building a kW of UPS capacity, with all that belongs to it; over ``building_years``.
    stranded_kw_year
        What a kW that was built and is never drawn is worth elsewhere, for a year; told beside the cost, not in it.
    server
        Buying a server; over ``server_years``.
    energy_kwh, pue
        Energy at the meter, which is ``pue`` times what servers draw.
    revenue_server_h
        What an hour of a server with a VM on it brings.
    sla_penalty_server_h
        What an hour of performance that a VM was promised and did not get costs.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    currency: Name
    built_kw: Assumed
    building_years: Positive
    stranded_kw_year: Assumed
    server: Assumed
    server_years: Positive
    energy_kwh: Assumed
    pue: Assumed
    revenue_server_h: Assumed
    sla_penalty_server_h: Assumed


@dataclass(frozen=True, slots=True)
class Steps:
    """By how much limits are raised to see what that is worth, and at how many rows, UPSs and air handlers each."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    power_w: Count = 1_000
    airflow_cfm: Count = 1_000
    places: Annotated[int, Field(ge=1, le=100)] = 1


@dataclass(frozen=True, slots=True)
class Study:
    """What a study's file says.

    Attributes
    ----------
    oversubscription
        Servers added under the same budgets, as fractions.
    failures
        By name, what fails together, as ``simulate --fail`` has it; ``*`` for an element stands for each in turn.
    worth
        By how much limits are raised to see what that would be worth; null for not asked.
    models
        Folder of learned models of all its sites, relative to the study's; each site's own are learned if not given.
    profiles
        Table or folder of measured profiles, which instances then keep to, likewise; the demo's if not given.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    format: Literal["tapas-opt/study/1"]
    name: Text
    sites: Annotated[tuple[SiteAsked, ...], Field(min_length=1)]
    policies: Annotated[tuple[PolicyName, ...], Field(min_length=1)]
    days: Annotated[Positive, Field(le=LONGEST_DAYS)] = 1.0
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (1, 2, 3)
    scenarios: Annotated[tuple[ScenarioName, ...], Field(min_length=1)] = ("week",)
    weather: Annotated[tuple[WeatherAsked, ...], Field(min_length=1)] = (WeatherAsked("own"),)
    oversubscription: Annotated[tuple[Annotated[float, Field(ge=0, le=10)], ...], Field(min_length=1)] = (0.0,)
    saas_share: Annotated[tuple[Fraction, ...], Field(min_length=1)] = (0.5,)
    failures: Annotated[dict[Text, tuple[Text, ...]], Field(min_length=1)] = field(default_factory=lambda: {"none": ()})
    risks: Annotated[dict[Text, Risk], Field(min_length=1)] = field(default_factory=lambda: {"usual": Risk()})
    money: Money | None = None
    worth: Steps | None = None
    models: Text | None = None
    profiles: Text | None = None


_READER: TypeAdapter[Study] = TypeAdapter(Study)


def read_study(path: Path) -> Study:
    """Read a study, each field by itself.

    Raises
    ------
    InvalidInput
        Listing every fault with its path, the value found and what is allowed.
    """
    raw = read_yaml(path, "a study", "docs/studies.md shows one")
    study, faults = field_faults(_READER, raw)
    if not isinstance(study, Study):
        raise InvalidInput(str(path), faults)
    return study


def contradictions(study: Study) -> Iterator[Fault]:
    """What is wrong with a study though each of its fields may be as it is."""
    yield from _names(study)
    for n, site in enumerate(study.sites):
        if (site.servers is None) == (site.file is None):
            yield Fault(f"sites[{n}]", "needs either servers, to generate it, or file, to read it")
        elif site.file is not None and (site.shape != SiteShape() or site.hardware != next(iter(HARDWARE))):
            yield Fault(f"sites[{n}]", "shape and hardware are those of its file; remove them here")
        if site.shape.oversubscription:
            yield Fault(
                f"sites[{n}].shape.oversubscription", "is what the study varies; state it in oversubscription, above"
            )
    for n, weather in enumerate(study.weather):
        if weather.file is None and (weather.place is not None or weather.day is not None):
            yield Fault(f"weather[{n}]", "place and day are of a file; name it, or remove them")
    for name, risk in study.risks.items():
        if not risk.limits():
            yield Fault(f"risks.{name}", "looks at nothing, so that everything is safe; state a limit")
    if study.money is not None:
        yield from _prices(study.money)


def _names(study: Study) -> Iterator[Fault]:
    """What stands twice in a list would be run twice, and counted twice."""
    lists: Mapping[str, tuple[object, ...]] = {
        "sites": tuple(site.name for site in study.sites),
        "policies": study.policies,
        "seeds": study.seeds,
        "scenarios": study.scenarios,
        "weather": tuple(item.name for item in study.weather),
        "oversubscription": study.oversubscription,
        "saas_share": study.saas_share,
    }
    for where, values in lists.items():
        for n, value in enumerate(values):
            if value in values[:n]:
                yield Fault(f"{where}[{n}]", f"{value!r} stands there twice")


def _prices(money: Money) -> Iterator[Fault]:
    for item in fields(money):
        value = getattr(money, item.name)
        if isinstance(value, Assumed) and not value.low <= value.base <= value.high:
            yield Fault(
                f"money.{item.name}", f"{value.low:g}, {value.base:g}, {value.high:g}: must not fall from low to high"
            )

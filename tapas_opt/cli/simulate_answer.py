"""What ``simulate`` was asked, judged whole before anything runs, and what it answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tapas_opt.cli.judging import tried
from tapas_opt.cli.output import write_json, writing
from tapas_opt.cli.paths import demo_models
from tapas_opt.cli.progress import bar
from tapas_opt.control.profiles import Profiles
from tapas_opt.domain.site_file import read_site
from tapas_opt.domain.topology import topology_of
from tapas_opt.errors import Fault, InvalidInput
from tapas_opt.learn.models import LearnedModels
from tapas_opt.plant.weather_file import HourlyWeather, read_weather
from tapas_opt.plot.report import write_report
from tapas_opt.simulation.case import LONGEST_DAYS, Case, Learned, World, judge, site_of, started_with, world_of
from tapas_opt.simulation.learning import DAYS, asks_models, learned_of
from tapas_opt.simulation.metrics import json_safe
from tapas_opt.simulation.record import Record, Run, thinned
from tapas_opt.simulation.series import write_series
from tapas_opt.simulation.story import DAY_S
from tapas_opt.telemetry.profiles.read import read_profiles
from tapas_opt.telemetry.trace import read_trace

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Asked", "simulated"]

FloatArray = NDArray[np.float64]

MINUTE_S = 60.0
HOUR_MINUTES = 60


@dataclass(frozen=True, slots=True)
class Asked:
    """The command's options."""

    scenario: str
    servers: int | None
    days: float
    policies: tuple[str, ...]
    seed: int
    oversubscription: float | None
    saas_share: float
    occupancy: float
    failures: tuple[str, ...]
    site: Path | None
    trace: Path | None
    weather: Path | None
    place: str | None
    weather_day: int | None
    models: Path | None
    profiles: Path
    measured: bool
    out: Path | None
    learn_days: float = DAYS


def simulated(asked: Asked, as_json: bool) -> dict[str, Any]:
    """``{"scenario", "seed", "servers", "days", "policies": {name: metrics}}``.

    Raises
    ------
    InvalidInput
        Listing everything that is wrong with options and files, before anything runs.
    """
    case, profiles, models = _judged(asked)
    if asked.out is not None:
        with writing("simulate", "--out", asked.out):
            asked.out.mkdir(parents=True, exist_ok=True)
    if models is None:
        models = _own(case, asked, as_json)
    world = world_of(case, Learned(profiles, models, asked.measured))
    records = list(_runs(world, asked.policies, as_json))
    answer = {
        "scenario": asked.scenario,
        "seed": asked.seed,
        "servers": sum(1 for _ in world.site.servers()),
        "days": asked.days,
        "policies": {record.policy: json_safe(record.metrics) for record in records},
    }
    if asked.out is not None:
        _write(world, answer, records, asked.out)
    return answer


def _judged(asked: Asked) -> tuple[Case, Profiles, LearnedModels | None]:
    """Everything is read and judged, so that one message tells all that is wrong."""
    faults: list[Fault] = []
    site = None if asked.site is None else tried(faults, "--site", lambda: read_site(_path(asked.site)))
    shape = {} if asked.trace is None else tried(faults, "--trace", lambda: _shape(_path(asked.trace)))
    if asked.site is not None and asked.servers is not None:
        faults.append(
            Fault("--servers", f"{asked.servers}: cannot be combined with --site, whose file says which it has")
        )
    if asked.weather is None and asked.place is not None:
        faults.append(Fault("--place", f"{asked.place}: is of real weather; needs --weather"))
    weather = tried(faults, "--weather", lambda: _weather(asked))
    profiles = tried(faults, "--profiles", lambda: Profiles(read_profiles(asked.profiles)))
    models = (
        None if asked.models is None else tried(faults, "--models", lambda: LearnedModels.load(_path(asked.models)))
    )
    case = replace(_case(asked), site=site, demand_shape=shape or {}, weather=weather)
    unread = asked.site is not None and site is None
    faults += judge(replace(case, failures=()) if unread else case, asked.policies)
    if faults or profiles is None:
        raise InvalidInput("simulate", faults)
    topology = topology_of(site_of(case))
    tried(faults, None, lambda: started_with(profiles, asked.measured, topology))
    tried(faults, "--models", lambda: None if models is None else models.check_covers(topology))
    if faults:
        raise InvalidInput("simulate", faults)
    return case, profiles, models


def _own(case: Case, asked: Asked, as_json: bool) -> LearnedModels:
    """Models of this very site, kept beside what else is written; any, where no policy goes by them."""
    if not asks_models(asked.policies):
        return LearnedModels.load(demo_models())
    with bar(f"{asked.learn_days:g} days to learn from", 1.0, as_json) as show:
        models = learned_of(site_of(case), lambda share: show(completed=share), asked.learn_days)
    if asked.out is not None:
        with writing("simulate", "--out", asked.out):
            models.save(asked.out / "models")
    return models


def _case(asked: Asked) -> Case:
    """What needs no file."""
    case = Case(
        scenario=asked.scenario,
        days=asked.days,
        seed=asked.seed,
        oversubscription=asked.oversubscription,
        saas_share=asked.saas_share,
        occupancy=asked.occupancy,
        failures=asked.failures,
        weather_day=asked.weather_day,
    )
    return case if asked.servers is None else replace(case, servers=asked.servers)


def _path(path: Path | None) -> Path:
    assert path is not None
    return path


def _weather(asked: Asked) -> HourlyWeather | None:
    return None if asked.weather is None else read_weather(asked.weather, asked.place)


def _shape(folder: Path) -> dict[str, FloatArray]:
    """By endpoint, tokens that come in each minute of the hour, relative to the mean; InvalidInput lists faults."""
    shapes = {name: _relative(name, table) for name, table in read_trace(folder).items()}
    faults = [shape for shape in shapes.values() if isinstance(shape, Fault)]
    if faults:
        raise InvalidInput(str(folder), faults)
    return {name: shape for name, shape in shapes.items() if not isinstance(shape, Fault)}


def _relative(name: str, table: pd.DataFrame) -> FloatArray | Fault:
    arrivals_s = table["t_s"].to_numpy(dtype=np.float64)
    if arrivals_s[-1] > LONGEST_DAYS * DAY_S:
        return Fault(name, f"ends after {arrivals_s[-1]:g} s: must be seconds, of {LONGEST_DAYS:g} days at most")
    by_minute = _by_minute(arrivals_s, (table["context_tokens"] + table["generated_tokens"]).to_numpy(np.float64))
    return by_minute / by_minute.mean() if by_minute.any() else Fault(name, "asks for no tokens")


def _by_minute(arrivals_s: FloatArray, tokens: FloatArray) -> FloatArray:
    """``[60]`` tokens in each minute of the hour, the mean over hours; a trace of less than an hour is repeated.

    A last minute that is not whole is left out, since less comes in it.
    """
    minutes = max(1, int(arrivals_s[-1] // MINUTE_S))
    minute = np.minimum(arrivals_s // MINUTE_S, minutes).astype(np.int64)
    there = np.bincount(minute, tokens, minutes + 1)[:minutes]
    if minutes < HOUR_MINUTES:
        return np.resize(there, HOUR_MINUTES)
    of_hour = np.arange(minutes) % HOUR_MINUTES
    return np.asarray(np.bincount(of_hour, there) / np.bincount(of_hour))


def _runs(world: World, policies: tuple[str, ...], as_json: bool) -> Iterator[Record]:
    """One policy after the other."""
    seconds = world.story.end_s - world.story.start_s
    with bar("simulating", len(policies) * seconds, as_json) as show:
        for policy in policies:
            show(description=policy)
            yield world.run(policy, lambda step_s: show(advance=step_s))


def _write(world: World, answer: Mapping[str, Any], records: list[Record], folder: Path) -> None:
    days, story = world.case.days, world.story
    pictured = tuple(thinned(record, days) for record in records)
    outages = tuple(item.outage for item in story.failures)
    run = Run(world.case.scenario, world.site.name, answer["servers"], outages, pictured, answer)
    with writing("simulate", "--out", folder):
        write_report(run, folder / "report.html")
        write_json(answer, folder / "summary.json")
        write_series(records, folder / "series.csv.gz")

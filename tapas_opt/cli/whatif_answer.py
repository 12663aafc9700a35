"""What ``whatif`` was asked, judged whole before anything runs, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tapas_opt.cli.judging import tried
from tapas_opt.cli.output import write_json, writing
from tapas_opt.cli.whatif_run import Runner, finish
from tapas_opt.control.profiles import Profiles
from tapas_opt.domain.site import Site
from tapas_opt.domain.site_file import read_site
from tapas_opt.errors import InvalidInput
from tapas_opt.learn.models import LearnedModels
from tapas_opt.mip.machine import cores
from tapas_opt.planning.cells import Cell, Named, Step, cells_of
from tapas_opt.planning.findings import fitting
from tapas_opt.planning.money import costs, worth_per_h
from tapas_opt.planning.outcome import Outcome
from tapas_opt.planning.running import on_cluster, on_cores
from tapas_opt.planning.study import Study, contradictions, read_study
from tapas_opt.planning.tables import write_tables
from tapas_opt.planning.worths import intervals
from tapas_opt.plant.weather_file import HourlyWeather, read_weather
from tapas_opt.plot.study_report import write_study_report
from tapas_opt.simulation.case import Learned
from tapas_opt.telemetry.profiles.read import read_profiles

__all__ = ["Asked", "studied"]


@dataclass(frozen=True, slots=True)
class Asked:
    """The command's options, and what stands for what a study does not name.

    Attributes
    ----------
    models
        Those that stand for a site's own until these are learned, and where no policy reads any.
    """

    study: Path
    out: Path
    jobs: int | None
    cluster: str | None
    models: Path
    profiles: Path


def studied(asked: Asked, as_json: bool) -> dict[str, Any]:
    """Run what is not finished yet, and say what the study comes to.

    Returns
    -------
    dict
        ``study``, ``run`` and ``kept`` (cells that were run now, and before), ``learned`` (sites, now), ``cells``,
        ``fits``, ``worths``, ``costs``, and the prices that these go by, ``money``.

    Raises
    ------
    InvalidInput
        Listing everything that is wrong with the study and the files it names, before anything runs.
    """
    if asked.jobs is not None and asked.cluster is not None:
        raise InvalidInput.one("whatif", "--jobs", "is of this machine; a cluster has as many as its workers have")
    study = read_study(asked.study)
    cells, steps, learned = _everything(asked, study)
    found, counts = finish((*cells, *steps), learned, asked.out, _runner(asked), as_json)
    answer = {"study": study.name, **counts, **_answer(study, cells, steps, found)}
    _write(answer, study, asked.out)
    return answer


def _runner(asked: Asked) -> Runner:
    if asked.cluster is not None:
        return partial(on_cluster, address=asked.cluster)
    return partial(on_cores, jobs=asked.jobs or cores())


def _answer(study: Study, cells: Sequence[Cell], steps: Sequence[Step], found: dict[str, Outcome]) -> dict[str, Any]:
    """In the order of the study, whoever finished first; under the names that this study gives."""
    rows = [{**found[cell.key], **cell.coordinates()} for cell in cells]
    placed = [{**found[step.key], **step.coordinates()} for step in steps]
    worths = intervals(placed)
    if study.money is not None:
        worths = [{**row, "revenue_per_h": worth_per_h(row, study.money)} for row in worths]
    return {
        "cells": rows,
        "fits": fitting(rows, study.risks),
        "worths": worths,
        "costs": [] if study.money is None else costs(rows, study.money),
        "money": None if study.money is None else asdict(study.money),
    }


def _write(answer: dict[str, Any], study: Study, folder: Path) -> None:
    with writing("whatif", "--out", folder):
        write_tables(answer, folder)
        write_json(answer, folder / "study.json")
        write_study_report(answer, study, folder / "report.html")


def _everything(asked: Asked, study: Study) -> tuple[tuple[Cell, ...], tuple[Step, ...], Learned]:
    """Everything that the study names is read and judged, so that one message tells all that is wrong."""
    faults = list(contradictions(study))
    beside = asked.study.parent
    sites: dict[str, Site] = {}
    for n, item in enumerate(study.sites):
        if item.file is not None:
            site = tried(faults, f"sites[{n}].file", partial(read_site, beside / item.file))
            if site is not None:
                sites[item.name] = site
    weather: dict[str, HourlyWeather] = {}
    for n, asked_for in enumerate(study.weather):
        if asked_for.file is not None:
            read = partial(read_weather, beside / asked_for.file, asked_for.place)
            hourly = tried(faults, f"weather[{n}].file", read)
            if hourly is not None:
                weather[asked_for.name] = hourly
    models_folder = beside / study.models if study.models else asked.models
    models = tried(faults, "models", partial(LearnedModels.load, models_folder))
    profiles_file = beside / study.profiles if study.profiles else asked.profiles
    profiles = tried(faults, "profiles", partial(read_profiles, profiles_file))
    learned = None
    if models is not None and profiles is not None:
        learned = Learned(Profiles(profiles), models, study.profiles is not None)
    try:
        cells, steps = cells_of(study, Named(sites, weather), learned)
    except InvalidInput as error:
        faults += error.faults
    if faults or learned is None:
        raise InvalidInput(str(asked.study), list(dict.fromkeys(faults)))
    return cells, steps, learned

"""The runs that the paper's figures need, and what they come to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from tapas_opt.cli.judging import tried
from tapas_opt.cli.output import write_json, writing
from tapas_opt.cli.paths import demo_data, demo_models
from tapas_opt.cli.progress import bar
from tapas_opt.control.profiles import Profiles
from tapas_opt.domain.configuration import read_profiles
from tapas_opt.domain.site import Site
from tapas_opt.errors import Fault, InvalidInput
from tapas_opt.learn.models import LearnedModels
from tapas_opt.plot.reproduction_report import write_reproduction
from tapas_opt.simulation.case import Case, Learned, World, judge, site_of, world_of
from tapas_opt.simulation.learning import DAYS, asks_models, learned_of
from tapas_opt.simulation.record import Record, Run, thinned
from tapas_opt.simulation.reproduction import HEADLINES, MORE, Outcome

__all__ = ["Asked", "reproduced"]

BASELINE = "baseline"
PICTURED = ("week", "paper_power", "paper_cooling", "paper_both")
"""Scenarios with pictures of their own, of the first seed."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The command's options.

    Attributes
    ----------
    oversubscriptions
        Servers are added also by these shares, besides what the figures need.
    models
        Of all sites; each site's own if None.
    """

    policies: tuple[str, ...]
    seeds: tuple[int, ...]
    servers: int
    days: float
    saas_share: float
    oversubscriptions: tuple[float, ...] = ()
    models: Path | None = None
    out: Path | None = None
    learn_days: float = DAYS

    @property
    def names(self) -> tuple[str, ...]:
        """The policies, the baseline first."""
        return (BASELINE, *(name for name in self.policies if name != BASELINE))

    def cases(self, seed: int) -> list[Case]:
        """What is run with a seed: each scenario of a figure, then the other rooms with more servers."""
        scenarios = dict.fromkeys(headline.scenario for headline in HEADLINES)
        figures = [Case(name, self.servers, self.days, seed, saas_share=self.saas_share) for name in scenarios]
        done = {case.added_frac for case in figures if case.scenario == MORE}
        return figures + [
            Case(MORE, self.servers, self.days, seed, frac, self.saas_share)
            for frac in dict.fromkeys(self.oversubscriptions)
            if frac not in done
        ]


class _Knowledge:
    """Profiles and models: what is learned of a site is learned once."""

    def __init__(self, given: LearnedModels | None, learn_days: float) -> None:
        self._profiles = Profiles(read_profiles(demo_data() / "profiles.csv"))
        self._given = given
        self._learn_days = learn_days
        self._own: dict[str, LearnedModels] = {}

    def of(self, case: Case) -> Learned:
        """What is known of a case's site."""
        return Learned(self._profiles, self._given or self._learned(site_of(case)))

    def _learned(self, site: Site) -> LearnedModels:
        room = repr(site)
        if room not in self._own:
            self._own[room] = learned_of(site, days=self._learn_days)
        return self._own[room]


@dataclass
class _Found:
    """What the runs have come to so far: the value of each seed by figure and policy, rows of throttling, and runs."""

    values: dict[tuple[str, str], list[float | None]] = field(default_factory=dict)
    throttling: list[dict[str, Any]] = field(default_factory=list)
    pictured: list[Run] = field(default_factory=list)


def reproduced(asked: Asked, as_json: bool) -> dict[str, Any]:
    """``{"servers", "days", "seeds", …, "figures": [{"figure", "paper", "policies": {name: [value a seed]}}], …}``.

    Values are fractions, None for unknown. ``throttling`` has a row for each run of a room with more servers: time
    slowed, and VMs turned away.

    Raises
    ------
    InvalidInput
        Listing everything that is wrong, before anything runs.
    """
    faults = list(_faults(asked))
    models = _models(asked, faults)
    if faults:
        raise InvalidInput("reproduce", faults)
    if asked.out is not None:
        with writing("reproduce", "--out", asked.out):
            asked.out.mkdir(parents=True, exist_ok=True)
    knowledge = _Knowledge(models, asked.learn_days)
    cases = [case for seed in asked.seeds for case in asked.cases(seed)]
    found = _Found()
    with bar("simulating", len(cases) * len(asked.names), as_json) as show:
        for case in cases:
            show(description=f"{case.scenario}, learning")
            world = world_of(case, knowledge.of(case))
            records: dict[str, Record] = {}
            for name in asked.names:
                show(description=f"{case.scenario}, {name}")
                records[name] = world.run(name)
                show(advance=1)
            _note(found, world, records, pictured=asked.out is not None and case.seed == asked.seeds[0])
    answer = _answer(asked, found)
    if asked.out is not None:
        _write(answer, found.pictured, asked.out)
    return answer


def _faults(asked: Asked) -> Iterator[Fault]:
    """Cases of all seeds differ in nothing that could be wrong but the seed."""
    first, *others = asked.cases(0)
    told = judge(first, asked.names)
    yield from told
    yield from dict.fromkeys(fault for case in others for fault in judge(case, ()) if fault not in told)
    yield from (Fault("--seed", f"{seed}: must be 0 or more") for seed in asked.seeds if seed < 0)
    twice = dict.fromkeys(seed for seed in asked.seeds if asked.seeds.count(seed) > 1)
    yield from (Fault("--seed", f"{seed} is given twice; give it once") for seed in twice)


def _models(asked: Asked, faults: list[Fault]) -> LearnedModels | None:
    """Those that were given, or any where no policy goes by them; what is wrong with them is added to the faults."""
    folder = asked.models or (None if asks_models(asked.names) else demo_models())
    return None if folder is None else tried(faults, "--models", lambda: LearnedModels.load(folder))


def _note(found: _Found, world: World, records: Mapping[str, Record], pictured: bool) -> None:
    """Add what a case came to."""
    case, outages = world.case, tuple(item.outage for item in world.story.failures)
    if case.oversubscription is None:
        for headline in HEADLINES:
            if headline.scenario == case.scenario:
                for name, record in records.items():
                    value = headline.of(Outcome(record, records[BASELINE], outages))
                    found.values.setdefault((headline.what, name), []).append(value if isfinite(value) else None)
    if case.scenario == MORE:
        found.throttling += [_throttled(case, record) for record in records.values()]
    if pictured and case.scenario in PICTURED:
        shown = tuple(thinned(record, case.days) for record in records.values())
        found.pictured.append(Run(case.scenario, world.site.name, case.servers, outages, shown, {}))


def _throttled(case: Case, record: Record) -> dict[str, Any]:
    slowed = {name: record.metrics[name] for name in ("thermal_throttle_time_frac", "power_cap_time_frac")}
    of = {"oversubscribe": case.added_frac, "policy": record.policy, "seed": case.seed}
    return {**of, **slowed, "vms_rejected_frac": record.vms_rejected_frac}


def _answer(asked: Asked, found: _Found) -> dict[str, Any]:
    figures = [
        {
            "figure": one.what,
            "paper": one.paper,
            "policies": {name: found.values[one.what, name] for name in asked.names},
        }
        for one in HEADLINES
    ]
    return {
        "servers": asked.servers,
        "days": asked.days,
        "seeds": list(asked.seeds),
        "saas_share": asked.saas_share,
        "figures": figures,
        "throttling": found.throttling,
    }


def _write(answer: Mapping[str, Any], pictured: Sequence[Run], folder: Path) -> None:
    with writing("reproduce", "--out", folder):
        write_json(answer, folder / "reproduction.json")
        write_reproduction(answer, pictured, folder / "reproduction.html")

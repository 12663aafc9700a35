"""The runs that the paper's figures need, and what they come to."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

from tapas_opt.cli.paths import demo_data, demo_models
from tapas_opt.cli.progress import bar
from tapas_opt.control.forecast import Profiles
from tapas_opt.domain.configuration import read_profiles
from tapas_opt.errors import Fault, InvalidInput
from tapas_opt.learn.models import LearnedModels
from tapas_opt.simulation.case import Case, Learned, judge, world_of
from tapas_opt.simulation.record import Record
from tapas_opt.simulation.reproduction import HEADLINES, Outcome

__all__ = ["reproduced"]

BASELINE = "baseline"


def reproduced(
    policies: Sequence[str], seeds: Sequence[int], servers: int, days: float, saas_share: float, as_json: bool
) -> dict[str, Any]:
    """``{"servers", "days", "seeds", "figures": [{"figure", "paper", "policies": {name: [value of each seed]}}]}``.

    Values are fractions, None for unknown.

    Raises
    ------
    InvalidInput
        Listing everything that is wrong, before anything runs.
    """
    scenarios = list(dict.fromkeys(headline.scenario for headline in HEADLINES))
    cases = [[Case(scenario, servers, days, seed, saas_share=saas_share) for scenario in scenarios] for seed in seeds]
    names = [BASELINE, *(name for name in policies if name != BASELINE)]
    faults = [*judge(cases[0][0], names), *_seed_faults(seeds)]
    if faults:
        raise InvalidInput("reproduce", faults)
    learned = Learned(Profiles(read_profiles(demo_data() / "profiles.csv")), LearnedModels.load(demo_models()))
    values: dict[tuple[str, str], list[float | None]] = {}
    with bar("simulating", len(seeds) * len(scenarios) * len(names), as_json) as show:
        for of_seed in cases:
            for case in of_seed:
                world = world_of(case, learned)
                records: dict[str, Record] = {}
                for name in names:
                    show(description=f"{case.scenario}, {name}")
                    records[name] = world.run(name)
                    show(advance=1)
                outages = tuple(item.outage for item in world.story.failures)
                for headline in HEADLINES:
                    if headline.scenario == case.scenario:
                        for name in names:
                            value = headline.of(Outcome(records[name], records[BASELINE], outages))
                            values.setdefault((headline.what, name), []).append(value if isfinite(value) else None)
    figures = [
        {"figure": one.what, "paper": one.paper, "policies": {name: values[one.what, name] for name in names}}
        for one in HEADLINES
    ]
    return {"servers": servers, "days": days, "seeds": list(seeds), "figures": figures}


def _seed_faults(seeds: Sequence[int]) -> list[Fault]:
    return [Fault("--seed", f"{seed}: must be 0 or more") for seed in seeds if seed < 0]

"""What each stage of a backtest takes: seconds of a core, and memory.

    python benchmarks/backtest_stages.py SITE.yaml HISTORY VMS.csv DAYS [--anew] [--models DIR] [POLICY ...]

Memory is the most that the process had until the stage was over.
"""

from __future__ import annotations

import resource
import time
from argparse import ArgumentParser
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from tapas_opt.cli.backtest_given import Asked, Given, given_of
from tapas_opt.learn.fit import fit
from tapas_opt.learn.models import LearnedModels
from tapas_opt.simulation.backtest.past import past_of
from tapas_opt.simulation.backtest.replay import Backtest
from tapas_opt.telemetry.history import read_panel

PROFILES = Path(__file__).parent.parent / "data" / "demo" / "profiles.csv"
_T = TypeVar("_T")


def main() -> None:
    """Stage after stage, as ``tapas-opt backtest`` goes through them."""
    asked = asked_for()
    given = given_of(asked)
    models = given.models or learned(asked, given)
    since_s = given.span.split_s
    panel = timed("reading, to replay", lambda: read_panel(asked.history, given.topology, since_s=since_s).panel)
    profiles = given.profiles.measured(models)
    past = timed("laying out", lambda: past_of(panel, given.lives, profiles))
    test = Backtest(past, models, profiles, asked.anew)
    timed("as it was measured", test.as_measured)
    timed("as it is predicted", test.as_predicted)
    for policy in asked.policies:
        timed(policy, partial(test.run, policy))


def asked_for() -> Asked:
    """The command line."""
    parser = ArgumentParser()
    for name, kind in (("site", Path), ("history", Path), ("vms", Path), ("days", float)):
        parser.add_argument(name, type=kind)
    parser.add_argument("--anew", action="store_true")
    parser.add_argument("--models", type=Path)
    parser.add_argument("policies", nargs="*", default=["baseline", "tapas", "tapas-opt"])
    return Asked(**vars(parser.parse_intermixed_args()), profiles=PROFILES, out=None)


def learned(asked: Asked, given: Given) -> LearnedModels:
    """Of the days before those that are replayed."""
    until_s = given.span.split_s
    panel = timed("reading, to learn", lambda: read_panel(asked.history, given.topology, until_s=until_s).panel)
    return timed("learning", lambda: fit(panel))


def timed(stage: str, run: Callable[[], _T]) -> _T:
    """What a stage comes to, and a line on what it took."""
    before_s = time.process_time()
    result = run()
    most_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{stage:24s} {time.process_time() - before_s:7.1f} s {most_mb:7,.0f} MB", flush=True)
    return result


if __name__ == "__main__":
    main()

"""What each stage of a backtest takes: seconds of a core, and memory.

    python benchmarks/backtest_stages.py SITE.yaml HISTORY VMS.csv DAYS [--anew] [--models DIR] [POLICY ...]

Memory is the most that the process had until the stage was over.
"""

from __future__ import annotations

import resource
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from tapas_opt.control.forecast import Profiles
from tapas_opt.domain.configuration import read_profiles
from tapas_opt.domain.panel import DAY_S
from tapas_opt.domain.site_file import read_site
from tapas_opt.domain.topology import Topology, topology_of
from tapas_opt.domain.vm_list import read_vm_list
from tapas_opt.learn.fit import fit
from tapas_opt.learn.models import LearnedModels
from tapas_opt.simulation.backtest.past import past_of
from tapas_opt.simulation.backtest.replay import Backtest
from tapas_opt.telemetry.history import read_panel, span_of

PROFILES = Path(__file__).parent.parent / "data" / "demo" / "profiles.csv"
_T = TypeVar("_T")


def timed(stage: str, run: Callable[[], _T]) -> _T:
    """What a stage comes to, and a line on what it took."""
    before_s = time.process_time()
    result = run()
    most_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{stage:24s} {time.process_time() - before_s:7.1f} s {most_mb:7,.0f} MB", flush=True)
    return result


def asked() -> Namespace:
    """The command line."""
    parser = ArgumentParser()
    for name, kind in (("site", Path), ("history", Path), ("vms", Path), ("days", float)):
        parser.add_argument(name, type=kind)
    parser.add_argument("--anew", action="store_true")
    parser.add_argument("--models", type=Path)
    parser.add_argument("policies", nargs="*", default=["baseline", "tapas", "tapas-opt"])
    return parser.parse_args()


def learned(history: Path, topology: Topology, until_s: float) -> LearnedModels:
    """Of the days before those that are replayed."""
    panel = timed("reading, to learn", lambda: read_panel(history, topology, until_s=until_s).panel)
    return timed("learning", lambda: fit(panel))


def main() -> None:
    """Stage after stage, as ``tapas-opt backtest`` goes through them."""
    given = asked()
    topology = topology_of(read_site(given.site))
    from_s, until_s = span_of(given.history)
    split_s = until_s - given.days * DAY_S
    models = learned(given.history, topology, split_s) if given.models is None else LearnedModels.load(given.models)
    panel = timed("reading, to replay", lambda: read_panel(given.history, topology, since_s=split_s).panel)
    profiles = Profiles(read_profiles(PROFILES)).measured(models)
    lives = read_vm_list(given.vms, topology.servers, from_s, until_s)
    past = timed("laying out", lambda: past_of(panel, lives, profiles))
    test = Backtest(past, models, profiles, given.anew)
    timed("as it was measured", test.as_measured)
    timed("as it is predicted", test.as_predicted)
    for policy in given.policies:
        timed(policy, partial(test.run, policy))


if __name__ == "__main__":
    main()

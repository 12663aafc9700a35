"""How far a backtest is off, against a plant in which all VMs really were elsewhere: a truth that no operator has.

    python benchmarks/backtest_truth.py FOLDER [SITE.yaml]

Two histories of the same twelve days are generated in FOLDER: one as `history generate` does, and one in which each VM
runs on another server. The last two days of the first are replayed with every VM where the second had it.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tapas_opt.control.profiles import Profiles
from tapas_opt.domain.configuration import read_profiles
from tapas_opt.domain.panel import DAY_S
from tapas_opt.domain.site_file import read_site
from tapas_opt.domain.topology import topology_of
from tapas_opt.domain.vm_list import read_vm_list
from tapas_opt.domain.workload import Vm
from tapas_opt.learn.fit import fit
from tapas_opt.plant import history
from tapas_opt.plant.population import Population
from tapas_opt.simulation.backtest.kept import Kept
from tapas_opt.simulation.backtest.misses import Misses
from tapas_opt.simulation.backtest.past import past_of
from tapas_opt.simulation.backtest.replay import Backtest
from tapas_opt.telemetry.history import read_panel, span_of

DAYS, REPLAYED, SEED, SHUFFLE_SEED = 12, 2, 2, 5
DATA = Path(__file__).parent.parent / "data" / "demo"


class Shuffled(Population):
    """The same VMs at the same times, each on another server."""

    order: NDArray[np.int64]

    def at(self, t_s: float) -> tuple[list[Vm], NDArray[np.int64]]:
        """As a population has it, but for where."""
        vms, servers = super().at(t_s)
        return vms, self.order[servers]


def main(folder: Path, site_file: Path) -> None:
    """Generate what is not there yet, and compare."""
    site = read_site(site_file)
    topology = topology_of(site)
    order = np.random.default_rng(SHUFFLE_SEED).permutation(len(topology.servers))
    Shuffled.order = order
    for name, population in (("happened", Population), ("elsewhere", Shuffled)):
        history.Population = population  # type: ignore[attr-defined]
        if not (folder / name / history.VM_LIST).exists():
            history.generate_history(site, out=folder / name, days=DAYS, seed=SEED)
    from_s, until_s = span_of(folder / "happened")
    split_s = until_s - REPLAYED * DAY_S
    models = fit(read_panel(folder / "happened", topology, until_s=split_s).panel)
    panel, truth = (read_panel(folder / name, topology, since_s=split_s).panel for name in ("happened", "elsewhere"))
    profiles = Profiles(read_profiles(DATA / "profiles.csv")).measured(models)
    lives = read_vm_list(folder / "happened" / history.VM_LIST, topology.servers, from_s, until_s)
    past = past_of(panel, lives, profiles)
    test = Backtest(past, models, profiles, anew=True)
    moved = tuple(replace(stay, server=topology.servers[order[stay.column]]) for stay in past.stays)
    misses = Misses(truth)
    record, kept = test.through(Kept(replace(past, stays=moved)), misses=misses), test.as_measured()
    for who, row_w in (("as it happened", kept.row_power_w), ("backtest", record.row_power_w)):
        off = np.abs(row_w / truth.meter_w - 1.0)
        print(f"row power, {who} against elsewhere: {np.nanmean(off):.2%} in the mean, {np.nanmax(off):.2%} at most")
    peaks = [
        np.nanmax(row_w / topology.row_budget_w) for row_w in (kept.row_power_w, record.row_power_w, truth.meter_w)
    ]
    print("peak row power, as it happened, backtest, elsewhere:", *(f"{peak:.3f}" for peak in peaks))
    hottest = [np.nanmax(panel.gpu_c), record.metrics["max_gpu_temperature_c"], np.nanmax(truth.gpu_c)]
    print("hottest GPU, as it happened, backtest, elsewhere:", *(f"{one:.1f} °C" for one in hottest))
    for whose, found in (("elsewhere", misses.summary()), ("as it happened", test.as_predicted()[1].summary())):
        for name, one in found.items():
            print(f"{name}, predicted {whose}: MAE {one['mae']:.2f} {one['unit']}, p95 {one['p95_error']:.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else DATA / "site.yaml")

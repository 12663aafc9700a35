"""Six hours of six servers, as their sensors would have recorded it, and the list of who ran where."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tapas_opt.control.profiles import Profiles
from tapas_opt.domain.panel import Panel
from tapas_opt.domain.site import Site
from tapas_opt.domain.topology import topology_of
from tapas_opt.domain.vm_list import Lived, read_vm_list
from tapas_opt.domain.workload import VmKind
from tapas_opt.learn.models import LearnedModels
from tapas_opt.plant.history import VM_LIST, generate_history
from tapas_opt.simulation.backtest.past import past_of
from tapas_opt.simulation.backtest.replay import Backtest

UNTIL_S = 21_900.0
"""After six hours of samples, the first after five minutes."""


@pytest.fixture(scope="session")
def folder(two_rows: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("six-hours")
    generate_history(two_rows, out=out, days=0.25, seed=3)
    return out


@pytest.fixture(scope="session")
def panel(two_rows: Site, folder: Path) -> Panel:
    from tapas_opt.telemetry.history import read_panel  # noqa: PLC0415  slow to import

    return read_panel(folder, topology_of(two_rows)).panel


@pytest.fixture(scope="session")
def lives(two_rows: Site, folder: Path) -> tuple[Lived, ...]:
    return read_vm_list(folder / VM_LIST, topology_of(two_rows).servers, 0.0, UNTIL_S)


@pytest.fixture(scope="session")
def opaque(lives: tuple[Lived, ...]) -> tuple[Lived, ...]:
    """The same VMs, as one lists them who does not see into any."""
    return tuple(
        replace(one, vm=replace(one.vm, kind=VmKind.IAAS, endpoint=None, configuration=None, group=None))
        for one in lives
    )


@pytest.fixture(scope="session")
def models(repository: Path) -> LearnedModels:
    return LearnedModels.load(repository / "models" / "demo")


@pytest.fixture(scope="session")
def measured(profiles: Profiles, models: LearnedModels) -> Profiles:
    return profiles.measured(models)


@pytest.fixture(scope="session")
def test_of(panel: Panel, models: LearnedModels, measured: Profiles) -> Callable[..., Backtest]:
    """These days with such VMs, from a panel of them that may differ."""

    def make(lives: Sequence[Lived], panel: Panel = panel, anew: bool = False) -> Backtest:
        return Backtest(past_of(panel, lives, measured), models, measured, anew)

    return make

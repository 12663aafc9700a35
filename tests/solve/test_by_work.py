"""Counted by work and not by the clock, a solve ends at the same place, however busy the machine is."""

import subprocess
import sys
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location

import pytest

from tapas_opt.domain.result import Status
from tapas_opt.solve import door, solve

GAP_FRAC = 0.0


@pytest.fixture(scope="module")
def hard(repository):
    """Eighteen VMs of six types and three groups on tight rows: no solver proves its plan in one round of work."""
    return drawn(repository, 8, vms=18, servers=18, types=6, groups=3)


@pytest.fixture
def two_rows(repository):
    """Small enough for any round of work."""
    return drawn(repository, 3, vms=4, servers=4)


def drawn(repository, seed, **size):
    """A placement as the tests of placement draw it."""
    spec = spec_from_file_location("placement_problems", repository / "tests" / "placement" / "conftest.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make_random(seed, **size)


@contextmanager
def a_busy_machine():
    """Somebody else computes as well."""
    spinning = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        spinning.kill()
        spinning.wait()


@pytest.mark.parametrize("solver", ["highs", "cpsat", "scip"])
def test_the_same_seed_gives_the_same_plan_however_busy_the_machine_is(hard, solver):
    """Neither has proven anything by then: where it stopped is what counts."""
    first = solve(hard, solver=solver, work=1, gap_frac=GAP_FRAC, seed=3)
    with a_busy_machine():
        second = solve(hard, solver=solver, work=1, gap_frac=GAP_FRAC, seed=3)
    assert first.status is Status.FEASIBLE
    assert (first.plan, first.bound) == (second.plan, second.bound)


def test_work_heeds_no_deadline_that_nobody_gave(monkeypatch, two_rows):
    """The default would end a long round at a moment that no seed decides."""
    monkeypatch.setattr(door, "DEADLINE_S", 0.0)
    assert solve(two_rows, solver="highs", work=1).solver == "highs"
    assert "was not asked" in solve(two_rows, solver="highs").fallback


@pytest.mark.parametrize("solver", ["decomposition", "pyomo-highs", "pyomo-scip"])
def test_every_solver_counts_work(two_rows, solver):
    """None of them is given the time instead."""
    result = solve(two_rows, solver=solver, work=1, gap_frac=GAP_FRAC)
    assert (result.solver, result.status) == (solver, Status.OPTIMAL)

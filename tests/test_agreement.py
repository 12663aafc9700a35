"""Solvers agree with each other, and with trying everything: a slice of `benchmarks/agreement.py`."""

from importlib.util import module_from_spec, spec_from_file_location

import pytest


@pytest.fixture(scope="module")
def agreement(repository):
    spec = spec_from_file_location("agreement", repository / "benchmarks" / "agreement.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_solver_finds_the_optimum_of_random_small_problems(agreement):
    """Greedy, decomposition, HiGHS, CP-SAT, SCIP and Pyomo, ten problems of each kind, all kinds of placement."""
    found = agreement.run(first=20_000, problems=30)
    assert found["disagreements"] == []
    assert found["counts"]["enumerated"] == 16
    assert found["counts"]["answers"] >= 30 * 4


def test_a_disagreement_is_seen(agreement, monkeypatch):
    """A bench that cannot fail shows nothing: here every plan tried is held to cost one unit less than it does."""
    true = agreement.Tried.optimum
    monkeypatch.setattr(agreement.Tried, "optimum", lambda self, plan: (true(self, plan)[0], true(self, plan)[1] - 1))
    assert agreement.run(first=0, problems=1)["disagreements"]

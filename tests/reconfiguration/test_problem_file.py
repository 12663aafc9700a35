"""Reconfiguration problems and plans as files."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tapas_opt.errors import InvalidInput
from tapas_opt.problem_file.files import (
    plan_text,
    problem_from,
    problem_text,
    read_plan,
    read_problem,
    write_plan,
    write_problem,
)
from tapas_opt.reconfiguration.greedy import greedy
from tapas_opt.reconfiguration.horizon.problem import HorizonProblem
from tapas_opt.reconfiguration.problem import Stage


@pytest.mark.parametrize("seed", range(25))
def test_a_problem_and_its_plan_come_back_exactly(random_problem, same, seed):
    """What is replayed is what was met, to the last number, shape and type."""
    problem = random_problem(seed)
    assert same(problem_from(json.loads(problem_text(problem)), "test"), problem)
    assert plan_text(greedy(problem)) == plan_text(greedy(problem_from(json.loads(problem_text(problem)), "test")))


@pytest.mark.parametrize("name", ["p.json", "p.json.gz"])
def test_files_hold_the_same_packed_or_not(random_problem, same, tmp_path, name):
    problem = random_problem(1)
    write_problem(problem, tmp_path / name)
    assert same(read_problem(tmp_path / name), problem)
    write_plan(greedy(problem), tmp_path / name)
    assert same(read_plan(tmp_path / name, "reconfiguration"), greedy(problem))


def test_a_horizon_comes_back_exactly(random_problem, same, tmp_path):
    """A reconfiguration inside a problem of another kind: its slots are those of the demand."""
    now = random_problem(3, stage=Stage.SETTLED, slots=2)
    problem = HorizonProblem(now, np.array([[10, 20], [30, 40]]))
    write_problem(problem, tmp_path / "p.json")
    assert same(read_problem(tmp_path / "p.json", "reconfiguration", "horizon"), problem)
    ragged = HorizonProblem(now, np.array([[10], [30]]))
    with pytest.raises(
        InvalidInput, match=r"demand_tokens_per_s: has shape \[2, 1\]; must have 2 \(endpoint\) × 2 \(slot\)"
    ):
        problem_from(json.loads(problem_text(ragged)), "p.json")

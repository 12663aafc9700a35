"""Reconfiguration problems and plans as files."""

from __future__ import annotations

import json

import pytest

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

"""Public suites: files are read or refused with a reason, and whoever solves, the judge counts for itself."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest

from tapas_opt.bench.public import gap, mmkp, vector_packing
from tapas_opt.bench.public.runs import SOLVERS, read, run
from tapas_opt.errors import InvalidInput
from tapas_opt.mip import highs

MMKP = """\
2 2
10 10
2
5 6 6
3 1 1
2
7 9 1
6 5 5
"""
"""Values 5, 3 and 7, 6. 5 + 7 needs 15 of the first resource, 5 + 6 needs 11; 3 + 7 = 10 fits exactly and is best."""

GAP = """\
2 3
1 2 3
4 1 9
3 3 3
2 2 2
6 2
"""
"""The second agent holds one item. Item 1 costs it 1 instead of 2: 1 + 1 + 3 = 5 is best."""

PACKING = {"name": "four", "capacity": [10, 10], "items": [[6, 1, 2], [4, 9, 1], [4, -1, 1]], "optimum": 2}
"""Two items of (6, 1), one of (4, 9), one of (4, -1): each of the two big ones shares a bin with one of the others."""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mmkp").mkdir()
    (tmp_path / "mmkp" / "two.txt").write_text(MMKP)
    (tmp_path / "mmkp" / "best_known.csv").write_text("instance,best_known\ntwo,10\n")
    groups = [[[5, 6, 6], [3, 1, 1]], [[7, 9, 1], [6, 5, 5]]]
    line = json.dumps({"name": "line", "capacity": [10, 10], "group_items": groups, "optimum": 10})
    (tmp_path / "mmkp" / "lines.jsonl.gz").write_bytes(gzip.compress(line.encode()))
    (tmp_path / "gap").mkdir()
    (tmp_path / "gap" / "three.txt.gz").write_bytes(gzip.compress(GAP.encode()))
    (tmp_path / "gap" / "best_known.csv").write_text("file,best_known\nthree.txt.gz,5\n")
    (tmp_path / "vector-packing").mkdir()
    (tmp_path / "vector-packing" / "own.jsonl").write_text(json.dumps(PACKING) + "\n")
    return tmp_path


@pytest.mark.parametrize(("suite", "best"), [("mmkp", -10), ("gap", 5), ("vector-packing", 2)])
def test_the_model_of_a_file_has_the_optimum_worked_out_by_hand(folder, suite, best):
    """Told in each file's comment; the judge agrees with the model on its cost."""
    for instance in read(suite, folder / suite):
        found = highs.solve(instance.arrays(), deadline_s=10)
        assert found.objective == best
        assert instance.best_known == best
        judged = instance.judged(found.values)
        assert (judged.cost, judged.violations) == (best, ())


def test_the_judge_names_what_a_solution_breaks(folder):
    """A judge that has never refused anything is no judge."""
    (two, *_) = read("mmkp", folder / "mmkp", "two")
    assert two.judged(np.array([1.0, 0, 1, 0])).violations == ("resource 0: 15 used of 10",)
    assert two.judged(np.array([1.0, 1, 0, 0])).violations[:2] == (
        "group 0 has 2 items, must have 1",
        "group 1 has 0 items, must have 1",
    )
    (three,) = read("gap", folder / "gap")
    assert three.judged(np.array([0.0, 0, 0, 1, 1, 1])).violations == ("agent 1: 6 used of 2",)
    assert three.judged(np.array([1.0, 1, 0, 0, 1, 0])).violations == (
        "item 1 has 2 agents, must have 1",
        "item 2 has 0 agents, must have 1",
    )
    (four,) = read("vector-packing", folder / "vector-packing")
    assert four.judged(np.array([2.0, 0, 0, 1, 1, 0, 1, 1])).violations == ("bin 0, dimension 0: 16 of 10",)
    assert four.judged(np.array([1.0, 0, 0, 1, 1, 0, 1, 1])).violations == ("item 0: 1 of 2 copies packed",)


def test_first_fit_decreasing_packs_everything_and_is_the_start(folder):
    """It decides how many bins the model has: too few would be infeasible."""
    (four,) = read("vector-packing", folder / "vector-packing")
    assert four.arrays().worst_violation(four.start()) == 0
    assert four.judged(four.start()).violations == ()
    assert vector_packing.first_fit_decreasing(four).sum(axis=1).tolist() == [2, 1, 1]


@pytest.mark.parametrize(
    ("suite", "solvers"),
    [("mmkp", SOLVERS[1:4]), ("vector-packing", ("greedy", "decomposition"))],
)
def test_every_solver_has_a_row_that_the_judge_accepts(folder, suite, solvers):
    """In a process of its own, as in the service; tiny instances are closed by all of them."""
    rows = list(run(suite, folder / suite, solvers, 5.0, [1], "[tfo]*[rwn]*"))
    assert {row.checker for row in rows} == {"ok"}
    assert {row.gap_to_best_known_frac for row in rows if row.solver != "greedy"} == {0.0}
    assert all(row.total_s > 0 and row.peak_rss_mb > 0 for row in rows)


@pytest.mark.parametrize(
    ("read_suite", "name", "text", "told"),
    [
        (mmkp.read, "a.txt", MMKP.replace("7 9", "x nan"), "'x' is no finite number.*\n.*'nan'"),
        (mmkp.read, "a.txt", MMKP[:-4], "2 numbers are missing: values and weights of group 1"),
        (mmkp.read, "a.txt", MMKP + "3", "1 numbers more"),
        (mmkp.read, "a.txt", "0 2", "number of groups: 0: must be a whole number"),
        (gap.read, "a.txt", "2 2.5", "number of items: 2.5: must be a whole number"),
        (gap.read, "a.txt.gz", GAP, "cannot be read"),
        (mmkp.read, "a.jsonl", "[]", "line 1: must be one JSON object"),
        (mmkp.read, "a.jsonl", '{"name": "x"}', "group_items are needed"),
        (mmkp.read, "a.jsonl", '{"name": "x", "capacity": [1], "group_items": [[[1]]]}', "one weight a resource"),
        (vector_packing.read, "a.jsonl", json.dumps(PACKING | {"items": [[1, 2]]}), "one size a dimension"),
        (vector_packing.read, "a.jsonl", json.dumps(PACKING | {"items": [[11, 2, 1]]}), "must fit an empty bin"),
        (vector_packing.read, "a.jsonl", json.dumps({"name": "x"}), "capacity and items are needed"),
        (gap.read, "best_known.csv", "file,best_known\na.txt,many\n", "line 2: needs file and a number best_known"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, read_suite, name, text, told):
    """With the file, the place, and what should be there."""
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidInput, match=told):
        list(read_suite(tmp_path))


def test_unknown_suites_folders_solvers_and_patterns_are_refused_before_anything_runs(folder):
    """A benchmark that fails after an hour because of a typing error is not run twice."""
    with pytest.raises(InvalidInput, match=r"(?s)'tsp' does not exist.*nowhere does not exist"):
        read("tsp", folder / "nowhere")
    with pytest.raises(InvalidInput, match="whose name matches 'zzz'"):
        read("gap", folder / "gap", "zzz")
    with pytest.raises(InvalidInput, match="oracle: must be of greedy"):
        run("gap", folder / "gap", ["oracle"], 1.0)


@pytest.mark.parametrize(("suite", "count"), [("mmkp", 258), ("gap", 78), ("vector-packing", 1848)])
def test_the_real_suites_are_read_whole(suite, count):
    """No file of the data sets is refused, and no best-known value is forgotten."""
    shared = Path(__file__).parents[4] / "shared" / "datasets"
    path = Path(os.environ.get("TAPAS_DATA_DIR", shared)) / f"bench-{suite}"
    if not path.exists():
        pytest.skip(f"bench-{suite} is not in {path.parent}; set TAPAS_DATA_DIR")
    found = read(suite, path)
    assert all(instance.best_known is not None for instance in found)
    assert len(found) >= count

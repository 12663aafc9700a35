"""Problems that are met are kept, for a while, and nobody waits for it."""

from __future__ import annotations

import json

import pytest

from tapas_opt.control.controller import Controller
from tapas_opt.control.recorder import KeptWithin, Recorder, keep
from tapas_opt.control.settings import Settings
from tapas_opt.domain.workload import Vm, VmKind
from tapas_opt.errors import InvalidInput
from tapas_opt.placement import check as placement_check
from tapas_opt.problem_file.files import problem_text, read_plan, read_problem
from tapas_opt.solve import solve


@pytest.fixture
def met(demo_site, models, profiles):
    """A problem that a controller met when it placed two VMs, with the answer that it gave."""
    told = []
    controller = Controller(
        demo_site, models, profiles, settings=Settings(solver="greedy"), met=lambda *each: told.append(each)
    )
    vms = [Vm(f"vm{n}", VmKind.IAAS, tenant="tenant") for n in range(2)]
    answer = controller.place(vms, (), now_s=0.0, deadline_s=1.0)
    assert [result for _, result in told] == [answer.result]
    return told[0]


def test_what_was_met_is_replayed_with_the_same_answer(met, tmp_path):
    """The file is the problem: solved again it gives the same plan, and the plan beside it stands."""
    problem, result = met
    with Recorder(tmp_path / "met", now_s=lambda: 1.0) as recorder:
        recorder.offer(problem, result)
    found = sorted(file.name for file in (tmp_path / "met").iterdir())
    name = "placement-19700101T000001-000001"
    assert found == [f"{name}.plan.json.gz", f"{name}.problem.json.gz"]
    again = read_problem(tmp_path / "met" / f"{name}.problem.json.gz")
    assert problem_text(again) == problem_text(problem)
    assert solve(again, solver="greedy").plan == result.plan
    assert placement_check.check(again, read_plan(tmp_path / "met" / f"{name}.plan.json.gz")).ok


def test_of_each_kind_the_newest_are_kept(met, tmp_path):
    """By number and by bytes; whatever else lies in the folder is left alone."""
    (tmp_path / "placement-notes.txt").write_text("mine")
    for n in range(5):
        keep(tmp_path, f"placement-{n}", met[0], met[1].plan, KeptWithin(count=2))
    assert {file.name.split(".")[0] for file in tmp_path.iterdir()} == {"placement-3", "placement-4", "placement-notes"}
    keep(tmp_path, "placement-5", met[0], met[1].plan, KeptWithin(bytes=1))
    assert {file.name.split(".")[0] for file in tmp_path.iterdir()} == {"placement-5", "placement-notes"}


def test_too_many_at_once_are_left_out_and_nobody_waits(met, tmp_path):
    recorder = Recorder(tmp_path)  # not entered: nobody writes
    for _ in range(6):
        recorder.offer(*met)
    assert recorder.left_out == 2


def test_a_folder_that_cannot_be_written_to_is_told_of_and_nothing_else_happens(met, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="cannot be made"):
        Recorder(tmp_path / "file" / "folder")
    folder = tmp_path / "gone"
    with Recorder(folder) as recorder:
        folder.rmdir()
        recorder.offer(*met)
    assert "a problem was not recorded" in caplog.text


def test_files_hold_no_more_than_the_problem(met):
    """Numbers and names of servers and VMs: what an operator may hand on has to be known."""
    assert set(json.loads(problem_text(met[0]))) == {"format", "problem"}

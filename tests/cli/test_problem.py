"""``tapas-opt place``, ``route``, ``reconfigure``, ``check`` and ``worth`` as a person or a script meets them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tapas_opt.cli.problem_answer import example_text

KINDS = {"place": "placement", "route": "routing", "reconfigure": "reconfiguration"}


@pytest.fixture(scope="module")
def examples(tmp_path_factory) -> dict[str, Path]:
    """The example of each command."""
    folder = tmp_path_factory.mktemp("problems")
    for command, kind in KINDS.items():
        (folder / f"{command}.json").write_text(example_text(kind, servers=8, seed=0))
    return {command: folder / f"{command}.json" for command in KINDS}


@pytest.mark.parametrize("command", KINDS)
def test_an_example_is_solved_written_and_checked(tapas, examples, tmp_path, command):
    """The way of a problem that was met in production: solve it here, write the plan, have it judged."""
    plan = tmp_path / "plan.json.gz"
    code, out, _ = tapas(command, examples[command], "--solver", "greedy", "--out", plan, "--json")
    answer = json.loads(out)
    assert (code, answer["kind"], answer["solver"]) == (0, KINDS[command], "greedy")
    assert answer["objective"] == pytest.approx(sum(answer["terms"].values()))
    assert answer["shadow_prices"] is None
    code, out, _ = tapas("check", examples[command], plan, "--json")
    judged = json.loads(out)
    assert (code, judged["ok"], judged["violations"]) == (0, True, [])
    assert judged["objective"] == pytest.approx(answer["objective"])


def test_an_example_comes_on_stdout_and_nothing_else(tapas, examples):
    code, out, err = tapas("route", "--example", "--servers", "8")
    assert (code, out, err) == (0, examples["route"].read_text(), "")


def test_a_person_sees_what_was_decided_at_what_cost_and_how_sure_that_is(tapas, examples):
    code, out, _ = tapas("place", examples["place"], "--deadline", "5", "--explain")
    assert code == 0
    for words in (
        "VMs placed",
        "bound",
        "Cost by term",
        "unplaced_vms",
        "Why not more",
        "Shadow prices",
    ):
        assert words in out


def test_a_plan_that_breaks_something_is_no_success(tapas, examples, tmp_path):
    """A script that checks plans looks at the exit code."""
    plan = {"server_of": {"new-000000": "nowhere"}, "unplaced": []}
    (tmp_path / "plan.json").write_text(json.dumps({"format": "tapas-opt/plan/placement/1", "plan": plan}))
    code, out, _ = tapas("check", examples["place"], tmp_path / "plan.json")
    assert code == 1
    assert "REFUSED, violations: " in out
    assert "vm_placed_once" in out


def test_a_file_of_another_kind_is_refused_by_its_format(tapas, examples):
    code, out, err = tapas("route", examples["place"])
    assert (code, out) == (2, "")
    assert "'tapas-opt/problem/placement/1': must be 'tapas-opt/problem/routing/1'" in err


def test_without_a_file_the_way_to_one_is_named(tapas):
    code, _, err = tapas("reconfigure")
    assert code == 2
    assert "--example prints a problem" in err


def test_the_worth_of_a_real_step_lies_in_the_interval_that_is_proven(tapas, examples):
    where = json.loads(examples["route"].read_text())["problem"]["classes"][0]
    step = ("--constraint", "endpoint_demand", "--where", where, "--step", "100", "--solver", "greedy")
    code, out, _ = tapas("worth", examples["route"], *step, "--json")
    saved = json.loads(out)["saved"]
    assert code == 0
    assert saved["least"] - 1e-6 <= saved["found"] <= saved["most"] + 1e-6
    assert saved["found"] < 0
    assert tapas("worth", examples["route"], "--constraint", "nothing", "--where", where, "--step", "1")[0] == 2


@pytest.mark.parametrize("command", [*KINDS, "check", "worth"])
def test_every_command_s_help_has_an_example(tapas, command):
    code, out, _ = tapas(command, "--help")
    assert code == 0
    assert f"Example: tapas-opt {command}" in " ".join(out.split())

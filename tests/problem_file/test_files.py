"""Problem files that are wrong are refused with every fault; those that are right are the problem itself."""

from __future__ import annotations

import gzip
import json
import re

import pytest

from tapas_opt.errors import InvalidInput
from tapas_opt.problem_file.files import problem_from, problem_text, read_plan, read_problem


def faults(raw) -> dict[str, str]:
    with pytest.raises(InvalidInput) as refused:
        problem_from(raw, "p.json")
    return {fault.where: fault.what for fault in refused.value.faults}


def test_a_problem_of_the_service_is_written_and_read(stated):
    """Field by field on lines of their own, and the same text again."""
    text = problem_text(problem_from(stated, "p.json"))
    assert json.loads(text) == stated
    assert text.startswith('{"format": "tapas-opt/problem/placement/1", "problem": {\n "vms": ["new-000000"')


def test_every_fault_is_told_at_once(spoilt, stated):
    """Whoever mends a file should not have to ask ten times."""
    ceilings = list(stated["problem"]["server_ceiling_w"])
    ceilings[3], ceilings[5] = "hot", 1.5
    raw = spoilt(server_ceiling_w=ceilings, server_available=1, colour="red", prices={"unplaced_vm": True})
    del raw["problem"]["vm_type"]
    assert faults(raw) == {
        "problem.server_ceiling_w[3]": "'hot': must be a whole number",
        "problem.server_ceiling_w[5]": "1.5: must be a whole number",
        "problem.server_available": "1: must be a list",
        "problem.colour": "no such field exists here; correct its spelling or remove it",
        "problem.prices.unplaced_vm": "True: must be a whole number",
        "problem.vm_type": "is missing",
    }


def test_an_array_must_be_whole(spoilt, stated):
    """Ragged lists, true for 1, and numbers beyond 64 bits would each become something else in silence."""
    power = [[list(slots) for slots in hardware] for hardware in stated["problem"]["type_power_w"]]
    power[0][0].pop()
    found = faults(spoilt(type_power_w=power, vm_priority=[True] * 32, vm_group=[2**70] + [-1] * 31))
    assert re.fullmatch(r"must be a list of \d+, as those before it are", found["problem.type_power_w[1][0]"])
    assert found["problem.vm_priority[0]"] == "True: must be a whole number"
    assert found["problem.vm_priority"] == "12 more numbers likewise"
    assert found["problem.vm_group[31]" if "problem.vm_group[31]" in found else "problem.vm_group[0]"].endswith(
        "64 bits"
    )


def test_numbers_of_what_is_not_there_are_named(spoilt, stated):
    """Python would take the last one for -1, and something far away would raise an IndexError an hour later."""
    types = len(stated["problem"]["type_fits"])
    found = faults(spoilt(vm_type=[types, -1] + [0] * 30, vm_group=[-1] * 31 + [4], groups=[]))
    assert found == {
        "problem.vm_type[0]": f"{types}: there is no such type; must be 0 to {types - 1}",
        "problem.vm_type[1]": f"-1: there is no such type; must be 0 to {types - 1}",
        "problem.vm_group[31]": "4: there is no such group; there is none at all, or -1 for none",
    }


def test_arrays_must_have_the_lengths_of_their_names(spoilt, stated):
    count = len(stated["problem"]["servers"])
    assert faults(spoilt(vm_type=[0, 0], servers=["S1"] * count)) == {
        "problem.vm_type": "has shape [2]; must have 32 (vm)",
        **{f"problem.servers[{n}]": "'S1' is there twice; names must differ" for n in range(1, count)},
    }


def test_other_formats_and_versions_are_refused_by_name(stated):
    """A file of a later version may mean something else by the same field."""
    later = stated | {"format": "tapas-opt/problem/placement/2"}
    assert "'tapas-opt/problem/placement/2': must be" in faults(later)["format"]
    assert "must be" in faults([])["format"]
    with pytest.raises(InvalidInput, match=r"must be 'tapas-opt/problem/routing/1'$"):
        problem_from(stated, "p.json", "routing")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"format": NaN}', 'NaN is no number; write "inf"'),
        ('{"a": 1, "a": 2}', "'a' is there twice in one object"),
        ("[" * 100_000, "is nested too deeply"),
        ("", "is not JSON"),
        ("\x80", "is not JSON"),
    ],
)
def test_text_that_is_no_json_is_refused_in_a_sentence(tmp_path, text, what):
    file = tmp_path / "p.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(InvalidInput, match=re.escape(what)):
        read_problem(file)


def test_files_that_cannot_be_read_or_unpacked_are_refused(tmp_path):
    for name, content in {"cut.json.gz": gzip.compress(b"{}" * 999)[:-9], "plain.json.gz": b"{}"}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InvalidInput, match="gzip"):
            read_problem(tmp_path / name)
    with pytest.raises(InvalidInput, match="cannot be read: No such file"):
        read_plan(tmp_path / "gone.json")


def test_a_number_too_large_for_a_float_is_no_number(tmp_path, stated):
    """1e999 is read as infinite, which nobody wrote."""
    raw = json.loads('{"format": "tapas-opt/plan/routing/1", "plan": {"shares": {}, "unserved_frac": {"q": 1e999}}}')
    (tmp_path / "plan.json").write_text(json.dumps(raw).replace("Infinity", "1e999"))
    with pytest.raises(InvalidInput, match="must be a finite number"):
        read_plan(tmp_path / "plan.json")

"""What was met in production can be looked into: recorded problems, and shadow prices with a decision."""

from __future__ import annotations

import time

import pytest

from tapas_opt.domain.workload import Vm, VmKind
from tapas_opt.placement import check as placement_check
from tapas_opt.problem_file.files import read_plan, read_problem


def test_a_server_records_what_it_decides_and_explains_what_it_is_asked_to(start, tmp_path):
    """The recorded plan costs in the recorded problem what was answered; prices come only where they are asked for."""
    server = start("--record-problems", str(tmp_path / "met"), "--record-most", "3")
    with server.client() as client:
        plain = client.place([Vm("vm1", VmKind.IAAS, tenant="acme")])
        told = client.place([Vm("vm2", VmKind.IAAS, tenant="acme")], explain=True)
    assert plain.decision.shadow_prices == ()
    assert told.decision.shadow_prices
    assert {price.unit for price in told.decision.shadow_prices} <= {"W", "CFM", "VMs", "servers", "tokens/s"}
    until = time.monotonic() + 20
    while len(list((tmp_path / "met").glob("placement-*.plan.json.gz"))) < 2 and time.monotonic() < until:
        time.sleep(0.1)
    assert server.terminate() == 0
    first = min((tmp_path / "met").glob("placement-*.problem.json.gz"))
    problem, plan = read_problem(first), read_plan(first.with_name(first.name.replace("problem", "plan")))
    assert plan.server_of == plain.server_of
    assert placement_check.check(problem, plan).objective == pytest.approx(plain.decision.objective)

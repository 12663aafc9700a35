"""How many servers fit, and what binds."""

from __future__ import annotations

from tapas_opt.planning.findings import breaches, fitting
from tapas_opt.planning.study import Risk


def test_servers_fit_up_to_the_first_filling_that_any_failure_breaks(outcome):
    """Safe at 0 and 20 %, one of two seeds trips a UPS at 40 %; that 60 % is safe again is luck, and does not count."""
    rows = [
        outcome(oversubscription=added, servers=round(100 * (1 + added)), which=which, seed=seed, ups_trips=trips,
                vms_placed=90 - seed)
        for added in (0.6, 0.0, 0.4, 0.2)
        for which in ("", "ups:U1")
        for seed in (1, 2)
        for trips in [1 if (added, which, seed) == (0.4, "ups:U1", 2) else 0]
    ]  # fmt: skip
    found = fitting(rows, {"usual": Risk()})
    assert len(found) == 1
    assert (found[0]["oversubscription"], found[0]["servers"], found[0]["vms"]) == (0.2, 120, 88)
    assert found[0]["next_oversubscription"] == 0.4
    binding = found[0]["binding"]
    assert [(item["which"], item["metric"], item["runs_broken"], item["runs"]) for item in binding] == [
        ("ups:U1", "ups_trips", 1, 2)
    ]


def test_what_breaks_most_often_is_told_first(outcome):
    rows = [
        outcome(which="ups:U1", seed=1, power_cap_time_frac=0.1),
        outcome(which="ups:U1", seed=2, power_cap_time_frac=0.0),
        outcome(which="ahu:A1", seed=1, thermal_throttle_time_frac=0.01),
        outcome(which="ahu:A1", seed=2, thermal_throttle_time_frac=0.02),
    ]
    found = fitting(rows, {"usual": Risk()})[0]
    assert found["servers"] is None
    assert [(item["scenario"], item["which"]) for item in found["binding"]] == [("week", "ahu:A1"), ("week", "ups:U1")]
    assert found["binding"][0]["worst"] == 0.02


def test_each_risk_and_policy_is_judged_by_itself(outcome):
    rows = [outcome(policy=policy, vms_rejected_frac=0.2 * (policy == "tapas")) for policy in ("baseline", "tapas")]
    found = fitting(rows, {"usual": Risk(), "turning away": Risk(vms_rejected_frac=None)})
    assert {(row["policy"], row["risk"]): row["servers"] for row in found} == {
        ("baseline", "usual"): 100,
        ("baseline", "turning away"): 100,
        ("tapas", "usual"): None,
        ("tapas", "turning away"): 100,
    }
    assert [(row["risk"], row["policy"]) for row in found] == [
        ("usual", "baseline"), ("usual", "tapas"), ("turning away", "baseline"), ("turning away", "tapas")
    ]  # fmt: skip


def test_what_was_never_defined_is_no_proof_of_safety(outcome):
    assert list(breaches(outcome(quality_loss_frac=None), Risk(quality_loss_frac=0.1))) == ["quality_loss_frac"]
    assert breaches(outcome(quality_loss_frac=None), Risk()) == {}
    assert breaches(outcome(power_cap_time_frac=0.007), Risk()) == {}

"""A study's file: read as it is meant, or refused with everything that is wrong."""

from __future__ import annotations

import pytest

from tapas_opt.errors import InvalidInput
from tapas_opt.planning.study import Risk, contradictions, read_study

LEAST = "format: tapas-opt/study/1\nname: small\nsites: [{name: a, servers: 16}]\npolicies: [baseline]\n"


def test_what_is_not_stated_is_an_ordinary_study(write):
    study = read_study(write(LEAST))
    assert study.seeds == (1, 2, 3)
    assert study.failures == {"none": ()}
    assert study.risks == {"usual": Risk()}
    assert study.money is None


def test_every_field_that_is_wrong_is_named_at_once(write):
    text = LEAST + (
        "days: -1\nseeds: [1, x]\nscenarios: [weak]\nsaas_share: [2]\noversubscription: [-0.5]\nfailure: {}\n"
        "risks: {calm: {ups_trip: 1}}\nmoney: {currency: USD}\n"
    )
    with pytest.raises(InvalidInput) as caught:
        read_study(write(text.replace("baseline", "basline")))
    named = {fault.where for fault in caught.value.faults}
    assert {
        "days",
        "seeds[1]",
        "scenarios[0]",
        "saas_share[0]",
        "oversubscription[0]",
        "failure",
        "policies[0]",
    } <= named
    assert {"risks.calm.ups_trip", "money.built_kw", "money.pue"} <= named
    assert "there are baseline, packed, polca" in str(caught.value)


def test_what_contradicts_itself_is_named_too(write):
    text = LEAST.replace(
        "[{name: a, servers: 16}]",
        "[{name: a}, {name: a, servers: 16, file: x.yaml}, {name: b, servers: 16, shape: {oversubscription: 0.1}}]",
    )
    prices = dict.fromkeys(("stranded_kw_year", "server", "energy_kwh", "pue"), "{low: 1, base: 1, high: 1}")
    prices |= dict.fromkeys(("revenue_server_h", "sla_penalty_server_h"), "{low: 1, base: 1, high: 1}")
    money = ", ".join(f"{name}: {value}" for name, value in prices.items())
    text += "weather: [{name: own, day: 3}]\n"
    text += f"seeds: [1, 1]\nmoney: {{currency: USD, built_kw: {{low: 3, base: 2, high: 4}}, {money}, "
    text += "building_years: 15, server_years: 5}\n"
    named = [fault.where for fault in contradictions(read_study(write(text)))]
    varied = "sites[2].shape.oversubscription"
    assert named == ["sites[1]", "seeds[1]", "sites[0]", "sites[1]", varied, "weather[0]", "money.built_kw"]


def test_a_risk_that_looks_at_nothing_is_named(write):
    usual = ("ups_trips", "breaker_trips", "thermal_throttle_time_frac", "power_cap_time_frac", "vms_rejected_frac")
    limits = ", ".join(f"{name}: null" for name in usual)
    study = read_study(write(LEAST + f"risks: {{any: {{{limits}}}, calm: {{}}}}\n"))
    assert [fault.where for fault in contradictions(study)] == ["risks.any"]


def test_a_limit_of_null_is_not_looked_at(write):
    study = read_study(write(LEAST + "risks: {loose: {power_cap_time_frac: null, max_gpu_temperature_c: 85}}\n"))
    limits = study.risks["loose"].limits()
    assert "power_cap_time_frac" not in limits
    assert limits["max_gpu_temperature_c"] == 85.0
    assert limits["ups_trips"] == 0.0

"""The page of a study says who fits how many servers, and what broke."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from tapas_opt.planning.findings import fitting
from tapas_opt.planning.study import Assumed, Money, Risk, SiteAsked, Study
from tapas_opt.plot.study_report import fitting_figure, study_headline, write_study_report


@pytest.fixture
def study() -> Study:
    return Study("tapas-opt/study/1", "two fillings", (SiteAsked("a & b", servers=100),), ("baseline", "tapas"))


@pytest.fixture
def answer(study):
    """The baseline trips a UPS at 20 % more when U1 is lost; tapas does not."""

    def cell(added, policy, which):
        trips = int((added, policy, which) == (0.2, "baseline", "ups:U1"))
        metrics = {
            "ups_trips": trips, "breaker_trips": 0, "thermal_throttle_time_frac": 0.001, "power_cap_time_frac": 0.005,
            "max_gpu_temperature_c": 80.0, "peak_row_power_frac": 0.9, "saas_performance_loss_frac": 0.0,
            "iaas_performance_loss_frac": None, "vms_placed": 90,
        }  # fmt: skip
        return {
            "site": "a & b", "scenario": "week", "weather": "own", "oversubscription": added, "saas_share": 0.5,
            "failure": "any", "which": which, "policy": policy, "seed": 1,
            "servers": round(100 * (1 + added)), "vms_rejected_frac": 0.0,
            "metrics": metrics,
        }  # fmt: skip

    cells = [cell(a, p, w) for a in (0.0, 0.2) for p in ("baseline", "tapas") for w in ("", "ups:U1")]
    worth = {
        "site": "a & b", "oversubscription": 0.2, "saas_share": 0.5, "element": "ups:U1", "step": 1000, "unit": "W",
        "wanted": 108.0, "placed_before": 100.0, "placed_after": 101.0, "least": 0.5, "most": None,
        "kept_out": [{"constraint": "failure_secure", "vms": 8, "short_by": 1250.5, "unit": "W"}],
        "revenue_per_h": {"low": None, "base": 12.0, "high": None},
    }  # fmt: skip
    return {"cells": cells, "fits": fitting(cells, study.risks), "worths": [worth], "costs": []}


def test_the_headline_says_how_many_servers_each_policy_carries(answer):
    assert study_headline(answer) == "a & b, risk “usual”, servers that fit: baseline 100; tapas 120 or more."


def test_the_page_names_what_binds_and_what_a_step_is_worth(answer, study, tmp_path):
    write_study_report(answer, study, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert (
        "<td>week</td><td>own</td><td>ups:U1</td><td>UPSs that tripped</td><td>1</td><td>0</td><td>1 of 1</td>" in page
    )
    assert (
        "ups:U1 +1,000 W</td><td>100 of 108</td><td>101</td><td>0.50</td><td>–</td><td>12.00 (–\u00a0to\u00a0–)</td>"
        "<td>failure_secure: 8 VMs, by 1,250.5 W or more</td>" in page
    )
    assert "a &amp; b" in page
    assert "all that were tried are safe" in page
    assert "Server time slowed for heat ≤ 0.70\u00a0%" in page
    assert "Slowed, or turned away, against" in page


def test_what_was_assumed_is_told_in_words(answer, study, tmp_path):
    """Every price by name, with its levels or its years."""
    names = [item.name for item in fields(Money) if item.name != "currency"]
    prices = {name: 15.0 if name.endswith("_years") else Assumed(1.0, 2.0, 3_000.0) for name in names}
    write_study_report(answer, replace(study, money=Money("EUR", **prices)), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "<td>building a kW of UPS capacity</td><td>1</td><td>2</td><td>3,000</td>" in page
    assert "<td>years that a server lasts</td><td></td><td>15</td><td></td>" in page
    assert page.count("<td>1</td><td>2</td><td>3,000</td>") + page.count("<td></td><td>15</td><td></td>") == len(names)


def test_one_filling_is_no_line(answer, study, tmp_path):
    cells = [cell for cell in answer["cells"] if cell["oversubscription"] == 0.0]
    write_study_report(answer | {"cells": cells}, study, tmp_path / "report.html")
    assert "Slowed, or turned away, against" not in (tmp_path / "report.html").read_text("utf-8")


def test_there_is_a_bar_for_each_policy(answer):
    bars = fitting_figure(answer["fits"])
    assert [(trace.name, list(trace.y)) for trace in bars.data] == [("baseline", [100]), ("tapas", [120])]


def test_a_room_into_which_nothing_fits_is_said_to(answer):
    fits = fitting(answer["cells"], {"none": Risk(power_cap_time_frac=0.0)})
    assert "none safely" in study_headline({"fits": fits})

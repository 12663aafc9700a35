"""The page of a reproduction."""

from __future__ import annotations

import re

import pytest

from tapas_opt.plot.reproduction_report import write_reproduction
from tapas_opt.plot.words import over_seeds

ANSWER = {
    "servers": 80,
    "days": 0.7,
    "seeds": [1, 2],
    "saas_share": 0.25,
    "figures": [
        {"figure": "peak <row> power", "paper": "−23 %", "policies": {"baseline": [0.0, 0.0], "tapas": [-0.1, -0.2]}},
        {"figure": "latency", "paper": "kept", "policies": {"baseline": [None, None], "tapas": [None, 0.5]}},
    ],
    "throttling": [
        {"oversubscribe": 0.4, "policy": "tapas", "thermal_throttle_time_frac": 0.0, "power_cap_time_frac": 0.1}
    ],
}


@pytest.fixture
def written(baseline, ours, make_run, tmp_path):
    """Of a quiet day and of one with two failures."""
    path = tmp_path / "reproduction.html"
    runs = make_run(baseline, ours, outages=(), name="week"), make_run(baseline, ours)
    write_reproduction(ANSWER, runs, path)
    return path


def test_means_and_ranges_stand_beside_the_papers_figures(written):
    text = written.read_text("utf-8")
    assert "80 servers, 0.7 days a scenario, 25 % of VMs instances, seeds 1, 2" in text
    assert "peak &lt;row&gt; power</th><td class='number'>−23 %</td>" in text
    assert "−15.00 %<br><small>(−20.00 to −10.00)</small>" in text
    assert "kept</td><td class='number'>unknown</td><td class='number'>50.00 %</td>" in text


def test_a_browser_draws_every_picture(written, drawn):
    """Throttling, the week, its users and its room, two failures."""
    done = drawn(written)
    assert len(re.findall(r'id="figure-\d+"', done.stdout)) == 6
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_seeds_in_words():
    assert over_seeds([None]) == "unknown"
    assert over_seeds([0.25]) == "25.00 %"
    assert over_seeds([-0.25, None, 0.25]) == "0.00 % (−25.00 to 25.00)"

"""Pictures of many runs."""

from __future__ import annotations

import pandas as pd
import pytest

from tapas_opt.plot.studies import throttling_against


def row(over, policy, heat, power, **others):
    return {
        "oversubscribe": over,
        "policy": policy,
        "thermal_throttle_time_frac": heat,
        "power_cap_time_frac": power,
    } | others


ROWS = [
    row(0.4, "baseline", 0.02, 0.1),
    row(0.0, "baseline", 0.0, 0.0),
    row(0.4, "baseline", 0.04, 0.4),
    row(0.4, "tapas", None, float("nan")),
    row(0.0, "tapas", 0.01, 0.0),
]


def lines(figure, name):
    return [trace for trace in figure.data if trace.name == name]


@pytest.mark.parametrize("rows", [ROWS, pd.DataFrame(ROWS)], ids=["mappings", "table"])
def test_a_point_is_the_mean_of_the_seeds_and_its_bar_their_range(rows):
    """With 40 % more, 2 and 4 % of the time slowed for heat, 10 and 40 % under a cap."""
    heat, power = lines(throttling_against(rows), "baseline")
    assert list(heat.x) == list(power.x) == [0.0, 40.0]
    assert list(heat.y) == pytest.approx([0.0, 3.0])
    assert list(power.y) == pytest.approx([0.0, 25.0])
    assert list(power.error_y.array) == list(power.error_y.arrayminus) == pytest.approx([0.0, 15.0])


def test_vms_that_are_turned_away_stand_beside_and_no_line_hides_another():
    rows = [row(0.4, name, 0.0, 0.0, vms_rejected_frac=0.25) for name in ("baseline", "tapas")]
    figure = throttling_against(rows)
    away = [trace for trace in figure.data if trace.xaxis == "x3"]
    assert [list(trace.y) for trace in away] == [[25.0], [25.0]]
    assert away[0].line.width > away[1].line.width
    assert [trace.showlegend for trace in away] == [False, False]


def test_what_is_missing_is_left_out_and_not_zero():
    heat, power = lines(throttling_against(ROWS), "tapas")
    assert list(heat.x) == list(power.x) == [0.0]


def test_any_setting_may_be_on_the_axis_and_a_claim_is_a_line():
    """Shares are told in per cent, degrees as they are."""
    rows = [row(0.4, "tapas", 0.0, 0.0, warmer_k=6.0, saas_share=0.25)]
    figure = throttling_against(rows, over="warmer_k", claim_frac=0.007)
    assert figure.layout.xaxis.title.text == "warmer k"
    assert figure.data[0].x == (6.0,)
    assert [shape.y0 for shape in figure.layout.shapes] == pytest.approx([0.7, 0.7])
    assert throttling_against(rows, over="saas_share").data[0].x == (25.0,)


def test_each_site_has_lines_of_its_own():
    """One colour a policy, one dash a site."""
    small, large = (row(0.4, "tapas", 0.0, 0.0, site=site) for site in ("small", "large"))
    heat = [trace for trace in throttling_against([small, large]).data if trace.xaxis == "x"]
    assert [trace.name for trace in heat] == ["tapas, small", "tapas, large"]
    assert heat[0].line.color == heat[1].line.color
    assert heat[0].line.dash != heat[1].line.dash


def test_nothing_run_is_an_empty_picture():
    assert len(throttling_against([]).data) == 0

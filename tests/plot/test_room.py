"""The room seen from above."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tapas_opt.plot.room import room_figure


def heatmaps(figure):
    return [trace for trace in figure.data if trace.type == "heatmap"]


def test_each_server_is_a_cell_of_its_row_and_the_hottest_has_a_ring(ours, make_run):
    """R1 has 61, 72 and 45 °C, R2 has 84 and 66 °C and one cell less."""
    figure = room_figure(make_run(ours))
    (room,) = heatmaps(figure)
    assert np.array_equal(room.z, [[61.0, 72.0, 45.0], [84.0, 66.0, np.nan]], equal_nan=True)
    assert list(room.y) == ["R1", "R2"]
    assert room.text[0].tolist() == ["R1-S1", "R1-S2", "R1-S3"]
    ring = next(trace for trace in figure.data if trace.type == "scatter")
    assert (ring.x[0], ring.y[0]) == (1, "R2")


def test_rooms_of_all_policies_share_one_scale(baseline, ours, make_run):
    """Otherwise a cool room would look as hot as a hot one."""
    cooler = replace(ours, hottest_gpus_c=ours.hottest_gpus_c - 20.0)
    figure = room_figure(make_run(baseline, cooler))
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (25.0, 84.0)
    titles = [note.text for note in figure.layout.annotations]
    assert titles[0].startswith("baseline: 84.0 °C, ")
    assert titles[1].startswith("tapas-opt: 64.0 °C, ")
    assert len(heatmaps(figure)) == 2


def test_records_that_do_not_know_their_servers_have_no_room(ours, make_run):
    assert room_figure(make_run(replace(ours, hottest_gpus_c=np.empty(0)))) is None
    assert room_figure(make_run()) is None

"""An import is written part by part: whole or not there, never over something else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tapas_opt.domain.history import TABLES
from tapas_opt.errors import InvalidInput, ServerUnreachable
from tapas_opt.telemetry.dense import Block, mean_in_slots
from tapas_opt.telemetry.importing import Part, Span, import_history, spans_of
from tapas_opt.telemetry.tally import Tally
from tapas_opt.telemetry.units import column_of

DAY_S = 86_400


def rows_of(span: Span, values: list[float]) -> tuple[Block, Tally]:
    """A table of rows, one value a slot for row R1."""
    block, tally = Block(TABLES["rows"], span.start_s, span.step_s, span.slots, ["R1"], 1), Tally()
    block.fill(column_of("rows.meter_power_w"), np.array(values).reshape(-1, 1, 1), tally, "test")
    return block, tally


def one_reading(span: Span) -> Part:
    block, tally = rows_of(span, [span.start_s / DAY_S] + [np.nan] * (span.slots - 1))
    return Part({"rows": block.to_table()}, tally)


def test_a_time_is_cut_at_midnights_into_whole_slots():
    """From 22:07 to 02:03 the next night: slots begin at 22:05 and the last one ends at 02:00."""
    start, end = 22 * 3600 + 7 * 60, DAY_S + 2 * 3600 + 3 * 60
    assert spans_of(start, end, 300) == [Span(22 * 3600 + 300, DAY_S, 300), Span(DAY_S, DAY_S + 7_200, 300)]
    assert [span.slots for span in spans_of(0, 7_200, 300, longest_s=3_600)] == [12, 12]
    assert spans_of(10, 20, 300) == []


def test_parts_become_one_file_in_order_of_time(tmp_path):
    out, told = tmp_path / "new" / "folder", []
    done = import_history(
        out, {"from": "test"}, spans_of(0, 3 * DAY_S, 43_200), one_reading, lambda *at: told.append(at)
    )
    assert done.rows == {"rooms": 0, "servers": 0, "gpus": 0, "rows": 3, "vms": 0}
    assert pd.read_parquet(out / "rows.parquet").meter_power_w.tolist() == [0, 1, 2]
    assert [share for share, _ in told] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert not (out / ".import").exists()


def test_a_source_that_falls_silent_says_that_what_is_done_is_kept(tmp_path):
    def until_the_second_day(span: Span) -> Part:
        if span.start_s >= DAY_S:
            raise ServerUnreachable("http://x does not answer")
        return one_reading(span)

    spans = spans_of(0, 3 * DAY_S, 300)
    with pytest.raises(ServerUnreachable, match=r"1 of 3 parts are kept in .* the same command goes on from there"):
        import_history(tmp_path / "out", {}, spans, until_the_second_day)
    assert import_history(tmp_path / "out", {}, spans, one_reading).resumed == 1


def test_a_part_that_was_being_written_is_written_again(tmp_path):
    """A power cut in the middle of a file leaves a name that is not believed."""
    spans = spans_of(0, 2 * DAY_S, 300)
    torn = tmp_path / ".import" / f"{spans[0].name}.unfinished"
    torn.mkdir(parents=True)
    (torn / "rows.parquet").write_bytes(b"PAR1")
    assert import_history(tmp_path, {}, spans, one_reading).rows["rows"] == 2


@pytest.mark.parametrize("name", ["servers.parquet", "notes.txt"])
def test_a_folder_with_anything_in_it_is_left_alone(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(InvalidInput, match="already holds files"):
        import_history(tmp_path, {}, spans_of(0, DAY_S, 300), one_reading)
    assert (tmp_path / name).read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_said_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="cannot be written"):
        import_history(tmp_path / "file" / "out", {}, spans_of(0, DAY_S, 300), one_reading)


def test_what_cannot_be_is_counted_and_what_is_missing_is_not(tmp_path):
    block, tally = rows_of(Span(0, 1_500, 300), [7.0, np.nan, np.inf, -1.0, 6e6])
    assert block.to_table().to_pydict() == {"t_s": [0.0], "row": ["R1"], "meter_power_w": [7.0]}
    assert tally.to_json() == {
        "read": {"rows.meter_power_w": 1},
        "dropped": {"rows.meter_power_w": {"not a number": 1, "outside the physical range": 2}},
        "unknown": {},
        "used": {"rows.meter_power_w": {"test": 1}},
    }
    assert Tally.from_json(tally.to_json()).to_json() == tally.to_json()


def test_a_second_source_fills_gaps_but_another_quantity_does_not(tmp_path):
    """R1 has one reading: the same metric under its older name completes it, a different metric must not."""
    block, tally = rows_of(Span(0, 900, 300), [1.0, np.nan, np.nan])
    column = column_of("rows.meter_power_w")
    block.fill(column, np.full((3, 1, 1), 2.0), tally, "another metric", whole=True)
    assert block.to_table().num_rows == 1
    block.fill(column, np.full((3, 1, 1), 3.0), tally, "older name")
    assert block.values("meter_power_w").ravel().tolist() == [1.0, 3.0, 3.0]
    assert tally.used["rows.meter_power_w"] == {"test": 1, "older name": 2}


def test_readings_of_a_slot_are_averaged_in_any_order():
    slot, zero = np.array([1, 0, 1]), np.zeros(3, dtype=np.int64)
    mean = mean_in_slots((3, 1, 1), slot, zero, zero, np.array([10.0, 5.0, 20.0]))
    assert mean.ravel().tolist()[:2] == [5.0, 15.0]
    assert np.isnan(mean[2, 0, 0])

"""What is tracked is written now and then, as a whole or not at all, and never stops the service."""

import json
import logging

import pytest

from tapas_opt.control.telemetry import Readings
from tapas_opt.service import tracking_file
from tapas_opt.service.tracking_file import TrackingFile, tracking_path


@pytest.fixture
def observed(controller):
    """The controller has looked at readings taken at 1,000 s."""

    def at(at_s):
        servers = controller.fleet.topology.servers
        inlet, power = dict.fromkeys(servers, 22.0), dict.fromkeys(servers, 1_700.0)
        controller.observe(Readings(at_s, outdoor_c={"room1": 20.0}, inlet_c=inlet, server_power_w=power))

    at(1_000.0)
    return at


def looked_at_s(path):
    return json.loads(path.read_text())["looked_at_s"]


def test_a_journal_that_is_a_file_has_its_biases_beside_it(tmp_path):
    """A database, or a file opened by a URI such as a read-only one, has none: biases are tracked anew then."""
    assert tracking_path("runs/state.sqlite").name == "state.sqlite.tracking.json"
    assert tracking_path("postgresql://db/tapas") is None
    assert tracking_path("sqlite:///file:state?mode=ro&uri=true") is None
    TrackingFile(None).write(controller=None)


def test_it_is_written_once_a_minute_and_only_when_there_is_something_new(controller, observed, tmp_path, monkeypatch):
    """A disk is not worn out by what lasts for hours."""
    kept = TrackingFile(tmp_path / "t.json")
    kept.keep(controller)
    assert looked_at_s(tmp_path / "t.json") == 1_000.0
    observed(1_060.0)
    kept.keep(controller)
    assert looked_at_s(tmp_path / "t.json") == 1_000.0
    monkeypatch.setattr(tracking_file, "SAVE_EVERY_S", 0.0)
    kept.keep(controller)
    assert looked_at_s(tmp_path / "t.json") == 1_060.0
    written = (tmp_path / "t.json").stat().st_mtime_ns
    kept.keep(controller)
    assert (tmp_path / "t.json").stat().st_mtime_ns == written
    assert [path.name for path in tmp_path.iterdir()] == ["t.json"]


def test_what_was_written_is_what_is_read(controller, observed, tmp_path):
    TrackingFile(tmp_path / "t.json").write(controller)
    controller.forget_tracking("for the test")
    TrackingFile(tmp_path / "t.json").read(controller)
    assert controller.outlook.tracking.looked_at_s == 1_000.0
    assert controller.warnings(1_000.0)[0].startswith("WIDENED")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "tapas-opt/tracking/1"}', "\x00" * 100])
def test_a_file_that_cannot_be_used_is_said_so_and_forgotten(controller, tmp_path, caplog, text):
    """A damaged file must not keep the service from starting."""
    (tmp_path / "t.json").write_text(text)
    with caplog.at_level(logging.WARNING):
        TrackingFile(tmp_path / "t.json").read(controller)
    assert "t.json cannot be used" in caplog.text
    assert controller.warnings(0.0)[0].startswith("TRACKING: ")


def test_a_full_disk_is_said_once(controller, observed, tmp_path, caplog):
    """The folder is a file, so that nothing can be written there; the service goes on."""
    (tmp_path / "no-folder").write_text("")
    kept = TrackingFile(tmp_path / "no-folder" / "t.json")
    with caplog.at_level(logging.WARNING):
        kept.write(controller)
        kept.write(controller)
    assert caplog.text.count("would not survive a restart") == 1

"""``tapas-opt history`` as a person or a script meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tapas_opt.cli.history import app
from tapas_opt.cli.main import app as whole
from tapas_opt.cli.paths import demo_data
from tapas_opt.domain.history import TABLES
from tapas_opt.domain.site import Site
from tapas_opt.domain.site_file import write_site
from tapas_opt.errors import InvalidInput

run = CliRunner()


@pytest.fixture
def site_file(two_rows: Site, tmp_path: Path) -> Path:
    path = tmp_path / "site.yaml"
    write_site(two_rows, path)
    return path


def test_generate_writes_every_table_and_prints_one_json_object(site_file, tmp_path):
    """Scripts read stdout; a progress bar there would break them."""
    out = tmp_path / "history"
    done = run.invoke(
        whole, ["history", "generate", "--site", str(site_file), "--days", "0.05", "--out", str(out), "--json"]
    )
    data = json.loads(done.stdout)
    assert done.exit_code == 0
    # 0.05 days are 72 minutes: 14 samples of 5 minutes.
    assert data["rows"]["rooms"] == 14
    assert data["seed"] == 1
    assert data["trips"] == []
    assert sorted(path.stem for path in out.iterdir()) == sorted([*TABLES, "vm_list"])


def test_real_weather_is_taken_and_must_be_long_enough(site_file, tmp_path):
    """49 hours at 31 °C outside: two days and no more."""
    weather = tmp_path / "weather.csv"
    weather.write_text("hour,outdoor_c\n" + "".join(f"{hour},31.0\n" for hour in range(49)), encoding="utf-8")
    command = ["history", "generate", "--site", str(site_file), "--weather", str(weather), "--json"]
    done = run.invoke(whole, [*command, "--days", "0.05", "--out", str(tmp_path / "history"), "--truth"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["weather"] == str(weather)
    rooms = pq.read_table(tmp_path / "history" / "truth_rooms.parquet").to_pandas()
    assert (rooms.outdoor_c == 31.0).all()
    long = run.invoke(app, [*command[1:], "--days", "2.1", "--out", str(tmp_path / "long")])
    assert isinstance(long.exception, InvalidInput)
    assert "knows days 0.00 to 2.00, the run is from day 0.00 to 2.10" in str(long.exception)
    assert not (tmp_path / "long").exists(), "nothing runs before"


def test_without_a_site_the_demo_site_is_used(tmp_path):
    """The README's shortest command; its summary names rows and what to do next."""
    done = run.invoke(app, ["generate", "--days", "0.01", "--out", str(tmp_path / "history"), "--truth"])
    assert done.exit_code == 0
    assert "160 servers" in done.stdout
    assert "tapas-opt fit" in done.stdout
    assert (tmp_path / "history" / "truth_gpus.parquet").exists()
    assert (demo_data() / "profiles.csv").is_file()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--days", "0"], "days: 0.0: must be a number above 0"),
        (["--days", "-3"], "days: -3.0: must be a number above 0"),
        (["--step", "0"], "step_s: 0.0: must be a number above 0"),
        (["--site", "nowhere.yaml"], "nowhere.yaml: file: cannot be read"),
    ],
)
def test_bad_input_is_one_clear_error(arguments, complaint, tmp_path):
    """The entry point turns it into one line and exit code 2; here it must be the right exception."""
    done = run.invoke(app, ["generate", "--out", str(tmp_path / "history"), *arguments])
    assert isinstance(done.exception, InvalidInput)
    assert complaint in str(done.exception)
    assert not (tmp_path / "history").exists()


def test_a_folder_with_content_is_left_alone(site_file, tmp_path):
    """Nobody wants two histories mixed, or one overwritten."""
    done = run.invoke(app, ["generate", "--site", str(site_file), "--out", str(tmp_path)])
    assert isinstance(done.exception, InvalidInput)
    assert "already holds files" in str(done.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["site.yaml"]

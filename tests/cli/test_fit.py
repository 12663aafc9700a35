"""``tapas-opt fit`` as a person or a script meets it."""

from __future__ import annotations

import json
import sys

import pytest

from tapas_opt.cli import main as entry
from tapas_opt.domain.site_file import write_site
from tapas_opt.learn.models import KINDS, LearnedModels
from tapas_opt.plant.history import generate_history


@pytest.fixture
def tapas(monkeypatch, capsys):
    """Run the command line in this process: exit code, stdout, stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tapas-opt", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            entry.main()
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    return run


@pytest.fixture(scope="module")
def four_days(two_rows, tmp_path_factory):
    """Site file and folder of four simulated days of `two_rows`."""
    folder = tmp_path_factory.mktemp("four_days")
    write_site(two_rows, folder / "site.yaml")
    generate_history(two_rows, out=folder / "history", days=4.0, step_s=300.0, seed=1)
    return folder / "site.yaml", folder / "history"


def test_models_and_their_errors_come_as_one_json_object(tapas, four_days, tmp_path):
    """Names and fields are those of the evaluation's contract; the plant shares no formula with the models."""
    site, history = four_days
    code, out, _ = tapas("fit", "--history", history, "--models", tmp_path / "models", "--site", site, "--json")
    assert code == 0
    answer = json.loads(out)
    assert set(answer["models"]) == set(KINDS)
    for errors in answer["models"].values():
        assert set(errors) >= {"mae", "p95_error", "coverage", "unit", "rows_train", "rows_test"}
    loaded = LearnedModels.load(tmp_path / "models")
    assert loaded.fingerprint == answer["fingerprint"]
    assert answer["models"]["inlet_temperature"]["mae"] < 1.0


def test_a_person_sees_a_table(tapas, four_days, tmp_path):
    site, history = four_days
    code, out, _ = tapas("fit", "--history", history, "--models", tmp_path / "models", "--site", site)
    assert code == 0
    assert "Errors on held-out days" in out
    assert "gpu_memory_temperature" in out


def test_a_folder_without_history_is_bad_input(tapas, tmp_path):
    code, out, err = tapas("fit", "--history", tmp_path, "--models", tmp_path / "models", "--json")
    assert code == 2
    assert out == ""
    assert "gpus.parquet: is missing" in err
    assert not (tmp_path / "models").exists()

"""Cells run anywhere come to the same, and what dies on the way loses nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tapas_opt.errors import InvalidInput, ServerUnreachable
from tapas_opt.planning.cells import GIVEN, Named, cells_of
from tapas_opt.planning.kept import Kept
from tapas_opt.planning.outcome import MEASURED
from tapas_opt.planning.running import on_cluster, on_cores
from tapas_opt.planning.study import SiteAsked

BEGUN_WITHIN_S = 30.0


def without_clock(outcomes):
    """By key, all but what a real clock shows."""
    return {
        row["key"]: {**row, "metrics": {name: value for name, value in row["metrics"].items() if name not in MEASURED}}
        for row in outcomes
    }


def test_finished_cells_are_kept_and_read_again(study, learned, tmp_path):
    cells, _ = cells_of(study(seeds=(1, 2)), Named(), learned)
    kept = Kept(tmp_path / "cells")
    assert kept.finished(cells) == {}
    (first,) = on_cores(cells[:1], {GIVEN: learned}, jobs=1)
    kept.keep(first)
    assert Kept(tmp_path / "cells").finished(cells) == {cells[0].key: first}


def test_a_file_that_is_no_outcome_is_as_none(study, learned, tmp_path):
    """Half a file, one that is no object, another cell's, and one in which somebody changed a number."""
    cells, _ = cells_of(study(seeds=(1, 2, 3, 4, 5)), Named(), learned)
    kept = Kept(tmp_path)
    half, other, moved, changed, whole = ((cell.key, tmp_path / f"{cell.key}.json") for cell in cells)
    for key, _ in (moved, changed, whole):
        kept.keep({"key": key, "servers": 16, "hours": 0.1})
    half[1].write_text('{"outcome": {"key": ', encoding="utf-8")
    other[1].write_text("[]", encoding="utf-8")
    moved[1].write_bytes(whole[1].read_bytes())
    changed[1].write_text(changed[1].read_text("utf-8").replace("16", "17"), encoding="utf-8")
    assert set(kept.finished(cells)) == {whole[0]}


def test_processes_come_to_the_same_as_this_one(study, learned):
    cells, _ = cells_of(study(seeds=(1, 2), failures={"UPS": ("ups:U2@14m+5s",)}), Named(), learned)
    alone, together = (without_clock(on_cores(cells, {GIVEN: learned}, jobs=jobs)) for jobs in (1, 2))
    assert alone == together
    assert len(alone) == len(cells)


@pytest.mark.parametrize(
    ("address", "error", "what"),
    [
        ("nonsense://127.0.0.1:1", InvalidInput, "is no address such as tcp:"),
        ("tcp://127.0.0.1:1", ServerUnreachable, "no Dask scheduler"),
    ],
)
def test_nobody_at_the_address_is_said(address, error, what, study, learned, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("tapas_opt.planning.running.FOUND_WITHIN_S", 0.2)
    cells, _ = cells_of(study(), Named(), learned)
    with pytest.raises(error, match=what):
        next(on_cluster(cells, {GIVEN: learned}, address))


@pytest.fixture
def begun(tmp_path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Begin a Dask scheduler or worker as a process of its own, on a free port of this machine."""
    pytest.importorskip("distributed")
    paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    here = ["--no-dashboard", "--scheduler-file", str(tmp_path / "scheduler.json"), "--host", "127.0.0.1"]
    with ExitStack() as running, (tmp_path / "log").open("wb") as log:

        def begin(what: str, *options: str) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", f"distributed.cli.dask_{what}", *here, *options]
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=tmp_path)
            running.callback(process.wait)
            running.callback(process.kill)
            return process

        yield begin


@pytest.fixture
def scheduler(begun, tmp_path) -> tuple[str, subprocess.Popen[bytes]]:
    """Its address and its process."""
    process, file = begun("scheduler", "--port", "0"), tmp_path / "scheduler.json"
    until = time.monotonic() + BEGUN_WITHIN_S
    while not file.exists() and time.monotonic() < until:
        time.sleep(0.05)
    return json.loads(file.read_text())["address"], process


def test_a_killed_worker_of_a_cluster_loses_nothing_and_changes_no_number(study, learned, scheduler, begun):
    """It dies once the first cell is there, with cells begun, finished and waiting on it."""
    from distributed import Client  # noqa: PLC0415  skipped where it is not there

    address, _ = scheduler
    workers = [begun("worker", "--no-nanny", "--nthreads", "1") for _ in range(2)]
    asked = study(sites=(SiteAsked("small", servers=16),), seeds=tuple(range(8)), days=0.1)
    cells, _ = cells_of(asked, Named(), learned)
    with Client(address, timeout=BEGUN_WITHIN_S) as client:
        client.wait_for_workers(2, timeout=BEGUN_WITHIN_S)
    found = []
    for outcome in on_cluster(cells, {GIVEN: learned}, address):
        found.append(outcome)
        if len(found) == 1:
            workers[0].send_signal(signal.SIGKILL)
    assert workers[0].wait() == -signal.SIGKILL
    assert workers[1].poll() is None
    assert without_clock(found) == without_clock(on_cores(cells, {GIVEN: learned}, jobs=1))
    assert len(found) == len(cells)


def test_a_scheduler_that_goes_away_is_said(study, learned, scheduler):
    """It has no workers, so that the cell still waits when it is killed."""
    address, process = scheduler
    cells, _ = cells_of(study(), Named(), learned)
    killing = threading.Timer(3.0, process.kill)
    killing.start()
    with pytest.raises(ServerUnreachable, match=r"went away; finished cells are kept|no Dask scheduler"):
        next(on_cluster(cells, {GIVEN: learned}, address))
    killing.join()

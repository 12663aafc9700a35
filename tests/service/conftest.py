"""Real servers on port 0: a process for what users see, a controller in this process for what they do not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tapas_opt.client import Client
from tapas_opt.control.controller import Controller
from tapas_opt.control.profiles import Profiles
from tapas_opt.domain.configuration import read_profiles
from tapas_opt.domain.site import Site
from tapas_opt.domain.workload import Endpoint, Slo, Vm, VmKind
from tapas_opt.learn.models import LearnedModels

COMMAND = Path(sys.executable).with_name("tapas-opt")


class Process:
    """A running ``tapas-opt serve`` on the demo site."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.state = str(folder / "state.sqlite")
        folder.mkdir(parents=True, exist_ok=True)
        self._errors = folder / "stderr"
        command = [str(COMMAND), "serve", "--port", "0", "--json", "--state", self.state, *options]
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        line = self._process.stdout.readline()
        if not line:
            self.kill()
            raise AssertionError(f"the server did not start: {self.errors()}")
        self.started = json.loads(line)
        self.address = self.started["address"]
        self.pid = self._process.pid

    def client(self) -> Client:
        return Client(self.address, timeout_s=10.0)

    def errors(self) -> str:
        return self._errors.read_text()

    def kill(self) -> None:
        self._process.kill()
        self._end()

    def terminate(self) -> int:
        """SIGTERM; returns the exit code."""
        self.signal(signal.SIGTERM)
        return self._end()

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def _end(self) -> int:
        code = self._process.wait(20)
        self._process.stdout.close()
        return code


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Start servers that are ended with the test, if they still run."""
    running: list[Process] = []

    def start_one(*options: str) -> Process:
        running.append(Process(tmp_path, *options))
        return running[-1]

    yield start_one
    for process in running:
        process.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One server for all tests of a module, which must have said nothing on stderr."""
    process = Process(tmp_path_factory.mktemp("server"))
    yield process
    assert process.terminate() == 0
    assert process.errors() == ""


@pytest.fixture
def client(server: Process) -> Iterator[Client]:
    with server.client() as client:
        yield client


@pytest.fixture(scope="session")
def profiles(repository: Path) -> Profiles:
    return Profiles(read_profiles(repository / "data" / "demo" / "profiles.csv"))


@pytest.fixture
def controller(repository: Path, demo_site: Site, profiles: Profiles) -> Controller:
    """The demo site without workers: solvers run in this process."""
    return Controller(demo_site, LearnedModels.load(repository / "models" / "demo"), profiles)


@pytest.fixture(scope="session")
def chat(profiles: Profiles) -> Endpoint:
    """An endpoint of the first profiled configuration."""
    return Endpoint("chat", Slo(2.0, 0.2), profiles.all[0].configuration.name)


@pytest.fixture
def vm(request: pytest.FixtureRequest, server: Process) -> Iterator[Callable[..., Vm]]:
    """Make IaaS VMs whose names no other test of the module uses; their servers are free again afterwards."""
    made: list[str] = []
    test = "".join(part[0] for part in request.node.name.split("_"))

    def make(**fields: Any) -> Vm:
        made.append(f"{test}-{len(made)}")
        return Vm(name=made[-1], kind=VmKind.IAAS, tenant="acme", **fields)

    yield make
    with server.client() as client:
        left = [record.vm.name for record in client.vms() if record.vm.name in made]
        if left:
            client.release(left)

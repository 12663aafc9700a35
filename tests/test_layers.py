"""The floors of the house: imports go down only, and third parties stay behind their fences."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

FLOORS = (
    ("errors", "durable"),
    ("domain",),
    ("serving",),
    ("mip", "learn", "plant", "telemetry"),
    ("budgets",),
    ("placement", "routing", "reconfiguration"),
    ("solve", "state", "problem_file"),
    ("control", "worth"),
    ("simulation",),
    ("planning", "bench"),
    ("service",),
    ("client", "plot"),
    ("adapters", "web", "agent"),
    ("cli",),
)
FLOOR = {part: number for number, parts in enumerate(FLOORS) for part in parts}

NOT_EVEN_DOWNWARDS = {("placement", "learn"), ("routing", "learn"), ("reconfiguration", "learn")}
"""Problems hold numbers only: who optimises does not learn."""

OVER_GRPC = ("service/*", "client/*", "adapters/*", "api/*")
FENCES = {
    "highspy": ("mip/highs.py", "mip/growing.py"),
    "ortools": ("mip/cpsat.py",),
    "pyomo": ("*/reference.py", "mip/pyomo_solver.py", "mip/pyomo_engine.py"),
    "pyscipopt": ("mip/scip.py",),
    "sklearn": ("learn/*",),
    "simpy": ("serving/requests.py",),
    "pynvml": ("telemetry/nvml.py",),
    "dask": ("planning/*",),
    "distributed": ("planning/*",),
    "grpc": OVER_GRPC,
    "grpc_status": OVER_GRPC,
    "grpc_health": OVER_GRPC,
    "grpc_reflection": OVER_GRPC,
    "google": OVER_GRPC,
    "tapas_opt.api": OVER_GRPC,
}

GENERATED = "api"

SAME_AS = {"__main__": "cli"}
"""``python -m tapas_opt`` is the command line by another door."""


def complaints(path: str, source: str) -> list[str]:
    """What is wrong with the imports of a module, given by its path inside the package, such as ``mip/highs.py``."""
    part = path.split("/", maxsplit=1)[0].removesuffix(".py")
    part = SAME_AS.get(part, part)
    if part in ("__init__", GENERATED):
        return []
    if part not in FLOOR:
        return [f"{path}: {part} is on no floor"]
    found = [_complaint(path, part, module) for module in _imported(path, ast.parse(source))]
    return [text for text in found if text]


def _complaint(path: str, part: str, module: str) -> str:
    for fenced, allowed in FENCES.items():
        if f"{module}.".startswith(f"{fenced}.") and not any(fnmatch(path, pattern) for pattern in allowed):
            return f"{path}: imports {fenced}, which belongs to {', '.join(allowed)}"
    package, _, rest = module.partition(".")
    other = rest.split(".", maxsplit=1)[0]
    if package != "tapas_opt" or other in ("", GENERATED, part):
        return ""
    if other not in FLOOR:
        return "" if other.startswith("__") else f"{path}: imports {other}, which is on no floor"
    if FLOOR[other] >= FLOOR[part] or (part, other) in NOT_EVEN_DOWNWARDS:
        return f"{path}: {part} must not import {other}"
    return ""


def _imported(path: str, tree: ast.AST) -> Iterator[str]:
    """Yield every module imported anywhere: in functions and under TYPE_CHECKING as well."""
    here = ["tapas_opt", *path.split("/")[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            # "from tapas_opt import mip" names its module in the last word
            yield from (".".join([*base, *filter(None, [node.module]), alias.name]) for alias in node.names)


def modules(package: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(package.rglob("*.py")):
        yield path.relative_to(package).as_posix(), path.read_text(encoding="utf-8")


def test_imports_go_down_only_and_third_parties_stay_behind_their_fences(repository):
    """A house whose floors lean on each other both ways cannot be changed a floor at a time."""
    found = [text for path, source in modules(repository / "tapas_opt") for text in complaints(path, source)]
    assert not found, "\n".join(found)


def test_all_of_the_package_is_looked_at(repository):
    """A test that reads nothing passes."""
    paths = [path for path, _ in modules(repository / "tapas_opt")]
    assert "domain/site.py" in paths
    assert "errors.py" in paths
    assert len(paths) > 20


@pytest.mark.parametrize(
    ("path", "source"),
    [
        pytest.param("domain/site.py", "from tapas_opt.mip.model import MipModel", id="upwards"),
        pytest.param("domain/site.py", "from tapas_opt import mip", id="upwards by the package's name"),
        pytest.param("domain/site.py", "import tapas_opt.cli.main as m", id="upwards by import"),
        pytest.param("domain/site.py", "from ..control import loop", id="upwards by dots"),
        pytest.param("errors.py", "from .domain import site", id="upwards by one dot"),
        pytest.param("learn/power.py", "from tapas_opt.plant import physics", id="sibling"),
        pytest.param("routing/pick.py", "def f():\n    from tapas_opt.placement import problem", id="in a function"),
        pytest.param(
            "state/journal.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from tapas_opt.control import loop",
            id="for types only",
        ),
        pytest.param("placement/problem.py", "from tapas_opt.learn import power", id="optimising that learns"),
        pytest.param("solve.py", "import highspy", id="highspy"),
        pytest.param("mip/highs.py", "from ortools.sat.python import cp_model", id="ortools"),
        pytest.param("placement/formulation.py", "import pyomo.environ as pyo", id="pyomo"),
        pytest.param("plant/physics.py", "import sklearn", id="sklearn"),
        pytest.param("serving/fluid.py", "import simpy", id="simpy"),
        pytest.param("bench/run.py", "from dask.distributed import Client", id="dask"),
        pytest.param("cli/client.py", "import grpc", id="grpc"),
        pytest.param("control/loop.py", "from google.protobuf import message", id="protobuf"),
        pytest.param("control/loop.py", "from tapas_opt.api.v1 import types_pb2", id="generated code"),
        pytest.param("__main__.py", "import grpc", id="grpc behind the other door"),
        pytest.param("helpers/things.py", "", id="a package on no floor"),
        pytest.param("helpers.py", "", id="a module on no floor"),
        pytest.param("cli/main.py", "from tapas_opt.helpers import things", id="import of what is on no floor"),
    ],
)
def test_a_wrong_import_is_found(path, source):
    """The test can fail."""
    assert len(complaints(path, source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("cli/main.py", "import typer\nfrom tapas_opt import __version__\nfrom tapas_opt.cli import site"),
        ("domain/site.py", "from tapas_opt.errors import Fault\nfrom .fields import Name\nimport numpy as np"),
        ("mip/highs.py", "import highspy"),
        ("routing/reference.py", "import pyomo.environ as pyo\nfrom tapas_opt.budgets import numbers"),
        ("client/calls.py", "import grpc\nfrom tapas_opt.api.v1 import types_pb2\nfrom google.rpc import status_pb2"),
        ("service/server.py", "import grpc\nfrom tapas_opt.control import loop"),
        ("placement/greedy.py", "from tapas_opt.placement.problem import PlacementProblem"),
        ("api/v1/types_pb2.py", "import google.protobuf"),
        ("__main__.py", "from tapas_opt.cli.main import main"),
        ("__init__.py", ""),
    ],
)
def test_a_right_import_is_left_alone(path, source):
    """A test that cries wolf is switched off."""
    assert complaints(path, source) == []

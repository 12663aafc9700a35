"""A placement problem of the demo site, as a file has it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tapas_opt.bench.instances import Making, instance
from tapas_opt.problem_file.files import problem_text


@pytest.fixture(scope="session")
def stated(repository) -> dict[str, Any]:
    """A batch of 32 VMs for a site of 20 servers, of which 14 are taken."""
    making = Making(20, 0, repository / "models" / "demo", repository / "data" / "demo" / "profiles.csv")
    return json.loads(problem_text(instance("placement-batch", making)))


@pytest.fixture
def spoilt(stated) -> Callable[..., dict[str, Any]]:
    """The file with other values in some fields of the problem: ``spoilt(vm_type=…)``."""

    def changed(**values: Any) -> dict[str, Any]:
        raw = copy.deepcopy(stated)
        raw["problem"] |= values
        return raw

    return changed

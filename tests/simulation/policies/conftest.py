"""The demo's site with what was learned of it, for policies that predict."""

from __future__ import annotations

from pathlib import Path

import pytest

from tapas_opt.control.profiles import Profiles
from tapas_opt.domain.configuration import Profile
from tapas_opt.domain.site import Site
from tapas_opt.learn.models import LearnedModels
from tapas_opt.simulation.day import endpoint_of
from tapas_opt.simulation.policies.table import Known


@pytest.fixture(scope="session")
def known(demo_site: Site, profiles: Profiles, started: dict[str, Profile], repository: Path) -> Known:
    endpoints = tuple(endpoint_of(name, profile) for name, profile in started.items())
    return Known(demo_site, LearnedModels.load(repository / "models" / "demo"), profiles, endpoints)

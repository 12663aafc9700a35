"""Engines with a story."""

from __future__ import annotations

import numpy as np
import pytest

from tapas_opt.serving.mix import RequestMix
from tapas_opt.serving.pace import Pace


@pytest.fixture
def slow() -> Pace:
    """An iteration takes 100 ms, and 1 ms for each prompt token; tokens in memory cost nothing. Four places."""
    return Pace(0.1, 0.0, 1e-3, batch=4, kv_tokens=10_000.0, chunk_tokens=100)


@pytest.fixture(scope="session")
def chatting() -> Pace:
    """Like 70B on eight A100."""
    return Pace(0.037, 3.4e-8, 1.3e-4, batch=64, kv_tokens=1_300_000.0, chunk_tokens=1024)


@pytest.fixture(scope="session")
def mix() -> RequestMix:
    """Exponential lengths around a thousand prompt tokens and a hundred output tokens."""
    random = np.random.default_rng(3)
    return RequestMix.of(random.exponential(1_000.0, 400), random.exponential(100.0, 400))

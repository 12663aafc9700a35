"""Small sites with a story, shared by all tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tapas_opt.domain.failure import Effect, Failure, FailureKind, effect_of
from tapas_opt.domain.site import Ahu, Aisle, Pdu, Rack, Room, Row, Server, Site, Ups
from tapas_opt.domain.site_file import read_site
from tapas_opt.domain.site_generator import HARDWARE
from tapas_opt.domain.topology import Topology, topology_of

REPOSITORY = Path(__file__).parent.parent

PAIRS = (("U1", "U2"), ("U3", "U4"), ("U1", "U3"), ("U2", "U4"), ("U1", "U4"), ("U2", "U3"))


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def demo_site() -> Site:
    """80 DGX A100 in two rows, one row per aisle, as committed."""
    return read_site(REPOSITORY / "data" / "demo" / "site.yaml")


@pytest.fixture(scope="session")
def demo_topology(demo_site: Site) -> Topology:
    return topology_of(demo_site)


@pytest.fixture(scope="session")
def two_rows() -> Site:
    """Two rows of three racks with a server each, one aisle a row; each rack hangs on another of the six UPS pairs.

    Racks K1 to K6 hang on U1+U2, U3+U4, U1+U3, U2+U4, U1+U4, U2+U3, by one PDU (P1 to P4) a UPS. A UPS gives
    12,000 W and may be planned on up to 9,000 W (75 %). AHU1 serves aisle A1 alone, AHU2 both aisles by halves, AHU3
    A2 alone; each moves 2,000 CFM and takes 20,000 W away.
    """
    racks = [
        Rack(f"K{k}", (f"P{one[1]}", f"P{two[1]}"), 6_500.0, (Server(f"S{k}", "dgx-a100"),))
        for k, (one, two) in enumerate(PAIRS, start=1)
    ]
    room = Room(
        name="room1",
        upses=tuple(Ups(f"U{u}", rating_w=12_000.0, budget_frac=0.75) for u in range(1, 5)),
        pdus=tuple(Pdu(f"P{u}", f"U{u}", rating_w=16_000.0) for u in range(1, 5)),
        ahus=(
            Ahu("AHU1", 2_000.0, 20_000.0, {"A1": 1.0}),
            Ahu("AHU2", 2_000.0, 20_000.0, {"A1": 0.5, "A2": 0.5}),
            Ahu("AHU3", 2_000.0, 20_000.0, {"A2": 1.0}),
        ),
        aisles=(
            Aisle("A1", (Row("R1", 18_000.0, tuple(racks[:3])),)),
            Aisle("A2", (Row("R2", 18_000.0, tuple(racks[3:])),)),
        ),
    )
    return Site("tapas-opt/site/1", "two-rows", {"dgx-a100": HARDWARE["dgx-a100"]}, (room,))


@pytest.fixture(scope="session")
def two_rows_of_h100(two_rows: Site) -> Site:
    """The same rooms and feeds under machines that need four of their six supplies."""
    return replace(two_rows, hardware={"dgx-a100": HARDWARE["dgx-h100"]})


@pytest.fixture(scope="session")
def one_ups_failed(two_rows: Site) -> Effect:
    """U1 of ``two_rows`` is lost: K1, K3 and K5 live on their other feed."""
    return effect_of(topology_of(two_rows), [Failure(FailureKind.UPS, "U1")])


@pytest.fixture(scope="session")
def one_ahu_failed(two_rows: Site) -> Effect:
    """AHU1 of ``two_rows`` is lost: half of AHU2 is all that aisle A1 has left."""
    return effect_of(topology_of(two_rows), [Failure(FailureKind.AHU, "AHU1")])


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Write a text into a file of its own and return where."""

    def write_text(text: str) -> Path:
        path = tmp_path / "input"
        path.write_text(text, encoding="utf-8")
        return path

    return write_text


@pytest.fixture(scope="session")
def same() -> Callable[[Any, Any], bool]:
    """Whether two values are equal in every number, type and shape; arrays have no ``==`` of that meaning."""

    def compared(one: Any, other: Any) -> bool:
        if type(one) is not type(other):
            return False
        if is_dataclass(one):
            return all(compared(getattr(one, field.name), getattr(other, field.name)) for field in fields(one))
        if isinstance(one, np.ndarray):
            return one.dtype == other.dtype and np.array_equal(one, other)
        if isinstance(one, Mapping):
            return list(one) == list(other) and all(compared(one[key], other[key]) for key in one)
        if isinstance(one, tuple):
            return len(one) == len(other) and all(compared(a, b) for a, b in zip(one, other, strict=True))
        return bool(one == other)

    return compared

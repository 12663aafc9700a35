"""The cells of a study: the product of its lists, each named by what decides what comes out."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tapas_opt.errors import InvalidInput
from tapas_opt.planning.cells import Named, cells_of
from tapas_opt.planning.program import sources
from tapas_opt.planning.study import SiteAsked, Steps, WeatherAsked
from tapas_opt.plant.weather_file import HourlyWeather


def test_a_study_is_the_product_of_its_lists(study, learned):
    """2 fillings × (nothing + each of 4 UPSs) × 2 policies × 3 seeds."""
    asked = study(
        oversubscription=(0.0, 0.5),
        failures={"none": (), "one UPS": ("ups:*@5m+5m",)},
        policies=("baseline", "polca"),
        seeds=(1, 2, 3),
    )
    cells, steps = cells_of(asked, Named(), learned)
    assert len(cells) == 2 * 5 * 2 * 3
    assert len({cell.key for cell in cells}) == len(cells)
    assert {cell.which for cell in cells} == {"", "ups:U1", "ups:U2", "ups:U3", "ups:U4"}
    assert not steps


def test_the_key_is_of_what_decides_and_of_nothing_else(study, learned):
    def key(**other):
        return cells_of(study(**other), Named(), learned)[0][0].key

    plain = key()
    assert key(name="another", sites=(SiteAsked("elsewhere", servers=16),)) == plain
    changes = (
        {"days": 0.02}, {"seeds": (2,)}, {"policies": ("polca",)}, {"saas_share": (0.4,)},
        {"sites": (SiteAsked("small", servers=17),)}, {"failures": {"none": ("ups:U1@5m+5m",)}},
        {"scenarios": ("heat_wave",)}, {"oversubscription": (0.1,)},
    )  # fmt: skip
    keys = [key(**change) for change in changes]
    assert len({plain, *keys}) == 1 + len(changes)


def test_failures_that_a_site_does_not_know_are_all_named(study, learned):
    asked = study(failures={"a": ("ups:U9@5m+5m",), "b": ("fan:*@5m+5m", "ups:U1@2h+5m")})
    with pytest.raises(InvalidInput) as caught:
        cells_of(asked, Named(), learned)
    assert [fault.where for fault in caught.value.faults] == ["failures.a", "failures.b", "failures.b"]
    assert "on site small" in caught.value.faults[0].what


def test_a_step_is_asked_for_the_site_as_it_is_for_one_of_each_kind_of_limit_and_for_all_of_it(study, learned):
    _, steps = cells_of(study(worth=Steps(power_w=2_000)), Named(), learned)
    assert [(step.element, step.step, step.unit) for step in steps] == [
        ("", 0, ""),
        ("row:R1", 2_000, "W"),
        ("ups:U1", 2_000, "W"),
        ("ahu:AHU1", 1_000, "CFM"),
        ("ups:*", 2_000, "W"),
        ("ahu:*", 1_000, "CFM"),
    ]


def test_sites_that_cannot_be_simulated_are_named_before_anything_runs(study, learned, two_rows):
    """Six servers are too few, and a hundred thousand have no room for half as many again."""
    asked = study(sites=(SiteAsked("six", file="six.yaml"), SiteAsked("all", servers=100_000)), oversubscription=(0.5,))
    with pytest.raises(InvalidInput) as caught:
        cells_of(asked, Named({"six": two_rows}), learned)
    assert [fault.where for fault in caught.value.faults] == ["sites[0]", "sites[1]"]
    assert "too small" in caught.value.faults[0].what
    assert "150000" in caught.value.faults[1].what


def test_weather_is_an_axis_of_its_own_that_changes_what_comes_out(study, learned):
    hot, cold = (HourlyWeather(np.full(25, temperature_c), name="year") for temperature_c in (35.0, 5.0))
    asked = study(weather=(WeatherAsked("own"), WeatherAsked("hot", file="a.csv"), WeatherAsked("cold", file="b.csv")))
    cells, _ = cells_of(asked, Named(weather={"hot": hot, "cold": cold}), learned)
    assert [cell.weather for cell in cells] == ["own", "hot", "cold"]
    assert len({cell.key for cell in cells}) == 3
    assert cells[1].case.weather is hot


def test_weather_that_is_shorter_than_the_study_is_named(study, learned):
    asked = study(weather=(WeatherAsked("hot", file="a.csv"),), days=2.0)
    with pytest.raises(InvalidInput) as caught:
        cells_of(asked, Named(weather={"hot": HourlyWeather(np.full(25, 35.0))}), learned)
    assert [fault.where for fault in caught.value.faults] == ["weather[0]"]


def test_no_source_that_a_cell_can_run_is_left_out_of_its_key(repository):
    """Followed by imports, lazy ones and names in strings as well, from the function that runs a cell."""
    reached: set[Path] = set()
    left = {repository / "tapas_opt" / "planning" / "outcome.py"}
    while left:
        path = left.pop()
        reached.add(path)
        left |= {file for name in names_in(path) for file in files_of(repository, name)} - reached
    package = repository / "tapas_opt"
    assert {path.relative_to(package).parts[0] for path in reached} >= {"simulation", "control", "plant", "solve"}
    assert reached <= set(sources(package))


def names_in(path: Path) -> Iterator[str]:
    """Dotted names that a module imports or has as text."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, path
            yield from (f"{node.module}.{item.name}" for item in node.names)
        elif isinstance(node, ast.Import):
            yield from (item.name for item in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def files_of(repository: Path, name: str) -> Iterator[Path]:
    """The module of that name and the packages that it is in, of our own program."""
    parts = name.split(".")
    for k in range(len(parts), 0, -1) if parts[0] == "tapas_opt" else ():
        stem = repository.joinpath(*parts[:k])
        yield from (path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file())

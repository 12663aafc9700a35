"""Sites are learned before what goes by their models; neither is done twice."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from tapas_opt.cli.whatif_run import CELLS, finish
from tapas_opt.control.profiles import Profiles
from tapas_opt.domain.configuration import read_profiles
from tapas_opt.learn.models import LearnedModels
from tapas_opt.planning.cells import Named, cells_of
from tapas_opt.planning.lessons import lesson_of
from tapas_opt.planning.running import on_cores
from tapas_opt.planning.study import SiteAsked, Study
from tapas_opt.simulation.case import Learned

FEWEST_DAYS = 4.2


@pytest.fixture
def given(repository):
    profiles = Profiles(read_profiles(repository / "data" / "demo" / "profiles.csv"))
    return Learned(profiles, LearnedModels.load(repository / "models" / "demo"))


def test_a_site_is_learned_before_its_cells_and_neither_is_done_twice(given, tmp_path):
    """Both cells are done, and the one that read no models comes to the same by any; then one of each is lost."""
    small = SiteAsked("small", servers=16)
    asked = Study("tapas-opt/study/1", "small", (small,), ("baseline", "tapas"), days=0.01, seeds=(1,))
    blind, cell = cells_of(asked, Named(), given)[0]
    lesson = lesson_of("small", 0.0, cell.case.site, days=FEWEST_DAYS)
    cells = (blind, replace(cell, lesson=lesson))
    run = partial(finish, cells, given, tmp_path, partial(on_cores, jobs=1), True)
    found, counts = run()
    assert counts == {"run": 2, "kept": 0, "learned": 1}
    assert {work.key for work in (*cells, lesson)} == set(found)
    assert run()[1] == {"run": 0, "kept": 2, "learned": 0}
    (tmp_path / CELLS / f"{cell.key}.json").unlink()
    again, counts = run()
    assert counts == {"run": 1, "kept": 1, "learned": 0}
    assert again[cell.key]["served_tokens"] == found[cell.key]["served_tokens"]

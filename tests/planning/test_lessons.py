"""What is learned of the sites of a study before its cells run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tapas_opt.domain.site_generator import SiteShape, generate_site
from tapas_opt.errors import InvalidInput
from tapas_opt.planning.cells import GIVEN, Named, cells_of, goes_by
from tapas_opt.planning.kept import Kept
from tapas_opt.planning.lessons import lesson_of, models_of, taught
from tapas_opt.planning.study import SiteAsked, Steps


def test_a_site_is_learned_once_for_all_that_goes_by_its_models(study, learned):
    """Two names of one room and two fillings are two lessons, whatever the policies and the seeds."""
    asked = study(
        sites=(SiteAsked("here", servers=16), SiteAsked("there", servers=16)),
        oversubscription=(0.0, 0.5),
        policies=("baseline", "polca", "place", "tapas"),
        seeds=(1, 2),
    )
    cells, _ = cells_of(asked, Named(), learned)
    assert len({cell.lesson.key for cell in cells if cell.lesson is not None}) == 2
    assert all((cell.lesson is None) == (cell.policy in ("baseline", "polca")) for cell in cells)
    assert all(cell.lesson.room == cell.case.site for cell in cells if cell.lesson is not None)


def test_a_site_with_a_limit_raised_goes_by_the_models_of_the_site_as_it_is(study, learned):
    _, steps = cells_of(study(worth=Steps()), Named(), learned)
    assert len({goes_by(step) for step in steps}) == 1
    as_is = steps[0].case.site
    assert all(step.lesson.room == as_is for step in steps)
    assert [step.case.site == as_is for step in steps] == [True] + [False] * (len(steps) - 1)


def test_models_that_a_study_names_are_in_place_of_lessons(study, learned):
    """And other models, or none, change nothing for a policy that reads none."""
    named, own = (
        cells_of(study(models=models, policies=("baseline", "tapas")), Named(), learned)[0] for models in ("mine", None)
    )
    assert [goes_by(cell) for cell in named] == [GIVEN, GIVEN]
    assert [a.key == b.key for a, b in zip(named, own, strict=True)] == [True, False]
    other = replace(learned, models=replace(learned.models, gpu_power=replace(learned.models.gpu_power, unit="kW")))
    others = cells_of(study(models="other", policies=("baseline", "tapas")), Named(), other)[0]
    assert [a.key == b.key for a, b in zip(named, others, strict=True)] == [True, False]


def test_what_was_learned_is_the_same_when_it_is_read_again(study, learned, tmp_path):
    (cell,) = cells_of(study(policies=("tapas",)), Named(), learned)[0]
    kept = Kept(tmp_path)
    kept.keep({"key": goes_by(cell), "files": learned.models.files()})
    found = kept.finished([cell.lesson])
    assert models_of(found[goes_by(cell)]) == learned.models


def test_a_site_that_goes_dark_at_usual_work_is_named():
    room = generate_site(16, shape=SiteShape(row_power_frac=0.2, ups_power_frac=0.2))
    with pytest.raises(InvalidInput, match=r"site cellar, 50% servers added: U1, .*nothing can be learned"):
        taught(lesson_of("cellar", 0.5, room, days=0.2))

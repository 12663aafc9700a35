"""``reproduce`` without ``--models``: what policies go by is learned of the room that they run in."""

from __future__ import annotations

from dataclasses import replace

from tapas_opt.cli import reproduce_answer
from tapas_opt.cli.reproduce_answer import Asked, reproduced
from tapas_opt.domain.site_generator import generate_site

FEWEST_DAYS = 4.2
"""That a fit takes."""


def test_each_room_is_learned_once_and_policies_go_by_what_was_learned(monkeypatch, tmp_path):
    """Figures of the week only, which all are of one room: its models given as files come to the same figures."""
    of_the_week = tuple(one for one in reproduce_answer.HEADLINES if one.scenario == "week")
    learn, rooms = reproduce_answer.learned_of, []

    def learned_of(site, **told):
        rooms.append(site)
        models = learn(site, **told)
        models.save(tmp_path / "models")
        return models

    monkeypatch.setattr(reproduce_answer, "HEADLINES", of_the_week)
    monkeypatch.setattr(reproduce_answer, "learned_of", learned_of)
    asked = Asked(("place",), seeds=(1, 2), servers=16, days=0.007, saas_share=0.5, learn_days=FEWEST_DAYS)
    answer = reproduced(asked, as_json=True)
    assert rooms == [generate_site(16)]
    assert [len(row["policies"]["place"]) for row in answer["figures"]] == [2] * len(of_the_week)
    assert reproduced(replace(asked, models=tmp_path / "models"), as_json=True) == answer
    assert len(rooms) == 1

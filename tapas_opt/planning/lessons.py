"""What a study learns before it runs: models of each of its sites, of that site's own sensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tapas_opt.domain.site import Site
from tapas_opt.errors import Fault, InvalidInput
from tapas_opt.learn.models import LearnedModels
from tapas_opt.planning.program import named_by
from tapas_opt.planning.rooms import layout
from tapas_opt.simulation.learning import DAYS, learned_of

__all__ = ["Lesson", "lesson_of", "models_of", "taught"]


@dataclass(frozen=True, slots=True)
class Lesson:
    """A site of the study as it is built, to be learned before the cells that go by its models.

    Attributes
    ----------
    room
        The site itself; ``site`` is the study's name of it.
    key
        A hash of all that decides what is learned: two sites that are laid out alike are learned once.
    days
        How many days of its sensors are learned from.
    """

    site: str
    oversubscription: float
    room: Site
    key: str
    days: float = DAYS

    def coordinates(self) -> dict[str, Any]:
        """Where in the study it stands."""
        return {"site": self.site, "oversubscription": self.oversubscription}


def lesson_of(site: str, oversubscription: float, room: Site, days: float = DAYS) -> Lesson:
    """The lesson of a site; that seed and samples of these days are the same is the program's to say."""
    return Lesson(site, oversubscription, room, named_by("learned", layout(room), days), days)


def taught(lesson: Lesson) -> dict[str, Any]:
    """Learn a site: ``files``, the text of each model by its file's name.

    Raises
    ------
    InvalidInput
        Naming the site, if nothing can be learned of it.
    """
    try:
        return {"files": learned_of(lesson.room, days=lesson.days).files()}
    except InvalidInput as error:
        where = f"site {lesson.site}, {lesson.oversubscription:.0%} servers added"
        raise InvalidInput("study", [Fault(where, fault.what) for fault in error.faults]) from error


def models_of(outcome: Mapping[str, Any]) -> LearnedModels:
    """The models that a lesson came to."""
    with TemporaryDirectory(prefix="tapas-opt-") as folder:
        for name, text in outcome["files"].items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        return LearnedModels.load(Path(folder))

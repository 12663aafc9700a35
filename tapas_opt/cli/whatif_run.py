"""How ``whatif`` runs what is not finished yet: sites are learned first, and all that comes back is kept at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import typer

from tapas_opt.cli.output import writing
from tapas_opt.cli.progress import bar
from tapas_opt.planning.cells import GIVEN, Cell, Step, Work
from tapas_opt.planning.kept import Kept
from tapas_opt.planning.lessons import Lesson, models_of
from tapas_opt.planning.outcome import Outcome
from tapas_opt.simulation.case import Learned

__all__ = ["Runner", "finish"]

CELLS = "cells"
"""The folder of finished cells, beside the tables."""

Runner = Callable[[Sequence[Work], Mapping[str, Learned]], Iterator[Outcome]]
"""Where work is run, such as :func:`~tapas_opt.planning.running.on_cores` with its jobs."""


def finish(
    asked: Sequence[Cell | Step], given: Learned, folder: Path, runner: Runner, as_json: bool
) -> tuple[dict[str, Outcome], dict[str, int]]:
    """Run what is not kept in a folder yet.

    Returns
    -------
    dict
        By key what each came to.
    dict
        How many were ``run`` now and ``kept`` from before, and how many sites were ``learned`` now.
    """
    with writing("whatif", "--out", folder):
        kept = Kept(folder / CELLS)
    by_key = {work.key: work for work in asked}
    found = kept.finished(by_key.values())
    missing = [work for key, work in by_key.items() if key not in found]
    lessons = {work.lesson.key: work.lesson for work in missing if work.lesson is not None}
    taught = kept.finished(lessons.values())
    counts = {"run": len(missing), "kept": len(found), "learned": len(lessons) - len(taught)}
    with bar("", len(by_key) + len(lessons), as_json) as show:
        run = _Run(folder, kept, runner, len(by_key), lessons, {**found, **taught}, show)
        try:
            run.do([lesson for key, lesson in lessons.items() if key not in taught], missing, given)
        except KeyboardInterrupt:
            typer.echo(f"tapas-opt: stopped with {run.told()}; run the same again, and it goes on from there", err=True)
            raise
    return run.found, counts


@dataclass(frozen=True, slots=True)
class _Run:
    """A study on its way.

    Attributes
    ----------
    cells, lessons
        How many cells and steps it has; by key the lessons that are needed.
    found
        By key what there is of all these.
    show
        Moves the bar.
    """

    folder: Path
    kept: Kept
    runner: Runner
    cells: int
    lessons: Mapping[str, Lesson]
    found: dict[str, Outcome]
    show: Callable[..., None]

    def do(self, untaught: Sequence[Lesson], missing: Sequence[Cell | Step], given: Learned) -> None:
        """Learn sites, beside the cells that can do without; then run all that goes by what was learned."""
        known = {GIVEN: given}
        if untaught:
            self._keep_all([*untaught, *(work for work in missing if work.lesson is None)], known)
        known |= {key: replace(given, models=models_of(self.found[key])) for key in self.lessons}
        self._keep_all([work for work in missing if work.key not in self.found], known)

    def _keep_all(self, work: Sequence[Work], known: Mapping[str, Learned]) -> None:
        self._tell()
        for outcome in self.runner(work, known) if work else ():
            with writing("whatif", "--out", self.folder):
                self.kept.keep(outcome)
            self.found[str(outcome["key"])] = outcome
            self._tell()

    def told(self) -> str:
        """How far it is."""
        learned = sum(key in self.found for key in self.lessons)
        cells = f"{len(self.found) - learned:,} of {self.cells:,} cells"
        return f"{learned:,} of {len(self.lessons):,} sites learned, {cells}" if self.lessons else cells

    def _tell(self) -> None:
        self.show(completed=len(self.found), description=self.told())

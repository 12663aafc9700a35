"""A fit beside the models in use: both judged on the same latest days, and whether the new ones may take over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.panel import DAY_S, Panel
from tapas_opt.errors import NotFound
from tapas_opt.learn.compare import Change, Drift, changes, drifts
from tapas_opt.learn.fit import fit_and_judge
from tapas_opt.learn.fitting.split import split_days
from tapas_opt.learn.judge import Judgement, judge
from tapas_opt.learn.models import LearnedModels

__all__ = ["LATEST_DAYS", "Refit", "latest_days", "refit"]

BoolArray = NDArray[np.bool_]

LATEST_DAYS = 7
"""Days at the end of a history on which models in use are judged when nothing is fitted."""


@dataclass(frozen=True)
class Refit:
    """A new set of models, and the set in use beside it.

    Attributes
    ----------
    days
        ``[t]`` slots that all were judged on.
    in_use
        Judgements of the models in use; none without such models, or where they cannot be asked about this site.
    not_asked
        Why the models in use could not be judged; empty where they were.
    """

    models: LearnedModels
    judged: Mapping[str, Judgement]
    days: BoolArray
    in_use: Mapping[str, Judgement]
    changes: tuple[Change, ...]
    drifts: tuple[Drift, ...]
    not_asked: str = ""

    @property
    def worse(self) -> tuple[str, ...]:
        """Why the new set must not take over, a clause for each model that is worse."""
        return tuple(f"{change.name}: {reason}" for change in self.changes for reason in change.worse)


def refit(panel: Panel, in_use: LearnedModels | None, progress: Callable[[str], None] = lambda model: None) -> Refit:
    """Learn all models, and judge them and those in use on the days that the new ones have not seen.

    Raises
    ------
    InvalidInput
        As :func:`tapas_opt.learn.fit.fit`.
    """
    days = split_days(panel.day).judge
    models, judged = fit_and_judge(panel, progress)
    if in_use is None:
        return Refit(models, judged, days, {}, (), ())
    try:
        before = judge(in_use, panel, days)
    except NotFound as error:
        return Refit(models, judged, days, {}, (), (), not_asked=str(error))
    return Refit(models, judged, days, before, changes(before, judged), drifts(in_use, before))


def latest_days(panel: Panel) -> BoolArray:
    """``[t]`` the slots of the last :data:`LATEST_DAYS` times 24 hours."""
    return np.asarray(panel.t_s > panel.t_s[-1] - LATEST_DAYS * DAY_S)

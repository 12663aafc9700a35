"""What every fit hands back, and how it becomes an artefact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from tapas_opt import __version__
from tapas_opt.learn.artefact import FORMAT, Artefact, Feature, Margin, ModelErrors, Training, artefact_from, rounded
from tapas_opt.learn.fitting.margin import DAY_LEVEL
from tapas_opt.learn.judging.judgement import Judgement
from tapas_opt.learn.models import KINDS, LearnedModels

__all__ = ["SERVER_DAY", "Fitted", "settled", "with_errors"]

SERVER_DAY = Margin(DAY_LEVEL, "server-day maxima")


@dataclass(frozen=True)
class Fitted:
    """Entries of one model, not yet rounded."""

    name: str
    features: tuple[Feature, ...]
    entries: Mapping[str, Any]
    pooled: Mapping[str, Any]
    margin: Margin
    unit: str
    rows_train: int


def settled(fitted: Fitted, training: Training) -> Artefact[Any]:
    """The artefact exactly as its file will hold it, so that what was fitted is what is loaded later.

    Its errors wait for :func:`tapas_opt.learn.judge.judge`.
    """
    raw = asdict(fitted)
    numbers = {key: rounded(raw[key]) for key in ("features", "entries", "pooled")}
    head = {"format": FORMAT, "name": fitted.name, "unit": fitted.unit}
    errors = asdict(ModelErrors(0.0, 0.0, 0.0, fitted.unit, fitted.rows_train, rows_test=0))
    tail = {"margin": raw["margin"], "errors": errors, "training": asdict(training), "code_version": __version__}
    return artefact_from(head | numbers | tail, fitted.name, KINDS[fitted.name], f"fitted {fitted.name}")


def with_errors(models: LearnedModels, judged: Mapping[str, Judgement]) -> LearnedModels:
    """The models with what their files say of them, rounded as their files are."""
    artefacts = {}
    for artefact in models.artefacts():
        errors = judged[artefact.name].errors(artefact.errors.rows_train)
        artefacts[artefact.name] = replace(artefact, errors=ModelErrors(**_rounded_fields(errors)))
    return LearnedModels(**artefacts)


def _rounded_fields(errors: ModelErrors) -> dict[str, Any]:
    fields = {key: rounded(value) for key, value in asdict(errors).items()}
    return fields | {"mae_by_day": tuple(fields["mae_by_day"])}

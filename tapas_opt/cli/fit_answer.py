"""What ``tapas-opt fit`` does and answers: the same data for the terminal, for ``--json`` and for the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tapas_opt.cli.output import writing
from tapas_opt.domain.configuration import Profile
from tapas_opt.domain.panel import SLOT_S
from tapas_opt.domain.topology import Topology
from tapas_opt.learn.compare import days_text, drifts, short_of_promise
from tapas_opt.learn.folder import candidate_of, in_use, promote, stage
from tapas_opt.learn.instance import off_profile
from tapas_opt.learn.judge import Judgement, judge
from tapas_opt.learn.models import LearnedModels
from tapas_opt.learn.refit import latest_days, refit
from tapas_opt.telemetry.history import GatedHistory, read_panel
from tapas_opt.telemetry.profiles.read import read_profiles

__all__ = ["Answer", "History", "judged_in_use", "refitted"]

WORST = 10
"""Servers or domains that are named for each model."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Answer:
    """What to print, what to draw, and whether the exit code is 1."""

    data: dict[str, Any]
    judged: Mapping[str, Judgement]
    failed: bool


@dataclass(frozen=True)
class History:
    """A history that was read, where its truth is, if it is a simulated one, and the table of profiles beside it."""

    folder: Path
    topology: Topology
    gated: GatedHistory
    profiles: tuple[Profile, ...]

    @classmethod
    def read(cls, folder: Path, topology: Topology, profiles: Path, since_s: float | None, tell: Tell) -> History:
        """Read what the sensors said."""
        table = read_profiles(profiles)
        return cls(folder, topology, read_panel(folder, topology, since_s=since_s, progress=tell), table)

    def against_truth(self, models: LearnedModels, judged: Mapping[str, Judgement], slots: Any) -> dict[str, Any]:
        """Errors against the simulated truth, predicted from the sensors; empty where there is none."""
        if not (self.folder / "truth_servers.parquet").exists():
            return {}
        panel = self.gated.panel
        truth = read_panel(self.folder, self.topology, since_s=float(panel.t_s[slots][0]), truth=True)
        told = judge(models, panel, slots, observed=truth.panel)
        return {
            name: {
                "mae": one.mae,
                "p95_error": one.p95_error,
                "bias": one.bias,
                "mae_frac_of_mean": one.mae_frac_of_mean,
                "coverage": one.coverage,
                "coverage_row_day": one.coverage_row_day,
                "unit": one.unit,
                "rows": one.rows,
            }
            for name, one in told.items()
            if one.rows
        }

    def to_json(self) -> dict[str, Any]:
        """What was not believed."""
        return {
            "gated": dict(self.gated.gated),
            "dropped": dict(self.gated.dropped),
            "refused": [asdict(one) for one in self.gated.refused],
            "missing": list(self.gated.missing),
        }


def refitted(history: History, before: LearnedModels | None, folder: Path, force: bool, tell: Tell) -> Answer:
    """Fit, compare, and put the new models in use unless they are worse."""
    fitted = refit(history.gated.panel, before, tell)
    pooled = fitted.models.check_covers(history.topology)
    unchanged = fitted.models.files() == _files(folder)
    promoted = force or not fitted.worse
    if not unchanged:
        with writing("fit", "--models", folder):
            stage(fitted.models.files(), folder)
            if promoted:
                promote(folder)
    where = folder if promoted or unchanged else candidate_of(folder)
    data = _about(history, fitted.models, fitted.judged, fitted.days) | {
        "folder": str(where),
        "promoted": promoted,
        "worse": list(fitted.worse),
        "compared": [asdict(change) for change in fitted.changes],
        "not_compared": fitted.not_asked,
        "drift": [asdict(drift) for drift in fitted.drifts],
        "pooled_servers": list(pooled),
    }
    tell("judging")
    return Answer(data, fitted.judged, failed=not promoted)


def judged_in_use(history: History, models: LearnedModels, folder: Path, tell: Tell) -> Answer:
    """Judge the models in use on the latest days, and raise the alarm where they have drifted."""
    days = latest_days(history.gated.panel)
    first_s = float(history.gated.panel.t_s[days][0])
    judged = judge(models, history.gated.panel, days)
    tell("judging")
    found = drifts(models, judged)
    data = _about(history, models, judged, days) | {
        "folder": str(folder),
        "drift": [asdict(drift) for drift in found],
        "judged_on_fitting_days": first_s <= models.inlet_temperature.training.until_s,
        "pooled_servers": list(models.check_covers(history.topology)),
    }
    return Answer(data, judged, failed=bool(found))


def _about(history: History, models: LearnedModels, judged: Mapping[str, Judgement], days: Any) -> dict[str, Any]:
    """What is said of a set of models however it came about."""
    t_s = history.gated.panel.t_s[days]
    training = models.inlet_temperature.training
    return {
        "models": {
            one.name: asdict(judged[one.name].errors(one.errors.rows_train)) | _more(judged[one.name])
            for one in models.artefacts()
        },
        "against_truth": history.against_truth(models, judged, days),
        "site": history.topology.site.name,
        "servers": len(history.topology.servers),
        "fingerprint": models.fingerprint,
        "training": asdict(training) | {"days": _days(training.from_s, training.until_s)},
        "features": {one.name: [asdict(feature) for feature in one.features] for one in models.artefacts()},
        "instances_measured": list(models.instance_power.entries),
        "profiles_off": list(off_profile(history.profiles, models.instance_power.entries)),
        "judged": {"from_s": float(t_s[0]), "until_s": float(t_s[-1]), "days": _days(t_s[0], t_s[-1])},
    } | history.to_json()


def _more(judgement: Judgement) -> dict[str, Any]:
    """What the model's file does not hold."""
    return {
        "bias": judgement.bias,
        "promise": judgement.promise,
        "level": judgement.level,
        "short": short_of_promise(judgement),
        "mae_frac_of_mean": judgement.mae_frac_of_mean,
        "by_day": [asdict(day) for day in judgement.by_day],
        "worst": [asdict(place) for place in judgement.worst(WORST)],
        "beyond": dict(judgement.beyond),
        "extrapolated": list(judgement.extrapolated),
    }


def _days(first_s: float, last_s: float) -> str:
    """The days of the first and the last slot; one that ends at midnight still belongs to the day before."""
    return days_text(first_s, max(first_s, last_s - SLOT_S))


def _files(folder: Path) -> dict[str, str]:
    """Text of the files in use."""
    return {path.name: path.read_text(encoding="utf-8") for path in in_use(folder).glob("*.json")}

"""What is known of a simulated site before its story begins: models of four weeks of its own sensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tapas_opt.domain.site import Site
from tapas_opt.domain.topology import topology_of
from tapas_opt.errors import InvalidInput
from tapas_opt.learn.models import LearnedModels
from tapas_opt.plant.history import generate_history
from tapas_opt.simulation.policies.table import BLIND

__all__ = ["DAYS", "asks_models", "learned_of"]

DAYS = 28.0
"""Of half as many, a fit of one week ages fast enough to double margins, and a few odd days of a small site
set them."""

SEED = 0
"""Of the weather, the VMs and the sensors' noise of the days that are learned from."""

SAMPLE_S = 900.0
HOLD_S = 300.0
"""Between samples, and for how long VMs ask for the same: what is learned is settled temperatures and hours of load."""


def asks_models(policies: Sequence[str]) -> bool:
    """Whether any of the policies goes by learned models."""
    return any(name not in BLIND for name in policies)


def learned_of(
    site: Site, on_progress: Callable[[float], None] = lambda share: None, days: float = DAYS
) -> LearnedModels:
    """Let a site run for some days, full of other VMs, and learn from what its sensors said.

    A site's plant is the same room whatever the seed: the same GPUs run a little warmer than others, the same places
    get warmer air. Weather and VMs of these days are no story's.

    Parameters
    ----------
    on_progress
        Told the share that is done.

    Raises
    ------
    InvalidInput
        If the site has hardware that the demo's LLMs do not run on, or cannot power its servers' usual work.
    """
    from tapas_opt.learn.fit import fit  # noqa: PLC0415  scikit-learn takes long to import
    from tapas_opt.telemetry.history import read_panel  # noqa: PLC0415  pandas likewise

    with TemporaryDirectory(prefix="tapas-opt-") as folder:
        history = Path(folder) / "history"
        seen = generate_history(
            site, out=history, days=days, step_s=SAMPLE_S, hold_s=HOLD_S, seed=SEED, progress=on_progress
        )
        if seen.trips:
            dark = f"{', '.join(seen.trips)} trip under usual work: nothing can be learned of a dark room"
            raise InvalidInput.one("learning", "site", dark)
        return fit(read_panel(history, topology_of(site)).panel)

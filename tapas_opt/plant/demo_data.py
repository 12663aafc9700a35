"""Write the demo's generated data: ``python -m tapas_opt.plant.demo_data``, after the plant has changed."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

from tapas_opt.domain.configuration import write_profiles
from tapas_opt.domain.site_file import read_site
from tapas_opt.plant.profiling import measure_profiles
from tapas_opt.plant.workload import generate_trace

__all__ = ["write_demo_data"]

SEED = 1


def write_demo_data(folder: Path) -> None:
    """Write ``profiles.csv`` for the hardware of the folder's ``site.yaml``, and ``trace/*.csv.gz``."""
    site = read_site(folder / "site.yaml")
    profiles = [profile for name, item in site.hardware.items() for profile in measure_profiles(item, name, SEED)]
    write_profiles(folder / "profiles.csv", profiles)
    (folder / "trace").mkdir(exist_ok=True)
    for name, table in generate_trace(SEED).items():
        text = io.StringIO()
        table.to_csv(text, index=False, lineterminator="\n")
        # Neither time nor name inside: the same content is the same file.
        (folder / "trace" / f"{name}.csv.gz").write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))


if __name__ == "__main__":
    write_demo_data(Path(__file__).parents[2] / "data" / "demo")

"""Turn a folder of measurements into a table: ``python -m tapas_opt.telemetry.profiles FOLDER TABLE.csv``."""

from __future__ import annotations

import sys
from pathlib import Path

from tapas_opt.domain.configuration import write_profiles
from tapas_opt.errors import TapasError
from tapas_opt.telemetry.profiles.read import read_profiles

if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m tapas_opt.telemetry.profiles FOLDER TABLE.csv")
    try:
        profiles = read_profiles(Path(sys.argv[1]))
    except TapasError as error:
        sys.exit(str(error))
    write_profiles(Path(sys.argv[2]), profiles)
    sys.stdout.write(f"{len(profiles)} profiles\n")

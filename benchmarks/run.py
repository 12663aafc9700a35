"""Run the suites of suites.toml, each by ``tapas-opt bench``, into results/.

usage: python benchmarks/run.py [NAME ...] [--data DIR]      (default: all; public data sets beside the checkout)
"""

import argparse
import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "shared" / "datasets"


def command(name, suite, data):
    words = [sys.executable, "-m", "tapas_opt", "bench", "--out", str(HERE / "results"), "--name", name]
    options = dict(suite)
    if "data" in options:
        options["path"] = str(data / options.pop("data"))
    return words + [word for option, value in options.items() for word in (f"--{option}", str(value))]


def main():
    suites = tomllib.loads((HERE / "suites.toml").read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(suites), choices=list(suites), metavar="NAME")
    parser.add_argument("--data", type=Path, default=DATA)
    asked = parser.parse_args()
    for name in asked.names:
        folder = suites[name].get("data")
        if folder is not None and not (asked.data / folder).exists():
            print(f"{name}: left out, {asked.data / folder} is not there")
            continue
        subprocess.run(command(name, suites[name], asked.data), check=True)


if __name__ == "__main__":
    main()

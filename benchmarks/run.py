"""Run the suites of suites.toml, each by ``tapas-opt bench``, into results/.

usage: python benchmarks/run.py [NAME ...]      (default: all)
"""

import argparse
import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent


def command(name, suite):
    words = [sys.executable, "-m", "tapas_opt", "bench", "--out", str(HERE / "results"), "--name", name]
    return words + [word for option, value in suite.items() for word in (f"--{option}", str(value))]


def main():
    suites = tomllib.loads((HERE / "suites.toml").read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(suites))
    for name in parser.parse_args().names or suites:
        subprocess.run(command(name, suites[name]), check=True)


if __name__ == "__main__":
    main()

"""What holds for every command."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tapas_opt.mip.machine import cores

BLAS_THREADS = """
import sys
from tapas_opt.cli.main import main
sys.argv = ["tapas-opt", "--version"]
try:
    main()
except SystemExit:
    pass
import numpy
from threadpoolctl import threadpool_info
print({one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"})
"""


@pytest.mark.skipif(cores() < 2, reason="needs a second core, or BLAS has one thread anyway")
@pytest.mark.parametrize(("asked", "threads"), [(None, 1), ("2", 2)])
def test_a_command_leaves_blas_one_thread_unless_somebody_asks_for_more(asked, threads):
    """Vectors of a few dozen numbers: on a busy machine threads took several times as long as one."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    environment |= {} if asked is None else {"OPENBLAS_NUM_THREADS": asked}
    command = [sys.executable, "-c", BLAS_THREADS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.endswith(f"{{{threads}}}\n"), done.stderr

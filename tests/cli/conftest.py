"""The command line, run in this process."""

from __future__ import annotations

import sys

import pytest

from tapas_opt.cli import main as entry


@pytest.fixture
def tapas(monkeypatch, capsys):
    """Run the command line in this process: exit code, stdout, stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tapas-opt", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            entry.main()
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    return run

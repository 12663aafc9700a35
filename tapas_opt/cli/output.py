"""How every command answers: for a person, or as one JSON object; and which exit code an error has."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tapas_opt.durable import replace_text
from tapas_opt.errors import DeadlinePassed, InvalidInput, NotFound, TapasError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["AsJson", "console", "exit_code", "print_result", "write_json", "writing"]

_WIDTH_OF_FILES = 120

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else on stdout.")]
"""The option that every command takes."""

_EXIT_CODES: tuple[tuple[type[TapasError], int], ...] = ((InvalidInput, 2), (NotFound, 2), (DeadlinePassed, 3))
_FAILED = 1


def exit_code(error: TapasError) -> int:
    """Exit code for an error: 2 bad input, 3 a deadline passed with no answer, 1 anything else."""
    return next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), _FAILED)


def console() -> Console:
    """Where a person's output goes; names in brackets are text, not markup."""
    from rich.console import Console  # noqa: PLC0415  only commands that print pay for it

    return Console(
        markup=False, highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else _WIDTH_OF_FILES
    )


def print_result(data: Mapping[str, Any], as_json: bool, render: Callable[[Mapping[str, Any]], None]) -> None:
    """Print ``data`` as one JSON object, or let ``render`` show the same data to a person."""
    if as_json:
        typer.echo(json.dumps(data, allow_nan=False, ensure_ascii=False))
    else:
        render(data)


def write_json(data: Mapping[str, Any], path: Path) -> None:
    """Put ``data`` there as a person reads JSON; whole, or what was there before stands."""
    replace_text(path, json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def writing(command: str, option: str, path: Path) -> Iterator[None]:
    """Say that what an option names cannot be written: a folder that is a file, not ours, or on a disk that is full."""
    try:
        yield
    except OSError as error:
        raise InvalidInput.one(command, option, f"{path}: cannot be written: {error.strerror}") from error

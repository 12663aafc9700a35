"""Options of commands that ask other machines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["CaFile", "User"]

User = Annotated[str | None, typer.Option(help="Name for basic authentication.")]

CaFile = Annotated[Path | None, typer.Option(metavar="FILE", help="Certificates to trust, for a site's own authority.")]

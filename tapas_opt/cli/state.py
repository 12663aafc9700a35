"""``tapas-opt state``: look after the journal."""

# ruff: noqa: PLC0415  --help stays fast: SQLAlchemy is imported by the command that needs it

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from tapas_opt.cli.output import AsJson, console, print_result

__all__ = ["app", "export", "verify"]

app = typer.Typer(
    no_args_is_help=True,
    help="Look after the journal of a server.",
    epilog="Example: tapas-opt state verify runs/serve/state.sqlite",
)

StateFile = Annotated[str, typer.Argument(metavar="FILE", help="The journal: a SQLite file or a database URL.")]


@app.command(epilog="Example: tapas-opt state verify runs/serve/state.sqlite")
def verify(file: StateFile, as_json: AsJson = False) -> None:
    """Read a journal from end to end; say what is in it, or where it is damaged. The server may run meanwhile."""
    from tapas_opt.service.ledger import batches
    from tapas_opt.state.journal import Journal, journal_url

    journal = Journal(journal_url(file), reading=True)
    try:
        methods: Counter[str] = Counter()
        events = 0
        for entry, batch in batches(journal):
            methods[entry.method] += 1
            events += len(batch)
    finally:
        journal.close()
    data = {"file": file, "sound": True, "entries": methods.total(), "events": events, "methods": dict(methods)}
    print_result(data, as_json, _say_sound)


@app.command(epilog="Example: tapas-opt state export runs/serve/state.sqlite > journal.jsonl")
def export(file: StateFile, as_json: AsJson = False) -> None:
    """Print every entry as one line of JSON, oldest first; with --json all of them in one object."""
    from tapas_opt.state.journal import Journal, journal_url

    journal = Journal(journal_url(file), reading=True)
    try:
        lines = (
            {
                "sequence": entry.sequence,
                "request_id": entry.request_id,
                "method": entry.method,
                "recorded_at_s": entry.recorded_at_s,
                **json.loads(entry.events_json),
            }
            for entry in journal.entries()
        )
        if as_json:
            typer.echo(json.dumps({"file": file, "entries": list(lines)}))
            return
        for line in lines:
            typer.echo(json.dumps(line))
    finally:
        journal.close()


def _say_sound(data: Mapping[str, Any]) -> None:
    out = console()
    out.print(f"{data['file']} is sound: {data['entries']} entries, {data['events']} events")
    for method, count in sorted(data["methods"].items()):
        out.print(f"  {method}: {count}")

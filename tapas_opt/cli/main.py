"""The ``tapas-opt`` command: one module per command, listed in one place.

Command modules import what is heavy (pandas, scikit-learn, gRPC, Pyomo, plotly, NumPy) inside their functions, so that
``--help`` answers at once.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from tapas_opt import __version__
from tapas_opt.cli import (
    backtest,
    bench,
    client,
    demo,
    fit,
    history,
    problem,
    reproduce,
    serve,
    simulate,
    site,
    state,
    whatif,
)
from tapas_opt.cli.output import exit_code
from tapas_opt.errors import TapasError

__all__ = ["app", "main"]

_INTERRUPTED = 130

app = typer.Typer(
    name="tapas-opt",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Example: tapas-opt site show data/demo/site.yaml",
)

# Every command, in the order of --help: app.add_typer(module.app, name=...) or app.command(name)(module.function).
app.command("demo", epilog="Example: tapas-opt demo --trace data/demo/trace")(demo.demo)
app.add_typer(site.app, name="site")
app.add_typer(history.app, name="history")
app.command("fit", epilog="Example: tapas-opt fit --history runs/history --models models/demo")(fit.fit)
app.command(
    "simulate",
    epilog="Examples: tapas-opt simulate --scenario ups_failure --servers 200 --policy baseline --policy tapas --json; "
    "tapas-opt simulate --days 7 --oversubscribe 0.4 --fail ahu:AHU1@3d14h+30m",
)(simulate.simulate)
app.command(
    "backtest",
    epilog="Example: tapas-opt backtest --site site.yaml --history runs/history --vms runs/history/vm_list.csv --json",
)(backtest.backtest)
app.command("reproduce", epilog="Example: tapas-opt reproduce --servers 80 --seed 1 --json")(reproduce.reproduce)
app.command(
    "whatif",
    epilog="Examples: tapas-opt whatif data/studies/example.yaml --out runs/example; "
    "tapas-opt whatif rooms.yaml --out runs/rooms --cluster tcp://10.0.0.5:8786 --json",
)(whatif.whatif)
app.command(
    "bench",
    epilog="Examples: tapas-opt bench --problem reconfiguration --servers 1000,10000 --solver greedy,auto --json; "
    "tapas-opt bench --suite mmkp --path DIR --deadline 6; "
    "tapas-opt bench --suite inlet-temperature --path DIR --train-until 2021-07-01",
)(bench.bench)
app.command(
    "place", epilog="Example: tapas-opt place --example > p.json; tapas-opt place p.json --explain --out plan.json"
)(problem.place)
app.command(
    "route", epilog="Example: tapas-opt route --example > r.json; tapas-opt route r.json --solver highs --json"
)(problem.route)
app.command(
    "reconfigure", epilog="Example: tapas-opt reconfigure --example > c.json; tapas-opt reconfigure c.json --deadline 2"
)(problem.reconfigure)
app.command("check", epilog="Example: tapas-opt check p.json plan.json")(problem.check)
app.command(
    "worth", epilog="Example: tapas-opt worth c.json --constraint ups_power_capacity --where r1-U1 --step 5000"
)(problem.worth)
app.command("serve", epilog="Example: tapas-opt serve --port 0")(serve.serve)
app.add_typer(client.app, name="client")
app.add_typer(state.app, name="state")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tapas-opt {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Thermal- and power-aware placement, routing and reconfiguration for LLM inference.

    Exit codes: 0 done, 1 a check or a comparison failed, 2 bad input, 3 a deadline passed with no answer.
    """


def main() -> None:
    """Run the command line; an error on purpose becomes one message and an exit code, never a traceback."""
    # BLAS (NumPy's and SciPy's) starts a thread for each core: on matrices as small as ours they wait for each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        app()
    except TapasError as error:
        typer.echo(f"tapas-opt: {error}", err=True)
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    main()

"""``tapas-opt client``: call a running server from the shell."""

# ruff: noqa: PLC0415  --help stays fast: gRPC and NumPy are imported by the command that needs them

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tapas_opt.cli import outages, reservations
from tapas_opt.cli.output import AsJson, console, print_result
from tapas_opt.errors import InvalidInput

if TYPE_CHECKING:
    from tapas_opt.client import Client

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Call a running server.", epilog="Example: tapas-opt client status")
app.add_typer(reservations.app, name="reservations")
app.add_typer(outages.app, name="outages")

Address = Annotated[str, typer.Option(metavar="HOST:PORT", help="Where the server listens.")]
Timeout = Annotated[float, typer.Option(min=0.01, metavar="SECONDS", help="How long to wait for the answer.")]
Names = Annotated[list[str], typer.Argument(metavar="VM...", help="Names of VMs.")]
RequestId = Annotated[
    str | None, typer.Option(metavar="UUID", help="Repeat an earlier request: the same id gets the same answer.")
]

HERE = "127.0.0.1:50051"
_SHOWN = 12


class StageName(StrEnum):
    """What a plan may count on."""

    NOW = "now"
    SETTLED = "settled"


class GpusName(StrEnum):
    """Sizes of parts of servers."""

    ONE = "1"
    TWO = "2"
    FOUR = "4"
    EIGHT = "8"


SIZES: Mapping[str, Literal[1, 2, 4, 8]] = {"1": 1, "2": 2, "4": 4, "8": 8}


class ModeName(StrEnum):
    """How far the server may go by itself."""

    SHADOW = "shadow"
    ADVISE = "advise"
    ACT = "act"


def _client(address: str, timeout: float) -> Client:
    from tapas_opt.client import Client

    return Client(address, timeout_s=timeout)


@app.command(epilog="Example: tapas-opt client status")
def status(address: Address = HERE, timeout: Timeout = 30.0, as_json: AsJson = False) -> None:
    """How the site stands."""
    with _client(address, timeout) as client:
        data = asdict(client.snapshot())
    print_result(data, as_json, _say_status)


@app.command(epilog="Example: tapas-opt client endpoint chat --configuration llama2-70b-fp16-tp8-b64-f1410")
def endpoint(
    name: Annotated[str, typer.Argument(help="Name of the endpoint.")],
    configuration: Annotated[str, typer.Option(help="The configuration that it prefers.")],
    ttft: Annotated[float, typer.Option(metavar="SECONDS", help="Time to first token that is promised.")] = 2.0,
    tbt: Annotated[float, typer.Option(metavar="SECONDS", help="Time between tokens that is promised.")] = 0.2,
    quality_floor: Annotated[float, typer.Option(min=0.0, max=1.0, help="Least quality accepted.")] = 0.0,
    address: Address = HERE,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Create or replace an endpoint."""
    from tapas_opt.domain.workload import Endpoint, Slo

    made = Endpoint(name, Slo(ttft, tbt), configuration, quality_floor)
    with _client(address, timeout) as client:
        client.put_endpoint(made)
    print_result(asdict(made), as_json, lambda data: console().print(f"endpoint {data['name']} is known"))


@app.command(epilog="Example: tapas-opt client place vm1 vm2 --tenant acme")
def place(
    names: Names,
    tenant: Annotated[str, typer.Option(help="Whose load template predicts them.")],
    endpoint: Annotated[str | None, typer.Option(help="The endpoint that they serve; makes them SaaS.")] = None,
    configuration: Annotated[str | None, typer.Option(help="SaaS: what they start with.")] = None,
    gpu_model: Annotated[
        list[str] | None, typer.Option(help="A GPU that they accept, of all if not given. May be repeated.")
    ] = None,
    gpus: Annotated[
        GpusName | None, typer.Option(help="GPUs of a server that each takes; a whole server if not given.")
    ] = None,
    spot: Annotated[bool, typer.Option("--spot", help="They can be evicted.")] = False,
    priority: Annotated[int, typer.Option(min=1, max=10, help="1 (can wait) to 10.")] = 5,
    request_id: RequestId = None,
    try_only: Annotated[bool, typer.Option("--try", help="Decide, but reserve nothing.")] = False,
    address: Address = HERE,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Place VMs: their servers are reserved until confirmed. Exit code 1 if any got none."""
    from tapas_opt.domain.workload import Vm, VmKind

    vms = [
        Vm(
            name=name,
            kind=VmKind.IAAS if endpoint is None else VmKind.SAAS,
            tenant=tenant,
            endpoint=endpoint,
            configuration=configuration,
            gpu_models=tuple(gpu_model or ()),
            gpus=None if gpus is None else SIZES[gpus],
            spot=spot,
            priority=priority,
        )
        for name in names
    ]
    with _client(address, timeout) as client:
        placed = client.place(vms, validate_only=try_only, request_id=request_id)
    print_result(asdict(placed), as_json, _say_placed)
    if placed.unplaced:
        raise typer.Exit(1)


@app.command(epilog="Example: tapas-opt client confirm vm1 vm2")
def confirm(
    names: Names,
    request_id: RequestId = None,
    address: Address = HERE,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Say that reserved VMs run."""
    with _client(address, timeout) as client:
        client.confirm(names, request_id=request_id)
    print_result({"confirmed": names}, as_json, lambda data: console().print(f"running: {', '.join(names)}"))


@app.command(epilog="Example: tapas-opt client release vm1 vm2")
def release(
    names: Names,
    request_id: RequestId = None,
    address: Address = HERE,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Free the servers of VMs."""
    with _client(address, timeout) as client:
        client.release(names, request_id=request_id)
    print_result({"released": names}, as_json, lambda data: console().print(f"released: {', '.join(names)}"))


@app.command(epilog="Example: tapas-opt client vms --endpoint chat")
def vms(
    endpoint: Annotated[str, typer.Option(help="Only those that serve it.")] = "",
    address: Address = HERE,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """List VMs, where they are and what they shall run."""
    with _client(address, timeout) as client:
        data = {"vms": [asdict(record) for record in client.vms(endpoint)]}
    print_result(data, as_json, _say_vms)


@app.command(epilog="Example: tapas-opt client route chat --prompt-tokens 800 --output-tokens 200")
def route(
    endpoint: Annotated[str, typer.Argument(help="Name of the endpoint.")],
    prompt_tokens: Annotated[int | None, typer.Option(min=0, help="Length of the prompt.")] = None,
    output_tokens: Annotated[int | None, typer.Option(min=0, help="Expected length of the answer.")] = None,
    session: Annotated[str, typer.Option(help="Keeps the requests of a session together.")] = "",
    address: Address = HERE,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Pick the instance for one request."""
    with _client(address, timeout) as client:
        data = asdict(client.route(endpoint, prompt_tokens, output_tokens, session))
    print_result(
        data, as_json, lambda data: console().print(f"{data['instance']} on {data['server']} ({data['mode']})")
    )


@app.command(epilog="Example: tapas-opt client fail ups:U2")
def fail(
    failure: Annotated[str, typer.Argument(metavar="KIND:ELEMENT", help="What failed, such as ups:U2 or ahu:AHU1.")],
    remaining: Annotated[float, typer.Option(min=0.0, max=0.999, help="Fraction of its capacity that is left.")] = 0.0,
    duration: Annotated[
        float, typer.Option(min=1.0, metavar="SECONDS", help="How long it is expected to last.")
    ] = 3600,
    request_id: RequestId = None,
    address: Address = HERE,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Report a failure; in mode act, what must change at once is published at once."""
    from tapas_opt.domain.failure import Failure, FailureKind

    kind, _, element = failure.partition(":")
    kinds = [known.value for known in FailureKind]
    if kind not in kinds or not element:
        what = f"{failure!r}: give KIND:ELEMENT, where KIND is one of {', '.join(kinds)}"
        raise InvalidInput.one("client fail", "failure", what)
    reported = Failure(FailureKind(kind), element, remaining, expected_duration_s=duration)
    with _client(address, timeout) as client:
        plan = client.report_failure(reported, request_id=request_id)
    data = {"failure": reported.label, "plan": None if plan is None else asdict(plan)}
    print_result(data, as_json, _say_failure)


@app.command(epilog="Example: tapas-opt client clear ups:U2")
def clear(
    failure: Annotated[str, typer.Argument(metavar="KIND:ELEMENT", help="What works again, such as ups:U2.")],
    request_id: RequestId = None,
    address: Address = HERE,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Say that an element works again."""
    with _client(address, timeout) as client:
        client.clear_failure(failure, request_id=request_id)
    print_result({"cleared": failure}, as_json, lambda data: console().print(f"cleared: {failure}"))


@app.command(epilog="Example: tapas-opt client plan settled")
def plan(
    stage: Annotated[StageName, typer.Argument(help="now: what acts within seconds; settled: reloads as well.")],
    horizon: Annotated[
        int, typer.Option(min=0, max=12, metavar="SLOTS", help="Plan settled over so many slots of five minutes.")
    ] = 0,
    address: Address = HERE,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Plan the configurations of all SaaS VMs; nothing is published."""
    from tapas_opt.reconfiguration.problem import Stage

    with _client(address, timeout) as client:
        data = asdict(client.plan_reconfiguration(Stage(stage.value), horizon_slots=horizon))
    print_result(data, as_json, _say_plan)


@app.command(epilog="Example: tapas-opt client armed")
def armed(address: Address = HERE, timeout: Timeout = 30.0, as_json: AsJson = False) -> None:
    """Plans kept ready for failures that may come, the most dangerous failure first."""
    with _client(address, timeout) as client:
        data = {"plans": [asdict(plan) for plan in client.armed_plans()]}
    print_result(data, as_json, _say_armed)


@app.command(epilog="Example: tapas-opt client apply PLAN --etag ETAG --approver alice")
def apply(
    plan_id: Annotated[str, typer.Argument(metavar="PLAN", help="As `client plan` printed it.")],
    etag: Annotated[str, typer.Option(help="As `client plan` printed it.")],
    approver: Annotated[str, typer.Option(help="Who decided to apply it.")],
    request_id: RequestId = None,
    address: Address = HERE,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Publish a plan, unless something that it rests on has changed."""
    with _client(address, timeout) as client:
        changes = client.apply_plan(plan_id, etag, approver, request_id=request_id)
    data = {"plan_id": plan_id, "changes": changes}
    print_result(data, as_json, lambda data: console().print(f"{plan_id}: {changes} VMs are told to change"))


@app.command(epilog="Example: tapas-opt client mode advise")
def mode(
    mode: Annotated[ModeName, typer.Argument(help="shadow: watch; advise: propose; act: do.")],
    address: Address = HERE,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """How far the server may go by itself from now on."""
    from tapas_opt.control.events import OperatingMode

    with _client(address, timeout) as client:
        client.set_mode(OperatingMode(mode.value))
    print_result({"mode": mode.value}, as_json, lambda data: console().print(f"mode: {mode.value}"))


def _say_status(data: Mapping[str, Any]) -> None:
    out = console()
    age_s = data["telemetry_age_s"]
    out.print(f"site {data['site_name']}, mode {data['mode']}, state {data['fingerprint']}")
    out.print(
        f"servers: {data['servers_free']} of {data['servers']} free; VMs: {data['vms_running']} running, "
        f"{data['vms_reserved']} reserved; endpoints: {', '.join(data['endpoints']) or 'none'}"
    )
    out.print("telemetry: none yet" if age_s is None else f"telemetry: {age_s:.0f} s old")
    for warning in data["warnings"]:
        out.print(f"warning: {warning}")
    for failure in data["failures"]:
        left = f", {100 * failure['remaining_frac']:.0f} % left" if failure["remaining_frac"] else ""
        out.print(f"FAILED {failure['kind']}:{failure['element']}{left}")
    fullest = sorted(data["domains"], key=lambda domain: -domain["load"] / max(1.0, domain["limit"]))
    for domain in fullest[:_SHOWN]:
        used = 100 * domain["load"] / max(1.0, domain["limit"])
        figures = f"{domain['load']:,.0f} of {domain['limit']:,.0f} {domain['unit']}"
        out.print(f"  {domain['constraint']} {domain['name']}: {used:.0f} % ({figures})")


def _say_placed(data: Mapping[str, Any]) -> None:
    out = console()
    for name, server in data["server_of"].items():
        gpus = data["gpus_of"].get(name)
        out.print(f"{name} on {server}" + (f", GPUs {', '.join(map(str, gpus))}" if gpus else ""))
    _say_decision(data["decision"])
    for name in data["unplaced"]:
        why = [one for one in data["decision"]["rejections"] if one["subject"] == name]
        reasons = [f"{one['reason']} lacks {one['shortfall'] or 0:,.0f} {one['unit']}".strip() for one in why[:3]]
        out.print(f"{name} got no server: {'; '.join(reasons) or 'see --json'}")
    for cost in data["failure_costs"][:1]:
        worst = f"{cost['relief']:,.0f} {cost['unit']} relieved, {cost['shortfall']:,.0f} {cost['unit']} short"
        out.print(f"worst failure {cost['failure']} in {cost['slot']}: {worst}")
    if data["reserved_until_s"] is not None:
        out.print(f"reserved; confirm with: tapas-opt client confirm {' '.join(data['server_of'])}")


def _say_decision(decision: Mapping[str, Any]) -> None:
    gap = "" if decision["gap_frac"] is None else f", gap {100 * decision['gap_frac']:.2f} %"
    why = f" ({decision['fallback']})" if decision["fallback"] else ""
    console().print(f"{decision['mode']} by {decision['solver']}: {decision['status']}{gap}{why}")
    for warning in decision["warnings"]:
        console().print(f"warning: {warning}")


def _say_vms(data: Mapping[str, Any]) -> None:
    out = console()
    for record in data["vms"]:
        runs = f", shall run {record['desired_configuration'] or 'nothing'}" if record["vm"]["endpoint"] else ""
        out.print(f"{record['vm']['name']} {record['state']} on {record['server']}{runs}")
    if not data["vms"]:
        out.print("no VMs")


def _say_failure(data: Mapping[str, Any]) -> None:
    console().print(f"reported: {data['failure']}")
    if data["plan"] is not None:
        _say_plan(data["plan"])


def _say_armed(data: Mapping[str, Any]) -> None:
    out = console()
    for plan in data["plans"]:
        left = sum(item["amount"] for item in plan["excess"])
        over = f"{plan['at_stake_w']:,.0f} W and CFM over limits without it"
        out.print(f"{' + '.join(plan['failures'])}: {len(plan['changes'])} changes; {over}, {left:,.0f} with it")
    if not data["plans"]:
        out.print("no plan is armed")


def _say_plan(data: Mapping[str, Any]) -> None:
    out = console()
    state = "published" if data["published"] else "proposed" if data["needed"] else "not needed"
    out.print(f"plan {data['plan_id']} ({data['stage']}, {state}): {len(data['changes'])} changes")
    _say_decision(data["decision"])
    for change in data["changes"][:_SHOWN]:
        after = f"{change['to_configuration']} at {100 * (change['load_frac'] or 0):.0f} %"
        out.print(f"  {change['vm']}: {after if change['to_configuration'] else 'parked'}")
    if len(data["changes"]) > _SHOWN:
        out.print(f"  and {len(data['changes']) - _SHOWN} more")
    if data["later"]:
        out.print(f"  {len(data['later'])} more in later slots, which are planned anew by then")
    short = max((wave["shortfall_tokens_per_s"] for wave in data["waves"]), default=0.0)
    if data["waves"]:
        lasts = sum(wave["duration_s"] for wave in data["waves"])
        out.print(f"  {len(data['waves'])} waves, {lasts:,.0f} s; at most {short:,.0f} tokens/s go unserved meanwhile")
    for excess in data["excess"]:
        out.print(f"  STILL OVER: {excess['constraint']} {excess['name']} by {excess['amount']:,.0f} {excess['unit']}")
    if data["needed"] and not data["published"]:
        out.print(f"apply with: tapas-opt client apply {data['plan_id']} --etag {data['etag']} --approver YOU")

"""What the commands on problem files say to a person."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tapas_opt.domain.result import Mode

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["show_answer", "show_judgement", "show_worth"]

_SHOWN = 12
"""Lines of a table that are shown; ``--json`` and ``--out`` have all."""

_OF_EACH = 4
"""Violations and shadow prices that are shown of each constraint."""

_ONE = {"VMs": "VM", "servers": "server", "changes": "change", "tokens/s": "token/s"}
"""What one of a unit is called."""

Data = Mapping[str, Any]


def show_answer(data: Data, out: Console) -> None:
    """What was decided, what it costs, how good it is known to be, and why it is no better."""
    out.print(_headline(data))
    for line in _quality(data):
        out.print(line)
    tables = (_decided(data), _excess(data), _terms(data), _why_not(data), _binding(data), _prices(data))
    for table in tables:
        if table is not None:
            out.print(table)
    if data["shadow_prices"] == []:
        out.print("shadow prices: nothing binds the relaxation, one more unit of anything saves nothing")


def show_judgement(data: Data, out: Console) -> None:
    """Whether a plan stands, and if not, what it breaks."""
    excess = ", within the excess that it declares" if data["excess"] else ""
    verdict = f"breaks nothing{excess}" if data["ok"] else f"REFUSED, violations: {len(data['violations']):,}"
    out.print(f"{data['plan']} for {data['problem']} ({data['kind']}): {verdict}")
    if data["violations"]:
        out.print(_worst("What it breaks", ("constraint", "where", "too much"), data["violations"], _too_much))
    for table in (_excess(data), _terms(data), _why_not(data), _binding(data)):
        if table is not None:
            out.print(table)


def show_worth(data: Data, out: Console) -> None:
    """What a step saves, and how sure that is."""
    saved = data["saved"]
    words = "saves" if saved["found"] >= 0 else "costs"
    out.print(f"{data['step']:+,} at {data['constraint']} of {data['where']} {words} {_cost(abs(saved['found']))}")
    between = f"between {_cost(saved['least'])} and {_cost(saved['most'])}"
    out.print(f"proven: the true saving is {between} (bounds before and after)")
    rows = [(name, _cost(data[name]["objective"]), _cost(data[name]["bound"]), data[name]["status"]) for name in _SIDES]
    out.print(_table("Cost of the plan", ("", "cost", "bound", "status"), rows, words=1))


_SIDES = ("before", "after")


def _headline(data: Data) -> str:
    decided = data["decided"]
    match data["kind"]:
        case "placement":
            placed = sum(1 for row in decided if row["server"] is not None)
            said = f"{placed:,} of {len(decided):,} VMs placed"
        case "routing":
            asked = sum(row["tokens_per_s"] for row in decided)
            served = sum(row["tokens_per_s"] * row["served_frac"] for row in decided)
            said = f"{served:,.0f} of {asked:,.0f} tokens/s served, in {len(decided):,} request classes"
        case _:
            said = f"{len(decided):,} of {len(data['plan']['choice_of']):,} instances change"
    return f"{data['problem']} ({data['kind']}): {said}"


def _quality(data: Data) -> Iterator[str]:
    gap = f", gap {data['gap_frac']:.2%}" if data["bound"] is not None else ""
    yield f"cost {_cost(data['objective'])}, bound {_cost(data['bound'])}{gap}: {data['status']}"
    parts = ", ".join(f"{part} {data[f'{part}_s']:.2f}" for part in ("build", "solve", "check"))
    took = f"{data['total_s']:.2f} s ({parts})"
    yield f"by {data['solver']}, mode {data['mode']}, seed {data['seed']}, in {took}; verified by the checker"
    if data["mode"] == Mode.BEST_EFFORT:
        yield "nothing feasible was found: this is the least bad plan, and the excess below is declared"
    if data["fallback"]:
        yield f"not the solver's answer: {data['fallback']}"


def _decided(data: Data) -> Table | None:
    match data["kind"]:
        case "placement":
            rows = [(row["vm"], row["server"] or "–") for row in data["decided"]]
            return _table("Placed", ("VM", "server"), rows)
        case "routing":
            headings = ("request class", "tokens/s", "served", "instances")
            served = [
                (row["class"], f"{row['tokens_per_s']:,}", f"{row['served_frac']:.1%}", f"{row['instances']:,}")
                for row in sorted(data["decided"], key=lambda row: row["served_frac"])
            ]
            return _table("Served", headings, served, words=1)
        case _:
            return _changes(data["decided"])


def _changes(decided: Sequence[Data]) -> Table | None:
    """Alike changes together."""
    alike = defaultdict(list)
    for row in decided:
        alike[row["from"], row["to"]].append(row["instance"])
    if not alike:
        return None
    rows = [
        (now, then, names[0], f"{len(names):,}")
        for (now, then), names in sorted(alike.items(), key=lambda item: -len(item[1]))
    ]
    return _table("Changes", ("from", "to", "such as", "instances"), rows, words=3)


def _excess(data: Data) -> Table | None:
    rows = [(each["constraint"], each["where"], f"{each['excess']:,.0f}") for each in data["excess"]]
    return _table("Declared excess", ("constraint", "where", "W or CFM"), rows) if rows else None


def _terms(data: Data) -> Table | None:
    rows = [(name, f"{cost:,.0f}") for name, cost in data["terms"].items()]
    return _table("Cost by term, in cost units per hour", ("term", "cost"), rows, words=1) if rows else None


def _why_not(data: Data) -> Table | None:
    """By constraint: how many it keeps from better, and who comes nearest."""
    alike = defaultdict(list)
    for each in data.get("why_not", ()):
        alike[each["constraint"]].append(each)
    rows = []
    for constraint, each in alike.items():
        nearest = min(each, key=lambda one: one["shortfall"])
        least = _amount(nearest["shortfall"], nearest["unit"])
        rows.append((constraint, nearest["subject"], f"{len(each):,}", least))
    headings = ("constraint", "nearest", "subjects", "short by at least")
    return _table("Why not more", headings, rows) if rows else None


def _binding(data: Data) -> Table | None:
    rows = [
        (each["constraint"], each["where"], _amount(each["headroom"], each["unit"])) for each in data.get("binding", ())
    ]
    return _table("Little room left", ("constraint", "where", "headroom"), rows) if rows else None


def _prices(data: Data) -> Table | None:
    prices = data.get("shadow_prices")
    if not prices:
        return None
    title = "Shadow prices: what one more does to the cost of the linear relaxation (small steps only; see worth)"
    headings = ("constraint", "where", "one more", "cost units per hour")
    return _worst(title, headings, prices, _one_more)


def _one_more(one: Data) -> tuple[str, str]:
    unit = str(one["unit"])
    return f"1 {_ONE.get(unit, unit)}", _signed(one["price"])


def _too_much(one: Data) -> tuple[str]:
    return (_amount(one["excess"], one["unit"]),)


def _worst(
    title: str, headings: Sequence[str], items: Sequence[Data], numbers: Callable[[Data], tuple[str, ...]]
) -> Table:
    """The first few of each constraint, so that one with many does not hide the others."""
    alike: dict[str, list[Data]] = defaultdict(list)
    for item in items:
        alike[item["constraint"]].append(item)
    rows: list[tuple[str, ...]] = []
    for constraint, each in alike.items():
        rows += [(constraint, one["where"], *numbers(one)) for one in each[:_OF_EACH]]
        if len(each) > _OF_EACH:
            rows.append((constraint, f"and {len(each) - _OF_EACH:,} more"))
    return _table(title, headings, rows, shown=len(rows))


def _signed(price: float) -> str:
    return f"{price:+,.2f}" if abs(price) >= 1 else f"{price:+.3g}"


def _table(
    title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], words: int = 2, shown: int = _SHOWN
) -> Table:
    """The first columns are words, the others numbers; what is too long is counted."""
    from rich.table import Table  # noqa: PLC0415  only a person's output needs it

    more = len(rows) - shown
    table = Table(title=title, title_justify="left", caption=f"and {more:,} more; --json has all" if more > 0 else None)
    for i, heading in enumerate(headings):
        table.add_column(heading, justify="left" if i < words else "right")
    for row in rows[:shown]:
        table.add_row(*map(str, row))
    return table


def _cost(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.0f}"


def _amount(value: float, unit: str) -> str:
    return f"{value:,.4g} {unit}" if abs(value) < 10_000 else f"{value:,.0f} {unit}"

"""Public instances with best-known values, a slice of each suite: one JSON object, written anew after each row.

usage: python benchmarks/public.py DATASETS OUT.json [SLICE ...]   (default: mmkp gap vector-packing; 25 minutes)

DATASETS has the folders ``bench-mmkp``, ``bench-gap`` and ``bench-vector-packing``; docs/benchmarking.md says what they
are. What OUT.json has already is not run again. MMKP is answered by the decomposition in 6 s and by HiGHS in ten times
as long. ``gap`` is half of the Yagiura instances, ``gap-whole`` all of them.
"""

import json
import sys
from pathlib import Path

from tapas_opt.bench.public.runs import run
from tapas_opt.cli.bench_answer import machine

MMKP = ("a_07", "a_13", "b_07", "b_13", "c_30", "d_39", "d_117", "d_183")
GAP = ("c20400", "c30900", "d10400", "d20400", "d30900", "d201600", "e05100", "e10100", "e20400", "e30900", "e401600")
PACKING = (
    *(f"triplet/class{family}_{items}_{dims}_0" for family in "CF" for items in (60, 120, 249) for dims in (3, 10)),
    *(f"new/class{c}_120_{dims}_0" for c in range(1, 7) for dims in (3, 10)),
    *(f"panigrahy/class{c}_120_5_0" for c in range(1, 10)),
)
SLICES = {
    "mmkp": [(f"mmkp_{name}", solver, s) for name in MMKP for solver, s in (("decomposition", 6.0), ("highs", 60.0))],
    "gap": [(f"yagiura2004_{name}", "decomposition", 60.0) for name in GAP],
    "vector-packing": [(name, solver, 10.0) for name in PACKING for solver in ("greedy", "decomposition")],
    "gap-whole": [("yagiura2004_*", "decomposition", 60.0)],
}
"""Slice → pattern of names, solver, deadline."""

USUAL = ("mmkp", "gap", "vector-packing")


def rows(datasets, slice_, known):
    """Rows of a slice that are not known yet; a line each as they come."""
    suite = slice_.removesuffix("-whole")
    for pattern, solver, deadline_s in SLICES[slice_]:
        if (suite, pattern, solver, deadline_s) in known:
            continue
        for row in run(suite, datasets / f"bench-{suite}", [solver], deadline_s, instances=pattern):
            beside = "" if row.gap_to_best_known_frac is None else f"{row.gap_to_best_known_frac:+.4%} of best known"
            print(f"{row.instance:32} {row.solver:14} {row.objective} {beside} {row.checker}", file=sys.stderr)
            yield row.to_json()


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    datasets, out = map(Path, sys.argv[1:3])
    found = json.loads(out.read_text(encoding="utf-8"))["rows"] if out.exists() else []
    for slice_ in sys.argv[3:] or USUAL:
        known = {(row["problem"], row["instance"], row["solver"], row["deadline_s"]) for row in found}
        for row in rows(datasets, slice_, known):
            found.append(row)
            out.write_text(json.dumps({"rows": found, "machine": machine()}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

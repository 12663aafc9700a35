"""Public instances with best-known values, a slice of each suite: one JSON object, written anew after each row.

usage: python benchmarks/public.py DATASETS OUT.json [SUITE ...]   (default: every suite)

DATASETS has the folders ``bench-mmkp``, ``bench-gap`` and ``bench-vector-packing``; docs/benchmarking.md says what they
are. MMKP is answered by the decomposition in 6 s and by HiGHS in ten times as long.
"""

import json
import sys
from pathlib import Path

from tapas_opt.bench.public.runs import run
from tapas_opt.cli.bench_answer import machine

MMKP = ("a_07", "a_13", "b_07", "b_13", "c_22", "c_30", "d_39", "d_87", "d_117", "d_183")
PACKING = (
    *(f"triplet/class{family}_{items}_{dims}_0" for family in "CF" for items in (60, 120) for dims in (3, 10)),
    *(f"new/class{c}_120_{dims}_0" for c in range(1, 7) for dims in (3, 10)),
    *(f"panigrahy/class{c}_120_5_0" for c in range(1, 9)),
)
SLICES = {
    "mmkp": [(f"mmkp_{name}", solver, s) for name in MMKP for solver, s in (("decomposition", 6.0), ("highs", 60.0))],
    "gap": [("yagiura2004_*", "decomposition", 60.0)],
    "vector-packing": [(name, solver, 10.0) for name in PACKING for solver in ("greedy", "decomposition")],
}
"""Suite → pattern of names, solver, deadline."""


def rows(datasets, suite):
    for pattern, solver, deadline_s in SLICES[suite]:
        for row in run(suite, datasets / f"bench-{suite}", [solver], deadline_s, instances=pattern):
            print(row.instance, row.solver, row.objective, row.gap_to_best_known_frac, row.checker, file=sys.stderr)
            yield row.to_json()


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    datasets, out = map(Path, sys.argv[1:3])
    found = []
    for suite in sys.argv[3:] or SLICES:
        for row in rows(datasets, suite):
            found.append(row)
            out.write_text(json.dumps({"rows": found, "machine": machine()}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""One door to every solver, which always checks.

`solve` (:mod:`~tapas_opt.solve.door`) runs greedy, has it judged, and lets a solver try to do better until the
deadline; :mod:`~tapas_opt.solve.kinds` says what belongs to each kind of problem and which solver runs where,
:mod:`~tapas_opt.solve.exact` is what happens in a worker's process, :mod:`~tapas_opt.solve.verdict` what its answer is
worth, :mod:`~tapas_opt.solve.record` what was known when.
"""

from tapas_opt.solve.door import solve
from tapas_opt.solve.exact import Found
from tapas_opt.solve.kinds import KINDS, SOLVERS, WORKER_OF
from tapas_opt.solve.warm import solver_workers, warm_up_loops

__all__ = ["KINDS", "SOLVERS", "WORKER_OF", "Found", "solve", "solver_workers", "warm_up_loops"]

"""Public instances with best-known values, answered by the machinery that answers our own problems.

The door is `tapas_opt.bench.public.runs.run`: ``run(suite, path, solvers, deadline_s, seeds, instances, progress)``
yields a `SolverRow` for each instance, solver and seed; ``SUITES`` and ``SOLVERS`` beside it name what there is.
"""

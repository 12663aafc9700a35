"""Workers are warm for `solve`, and not only for their solver."""

from tapas_opt.solve import solver_workers


def test_a_fresh_process_has_loaded_what_an_answer_needs():
    """Loading it takes longer than many a deadline: the first call after a process was ended must not pay for it."""
    paths = "'tapas_opt.routing.pouring', 'tapas_opt.reconfiguration.search'"
    loaded = f"[name in __import__('sys').modules for name in ('tapas_opt.solve.exact', 'numba', 'highspy', {paths})]"
    with solver_workers() as workers:
        assert workers["highs"].wait_until_ready(60.0)
        assert workers["highs"].run(eval, loaded, deadline_s=20.0) == [True] * 5

"""Several solves at once: none is lost, and none outlives what it was begun for."""

import time
from functools import partial
from threading import Event, Timer

import numpy as np

from tapas_opt.mip import highs
from tapas_opt.mip.model import MipModel
from tapas_opt.mip.result import MipStatus
from tapas_opt.mip.side_by_side import SideBySide


def market_split(seed):
    """Thirty halves of four sums at once: far too many ways to try, and hardly any of them exact."""
    rng = np.random.default_rng(seed)
    model = MipModel()
    x = model.columns("x", [str(n) for n in range(30)], upper=1, integer=True)
    missed = model.columns("missed", ["+", "-"], [str(n) for n in range(4)], upper=10_000, cost=1.0)
    weight = rng.integers(0, 100, (4, 30))
    half = model.rows("half", [str(n) for n in range(4)], lower=weight.sum(axis=1) // 2, upper=weight.sum(axis=1) // 2)
    model.add(half[:, None], x[None, :], weight)
    model.add(half, missed[0], 1.0)
    model.add(half, missed[1], -1.0)
    return model.arrays()


def test_each_solve_has_the_answer_that_it_has_alone(random_cover):
    """Four small models, two at a time, are solved as one after the other, each under its own name."""
    models = {seed: random_cover(seed) for seed in range(4)}
    found, waiting = {}, list(models)
    with SideBySide[int](2) as solves:
        while waiting or solves.running:
            while waiting and not solves.full:
                seed = waiting.pop()
                solves.begin(seed, highs.solve, models[seed], deadline_s=20.0)
            assert len(solves.running) <= 2
            found.update({what: result.objective for what, result, _ in solves.ended()})
    alone = {seed: highs.solve(arrays, deadline_s=20.0).objective for seed, arrays in models.items()}
    assert found == alone


def test_what_still_runs_is_ended_when_its_context_is_left():
    """A search that would take hours ends in seconds, so that a service does not pay for what nobody waits for."""
    began = time.perf_counter()
    with SideBySide[str](1) as solves:
        solves.begin("endless", partial(highs.solve, stop=solves.stop), market_split(1), deadline_s=600.0)
        time.sleep(0.2)
    assert time.perf_counter() - began < 60.0


def test_a_solve_that_is_told_to_end_has_what_it_found():
    """Ended by hand it is as if its time were up: a solution, and a bound below it."""
    stop = Event()
    Timer(0.5, stop.set).start()
    found = highs.solve(market_split(2), deadline_s=600.0, gap_frac=1e-9, threads=1, stop=stop)
    assert found.status in (MipStatus.FEASIBLE, MipStatus.OPTIMAL, MipStatus.NO_SOLUTION)
    assert found.bound <= (np.inf if found.objective is None else found.objective)

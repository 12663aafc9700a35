"""From the work that each instance gets to the shares of each request class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tapas_opt.routing.problem import RoutingPlan, RoutingProblem

__all__ = ["spread"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def spread(problem: RoutingProblem, work: FloatArray, unserved_frac: FloatArray) -> RoutingPlan:
    """Give each class, as far as it is served, to its endpoint's instances in proportion to their work.

    Parameters
    ----------
    work
        ``[instance]`` tokens/s; of an endpoint without any, goodput takes its place.
    unserved_frac
        ``[class]``; 1 where no instance is open.
    """
    shares: dict[str, dict[str, float]] = {}
    unserved: dict[str, float] = {}
    for e in range(len(problem.endpoints)):
        names, parts = _parts(problem, e, work)
        for q in np.flatnonzero(problem.class_endpoint == e):
            lost = float(unserved_frac[q]) if names else 1.0
            served = (parts * (1.0 - lost)).tolist() if lost < 1.0 else [0.0] * len(names)
            shares[problem.classes[q]] = {name: share for name, share in zip(names, served, strict=True) if share > 0.0}
            unserved[problem.classes[q]] = lost
    return RoutingPlan(shares, unserved)


def _parts(problem: RoutingProblem, endpoint: int, work: FloatArray) -> tuple[list[str], FloatArray]:
    """The endpoint's open instances that get something, and their parts of 1."""
    here = np.flatnonzero((problem.instance_endpoint == endpoint) & problem.open_instances)
    weight = work[here] if work[here].any() else problem.instance_goodput[here].astype(np.float64)
    some = weight > 0
    return [problem.instances[i] for i in here[some]], weight[some] / weight[some].sum()

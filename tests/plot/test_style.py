"""One colour a policy."""

from __future__ import annotations

from tapas_opt.plot.style import policy_colours
from tapas_opt.simulation.policies.table import POLICIES


def test_every_policy_has_a_colour_of_its_own_whatever_it_is_shown_with():
    alone = {name: policy_colours([name])[name] for name in POLICIES}
    assert len(set(alone.values())) == len(POLICIES)
    assert policy_colours([*POLICIES, "mine"]) == alone | {"mine": policy_colours(["mine"])["mine"]}
    assert policy_colours(["mine"])["mine"] not in alone.values()

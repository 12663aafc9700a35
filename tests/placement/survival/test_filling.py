"""What is kept from one VM to the next against a site of which everything is judged anew each time."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("seed", range(40))
def test_what_was_kept_is_what_would_be_found_anew(seed, random_survival, random_problem, fill_twice):
    make = random_survival if seed % 2 else random_problem
    fill_twice(make(seed, vms=14, servers=12, types=2, groups=1), seed)

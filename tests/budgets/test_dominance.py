"""Rows that another row of the same domain implies need not be stated."""

from __future__ import annotations

import numpy as np
import pytest

from tapas_opt.budgets.dominance import Multiples, undominated


def implies(room, step, draw, t, u):
    """Whether row t implies row u for every x and peak ≥ 0: the dual of that linear program, in fractions."""
    if any(draw[k, t] == 0 and draw[k, u] > 0 for k in range(len(draw))):
        return False
    pairs = [(int(draw[k, u]), int(draw[k, t])) for k in range(len(draw)) if draw[k, t] > 0]
    over, under = max(pairs, key=lambda pair: pair[0] / pair[1], default=(0, 1))
    return over * room[t] <= under * room[u] and over * step[t] <= under * step[u]


@pytest.mark.parametrize("seed", range(20))
def test_every_row_left_out_follows_from_one_that_is_kept(seed):
    """The compiled loop against plain Python."""
    rng = np.random.default_rng(seed)
    slots, domains = int(rng.integers(2, 9)), 4
    draw = rng.integers(0, 4, (int(rng.integers(1, 4)), slots))
    room, step = rng.integers(0, 12, (domains, slots)), rng.integers(0, 3, (domains, slots))
    rows = rng.random((domains, slots)) < 0.8
    kept = undominated(rows, room, Multiples.of(draw), step)
    assert not (kept & ~rows).any()
    for d in range(domains):
        told = np.flatnonzero(kept[d])
        for u in np.flatnonzero(rows[d] & ~kept[d]):
            assert any(implies(room[d], step[d], draw, t, u) for t in told)


@pytest.mark.parametrize("seed", range(20))
def test_no_plan_that_meets_the_kept_rows_breaks_another(seed):
    """What the rows are for: 200 random plans each."""
    rng = np.random.default_rng(seed)
    draw = rng.integers(1, 50, (3, 6))
    room = rng.integers(50, 400, (1, 6))
    kept = undominated(np.ones((1, 6), dtype=bool), room, Multiples.of(draw))[0]
    drawn = rng.integers(0, 9, (200, 3)) @ draw
    meets = (drawn <= room)[:, kept].all(axis=1)
    assert (drawn[meets] <= room).all()


def test_an_hour_in_which_less_runs_and_less_is_drawn_is_left_out():
    """Both types draw least in the second of three slots, where there is most room; the third binds other plans."""
    draw, room = np.array([[5, 3, 1], [4, 2, 6]]), np.array([[10, 12, 11]])
    assert undominated(np.ones((1, 3), dtype=bool), room, Multiples.of(draw)).tolist() == [[True, False, True]]


def test_a_row_without_room_implies_those_that_draw_no_more_and_one_over_its_limit_implies_nothing():
    """0 W left in the first slot bar every VM, whatever the second allows; −1 W left is no statement about x ≥ 0."""
    draw = np.array([[5, 3]])
    assert undominated(np.ones((1, 2), dtype=bool), np.array([[0, 9]]), Multiples.of(draw)).tolist() == [[True, False]]
    assert undominated(np.ones((1, 2), dtype=bool), np.array([[-1, 9]]), Multiples.of(draw)).tolist() == [[True, True]]

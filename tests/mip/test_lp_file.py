"""Models as LP files."""

from __future__ import annotations

import highspy
import numpy as np
import pytest

from tapas_opt.mip import highs
from tapas_opt.mip.lp_file import lp_text
from tapas_opt.mip.model import MipModel


def test_a_model_reads_as_it_was_stated():
    """Names with brackets, hyphens and slashes, a row between two limits, one without columns, an open bound."""
    model = MipModel()
    x = model.columns("take", ["a-1", "conv/b"], upper=[1.0, 3.0], cost=[2.0, -1.5], integer=True)
    y = model.columns("rest", lower=-np.inf, cost=1.0)
    model.add(
        model.rows("room", ["R1", "R2"], lower=[-np.inf, 1.0], upper=[4.0, 2.0])[:, None], x, [[1.0, 2.5], [1.0, -1.0]]
    )
    model.add(model.rows("whole", lower=2.0, upper=2.0), [*x, y], 1.0)
    model.rows("empty", upper=5.0)
    assert lp_text(model.arrays(), "A story.\n\nOf two parts.") == (
        "\\ A story.\n\\\n\\ Of two parts.\n"
        "Minimize\n"
        " cost: 2 take(a_1) - 1.5 take(conv/b) + rest\n"
        "Subject To\n"
        " room(R1): take(a_1) + 2.5 take(conv/b) <= 4\n"
        " room(R2): take(a_1) - take(conv/b) <= 2\n"
        " room(R2)_least: take(a_1) - take(conv/b) >= 1\n"
        " whole: take(a_1) + take(conv/b) + rest = 2\n"
        " empty: 0 take(a_1) <= 5\n"
        "Bounds\n"
        " 0 <= take(a_1) <= 1\n"
        " 0 <= take(conv/b) <= 3\n"
        " -inf <= rest <= inf\n"
        "Binary\n take(a_1)\n"
        "General\n take(conv/b)\n"
        "End\n"
    )


def test_names_that_become_one_stay_apart():
    model = MipModel()
    model.columns("x", ["a-b", "a_b", "7"], cost=1.0)
    assert "cost: x(a_b) + x(a_b)_2 + x(7)" in lp_text(model.arrays())


@pytest.mark.parametrize("seed", range(5))
def test_another_reader_of_the_format_finds_the_same_model(tmp_path, seed):
    """HiGHS reads the text, and its optimum is that of the arrays."""
    rng = np.random.default_rng(seed)
    model = MipModel()
    x = model.columns(
        "x", [str(j) for j in range(30)], upper=rng.integers(1, 4, 30), cost=rng.integers(-9, 9, 30), integer=True
    )
    model.add(
        model.rows("limit", ["a", "b"], lower=[-np.inf, 3.0], upper=[50.0, 60.0])[:, None],
        x,
        rng.integers(0, 9, (2, 30)),
    )
    path = tmp_path / "model.lp"
    path.write_text(lp_text(model.arrays(), "read again"))
    reader = highspy.Highs()
    reader.setOptionValue("output_flag", False)
    assert reader.readModel(str(path)) == highspy.HighsStatus.kOk
    reader.run()
    assert reader.getInfo().objective_function_value == pytest.approx(
        highs.solve(model.arrays(), deadline_s=10.0).objective
    )

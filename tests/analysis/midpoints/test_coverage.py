"""Short form of ``make coverage``: simulated studies with known midpoints."""

from __future__ import annotations

import pytest

from tests.coverage.__main__ import measure
from tests.coverage.simulated_studies import gompertz, logistic, real_studies, studies

STUDIES = 40

CELLS = {
    "logistic, 17 levels, 3 repetitions": (studies(logistic, 17, 3, 0.0, STUDIES, seed=1), False),
    "Gompertz, 17 levels, 5 repetitions, shared networks": (studies(gompertz, 17, 5, 0.3, STUDIES, seed=2), True),
    "real curves, 17 levels, 3 repetitions": (real_studies(17, 3, STUDIES, seed=3), True),
}


@pytest.mark.parametrize(("simulated", "shares_networks"), CELLS.values(), ids=CELLS)
def test_intervals_cover_95_percent(simulated, shares_networks: bool):
    """93 to 97 %, up to three standard errors of the simulation."""
    cell = measure(simulated, shares_networks=shares_networks)
    assert 0.93 - 3 * cell["error"] <= cell["coverage"] <= 0.97 + 3 * cell["error"]
    assert cell["ratio"] <= 1
    assert abs(cell["bias"]) < 0.02

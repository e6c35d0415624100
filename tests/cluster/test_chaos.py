"""Short form of `make chaos`."""

from __future__ import annotations

import pytest

from tests.cluster.chaos import chaos

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

KILLS = 5


def test_no_run_is_lost_repeated_or_changed():
    figures = chaos(runs=45, epochs=20, kills=KILLS, seed=1, pause=6.0, seconds=800.0)
    print(figures)
    assert (figures.lost, figures.repeated, figures.changed) == (0, 0, {})
    assert figures.kills == KILLS

"""Report of a study with all kinds of runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.report.__main__ import main
from tests.analysis.conftest import FakeStudy, add_global, add_odd_ones, add_walking


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All kinds of runs, and so every figure, but few noise points."""
    study = FakeStudy()
    add_global(study)
    add_walking(study, points=(0, 3, 7))
    add_odd_ones(study)
    study.keep_quantities_of(point=3)
    return study.save(tmp_path_factory.mktemp("runs") / "runs.jsonl.gz")


@pytest.fixture(scope="session")
def rendered(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of these runs."""
    folder = tmp_path_factory.mktemp("report") / "out"
    assert main(["--from", str(runs), "--out", str(folder)]) == 0
    return folder

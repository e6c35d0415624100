"""Fixtures of the tests of commands that read runs and write grids."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.runs import documents
from analysis.runs.documents import Source
from experiments.database.connection import Document
from experiments.plan import refined_grid
from tests.analysis.conftest import FakeStudy
from tests.experiments.shell import ROOT

LATEST: dict[str, Any] = {
    "seml": {"executable": "experiments/train.py", "working_dir": str(ROOT), "output_dir": "logs"},
    "slurm": [{"experiments_per_job": 1, "sbatch_options": {"time": "0-01:00"}}],
}


@pytest.fixture
def stored_study(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], FakeStudy]:
    """Returns a study in the database by its name, empty at first; the current folder is empty, too."""

    def store(name: str) -> FakeStudy:
        study = FakeStudy(name)

        def read(names: list[str]) -> Source:
            assert names == [name]
            return study.source()

        def latest(collection: str) -> Document:
            return LATEST

        monkeypatch.setattr(documents, "from_database", read)
        monkeypatch.setattr(refined_grid, "latest_run", latest)
        return study

    monkeypatch.chdir(tmp_path)
    return store

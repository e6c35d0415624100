"""The analysis of completed runs does not wait for torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.analysis.conftest import FakeStudy

ANALYSIS = """
import sys
from pathlib import Path
from analysis.midpoints.study import analyse
from analysis.paper import ledger
from analysis.runs.documents import from_file
from analysis.runs.run_frame import to_frame

study = analyse(to_frame(from_file(Path(sys.argv[1])).documents))
print(len(study.runs), len(study.fitted_series), "torch" in sys.modules)
"""


def analysed(path: Path) -> list[str]:
    """Number of runs, number of fitted series, and whether torch is imported, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", ANALYSIS, path], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_runs_with_results_are_read_and_fitted_without_torch(whole_study: FakeStudy, tmp_path: Path) -> None:
    number = str(len(whole_study.documents))
    assert analysed(whole_study.save(tmp_path / "runs.jsonl.gz")) == [number, "26", "False"]


@pytest.mark.slow
def test_runs_without_any_result_need_the_model(fake_study: type[FakeStudy], tmp_path: Path) -> None:
    study = fake_study()
    study.add({"noise.std": 0.1}, "PENDING")
    assert analysed(study.save(tmp_path / "runs.jsonl.gz")) == ["1", "1", "True"]

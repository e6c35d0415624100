from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from analysis.errors import AnalysisError
from analysis.runs import reading
from analysis.runs.documents import from_file
from analysis.runs.run_frame import to_frame
from tests.analysis.conftest import FakeStudy

NORMED = {"model.batch_norm": True}


@pytest.fixture
def runs_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file of four parts. Runs without a result have that of an equal model two parts away, before and after."""
    monkeypatch.setattr(reading, "PART", 3)
    study = FakeStudy()
    study.add({"noise.std": 0.1}, "PENDING")
    study.complete({**NORMED, "noise.std": 0.1}, 0.9)
    for seed in range(7):
        study.complete({"noise.std": 0.2, "seed": seed}, 0.8, cuda=None)
    study.add({**NORMED, "noise.std": 0.3}, "FAILED", fail_trace=["x"])
    study.add({"noise.std": 0.4}, "PENDING")["config"]["noise"]["std"] = -1.0
    return study.save(tmp_path / "runs.jsonl.gz")


@pytest.mark.parametrize("processes", [1, 2, 9])
def test_parts_give_the_frame_and_the_checksum_of_the_whole_file(runs_file: Path, processes: int) -> None:
    whole = from_file(runs_file)
    expected = to_frame(whole.documents)
    runs, checksum = reading.read(from_file(runs_file), processes)
    pd.testing.assert_frame_equal(runs, expected)
    assert (list(map(len, runs["points"].dropna())), runs["refused"].notna().sum()) == ([8, 11, *[8] * 7, 11], 1)
    assert checksum == whole.checksum


def test_a_damaged_part_is_one_line(runs_file: Path) -> None:
    source, content = from_file(runs_file), runs_file.read_bytes()
    runs_file.write_bytes(content[:-9] + bytes([content[-9] ^ 255]) + content[-8:])
    with pytest.raises(AnalysisError, match="is damaged") as caught:
        reading.read(source, 2)
    assert "\n" not in str(caught.value)

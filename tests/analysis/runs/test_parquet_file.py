from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pytest
from pyarrow import parquet

from analysis.errors import AnalysisError
from analysis.report.__main__ import main, read
from analysis.runs import documents
from tests.analysis.conftest import FakeStudy, add_odd_ones


@pytest.fixture
def odd_study(fake_study) -> FakeStudy:
    """Runs with every kind of value: lists, text and null as levels, failed runs, refused settings."""
    study: FakeStudy = fake_study()
    study.series({"noise.point": 1}, 2.0, (0.0, 0.1, 1.0, 10.0))
    add_odd_ones(study)
    study.complete({"noise.point": "mapped", "noise.std": [1 / 3] * 8}, 0.5)
    study.add({"noise.std": 1.0})["config"]["noise"]["std"] = float("nan")
    study.keep_quantities_of(point=1)
    return study


@pytest.fixture
def file(odd_study: FakeStudy, tmp_path: Path) -> Path:
    path = tmp_path / "runs.parquet"
    read(odd_study.source(), path)
    return path


def test_file_gives_the_same_runs_and_checksum_as_their_source(odd_study: FakeStudy, file: Path, tmp_path: Path):
    runs, checksum = read(odd_study.source())
    again, same = read(documents.from_file(file))
    assert same == checksum
    assert len(checksum) == 64
    assert again.equals(runs)
    assert read(documents.from_file(odd_study.save(tmp_path / "runs.jsonl.gz")))[1] == checksum
    odd_study.documents[0]["result"]["accuracy"] += 1e-12
    assert read(odd_study.source())[1] != checksum


def test_file_has_a_typed_row_per_run(odd_study: FakeStudy, file: Path):
    runs, _ = read(odd_study.source())
    table = pd.read_parquet(file)
    assert len(table) == len(runs)
    assert table["accuracy"].dtype == np.float64
    assert table["accuracy"].equals(runs["accuracy"])
    types = parquet.read_schema(file)
    assert types.field("training.epochs").type == pyarrow.int64()
    assert types.field("model.batch_norm").type == pyarrow.bool_()
    assert table["collection"].unique().tolist() == ["demo"]
    mapped = table[table["noise.point"] == "mapped"].iloc[0]
    assert json.loads(mapped["noise.std"]) == [1 / 3] * 8
    weights = table["mean_abs_weight"].dropna().iloc[0]
    assert json.loads(weights) == runs["mean_abs_weight"].dropna().iloc[0]


@pytest.mark.slow
def test_report_is_the_same(odd_study: FakeStudy, file: Path, tmp_path: Path):
    lines = odd_study.save(tmp_path / "runs.jsonl.gz")
    pages = []
    for path in (file, lines):
        assert main(["--from", str(path), "--out", str(tmp_path / "out")]) == 0
        pages.append((tmp_path / "out" / "index.html").read_bytes())
    assert pages[0] == pages[1]


@pytest.mark.parametrize("damage", ["missing", "text", "cut", "foreign", "other version"])
def test_file_that_cannot_be_read_is_one_line(file: Path, damage: str):
    content = file.read_bytes()
    file.unlink()
    if damage == "text":
        file.write_text("not Parquet")
    elif damage == "cut":
        file.write_bytes(content[:-2000])
    elif damage == "foreign":
        pd.DataFrame({"document": ["{}"]}).to_parquet(file)
    elif damage == "other version":
        header = {b"walking_noise": b'{"format": "walking_noise runs", "version": 99}'}
        table = pyarrow.table({"document": ["{}"]}).replace_schema_metadata(header)
        parquet.write_table(table, file)
    with pytest.raises(AnalysisError) as caught:
        read(documents.from_file(file))
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_ending_is_refused_before_anything_is_read(
    odd_study: FakeStudy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    runs = odd_study.save(tmp_path / "runs.jsonl.gz")
    arguments = ["--from", str(runs), "--out", str(tmp_path / "out"), "--save-runs", str(tmp_path / "runs.csv")]
    assert main(arguments) == 1
    assert "unknown ending; allowed: .jsonl.gz and .parquet" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["runs.jsonl.gz"]


@pytest.mark.parametrize("ending", [".jsonl.gz", ".parquet"])
def test_file_that_cannot_be_written_is_one_line(odd_study: FakeStudy, tmp_path: Path, ending: str):
    (tmp_path / "no folder").write_text("")
    with pytest.raises(AnalysisError, match="cannot write") as caught:
        read(odd_study.source(), tmp_path / "no folder" / f"runs{ending}")
    assert "\n" not in str(caught.value)

from __future__ import annotations

import gzip
import itertools
import math
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymongo
import pytest
from pymongo.errors import PyMongoError

from analysis.errors import AnalysisError
from analysis.report import __main__ as report
from analysis.runs import documents
from analysis.runs.documents import Source, from_database, from_file, from_files, save
from analysis.runs.run_frame import to_frame


def read(source: Source) -> list[documents.Document]:
    return list(source.documents)


def test_file_returns_the_documents_that_were_saved(whole_study, tmp_path: Path):
    path = whole_study.save(tmp_path / "runs.jsonl.gz")
    source = from_file(path)
    assert source.total == len(whole_study.documents)
    assert read(source) == read(whole_study.source())


def test_file_keeps_types(fake_study, tmp_path: Path):
    study = fake_study()
    accuracy = 0.1 + 0.2  # no short decimal
    study.complete({"noise.std": 1e16, "training.weight_clamp": None}, accuracy, floor=math.inf)
    study.complete({"noise.point": "mapped", "noise.std": [0.1] * 8}, math.nan)
    first, second = read(from_file(study.save(tmp_path / "runs.jsonl.gz")))
    assert first["result"]["accuracy"] == accuracy
    assert first["result"]["floor"] == math.inf
    assert first["config"]["noise"]["std"] == 1e16
    assert first["config"]["training"]["weight_clamp"] is None
    assert first["start_time"] == "2024-05-01T12:00:00"
    assert second["config"]["noise"]["std"] == [0.1] * 8
    assert math.isnan(second["result"]["accuracy"])


def test_file_has_the_same_bytes_for_the_same_runs(whole_study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = whole_study.save(tmp_path / "a" / "runs.jsonl.gz").read_bytes()
    monkeypatch.setattr(time, "time", lambda: 2e9)  # gzip has a time stamp
    assert whole_study.save(tmp_path / "b" / "other.jsonl.gz").read_bytes() == first


def test_file_appears_only_when_it_is_complete(whole_study, tmp_path: Path):
    path = tmp_path / "runs.jsonl.gz"
    path.write_text("earlier content")
    reading = iter(save(whole_study.source(), path).documents)
    next(reading)
    assert path.read_text() == "earlier content"
    reading.close()  # type: ignore[attr-defined]
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "earlier content"


def test_some_collections_of_a_file(fake_study, tmp_path: Path):
    first, second = fake_study("first"), fake_study("second")
    first.complete({"noise.std": 0.1}, 0.9)
    second.complete({"noise.std": 0.2}, 0.8)
    both = Source.of({"first": 1, "second": 1}, itertools.chain(first.source().documents, second.source().documents))
    path = tmp_path / "runs.jsonl.gz"
    assert len(read(save(both, path))) == 2
    assert [document["collection"] for document in read(from_file(path, ["second"]))] == ["second"]
    with pytest.raises(AnalysisError, match="no collection 'third'; collections in the file: first, second"):
        from_file(path, ["third"])


@pytest.mark.parametrize("damage", ["missing", "text", "cut", "flipped", "other format", "folder"])
def test_file_that_cannot_be_read_is_one_line(whole_study, tmp_path: Path, damage: str):
    path = whole_study.save(tmp_path / "runs.jsonl.gz")
    content = path.read_bytes()
    path.unlink()
    if damage == "text":
        path.write_text("not gzip")
    elif damage == "cut":
        path.write_bytes(content[:-2000])
    elif damage == "flipped":
        path.write_bytes(content[:-9] + bytes([content[-9] ^ 255]) + content[-8:])
    elif damage == "other format":
        path.write_bytes(gzip.compress(b'{"format": "walking_noise runs", "version": 99}\n'))
    elif damage == "folder":
        path.mkdir()
    with pytest.raises(AnalysisError) as caught:
        read(from_file(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of an embedded database."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("database")
    program = Path(sys.executable).with_name("secantusd-py")
    command = [str(program), "--host", "127.0.0.1", "--port", str(port), "--storage-path", str(folder), "--standalone"]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            _wait_for(port)
            yield port
        finally:
            process.terminate()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    with pymongo.MongoClient[dict[str, Any]]("127.0.0.1", port, serverSelectionTimeoutMS=500) as client:
        while True:
            try:
                client.admin.command("ping")
                return
            except PyMongoError:
                assert time.monotonic() < deadline, "the embedded database did not start"


@pytest.fixture
def seml_database(server: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[pymongo.database.Database[dict[str, Any]]]:
    """An empty database, the one that SEML is configured with."""
    use_database(monkeypatch, server)
    with pymongo.MongoClient[dict[str, Any]]("127.0.0.1", server) as client:
        client.drop_database("runs")
        yield client["runs"]


def use_database(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    import seml.database

    config = {"host": "127.0.0.1", "port": port, "db_name": "runs", "username": None, "password": None}
    monkeypatch.setattr(seml.database, "get_mongodb_config", lambda: config)


def fill(database: pymongo.database.Database[dict[str, Any]], study) -> None:
    database[study.collection].insert_many([
        {name: value for name, value in document.items() if name != "collection"} for document in study
    ])  # fmt: skip


def test_several_files(fake_study, tmp_path: Path):
    paths = [tmp_path / f"{name}.jsonl.gz" for name in ("first", "second")]
    for path in paths:
        study = fake_study(path.name.partition(".")[0])
        study.complete({"noise.std": 0.1}, 0.9)
        read(save(study.source(), path))
    both = from_files(paths)
    assert [document["collection"] for document in read(both)] == ["first", "second"]
    assert both.total == 2
    assert [document["collection"] for document in read(from_files(paths, ["second"]))] == ["second"]
    with pytest.raises(AnalysisError, match=r"'first' is in .*first.jsonl.gz and in .*; read one of them"):
        from_files([paths[0], paths[0]])
    with pytest.raises(AnalysisError, match=r"no file has a collection 'third'; .*: first, second"):
        from_files(paths, ["third"])


def test_database_and_file_give_the_same_runs(seml_database, whole_study, tmp_path: Path):
    fill(seml_database, whole_study)
    path = tmp_path / "runs.jsonl.gz"
    from_mongodb = to_frame(save(from_database(["demo"]), path).documents)
    assert from_mongodb.equals(to_frame(from_file(path).documents))
    assert from_mongodb.equals(to_frame(whole_study.source().documents))


def test_report_from_the_database_and_from_saved_runs_has_the_same_bytes(seml_database, fake_study, tmp_path: Path):
    study = fake_study()
    for settings in ({}, {"noise.point": 1}, {"noise.point": 2}):
        study.series(settings, 2.0, (0.0, 0.1, 0.5, 1.0, 2.0, 4.0, 10.0, 100.0))
    study.keep_quantities_of(point=1)
    fill(seml_database, study)
    saved, folders = tmp_path / "runs.jsonl.gz", (tmp_path / "database", tmp_path / "file")
    assert report.main(["demo", "--out", str(folders[0]), "--save-runs", str(saved)]) == 0
    assert report.main(["--from", str(saved), "--out", str(folders[1])]) == 0
    first, second = (
        {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in folders
    )
    assert {Path(name).suffix for name in first} == {".html", ".csv", ".tex", ".png", ".pdf"}
    assert sorted(second) == sorted(first)
    assert [name for name in first if first[name] != second[name]] == []


def test_only_needed_fields_are_read_from_the_database(seml_database, fake_study):
    study = fake_study()
    trace = [f"line {number}" for number in range(100)]
    study.add({}, "FAILED", fail_trace=trace, captured_out="x" * 10_000, seml={"env": {"TOKEN": "secret"}})
    study.complete({}, 0.9)
    fill(seml_database, study)
    failed, completed = read(from_database(["demo"]))
    assert "secret" not in str(failed)
    assert set(failed) <= {"collection", "_id", *documents.PROJECTION} | {"result"}
    assert failed["fail_trace"] == trace[-3:]
    assert set(completed["result"]) <= {name.partition(".")[0] for name in documents.RESULT_FIELDS}
    assert set(completed["result"]["audit"]["inference"]) == {"signal"}


def test_documents_come_by_collection_and_id(seml_database, fake_study):
    for name in ("second", "first"):
        study = fake_study(name)
        for seed in range(5):
            study.add({"seed": seed}, "STAGED")
        study.documents.reverse()
        fill(seml_database, study)
    source = from_database(["second", "first", "second"])
    assert source.collections == {"first": 5, "second": 5}
    found = [(document["collection"], document["_id"]) for document in source.documents]
    assert found == [(name, number) for name in ("first", "second") for number in range(1, 6)]


def test_error_on_a_missing_collection_names_the_existing_ones(seml_database, whole_study):
    fill(seml_database, whole_study)
    with pytest.raises(AnalysisError, match=r"^collection 'domo' does not exist; existing collections: demo$"):
        from_database(["demo", "domo"])


def test_empty_collection_is_refused(seml_database):
    seml_database.create_collection("demo")
    with pytest.raises(AnalysisError, match="'demo' has no runs; add runs with `seml demo add"):
        from_database(["demo"])


def test_unreachable_database_is_one_line(monkeypatch: pytest.MonkeyPatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        use_database(monkeypatch, port)
        monkeypatch.setattr(documents, "PATIENCE_MS", 300)
        with pytest.raises(AnalysisError, match=f"^no database answers at 127.0.0.1:{port}; [^\n]*$"):
            from_database(["demo"])


def test_seml_without_configuration_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    import seml.database

    unset = seml.database.get_mongodb_config.__wrapped__
    monkeypatch.setattr(seml.database, "get_mongodb_config", lambda: unset(tmp_path / "mongodb.config"))
    with pytest.raises(AnalysisError, match=r"^no database configured: [^\n]*`seml configure`[^\n]*$") as caught:
        from_database(["demo"])
    assert "`walking-noise db start`" in str(caught.value)
    assert '`eval "$(walking-noise db env)"`' in str(caught.value)

"""Runs that keep their network, and ``walking-noise binarize`` on them, from ``seml add`` to the document."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import bson
import pytest
from pymongo import MongoClient

from experiments.binarize_runs import kept_run, store, unprobed_runs
from experiments.cli.app import main
from experiments.database.connection import Document, Runs
from experiments.database.embedded_server import DATABASE
from experiments.errors import UserError
from tests.experiments.shell import ROOT, Shell, choice, write_grid
from tests.experiments.worker.disturbed import complete

NOISE = {"noise.kind": "multiplicative", "noise.std": 1e10}


@dataclass
class Study:
    """A collection of completed runs, the folder of their networks, and the numbers of some of them."""

    shell: Shell
    runs: Runs
    networks: Path

    def run(self, **settings: object) -> int:
        """The run with these settings."""
        found = self.runs.find_one({f"config.{name.replace('__', '.')}": value for name, value in settings.items()})
        assert found is not None
        return int(found["_id"])

    @property
    def noisy(self) -> int:
        return self.run(noise__point=7)

    def binarize(self, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.shell.capture("walking-noise", "binarize", self.runs.name, *map(str, arguments), **environment)


@pytest.fixture(scope="module")
def study(shell: Shell, client: MongoClient[Document], tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Two noisy runs with kept network and noise-free twin, one without kept network, and one without twin."""
    folder = tmp_path_factory.mktemp("kept")
    grid = write_grid(
        folder,
        fixed={"model.batch_norm": True, "training.keep_network": True},
        noisy={"fixed": NOISE, "grid": {"noise.point": choice(7, 9)}},
        twin={"fixed": {"noise.kind": "none"}},
        without_network={"fixed": {**NOISE, "noise.point": 3, "training.keep_network": False}},
        without_twin={"fixed": {**NOISE, "noise.point": 5, "seed": 8}},
    )
    study = Study(shell, client[DATABASE]["kept"], folder / "networks")
    shell.run("seml", "kept", "add", str(grid), WALKING_NOISE_NETWORKS=str(study.networks))
    complete(shell, study.runs, folder, WALKING_NOISE_NETWORKS=str(study.networks))
    return study


def test_every_run_names_its_network_and_each_network_is_stored_once(study: Study):
    kept = {document["_id"]: document["result"].get("network") for document in study.runs.find()}
    assert [kept.pop(study.run(noise__point=3))] == [None]
    assert {file.name for file in study.networks.iterdir()} == set(kept.values())
    assert len(set(kept.values())) == 4


def test_findings_are_stored_in_the_document_of_the_run(study: Study):
    finished = study.binarize(study.noisy, "--networks", study.networks, "--samples", 200)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.startswith(f"run {study.noisy}, multiplicative std 1e+10 at point 7: accuracy 0.")
    assert f"run {study.noisy}, noise-free network: input" in finished.stderr
    document = study.runs.find_one({"_id": study.noisy})
    assert document is not None
    found = document["binarization"]
    assert (found["samples"], found["validation_samples"]) == (200, 1000)
    assert found["provenance"]["data_checksum"] == document["result"]["provenance"]["data_checksum"]
    assert found["noisy"]["noise_on"] == document["result"]["last_accuracies"][-1]
    twin = study.runs.find_one({"_id": study.run(noise__kind="none")})
    assert twin is not None
    assert found["noise_free"]["noise_off"] == twin["result"]["last_accuracies"][-1]
    assert [point["name"] for point in found["noisy"]["points"]][6:8] == ["relu2", "fc3"]
    assert json.loads(json.dumps(found, allow_nan=False))
    assert len(bson.encode(found)) < 64_000


def test_the_folder_can_come_from_the_environment_and_findings_are_replaced(
    study: Study, configured: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    run = study.run(noise__point=9)
    monkeypatch.setenv("WALKING_NOISE_NETWORKS", str(study.networks))
    for samples in (100, 150):
        assert main(["binarize", study.runs.name, str(run), str(run), "--samples", str(samples)]) == 0
        assert len(capsys.readouterr().out.splitlines()) == 1
        document = study.runs.find_one({"_id": run})
        assert document is not None
        assert document["binarization"]["samples"] == samples


def test_all_unprobed_runs_are_the_default(study: Study, runs: Runs):
    noisy, without_twin, twin = (study.runs.find_one({"_id": study.run(**kind)}) for kind in (
        {"noise__point": 9}, {"seed": 8}, {"noise__kind": "none"},
    ))  # fmt: skip
    for document in (noisy, without_twin, twin):
        assert document is not None
        runs.insert_one({**document, "binarization": None})
    assert unprobed_runs(runs) == sorted([study.run(noise__point=9), study.run(seed=8)])
    runs.update_many({}, {"$set": {"binarization": {}}})
    with pytest.raises(UserError, match="have been probed, or there are none; give run ids"):
        unprobed_runs(runs)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((99, "--networks", "."), "collection kept has no run 99"),
        ((1,), "the folder of networks is not given; use --networks DIR or set WALKING_NOISE_NETWORKS"),
    ],
)
def test_an_error_is_one_line(
    study: Study, configured: None, arguments: tuple[object, ...], line: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["binarize", study.runs.name, *map(str, arguments)]) == 1
    assert capsys.readouterr() == ("", f"walking-noise: {line}\n")


@pytest.mark.parametrize("name", ["", "$kept"])
def test_invalid_collection_names(configured: None, name: str, capsys: pytest.CaptureFixture[str]):
    assert main(["binarize", name, "1", "--networks", "."]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    (line,) = output.err.splitlines()
    assert line.startswith(f"walking-noise: {name!r} cannot be the name of a collection: ")


@pytest.mark.parametrize("run", ["0", "one", str(2**31)])
def test_invalid_run_ids(run: str, capsys: pytest.CaptureFixture[str]):
    assert main(["binarize", "kept", run]) == 2
    assert "Invalid value for 'ID': Input should be " in capsys.readouterr().err


def test_runs_that_cannot_be_probed_are_rejected(study: Study):
    def fault(run: int) -> str:
        with pytest.raises(UserError) as raised:
            kept_run(study.runs, run, study.networks)
        assert "\n" not in str(raised.value)
        return str(raised.value)

    without_network, twin, without_twin = study.run(noise__point=3), study.run(noise__kind="none"), study.run(seed=8)
    assert (
        fault(without_network)
        == f"run {without_network} kept no network; add it again with training.keep_network: true"
    )
    assert fault(twin).startswith(f"run {twin} has no noise; ")
    assert fault(without_twin).startswith(
        f"run {without_twin}: the network of the same run without noise is not in {study.networks}; "
    )
    for setting in ("noise.kind: none", "model.batch_norm: true", "training.keep_network: true", "seed: 8"):
        assert setting in fault(without_twin)


def test_a_run_that_is_not_completed_is_rejected(study: Study):
    study.runs.insert_one({"_id": 70, "status": "RUNNING"})
    with pytest.raises(UserError, match=r"^run 70 is RUNNING; only a completed run has a trained network$"):
        kept_run(study.runs, 70, study.networks)
    study.runs.delete_one({"_id": 70})


@pytest.mark.parametrize("content", [None, b"", b"no network" * 99])
def test_a_missing_or_damaged_network_is_reported(study: Study, content: bytes | None, tmp_path: Path):
    shutil.copytree(study.networks, tmp_path / "networks")
    document = study.runs.find_one({"_id": study.noisy})
    assert document is not None
    file = tmp_path / "networks" / document["result"]["network"]
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    with pytest.raises(UserError, match=f"^run {study.noisy}: its network cannot be read: {file}: "):
        kept_run(study.runs, study.noisy, tmp_path / "networks")


def test_a_damaged_twin_is_reported(study: Study, tmp_path: Path):
    folder = shutil.copytree(study.networks, tmp_path / "networks")
    twin = study.runs.find_one({"_id": study.run(noise__kind="none")})
    assert twin is not None
    file = folder / twin["result"]["network"]
    file.write_bytes(b"cut short")
    with pytest.raises(UserError) as raised:
        kept_run(study.runs, study.noisy, folder)
    why = f"the network of the same run without noise cannot be read: {file}: the file is damaged"
    assert str(raised.value) == f"run {study.noisy}: {why}; reset the run that wrote it"


def test_findings_of_a_run_that_was_reset_are_not_stored(study: Study, runs: Runs):
    kept = kept_run(study.runs, study.noisy, study.networks)
    runs.insert_one({"_id": kept.id, "status": "PENDING"})
    with pytest.raises(UserError, match="reset or deleted while it was probed"):
        store(runs, kept, {"samples": 1})
    assert runs.find_one() == {"_id": kept.id, "status": "PENDING"}


def test_seml_get_results_omits_the_findings_and_reset_removes_them(study: Study, shell: Shell):
    run = study.run(noise__point=9)
    study.runs.update_one({"_id": run}, {"$set": {"binarization": {"samples": 50}}})
    script = "import seml, sys; print(sorted(seml.get_results(sys.argv[1], to_data_frame=False)[0]))"
    assert "binarization" not in shell.run("python", "-c", script, study.runs.name)
    shell.run("seml", study.runs.name, "reset", "-y", "-id", str(run))
    document = study.runs.find_one({"_id": run})
    assert document is not None
    assert "binarization" not in document


def test_a_run_by_hand_keeps_its_network(shell: Shell, tmp_path: Path):
    train = str(ROOT / "experiments" / "train.py")
    command = ("python", train, "with", "training.keep_network=True", "training.epochs=1")
    rejected = shell.capture(*command)
    assert (rejected.returncode, rejected.stdout) == (1, "")
    assert rejected.stderr.splitlines()[-1].startswith("the run failed: training.keep_network: no folder for networks")
    finished = shell.capture(*command, WALKING_NOISE_NETWORKS=str(tmp_path / "networks"))
    assert (tmp_path / "networks" / json.loads(finished.stdout)["network"]).is_file()

"""Workers started by SEML: packs, failures, concurrent workers, signals."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from pymongo import MongoClient

from experiments.database.connection import Document, Runs
from experiments.database.embedded_server import DATABASE
from experiments.database.run_collections import ATTEMPTS
from experiments.database.source_files import commit_of
from experiments.terminal.text_table import runs_in_words
from experiments.worker.assignment import Assignment
from experiments.worker.companion_runs import Candidate
from experiments.worker.delivery import delivery
from experiments.worker.leases import Leases
from experiments.worker.records.run_document import end_fields
from experiments.worker.supervisor import Stop
from experiments.worker.worker import Worker, work
from experiments.worker.worker_options import WorkerOptions
from tests.experiments.shell import ROOT, Shell, choice, on_cores, write_grid
from tests.experiments.worker.disturbed import HELD_EPOCHS, assigned, complete, until
from tests.experiments.worker.disturbed import worker as disturbed_worker
from walking_noise import CheckpointStore, Failure, Result

LONG = 5000
"""Epochs of a training that does not end before its test disturbs it."""
PENDING_TOO = ("-fd", '{"status": "PENDING"}')


@dataclass
class Study:
    """A collection of runs, with helpers to inspect it."""

    shell: Shell
    runs: Runs
    folder: Path

    def seml(self, *arguments: str, cores: int = 1, executed: bool = False, **environment: str) -> str:
        return self.shell.run("seml", self.runs.name, *arguments, cores=cores, executed=executed, **environment)

    def statuses(self) -> Counter[str]:
        return Counter(document["status"] for document in self.runs.find({}, {"status": 1}))

    def document(self, run: int) -> Document:
        document = self.runs.find_one({"_id": run})
        assert document is not None
        return document

    def log(self, run: int) -> str:
        return Path(self.document(run)["seml"]["output_file"]).read_text()


@pytest.fixture(scope="module")
def ran(shell: Shell, client: MongoClient[Document], tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A small grid, from ``seml add`` to its end.

    Runs 1 to 6 fit into one pack. Run 2 got an invalid setting after it was added. Run 7 needs a data set that is
    missing, and run 8 a folder for its network.
    """
    folder = tmp_path_factory.mktemp("study")
    study = Study(shell, client[DATABASE]["study"], folder)
    grid = write_grid(
        folder,
        fixed={"seed": 3},
        trained={"fixed": {"evaluation.curve": True}, "grid": {"noise.std": choice(0.3, 0.6, 5.0)}},
        inference_only={"fixed": {"noise.in_training": False}, "grid": {"noise.std": choice(0.0, 0.6, 5.0)}},
        without_data={"fixed": {"data.name": "cifar10"}},
        without_folder={"fixed": {"training.keep_network": True}},
    )
    study.seml("add", str(grid), SOME_SECRET="hunter2")
    damaged = study.runs.find_one_and_update({"config.noise.std": 0.6}, {"$set": {"config.noise.std": -1.0}})
    assert damaged is not None
    study.seml("start", "--local", cores=2, executed=True)
    return study


def damaged(study: Study) -> Document:
    (document,) = study.runs.find({"config.noise.std": {"$in": [-1.0, 0.61]}})
    return document


def without_data(study: Study) -> Document:
    (document,) = study.runs.find({"config.data.name": "cifar10"})
    return document


def test_valid_runs_are_completed_together(ran: Study):
    assert ran.statuses() == {"COMPLETED": 5, "FAILED": 3}
    completed = list(ran.runs.find({"status": "COMPLETED"}))
    assert len({document["claim"]["token"] for document in completed}) == 1
    assert all(0 <= document["result"]["accuracy"] <= 1 for document in completed)
    assert all(document["execution"] == {"cluster": "local"} for document in completed)
    by_config = {(d["config"]["noise"]["in_training"], d["config"]["noise"]["std"]): d["result"] for d in completed}
    noise_free, inference_only = by_config[False, 0.0], by_config[False, 5.0]
    assert noise_free["training_loss"] == inference_only["training_loss"] != by_config[True, 5.0]["training_loss"]
    assert noise_free["accuracy"] > inference_only["accuracy"]
    assert len(by_config[True, 5.0]["validation_curve"]) == 1


def test_results_contain_the_commit_recorded_by_seml(ran: Study):
    for document in ran.runs.find({"status": "COMPLETED"}):
        assert document["result"]["provenance"]["commit"] == commit_of(document)
        assert document["result"]["provenance"]["commit"].rstrip("+") == document["git"]["commit"]


def test_documents_have_sacreds_layout(ran: Study):
    sacreds = {"experiment", "format", "command", "host", "start_time", "config", "meta", "status", "resources"}
    sacreds |= {"artifacts", "captured_out", "info", "heartbeat"}
    for document in ran.runs.find():
        assert sacreds <= document.keys()
        assert document["experiment"]["mainfile"] == "experiments/train.py"
        assert document["host"]["hostname"]
        assert "hunter2" not in str({name: value for name, value in document.items() if name != "seml"})


def test_curves_are_not_written_to_sacreds_metrics_collection(ran: Study):
    assert "metrics" not in ran.runs.database.list_collection_names()


def test_only_the_run_with_invalid_settings_fails(ran: Study):
    allowed = "a finite number >= 0, or a list of them, one for each noise point"
    assert damaged(ran)["fail_trace"] == [f"noise.std: -1.0 is refused; allowed: {allowed}\n"]
    assert "noise.std: -1.0 is refused" in ran.log(damaged(ran)["_id"])


def test_only_the_run_without_data_fails(ran: Study):
    (line,) = without_data(ran)["fail_trace"]
    assert "cifar10" in line
    assert "walking-noise data get cifar10" in line


def test_only_the_run_without_a_folder_for_its_network_fails(ran: Study):
    run = ran.runs.find_one({"config.training.keep_network": True})
    assert run is not None
    (line,) = run["fail_trace"]
    assert line.startswith("training.keep_network: no folder for networks is set")


def test_each_run_has_its_own_log(ran: Study):
    files = {document["seml"]["output_file"] for document in ran.runs.find()}
    assert len(files) == 8
    for document in ran.runs.find({"status": "COMPLETED"}):
        log = ran.log(document["_id"])
        assert f"trained: accuracy {document['result']['accuracy']:.4f}" in log
        assert len(log.splitlines()) < 20


def test_seml_shows_the_runs(ran: Study):
    assert re.search(r"COMPLETED\s+5", ran.seml("status"))
    assert "study" in ran.shell.run("seml", "list")
    failures = " ".join(ran.seml("print-fail-trace").split())
    assert "noise.std: -1.0 is refused" in failures
    assert "walking-noise data get" in failures
    completed = ran.runs.find_one({"status": "COMPLETED"})
    assert completed is not None
    assert "accuracy" in ran.seml("print-output", "-id", str(completed["_id"]))


def test_seml_gets_the_results(ran: Study):
    script = """
import json, seml
results = seml.get_results("study", to_data_frame=True, progress=False)
print(json.dumps(sorted(results["result.accuracy"].tolist())))
"""
    printed = ran.shell.run("python", "-c", script).splitlines()[-1]
    completed = [document["result"]["accuracy"] for document in ran.runs.find({"status": "COMPLETED"})]
    assert json.loads(printed) == sorted(completed)


def test_seml_stores_the_source_of_every_module(ran: Study):
    stored = {name for name, _ in damaged(ran)["seml"]["source_files"]}
    assert {str(path.relative_to(ROOT)) for path in (ROOT / "walking_noise").rglob("*.py")} <= stored
    assert {"experiments/train.py", "experiments/worker/worker.py", "experiments/__init__.py"} <= stored
    assert all(identity is not None for _, identity in damaged(ran)["seml"]["source_files"])


def test_a_failed_run_can_be_reset_and_run_again(ran: Study):
    run = damaged(ran)["_id"]
    others = list(ran.runs.find({"_id": {"$ne": run}}))
    ran.seml("reset", "-id", str(run))
    assert ran.document(run)["status"] == "STAGED"
    assert ran.document(run).keys().isdisjoint({"claim", "fail_trace", "host", "result"})
    ran.runs.update_one({"_id": run}, {"$set": {"config.noise.std": 0.61}})
    complete(ran.shell, ran.runs, ran.folder, run)
    assert ran.document(run)["status"] == "COMPLETED"
    assert list(ran.runs.find({"_id": {"$ne": run}})) == others


def test_deleting_a_run_keeps_the_sources_of_other_runs(ran: Study):
    run = damaged(ran)["_id"]
    ran.seml("delete", "-id", str(run), "-y")
    files = {identity for _, identity in without_data(ran)["seml"]["source_files"]}
    assert ran.runs.database["fs.files"].count_documents({"_id": {"$in": list(files)}}) == len(files)


@pytest.fixture
def study(shell: Shell, runs: Runs, tmp_path: Path) -> Study:
    return Study(shell, runs, tmp_path)


Fill = Callable[[Sequence[Document]], None]


def alike(number: int, epochs: int) -> list[Document]:
    return [{"seed": seed, "training.epochs": epochs} for seed in range(number)]


@pytest.mark.slow
def test_concurrent_workers_do_each_run_once(study: Study, pending_runs: Fill):
    pending_runs(alike(6, epochs=1))
    launch = ("seml", study.runs.name, "launch-worker", *PENDING_TOO)
    workers = [study.shell.start(*launch, WALKING_NOISE_PACK_SIZE="3") for _ in range(2)]
    for worker in workers:
        output, _ = worker.communicate(timeout=300)
        assert worker.returncode == 0, output
    assert study.statuses() == {"COMPLETED": 6}
    packs = Counter(document["claim"]["leader"] for document in study.runs.find())
    for leader, size in packs.items():
        assert f"{size} of {runs_in_words(size)} finished" in study.log(leader)
    assert max(packs.values()) == 3


@contextlib.contextmanager
def training(study: Study, *command: str) -> Iterator[subprocess.Popen[str]]:
    """A worker during its training; all its processes are killed at the end."""
    worker = study.shell.start(*command)
    try:
        until(lambda: study.runs.count_documents({"start_time": {"$exists": True}}), worker)
        yield worker
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        worker.communicate()


def semls_command(study: Study) -> tuple[str, ...]:
    """The command that SEML starts for run 1."""
    return ("python", str(ROOT / "experiments" / "train.py"), *assigned(study.runs))


def test_a_worker_releases_its_runs_when_its_terminal_is_closed(study: Study, pending_runs: Fill):
    pending_runs(alike(3, epochs=LONG))
    with training(study, *semls_command(study)) as worker:
        os.killpg(worker.pid, signal.SIGHUP)
        output, _ = worker.communicate(timeout=200)
    assert worker.returncode == 129, output
    assert study.statuses() == {"PENDING": 3}


def test_a_worker_under_nohup_continues_when_its_terminal_is_closed(study: Study, pending_runs: Fill):
    pending_runs(alike(1, epochs=HELD_EPOCHS + 1))
    with disturbed_worker(study.shell, study.runs, "nohup") as one:
        one.until(lambda: study.runs.count_documents({"start_time": {"$exists": True}}))
        os.killpg(one.process.pid, signal.SIGHUP)
        one.go_on()
        one.end()
    assert study.statuses() == {"COMPLETED": 1}


def test_after_sigterm_the_runs_are_released_and_not_changed(study: Study, pending_runs: Fill):
    pending_runs(alike(4, epochs=LONG))
    before = list(study.runs.find())
    with training(study, *semls_command(study)) as worker:
        assert study.statuses() == {"RUNNING": 4}
        worker.send_signal(signal.SIGTERM)
        worker.send_signal(signal.SIGTERM)
        output, _ = worker.communicate(timeout=200)
    assert worker.returncode == 143, output
    assert "SIGTERM: 4 unfinished runs are PENDING again" in output
    ignored = {"execution": None, "returned_by": None}
    assert [run | ignored for run in study.runs.find()] == [run | ignored for run in before]
    assert all(run["execution"] == {"cluster": "local"} for run in study.runs.find())


def test_after_ctrl_c_semls_local_worker_releases_its_runs(study: Study, pending_runs: Fill):
    pending_runs(alike(3, epochs=LONG))
    with training(study, "seml", study.runs.name, "launch-worker", *PENDING_TOO) as worker:
        os.killpg(worker.pid, signal.SIGINT)
        until(lambda: study.statuses() == {"PENDING": 3})
        assert worker.wait(timeout=200) == 1


def test_a_worker_releases_its_runs_when_its_supervisor_is_killed(study: Study, pending_runs: Fill):
    pending_runs(alike(3, epochs=LONG))
    with training(study, *semls_command(study)) as worker:
        worker.kill()
        until(lambda: study.statuses() == {"PENDING": 3})


def test_the_supervisor_recovers_the_runs_of_a_killed_worker(study: Study, pending_runs: Fill):
    pending_runs(alike(3, epochs=LONG))
    with training(study, *semls_command(study)) as worker:
        (child,) = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
        os.kill(int(child), signal.SIGKILL)
        output, _ = worker.communicate(timeout=200)
    assert worker.returncode == 137
    assert study.statuses() == {"PENDING": 3}
    assert "3 runs are PENDING again" in output


@pytest.fixture
def work_here(study: Study, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """A function that does in this process what a worker for run 1 does, and returns its exit code."""
    monkeypatch.setattr("experiments.worker.worker.connect", lambda: study.runs.database)
    return lambda: work(Assignment(study.runs.name, 1), Stop(), {}, {}, "main")


def test_with_an_invalid_worker_option_only_the_leader_fails(
    study: Study, pending_runs: Fill, work_here: Callable[[], int], monkeypatch: pytest.MonkeyPatch
):
    pending_runs(alike(2, epochs=1))
    semls_command(study)
    monkeypatch.setenv("WALKING_NOISE_PACK_SIZE", "many")
    assert work_here() == 3
    assert study.statuses() == {"FAILED": 1, "PENDING": 1}
    assert study.document(1)["fail_trace"] == [
        "WALKING_NOISE_PACK_SIZE: 'many' is refused; allowed: a whole number >= 1\n"
    ]


def test_in_a_collection_whose_name_is_reserved_the_leader_fails(
    study: Study, pending_runs: Fill, work_here: Callable[[], int]
):
    pending_runs(alike(1, epochs=1))
    semls_command(study)
    name = study.runs.name
    study.runs.rename(f"{name}.files")
    runs = study.runs.database[f"{name}.files"]
    assert work(Assignment(runs.name, 1), Stop(), {}, {}, "main") == 3
    run = runs.find_one({"_id": 1})
    assert run is not None
    assert run["fail_trace"][0].startswith(f"'{runs.name}' cannot be the name of a collection: ")


def test_a_worker_ends_when_all_its_runs_are_cancelled(
    study: Study, pending_runs: Fill, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    pending_runs(alike(3, epochs=2000))
    semls_command(study)
    leases, leader = Leases(study.runs, Assignment(study.runs.name, 1)), study.document(1)
    assert leases.acquire(leader, {"status": "PENDING"}, [2, 3]) == {1, 2, 3}
    chosen = [Candidate.from_document(document) for document in study.runs.find()]
    monkeypatch.setattr(delivery, "BEAT_SECONDS", 0.2)
    with on_cores(1):
        worker = Worker(leases, leader, chosen, WorkerOptions(), None, Stop())
        study.runs.update_many({}, {"$set": {"status": "INTERRUPTED"}})
        assert worker.run() == 0
    assert "nothing left to train: the worker no longer holds its 3 runs (cancelled" in caplog.text
    assert study.statuses() == {"INTERRUPTED": 3}


def test_a_stop_after_the_last_result_loses_no_result(
    study: Study, pending_runs: Fill, monkeypatch: pytest.MonkeyPatch, result: Result
):
    pending_runs(alike(2, epochs=1))
    semls_command(study)
    leases, leader, stop = Leases(study.runs, Assignment(study.runs.name, 1)), study.document(1), Stop()
    leases.acquire(leader, {"status": "PENDING"}, [2])
    chosen = [Candidate.from_document(document) for document in study.runs.find()]

    def train_then_stop(configs: Sequence[object], **options: object) -> Iterator[tuple[int, Result]]:
        yield 0, result
        yield 1, result
        stop.note(signal.SIGTERM)

    monkeypatch.setattr("experiments.worker.worker.train_each", train_then_stop)
    assert Worker(leases, leader, chosen, WorkerOptions(), None, stop).run() == 0
    assert study.statuses() == {"COMPLETED": 2}


@pytest.mark.parametrize("other", ["failed", "waiting"])
def test_checkpoints_are_kept_until_all_results_of_their_network_are_recorded(
    other: str, study: Study, pending_runs: Fill, monkeypatch: pytest.MonkeyPatch, result: Result, tmp_path: Path
):
    evaluated = {"noise.in_training": False}
    pending_runs([{"noise.std": 1.0, **evaluated}, {"noise.std": 2.0, **evaluated}])
    semls_command(study)
    leases, leader = Leases(study.runs, Assignment(study.runs.name, 1)), study.document(1)
    leases.acquire(leader, {"status": "PENDING"}, [2])
    chosen = [Candidate.from_document(document) for document in study.runs.find()]
    worker = Worker(leases, leader, chosen, WorkerOptions(), tmp_path, Stop())
    config = chosen[0].config
    assert config is not None
    checkpoint = CheckpointStore(tmp_path / "checkpoints").file(config)
    checkpoint.parent.mkdir()
    checkpoint.touch()
    monkeypatch.setattr(delivery, "FLUSH_RUNS", 1)
    monkeypatch.setattr(delivery, "FLUSH_SECONDS", 0.0)
    worker.delivery.finish(1, end_fields(result, None))
    worker.delivery.finish(2, end_fields(Failure("out of memory") if other == "failed" else result, None))
    worker.delivery.step()
    assert study.document(1)["status"] == "COMPLETED"
    assert checkpoint.exists()
    worker.delivery.step()
    assert checkpoint.exists() == (other == "failed")


def test_nothing_is_done_for_a_cancelled_leader(
    study: Study, pending_runs: Fill, work_here: Callable[[], int], caplog: pytest.LogCaptureFixture
):
    pending_runs(alike(1, epochs=1))
    semls_command(study)
    study.runs.update_many({}, {"$set": {"status": "INTERRUPTED"}})
    assert work_here() == 0
    assert caplog.messages == ["nothing to do: run 1 was cancelled or taken over"]
    assert study.statuses() == {"INTERRUPTED": 1}


def test_several_workers_on_one_device_are_refused(study: Study, pending_runs: Fill, work_here: Callable[[], int]):
    pending_runs(alike(2, epochs=1))
    study.runs.update_many({}, {"$set": {"slurm.0.array_id": 4711, "slurm.0.experiments_per_job": 2}})
    semls_command(study)
    assert work_here() == 3
    (line,) = study.document(1)["fail_trace"]
    assert line.startswith("slurm.experiments_per_job: above 1 is refused")
    assert study.statuses() == {"FAILED": 1, "PENDING": 1}


def test_after_a_gpu_failure_the_runs_are_released(
    study: Study, pending_runs: Fill, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    pending_runs(alike(2, epochs=1))
    semls_command(study)
    leases, leader = Leases(study.runs, Assignment(study.runs.name, 1)), study.document(1)
    leases.acquire(leader, {"status": "PENDING"}, [2])
    chosen = [Candidate.from_document(document) for document in study.runs.find()]

    def fail(*arguments: object, **options: object) -> object:
        raise torch.AcceleratorError("CUDA error: unspecified launch failure\nmore")

    monkeypatch.setattr("experiments.worker.worker.train_each", fail)
    assert Worker(leases, leader, chosen, WorkerOptions(), None, Stop()).run() == os.EX_UNAVAILABLE
    assert study.statuses() == {"PENDING": 2}
    attempts = list(study.runs.database[ATTEMPTS].find({"collection": study.runs.name}))
    assert {attempt["reason"] for attempt in attempts} == {"the GPU failed: CUDA error: unspecified launch failure"}
    assert "the GPU failed: CUDA error: unspecified launch failure: 2 unfinished runs are PENDING again" in caplog.text

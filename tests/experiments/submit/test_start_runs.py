"""Runs are started in arrays that Slurm accepts; none is lost between STAGED and PENDING."""

from __future__ import annotations

import copy
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from experiments import slurm
from experiments.cli.app import main
from experiments.database.connection import Document, Runs
from experiments.submit import array_submission
from experiments.submit.array_submission import submit
from experiments.submit.startable_runs import Startable
from experiments.submit.task_arrays import TaskArray
from experiments.worker.records.study_record import limit_pack
from tests.experiments.fake_slurm import FakeSlurm
from tests.experiments.shell import ROOT, Shell, choice, write_grid
from tests.experiments.worker.claiming import statuses
from tests.experiments.worker.past import attempt, fail, worker
from walking_noise import RunConfig

Fill = Callable[..., None]
CLUSTER = "attic"


@pytest.fixture
def fake(tmp_path: Path, configured: None, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """A Slurm that accepts arrays of up to three tasks."""
    fake = FakeSlurm(tmp_path / "slurm", size=3)
    monkeypatch.setenv("PATH", str(fake.folder), prepend=":")
    return fake


@pytest.fixture
def fill(runs: Runs, staged: Document, tmp_path: Path) -> Fill:
    """Add runs to the collection: their number by batch, and their differences from a run that SEML added."""

    def add(batches: Mapping[int, int], **changes: Any) -> None:
        for batch, number in batches.items():
            for _ in range(number):
                document = copy.deepcopy(staged) | {"_id": runs.count_documents({}) + 1, "batch_id": batch} | changes
                document["seml"]["output_dir"] = str(tmp_path / "logs")
                document["seml"]["env"]["PATH"] = os.environ["PATH"]
                runs.insert_one(document)

    return add


def started(array: int, **more: Any) -> Document:
    """The fields of a run that `seml start` has started."""
    options = {"gres": "gpu:1", "job-name": "j", "output": "o", "array": "0-1", "comment": "c"}
    start = {"array_id": array, "num_tasks": 2, "output_files_template": "o", "reschedule_file": "r"}
    return {
        "status": "PENDING",
        "slurm": [{"experiments_per_job": 1, "sbatch_options": options, **start}],
        "execution": {"cluster": CLUSTER},
        **more,
    }


def active(*arrays: int) -> Callable[[], slurm.ActiveTasks]:
    return lambda: slurm.ActiveTasks(frozenset((array, 0) for array in arrays))


def arrays(runs: Runs) -> dict[int, int | None]:
    return {run["_id"]: run["slurm"][0].get("array_id") for run in runs.find().sort("_id", 1)}


def test_staged_runs_by_batch(runs: Runs, fill: Fill):
    fill({3: 2, 1: 3}, status="STAGED")
    fill({1: 1}, **started(8))
    startable = Startable(runs, {})
    assert [run["_id"] for run in startable.staged()] == [3, 4, 5, 1, 2]
    assert [run["_id"] for run in startable.staged(4)] == [3, 4, 5, 1]
    assert [run["_id"] for run in Startable(runs, {"batch_id": 3}).staged()] == [1, 2]
    assert [("slurm" in run, "env" in run.get("seml", {})) for run in startable.staged()] == [
        (True, True), (False, False), (False, False), (True, True), (False, False),
    ]  # fmt: skip


def test_runs_are_restaged_if_all_tasks_of_their_array_train_other_runs(runs: Runs, fill: Fill):
    """A task trains one pack; one that has none yet will lease these runs."""
    fill({1: 2}, **started(11))
    leased: Document = {}
    for task in (0, 1):
        execution = {"cluster": CLUSTER, "array_id": 11, "task_id": task}
        leased = {"token": f"t{task}", "execution": execution}
        fill({1: 1}, **started(11, status="RUNNING", execution=execution, claim=leased))
    two_tasks = slurm.ActiveTasks(frozenset([(11, 0), (11, 1)]))
    startable = Startable(runs, {})
    runs.update_one(
        {"_id": 4}, {"$unset": {"claim": ""}}
    )  # SEML has set it to RUNNING for task 1, which has not leased
    assert startable.restage_from_slurm(CLUSTER, lambda: two_tasks) == 0
    runs.update_one({"_id": 4}, {"$set": {"claim": leased}})
    queued = slurm.ActiveTasks(two_tasks.tasks | {(11, 2)})
    assert startable.restage_from_slurm(CLUSTER, lambda: queued) == 0
    assert startable.restage_from_slurm(CLUSTER, lambda: two_tasks) == 2
    assert statuses(runs) == {1: "STAGED", 2: "STAGED", 3: "RUNNING", 4: "RUNNING"}


def test_a_task_for_each_lease(runs: Runs, fill: Fill, fake: FakeSlurm, capfd: pytest.CaptureFixture[str]):
    """Seven networks in packs of three; the runs of SEML's array are PENDING, whether or not it has a task for each."""
    fake.configure(20)
    fill({1: 9}, status="STAGED", slurm=[{"sbatch_options": {}, "max_simultaneous_jobs": 2}, {"sbatch_options": {}}])
    for number in range(7):
        runs.update_one({"_id": number + 1}, {"$set": {"config.seed": number}})
    runs.update_many({}, {"$set": {"seml.env.WALKING_NOISE_PACK_SIZE": "3"}})
    assert main(["start", runs.name]) == 0
    assert "started 9 runs: 3 tasks, one for each lease of a worker" in capfd.readouterr().out
    assert set(statuses(runs).values()) == {"PENDING"}
    assert fake.arrays == ["0-2%2", "0-2"]
    for run in runs.find():
        first, second = run["slurm"]
        assert (first["array_id"], first["num_tasks"], first["sbatch_options"]["array"]) == (10, 3, "0-2%2")
        assert (second["array_id"], second["num_tasks"], second["sbatch_options"]["array"]) == (11, 3, "0-2")
    assert all("all_exp_ids=(1 2 3 4 5 6 7 8 9)" in script for script in fake.scripts.values())


def test_runs_that_are_no_longer_staged_are_not_submitted(runs: Runs, fill: Fill, fake: FakeSlurm):
    fill({1: 3}, status="STAGED")
    runs.update_one({"_id": 2}, {"$set": {"status": "RUNNING"}})
    assert submit(runs, TaskArray([1, 2, 3], 3)) == 2
    assert submit(runs, TaskArray([1, 2, 3], 3)) == 0
    assert statuses(runs) == {1: "PENDING", 2: "RUNNING", 3: "PENDING"}
    assert fake.arrays == ["0-1"]


def test_packs_that_ran_out_of_memory_are_planned_smaller(runs: Runs, fill: Fill, fake: FakeSlurm):
    fake.configure(20)
    fill({1: 6}, status="STAGED")
    for number in range(6):
        runs.update_one({"_id": number + 1}, {"$set": {"config.seed": number}})
    config = RunConfig.from_document(runs.find_one({"_id": 1})["config"])  # type: ignore[index]
    limit_pack(runs.database, runs.name, config.pack_key, "H200", 2)
    assert main(["start", runs.name]) == 0
    assert fake.arrays == ["0-2"]


def test_a_submission_has_a_time_limit(
    runs: Runs, fill: Fill, fake: FakeSlurm, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(array_submission, "SUBMISSION_SECONDS", 0.5)
    fill({1: 2}, status="STAGED")
    fake.slow_down("sbatch")
    assert main(["start", runs.name]) == 1
    assert "an array was not submitted and recorded within 0.5 seconds" in capfd.readouterr().err
    assert set(statuses(runs).values()) == {"STAGED"}
    fake.slow_down()
    assert main(["start", runs.name]) == 0
    assert set(statuses(runs).values()) == {"PENDING"}


def test_options_of_workers_are_checked_before_the_start(runs: Runs, fill: Fill, capfd: pytest.CaptureFixture[str]):
    fill({1: 1}, status="STAGED")
    assert main(["start", runs.name, "--local", "--worker-env", "{'WALKING_NOISE_PACK_SIZE': 'many'}"]) == 1
    assert "WALKING_NOISE_PACK_SIZE" in capfd.readouterr().err
    assert statuses(runs) == {1: "STAGED"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, "n07"), ({"exclude": "n[1-3]"}, "n[1-3],n07"), ({"x": "n9"}, "n9,n07"), ({"exclude": "./nodes"}, "./nodes")],
)
def test_bad_nodes_are_excluded_until_they_are_forgotten(
    options: Document,
    expected: str,
    runs: Runs,
    fill: Fill,
    fake: FakeSlurm,
    found_by_commands: None,
    capfd: pytest.CaptureFixture[str],
):
    fill({1: 2}, status="STAGED", slurm=[{"sbatch_options": options}])
    for number in range(24):
        one = worker(runs, host="n07" if number < 8 else "n01")
        if number < 8:
            attempt(runs, 1, one, "GIVEN_BACK", "the GPU failed: CUDA error: unknown error")
    assert main(["start", runs.name, "-n", "1"]) == 0
    assert f"#SBATCH --exclude={expected}\n" in fake.scripts[10]
    assert "excluded: node n07: 8 of 8 workers failed" in capfd.readouterr().err
    assert main(["failures", runs.name, "--forget"]) == 0
    assert main(["start", runs.name]) == 0
    assert "n07" not in fake.scripts[11]
    for run in runs.find():
        assert {name: run["slurm"][0]["sbatch_options"].get(name) for name in options} == options
        assert run["slurm"][0]["sbatch_options"]["array"] == "0-0"


def test_a_study_that_its_first_failures_stopped_is_not_started(
    runs: Runs, fill: Fill, fake: FakeSlurm, capfd: pytest.CaptureFixture[str]
):
    fill({1: 9}, status="STAGED")
    fail(runs, range(1, 9), worker(runs))
    for where in ([], ["--local"]):
        assert main(["start", runs.name, *where]) == 1
        assert capfd.readouterr().err.startswith(f"walking-noise: nothing is started: {runs.name} is stopped: no run")
    assert fake.scripts == {}


def test_runs_without_a_task_are_restaged(runs: Runs, fill: Fill):
    fill({1: 2}, **started(11))
    fill({1: 2}, **started(12))
    fill({1: 1}, **started(11, status="KILLED", fail_trace=["not begun"]))
    assert Startable(runs, {}).restage_from_slurm(CLUSTER, active(12)) == 3
    assert statuses(runs) == {1: "STAGED", 2: "STAGED", 3: "PENDING", 4: "PENDING", 5: "STAGED"}
    restaged = runs.find_one({"_id": 5})
    assert restaged is not None
    assert restaged["slurm"] == [{"experiments_per_job": 1, "sbatch_options": {"gres": "gpu:1"}}]
    assert not {"execution", "fail_trace"} & set(restaged)


@pytest.mark.parametrize(
    "changes",
    [
        {"claim": {"token": "x"}},
        {"status": "RUNNING"},
        {"status": "INTERRUPTED"},
        {"execution": {"cluster": "another"}},
        {"status": "KILLED", "execution": {"cluster": CLUSTER, "array_id": 11, "task_id": 0}},
    ],
)
def test_runs_that_may_have_an_owner_are_not_restaged(changes: Document, runs: Runs, fill: Fill):
    fill({1: 1}, **started(11, **changes))
    assert Startable(runs, {}).restage_from_slurm(CLUSTER, active()) == 0
    assert runs.count_documents({"status": "STAGED"}) == 0


def test_runs_with_an_active_array_are_not_restaged(runs: Runs, fill: Fill):
    (one,), (other,) = started(11)["slurm"], started(12)["slurm"]
    fill({1: 1}, **started(11) | {"slurm": [one, other]})
    startable = Startable(runs, {})
    assert startable.restage_from_slurm(CLUSTER, active(12)) == 0
    assert startable.restage_from_slurm(CLUSTER, active()) == 1


def test_no_run_is_restaged_if_slurm_does_not_answer(runs: Runs, fill: Fill):
    assert Startable(runs, {}).restage_from_slurm(CLUSTER, lambda: None) == 0
    fill({1: 1}, **started(11))
    assert Startable(runs, {}).restage_from_slurm(CLUSTER, lambda: None) is None
    assert statuses(runs) == {1: "PENDING"}


def test_an_array_submitted_during_the_query_is_not_restaged(runs: Runs, fill: Fill):
    fill({1: 2}, **started(11))

    def submit_another_array() -> slurm.ActiveTasks:
        runs.update_one({"_id": 2}, {"$set": {"slurm.0.array_id": 13}})
        return slurm.ActiveTasks(frozenset())

    assert Startable(runs, {}).restage_from_slurm(CLUSTER, submit_another_array) == 1
    assert statuses(runs) == {1: "STAGED", 2: "PENDING"}


def test_more_runs_than_an_array_may_have(
    runs: Runs, fill: Fill, fake: FakeSlurm, capfd: pytest.CaptureFixture[str], tmp_path: Path
):
    fill({1: 4, 2: 1}, status="STAGED", slurm=[{"sbatch_options": {}, "max_simultaneous_jobs": 2}])
    assert main(["start", runs.name]) == 0
    output = capfd.readouterr().out
    assert re.findall(r"(\d of 5) runs started", output) == ["3 of 5", "4 of 5", "5 of 5"]
    assert set(statuses(runs).values()) == {"PENDING"}
    assert arrays(runs) == {1: 10, 2: 10, 3: 10, 4: 11, 5: 12}
    assert fake.arrays == ["0-0%2"] * 3
    assert main(["start", runs.name]) == 1
    assert capfd.readouterr().err == f"walking-noise: no run to start in {runs.name}: 5 PENDING\n"
    fake.lose(10)
    assert main(["start", runs.name]) == 0
    assert "3 runs had no task left and will be started again" in capfd.readouterr().out
    assert arrays(runs) == {1: 13, 2: 13, 3: 13, 4: 11, 5: 12}


def test_runs_whose_array_slurm_rejects_stay_staged(
    runs: Runs, fill: Fill, fake: FakeSlurm, capfd: pytest.CaptureFixture[str]
):
    fill({1: 4, 2: 2}, status="STAGED")
    assert main(["start", runs.name, "-n", "4"]) == 0
    fake.reject("sbatch: error: QOSMaxSubmitJobPerUserLimit\n")
    capfd.readouterr()
    assert main(["start", runs.name]) == 1
    output = capfd.readouterr()
    assert "QOSMaxSubmitJobPerUserLimit" in output.out + output.err
    assert output.err.endswith("0 of 2 runs started, the others are still STAGED; run this command again to continue\n")
    assert [status for _, status in sorted(statuses(runs).items())] == ["PENDING"] * 4 + ["STAGED"] * 2
    fake.accept()
    assert main(["start", runs.name, "-id", "6"]) == 0
    assert [status for _, status in sorted(statuses(runs).items())] == ["PENDING"] * 4 + ["STAGED", "PENDING"]
    assert main(["start", runs.name, "-b", "2", "-fd", "{'config.noise.std': 0.5}"]) == 0
    assert set(statuses(runs).values()) == {"PENDING"}


@pytest.mark.parametrize(
    ("changes", "arguments", "reason"),
    [
        ({"slurm": [{"experiments_per_job": 2}]}, [], "experiments_per_job is above 1 in 1 run of NAME"),
        ({"status": "FAILED"}, [], "no run to start in NAME: 1 FAILED; reset runs with `seml NAME reset -s FAILED`"),
        ({}, ["-b", "7"], "no run in NAME matches; add runs with `walking-noise add NAME FILE`"),
        ({}, ["-fd", "{'status': 'FAILED'}"], "--filter-dict: the key 'status' is not allowed"),
    ],
)
def test_the_reason_why_nothing_starts_is_reported(
    changes: Document,
    arguments: list[str],
    reason: str,
    runs: Runs,
    fill: Fill,
    fake: FakeSlurm,
    capfd: pytest.CaptureFixture[str],
):
    fill({1: 1}, **{"status": "STAGED", **changes})
    before = list(runs.find())
    for where in ([], ["--local"]):
        assert main(["start", runs.name, *arguments, *where]) == 1
        output = capfd.readouterr().err
        assert output.startswith(f"walking-noise: {reason.replace('NAME', runs.name)}")
        assert len(output.splitlines()) == 1
    assert list(runs.find()) == before
    assert fake.scripts == {}


def test_a_slurm_that_does_not_answer(runs: Runs, fill: Fill, fake: FakeSlurm, capfd: pytest.CaptureFixture[str]):
    fill({1: 1}, **started(11))
    fill({1: 1}, status="STAGED")
    fake.configure(3, private="jobs")
    assert main(["start", runs.name]) == 0
    assert (
        "Slurm does not list all jobs: PENDING and KILLED runs are not checked and keep their status"
        in capfd.readouterr().err
    )
    assert arrays(runs) == {1: 11, 2: 10}
    fake.go_down()
    assert main(["start", runs.name]) == 1
    message = f"Slurm does not answer; use `walking-noise start {runs.name} --local` to train on this machine"
    assert capfd.readouterr().err == f"walking-noise: {message}\n"
    assert arrays(runs) == {1: 11, 2: 10}


def test_a_missing_collection(fake: FakeSlurm, capfd: pytest.CaptureFixture[str]):
    assert main(["start", "nowhere"]) == 1
    assert "there is no collection 'nowhere'" in capfd.readouterr().err


@pytest.mark.slow
def test_the_job_script(shell: Shell, fake: FakeSlurm, tmp_path: Path):
    """The expected file is the script that Slurm receives, with the paths of this machine replaced."""
    options = {"partition": ["gpu", "mixed"], "gres": "gpu:1", "time": "0-02:00", "mem": "8G"}
    grid = write_grid(tmp_path, seml={"reschedule_timeout": 120}, grid={"noise.std": choice(0.5, 1.0)})
    slurm_section = {"slurm": [{"max_simultaneous_jobs": 20, "sbatch_options": options}]}
    grid.write_text(yaml.safe_dump(yaml.safe_load(grid.read_text()) | slurm_section))
    shell = shell.having({"PATH": os.environ["PATH"], "MY_TOKEN": "hidden"})
    shell.run("walking-noise", "add", "scripted", str(grid))
    shell.run("walking-noise", "start", "scripted")
    (script,) = fake.scripts.values()
    for path, name in ((tmp_path, "FOLDER"), (ROOT, "CHECKOUT")):
        script = script.replace(str(path), name)
    assert script == (Path(__file__).parent / "sbatch.txt").read_text()
    environment = fake.environment(10)
    assert environment["BASH_ENV"] == str(ROOT / "experiments" / "worker" / "job_shell_setup.sh")
    assert environment["PATH"].startswith(f"{Path(sys.executable).parent}:")
    assert "MY_TOKEN" not in environment


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_start_loses_no_run(
    signum: signal.Signals, runs: Runs, fill: Fill, fake: FakeSlurm, shell: Shell, tmp_path: Path
):
    fill({1: 2, 2: 2}, status="STAGED")
    assert main(["start", runs.name, "-b", "1"]) == 0
    fake.block(on=True)
    with shell.start("walking-noise", "start", runs.name, PATH=os.environ["PATH"]) as process:
        while len(fake.scripts) < 2:
            assert process.poll() is None
            time.sleep(0.05)
        os.killpg(process.pid, signum)
        fake.block(on=False)
    assert process.returncode == (130 if signum == signal.SIGINT else -signum)
    assert statuses(runs) == {1: "PENDING", 2: "PENDING", 3: "STAGED", 4: "STAGED"}
    assert main(["start", runs.name]) == 0
    assert arrays(runs) == {1: 10, 2: 10, 3: 12, 4: 12}


@pytest.mark.slow
def test_on_this_machine(runs: Runs, fill: Fill, fake: FakeSlurm, shell: Shell):
    """Runs that remain from an interrupted `seml start --local` and from an array that has ended are started again."""
    fill({1: 1}, status="PENDING", execution={"cluster": "local"})
    fill({1: 1}, **started(11))
    runs.update_many({}, {"$set": {"config.training.epochs": 1}})
    output = shell.run("walking-noise", "start", runs.name, "--local", executed=True, PATH=os.environ["PATH"])
    assert output.count("1 run had no task left and will be started again") == 2
    assert set(statuses(runs).values()) == {"COMPLETED"}
    assert fake.scripts == {}

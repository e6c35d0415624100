"""Runs are started in arrays that Slurm takes; none is lost between STAGED and PENDING."""

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
from experiments.submit.startable_runs import Part, Startable
from tests.experiments.fake_slurm import FakeSlurm
from tests.experiments.shell import ROOT, Shell, choice, write_grid
from tests.experiments.worker.claiming import statuses

Fill = Callable[..., None]
CLUSTER = "attic"


@pytest.fixture
def fake(tmp_path: Path, configured: None, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """A Slurm that takes arrays of three tasks."""
    fake = FakeSlurm(tmp_path / "slurm", size=3)
    monkeypatch.setenv("PATH", str(fake.folder), prepend=":")
    return fake


@pytest.fixture
def fill(runs: Runs, staged: Document, tmp_path: Path) -> Fill:
    """Adds runs to the collection: how many by batch, and what differs from a run as SEML adds it."""

    def add(batches: Mapping[int, int], **changes: Any) -> None:
        for batch, number in batches.items():
            for _ in range(number):
                document = copy.deepcopy(staged) | {"_id": runs.count_documents({}) + 1, "batch_id": batch} | changes
                document["seml"]["output_dir"] = str(tmp_path / "logs")
                document["seml"]["env"]["PATH"] = os.environ["PATH"]
                runs.insert_one(document)

    return add


def started(array: int, **more: Any) -> Document:
    """What `seml start` leaves in a run."""
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


def test_batches_are_cut_into_parts_of_the_size_of_an_array(runs: Runs, fill: Fill):
    fill({1: 4, 3: 2}, status="STAGED")
    fill({1: 1}, **started(8))
    startable = Startable(runs, {})
    assert list(startable.parts(3)) == [Part(1, 3), Part(1, 1), Part(3, 2)]
    assert list(startable.parts(3, most=4)) == [Part(1, 3), Part(1, 1)]
    assert list(Startable(runs, {"batch_id": 3}).parts(1)) == [Part(3, 1)] * 2


def test_runs_without_a_task_are_taken_up(runs: Runs, fill: Fill):
    fill({1: 2}, **started(11))
    fill({1: 2}, **started(12))
    fill({1: 1}, **started(11, status="KILLED", fail_trace=["not begun"]))
    assert Startable(runs, {}).take_up_from_slurm(CLUSTER, active(12)) == 3
    assert statuses(runs) == {1: "STAGED", 2: "STAGED", 3: "PENDING", 4: "PENDING", 5: "STAGED"}
    taken_up = runs.find_one({"_id": 5})
    assert taken_up is not None
    assert taken_up["slurm"] == [{"experiments_per_job": 1, "sbatch_options": {"gres": "gpu:1"}}]
    assert not {"execution", "fail_trace"} & set(taken_up)


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
def test_runs_that_may_have_an_owner_are_not(changes: Document, runs: Runs, fill: Fill):
    fill({1: 1}, **started(11, **changes))
    assert Startable(runs, {}).take_up_from_slurm(CLUSTER, active()) == 0
    assert runs.count_documents({"status": "STAGED"}) == 0


def test_nor_those_that_one_of_several_arrays_may_claim(runs: Runs, fill: Fill):
    (one,), (other,) = started(11)["slurm"], started(12)["slurm"]
    fill({1: 1}, **started(11) | {"slurm": [one, other]})
    startable = Startable(runs, {})
    assert startable.take_up_from_slurm(CLUSTER, active(12)) == 0
    assert startable.take_up_from_slurm(CLUSTER, active()) == 1


def test_nor_any_if_slurm_does_not_say(runs: Runs, fill: Fill):
    assert Startable(runs, {}).take_up_from_slurm(CLUSTER, lambda: None) == 0
    fill({1: 1}, **started(11))
    assert Startable(runs, {}).take_up_from_slurm(CLUSTER, lambda: None) is None
    assert statuses(runs) == {1: "PENDING"}


def test_an_array_submitted_while_slurm_is_asked_is_left_alone(runs: Runs, fill: Fill):
    fill({1: 2}, **started(11))

    def submitted_meanwhile() -> slurm.ActiveTasks:
        runs.update_one({"_id": 2}, {"$set": {"slurm.0.array_id": 13}})
        return slurm.ActiveTasks(frozenset())

    assert Startable(runs, {}).take_up_from_slurm(CLUSTER, submitted_meanwhile) == 1
    assert statuses(runs) == {1: "STAGED", 2: "PENDING"}


def test_more_runs_than_an_array_may_have(
    runs: Runs, fill: Fill, fake: FakeSlurm, capfd: pytest.CaptureFixture[str], tmp_path: Path
):
    fill({1: 4, 2: 1}, status="STAGED", slurm=[{"sbatch_options": {}, "max_simultaneous_jobs": 2}])
    assert main(["start", runs.name]) == 0
    said = capfd.readouterr().out
    assert "max_simultaneous_jobs: 2 holds for each of 3 arrays: up to 6 tasks at once" in said
    assert re.findall(r"(\d of 5) runs started", said) == ["3 of 5", "4 of 5", "5 of 5"]
    assert set(statuses(runs).values()) == {"PENDING"}
    assert arrays(runs) == {1: 10, 2: 10, 3: 10, 4: 11, 5: 12}
    assert re.findall(r"--array=(\S+)", "".join(fake.scripts.values())) == ["0-2%2", "0-0%2", "0-0%2"]
    assert main(["start", runs.name]) == 1
    assert capfd.readouterr().err == f"walking-noise: nothing to start in {runs.name}: 5 PENDING\n"
    fake.loses(10)
    assert main(["start", runs.name]) == 0
    assert "started again: 3 runs that no task was left to train" in capfd.readouterr().out
    assert arrays(runs) == {1: 13, 2: 13, 3: 13, 4: 11, 5: 12}


def test_what_slurm_refuses_stays_staged(runs: Runs, fill: Fill, fake: FakeSlurm, capfd: pytest.CaptureFixture[str]):
    fill({1: 4, 2: 2}, status="STAGED")
    assert main(["start", runs.name, "-n", "4"]) == 0
    fake.refuses("sbatch: error: QOSMaxSubmitJobPerUserLimit\n")
    capfd.readouterr()
    assert main(["start", runs.name]) == 1
    said = capfd.readouterr()
    assert "QOSMaxSubmitJobPerUserLimit" in said.out + said.err
    assert said.err.endswith("0 of 2 runs were started, the others stay STAGED: the same command goes on\n")
    assert [status for _, status in sorted(statuses(runs).items())] == ["PENDING"] * 4 + ["STAGED"] * 2
    fake.takes()
    assert main(["start", runs.name, "-id", "6"]) == 0
    assert [status for _, status in sorted(statuses(runs).items())] == ["PENDING"] * 4 + ["STAGED", "PENDING"]
    assert main(["start", runs.name, "-b", "2", "-fd", "{'config.noise.std': 0.5}"]) == 0
    assert set(statuses(runs).values()) == {"PENDING"}


@pytest.mark.parametrize(
    ("changes", "arguments", "reason"),
    [
        ({"slurm": [{"experiments_per_job": 2}]}, [], "1 runs of NAME have experiments_per_job above 1"),
        ({"status": "FAILED"}, [], "nothing to start in NAME: 1 FAILED; `seml NAME reset -s FAILED` lets runs be"),
        ({}, ["-b", "7"], "NAME has no such runs; `walking-noise add NAME FILE` adds some"),
        ({}, ["-fd", "{'status': 'FAILED'}"], "--filter-dict: which runs wait to be started is not to be chosen"),
    ],
)
def test_what_cannot_be_started_is_told(
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
        said = capfd.readouterr().err
        assert said.startswith(f"walking-noise: {reason.replace('NAME', runs.name)}")
        assert len(said.splitlines()) == 1
    assert list(runs.find()) == before
    assert fake.scripts == {}


def test_a_slurm_that_does_not_answer(runs: Runs, fill: Fill, fake: FakeSlurm, capfd: pytest.CaptureFixture[str]):
    fill({1: 1}, **started(11))
    fill({1: 1}, status="STAGED")
    fake.configure(3, private="jobs")
    assert main(["start", runs.name]) == 0
    assert "Slurm does not say whose tasks it holds: PENDING runs stay as they are" in capfd.readouterr().err
    assert arrays(runs) == {1: 11, 2: 10}
    fake.goes_down()
    assert main(["start", runs.name]) == 1
    told = f"Slurm does not answer here; `walking-noise start {runs.name} --local` trains on this machine"
    assert capfd.readouterr().err == f"walking-noise: {told}\n"
    assert arrays(runs) == {1: 11, 2: 10}


def test_a_collection_that_is_not_there(fake: FakeSlurm, capfd: pytest.CaptureFixture[str]):
    assert main(["start", "nowhere"]) == 1
    assert "there is no collection 'nowhere'" in capfd.readouterr().err


@pytest.mark.slow
def test_the_job_script(shell: Shell, fake: FakeSlurm, tmp_path: Path):
    """The golden file is what Slurm gets of a grid; places of this machine are taken out of it."""
    options = {"partition": ["gpu", "mixed"], "gres": "gpu:1", "time": "0-02:00", "mem": "8G"}
    grid = write_grid(tmp_path, seml={"reschedule_timeout": 120}, grid={"noise.std": choice(0.5, 1.0)})
    slurm_section = {"slurm": [{"max_simultaneous_jobs": 20, "sbatch_options": options}]}
    grid.write_text(yaml.safe_dump(yaml.safe_load(grid.read_text()) | slurm_section))
    shell = shell.having({"PATH": os.environ["PATH"], "MY_TOKEN": "hidden"})
    shell.run("walking-noise", "add", "scripted", str(grid))
    shell.run("walking-noise", "start", "scripted")
    (script,) = fake.scripts.values()
    for place, name in ((tmp_path, "FOLDER"), (ROOT, "CHECKOUT")):
        script = script.replace(str(place), name)
    assert script == (Path(__file__).parent / "sbatch.txt").read_text()
    environment = fake.environment(10)
    assert environment["BASH_ENV"] == str(ROOT / "experiments" / "workers" / "until_the_worker_ends.sh")
    assert environment["PATH"].startswith(f"{Path(sys.executable).parent}:")
    assert "MY_TOKEN" not in environment


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGINT])
def test_ended_in_the_middle_nothing_is_lost(
    signum: signal.Signals, runs: Runs, fill: Fill, fake: FakeSlurm, shell: Shell, tmp_path: Path
):
    fill({1: 2, 2: 2}, status="STAGED")
    assert main(["start", runs.name, "-b", "1"]) == 0
    fake.holds(on=True)
    with shell.start("walking-noise", "start", runs.name, PATH=os.environ["PATH"]) as process:
        while len(fake.scripts) < 2:
            assert process.poll() is None
            time.sleep(0.05)
        os.killpg(process.pid, signum)
        fake.holds(on=False)
    assert process.returncode == (130 if signum == signal.SIGINT else -signum)
    assert statuses(runs) == {1: "PENDING", 2: "PENDING", 3: "STAGED", 4: "STAGED"}
    assert main(["start", runs.name]) == 0
    assert arrays(runs) == {1: 10, 2: 10, 3: 12, 4: 12}


@pytest.mark.slow
def test_on_this_machine(runs: Runs, fill: Fill, fake: FakeSlurm, shell: Shell):
    """What an interrupted `seml start --local` has left, and what an array that has ended."""
    fill({1: 1}, status="PENDING", execution={"cluster": "local"})
    fill({1: 1}, **started(11))
    runs.update_many({}, {"$set": {"config.training.epochs": 1}})
    said = shell.run("walking-noise", "start", runs.name, "--local", PATH=os.environ["PATH"])
    assert said.count("started again: 1 run that no task was left to train") == 2
    assert set(statuses(runs).values()) == {"COMPLETED"}
    assert fake.scripts == {}

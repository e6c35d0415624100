"""Disturbances of tasks on a cluster, one at a time: nothing is lost, and results equal those of undisturbed runs."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from experiments.database.connection import Document
from experiments.worker.records.history import DONE, GIVEN_BACK, LOST
from tests.cluster.login_node import LoginNode, choice
from tests.cluster.private_slurm import PrivateSlurm
from tests.cluster.study import Study

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

PACK = {"noise.std": choice(0.3, 1.0), "seed": choice(1, 2)}
EPOCHS = 30
"""Enough epochs to keep a worker busy until it is disturbed."""
FAULT_SECONDS = 5.0


def cancelled(study: Study) -> None:
    """scancel of a task."""
    study.start()
    study.slurm.run("scancel", study.in_training().task)
    study.finish()
    assert_released(study, "SIGTERM")


def requeued(study: Study) -> None:
    """scontrol requeue: a task of the array continues without any command of the user."""
    study.start()
    study.slurm.run("scontrol", "requeue", study.in_training().task)
    study.finish(start=False)
    assert_released(study, "SIGTERM")


def timed_out(study: Study) -> None:
    """The time limit of a task, without an announcement."""
    study.start()
    suspend_until(study, lambda task: bool(study.queue(f"--jobs={task}", "--states=COMPLETING,TIMEOUT")))
    study.finish()
    assert_released(study, "SIGTERM")


def rescheduled(study: Study) -> None:
    """The announced time limit of a task (reschedule_timeout): the task requeues itself."""
    study.start()
    suspend_until(study, lambda task: (study.logs / f"{study.name}_{task}.reschedule").exists())
    study.finish(start=False)
    assert_released(study, "SIGUSR1")


def killed(study: Study) -> None:
    """kill -9 of all processes of a worker."""
    study.start()
    study.in_training().kill()
    study.finish()
    assert Counter(attempt["end"] for attempt in study.attempts()) == {LOST: study.size}
    assert_resumed(study)


DISTURBANCES: dict[Callable[[Study], None], dict[str, Any]] = {
    cancelled: {},
    requeued: {},
    killed: {},
    timed_out: {"time": "0-00:01"},
    rescheduled: {"time": "0-00:03", "seml": {"reschedule_timeout": 70}},
}
"""Disturbances of one task, with the arguments of their grids. They run at the same time in several studies.

Slurm sends the signal of ``reschedule_timeout`` up to a minute early. A task that gets it before its worker trains
requeues itself without progress, so the limit leaves a minute for the start of a worker on a busy machine.
"""


@pytest.fixture(scope="module")
def outcomes(login: LoginNode) -> Iterator[dict[str, Future[Study]]]:
    def disturb(disturbance: Callable[[Study], None]) -> Study:
        study = study_of(login, disturbance.__name__, **DISTURBANCES[disturbance])
        disturbance(study)
        return study

    with ThreadPoolExecutor(len(DISTURBANCES)) as pool:
        yield {disturbance.__name__: pool.submit(disturb, disturbance) for disturbance in DISTURBANCES}


@pytest.mark.parametrize("name", [disturbance.__name__ for disturbance in DISTURBANCES])
def test_a_disturbed_study_has_the_results_of_an_undisturbed_one(
    outcomes: dict[str, Future[Study]], undisturbed: dict[int, Document], slurm: PrivateSlurm, name: str
):
    assert outcomes[name].result().results() == undisturbed


def test_a_preempted_study_is_completed(login: LoginNode, slurm: PrivateSlurm, undisturbed: dict[int, Document]):
    study = study_of(login, "preempted")
    study.start()
    node = study.in_training().node
    slurm.run("sbatch", "--partition=urgent", f"--nodelist={node}", "--exclusive", "--wrap=sleep 1")
    study.finish(start=False)
    assert_released(study, "SIGTERM")
    assert study.results() == undisturbed


def test_a_worker_on_a_lost_node_that_comes_back_writes_nothing(
    login: LoginNode, slurm: PrivateSlurm, undisturbed: dict[int, Document]
):
    study = study_of(login, "cut_off")
    study.start()
    worker = study.in_training()
    worker.kill(signal.SIGSTOP)
    with slurm.without_node(worker.node):
        slurm.wait(lambda: restarted(study), "the start of another worker", 120)
        worker.kill(signal.SIGCONT)
        study.finish()
    first, second = study.history()
    assert (first["completed"], second["completed"]) == (0, study.size)
    assert second["resumed"] > 0
    assert {run["claim"]["token"] for run in study.runs.find({}, {"claim": 1})} == {second["_id"]}
    assert study.results() == undisturbed


def test_workers_survive_a_crash_of_the_database(
    login: LoginNode, slurm: PrivateSlurm, undisturbed: dict[int, Document]
):
    study = study_of(login, "without_database")
    study.start()
    study.in_training()
    login.kill_database()
    time.sleep(FAULT_SECONDS)
    login.start_database()
    study.finish(start=False)
    assert [worker["end"] for worker in study.history()] == [DONE]
    assert study.results() == undisturbed


def study_of(login: LoginNode, name: str, time: str = "0-01:00", **sections: Any) -> Study:
    """A grid whose runs are trained together by one worker, with one task at a time."""
    slurm = {"max_simultaneous_jobs": 1, "sbatch_options": {"gres": "gpu:1", "mem": "4G", "time": time}}
    return login.study(name, slurm=slurm, fixed={"training.epochs": EPOCHS}, grid=PACK, **sections)


@pytest.fixture(scope="module")
def undisturbed(login: LoginNode) -> dict[int, Document]:
    """The results of the grid of all tests in this file, trained without a cluster."""
    return study_of(login, "undisturbed").undisturbed()


def restarted(study: Study) -> bool:
    """Whether a second worker has started; until then, rescue and start the study if its queue is empty."""
    if not study.queue():
        study.rescue()
        study.start(check=False)
    return len(study.history()) > 1


def suspend_until(study: Study, condition: Callable[[str], bool]) -> None:
    """Suspend a worker until a condition on its task holds, so that it cannot end before."""
    worker = study.in_training()
    worker.kill(signal.SIGSTOP)
    study.slurm.wait(lambda: condition(worker.task), f"{study.name}: the time limit of {worker.task}", 240)
    worker.kill(signal.SIGCONT)


def assert_released(study: Study, reason: str) -> None:
    attempts, (first, *others) = study.attempts(), study.history()
    assert {(attempt["end"], attempt["reason"]) for attempt in attempts} == {(GIVEN_BACK, reason)}
    assert (first["end"], first["returned"], others[-1]["end"]) == (reason, study.size, DONE)
    assert_resumed(study)


def assert_resumed(study: Study) -> None:
    """Assert that the last worker resumed from checkpoints, and that all workers together completed every run once."""
    workers = study.history()
    assert workers[-1]["resumed"] > 0
    assert sum(worker["completed"] for worker in workers) == study.size

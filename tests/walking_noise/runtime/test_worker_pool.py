"""Pool of worker processes: packs of dead processes are run again, and no process remains at the end."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from walking_noise import Failure, Progress, RunConfig, Stopped, train
from walking_noise.runtime import worker_pool
from walking_noise.runtime.planner import PlannedTraining
from walking_noise.runtime.run_context import Event, RunContext, RunEnded
from walking_noise.runtime.worker_pool import IDLE, run_in_processes
from walking_noise.training.epoch_counts import Epochs, EpochsDone

CONTEXT = RunContext(
    {seed: RunConfig.from_dict({"seed": seed}) for seed in range(500)}, torch.device("cpu"), None, None
)
Behaviour = Callable[[Connection], None]


class FakeProcess:
    """A fake process: a thread that runs a behaviour at the other end of the pipe."""

    def __init__(self, behaviour: Behaviour, connection: Connection) -> None:
        self.returncode: int | None = None
        self.thread = threading.Thread(target=self._run, args=(behaviour, connection), daemon=True)
        self.thread.start()

    def _run(self, behaviour: Behaviour, connection: Connection) -> None:
        try:
            behaviour(connection)
        except (EOFError, OSError):
            self.returncode = 0
        else:
            self.returncode = -9
        finally:
            connection.close()

    def kill(self) -> None:
        pass

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self.thread.join(10)
        assert not self.thread.is_alive(), "a process still runs"
        return cast(int, self.returncode)


class Fakes:
    """Starts fake processes with the given behaviours, in this order; further ones work normally."""

    def __init__(self) -> None:
        self.behaviours: list[Behaviour] = []
        self.started: list[FakeProcess] = []
        self.ready = threading.Semaphore(0)

    def start(self, context: RunContext) -> worker_pool._Process:
        ours, theirs = Pipe()
        behaviour = self.behaviours.pop(0) if self.behaviours else self.work
        process = FakeProcess(behaviour, theirs)
        self.started.append(process)
        return worker_pool._Process(cast("subprocess.Popen[bytes]", process), ours)

    def work(self, connection: Connection) -> None:
        while True:
            self.ready.release()
            connection.send(IDLE)
            finish(connection.recv()[0], connection)

    def alive(self) -> list[FakeProcess]:
        return [process for process in self.started if process.thread.is_alive()]


def finish(pack: list[PlannedTraining], connection: Connection) -> None:
    """Send the events of a pack that has ended."""
    for training in pack:
        connection.send(all_done(training))
        for index in training.runs:
            connection.send(RunEnded(index, Failure("done")))


def all_done(training: PlannedTraining) -> EpochsDone:
    return EpochsDone({training.config.network_key: Epochs(done=training.config.training.epochs)})


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Fakes:
    fakes = Fakes()
    monkeypatch.setattr(worker_pool, "_start", fakes.start)
    monkeypatch.setattr(worker_pool, "POLL_SECONDS", 0.01)
    return fakes


def packs(*sizes: int) -> list[list[PlannedTraining]]:
    """Packs of trainings with one run each, numbered in order."""
    numbers = iter(range(sum(sizes)))
    return [[PlannedTraining(CONTEXT.configs[index], own=[index]) for index in islice(numbers, size)] for size in sizes]


def within(seconds: float) -> Callable[[], None]:
    """A ``poll`` callback that raises after this time."""
    end = time.monotonic() + seconds

    def check() -> None:
        if time.monotonic() > end:
            raise TimeoutError("the pool does not end")

    return check


def ended(packs: list[list[PlannedTraining]], count: int) -> dict[int, str]:
    """How every run ended. Every run ends once, and every epoch is counted once."""
    events: list[Event] = list(run_in_processes(CONTEXT, packs, count, within(3)))
    last = {key: epochs for event in events if isinstance(event, EpochsDone) for key, epochs in event.of.items()}
    planned = [training for pack in packs for training in pack]
    assert last == {key: epochs for training in planned for key, epochs in all_done(training).of.items()}
    finished = [event for event in events if isinstance(event, RunEnded)]
    assert len({event.index for event in finished}) == len(finished)
    return {event.index: cast(Failure, event.outcome).error for event in finished}


def done(runs: int) -> dict[int, str]:
    return dict.fromkeys(range(runs), "done")


@pytest.mark.parametrize("count", [2, 3, 7])
def test_every_pack_is_run_once(count: int, fakes: Fakes) -> None:
    assert ended(packs(3, 1, 2, 4, 1), count) == done(11)
    assert len(fakes.started) <= min(count, 5)
    assert not fakes.alive()


def dies_with_its_pack(connection: Connection) -> None:
    connection.send(IDLE)
    connection.recv()


def dies_half_way(connection: Connection) -> None:
    connection.send(IDLE)
    finish(connection.recv()[0][:1], connection)


def dies_in_the_middle_of_a_message(connection: Connection) -> None:
    connection.send(IDLE)
    connection.recv()
    os.write(connection.fileno(), struct.pack("!i", 1000) + b"the beginning")


def dies_when_it_is_ready(connection: Connection) -> None:
    connection.send(IDLE)


@pytest.mark.parametrize(
    "death", [dies_with_its_pack, dies_half_way, dies_in_the_middle_of_a_message, dies_when_it_is_ready]
)
def test_the_pack_of_a_dead_process_is_run_by_others(death: Behaviour, fakes: Fakes) -> None:
    fakes.behaviours = [death, death]
    assert ended(packs(4, 3, 2), 2) == done(9)
    assert not fakes.alive()


def test_a_network_whose_process_dies_is_retried(fakes: Fakes) -> None:
    fakes.behaviours = [dies_with_its_pack]
    assert ended(packs(1, 1), 2) == done(2)


def test_the_run_that_kills_processes_is_isolated(fakes: Fakes) -> None:
    """Run 5 kills every process that trains it."""

    def poisoned(connection: Connection) -> None:
        while True:
            connection.send(IDLE)
            pack, _ = connection.recv()
            for training in pack:
                if 5 in training.runs:
                    return
                finish([training], connection)

    fakes.behaviours = [poisoned] * 20
    errors = ended(packs(4, 4), 2)
    assert {index for index, error in errors.items() if error != "done"} == {5}
    assert len(errors) == 8
    assert errors[5] == "the process that trained it died (exit status -9)"


@pytest.mark.parametrize("count", [2, 3, 4])
def test_idle_processes_run_the_pack_of_a_dead_one(count: int, fakes: Fakes) -> None:
    """The last busy process dies when all others are idle."""

    def dies_last(connection: Connection) -> None:
        connection.send(IDLE)
        connection.recv()
        for _ in range(2 * (count - 1)):
            assert fakes.ready.acquire(timeout=3)
        time.sleep(0.1)

    fakes.behaviours = [dies_last]
    assert ended(packs(6, *[1] * (count - 1)), count) == done(5 + count)


def test_the_death_of_an_idle_process_changes_nothing(fakes: Fakes) -> None:
    def dies_idle(connection: Connection) -> None:
        connection.send(IDLE)
        finish(connection.recv()[0], connection)
        connection.send(IDLE)
        time.sleep(0.05)

    def slow(connection: Connection) -> None:
        connection.send(IDLE)
        pack, _ = connection.recv()
        time.sleep(0.5)
        finish(pack, connection)
        connection.send(IDLE)
        connection.recv()

    fakes.behaviours = [slow, dies_idle]
    assert ended(packs(1, 1), 2) == done(2)


def test_the_work_of_a_process_that_cannot_start_is_done_by_the_others(fakes: Fakes) -> None:
    fakes.behaviours = [lambda connection: None]
    assert ended(packs(1, 1, 1), 2) == done(3)


def test_an_error_is_raised_if_no_process_can_start(fakes: Fakes) -> None:
    fakes.behaviours = [lambda connection: None] * 9
    with pytest.raises(Exception, match="a training process could not start"):
        ended(packs(1, 1, 1), 2)
    assert not fakes.alive()


def test_no_process_remains_when_the_caller_stops(fakes: Fakes) -> None:
    def check() -> None:
        if len(fakes.started) == 3:
            raise Stopped("stop")

    with pytest.raises(Stopped):
        list(run_in_processes(CONTEXT, packs(*[1] * 500), 3, check))
    assert not fakes.alive()


def test_no_process_remains_when_the_caller_stops_iterating(fakes: Fakes) -> None:
    events = cast("Iterator[Any]", run_in_processes(CONTEXT, packs(1, 1, 1, 1), 2, lambda: None))
    next(events)
    del events
    assert not fakes.alive()


def epochs_in(event: Event) -> int:
    assert isinstance(event, EpochsDone)
    return sum(epochs.done for epochs in event.of.values())


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[worker_pool._Process]]:
    """The real worker processes that are started."""
    started: list[worker_pool._Process] = []
    start = worker_pool._start

    def recorded(context: RunContext) -> worker_pool._Process:
        started.append(start(context))
        return started[-1]

    monkeypatch.setattr(worker_pool, "_start", recorded)
    yield started
    for process in started:
        process.close()


def has_ended(process: worker_pool._Process) -> bool:
    return process.process.returncode is not None and not Path(f"/proc/{process.process.pid}").exists()


def run(**settings: Any) -> RunConfig:
    dotted = {name.replace("__", "."): value for name, value in settings.items()}
    return RunConfig.from_dict({"training.epochs": 3, "training.batch_size": 512, **dotted})


MIXED = {"noise__kind": "mixed", "noise__std_mul": 0.3, "noise__std_add": 0.3}
RUNS = [
    run(seed=0, **MIXED),
    run(model__batch_norm=True, noise__std=0.5),
    run(seed=1),
    run(seed=1, noise__std=0.5, noise__in_training=False),
    run(seed=2, **MIXED),
    run(model__batch_norm=True, seed=1, training__weight_clamp=0.1),
    run(seed=3, **MIXED),
]


@pytest.mark.usefixtures("forked_pool")
def test_a_killed_process_changes_no_number(processes: list[worker_pool._Process], tmp_path: Path) -> None:
    """The results are those of a single process, even if a process is killed and others run its pack."""
    killed: list[int] = []

    def kill(progress: Progress) -> None:
        busy = [process for process in processes if len(process.pack) > 1]
        if busy and not killed:
            killed.append(busy[0].process.pid)
            os.kill(busy[0].process.pid, signal.SIGKILL)

    single = train(RUNS, device="cpu", processes=1)
    pooled = train(RUNS, device="cpu", processes=2, pack_size=2, progress=kill, networks=tmp_path)
    assert killed
    assert [one.process.returncode for one in processes if one.process.pid in killed] == [-signal.SIGKILL]
    changing = {"seconds": 0.0, "pack_size": 0}
    assert [vars(result) | changing for result in pooled] == [vars(result) | changing for result in single]
    assert all(map(has_ended, processes))
    assert [Path(file).suffix for file in tmp_path.iterdir()] == [".pt"] * 2


def test_a_stop_ends_a_process_at_once(processes: list[worker_pool._Process]) -> None:
    stopped: list[float] = []

    def check() -> None:
        if stopped:
            raise Stopped("stop")

    context = RunContext(dict.fromkeys(range(2), RunConfig()), torch.device("cpu"), None, None)
    long = [PlannedTraining(run(noise__std=0.5, seed=seed, training__epochs=100_000), own=[seed]) for seed in range(2)]
    events = run_in_processes(context, [long], 1, check)
    next(event for event in events if epochs_in(event) == 2)
    stopped.append(time.monotonic())
    with pytest.raises(Stopped):
        list(events)
    assert time.monotonic() - stopped[0] < 10
    assert list(map(has_ended, processes)) == [True]


def test_a_process_ends_with_its_parent_and_not_before() -> None:
    """Ctrl-C and the signals of a batch system reach the whole process group. Only the parent handles them."""
    config = run(noise__std=0.5, training__epochs=100_000)
    process = worker_pool._start(RunContext({0: config}, torch.device("cpu"), None, None))
    try:
        assert process.connection.recv() is IDLE
        process.connection.send(([PlannedTraining(config, own=[0])], {0: config}))
        assert [epochs_in(process.connection.recv()) for _ in range(2)] == [0, 1]
        os.kill(process.process.pid, signal.SIGINT)
        os.kill(process.process.pid, signal.SIGTERM)
        assert [epochs_in(process.connection.recv()) for _ in range(5)] == [2, 3, 4, 5, 6]
        assert process.process.poll() is None
        process.connection.close()
        assert process.process.wait(10) == 0
    finally:
        process.close()

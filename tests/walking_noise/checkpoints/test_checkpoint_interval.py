"""Interval between checkpoints: the loss is at most an interval, or one epoch if an epoch takes longer."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import pytest
import torch

from tests.walking_noise.running import run
from walking_noise import CheckpointStore, RunConfig, Stopped
from walking_noise.atomic_file import atomic_write
from walking_noise.checkpoints.checkpoint_policy import CheckpointPolicy
from walking_noise.data import DataSet
from walking_noise.training.epoch_counts import EpochCounter
from walking_noise.training.member import Member
from walking_noise.training.trainer import PackTrainer, train_pack

CPU = torch.device("cpu")


class Study:
    """A pack with a fake clock, on which each epoch takes a given time."""

    def __init__(self, folder: Path, data: DataSet, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.data = folder, data
        self.now, self.durations = 0.0, list[float]()
        self.written: list[tuple[float, list[int]]] = []
        train_epoch, save = PackTrainer.train_epoch, CheckpointStore.save

        def timed(trainer: PackTrainer, after_batch: Callable[[], None]) -> None:
            train_epoch(trainer, after_batch)
            self.now += self.durations.pop(0)

        def recorded(store: CheckpointStore, members: Sequence[Member], *origin: Any) -> list[Member]:
            written = save(store, members, *origin)
            self.written.append((self.now, [one.epoch for one in written]))
            return written

        patch.setattr(PackTrainer, "train_epoch", timed)
        patch.setattr(CheckpointStore, "save", recorded)

    def train(self, configs: Sequence[RunConfig], durations: Sequence[float], seconds: float, **options: Any) -> None:
        self.durations = [*durations]
        counter = EpochCounter([config.network_key for config in configs], lambda epochs: None)
        store = CheckpointStore(self.folder, seconds=seconds)
        policy = CheckpointPolicy(store, CPU, self.data.checksum, counter, clock=lambda: self.now)
        train_pack(configs, self.data, CPU, callbacks=policy, **options)


@pytest.fixture
def study(tmp_path: Path, digits: DataSet, monkeypatch: pytest.MonkeyPatch) -> Study:
    return Study(tmp_path, digits, monkeypatch)


@pytest.mark.parametrize(
    ("durations", "seconds", "written"),
    [
        ([10] * 7, 30, [(30, [3]), (60, [6])]),
        ([10] * 7, 35, [(30, [3]), (60, [6])]),
        ([10] * 7, 29, [(20, [2]), (40, [4]), (60, [6])]),
        ([10] * 7, 9, [(10 * epoch, [epoch]) for epoch in range(1, 7)]),
        ([10] * 7, 0, [(10 * epoch, [epoch]) for epoch in range(1, 7)]),
        ([10] * 7, 1000, []),
        ([10, 10, 300, 10, 10, 10, 10], 100, [(320, [3])]),
    ],
)
def test_checkpoints_are_written_at_the_last_end_of_an_epoch_in_each_interval(
    durations: list[float], seconds: float, written: list[tuple[float, list[int]]], study: Study
) -> None:
    study.train([run(training__epochs=7)], durations, seconds)
    assert study.written == written


def test_the_time_between_two_writes_is_at_most_the_interval(study: Study) -> None:
    study.train([run(training__epochs=40)], [7] * 40, 60)
    times = [0.0, *(when for when, _ in study.written), 280.0]
    assert max(after - before for before, after in pairwise(times)) <= 60
    assert len(study.written) == 280 // 56 - 1


def stop_at(time: float, study: Study) -> Callable[[], None]:
    """A callback that stops a training in the epoch that begins at this time."""

    def after_batch() -> None:
        if study.now >= time:
            raise Stopped("stop")

    return after_batch


def test_the_last_completed_epoch_is_written_when_training_is_stopped(study: Study) -> None:
    with pytest.raises(Stopped):
        study.train([run(training__epochs=20)], [10] * 20, 1000, after_batch=stop_at(40, study))
    assert study.written == [(40, [4])]


@pytest.mark.parametrize(("std", "written"), [(0.0, [[3], [4]]), (0.5, [[3], [6]])])
def test_a_checkpoint_that_another_process_has_removed_is_written_again(
    std: float, written: list[list[int]], study: Study
) -> None:
    removed: list[Path] = []

    def remove_in_the_fourth_epoch() -> None:
        if study.now >= 40 and not removed:
            removed.extend(study.folder.iterdir())
            for file in removed:
                file.unlink()

    study.train([run(training__epochs=7, noise__std=std)], [10] * 7, 30, after_batch=remove_in_the_fourth_epoch)
    assert [epochs for _, epochs in study.written] == written


def test_nothing_is_written_in_the_first_epoch(study: Study) -> None:
    with pytest.raises(Stopped):
        study.train([run(training__epochs=20)], [10] * 20, 0, after_batch=stop_at(0, study))
    assert study.written == []
    assert list(study.folder.iterdir()) == []


def test_a_written_epoch_is_not_written_again(study: Study) -> None:
    with pytest.raises(Stopped):
        study.train([run(training__epochs=20)], [10] * 20, 0, after_batch=stop_at(20, study))
    assert [epochs for _, epochs in study.written] == [[1], [2]]


def test_fast_forwarded_runs_are_written_with_the_others(study: Study) -> None:
    diverging = run(training__epochs=20, noise__kind="multiplicative", noise__std=1e20)
    configs = [diverging, run(training__epochs=20, noise__std=0.5, seed=1)]
    with pytest.raises(Stopped):
        study.train(configs, [10] * 20, 50, after_batch=stop_at(70, study))
    assert [(when, sorted(epochs)) for when, epochs in study.written] == [(50, [5, 20]), (70, [7])]


def test_a_failed_write_is_retried_after_the_next_interval(
    study: Study, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    @contextmanager
    def full(file: Path) -> Iterator[IO[bytes]]:
        if study.now < 100:
            raise OSError(errno.ENOSPC, "No space left on device")
        with atomic_write(file) as opened:
            yield opened

    monkeypatch.setattr("walking_noise.checkpoints.checkpoint_store.atomic_write", full)
    study.train([run(training__epochs=20)], [10] * 20, 40)
    assert study.written == [(40, []), (80, []), (120, [12]), (160, [16])]
    assert len(caplog.messages) == 2

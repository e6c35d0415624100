"""Trainings taken up where they were left: the results are those of trainings that nobody disturbed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.walking_noise.running import HERE, outcomes, run
from walking_noise import Failure, Progress, Result, RunConfig, Stopped, train, train_each
from walking_noise.checkpoints.checkpoint_format import read_header
from walking_noise.data import DataSet
from walking_noise.noise import noise_kinds
from walking_noise.training.trainer import PackTrainer

EPOCHS = 7
NEVER = 1e9


@pytest.fixture(autouse=True)
def few(only_digits: DataSet) -> DataSet:
    return only_digits


def longer(**settings: Any) -> RunConfig:
    return run(training__epochs=EPOCHS, **settings)


EVERY_KIND = [
    longer(noise__kind=name, seed=1, **{f"noise__{level}": 0.4 for level in kind.settings[-1]})
    for name, kind in noise_kinds().items()
]
STUDY = [
    *EVERY_KIND,
    longer(noise__kind="none", evaluation__curve=True),
    longer(noise__kind="mixed", noise__std_mul=0.3, noise__std_add=0.3, noise__order="add_first"),
    longer(noise__std=0.4, noise__in_training=False),
    longer(noise__std=1e4, noise__point=3, noise__in_training=False),
    longer(noise__std=0.5, training__weight_clamp=0.05, training__learning_rate=5e-3, evaluation__curve=True),
    longer(noise__kind="multiplicative", noise__std=0.5, noise__gradient="straight_through", noise__seed=5),
    longer(noise__kind="multiplicative", noise__std=1e20, seed=2),
    longer(noise__kind="multiplicative", noise__std=1e20, seed=3, evaluation__curve=True),
    longer(noise__std=0.5, training__learning_rate=1e37, seed=4),
]


def of_model(study: Sequence[RunConfig], name: str, batch_norm: bool) -> list[RunConfig]:
    model = {"name": name, "batch_norm": batch_norm}
    return [RunConfig.from_dict(config.to_dict() | {"model": model}) for config in study]


def documents(results: Sequence[Any]) -> list[dict[str, Any]]:
    """What is recorded of runs, without what depends on the company they had."""
    assert all(isinstance(result, Result) for result in results), results
    return [result.to_document() | {"seconds": 0, "pack_size": 0} for result in results]


class Interruption:
    """Stops a training some batches, of training or evaluation, after so many epochs were done in all."""

    def __init__(self, epochs: int, batches: int) -> None:
        self.epochs, self.batches = epochs, batches
        self.seen: list[Progress] = []

    def __call__(self) -> bool:
        if self.seen and self.seen[-1].epochs_done - self.seen[-1].epochs_resumed >= self.epochs:
            self.batches -= 1
        return self.batches < 0


def until_stopped(events: Iterator[tuple[int, Any]]) -> dict[int, Any]:
    """What had ended."""
    ended: dict[int, Any] = {}
    try:
        for index, outcome in events:
            ended[index] = outcome
    except Stopped:
        return ended
    raise AssertionError("it was not stopped")


def interrupted(
    configs: Sequence[RunConfig], folder: Path, epochs: int, batches: int = 1, **how: Any
) -> tuple[dict[int, Any], Progress]:
    """What had ended, and how far all was, when a training was stopped."""
    stop = Interruption(epochs, batches)
    how = {**HERE, "checkpoints": folder, "checkpoint_seconds": NEVER, "progress": stop.seen.append, **how}
    return until_stopped(train_each(configs, stop=stop, **how)), stop.seen[-1]


def kept_epochs(folder: Path) -> list[int]:
    return sorted(read_header(file).epoch for file in folder.iterdir())


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Of every epoch that is trained from now on, which it is and how many members train."""
    seen: list[tuple[int, int]] = []
    train_epoch = PackTrainer.train_epoch

    def counted(self: PackTrainer, after_batch: Callable[[], None]) -> None:
        seen.append((self.epoch, len(self.members)))
        train_epoch(self, after_batch)

    monkeypatch.setattr(PackTrainer, "train_epoch", counted)
    return seen


@pytest.mark.parametrize(("model", "batch_norm"), [("mlp", False), ("mlp", True), ("lenet5", True)])
def test_a_study_that_is_stopped_again_and_again_ends_as_if_undisturbed(
    model: str, batch_norm: bool, tmp_path: Path
) -> None:
    """With whole packs, in the middle of epochs, and what had ended not asked for again."""
    study = of_model(STUDY, model, batch_norm)
    expected = documents(train(study, **HERE))
    left, found = dict(enumerate(study)), dict[int, Any]()
    for batches in (1, 2, 0, 3):
        ended, _ = interrupted(list(left.values()), tmp_path, 2 * len(EVERY_KIND), batches)
        found |= {list(left)[place]: outcome for place, outcome in ended.items()}
        left = {index: config for index, config in left.items() if index not in found}
        assert kept_epochs(tmp_path)
    last = train(list(left.values()), checkpoints=tmp_path, **HERE)
    found |= dict(zip(left, last, strict=True))
    assert documents([found[index] for index in range(len(study))]) == expected


@pytest.mark.parametrize("pack_size", [1, 2, 5])
def test_members_go_on_in_other_packs(pack_size: int, tmp_path: Path) -> None:
    """Alone too, and in another order."""
    expected = documents(train(STUDY, **HERE))
    interrupted(STUDY, tmp_path, 4 * len(EVERY_KIND))
    resumed = train(STUDY[::-1], checkpoints=tmp_path, pack_size=pack_size, **HERE)
    assert documents(resumed[::-1]) == expected


@pytest.mark.gpu
@pytest.mark.parametrize("model", ["mlp", "lenet5"])
def test_a_pack_on_a_gpu_goes_on_as_if_undisturbed(model: str, tmp_path: Path) -> None:
    """Its step is recorded anew."""
    configs = of_model([longer(noise__std=0.5, seed=seed) for seed in range(4)], model, True)
    expected = documents(train(configs, device="cuda"))
    for _ in range(2):
        interrupted(configs, tmp_path, 2 * len(configs), device="cuda")
    assert kept_epochs(tmp_path) == [4] * len(configs)
    assert documents(train(configs, device="cuda", checkpoints=tmp_path)) == expected


def test_members_that_are_ahead_wait_for_the_others(tmp_path: Path, sizes: list[tuple[int, int]]) -> None:
    """Three were left after 2, 5 and 5 epochs, one was never begun."""
    configs = [longer(noise__std=0.5, seed=seed, evaluation__curve=True) for seed in range(4)]
    expected = documents(train(configs, **HERE))
    interrupted(configs[:1], tmp_path, 2)
    interrupted(configs[1:3], tmp_path, 2 * 5)
    assert kept_epochs(tmp_path) == [2, 5, 5]
    sizes.clear()
    assert documents(train(configs, checkpoints=tmp_path, **HERE)) == expected
    assert sizes == [(0, 1), (1, 1), (2, 2), (3, 2), (4, 2), (5, 4), (6, 4)]


def test_a_checkpoint_is_kept_until_the_results_are_returned(tmp_path: Path) -> None:
    configs = [longer(seed=seed) for seed in range(2)]
    interrupted(configs, tmp_path, 4)
    results = list(train_each(configs, checkpoints=tmp_path, **HERE))
    assert len(results) == len(list(tmp_path.iterdir())) == 2
    train(configs, checkpoints=tmp_path, **HERE)
    assert list(tmp_path.iterdir()) == []


def test_of_a_training_all_of_whose_epochs_are_done_only_passes_are_left(
    tmp_path: Path, sizes: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped among runs with noise at inference only: those that had ended were passed on, the others go on."""
    study = [
        longer(noise__std=level / 10, noise__in_training=False, seed=seed) for level in range(1, 6) for seed in (0, 1)
    ]
    study.append(longer())
    expected = documents(train(study, **HERE))
    monkeypatch.setattr("walking_noise.runtime.executor.GROUPS_PER_REPORT", 1)
    monkeypatch.setattr("walking_noise.runtime.sizing.capacity.evaluation_group_size", lambda config, device: 4)
    seen: list[Progress] = []

    def stop() -> bool:
        return bool(seen) and seen[-1].runs_done > 4

    ended = until_stopped(train_each(study, checkpoints=tmp_path, progress=seen.append, stop=stop, **HERE))
    assert sorted(ended) == [0, 1, 2, 4, 6, 8, 10]
    assert kept_epochs(tmp_path) == [EPOCHS, EPOCHS]
    sizes.clear()
    left = [index for index in range(len(study)) if index not in ended]
    resumed = train([study[index] for index in left], checkpoints=tmp_path, **HERE)
    assert sizes == []
    ended |= dict(zip(left, resumed, strict=True))
    assert documents([ended[index] for index in range(len(study))]) == expected


def test_a_lost_run_is_foreseen_anew_wherever_it_was_left(tmp_path: Path) -> None:
    """Stopped in the epoch in which it is lost, and while its remaining epochs are foreseen."""
    lost = longer(noise__kind="multiplicative", noise__std=1e20, evaluation__curve=True)
    expected = documents(train([lost, EVERY_KIND[0]], **HERE))
    for batches in range(1, 12):
        folder = tmp_path / f"{batches}"
        interrupted([lost], folder, 0, batches)
        assert kept_epochs(folder) == ([1] if batches >= 4 else []) if folder.exists() else batches < 4
        assert documents(train([lost, EVERY_KIND[0]], checkpoints=folder, **HERE)) == expected


def test_what_progress_tells_of_epochs_resumed_and_kept(tmp_path: Path) -> None:
    configs = [longer(noise__std=0.5, seed=seed) for seed in range(3)]
    _, progress = interrupted(configs, tmp_path, 3 * 2)
    assert (progress.epochs_done, progress.epochs_resumed, progress.epochs_kept) == (6, 0, 6)
    _, progress = interrupted([*configs, longer(noise__std=0.5, seed=3)], tmp_path, 3)
    assert (progress.epochs_done, progress.epochs_resumed, progress.epochs_kept) == (12, 6, 12)
    seen: list[Progress] = []
    train(configs, checkpoints=tmp_path, progress=seen.append, **HERE)
    assert [seen[place].epochs_resumed for place in (1, -1)] == [3 * 3, 3 * 3]
    assert (seen[-1].epochs_done, seen[-1].epochs_kept) == (3 * EPOCHS, 3 * EPOCHS)
    assert all(one.epochs_resumed <= one.epochs_kept <= one.epochs_done for one in seen[1:])


def test_without_checkpoints_only_results_are_kept() -> None:
    seen: list[Progress] = []
    train([longer(), longer(noise__std=0.5, noise__in_training=False)], progress=seen.append, **HERE)
    assert [one.runs_done for one in seen if one.epochs_kept] == [2]
    assert (seen[-1].epochs_resumed, seen[-1].epochs_kept) == (0, EPOCHS)


def test_a_network_from_the_folder_of_networks_counts_as_resumed(tmp_path: Path) -> None:
    train([longer()], networks=tmp_path, **HERE)
    seen: list[Progress] = []
    train([longer()], networks=tmp_path, progress=seen.append, **HERE)
    assert (seen[-1].epochs_done, seen[-1].epochs_resumed, seen[-1].epochs_kept) == (EPOCHS,) * 3


def test_a_network_that_is_shared_through_its_folder_needs_no_checkpoint_at_its_end(tmp_path: Path) -> None:
    checkpoints, networks = tmp_path / "checkpoints", tmp_path / "networks"
    study = [longer(noise__std=0.5, noise__in_training=False)]
    list(train_each(study, checkpoints=checkpoints, networks=networks, **HERE))
    assert not checkpoints.exists()
    list(train_each(study, checkpoints=checkpoints, **HERE))
    assert kept_epochs(checkpoints) == [EPOCHS]


def test_a_curve_that_was_not_noted_is_not_made_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    interrupted([longer()], tmp_path, 3)
    (with_curve,) = train([longer(evaluation__curve=True)], checkpoints=tmp_path, **HERE)
    assert documents([with_curve]) == documents(train([longer(evaluation__curve=True)], **HERE))
    (line,) = caplog.messages
    assert line.endswith("trainings started anew: 1 of 1; it lacks the validation curve, which is asked for now")
    interrupted([longer(evaluation__curve=True)], tmp_path, 3)
    (without,) = train([longer()], checkpoints=tmp_path, **HERE)
    assert documents([without]) == documents(train([longer()], **HERE))
    assert len(caplog.messages) == 1


def test_an_error_of_the_callers_own_keeps_what_was_done(tmp_path: Path) -> None:
    def broken(progress: Progress) -> None:
        if progress.epochs_done == 3:
            raise KeyError("the caller's")

    with pytest.raises(KeyError, match="the caller's"):
        train([longer()], checkpoints=tmp_path, progress=broken, **HERE)
    assert kept_epochs(tmp_path) == [3]


def test_a_pack_that_fails_goes_on_in_halves_where_it_was_kept(
    tmp_path: Path, sizes: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of one member's in its fifth epoch."""
    configs = [longer(noise__std=0.5, seed=seed) for seed in range(4)]
    expected = documents(train(configs[:2] + configs[3:], **HERE))
    evaluate = PackTrainer.evaluate

    def faulty(self: PackTrainer, after_batch: Callable[[], None]) -> None:
        if self.epoch == 5 and configs[2] in self.configs:
            raise ZeroDivisionError("fault")
        evaluate(self, after_batch)

    monkeypatch.setattr(PackTrainer, "evaluate", faulty)
    sizes.clear()
    seen: list[Progress] = []
    found = outcomes(configs, checkpoints=tmp_path, checkpoint_seconds=0, progress=seen.append)
    assert documents([*found[:2], found[3]]) == expected
    assert found[2] == Failure("ZeroDivisionError: fault", vars(found[2])["trace"])
    assert [epoch for epoch, _ in sizes] == [0, 1, 2, 3, 4, *[4, 5, 6], 4, 4, 4, *[4, 5, 6]]
    assert (seen[-1].runs_done, seen[-1].epochs_done, seen[-1].epochs_kept) == (4, 4 * EPOCHS, 3 * EPOCHS)

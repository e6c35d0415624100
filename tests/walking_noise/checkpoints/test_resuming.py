"""Resumed trainings: their results are the same as those of uninterrupted trainings."""

from __future__ import annotations

import functools
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
    longer(
        noise__kind=name, seed=1, **{f"noise__{level}": 3 if level == "bits" else 0.4 for level in kind.settings[-1]}
    )
    for name, kind in noise_kinds().items()
]
STUDY = [
    *EVERY_KIND,
    longer(noise__kind="none", evaluation__curve=True),
    longer(noise__kind="mixed", noise__std_mul=0.3, noise__std_add=0.3, noise__order="add_first"),
    longer(noise__std=0.4, training__weight_decay=0.5),
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
    """The documents of runs, without the fields that depend on their pack."""
    assert all(isinstance(result, Result) for result in results), results
    return [result.to_document() | {"seconds": 0, "pack_size": 0} for result in results]


class Interruption:
    """A ``stop`` callback: stops a number of batches, of training or evaluation, after a total number of epochs."""

    def __init__(self, epochs: int, batches: int) -> None:
        self.epochs, self.batches = epochs, batches
        self.seen: list[Progress] = []

    def __call__(self) -> bool:
        if self.seen and self.seen[-1].epochs_done - self.seen[-1].epochs_resumed >= self.epochs:
            self.batches -= 1
        return self.batches < 0


def until_stopped(events: Iterator[tuple[int, Any]]) -> dict[int, Any]:
    """Outcomes of the runs that had ended when the training was stopped."""
    ended: dict[int, Any] = {}
    try:
        for index, outcome in events:
            ended[index] = outcome
    except Stopped:
        return ended
    raise AssertionError("it was not stopped")


def interrupted(
    configs: Sequence[RunConfig], folder: Path, epochs: int, batches: int = 1, **options: Any
) -> tuple[dict[int, Any], Progress]:
    """Outcomes of the runs that had ended, and the progress, when the training was stopped."""
    stop = Interruption(epochs, batches)
    options = {**HERE, "checkpoints": folder, "checkpoint_seconds": NEVER, "progress": stop.seen.append, **options}
    return until_stopped(train_each(configs, stop=stop, **options)), stop.seen[-1]


def saved_epochs(folder: Path) -> list[int]:
    return sorted(read_header(file).epoch for file in folder.iterdir())


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Every epoch that is trained, with the number of its members."""
    sizes: list[tuple[int, int]] = []
    train_epoch = PackTrainer.train_epoch

    def counted(self: PackTrainer, after_batch: Callable[[], None]) -> None:
        sizes.append((self.epoch, len(self.members)))
        train_epoch(self, after_batch)

    monkeypatch.setattr(PackTrainer, "train_epoch", counted)
    return sizes


@pytest.mark.parametrize(
    ("model", "batch_norm"),
    [
        pytest.param("mlp", False, marks=pytest.mark.slow),
        ("mlp", True),
        pytest.param("lenet5", True, marks=pytest.mark.slow),
    ],
)
def test_a_repeatedly_stopped_study_has_the_results_of_an_uninterrupted_one(
    model: str, batch_norm: bool, tmp_path: Path, only_fewer_digits: DataSet
) -> None:
    """Whole packs are stopped in the middle of epochs; runs that have ended are not submitted again."""
    study = of_model(STUDY if model == "mlp" else STUDY[: len(EVERY_KIND) + 4], model, batch_norm)
    expected = documents(train(study, **HERE))
    remaining, ended = dict(enumerate(study)), dict[int, Any]()
    for batches in (1, 2, 0, 3) if model == "mlp" else (2, 0):
        now_ended, _ = interrupted(list(remaining.values()), tmp_path, 2 * len(EVERY_KIND), batches)
        ended |= {list(remaining)[position]: outcome for position, outcome in now_ended.items()}
        remaining = {index: config for index, config in remaining.items() if index not in ended}
        assert saved_epochs(tmp_path)
    last = train(list(remaining.values()), checkpoints=tmp_path, **HERE)
    ended |= dict(zip(remaining, last, strict=True))
    assert documents([ended[index] for index in range(len(study))]) == expected


@functools.cache
def uninterrupted_study() -> list[dict[str, Any]]:
    return documents(train(STUDY, **HERE))


@pytest.mark.parametrize("pack_size", [1, 3])
def test_members_resume_in_other_packs(pack_size: int, tmp_path: Path, only_fewer_digits: DataSet) -> None:
    """Also in packs of one, and in another order."""
    expected = uninterrupted_study()
    interrupted(STUDY, tmp_path, 4 * len(EVERY_KIND))
    resumed = train(STUDY[::-1], checkpoints=tmp_path, pack_size=pack_size, **HERE)
    assert documents(resumed[::-1]) == expected


@pytest.mark.gpu
@pytest.mark.parametrize("model", ["mlp", "lenet5"])
def test_a_resumed_pack_on_a_gpu_has_the_results_of_an_uninterrupted_one(model: str, tmp_path: Path) -> None:
    """Its CUDA graph is captured again."""
    configs = of_model([longer(noise__std=0.5, seed=seed) for seed in range(4)], model, True)
    expected = documents(train(configs, device="cuda"))
    for _ in range(2):
        interrupted(configs, tmp_path, 2 * len(configs), device="cuda")
    assert saved_epochs(tmp_path) == [4] * len(configs)
    assert documents(train(configs, device="cuda", checkpoints=tmp_path)) == expected


def test_members_that_resume_at_a_later_epoch_wait_for_the_others(tmp_path: Path, sizes: list[tuple[int, int]]) -> None:
    """Three members resume after 2, 5 and 5 epochs; one has not begun."""
    configs = [longer(noise__std=0.5, seed=seed, evaluation__curve=True) for seed in range(4)]
    expected = documents(train(configs, **HERE))
    interrupted(configs[:1], tmp_path, 2)
    interrupted(configs[1:3], tmp_path, 2 * 5)
    assert saved_epochs(tmp_path) == [2, 5, 5]
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


def test_a_completed_training_resumes_with_its_inference_only_evaluations(
    tmp_path: Path, sizes: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training is stopped between inference-only runs. Some have ended; the others resume."""
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
    assert saved_epochs(tmp_path) == [EPOCHS, EPOCHS]
    sizes.clear()
    remaining = [index for index in range(len(study)) if index not in ended]
    resumed = train([study[index] for index in remaining], checkpoints=tmp_path, **HERE)
    assert sizes == []
    ended |= dict(zip(remaining, resumed, strict=True))
    assert documents([ended[index] for index in range(len(study))]) == expected


def test_a_diverged_run_is_fast_forwarded_again_after_resuming(tmp_path: Path) -> None:
    """It is stopped in the epoch in which it diverges, and while its remaining epochs are fast-forwarded."""
    diverging = longer(noise__kind="multiplicative", noise__std=1e20, evaluation__curve=True)
    expected = documents(train([diverging, EVERY_KIND[0]], **HERE))
    for batches in (1, 3, 4, 7, 11):
        folder = tmp_path / f"{batches}"
        interrupted([diverging], folder, 0, batches)
        assert saved_epochs(folder) == ([1] if batches >= 4 else []) if folder.exists() else batches < 4
        assert documents(train([diverging, EVERY_KIND[0]], checkpoints=folder, **HERE)) == expected


def test_progress_counts_resumed_and_saved_epochs(tmp_path: Path) -> None:
    configs = [longer(noise__std=0.5, seed=seed) for seed in range(3)]
    _, progress = interrupted(configs, tmp_path, 3 * 2)
    assert (progress.epochs_done, progress.epochs_resumed, progress.epochs_kept) == (6, 0, 6)
    _, progress = interrupted([*configs, longer(noise__std=0.5, seed=3)], tmp_path, 3)
    assert (progress.epochs_done, progress.epochs_resumed, progress.epochs_kept) == (12, 6, 12)
    seen: list[Progress] = []
    train(configs, checkpoints=tmp_path, progress=seen.append, **HERE)
    assert [seen[position].epochs_resumed for position in (1, -1)] == [3 * 3, 3 * 3]
    assert (seen[-1].epochs_done, seen[-1].epochs_kept) == (3 * EPOCHS, 3 * EPOCHS)
    assert all(one.epochs_resumed <= one.epochs_kept <= one.epochs_done for one in seen[1:])


def test_without_checkpoints_epochs_are_saved_only_in_results() -> None:
    seen: list[Progress] = []
    train([longer(), longer(noise__std=0.5, noise__in_training=False)], progress=seen.append, **HERE)
    assert [one.runs_done for one in seen if one.epochs_kept] == [2]
    assert (seen[-1].epochs_resumed, seen[-1].epochs_kept) == (0, EPOCHS)


def test_a_cached_network_counts_as_resumed(tmp_path: Path) -> None:
    train([longer()], networks=tmp_path, **HERE)
    seen: list[Progress] = []
    train([longer()], networks=tmp_path, progress=seen.append, **HERE)
    assert (seen[-1].epochs_done, seen[-1].epochs_resumed, seen[-1].epochs_kept) == (EPOCHS,) * 3


def test_a_network_stored_in_the_cache_needs_no_final_checkpoint(tmp_path: Path) -> None:
    checkpoints, networks = tmp_path / "checkpoints", tmp_path / "networks"
    study = [longer(noise__std=0.5, noise__in_training=False)]
    list(train_each(study, checkpoints=checkpoints, networks=networks, **HERE))
    assert not checkpoints.exists()
    list(train_each(study, checkpoints=checkpoints, **HERE))
    assert saved_epochs(checkpoints) == [EPOCHS]


def test_a_checkpoint_without_a_curve_is_unusable_for_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    interrupted([longer()], tmp_path, 3)
    (with_curve,) = train([longer(evaluation__curve=True)], checkpoints=tmp_path, **HERE)
    assert documents([with_curve]) == documents(train([longer(evaluation__curve=True)], **HERE))
    (line,) = caplog.messages
    assert line == (
        f"starting 1 of 1 trainings from the beginning, each because its checkpoint in {tmp_path} cannot be used: "
        "it has no validation curve, which this run records"
    )
    interrupted([longer(evaluation__curve=True)], tmp_path, 3)
    (without,) = train([longer()], checkpoints=tmp_path, **HERE)
    assert documents([without]) == documents(train([longer()], **HERE))
    assert len(caplog.messages) == 1


def test_completed_epochs_are_saved_when_the_callers_callback_fails(tmp_path: Path) -> None:
    def broken(progress: Progress) -> None:
        if progress.epochs_done == 3:
            raise KeyError("the caller's")

    with pytest.raises(KeyError, match="the caller's"):
        train([longer()], checkpoints=tmp_path, progress=broken, **HERE)
    assert saved_epochs(tmp_path) == [3]


def test_the_halves_of_a_failed_pack_resume_from_checkpoints(
    tmp_path: Path, sizes: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One member fails in its fifth epoch."""
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
    ended = outcomes(configs, checkpoints=tmp_path, checkpoint_seconds=0, progress=seen.append)
    assert documents([*ended[:2], ended[3]]) == expected
    assert ended[2] == Failure("ZeroDivisionError: fault", vars(ended[2])["trace"])
    assert [epoch for epoch, _ in sizes] == [0, 1, 2, 3, 4, *[4, 5, 6], 4, 4, 4, *[4, 5, 6]]
    assert (seen[-1].runs_done, seen[-1].epochs_done, seen[-1].epochs_kept) == (4, 4 * EPOCHS, 3 * EPOCHS)

"""Running packs: results in the order asked, failures that stay alone, progress, and stopping."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from walking_noise import (
    DataMissing,
    Failure,
    Progress,
    Result,
    RunConfig,
    RunsFailed,
    Stopped,
    WalkingNoiseError,
    job,
    train,
    train_each,
)
from walking_noise.data import DataSet
from walking_noise.networks import Networks
from walking_noise.noise import noise_kinds
from walking_noise.training import Trained, train_pack

HERE: dict[str, Any] = {"device": "cpu", "lanes": 1}


def run(**settings: Any) -> RunConfig:
    dotted = {name.replace("__", "."): value for name, value in settings.items()}
    return RunConfig.from_dict({"training.epochs": 2, **dotted})


def outcomes(configs: Sequence[RunConfig], **how: Any) -> list[Result | Failure]:
    """What every run ended with, each once, in the order of the runs."""
    found = list(train_each(configs, **{**HERE, **how}))
    assert sorted(index for index, _ in found) == list(range(len(configs)))
    return [outcome for _, outcome in sorted(found, key=lambda one: one[0])]


def numbers(result: Result | Failure) -> dict[str, Any]:
    """A result without what depends on its company."""
    assert isinstance(result, Result)
    return {name: value for name, value in vars(result).items() if name not in ("seconds", "pack_size")}


@pytest.fixture(autouse=True)
def few(only_digits: DataSet) -> DataSet:
    return only_digits


@pytest.fixture
def trained_packs(monkeypatch: pytest.MonkeyPatch) -> list[list[RunConfig]]:
    """The packs that are trained from now on."""
    packs: list[list[RunConfig]] = []

    def counted(configs: Sequence[RunConfig], *more: Any, **how: Any) -> list[Trained]:
        packs.append(list(configs))
        return train_pack(configs, *more, **how)

    monkeypatch.setattr(job, "train_pack", counted)
    return packs


VARIED = [
    run(noise__std=0.5),
    run(noise__std=0.5, model__batch_norm=True),
    run(noise__std=0.5, noise__in_training=False, seed=1),
    run(noise__kind="multiplicative", noise__std=0.5, training__learning_rate=5e-3),
    run(noise__std=0.5),
    run(noise__kind="none", seed=1),
    run(noise__std=1.0, model__batch_norm=True, training__weight_clamp=0.1),
    run(noise__std=0.5, training__epochs=3),
]


@pytest.mark.parametrize("pack_size", [None, 1, 2])
def test_results_come_in_the_order_asked_and_are_those_of_each_run_alone(pack_size: int | None) -> None:
    alone = [train([config], **HERE)[0] for config in VARIED]
    together = train(VARIED, pack_size=pack_size, **HERE)
    assert [numbers(result) for result in together] == [numbers(result) for result in alone]
    assert len({str(numbers(result)) for result in alone}) == len(VARIED) - 1
    backwards = train(VARIED[::-1], pack_size=pack_size, **HERE)
    assert [numbers(result) for result in backwards[::-1]] == [numbers(result) for result in alone]


def test_what_a_result_tells(few: DataSet) -> None:
    results = train(VARIED, **HERE)
    assert [result.epochs for result in results] == [2] * 7 + [3]
    assert [result.pack_size for result in results] == [3, 2, 3, 3, 3, 3, 2, 1]
    for result, config in zip(results, VARIED, strict=True):
        assert result.outcome == "trained"
        assert result.points == [point.name for point in config.points]
        assert result.floor == few.floor
        assert result.device == "cpu"
        assert result.provenance["data_checksum"] == few.checksum
        assert result.seconds > 0
        assert result.accuracy == sum(result.last_accuracies) / len(result.last_accuracies)
        assert len(result.last_accuracies) == (1 if not config.noise.in_training else config.training.epochs)
        assert len(result.training_loss) == config.training.epochs


def test_no_runs_have_no_results() -> None:
    assert train([], **HERE) == []


@pytest.mark.parametrize("how", [{"pack_size": -1}, {"pack_size": 0}, {"lanes": -1}, {"lanes": 0}])
def test_sizes_that_make_no_sense_are_refused(how: dict[str, int]) -> None:
    ((name, value),) = how.items()
    with pytest.raises((ValueError, WalkingNoiseError), match=rf"{name}.*{value}"):
        train([run(), run(seed=1)], **{**HERE, **how})


GRID = [
    run(noise__point=point, noise__std=std, noise__in_training=False, model__batch_norm=True)
    for point in range(11)
    for std in (0.0, 0.5, 1e4)
]


def test_a_grid_of_noise_at_inference_trains_once(trained_packs: list[list[RunConfig]]) -> None:
    seen: list[Progress] = []
    results = train(GRID, progress=seen.append, **HERE)
    assert trained_packs == [[run(noise__kind="none", model__batch_norm=True)]]
    assert (seen[-1].epochs_done, seen[-1].epochs_total) == (2, 2)
    assert (seen[-1].runs_done, seen[-1].runs_total) == (33, 33)
    for index in range(0, 33, 4):
        assert numbers(results[index]) == numbers(train([GRID[index]], **HERE)[0])
    clean = [numbers(results[index]) for index in range(0, 33, 3)]
    assert clean == [clean[0]] * 11
    assert len({result.accuracy for result in results}) > 10


def test_noise_at_inference_meets_the_trained_network() -> None:
    """Noise too small to matter leaves the accuracy of the last epoch."""
    settings: dict[str, Any] = {"training__epochs": 8, "training__learning_rate": 1e-2}
    runs = [run(seed=seed, **settings) for seed in range(2)]
    runs += [run(seed=seed, noise__std=1e-9, noise__in_training=False, **settings) for seed in range(2)]
    first, second, noisy_first, noisy_second = train(runs, **HERE)
    assert min(first.accuracy, second.accuracy) > 0.5
    assert noisy_first.last_accuracies == first.last_accuracies[-1:]
    assert noisy_second.last_accuracies == second.last_accuracies[-1:]
    assert noisy_first.last_accuracies != noisy_second.last_accuracies


def test_equal_runs_are_trained_once_and_all_have_the_result(trained_packs: list[list[RunConfig]]) -> None:
    same = [run(noise__std=0.5), run(noise__std=[0.5] * 8, noise__point="mapped"), run(noise__std=0.5, noise__seed=0)]
    first, *others = train(same, **HERE)
    assert trained_packs == [[same[0]]]
    assert [numbers(other) for other in others] == [numbers(first)] * 2


def test_a_curve_for_one_of_two_equal_runs() -> None:
    without, with_curve = train([run(), run(evaluation__curve=True)], **HERE)
    assert without.validation_curve is None
    assert with_curve.validation_curve == with_curve.last_accuracies == without.last_accuracies


def test_networks_are_trained_once_for_all_calls(tmp_path: Path, trained_packs: list[list[RunConfig]]) -> None:
    grid = [*GRID[:6], run(noise__std=0.5, model__batch_norm=True)]
    first = train(grid, networks=tmp_path, **HERE)
    assert [len(pack) for pack in trained_packs] == [2]
    seen: list[Progress] = []
    again = train([*grid, GRID[10]], networks=tmp_path, progress=seen.append, **HERE)
    assert trained_packs[1:] == [[grid[-1]]]
    assert [numbers(result) for result in again[:-1]] == [numbers(result) for result in first]
    assert numbers(again[-1]) == numbers(train([GRID[10]], **HERE)[0])
    assert (seen[-1].epochs_done, seen[-1].epochs_total) == (4, 4)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_damaged_network_is_trained_anew_and_replaced(tmp_path: Path, trained_packs: list[list[RunConfig]]) -> None:
    (first,) = train(GRID[:1], networks=tmp_path, **HERE)
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"not a network")
    for trainings in (2, 2):
        (again,) = train(GRID[:1], networks=tmp_path, **HERE)
        assert numbers(again) == numbers(first)
        assert len(trained_packs) == trainings
    assert Networks(tmp_path, torch.device("cpu")).load(GRID[0]) is not None


def test_missing_data_fail_every_run_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing(name: str, transform: str, root: Any) -> DataSet:
        raise DataMissing(
            f"data set {name}: train-labels missing in {root}; get it with: walking-noise data get {name}"
        )

    monkeypatch.setattr("walking_noise.data.load", missing)
    configs = [run(data__name="mnist", seed=seed, noise__std=0.1) for seed in range(3)]
    line = f"data set mnist: train-labels missing in {tmp_path}; get it with: walking-noise data get mnist"
    assert outcomes(configs, data_root=tmp_path) == [Failure(line)] * 3
    with pytest.raises(RunsFailed, match=r"^3 of 3 runs failed; the first: data set mnist"):
        train(configs, data_root=tmp_path, **HERE)


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> dict[int, Exception]:
    """The faults, by the run's seed, that its training now raises."""
    faults: dict[int, Exception] = {}

    def with_faults(configs: Sequence[RunConfig], *more: Any, **how: Any) -> list[Trained]:
        trained = train_pack(configs, *more, **how)
        for config in configs:
            if config.seed in faults:
                raise faults[config.seed]
        return trained

    monkeypatch.setattr(job, "train_pack", with_faults)
    return faults


@pytest.mark.parametrize("bad", [{0}, {6}, {2, 3}, set(range(7))])
def test_a_failing_run_fails_alone(bad: set[int], faulty: dict[int, Exception]) -> None:
    faulty |= {seed: ZeroDivisionError(f"fault of seed {seed}") for seed in bad}
    configs = [run(noise__std=0.5, seed=seed) for seed in range(7)]
    alone = {seed: numbers(train([configs[seed]], **HERE)[0]) for seed in set(range(7)) - bad}
    for seed, outcome in enumerate(outcomes(configs)):
        if seed in bad:
            assert isinstance(outcome, Failure)
            assert outcome.error == f"ZeroDivisionError: fault of seed {seed}"
            assert "Traceback" in outcome.trace
            assert "with_faults" in outcome.trace
        else:
            assert numbers(outcome) == alone[seed]


def test_what_train_raises_has_the_results_of_the_others(faulty: dict[int, Exception]) -> None:
    faulty[1] = ZeroDivisionError("fault")
    with pytest.raises(RunsFailed, match=r"^1 of 3 runs failed; the first: ZeroDivisionError: fault$") as failed:
        train([run(noise__std=0.5, seed=seed) for seed in range(3)], **HERE)
    assert [type(outcome) for outcome in failed.value.outcomes] == [Result, Failure, Result]
    assert isinstance(failed.value, WalkingNoiseError)


def test_an_error_of_many_lines_is_told_in_one(faulty: dict[int, Exception]) -> None:
    faulty[0] = RuntimeError("something broke\n  in C++\n  far below")
    (failure,) = outcomes([run(noise__std=0.5)])
    assert isinstance(failure, Failure)
    assert "\n" not in failure.error
    assert "far below" in failure.trace


@pytest.mark.parametrize("fitting", [1, 2, 3])
def test_a_pack_that_does_not_fit_is_halved(fitting: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def of_little_memory(configs: Sequence[RunConfig], *more: Any, **how: Any) -> list[Trained]:
        sizes.append(len(configs))
        if len(configs) > fitting:
            raise RuntimeError("out of memory")
        return train_pack(configs, *more, **how)

    configs = [run(noise__std=0.5, seed=seed) for seed in range(8)]
    alone = [numbers(result) for result in train(configs, pack_size=1, **HERE)]
    monkeypatch.setattr(job, "train_pack", of_little_memory)
    found = outcomes(configs)
    assert [numbers(outcome) for outcome in found] == alone
    assert sizes[:2] == [8, 4]
    assert sum(size for size in sizes if size <= fitting) == 8


def test_a_shared_training_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = 0

    def fails_once(configs: Sequence[RunConfig], *more: Any, **how: Any) -> list[Trained]:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise RuntimeError("a passing fault")
        return train_pack(configs, *more, **how)

    monkeypatch.setattr(job, "train_pack", fails_once)
    assert {type(outcome) for outcome in outcomes(GRID[:6])} == {Result}


def test_a_shared_training_that_keeps_failing_is_named_by_all_who_need_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*more: Any, **how: Any) -> list[Trained]:
        raise RuntimeError("a lasting fault")

    monkeypatch.setattr(job, "train_pack", fails)
    shared = [run(), run(noise__std=0.5, noise__in_training=False)]
    network = f"the network that 2 runs share (training key {shared[0].training_key})"
    assert [cast(Failure, outcome).error for outcome in outcomes(shared)] == [
        f"{network} failed: RuntimeError: a lasting fault"
    ] * 2


def test_runs_that_share_a_network_fail_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in the noise of one run at inference is not that of the others on its network."""
    kind = noise_kinds()["additive"]

    def broken(out: torch.Tensor, std: float, generator: torch.Generator) -> None:
        raise ZeroDivisionError("fault")

    faulty = type(kind)("faulty", kind.settings, kind.levels, broken)
    monkeypatch.setitem(noise_kinds(), "faulty", faulty)
    shared = [run(), run(noise__std=0.5, noise__in_training=False)]
    sick = run(noise__kind="faulty", noise__std=0.5, noise__in_training=False)
    assert [type(outcome) for outcome in outcomes([*shared, sick])] == [Result, Result, Failure]


def test_progress_is_told_epoch_by_epoch_and_run_by_run() -> None:
    seen: list[Progress] = []
    train(VARIED, progress=seen.append, pack_size=2, **HERE)
    assert {(one.runs_total, one.epochs_total) for one in seen} == {(8, 4 * 2 + 2 * 2 - 2 + 3)}
    assert (seen[-1].runs_done, seen[-1].epochs_done) == (8, seen[-1].epochs_total)
    for name in ("runs_done", "epochs_done", "seconds"):
        values = [getattr(one, name) for one in seen]
        assert values == sorted(values)
    assert {one.epochs_done for one in seen} >= {2, 4}


@pytest.mark.parametrize("bad", [{1}, {0, 1, 2, 3}])
def test_progress_ends_at_its_total_when_runs_fail(bad: set[int], faulty: dict[int, Exception]) -> None:
    faulty |= {seed: ZeroDivisionError("fault") for seed in bad}
    seen: list[Progress] = []
    outcomes([run(noise__std=0.5, seed=seed) for seed in range(4)], progress=seen.append)
    assert (seen[-1].runs_done, seen[-1].epochs_done) == (4, 8)


def test_results_come_as_packs_are_done() -> None:
    done: list[int] = []
    finished = train_each(VARIED, progress=lambda progress: done.append(progress.epochs_done), pack_size=1, **HERE)
    next(finished)
    assert done[-1] == 2


def test_a_stop_is_heeded_between_batches(few: DataSet) -> None:
    polls = 0

    def stop() -> bool:
        nonlocal polls
        polls += 1
        return polls == 8

    finished = train_each([run(noise__std=0.5), run(noise__std=0.5, training__epochs=500)], stop=stop, **HERE)
    index, _ = next(finished)
    assert index == 0
    started = time.monotonic()
    with pytest.raises(Stopped):
        next(finished)
    assert polls == 8
    assert time.monotonic() - started < 2


def test_a_stop_before_the_first_batch() -> None:
    with pytest.raises(Stopped):
        train([run(noise__std=0.5)], stop=lambda: True, **HERE)


def test_a_run_uses_one_thread_and_gives_back_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sum's last bit depends on how many threads share it."""
    during: list[int] = []
    torch.set_num_threads(2)
    try:
        train([run()], progress=lambda _: during.append(torch.get_num_threads()), **HERE)
        assert during[0] == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_a_last_batch_of_one_sample_is_no_riddle(few: DataSet) -> None:
    """BatchNorm cannot train on it: what is wrong is said in the words of the settings."""
    size = len(few.train_labels) - 1
    (failure,) = outcomes([run(model__batch_norm=True, training__batch_size=size)])
    assert isinstance(failure, Failure)
    assert "training.batch_size" in failure.error
    assert isinstance(outcomes([run(training__batch_size=size)])[0], Result)


def test_an_error_of_the_callers_stop_is_not_a_packs() -> None:
    def broken() -> bool:
        raise ConnectionError("the database is gone")

    with pytest.raises(ConnectionError, match="the database is gone"):
        train([run(seed=seed) for seed in range(4)], stop=broken, **HERE)


def test_a_callers_own_error_reaches_the_caller() -> None:
    told: list[Progress] = []

    def broken(progress: Progress) -> None:
        told.append(progress)
        if len(told) == 1:
            raise KeyError("the caller's")

    with pytest.raises(KeyError, match="the caller's"):
        train([run()], progress=broken, **HERE)


def test_the_callers_random_numbers_are_left_alone() -> None:
    before = torch.random.get_rng_state()
    train(VARIED, **HERE)
    assert torch.equal(torch.random.get_rng_state(), before)

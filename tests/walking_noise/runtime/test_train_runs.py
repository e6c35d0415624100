"""train() and train_each(): order of results, isolated failures, progress, and stopping."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from tests.walking_noise.running import GRID, HERE, SingleRuns, numbers, outcomes, run
from walking_noise import (
    ConfigError,
    DataMissing,
    Failure,
    Progress,
    Result,
    RunConfig,
    RunsFailed,
    Stopped,
    WalkingNoiseError,
    train,
    train_each,
)
from walking_noise.data import DataSet
from walking_noise.noise import noise_kinds
from walking_noise.runtime import executor
from walking_noise.runtime.inference_only import InferenceOnlyEvaluation
from walking_noise.training.member import TrainedNetwork
from walking_noise.training.trainer import train_pack


@pytest.fixture(autouse=True)
def few(only_fewer_digits: DataSet) -> DataSet:
    return only_fewer_digits


single_runs = SingleRuns()
VARIED = [
    run(noise__std=0.5),
    run(noise__std=0.5, model__batch_norm=True),
    run(noise__std=0.5, noise__in_training=False, seed=1),
    run(noise__kind="multiplicative", noise__std=0.5, training__learning_rate=5e-3),
    run(noise__std=0.5),
    run(noise__kind="none", seed=1),
    run(noise__std=1.0, model__batch_norm=True, training__weight_clamp=0.1, training__weight_decay=0.5),
    run(noise__std=0.5, training__epochs=3),
]


def test_a_study_of_learning_rates_trains_in_a_pack_for_each_rate() -> None:
    configs = [
        run(noise__std=0.5, training__learning_rate=rate, seed=seed) for seed in (0, 1) for rate in (1e-4, 1e-3, 1e-2)
    ]
    results = train(configs, **HERE)
    assert [result.pack_size for result in results] == [2] * len(configs)
    single = [train([config], **HERE)[0] for config in configs]
    assert [numbers(result) for result in results] == [numbers(result) for result in single]
    assert len({str(result.training_loss) for result in results}) == len(configs)


@pytest.mark.parametrize("pack_size", [None, pytest.param(1, marks=pytest.mark.slow), 2])
def test_results_are_in_the_order_of_the_runs_and_equal_those_of_single_runs(pack_size: int | None) -> None:
    single = single_runs(VARIED)
    packed = train(VARIED, pack_size=pack_size, **HERE)
    assert [numbers(result) for result in packed] == single
    assert len({str(each) for each in single}) == len(VARIED) - 1
    backwards = train(VARIED[::-1], pack_size=pack_size, **HERE)
    assert [numbers(result) for result in backwards[::-1]] == single


def test_fields_of_a_result(few: DataSet) -> None:
    results = train(VARIED, **HERE)
    assert [result.epochs for result in results] == [2] * 7 + [3]
    assert [result.pack_size for result in results] == [1, 2, 1, 1, 1, 1, 2, 1]
    for result, config in zip(results, VARIED, strict=True):
        assert result.outcome == "trained"
        assert result.points == list(config.points)
        assert result.floor == few.chance_accuracy
        assert result.device == "cpu"
        assert result.provenance["data_checksum"] == few.checksum
        assert result.seconds > 0
        assert result.accuracy == sum(result.last_accuracies) / len(result.last_accuracies)
        assert len(result.last_accuracies) == (1 if not config.noise.in_training else config.training.epochs)
        assert len(result.training_loss) == config.training.epochs


def test_no_runs_have_no_results() -> None:
    assert train([], **HERE) == []


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match="unknown option 'pack_sise'; known options: device, data_root, pack_size"):
        train([RunConfig()], pack_sise=3, **HERE)  # type: ignore[call-arg]


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_missing_device_is_refused(device: str) -> None:
    with pytest.raises(ConfigError, match=f"device: '{device}' is refused; this machine has no such device"):
        train([RunConfig()], device=device)


@pytest.mark.parametrize("options", [{"pack_size": -1}, {"pack_size": 0}, {"processes": -1}, {"processes": 0}])
def test_bad_numbers_are_refused(options: dict[str, int]) -> None:
    ((name, value),) = options.items()
    with pytest.raises((ValueError, WalkingNoiseError), match=rf"{name}.*{value}"):
        train([run(), run(seed=1)], **{**HERE, **options})


def test_missing_data_fail_every_run_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    loaded: list[str] = []

    def missing(name: str, root: Path, **settings: Any) -> DataSet:
        loaded.append(name)
        raise DataMissing(
            f"data set {name}: train-labels missing in {root}; get it with: walking-noise data get {name}"
        )

    monkeypatch.setattr("walking_noise.data.load", missing)
    configs = [run(data__name="mnist", seed=seed, noise__std=0.1) for seed in range(3)]
    line = f"data set mnist: train-labels missing in {tmp_path}; get it with: walking-noise data get mnist"
    assert outcomes(configs, data_root=tmp_path) == [Failure(line)] * 3
    assert loaded == ["mnist"], "once, since it takes long to find damage among many recordings"
    with pytest.raises(RunsFailed, match=r"^3 of 3 runs failed; the first: data set mnist"):
        train(configs, data_root=tmp_path, **HERE)


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> dict[int, Exception]:
    """Exceptions to be raised by trainings, by the seed of a run."""
    faults: dict[int, Exception] = {}

    def with_faults(configs: Sequence[RunConfig], *args: Any, **kwargs: Any) -> list[TrainedNetwork]:
        trained = train_pack(configs, *args, **kwargs)
        for config in configs:
            if config.seed in faults:
                raise faults[config.seed]
        return trained

    monkeypatch.setattr(executor, "train_pack", with_faults)
    return faults


@pytest.mark.parametrize("bad", [{0}, pytest.param({6}, marks=pytest.mark.slow), {2, 3}, set(range(7))])
def test_a_failing_run_does_not_affect_the_others(bad: set[int], faulty: dict[int, Exception]) -> None:
    faulty |= {seed: ZeroDivisionError(f"fault of seed {seed}") for seed in bad}
    configs = [run(noise__std=0.5, seed=seed) for seed in range(7)]
    good = sorted(set(range(7)) - bad)
    single = dict(zip(good, single_runs([configs[seed] for seed in good]), strict=True))
    for seed, outcome in enumerate(outcomes(configs)):
        if seed in bad:
            assert isinstance(outcome, Failure)
            assert outcome.error == f"ZeroDivisionError: fault of seed {seed}"
            assert "Traceback" in outcome.trace
            assert "with_faults" in outcome.trace
        else:
            assert numbers(outcome) == single[seed]


def test_the_error_of_train_has_the_results_of_the_other_runs(faulty: dict[int, Exception]) -> None:
    faulty[1] = ZeroDivisionError("fault")
    with pytest.raises(RunsFailed, match=r"^1 of 3 runs failed; the first: ZeroDivisionError: fault$") as failed:
        train([run(noise__std=0.5, seed=seed) for seed in range(3)], **HERE)
    assert [type(outcome) for outcome in failed.value.outcomes] == [Result, Failure, Result]
    assert isinstance(failed.value, WalkingNoiseError)


def test_an_error_of_many_lines_is_shortened_to_one(faulty: dict[int, Exception]) -> None:
    faulty[0] = RuntimeError("something broke\n  in C++\n  at a deep level")
    (failure,) = outcomes([run(noise__std=0.5)])
    assert isinstance(failure, Failure)
    assert "\n" not in failure.error
    assert "at a deep level" in failure.trace


@pytest.mark.parametrize("fitting", [1, pytest.param(2, marks=pytest.mark.slow), 3])
def test_a_pack_that_does_not_fit_in_memory_is_halved(fitting: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def limited(configs: Sequence[RunConfig], *args: Any, **kwargs: Any) -> list[TrainedNetwork]:
        sizes.append(len(configs))
        if len(configs) > fitting:
            raise RuntimeError("out of memory")
        return train_pack(configs, *args, **kwargs)

    configs = [run(noise__std=0.5, seed=seed) for seed in range(8)]
    single = single_runs(configs)
    monkeypatch.setattr(executor, "train_pack", limited)
    ended = outcomes(configs)
    assert [numbers(outcome) for outcome in ended] == single
    assert sizes[:2] == [8, 4]
    assert sum(size for size in sizes if size <= fitting) == 8


def test_a_shared_training_that_fails_is_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = 0

    def fails_once(configs: Sequence[RunConfig], *args: Any, **kwargs: Any) -> list[TrainedNetwork]:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise RuntimeError("a temporary fault")
        return train_pack(configs, *args, **kwargs)

    monkeypatch.setattr(executor, "train_pack", fails_once)
    assert {type(outcome) for outcome in outcomes(GRID[:6])} == {Result}


def test_a_shared_training_that_fails_again_is_named_by_its_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: Any, **kwargs: Any) -> list[TrainedNetwork]:
        raise RuntimeError("a permanent fault")

    monkeypatch.setattr(executor, "train_pack", fails)
    shared = [run(), run(noise__std=0.5, noise__in_training=False)]
    network = f"the network that 2 runs share (training key {shared[0].training_key})"
    assert [cast(Failure, outcome).error for outcome in outcomes(shared)] == [
        f"{network} failed: RuntimeError: a permanent fault"
    ] * 2


def test_a_failing_evaluation_does_not_affect_other_runs_on_its_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The noise of one run at inference raises an exception."""
    kind = noise_kinds()["additive"]

    def broken(out: torch.Tensor, generator: torch.Generator) -> None:
        raise ZeroDivisionError("fault")

    faulty = type(kind)("faulty", kind.settings, kind.levels, broken)
    monkeypatch.setitem(noise_kinds(), "faulty", faulty)
    shared = [run(), run(noise__std=0.5, noise__in_training=False)]
    failing = run(noise__kind="faulty", noise__std=0.5, noise__in_training=False)
    assert [type(outcome) for outcome in outcomes([*shared, failing])] == [Result, Result, Failure]


@pytest.mark.parametrize("pack_size", [None, 1])
def test_results_yielded_before_a_pack_failed_are_not_yielded_again(
    pack_size: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An inference-only evaluation fails, after other evaluations and the runs trained with noise have ended."""
    study = [*GRID[:9], run(noise__std=0.5, noise__point=3, model__batch_norm=True)]
    expected = [numbers(result) for result in train(study, **HERE)]
    monkeypatch.setattr(executor, "GROUPS_PER_REPORT", 1)
    monkeypatch.setattr("walking_noise.runtime.sizing.capacity.evaluation_group_size", lambda config, device: 2)
    evaluate, calls = InferenceOnlyEvaluation.evaluate, iter([None, None, RuntimeError("a temporary fault")])

    def faulty(*args: Any) -> Any:
        fault = next(calls, None)
        if fault is not None:
            raise fault
        return evaluate(*args)

    monkeypatch.setattr(InferenceOnlyEvaluation, "evaluate", faulty)
    seen: list[Progress] = []
    assert [numbers(outcome) for outcome in outcomes(study, pack_size=pack_size, progress=seen.append)] == expected
    assert (seen[-1].runs_done, seen[-1].epochs_done, seen[-1].epochs_kept) == (10, 4, 4)
    assert next(calls, None) is None


def test_the_time_of_a_pack_is_divided_among_its_runs() -> None:
    started = time.monotonic()
    results = train(GRID[:9], **HERE)
    seconds = time.monotonic() - started
    assert 0.5 * seconds < sum(result.seconds for result in results) <= seconds
    assert [result.seconds > results[0].seconds for result in results] == [config.noisy for config in GRID[:9]]


def test_progress_is_reported_after_each_epoch_and_run() -> None:
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


def test_results_are_yielded_as_packs_end() -> None:
    done: list[int] = []
    finished = train_each(VARIED, progress=lambda progress: done.append(progress.epochs_done), pack_size=1, **HERE)
    next(finished)
    assert done[-1] == 2


def test_training_stops_between_batches(few: DataSet) -> None:
    polls = 0

    def stop() -> bool:
        nonlocal polls
        polls += 1
        return polls == 12

    finished = train_each([run(noise__std=0.5), run(noise__std=0.5, training__epochs=500)], stop=stop, **HERE)
    index, _ = next(finished)
    assert index == 0
    started = time.monotonic()
    with pytest.raises(Stopped):
        next(finished)
    assert polls == 12
    assert time.monotonic() - started < 10


def test_a_stop_before_the_first_batch() -> None:
    with pytest.raises(Stopped):
        train([run(noise__std=0.5)], stop=lambda: True, **HERE)


def test_a_run_uses_one_thread_and_restores_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last bit of a sum depends on the number of threads that compute it."""
    during: list[int] = []

    def after_batch() -> bool:
        during.append(torch.get_num_threads())
        return False

    torch.set_num_threads(2)
    try:
        train([run()], stop=after_batch, **HERE)
        assert set(during) == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_a_last_batch_of_one_sample_is_refused_with_batch_norm(few: DataSet) -> None:
    """The message names the setting."""
    size = len(few.train_labels) - 1
    (failure,) = outcomes([run(model__batch_norm=True, training__batch_size=size)])
    assert isinstance(failure, Failure)
    assert "training.batch_size" in failure.error
    assert isinstance(outcomes([run(training__batch_size=size)])[0], Result)


def test_an_exception_of_the_stop_callback_is_raised() -> None:
    def broken() -> bool:
        raise ConnectionError("the database is gone")

    with pytest.raises(ConnectionError, match="the database is gone"):
        train([run(seed=seed) for seed in range(4)], stop=broken, **HERE)


def test_an_exception_of_the_progress_callback_is_raised() -> None:
    reports: list[Progress] = []

    def broken(progress: Progress) -> None:
        reports.append(progress)
        if len(reports) == 1:
            raise KeyError("the caller's")

    with pytest.raises(KeyError, match="the caller's"):
        train([run()], progress=broken, **HERE)


def test_the_global_random_numbers_are_unchanged_by_train() -> None:
    before = torch.random.get_rng_state()
    train(VARIED, **HERE)
    assert torch.equal(torch.random.get_rng_state(), before)

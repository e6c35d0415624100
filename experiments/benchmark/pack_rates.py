"""Measurement of the speed at which this device trains and evaluates each kind of pack.

The inputs are random and have the shape of the data set, so that no data set has to be present; augmentation is not
measured. A pack is composed as in most studies: runs of one seed, with all levels at one point, then all levels at
the next point. Here each run has multiplicative and additive noise. On a CPU, one process per core measures at the same
time, just like the processes of a worker. Before a kind is timed, its loss in a pack and its noise are checked.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from experiments.benchmark.timed_processes import run_at_the_same_time, wait_for_all
from experiments.errors import UserError
from experiments.plan.throughput import Device, Kind, Rate
from experiments.terminal.text_table import in_words
from walking_noise import RunConfig, Stopped
from walking_noise.checkpoints.provenance import device_name
from walking_noise.data import DataSet
from walking_noise.data.speech.speech_transforms import StoredFeatures
from walking_noise.evaluation.evaluator import evaluate
from walking_noise.evaluation.shared_prefix import BLOCK
from walking_noise.noise.audit import mismatch
from walking_noise.pack.pack import Pack
from walking_noise.reproducibility import deterministic
from walking_noise.runtime.sizing import capacity
from walking_noise.training.trainer import train_pack

STUDIED = (
    ("mnist", "mlp"),
    ("mnist", "lenet5"),
    ("cifar10", "mlp"),
    ("cifar10", "lenet5"),
    ("gsc", "mlp"),
    ("gsc", "cnn_s"),
)
"""Data sets and models with different packs; Fashion-MNIST has the packs of MNIST, and SVHN those of CIFAR-10."""
BATCH_SIZES = {"gsc": 512}
"""Batch size of training where it is not the default, by data set."""
LEVELS = 41
"""Number of levels of a walking study at each point."""
ROUNDS = 3
STEPS = 16
"""Training steps of an epoch of the random data."""
SECONDS = 0.5
"""Least duration of a round."""
CHECKED_STEPS = 2
TOLERANCE = 1e-3
"""Largest relative difference of the losses of a run in a pack and by itself. On a GPU the order of sums depends on the
size of the pack."""


def measure_device(device: torch.device, configs: Iterable[RunConfig]) -> Device:
    """Measure and print the speed of the kind of pack of each of the runs.

    Raise :class:`UserError` if a pack computes something else than its runs by themselves, or a process has died.
    """
    name, processes = device_in_words(device), capacity.worker_processes(device)
    print(f"{name}: {in_words(processes, 'pack')} in parallel; speed per run in packs of the default size:", flush=True)
    rates = []
    for config in configs:
        check(config, device)
        rate = _combined(config, device, run_at_the_same_time(processes, _rounds, config, device))
        rates.append(rate)
        step = f"step {rate.step_seconds * 1e6:9,.1f} µs ± {rate.spread / 2:3.0%}"
        steps = f"{processes / rate.step_seconds:9,.0f} run steps/s"
        sample = f"evaluation {rate.sample_seconds * 1e6:7,.2f} µs per sample"
        print(f"{rate.kind!s:50}  pack of {rate.pack_size:3}  {step}  {steps}  {sample}", flush=True)
    return Device(name, processes, tuple(rates))


def device_in_words(device: torch.device) -> str:
    """The name of a device as its maker gives it; for a CPU with the number of cores in use."""
    cores = f"{in_words(capacity.worker_processes(device), 'core')} of " if device.type == "cpu" else ""
    return cores + device_name(device)


def studied(models: Iterable[str]) -> list[RunConfig]:
    """A run for each kind of pack of the studies of some models."""
    chosen = set(models)
    return [
        _measured(
            {
                "data.name": data,
                "model.name": model,
                "model.batch_norm": batch_norm,
                "training.batch_size": BATCH_SIZES.get(data, 128),
            }
        )
        for data, model in STUDIED
        if model in chosen
        for batch_norm in (False, True)
    ]


def planned(configs: Iterable[RunConfig]) -> list[RunConfig]:
    """A run for each kind of pack of these runs."""
    names = ("data.name", "model.name", "model.batch_norm", "model.points", "training.batch_size")
    kinds = {Kind.of(config): config.to_flat() for config in configs}
    return [_measured({name: settings[name] for name in names}) for settings in kinds.values()]


def _measured(settings: dict[str, Any]) -> RunConfig:
    noise = {"noise.kind": "mixed", "noise.std_mul": 0.5, "noise.std_add": 0.5, "noise.point": 0}
    return RunConfig.from_dict({**settings, **noise, "training.epochs": 10**6})


def check(config: RunConfig, device: torch.device) -> None:
    """Check that a run has the same loss in a pack and by itself, and the configured noise.

    Raise :class:`UserError` with the difference if it has not.
    """
    one = RunConfig.from_dict(config.to_flat() | {"training.epochs": 1})
    other = RunConfig.from_dict(one.to_flat() | {"seed": 1})
    data = _random_data(config, CHECKED_STEPS).to(device)
    _, packed = train_pack([other, one], data, device)
    (single,) = train_pack([one], data, device)
    (in_pack,), (by_itself,) = packed.training_loss, single.training_loss
    fault = None
    if not math.isclose(in_pack, by_itself, rel_tol=TOLERANCE):
        fault = f"the loss of a run is {in_pack:g} in a pack and {by_itself:g} by itself"
    elif packed.training_audit is not None:
        fault = mismatch(packed.training_audit, one.levels, one.noise_kind.kurtosis)
    if fault is not None:
        raise UserError(f"bench: {Kind.of(config)}: {fault}; it was not timed")


def settle(device: torch.device) -> None:
    """Wait until the device has finished all submitted work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _rounds(rank: int, config: RunConfig, device: torch.device) -> list[tuple[float, float]]:
    """Seconds per run of a training step and of an evaluated sample, in each round after a warm-up round."""
    wait_for_all()
    size, points = capacity.training_pack_size(config, device), len(config.points)
    configs = [
        RunConfig.from_dict(config.to_flat() | {"noise.point": (points // 2 + run // LEVELS) % points})
        for run in range(size)
    ]
    data = _random_data(config, STEPS).to(device)
    with deterministic():
        rounds = [(_step(configs, data, device), _sample(configs, data, device)) for _ in range(ROUNDS + 1)]
    return [(step / size, sample / size) for step, sample in rounds[1:]]


def _step(configs: list[RunConfig], data: DataSet, device: torch.device) -> float:
    """Seconds of a training step, from the end of the first step of an epoch to the end of the last.

    On a GPU the first epoch is left out, since the CUDA graph of the step is recorded in it.
    """
    clock, skipped = _Clock(device), 0 if device.type == "cpu" else STEPS

    def after_batch() -> None:
        clock.steps += 1
        if clock.steps <= skipped:
            return
        if clock.steps % STEPS == 1:
            clock.start()
        elif clock.steps % STEPS == 0 and clock.stop() > SECONDS:
            raise Stopped("measured")

    try:
        train_pack(configs, data, device, after_batch=after_batch)
    except Stopped:
        epochs = (clock.steps - skipped) // STEPS
        return clock.seconds / (epochs * (STEPS - 1))
    raise AssertionError("a million epochs have passed")


def _sample(configs: list[RunConfig], data: DataSet, device: torch.device) -> float:
    """Seconds of the evaluation of one sample by all networks of the pack."""
    pack = Pack([config.initial_network() for config in configs]).to(device)
    clock, passes, size = _Clock(device), 0, capacity.evaluation_group_size(configs[0], device)
    clock.start()
    while not passes or clock.stop() < SECONDS / 2:
        clock.start()
        evaluate(pack, range(len(configs)), configs, data, epoch=1, group_size=size)
        passes += 1
    return clock.seconds / passes / len(data.validation_labels)


class _Clock:
    """Stopwatch that waits for the device's queue at every start and stop, and adds up the seconds between them."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.seconds, self.steps = device, 0.0, 0
        self._started = 0.0

    def start(self) -> None:
        settle(self.device)
        self._started = time.perf_counter()

    def stop(self) -> float:
        settle(self.device)
        self.seconds += time.perf_counter() - self._started
        self._started = time.perf_counter()
        return self.seconds


def _combined(config: RunConfig, device: torch.device, processes: list[list[tuple[float, float]]]) -> Rate:
    steps, samples = ([value[part] for rounds in processes for value in rounds] for part in (0, 1))
    median = statistics.median(steps)
    return Rate(
        kind=Kind.of(config),
        pack_size=capacity.training_pack_size(config, device),
        step_seconds=median,
        sample_seconds=statistics.median(samples),
        spread=(max(steps) - min(steps)) / median,
    )


def _random_data(config: RunConfig, steps: int) -> DataSet:
    generator = torch.Generator().manual_seed(0)

    def samples(number: int) -> Tensor:
        return torch.rand(number, *config.data.shape, generator=generator)

    def labels(number: int) -> Tensor:
        return torch.randint(config.data.classes, (number,), generator=generator)

    training, validation = steps * config.training.batch_size, 2 * BLOCK
    return DataSet(
        name="random",
        classes=config.data.classes,
        transform=StoredFeatures(),
        train_samples=samples(training),
        train_labels=labels(training),
        validation_samples=samples(validation),
        validation_labels=labels(validation),
        checksum="",
    )

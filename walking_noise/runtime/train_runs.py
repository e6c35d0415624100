"""train() and train_each(): they train runs as packs on one device, in this process or in a pool of processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ParamSpec, TypedDict, Unpack

import torch

from walking_noise.checkpoints.checkpoint_store import SECONDS, CheckpointStore
from walking_noise.checkpoints.network_cache import why_folder_unusable
from walking_noise.config.run_config import RunConfig
from walking_noise.errors import RunsFailed, Stopped, refused
from walking_noise.pack.gpu.choices import why_table_unusable
from walking_noise.runtime.planner import PlannedTraining, plan_packs
from walking_noise.runtime.progress import Progress, ProgressCounter
from walking_noise.runtime.results import Failure, Outcome, Result
from walking_noise.runtime.retry_by_bisection import run_pack
from walking_noise.runtime.run_context import Event, RunContext, RunEnded
from walking_noise.runtime.sizing import capacity
from walking_noise.runtime.sizing.memory_limits import TRAINED, MemoryLimits
from walking_noise.runtime.worker_pool import run_in_processes

P = ParamSpec("P")


class TrainOptions(TypedDict, total=False):
    """Options of :func:`walking_noise.train`. None of them changes the numbers of a run on a given type of device.

    Attributes
    ----------
    device
        Default: the GPU if there is one, else the CPU.
    data_root
        Folder of the data sets; default: see :func:`walking_noise.data.data_root`.
    pack_size
        Maximum number of networks in a pack; default: chosen for the device and the model.
    processes
        Number of processes that train packs in parallel; default: one for each core on a CPU, one on a GPU.
    networks
        Folder of the cache of networks. Processes use it to share networks trained without noise. Runs with
        ``training.keep_network`` store their networks in it; they fail before any training if there is no usable
        folder.
    checkpoints
        Folder of checkpoints. A later call that trains the same network with the same code, data and type of device
        resumes from its checkpoint; default: no checkpoints.
    checkpoint_seconds
        Interval between checkpoints: the most training time that is lost if a process is killed (one epoch if an epoch
        takes longer); default: 600.
    checkpoint_quota
        Maximum size of the folder of checkpoints in bytes. A checkpoint that would exceed it is not written; default:
        no limit.
    memory_limits
        Limits of the size of packs that earlier calls learned when memory ran out; this call adds its own if it trains
        in one process.
    progress
        Called in this thread when an epoch or a run ends.
    stop
        Called during training. When it returns True, checkpoints are written and :class:`walking_noise.Stopped` is
        raised.
    """

    device: torch.device | str | None
    data_root: Path | str | None
    pack_size: int | None
    processes: int | None
    networks: Path | str | None
    checkpoints: Path | str | None
    checkpoint_seconds: float
    checkpoint_quota: int | None
    memory_limits: MemoryLimits | None
    progress: Callable[[Progress], None] | None
    stop: Callable[[], bool] | None


def train(configs: Sequence[RunConfig], **options: Unpack[TrainOptions]) -> list[Result]:
    """Train runs, as packs of equal pack key, and return their results in the order of ``configs``.

    If no run fails, the checkpoints of these runs are removed at the end.

    Raises
    ------
    RunsFailed
        Some runs failed. All others are finished; ``outcomes`` of the error has all results and failures.
    """
    ended = dict(train_each(configs, **options))
    outcomes = [ended[index] for index in range(len(configs))]
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    if failures:
        message = f"{len(failures)} of {len(configs)} runs failed; the first: {failures[0].error}"
        raise RunsFailed(message, list(outcomes))
    if store := _checkpoint_store(options):
        store.discard([one for config in configs for one in config.with_teacher])
    return [outcome for outcome in outcomes if isinstance(outcome, Result)]


def train_each(configs: Sequence[RunConfig], **options: Unpack[TrainOptions]) -> Iterator[tuple[int, Outcome]]:
    """Train runs like :func:`train`, and yield ``(index in configs, outcome)`` as soon as a run ends."""
    if unknown := options.keys() - TrainOptions.__annotations__:
        raise TypeError(f"unknown option {min(unknown)!r}; known options: {', '.join(TrainOptions.__annotations__)}")
    keep_network = {index for index, config in enumerate(configs) if config.training.keep_network}
    fault = why_folder_unusable(options.get("networks")) if keep_network else None
    if fault is not None:
        yield from ((index, Failure(f"training.keep_network: {fault}")) for index in sorted(keep_network))
    trainable = [index for index in range(len(configs)) if fault is None or index not in keep_network]
    for position, outcome in _train_each([configs[index] for index in trainable], options):
        yield trainable[position], outcome


def _train_each(configs: Sequence[RunConfig], options: TrainOptions) -> Iterator[tuple[int, Outcome]]:
    device = capacity.device_by_name(options.get("device") or capacity.default_device())
    if fault := why_table_unusable(device):
        yield from ((index, Failure(fault)) for index in range(len(configs)))
        return
    processes = _at_least_one("processes", options.get("processes")) or capacity.worker_processes(device)
    pack_size, stop = _at_least_one("pack_size", options.get("pack_size")), options.get("stop")
    kinds = {config.pack_key: config for config in configs}
    limits = options.get("memory_limits") or MemoryLimits()
    pack_sizes = {
        key: limits.limit(TRAINED, key, pack_size or capacity.training_pack_size(config, device))
        for key, config in kinds.items()
    }
    packs = list(plan_packs(configs, pack_sizes, processes))
    context = RunContext(
        configs=dict(enumerate(configs)),
        device=device,
        data_root=options.get("data_root"),
        networks=options.get("networks"),
        checkpoints=_checkpoint_store(options),
        memory_limits=limits,
    )
    counter = ProgressCounter(len(configs), packs, options.get("progress"))

    def raise_if_stopped() -> None:
        if stop is not None and stop():
            raise Stopped("training was asked to stop")

    if processes == 1 or len(packs) == 1:
        events = _run_in_this_process(context, packs, counter, raise_if_stopped)
    else:
        events = run_in_processes(context, packs, processes, raise_if_stopped)
    for event in events:
        counter.count(event)
        if isinstance(event, RunEnded):
            yield event.index, event.outcome


def _checkpoint_store(options: TrainOptions) -> CheckpointStore | None:
    folder, seconds = options.get("checkpoints"), options.get("checkpoint_seconds", SECONDS)
    return CheckpointStore(folder, seconds=seconds, quota=options.get("checkpoint_quota")) if folder else None


def _at_least_one(name: str, value: int | None) -> int | None:
    if value is not None and value < 1:
        raise refused(name, value, "allowed: a whole number >= 1")
    return value


def _run_in_this_process(
    context: RunContext, packs: Sequence[list[PlannedTraining]], counter: ProgressCounter, poll: Callable[[], None]
) -> Iterator[Event]:
    """Run packs one after the other. A callback counts the epochs, since a pack yields no events while it trains."""
    for pack in packs:
        try:
            yield from run_pack(context, pack, _stopping(counter.count), _stopping(poll))
        except Stopped as stopped:
            raise stopped.__cause__ or stopped from None


def _stopping(callback: Callable[P, None]) -> Callable[P, None]:
    """The callback. Its exception becomes the cause of a :class:`Stopped`: it stops the pack, and fails no run."""

    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            callback(*args, **kwargs)
        except Exception as error:
            raise Stopped("a callback failed") from error

    return call

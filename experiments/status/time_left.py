"""Estimate of the worker hours that the unfinished runs of a collection need.

A run is expected to take as long as the completed runs of the same kind did. For kinds without a completed run the
estimate comes from the measured speed of a device.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from experiments.database.connection import Runs
from experiments.database.run_collections import unfinished_filter
from experiments.plan.demand import demands
from experiments.plan.run_counts import PlannedRun
from experiments.plan.throughput import Device
from experiments.status.worker_statistics import Worker
from walking_noise import ConfigError, RunConfig
from walking_noise.config.keys import PACK_SETTINGS

RunKind = tuple[object, ...]
"""A run's values of the pack settings, in their order. All runs of a worker have the same ones."""


def remaining_work(runs: Runs, workers: Sequence[Worker], device: Device | None) -> tuple[int, float | None]:
    """The number of runs without a result, and the worker hours that they need; None if a part is not known.

    The completed runs of ``workers``, all workers of the collection, give the hours of a run, including those that its
    worker spends outside training. ``device`` has measured speeds for kinds of runs without a completed one.
    """
    unfinished_runs, hours_per_run = _unfinished_by_kind(runs), _hours_per_run(runs, workers)
    count = sum(unfinished_runs.values())
    partial = min(sum(worker.partial_runs for worker in workers), count)
    known = sum(number * hours_per_run[kind] for kind, number in unfinished_runs.items() if kind in hours_per_run)
    measured = _hours_on_device(runs, unfinished_runs.keys() - hours_per_run.keys(), device)
    if measured is None:
        return count, None
    return count, (known + measured) * (1 - partial / count if count else 0.0)


def _unfinished_by_kind(runs: Runs) -> dict[RunKind, int]:
    """The number of unfinished runs of each kind."""
    key = {name.replace(".", "_"): {"$ifNull": [f"$config.{name}", None]} for name in PACK_SETTINGS}
    groups = runs.aggregate([{"$match": unfinished_filter()}, {"$group": {"_id": key, "count": {"$sum": 1}}}])
    return {_hashable(group["_id"].values()): group["count"] for group in groups}


def _hours_per_run(runs: Runs, workers: Sequence[Worker]) -> dict[RunKind, float]:
    """The worker hours of a completed run, by kind; lost hours and those of failed runs are left out."""
    leaders = {worker.leader for worker in workers if worker.completed}
    fields = {f"config.{name}": 1 for name in PACK_SETTINGS}
    kinds = {leader["_id"]: _kind(leader["config"]) for leader in runs.find({"_id": {"$in": list(leaders)}}, fields)}
    hours: dict[RunKind, float] = defaultdict(float)
    completed: Counter[RunKind] = Counter()
    for worker in workers:
        if worker.completed and worker.leader in kinds:
            kind = kinds[worker.leader]
            completed_share = worker.completed / (worker.completed + worker.partial_runs)
            hours[kind] += (worker.hours - worker.lost_hours - worker.failed_hours) * completed_share
            completed[kind] += worker.completed
    return {kind: hours[kind] / count for kind, count in completed.items()}


def _kind(config: Mapping[str, Mapping[str, object]]) -> RunKind:
    names = (name.split(".") for name in PACK_SETTINGS)
    return _hashable(config.get(group, {}).get(name) for group, name in names)


def _hashable(values: Iterable[object]) -> RunKind:
    return tuple(tuple(value) if isinstance(value, list) else value for value in values)


def _hours_on_device(runs: Runs, kinds: Collection[RunKind], device: Device | None) -> float | None:
    """Hours that a measured device needs for all unfinished runs of some kinds; None if a part is not known."""
    if not kinds:
        return 0.0
    if device is None:
        return None
    planned: dict[int, PlannedRun] = {}
    configs: dict[str, RunConfig] = {}
    for document in runs.find(unfinished_filter(), {"config": 1}):
        if _kind(document["config"]) in kinds:
            try:
                config = RunConfig.from_document(document["config"])
            except ConfigError:  # settings of another version
                return None
            planned[document["_id"]] = PlannedRun.of(config)
            configs.setdefault(config.pack_key, config)
    seconds = [demand.seconds(device) for demand in demands(planned.values(), configs)]
    return None if None in seconds else sum(one for one in seconds if one is not None) / 3600

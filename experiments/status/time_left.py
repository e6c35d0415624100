"""What the unfinished runs of a collection will take: as long as others like them, or as was measured on a device."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from experiments.database.connection import Document, Runs
from experiments.database.run_collections import unfinished_filter
from experiments.database.stored_config import run_config
from experiments.plan.demand import demands
from experiments.plan.run_counts import PlannedRun
from experiments.plan.throughput import Device
from experiments.status.worker_statistics import Worker
from walking_noise import ConfigError, RunConfig
from walking_noise.config.keys import PACK_SETTINGS

Kind = tuple[object, ...]
"""The settings that decide what packs together, in their order: the runs of a worker agree in them."""


@dataclass(frozen=True)
class Remaining:
    """Runs without a result, and the hours of a worker that they take; None if a part is not known."""

    runs: int
    hours: float | None


def remaining(runs: Runs, workers: Sequence[Worker], device: Device | None) -> Remaining:
    """What is left to do in a collection whose workers so far were these.

    A run takes what runs of its kind took so far, with all that is around their training; of kinds that have no result
    yet, what ``device`` was measured to need.
    """
    left, per_run = _left(runs), _hours_per_run(runs, workers)
    count = sum(left.values())
    begun = min(sum(worker.runs_ahead for worker in workers), count)
    alike = sum(number * per_run[kind] for kind, number in left.items() if kind in per_run)
    others = _measured(runs, left.keys() - per_run.keys(), device)
    return Remaining(count, None if others is None else (alike + others) * (1 - begun / count if count else 0.0))


def _left(runs: Runs) -> dict[Kind, int]:
    """The number of unfinished runs of each kind."""
    key = {name.replace(".", "_"): {"$ifNull": [f"$config.{name}", None]} for name in PACK_SETTINGS}
    groups = runs.aggregate([{"$match": unfinished_filter()}, {"$group": {"_id": key, "count": {"$sum": 1}}}])
    return {_hashable(group["_id"].values()): group["count"] for group in groups}


def _hours_per_run(runs: Runs, workers: Sequence[Worker]) -> dict[Kind, float]:
    """The hours that a run with a result took, by kind."""
    leaders = {worker.leader for worker in workers if worker.completed}
    wanted = {f"config.{name}": 1 for name in PACK_SETTINGS}
    kinds = {leader["_id"]: _kind(leader["config"]) for leader in runs.find({"_id": {"$in": list(leaders)}}, wanted)}
    hours: dict[Kind, float] = defaultdict(float)
    completed: Counter[Kind] = Counter()
    for worker in workers:
        if worker.completed and worker.leader in kinds:
            kind = kinds[worker.leader]
            share_ended = worker.completed / (worker.completed + worker.runs_ahead)
            hours[kind] += (worker.hours - worker.lost_hours - worker.failed_hours) * share_ended
            completed[kind] += worker.completed
    return {kind: hours[kind] / count for kind, count in completed.items()}


def _kind(config: Mapping[str, Mapping[str, object]]) -> Kind:
    parts = (name.split(".") for name in PACK_SETTINGS)
    return _hashable(config.get(group, {}).get(name) for group, name in parts)


def _hashable(values: Iterable[object]) -> Kind:
    return tuple(tuple(value) if isinstance(value, list) else value for value in values)


def _measured(runs: Runs, kinds: Collection[Kind], device: Device | None) -> float | None:
    """Hours that a measured device needs for all unfinished runs of some kinds; None if that is not known."""
    if not kinds:
        return 0.0
    if device is None:
        return None
    planned: dict[int, PlannedRun] = {}
    configs: dict[str, RunConfig] = {}
    for document in runs.find(unfinished_filter(), {"config": 1}):
        if _kind(document["config"]) in kinds:
            config = _config(document)
            if config is None:
                return None
            planned[document["_id"]] = PlannedRun.of(config)
            configs.setdefault(config.pack_key, config)
    seconds = [demand.seconds(device) for demand in demands(planned.values(), configs)]
    return None if None in seconds else sum(one for one in seconds if one is not None) / 3600


def _config(document: Document) -> RunConfig | None:
    try:
        return run_config(document["config"])
    except ConfigError:
        return None

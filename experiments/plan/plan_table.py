"""The plan as a person reads it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple

from experiments.plan.study_plan import DOCUMENT_BYTES, LOSS_BYTES, PACKED_BYTES, Row
from experiments.plan.throughput import Device, Kind
from experiments.terminal.text_table import aligned, short
from experiments.worker.records.compact_result import COMPACT_ABOVE_EPOCHS
from walking_noise import RunConfig

PackSize = Callable[[RunConfig], int]


def describe(
    rows: Sequence[Row],
    collection: str | None,
    array_size: int,
    array_size_is_known: bool,
    devices: Sequence[Device],
    pack_size: PackSize,
) -> Iterator[str]:
    """The lines of the plan: a row per file, what packs together, and what to know about the numbers."""
    total = rows[-1]
    yield from _files(rows, array_size, devices, pack_size)
    yield ""
    yield from _packs(total, devices, pack_size)
    yield ""
    yield from _remarks(total, collection, array_size, array_size_is_known, devices)


def _files(rows: Sequence[Row], array_size: int, devices: Sequence[Device], pack_size: PackSize) -> list[str]:
    looked = rows[-1].present is not None
    head = ["file", "runs", "distinct", *(["present"] if looked else []), "with noise", "trainings", "packs", "tasks"]
    head += ["arrays", *(f"hours, {device.name}" for device in devices), "MB"]
    lines = [
        [
            row.name,
            f"{row.runs:,}",
            f"{row.distinct:,}",
            *([f"{row.present:,}"] if looked else []),
            f"{row.noisy:,}",
            f"{row.trainings:,}",
            f"{row.packs(pack_size):,}",
            f"{row.tasks:,}",
            f"{count:,}",
            *(short(row.hours(device)) for device in devices),
            short(row.bytes / 1e6),
        ]
        for row, count in zip(rows, _arrays(rows, array_size), strict=True)
    ]
    return aligned(head, lines, left=1)


def _arrays(rows: Sequence[Row], array_size: int) -> list[int]:
    """The Slurm arrays of each row: SEML makes arrays of one file's runs, so the last row, of all files, is a sum."""
    *files, total = [math.ceil(row.tasks / array_size) for row in rows]
    return [*files, sum(files) or total]


def _packs(total: Row, devices: Sequence[Device], pack_size: PackSize) -> list[str]:
    head = ["trained together", "", "", "epochs", "batch", "trainings", "pack", "packs", "passes"]
    head += [f"hours, {device.name}" for device in devices]
    lines = []
    for demand in sorted(total.demands, key=lambda demand: astuple(demand.config)[:2]):
        config, size = demand.config, pack_size(demand.config)
        seconds = (demand.seconds(device) for device in devices)
        lines.append(
            [
                " ".join([config.data.name, *_unusual(config)]),
                config.model.name,
                "BatchNorm" if config.model.batch_norm else "",
                f"{config.training.epochs}",
                f"{config.training.batch_size}",
                f"{demand.trainings:,}",
                f"{size}",
                f"{demand.packs(size):,}",
                f"{demand.passes:,}",
                *(short(None if one is None else one / 3600) for one in seconds),
            ]
        )
    return aligned(head, lines, left=3)


def _unusual(config: RunConfig) -> list[str]:
    """What tells apart packs of the same data set: the settings of the data that are not at their defaults."""
    default = RunConfig().data
    named = [name for name in ("transform", "validation") if getattr(config.data, name) != getattr(default, name)]
    words = [f"{len(config.data.keywords)} keywords"] if config.data.keywords else []
    return [*(str(getattr(config.data, name)) for name in named), *words]


def _remarks(
    total: Row, collection: str | None, array_size: int, array_size_is_known: bool, devices: Sequence[Device]
) -> Iterator[str]:
    equal = total.runs - total.distinct
    yield (
        f"distinct: {equal:,} of {total.runs:,} runs do what another one does (level 0 wherever it is, a level that "
        "two grids have); with noise: runs that are trained with it."
    )
    yield "trainings: runs with noise at inference only share the network trained without it; passes: these runs."
    source = "" if array_size_is_known else " (assumed: no Slurm answers here; --max-array-size changes it)"
    yield f"tasks: of Slurm arrays, one for each run that `seml add` makes; an array may have {array_size}{source}."
    if total.tasks > array_size:
        command = f"walking-noise start {collection or 'COLLECTION'}"
        yield f"arrays: of each file, as `{command}` submits them; `seml start` submits one, which may be too large."
    if total.kept:
        yield f"networks: {total.kept:,} of the runs keep theirs; set WALKING_NOISE_NETWORKS to a folder for them."
    if not devices:
        yield "hours: no device has been measured; `walking-noise bench --save` measures the one it runs on."
    for device in devices:
        missing = {str(Kind.of(demand.config)) for demand in total.demands if demand.seconds(device) is None}
        if missing:
            yield f"hours, {device.name}: ? where a part was not measured: {'; '.join(sorted(missing))}."
    yield (
        f"MB: documents of {DOCUMENT_BYTES / 1000:.1f} kB and {LOSS_BYTES:g} bytes per epoch, {PACKED_BYTES:g} "
        f"from {COMPACT_ABOVE_EPOCHS} epochs on, as measured on runs of the MLP; before MongoDB's compression, "
        "without log files."
    )

"""Table of ``walking-noise plan``, with explanations of its numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table

from experiments.plan.study_plan import DOCUMENT_BYTES, LOSS_BYTES, PACKED_BYTES, Row
from experiments.plan.throughput import Device, Kind
from experiments.terminal.text_table import in_words, runs_in_words, short, table
from experiments.worker.records.run_document import COMPACT_ABOVE_EPOCHS
from walking_noise import RunConfig

PackSize = Callable[[RunConfig], int]


def describe(
    rows: Sequence[Row],
    collection: str | None,
    array_size: int,
    array_size_is_known: bool,
    devices: Sequence[Device],
    pack_size: PackSize,
) -> Iterator[RenderableType]:
    """The plan: a table of the files, a table of the combinations of pack settings, and explanations.

    The plan was compared with ``collection``, if any. ``array_size`` is the largest number of tasks in a Slurm array;
    unless Slurm or the user gave it, it is an assumption. ``pack_size`` returns the number of networks of a full pack.
    """
    total = rows[-1]
    yield _files(rows, array_size, devices, pack_size)
    yield ""
    yield _packs(total, devices, pack_size)
    yield ""
    yield from _explanations(total, collection, array_size, array_size_is_known, devices)


def _files(rows: Sequence[Row], array_size: int, devices: Sequence[Device], pack_size: PackSize) -> Table:
    compared = rows[-1].present is not None
    head = ["file", "runs", "distinct", *(["present"] if compared else []), "with noise", "trainings", "packs", "tasks"]
    head += ["arrays", *(f"hours, {device.name}" for device in devices), "MB"]
    lines = [
        [
            row.counts.name,
            f"{row.counts.runs:,}",
            f"{row.distinct:,}",
            *([f"{row.present:,}"] if compared else []),
            f"{row.counts.noisy:,}",
            f"{row.trainings:,}",
            f"{row.packs(pack_size):,}",
            f"{row.tasks:,}",
            f"{count:,}",
            *(short(row.hours(device)) for device in devices),
            short(row.bytes / 1e6),
        ]
        for row, count in zip(rows, _arrays(rows, array_size), strict=True)
    ]
    return table(head, lines, left=1)


def _arrays(rows: Sequence[Row], array_size: int) -> list[int]:
    """Number of Slurm arrays in each row.

    The last row is the sum, since runs of different files never share an array.
    """
    *files, total = [math.ceil(row.tasks / array_size) for row in rows]
    return [*files, sum(files) or total]


def _packs(total: Row, devices: Sequence[Device], pack_size: PackSize) -> Table:
    head = ["pack settings", "", "", "epochs", "batch", "rate", "trainings", "pack size", "packs", "inference only"]
    head += [f"hours, {device.name}" for device in devices]
    lines = []
    for demand in sorted(
        total.demands, key=lambda demand: [str(value) for value in (*demand.config.data, *demand.config.model)]
    ):
        config, size = demand.config, pack_size(demand.config)
        seconds = (demand.seconds(device) for device in devices)
        lines.append(
            [
                " ".join([config.data.name, *_data_settings(config)]),
                "-".join([config.model.name, *map(str, config.model.hidden or ())]),
                "BatchNorm" if config.model.batch_norm else "",
                f"{config.training.epochs}",
                f"{config.training.batch_size}",
                f"{config.training.learning_rate:g}",
                f"{demand.trainings:,}",
                f"{size}",
                f"{demand.packs(size):,}",
                f"{demand.inference_only:,}",
                *(short(None if one is None else one / 3600) for one in seconds),
            ]
        )
    return table(head, lines, left=3)


def _data_settings(config: RunConfig) -> list[str]:
    """Settings of the data that are not at their defaults, by which packs on one data set differ."""
    default = RunConfig().data
    named = [name for name in ("transform", "validation") if getattr(config.data, name) != getattr(default, name)]
    keywords = [in_words(len(config.data.keywords), "keyword")] if config.data.keywords else []
    return [*(str(getattr(config.data, name)) for name in named), *keywords]


def _explanations(
    total: Row, collection: str | None, array_size: int, array_size_is_known: bool, devices: Sequence[Device]
) -> Iterator[str]:
    duplicates = total.counts.runs - total.distinct
    yield (
        "distinct: equal runs counted once; runs that repeat another run (level 0 at another point, or a level in two "
        f"grids): {duplicates:,} of {total.counts.runs:,}. with noise: runs that are trained with noise."
    )
    yield (
        "trainings: networks to train; runs that have noise only at inference share the network that is trained "
        "without noise. inference only: number of runs that have noise only at inference."
    )
    source = "" if array_size_is_known else " (assumed, as Slurm does not answer here; --max-array-size changes it)"
    yield (
        "tasks: Slurm array tasks of `seml start`, one for each run; `walking-noise start` submits at most one for "
        f"each pack. An array has at most {array_size}{source}."
    )
    if total.tasks > array_size:
        command = f"walking-noise start {collection or 'COLLECTION'}"
        yield f"arrays: submitted by `{command}`; `seml start` submits one per file, which may be too large."
    if total.counts.kept:
        kept = runs_in_words(total.counts.kept)
        yield f"networks: {kept} with training.keep_network; set WALKING_NOISE_NETWORKS to a folder."
    yield from _member_by_member(total)
    if not devices:
        yield "hours: no device has been measured; `walking-noise bench --save` measures the device it runs on."
    for device in devices:
        missing = {str(Kind.of(demand.config)) for demand in total.demands if demand.seconds(device) is None}
        if missing:
            yield (
                f"hours, {device.name}: ? where a speed was not measured: {'; '.join(sorted(missing))}; "
                "`walking-noise bench --save --grid FILE` measures those of a SEML file."
            )
    yield (
        f"MB: {DOCUMENT_BYTES / 1000:.1f} kB for each document and {LOSS_BYTES:g} bytes for each epoch, "
        f"{PACKED_BYTES:g} in runs of more than {COMPACT_ABOVE_EPOCHS} epochs; measured on runs of the MLP, before "
        "MongoDB's compression, without log files."
    )


def _member_by_member(total: Row) -> Iterator[str]:
    """The parts of models that packs do not compute for all members at once."""
    from walking_noise.pack.pack import Pack

    configs = {demand.config.architecture: demand.config for demand in total.demands}
    parts = {config.model.name: Pack([config.initial_network()]).member_by_member() for config in configs.values()}
    for model, slow in sorted(parts.items()):
        if slow:
            yield f"{model}: packs compute one network after another in {', '.join(slow)}; measured hours include it."

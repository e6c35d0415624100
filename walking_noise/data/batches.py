"""Mini-batches for many runs at once, and the validation set in blocks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from walking_noise.data.dataset import DataSet
from walking_noise.data.transform import gather
from walking_noise.reproducibility import stream_generator


class TrainingBatches:
    """Mini-batches of a pack of runs, each run in its own order and with its own augmentation.

    Both are functions of (the run's seed, epoch, sample): a run sees the same inputs, to the last bit, alone
    and in any pack. Runs of equal seed share the work. An epoch's last, shorter batch is kept.

    Parameters
    ----------
    seeds
        One per run.
    device
        Where the data set and the mini-batches lie.
    """

    def __init__(
        self, data: DataSet, seeds: Sequence[int], batch_size: int, device: torch.device | str = "cpu"
    ) -> None:
        self._data = data.to(device)
        self._seeds = tuple(seeds)
        self._batch_size = batch_size

    @property
    def steps(self) -> int:
        """Mini-batches in an epoch."""
        return math.ceil(len(self._data.train_labels) / self._batch_size)

    def epoch(self, number: int | Sequence[int]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the mini-batches of an epoch, as (inputs, labels).

        Inputs are float32 (rows, batch, channels, height, width): one row for each seed if every seed has as many
        runs, which follow each other; else one for each run. Labels are int64 (runs, batch).

        Parameters
        ----------
        number
            The epoch from 0, one for all runs or one per run.
        """
        numbers = [number] * len(self._seeds) if isinstance(number, int) else number
        passes = list(zip(self._seeds, numbers, strict=True))
        shared = list(dict.fromkeys(passes))
        position = {one: index for index, one in enumerate(shared)}
        origin = torch.tensor([position[one] for one in passes], device=self._data.train_labels.device)
        in_turn = [one for one in shared for _ in range(len(passes) // len(shared))] == passes
        for x, y in self._passes(shared):
            yield x if in_turn else x.index_select(0, origin), y.index_select(0, origin)

    def _passes(self, passes: Sequence[tuple[int, int]]) -> Iterator[tuple[Tensor, Tensor]]:
        """The mini-batches of one pass over the training set for each (seed, epoch)."""
        data, transform = self._data, self._data.transform
        samples, device = len(data.train_labels), data.train_labels.device

        def per_pass(stream: str, one: Callable[[torch.Generator], Tensor]) -> Tensor:
            return torch.stack([one(stream_generator(seed, stream, epoch)) for seed, epoch in passes]).to(device)

        order = per_pass("order", lambda random: torch.randperm(samples, generator=random))
        batches = torch.split(order, self._batch_size, dim=1)
        drawn = None
        if transform.augments:
            drawn = per_pass("augmentation", lambda random: transform.draw(samples, random))
        for batch in batches:
            inputs = transform.training_inputs(data.prepared_train_samples, batch, drawn)
            yield inputs, gather(data.train_labels, batch)


def validation_blocks(
    data: DataSet, block: int, device: torch.device | str = "cpu"
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Yield the validation set in its order, without augmentation, as (first sample, inputs, labels).

    Inputs are float32 (block, channels, height, width), labels int64 (block,); the last block may be shorter.
    """
    data = data.to(device)
    for start in range(0, len(data.validation_labels), block):
        part = slice(start, start + block)
        yield start, data.transform.validation_inputs(data.validation_samples[part]), data.validation_labels[part]

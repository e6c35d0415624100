"""Mini-batches for many runs at once; blocks of the validation set."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from walking_noise.data.dataset import DataSet
from walking_noise.data.transform import gather
from walking_noise.reproducibility import stream_generator


class TrainingBatches:
    """Mini-batches of a pack of runs; each run has its own order of samples and its own augmentation.

    Both are functions of the seed of the run, the epoch and the sample. Therefore the inputs of a run are bitwise equal
    in every pack. Inputs are computed once for runs with the same seed. The last, shorter batch of an epoch is not
    dropped.

    Parameters
    ----------
    data
        The data set.
    seeds
        The seed of each run.
    batch_size
        Samples of a mini-batch, for each run.
    device
        Device of the data set and the mini-batches.
    """

    def __init__(
        self, data: DataSet, seeds: Sequence[int], batch_size: int, device: torch.device | str = "cpu"
    ) -> None:
        self._data = data.to(device)
        self._seeds = tuple(seeds)
        self._batch_size = batch_size

    @property
    def steps(self) -> int:
        """Number of mini-batches in an epoch."""
        return math.ceil(len(self._data.train_labels) / self._batch_size)

    def epoch(self, number: int | Sequence[int]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the mini-batches of an epoch as (inputs, labels).

        Inputs are float32 (rows, batch, channels, height, width). They have one row for each seed if all seeds have
        the same number of runs and the runs of a seed are consecutive, otherwise one row for each run. Labels are int64
        (runs, batch).

        Parameters
        ----------
        number
            Number of the epoch, from 0: one for all runs, or one for each run.
        """
        numbers = [number] * len(self._seeds) if isinstance(number, int) else number
        epochs = list(zip(self._seeds, numbers, strict=True))
        distinct = list(dict.fromkeys(epochs))
        row = {epoch: index for index, epoch in enumerate(distinct)}
        rows = torch.tensor([row[epoch] for epoch in epochs], device=self._data.train_labels.device)
        consecutive = [epoch for epoch in distinct for _ in range(len(epochs) // len(distinct))] == epochs
        for x, y in self._batches(distinct):
            yield x if consecutive else x.index_select(0, rows), y.index_select(0, rows)

    def _batches(self, epochs: Sequence[tuple[int, int]]) -> Iterator[tuple[Tensor, Tensor]]:
        """The mini-batches of one epoch of the training set for each (seed, epoch)."""
        data, transform = self._data, self._data.transform
        samples, device = len(data.train_labels), data.train_labels.device

        def draw_rows(stream: str, draw: Callable[[torch.Generator], Tensor]) -> Tensor:
            return torch.stack([draw(stream_generator(seed, stream, epoch)) for seed, epoch in epochs]).to(device)

        order = draw_rows("order", lambda random: torch.randperm(samples, generator=random))
        batches = torch.split(order, self._batch_size, dim=1)
        drawn = None
        if transform.augments:
            drawn = draw_rows("augmentation", lambda random: transform.draw(samples, random))
        for batch in batches:
            inputs = transform.training_inputs(data.prepared_train_samples, batch, drawn)
            yield inputs, gather(data.train_labels, batch)


def validation_blocks(
    data: DataSet, block: int, device: torch.device | str = "cpu"
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Yield blocks of the validation set in its order, without augmentation, as (first sample, inputs, labels).

    Inputs are float32 (block, channels, height, width), labels are int64 (block,). The last block may be shorter.
    """
    data = data.to(device)
    for start in range(0, len(data.validation_labels), block):
        part = slice(start, start + block)
        yield start, data.transform.validation_inputs(data.validation_samples[part]), data.validation_labels[part]

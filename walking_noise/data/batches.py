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
    dropped. ``seeds`` has the seed of each run.
    """

    def __init__(self, data: DataSet, seeds: Sequence[int], batch_size: int) -> None:
        self._data, self._seeds, self._batch_size = data, list(seeds), batch_size

    @property
    def steps(self) -> int:
        """Number of mini-batches in an epoch."""
        return math.ceil(len(self._data.train_labels) / self._batch_size)

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the mini-batches of an epoch, counted from 0, as (inputs, labels) on the device of the data set.

        Inputs are float32 (rows, batch, channels, height, width). They have one row for each seed if all seeds have
        the same number of runs and the runs of a seed are consecutive, otherwise one row for each run. Labels are int64
        (runs, batch).
        """
        seeds = self._seeds
        distinct = list(dict.fromkeys(seeds))
        rows = torch.tensor([distinct.index(seed) for seed in seeds], device=self._data.train_labels.device)
        consecutive = [seed for seed in distinct for _ in range(len(seeds) // len(distinct))] == seeds
        for x, y in self._batches(distinct, number):
            yield x if consecutive else x.index_select(0, rows), y.index_select(0, rows)

    def _batches(self, seeds: Sequence[int], epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The mini-batches of an epoch, with one row for each seed."""
        data, transform = self._data, self._data.transform
        samples, device = len(data.train_labels), data.train_labels.device

        def draw_rows(stream: str, draw: Callable[[torch.Generator], Tensor]) -> Tensor:
            return torch.stack([draw(stream_generator(seed, stream, epoch)) for seed in seeds]).to(device)

        order = draw_rows("order", lambda random: torch.randperm(samples, generator=random))
        batches = torch.split(order, self._batch_size, dim=1)
        drawn = None
        if transform.augments:
            drawn = draw_rows("augmentation", lambda random: transform.draw(samples, random))
        for batch in batches:
            inputs = transform.training_inputs(data.prepared_train_samples, batch, drawn)
            yield inputs, gather(data.train_labels, batch)


def validation_blocks(data: DataSet, block: int) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Yield blocks of the validation set in its order, without augmentation, as (first sample, inputs, labels).

    Inputs are float32 (block, channels, height, width), labels are int64 (block,). The last block may be shorter.
    """
    for start in range(0, len(data.validation_labels), block):
        part = slice(start, start + block)
        yield start, data.transform.validation_inputs(data.validation_samples[part]), data.validation_labels[part]

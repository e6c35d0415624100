"""Recalibration of BatchNorm: its statistics under the noise at inference, estimated on training data."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from walking_noise.config.run_config import RunConfig
from walking_noise.data import DataSet
from walking_noise.data.batches import TrainingBatches
from walking_noise.noise.injection import Injection
from walking_noise.noise.weight_noise import WeightNoise
from walking_noise.pack.pack import Pack

BATCHES = 50
"""Mini-batches of training data. With torch's momentum of 0.1 the statistics before them keep a weight of 0.005."""


def recalibrated(pack: Pack, configs: Sequence[RunConfig], data: DataSet, epoch: int) -> Pack:
    """The pack with BatchNorm statistics estimated under the noise of its runs, in place; no weight changes.

    The statistics are the moving averages of a training with learning rate 0. The noise at inference has draws of its
    own here, except those of a chip.
    """
    activations = Injection(configs, "recalibration", next(pack.parameters()).device)
    weights = WeightNoise(configs, "recalibration", pack)
    batches = TrainingBatches(data, [config.seed for config in configs], configs[0].training.batch_size).epoch(epoch)
    pack.train()
    for step, (x, _) in enumerate(islice(batches, BATCHES)):
        weights.forward(pack, (epoch, step), None, x, activations.at((epoch, step)))
    pack.eval()
    return pack

"""The training of a pack: epochs, evaluation, and the runs that are lost on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from walking_noise.config import RunConfig
from walking_noise.data import DataSet
from walking_noise.errors import refused
from walking_noise.trainees import LAST_EPOCHS, Trained, Trainees

__all__ = ["LAST_EPOCHS", "Trained", "train_pack"]


def train_pack(
    configs: Sequence[RunConfig],
    data: DataSet,
    device: torch.device,
    *,
    after_batch: Callable[[], None] = lambda: None,
    after_epoch: Callable[[], None] = lambda: None,
) -> list[Trained]:
    """Train runs of one pack key together, each as if it were alone.

    Runs that are lost take up no more room from the next epoch on. ``after_batch`` may raise to stop the training.
    """
    _check_last_batch(configs[0], len(data.train_labels))
    training: Trainees | None = Trainees(configs, data.to(device), device)
    trained: dict[int, Trained] = {}
    for _ in range(configs[0].training.epochs):
        if training is not None:
            training.train_epoch(after_batch)
            training.evaluate()
            training, lost = training.without_lost()
            if lost is not None:
                lost.foresee(after_batch)
                trained |= lost.trained()
        after_epoch()
    if training is not None:
        trained |= training.trained()
    return [trained[place] for place in range(len(configs))]


def _check_last_batch(config: RunConfig, samples: int) -> None:
    size = config.training.batch_size
    if config.model.batch_norm and samples % size == 1:
        fault = f"of {samples} samples it leaves a last batch of one, on which BatchNorm cannot train"
        raise refused("training.batch_size", size, fault)

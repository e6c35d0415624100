"""The training of a pack: its epochs, who is in it, and who leaves it lost or joins it later."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from walking_noise.config import RunConfig
from walking_noise.data import DataSet
from walking_noise.errors import Stopped, refused
from walking_noise.keeping import Keeping
from walking_noise.trainee import LAST_EPOCHS, Trained, Trainee
from walking_noise.trainees import Trainees

__all__ = ["LAST_EPOCHS", "Trained", "train_pack"]


def train_pack(
    configs: Sequence[RunConfig],
    data: DataSet,
    device: torch.device,
    *,
    after_batch: Callable[[], None] = lambda: None,
    after_epoch: Callable[[list[int]], None] = lambda epochs: None,
    keeping: Keeping | None = None,
) -> list[Trained]:
    """Train runs of one pack key together, each as if it were alone.

    Runs that are lost take up no more room from the next epoch on. Those taken up at a later epoch than others wait
    for these.

    Parameters
    ----------
    after_batch
        Called after each batch, of training or of evaluation; may raise to stop.
    after_epoch
        Given how many epochs each run has done.
    keeping
        What is taken up, and what is kept on the way; default: nothing.
    """
    _check_last_batch(configs[0], len(data.train_labels))
    data, keeping = data.to(device), keeping or Keeping()
    members = keeping.take_up(configs)
    trained: dict[Trainee, Trained] = {}
    training: Trainees | None = None
    try:
        while behind := [one for one in members if one.epoch < one.epochs]:
            epoch = min(one.epoch for one in behind)
            training = _together([one for one in behind if one.epoch == epoch], training, data, device)
            training.train_epoch(after_batch)
            training.evaluate(after_batch)
            keeping.epoch_ended(training)
            if lost := training.lost():
                without = _together(lost, training, data, device)
                without.foresee(after_batch)
                keeping.foreseen(without)
                trained |= without.trained()
                training = None
            after_epoch([one.epoch for one in members])
    except (Stopped, KeyboardInterrupt):
        keeping.write()
        raise
    if ended := [one for one in members if one not in trained]:
        trained |= _together(ended, training, data, device).trained()
    return [trained[one] for one in members]


def _together(members: list[Trainee], training: Trainees | None, data: DataSet, device: torch.device) -> Trainees:
    """These members as a pack; the one that trained last if it is of the same ones, else that one is taken apart."""
    if training is not None:
        if training.members == members:
            return training
        training.part()
    return Trainees(members, data, device)


def _check_last_batch(config: RunConfig, samples: int) -> None:
    size = config.training.batch_size
    if config.model.batch_norm and samples % size == 1:
        fault = f"of {samples} samples it leaves a last batch of one, on which BatchNorm cannot train"
        raise refused("training.batch_size", size, fault)

"""What has to hold before peers are timed: that they compute the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor

from experiments.benchmark.peers.cases import Case
from experiments.benchmark.peers.usual_training import Noise, plain_network
from experiments.benchmark.sample_data import samples
from experiments.errors import UserError
from walking_noise import RunConfig
from walking_noise.data import DataSet
from walking_noise.evaluation.shared_prefix import BLOCK
from walking_noise.pack.pack import Pack
from walking_noise.reproducibility import deterministic
from walking_noise.training.trainer import train_pack

MEMBERS = 8
STEPS = 2
TOLERANCE = 1e-3
"""Relative to the largest value. Sums of float32 in another order differ by less, also after some steps of Adam, which
makes whole steps of gradients that are zero but for rounding."""


def check(case: Case, device: torch.device) -> None:
    """Compare what the peers of a case compute, on its data.

    Raises
    ------
    UserError
        Two of them differ by more than rounding; the text says which.
    """
    images = _few(samples(case.data), case.config.training.batch_size).to(device)
    packed = case.pack(MEMBERS, 0, 1)
    with deterministic():
        check_logits(case, [replace(config, seed=seed) for seed, config in enumerate(packed)], images, device)
        check_alone_and_packed(case, packed, images, device)
    check_noise(case, device)


def check_logits(case: Case, configs: Sequence[RunConfig], images: DataSet, device: torch.device) -> None:
    """A pack's logits without noise are those of the plain networks of the usual way, in training and evaluation."""
    pack = Pack([config.initial_network() for config in configs]).to(device)
    plain = [plain_network(config, noisy=False).to(device) for config in configs]
    x = images.transform.validation_inputs(images.validation_samples)
    for training in (True, False):
        expected = torch.stack([network.train(training)(x) for network in plain])
        logits = pack.train(training)(x.unsqueeze(0), _quiet)
        _compare(case, "the logits of a pack and of the plain networks", logits, expected)


def check_alone_and_packed(case: Case, configs: Sequence[RunConfig], images: DataSet, device: torch.device) -> None:
    """A noisy run has the same losses and logits after some steps, alone and in a pack.

    The logits are those with the statistics of the batch: a bias before BatchNorm, which drifts, does not matter then.
    """
    last = len(configs) - 1
    together = train_pack([_one_epoch(config) for config in configs], images, device)[last]
    (alone,) = train_pack([_one_epoch(configs[last])], images, device)
    losses = torch.tensor(together.training_loss), torch.tensor(alone.training_loss)
    _compare(case, "the losses of a run in a pack and alone", *losses)
    x = images.transform.validation_inputs(images.validation_samples).unsqueeze(0)
    pack = Pack([configs[last].initial_network()]).to(device)
    logits = []
    for trained in (together, alone):
        pack.load_member(0, trained.state)
        logits.append(pack(x, _quiet))
    _compare(case, "the logits of a run trained in a pack and alone", *logits)


def check_noise(case: Case, device: torch.device) -> None:
    """The usual way's noise layers have the level that the trainer's noise has, at that point alone."""
    layers = list(plain_network(case.config).named_children())
    noises = {before: layer for (before, _), (_, layer) in pairwise(layers) if isinstance(layer, Noise)}
    name, level = case.config.points[case.point].name, case.config.levels[case.point].add
    if list(noises) != [name]:
        raise UserError(f"bench: {case.name}: the usual way has noise after {', '.join(noises)}, not after {name}")
    spread = float(noises[name].to(device)(torch.zeros(10**6, device=device)).std())
    if abs(spread - level) > 0.01 * level:
        raise UserError(f"bench: {case.name}: the usual way's noise has the level {spread:.3f}, not {level:.3f}")


def _compare(case: Case, what: str, ours: Tensor, expected: Tensor) -> None:
    difference = float((ours.detach() - expected.detach()).abs().max() / expected.detach().abs().max())
    if not difference <= TOLERANCE:
        raise UserError(f"bench: {case.name}: {what} differ by {difference:.2g} of the largest; nothing was timed")


def _quiet(point: int, x: Tensor, member: int | None = None) -> Tensor:
    return x


def _one_epoch(config: RunConfig) -> RunConfig:
    return replace(config, training=replace(config.training, epochs=1))


def _few(images: DataSet, batch_size: int) -> DataSet:
    """The first batches and the first block of a data set."""
    return replace(
        images,
        train_samples=images.train_samples[: STEPS * batch_size],
        train_labels=images.train_labels[: STEPS * batch_size],
        validation_samples=images.validation_samples[:BLOCK],
        validation_labels=images.validation_labels[:BLOCK],
    )

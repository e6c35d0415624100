"""Checks that all peers compute the same, before they are timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from experiments.errors import UserError
from tests.benchmarks.peers.cases import Case
from tests.benchmarks.peers.ensemble import Ensemble
from tests.benchmarks.peers.sample_data import samples
from tests.benchmarks.peers.usual_training import Noise, plain_network
from walking_noise import RunConfig
from walking_noise.data import DataSet
from walking_noise.evaluation.shared_prefix import BLOCK
from walking_noise.pack.pack import Pack
from walking_noise.pack.stacking import load_states
from walking_noise.reproducibility import deterministic
from walking_noise.training.trainer import train_pack

MEMBERS = 8
STEPS = 2
TOLERANCE = 1e-3
"""Largest difference relative to the largest value. Float32 sums in another order differ by less, even after some steps
of Adam, which turns gradients that consist of rounding errors into steps of full size."""
LOUD = 10.0
"""Noise level so large that the variances behind it are those of the noise."""
NOISE_TOLERANCE = 0.05
"""Largest relative difference of these variances, averaged over channels and runs."""


def check(case: Case, device: torch.device) -> None:
    """Compare what the peers of a case compute, on its data.

    Raises
    ------
    UserError
        Two of them differ by more than rounding; the message names them.
    """
    images = _first_samples(samples(case.data), case.config.training.batch_size).to(device)
    packed = case.pack(MEMBERS, 0, 1)
    with deterministic():
        check_logits(case, [changed(config, {"seed": seed}) for seed, config in enumerate(packed)], images, device)
        check_single_and_packed(case, packed, images, device)
    check_noise(case, device)


def check_logits(case: Case, configs: Sequence[RunConfig], images: DataSet, device: torch.device) -> None:
    """Compare the logits of a pack without noise with those of plain networks, in training and evaluation mode."""
    pack = Pack([config.initial_network() for config in configs]).to(device)
    plain = [plain_network(config, noisy=False).to(device) for config in configs]
    x = images.transform.validation_inputs(images.validation_samples)
    for training in (True, False):
        expected = torch.stack([network.train(training)(x) for network in plain])
        logits = pack.train(training)(x.unsqueeze(0), _no_noise)
        _compare(case, "the logits of a pack and of the plain networks", logits, expected)


def check_single_and_packed(case: Case, configs: Sequence[RunConfig], images: DataSet, device: torch.device) -> None:
    """Compare the losses and logits of a noisy run after some steps, trained by itself and in a pack.

    The logits are computed with the statistics of the batch, so that a drifting bias before BatchNorm has no effect.
    """
    last = len(configs) - 1
    packed = train_pack([_one_epoch(config) for config in configs], images, device)[last]
    (single,) = train_pack([_one_epoch(configs[last])], images, device)
    losses = torch.tensor(packed.training_loss), torch.tensor(single.training_loss)
    _compare(case, "the losses of a run in a pack and by itself", *losses)
    x = images.transform.validation_inputs(images.validation_samples).unsqueeze(0)
    pack = Pack([configs[last].initial_network()]).to(device)
    logits = []
    for trained in (packed, single):
        load_states(pack.stacked_state(), [trained.state])
        logits.append(pack(x, _no_noise))
    _compare(case, "the logits of a run trained in a pack and by itself", *logits)


def check_noise(case: Case, device: torch.device) -> None:
    """Check that the usual way has noise only at the trainer's noise point, and with the same level."""
    layers = list(plain_network(case.config).named_children())
    noises = {before: layer for (before, _), (_, layer) in pairwise(layers) if isinstance(layer, Noise)}
    name, level = case.config.points[case.point].name, case.config.levels[case.point].add
    if list(noises) != [name]:
        raise UserError(f"bench: {case.name}: the usual way has noise after {', '.join(noises)}, not after {name}")
    spread = float(noises[name].to(device)(torch.zeros(10**6, device=device)).std())
    if abs(spread - level) > 0.01 * level:
        raise UserError(f"bench: {case.name}: the usual way's noise has the level {spread:.3f}, not {level:.3f}")


def check_ensemble(case: Case, name: str, ensemble: Ensemble, images: DataSet) -> None:
    """Compare an ensemble with plain networks: logits and losses without noise, draws and variance with noise.

    Raises
    ------
    UserError
        They differ; the message names the ensemble.
    """
    runs, rows = len(ensemble.configs), len({config.seed for config in ensemble.configs})
    steps, size = max(STEPS, ensemble.chunk), case.config.training.batch_size
    samples = torch.arange(steps * size).view(steps, 1, size) % len(images.train_labels)
    chunks = samples.expand(-1, rows, -1).split(ensemble.chunk)
    x = images.transform.validation_inputs(images.train_samples[samples[:, 0]].flatten(0, 1)).unflatten(
        0, (steps, size)
    )
    y = images.train_labels[samples[:, 0]]

    configs = [changed(case.config, {"seed": seed}) for seed in range(runs)]
    plain = [plain_network(config, noisy=False) for config in configs]
    ensemble.reset(configs, noisy=False)
    for training in (True, False):
        expected = torch.stack([network.train(training)(x[0]) for network in plain])
        _compare(case, f"the logits of {name} and of the plain networks", ensemble.logits(x[0], training), expected)
    ensemble.reset(configs, noisy=False)
    losses = torch.cat([ensemble.train(chunk) for chunk in chunks])
    expected = torch.stack([_train(config, x, y, noisy=False)[1] for config in configs], 1)
    _compare(case, f"the losses of {name} and of the plain networks", losses, expected)

    loud = changed(case.config, {"noise.std": LOUD})
    drawn: list[float] = []
    for _ in range(2):
        ensemble.reset([loud] * runs)
        drawn += ensemble.train(chunks[0])[0].tolist()
    if len(set(drawn)) < len(drawn):
        raise UserError(f"bench: {case.name}: {name} draws the same noise for several runs or steps")
    networks = [_train(loud, x[: ensemble.chunk], y, noisy=True)[0] for _ in range(runs)]
    for layer, variance in ensemble.buffers().items():
        if layer.endswith("running_var"):
            expected = torch.stack([network.get_buffer(layer) for network in networks]).mean()
            _compare(case, f"{layer} of {name} and of the plain networks", variance.mean(), expected, NOISE_TOLERANCE)


def _train(config: RunConfig, x: Tensor, y: Tensor, noisy: bool) -> tuple[nn.Sequential, Tensor]:
    """A plain network trained on mini-batches ``(steps, B, …)``, and its losses ``(steps,)``."""
    network, losses = plain_network(config, noisy).train(), []
    adam = torch.optim.Adam(network.parameters(), config.training.learning_rate)
    for inputs, labels in zip(x, y[: len(x)], strict=True):
        adam.zero_grad()
        losses.append(F.cross_entropy(network(inputs), labels))
        losses[-1].backward()
        adam.step()
    return network, torch.stack(losses)


def _compare(case: Case, what: str, ours: Tensor, expected: Tensor, tolerance: float = TOLERANCE) -> None:
    difference = float((ours.detach() - expected.detach()).abs().max() / expected.detach().abs().max())
    if not difference <= tolerance:
        raise UserError(
            f"bench: {case.name}: {what} differ by {difference:.2g} relative to the largest value; nothing was timed"
        )


def _no_noise(point: int, x: Tensor, member: int | None = None) -> Tensor:
    return x


def changed(config: RunConfig, settings: dict[str, Any]) -> RunConfig:
    """The run with other values of some settings."""
    return RunConfig.from_dict(config.to_flat() | settings)


def _one_epoch(config: RunConfig) -> RunConfig:
    return changed(config, {"training.epochs": 1})


def _first_samples(images: DataSet, batch_size: int) -> DataSet:
    """The first batches and the first block of a data set."""
    return replace(
        images,
        train_samples=images.train_samples[: STEPS * batch_size],
        train_labels=images.train_labels[: STEPS * batch_size],
        validation_samples=images.validation_samples[:BLOCK],
        validation_labels=images.validation_labels[:BLOCK],
    )

"""Overflow and divergence: told apart, each with its epoch."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from walking_noise import Result, RunConfig, train
from walking_noise.data import DataSet
from walking_noise.pack.pack import Pack
from walking_noise.pack.stacking import load_states, unstack
from walking_noise.training.adam.packed_adam import PackedAdam
from walking_noise.training.divergence import DivergenceMonitor

NAN, INF = float("nan"), float("inf")


def pack(*sick: int) -> Pack:
    """Three networks, some of which have weights that are not finite."""
    networks = [RunConfig.from_dict({"seed": seed}).initial_network() for seed in range(3)]
    with torch.no_grad():
        for member in sick:
            networks[member].get_parameter("fc2.weight")[0, 0] = NAN
    return Pack(networks)


CPU = torch.device("cpu")


def looked_at(losses: list[list[float]], networks: Pack) -> DivergenceMonitor:
    """After epochs of one step each."""
    health, optimizer = DivergenceMonitor(3, CPU), PackedAdam(list(networks.parameters()))
    for epoch, each in enumerate(losses, start=1):
        health.after_loss(torch.tensor(each), optimizer)
        health.after_epoch(networks, optimizer, epoch)
    return health


@pytest.mark.parametrize("loss", [NAN, INF])
def test_a_loss_that_finite_weights_give_is_an_overflow(loss: float) -> None:
    health = looked_at([[1, 2, 3], [1, loss, 3], [1, 2, 3], [loss, loss, 3]], pack())
    assert health.overflow_epoch == [4, 2, None]
    assert health.diverged_epoch == [None, None, None]


def test_a_loss_that_broken_weights_give_is_none() -> None:
    health = looked_at([[1, 2, 3], [INF, NAN, 3]], pack(1))
    assert health.overflow_epoch == [2, None, None]
    assert health.diverged_epoch == [None, 1, None]


def test_what_was_seen_goes_on_with_chosen_members() -> None:
    networks = pack(2)
    before, optimizer = looked_at([[NAN, 2, 3]], networks), PackedAdam(list(networks.parameters()))
    health, seen = DivergenceMonitor(2, CPU), unstack(before.stacked_state())
    load_states(health.stacked_state(), [seen[2], seen[0]])
    health.after_loss(torch.tensor([1.0, 1.0]), optimizer)
    assert (health.overflow_epoch, health.diverged_epoch) == ([None, 1], [1, None])


def result(digits: DataSet, **settings: Any) -> Result:
    dotted = {name.replace("__", "."): value for name, value in settings.items()}
    (only,) = train([RunConfig.from_dict({"training.epochs": 2, **dotted})], processes=1, device="cpu")
    return only


@pytest.mark.usefixtures("only_digits")
@pytest.mark.parametrize("batch_norm", [False, True])
def test_noise_that_float32_cannot_hold_is_an_overflow(batch_norm: bool, digits: DataSet) -> None:
    sick = result(digits, noise__kind="multiplicative", noise__std=1e16, model__batch_norm=batch_norm)
    assert (sick.outcome, sick.overflow_epoch) == ("overflow", 1)
    assert sick.diverged_epoch == 1
    assert sick.training_loss == [None, None]
    assert (sick.accuracy, sick.nonfinite) == (digits.chance_accuracy, 1.0)


@pytest.mark.usefixtures("only_digits")
def test_noise_that_float32_can_hold_is_none(digits: DataSet) -> None:
    for point in (0, 3, 7):
        well = result(digits, noise__kind="multiplicative", noise__std=1e16, noise__point=point)
        assert (well.outcome, well.overflow_epoch, well.diverged_epoch) == ("trained", None, None)
        assert well.nonfinite == 0
        assert None not in well.training_loss


@pytest.mark.usefixtures("only_digits")
def test_noise_at_inference_alone_can_overflow(digits: DataSet) -> None:
    sick = result(digits, noise__kind="multiplicative", noise__std=1e16, noise__in_training=False)
    assert (sick.outcome, sick.overflow_epoch, sick.diverged_epoch) == ("overflow", 2, None)
    assert sick.nonfinite == 1
    assert None not in sick.training_loss


@pytest.mark.usefixtures("only_digits")
@pytest.mark.parametrize(
    ("batch_norm", "level"),
    [
        pytest.param(True, 1e10, id="variance of a BatchNorm"),
        pytest.param(False, 1e3, id="second moment of Adam"),
    ],
)
def test_an_overflow_that_leaves_loss_and_logits_finite_is_one(batch_norm: bool, level: float, digits: DataSet) -> None:
    """An infinite variance turns activations into 0, an infinite second moment stops the training: no physics."""
    sick = result(digits, noise__kind="multiplicative", noise__std=level, model__batch_norm=batch_norm)
    assert None not in sick.training_loss
    assert (sick.outcome, sick.overflow_epoch) == ("overflow", 1)

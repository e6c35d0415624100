"""Overflow and divergence: how they are distinguished, and their epochs."""

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


def pack(*broken: int) -> Pack:
    """Three networks; the broken ones have a weight that is NaN."""
    networks = [RunConfig.from_dict({"seed": seed}).initial_network() for seed in range(3)]
    with torch.no_grad():
        for member in broken:
            networks[member].get_parameter("fc2.weight")[0, 0] = NAN
    return Pack(networks)


CPU = torch.device("cpu")


def monitored(losses: list[list[float]], networks: Pack) -> DivergenceMonitor:
    """The monitor after epochs of one step each, with these losses."""
    monitor, optimizer = DivergenceMonitor(3, CPU), PackedAdam(list(networks.parameters()))
    for epoch, each in enumerate(losses, start=1):
        monitor.after_loss(torch.tensor(each), optimizer)
        monitor.after_epoch(networks, optimizer, epoch)
    return monitor


@pytest.mark.parametrize("loss", [NAN, INF])
def test_a_nonfinite_loss_with_finite_weights_is_an_overflow(loss: float) -> None:
    monitor = monitored([[1, 2, 3], [1, loss, 3], [1, 2, 3], [loss, loss, 3]], pack())
    assert monitor.overflow_epoch == [4, 2, None]
    assert monitor.diverged_epoch == [None, None, None]


def test_a_nonfinite_loss_with_broken_weights_is_no_overflow() -> None:
    monitor = monitored([[1, 2, 3], [INF, NAN, 3]], pack(1))
    assert monitor.overflow_epoch == [2, None, None]
    assert monitor.diverged_epoch == [None, 1, None]


def test_chosen_members_keep_their_epochs() -> None:
    networks = pack(2)
    before, optimizer = monitored([[NAN, 2, 3]], networks), PackedAdam(list(networks.parameters()))
    monitor, states = DivergenceMonitor(2, CPU), unstack(before.stacked_state())
    load_states(monitor.stacked_state(), [states[2], states[0]])
    monitor.after_loss(torch.tensor([1.0, 1.0]), optimizer)
    assert (monitor.overflow_epoch, monitor.diverged_epoch) == ([None, 1], [1, None])


def result(digits: DataSet, **settings: Any) -> Result:
    dotted = {name.replace("__", "."): value for name, value in settings.items()}
    (only,) = train([RunConfig.from_dict({"training.epochs": 2, **dotted})], processes=1, device="cpu")
    return only


@pytest.mark.usefixtures("only_digits")
@pytest.mark.parametrize("batch_norm", [False, True])
def test_noise_beyond_the_range_of_float32_is_an_overflow(batch_norm: bool, digits: DataSet) -> None:
    overflowed = result(digits, noise__kind="multiplicative", noise__std=1e16, model__batch_norm=batch_norm)
    assert (overflowed.outcome, overflowed.overflow_epoch) == ("overflow", 1)
    assert overflowed.diverged_epoch == 1
    assert overflowed.training_loss == [None, None]
    assert (overflowed.accuracy, overflowed.nonfinite) == (digits.chance_accuracy, 1.0)


@pytest.mark.usefixtures("only_digits")
def test_noise_in_the_range_of_float32_is_no_overflow(digits: DataSet) -> None:
    for point in (0, 3, 7):
        normal = result(digits, noise__kind="multiplicative", noise__std=1e16, noise__point=point)
        assert (normal.outcome, normal.overflow_epoch, normal.diverged_epoch) == ("trained", None, None)
        assert normal.nonfinite == 0
        assert None not in normal.training_loss


@pytest.mark.usefixtures("only_digits")
def test_noise_at_inference_only_can_overflow(digits: DataSet) -> None:
    overflowed = result(digits, noise__kind="multiplicative", noise__std=1e16, noise__in_training=False)
    assert (overflowed.outcome, overflowed.overflow_epoch, overflowed.diverged_epoch) == ("overflow", 2, None)
    assert overflowed.nonfinite == 1
    assert None not in overflowed.training_loss


@pytest.mark.usefixtures("only_digits")
@pytest.mark.parametrize(
    ("batch_norm", "level"),
    [
        pytest.param(True, 1e10, id="variance of a BatchNorm"),
        pytest.param(False, 1e3, id="second moment of Adam"),
    ],
)
def test_an_overflow_with_finite_loss_and_logits(batch_norm: bool, level: float, digits: DataSet) -> None:
    """An infinite variance turns activations into 0, and an infinite second moment stops the training."""
    overflowed = result(digits, noise__kind="multiplicative", noise__std=level, model__batch_norm=batch_norm)
    assert None not in overflowed.training_loss
    assert (overflowed.outcome, overflowed.overflow_epoch) == ("overflow", 1)

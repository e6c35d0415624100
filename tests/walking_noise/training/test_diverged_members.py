"""Diverged members leave the pack. Their results are the same as after full training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from walking_noise import RunConfig
from walking_noise.data import DataSet
from walking_noise.training.member import Member, TrainedNetwork
from walking_noise.training.trainer import PackTrainer, train_pack

CPU = torch.device("cpu")
EPOCHS = 6
RUNS: list[dict[str, Any]] = [
    {"noise.kind": "none"},
    {"noise.kind": "multiplicative", "noise.std": 1e20, "evaluation.curve": True},
    {"noise.kind": "mixed", "noise.std_mul": 1e20, "noise.std_add": 0.5},
    {"noise.std": 0.5, "evaluation.curve": True},
    {"noise.kind": "multiplicative", "noise.std": 1e20, "training.weight_clamp": 0.5},
    {"noise.kind": "multiplicative", "noise.std": 0.5, "noise.point": 3, "training.weight_clamp": 0.05},
]
DIVERGED = {1, 2, 4}


@pytest.fixture(params=["mlp", "mlp with BatchNorm", "lenet5"])
def configs(request: pytest.FixtureRequest) -> list[RunConfig]:
    model, _, batch_norm = request.param.partition(" with ")
    shared = {"model.name": model, "model.batch_norm": bool(batch_norm), "training.epochs": EPOCHS}
    return [RunConfig.from_dict({**shared, **one, "seed": seed}) for seed, one in enumerate(RUNS)]


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of members trained in each epoch."""
    sizes: list[int] = []
    train_epoch = PackTrainer.train_epoch

    def counted(self: PackTrainer, *args: Any) -> None:
        sizes.append(len(self.configs))
        train_epoch(self, *args)

    monkeypatch.setattr(PackTrainer, "train_epoch", counted)
    return sizes


def fully_trained(configs: Sequence[RunConfig], data: DataSet) -> list[TrainedNetwork]:
    """Every run trained for all of its epochs, diverged ones included."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(PackTrainer, "diverged_members", lambda self: [])
        return train_pack(configs, data, CPU)


def without_weights(trained: TrainedNetwork) -> dict[str, str]:
    """All fields but the weights, as text, so that NaN equals NaN."""
    return {name: repr(value) for name, value in vars(trained).items() if name != "state"}


def equal_states(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_results_are_those_of_full_training(configs: list[RunConfig], fewer_digits: DataSet, sizes: list[int]) -> None:
    expected = fully_trained(configs, fewer_digits)
    assert sizes == [len(RUNS)] * EPOCHS
    sizes.clear()
    trained = train_pack(configs, fewer_digits, CPU)
    assert sizes == sorted(sizes, reverse=True)
    assert (sizes[0], sizes[2:]) == (len(RUNS), [len(RUNS) - len(DIVERGED)] * (EPOCHS - 2))
    for member, (one, full) in enumerate(zip(trained, expected, strict=True)):
        assert without_weights(one) == without_weights(full)
        assert equal_states(one.state, full.state) != (member in DIVERGED)
        assert (one.diverged_epoch == 1) == (member in DIVERGED)


def test_all_members_diverge_at_too_large_a_learning_rate(
    configs: list[RunConfig], fewer_digits: DataSet, sizes: list[int]
) -> None:
    too_fast = configs[3].to_flat() | {"training.learning_rate": 1e37}
    fast = [RunConfig.from_dict(too_fast | {"seed": seed}) for seed in range(3)]
    trained = train_pack(fast, fewer_digits, CPU)
    assert sizes == [3]
    for one, full in zip(trained, fully_trained(fast, fewer_digits), strict=True):
        assert without_weights(one) == without_weights(full)


def test_training_ends_when_the_only_member_has_diverged(fewer_digits: DataSet, sizes: list[int]) -> None:
    config = RunConfig.from_dict({"training.epochs": EPOCHS, **RUNS[1]})
    calls: list[list[int]] = []
    (trained,) = train_pack([config], fewer_digits, CPU, after_epoch=calls.append)
    assert sizes == [1]
    assert calls == [[EPOCHS]]
    assert without_weights(trained) == without_weights(fully_trained([config], fewer_digits)[0])
    assert len(trained.training_loss) == len(trained.evaluations) == EPOCHS


def test_a_member_with_infinite_weights_but_no_nan_keeps_training(fewer_digits: DataSet, sizes: list[int]) -> None:
    """A bias of -inf disables one neuron, not the network."""
    configs = [RunConfig.from_dict({"training.epochs": 2, "noise.kind": "none", "seed": seed}) for seed in range(2)]
    trainer = PackTrainer([Member(config) for config in configs], fewer_digits, CPU)
    bias = dict(trainer.pack.named_parameters())["layers.fc2.bias"]
    bias.data[1, 0] = -float("inf")
    trainer.train_epoch(lambda: None)
    assert trainer.diverged_members() == []
    assert trainer.divergence.diverged_epoch == [None, 1]
    assert trainer.members[1].training_loss[0] < 3


def test_fast_forwarding_can_be_stopped(fewer_digits: DataSet) -> None:
    config = RunConfig.from_dict({"training.epochs": EPOCHS, **RUNS[1]})
    batches = 0

    def stop() -> None:
        nonlocal batches
        batches += 1
        if batches == 4:  # two batches of the first epoch, one of each further epoch
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_pack([config], fewer_digits, CPU, after_batch=stop)

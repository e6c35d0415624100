"""Runs that no training can change any more: they leave the pack, and their results are those of full training."""

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
EPOCHS = 8
RUNS: list[dict[str, Any]] = [
    {"noise.kind": "none"},
    {"noise.kind": "multiplicative", "noise.std": 1e20, "evaluation.curve": True},
    {"noise.std": 0.5, "training.learning_rate": 1e37},
    {"noise.std": 0.5, "evaluation.curve": True},
    {"noise.kind": "none", "training.learning_rate": 1e30, "training.weight_clamp": 0.5},
    {"noise.kind": "multiplicative", "noise.std": 0.5, "noise.point": 3, "training.weight_clamp": 0.05},
]
LOST = {1, 2, 4}


@pytest.fixture(params=["mlp", "mlp with BatchNorm", "lenet5"])
def configs(request: pytest.FixtureRequest) -> list[RunConfig]:
    model, _, batch_norm = request.param.partition(" with ")
    shared = {"model.name": model, "model.batch_norm": bool(batch_norm), "training.epochs": EPOCHS}
    return [RunConfig.from_dict({**shared, **one, "seed": seed}) for seed, one in enumerate(RUNS)]


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The members that were trained in each epoch."""
    seen: list[int] = []
    train_epoch = PackTrainer.train_epoch

    def counted(self: PackTrainer, *more: Any) -> None:
        seen.append(len(self.configs))
        train_epoch(self, *more)

    monkeypatch.setattr(PackTrainer, "train_epoch", counted)
    return seen


def to_the_end(configs: Sequence[RunConfig], data: DataSet) -> list[TrainedNetwork]:
    """Every run trained through all of its epochs."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(PackTrainer, "lost", lambda self: [])
        return train_pack(configs, data, CPU)


def told(trained: TrainedNetwork) -> dict[str, str]:
    """All of it but the weights, NaN being equal to NaN."""
    return {name: repr(value) for name, value in vars(trained).items() if name != "state"}


def alike(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_results_are_those_of_full_training(configs: list[RunConfig], fewer_digits: DataSet, sizes: list[int]) -> None:
    expected = to_the_end(configs, fewer_digits)
    assert sizes == [len(RUNS)] * EPOCHS
    sizes.clear()
    trained = train_pack(configs, fewer_digits, CPU)
    assert sizes == sorted(sizes, reverse=True)
    assert (sizes[0], sizes[2:]) == (len(RUNS), [len(RUNS) - len(LOST)] * (EPOCHS - 2))
    for member, (one, full) in enumerate(zip(trained, expected, strict=True)):
        assert told(one) == told(full)
        assert alike(one.state, full.state) != (member in LOST)
        assert (one.diverged_epoch == 1) == (member in LOST)


def test_a_lost_run_alone_ends_the_training(fewer_digits: DataSet, sizes: list[int]) -> None:
    config = RunConfig.from_dict({"training.epochs": EPOCHS, **RUNS[1]})
    calls: list[list[int]] = []
    (trained,) = train_pack([config], fewer_digits, CPU, after_epoch=calls.append)
    assert sizes == [1]
    assert calls == [[EPOCHS]]
    assert told(trained) == told(to_the_end([config], fewer_digits)[0])
    assert len(trained.training_loss) == len(trained.evaluations) == EPOCHS


def test_weights_that_are_infinite_without_a_nan_may_still_learn(fewer_digits: DataSet, sizes: list[int]) -> None:
    """A bias of -inf is a dead neuron, no dead network."""
    configs = [RunConfig.from_dict({"training.epochs": 2, "noise.kind": "none", "seed": seed}) for seed in range(2)]
    trainees = PackTrainer([Member(config) for config in configs], fewer_digits, CPU)
    bias = dict(trainees.pack.named_parameters())["layers.fc2.bias"]
    bias.data[1, 0] = -float("inf")
    trainees.train_epoch(lambda: None)
    assert trainees.diverged_members() == []
    assert trainees.divergence.diverged_epoch == [None, 1]
    assert trainees.members[1].training_loss[0] < 3


def test_stopping_is_possible_while_a_lost_runs_audit_is_completed(fewer_digits: DataSet) -> None:
    config = RunConfig.from_dict({"training.epochs": EPOCHS, **RUNS[1]})
    batches = 0

    def stop() -> None:
        nonlocal batches
        batches += 1
        if batches == 4:  # two batches of the first epoch, one of each further one
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_pack([config], fewer_digits, CPU, after_batch=stop)

"""Accuracy on the validation set, and what is not a number in it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from walking_noise import RunConfig
from walking_noise.data import DataSet
from walking_noise.evaluation.evaluator import evaluate
from walking_noise.evaluation.shared_prefix import BLOCK
from walking_noise.noise.audit import Audit
from walking_noise.noise.injection import Injection
from walking_noise.pack.pack import Pack

CONFIGS = [RunConfig.from_dict({"model.batch_norm": True, "seed": seed}) for seed in range(3)]
NOISY = [RunConfig.from_dict({"model.batch_norm": True, "noise.std": 2.0, "seed": seed}) for seed in range(3)]


def pack(configs: list[RunConfig] = CONFIGS) -> Pack:
    return Pack([config.initial_network() for config in configs])


def inputs(data: DataSet) -> Tensor:
    return data.transform.validation_inputs(data.validation_samples)


def test_accuracy_is_the_share_of_right_answers(digits: DataSet) -> None:
    scores = evaluate(pack(), [0, 1, 2], CONFIGS, digits, 1)
    assert len(digits.validation_labels) > BLOCK
    for config, score in zip(CONFIGS, scores, strict=True):
        with torch.no_grad():
            answers = config.initial_network().eval()(inputs(digits)).argmax(1)
        assert score.accuracy == float((answers == digits.validation_labels).double().mean())
        assert score.nonfinite == 0
    assert len({score.accuracy for score in scores}) > 1


def test_members_are_evaluated_in_any_order_and_as_often_as_asked(digits: DataSet) -> None:
    group_size = pack()
    alone = [evaluate(pack([config]), [0], [noisy], digits, 1)[0] for config, noisy in zip(CONFIGS, NOISY, strict=True)]
    assert evaluate(group_size, [2, 0], [NOISY[2], NOISY[0]], digits, 1) == [alone[2], alone[0]]
    several = evaluate(group_size, [1, 1, 1], [CONFIGS[1], NOISY[1], CONFIGS[1]], digits, 1)
    assert several[0] == several[2] == evaluate(group_size, [1], [CONFIGS[1]], digits, 1)[0]
    assert several[1] == alone[1]
    assert several[1] != several[0]


def test_evaluation_changes_nothing_about_the_networks(digits: DataSet) -> None:
    group_size = pack()
    before = {name: tensor.clone() for name, tensor in group_size.stacked_state().items()}
    evaluate(group_size, [0, 1, 2], NOISY, digits, 1)
    assert all(torch.equal(tensor, before[name]) for name, tensor in group_size.stacked_state().items())
    assert all(parameter.grad is None for parameter in group_size.parameters())


def test_noise_at_inference_is_new_in_every_epoch_and_with_every_seed(digits: DataSet) -> None:
    group_size = pack()

    def audit(epoch: int, seed: int) -> Any:
        config = RunConfig.from_dict({"model.batch_norm": True, "noise.std": 2.0, "noise.seed": seed})
        (score,) = evaluate(group_size, [0], [config], digits, epoch, audited=True)
        assert score.audit is not None
        return score.audit["std_add"]

    assert audit(1, 0) == audit(1, 0)
    assert audit(1, 0) != audit(2, 0)
    assert audit(1, 0) != audit(1, 1)


def test_noise_at_inference_is_new_in_every_block(digits: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    places: list[tuple[int, ...]] = []
    at = Injection.at

    def recorded(injection: Injection, *place: int, audit: Audit | None = None) -> Any:
        places.append(place)
        return at(injection, *place, audit=audit)

    monkeypatch.setattr(Injection, "at", recorded)
    evaluate(pack(), [0], NOISY[:1], digits, 7)
    assert places == [(7, 0), (7, 1)]


@torch.no_grad()
def constant(network: nn.Sequential, answer: int) -> nn.Sequential:
    """Let a network give one answer, whatever the input."""
    for parameter in network.parameters():
        parameter.zero_()
    network.get_parameter("fc4.bias")[answer] = 1
    return network


@pytest.mark.parametrize("frequent", [0, 3])
def test_logits_that_are_no_numbers_count_as_the_constant_answer(frequent: int, digits: DataSet) -> None:
    """Two pixels overflow together: where both are bright, inf · 0 follows; elsewhere the answer is 7."""
    data = dataclasses.replace(digits, train_labels=torch.full_like(digits.train_labels, frequent))
    config = RunConfig()
    network = constant(config.initial_network(), 7)
    bright = inputs(data).flatten(1).double()
    one, other = bright.std(0).topk(2).indices.tolist()
    with torch.no_grad():
        network.get_parameter("fc1.weight")[0, [one, other]] = 3e38
    lost = bright[:, one] + bright[:, other] > 3.4028235e38 / 3e38
    (score,) = evaluate(Pack([network]), [0], [config], data, 1)
    right = torch.where(lost, frequent, 7) == data.validation_labels
    assert 0.1 < float(lost.double().mean()) < 0.9
    assert score.nonfinite == pytest.approx(float(lost.double().mean()))
    assert score.accuracy == pytest.approx(float(right.double().mean()))


@pytest.mark.parametrize("sick", [float("nan"), float("inf"), -float("inf")])
def test_a_single_logit_that_is_no_number_spoils_its_sample(sick: float, digits: DataSet) -> None:
    data = dataclasses.replace(digits, train_labels=torch.full_like(digits.train_labels, 3))
    network = constant(RunConfig().initial_network(), 7)
    with torch.no_grad():
        network.get_parameter("fc4.bias")[2] = sick
    (score,) = evaluate(Pack([network]), [0], [RunConfig()], data, 1)
    assert (score.accuracy, score.nonfinite) == (data.chance_accuracy, 1)
    assert data.chance_accuracy == float((data.validation_labels == 3).double().mean())


def test_a_sick_member_leaves_the_others_as_they_are(digits: DataSet) -> None:
    sick = CONFIGS[1].initial_network()
    with torch.no_grad():
        sick.get_parameter("fc1.weight").fill_(float("nan"))
    healthy = [CONFIGS[0].initial_network(), CONFIGS[2].initial_network()]
    group_size = evaluate(Pack([healthy[0], sick, healthy[1]]), [0, 1, 2], NOISY, digits, 1)
    assert [group_size[0], group_size[2]] == evaluate(Pack(healthy), [0, 1], [NOISY[0], NOISY[2]], digits, 1)
    assert group_size[1].nonfinite == 1

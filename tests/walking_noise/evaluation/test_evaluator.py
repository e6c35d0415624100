"""Evaluator: accuracy on the validation set, and non-finite logits."""

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


def test_accuracy_is_the_fraction_of_correct_answers(digits: DataSet) -> None:
    evaluations = evaluate(pack(), [0, 1, 2], CONFIGS, digits, 1)
    assert len(digits.validation_labels) > BLOCK
    for config, evaluation in zip(CONFIGS, evaluations, strict=True):
        with torch.no_grad():
            answers = config.initial_network().eval()(inputs(digits)).argmax(1)
        assert evaluation.accuracy == float((answers == digits.validation_labels).double().mean())
        assert evaluation.nonfinite == 0
    assert len({evaluation.accuracy for evaluation in evaluations}) > 1


def test_members_are_evaluated_in_any_order_and_any_number_of_times(digits: DataSet) -> None:
    three = pack()
    single = [
        evaluate(pack([config]), [0], [noisy], digits, 1)[0] for config, noisy in zip(CONFIGS, NOISY, strict=True)
    ]
    assert evaluate(three, [2, 0], [NOISY[2], NOISY[0]], digits, 1) == [single[2], single[0]]
    several = evaluate(three, [1, 1, 1], [CONFIGS[1], NOISY[1], CONFIGS[1]], digits, 1)
    assert several[0] == several[2] == evaluate(three, [1], [CONFIGS[1]], digits, 1)[0]
    assert several[1] == single[1]
    assert several[1] != several[0]


def test_evaluation_changes_nothing_about_the_networks(digits: DataSet) -> None:
    three = pack()
    before = {name: tensor.clone() for name, tensor in three.stacked_state().items()}
    evaluate(three, [0, 1, 2], NOISY, digits, 1)
    assert all(torch.equal(tensor, before[name]) for name, tensor in three.stacked_state().items())
    assert all(parameter.grad is None for parameter in three.parameters())


def test_noise_at_inference_differs_between_epochs_and_seeds(digits: DataSet) -> None:
    three = pack()

    def audit(epoch: int, seed: int) -> Any:
        config = RunConfig.from_dict({"model.batch_norm": True, "noise.std": 2.0, "noise.seed": seed})
        (evaluation,) = evaluate(three, [0], [config], digits, epoch, audited=True)
        assert evaluation.audit is not None
        return evaluation.audit["std_add"]

    assert audit(1, 0) == audit(1, 0)
    assert audit(1, 0) != audit(2, 0)
    assert audit(1, 0) != audit(1, 1)


def test_noise_at_inference_differs_between_blocks(digits: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[tuple[int, ...]] = []
    at = Injection.at

    def recorded(injection: Injection, step: tuple[int, ...], audit: Audit | None = None) -> Any:
        steps.append(step)
        return at(injection, step, audit)

    monkeypatch.setattr(Injection, "at", recorded)
    evaluate(pack(), [0], NOISY[:1], digits, 7)
    assert steps == [(7, 0), (7, 1)]


@torch.no_grad()
def constant(network: nn.Sequential, answer: int) -> nn.Sequential:
    """Make a network give one answer for every input."""
    for parameter in network.parameters():
        parameter.zero_()
    network.get_parameter("fc4.bias")[answer] = 1
    return network


@pytest.mark.parametrize("frequent", [0, 3])
def test_nonfinite_logits_count_as_the_constant_answer(frequent: int, digits: DataSet) -> None:
    """Two pixels overflow together. If both are bright, inf · 0 is NaN; otherwise the answer is 7."""
    data = dataclasses.replace(digits, train_labels=torch.full_like(digits.train_labels, frequent))
    config = RunConfig()
    network = constant(config.initial_network(), 7)
    bright = inputs(data).flatten(1).double()
    one, other = bright.std(0).topk(2).indices.tolist()
    with torch.no_grad():
        network.get_parameter("fc1.weight")[0, [one, other]] = 3e38
    nonfinite = bright[:, one] + bright[:, other] > 3.4028235e38 / 3e38
    (evaluation,) = evaluate(Pack([network]), [0], [config], data, 1)
    correct = torch.where(nonfinite, frequent, 7) == data.validation_labels
    assert 0.1 < float(nonfinite.double().mean()) < 0.9
    assert evaluation.nonfinite == pytest.approx(float(nonfinite.double().mean()))
    assert evaluation.accuracy == pytest.approx(float(correct.double().mean()))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_sample_with_one_nonfinite_logit_is_nonfinite(value: float, digits: DataSet) -> None:
    data = dataclasses.replace(digits, train_labels=torch.full_like(digits.train_labels, 3))
    network = constant(RunConfig().initial_network(), 7)
    with torch.no_grad():
        network.get_parameter("fc4.bias")[2] = value
    (evaluation,) = evaluate(Pack([network]), [0], [RunConfig()], data, 1)
    assert (evaluation.accuracy, evaluation.nonfinite) == (data.chance_accuracy, 1)
    assert data.chance_accuracy == float((data.validation_labels == 3).double().mean())


def test_a_member_with_nan_weights_does_not_affect_the_others(digits: DataSet) -> None:
    broken = CONFIGS[1].initial_network()
    with torch.no_grad():
        broken.get_parameter("fc1.weight").fill_(float("nan"))
    healthy = [CONFIGS[0].initial_network(), CONFIGS[2].initial_network()]
    evaluations = evaluate(Pack([healthy[0], broken, healthy[1]]), [0, 1, 2], NOISY, digits, 1)
    assert [evaluations[0], evaluations[2]] == evaluate(Pack(healthy), [0, 1], [NOISY[0], NOISY[2]], digits, 1)
    assert evaluations[1].nonfinite == 1

"""Result of a run."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from walking_noise import Result, RunConfig
from walking_noise.data import DataSet
from walking_noise.evaluation.evaluator import Evaluation
from walking_noise.runtime.results import result_of
from walking_noise.training.member import TrainedNetwork

AUDIT = {"std_mul": [None], "std_add": [0.5], "signal": [None], "draws": [100]}
PROVENANCE: dict[str, str | None] = {"version": "1", "cuda": None}


def trained(*evaluations: Evaluation, **changes: Any) -> TrainedNetwork:
    fields: dict[str, Any] = {
        "state": {"fc1.weight": torch.zeros(2)},
        "training_loss": [1.0] * len(evaluations),
        "evaluations": list(evaluations),
        "mean_abs_weight": {"fc1": 0.25},
        "training_audit": AUDIT,
        "overflow_epoch": None,
        "diverged_epoch": None,
    }
    return TrainedNetwork(**fields | changes)


def result(
    digits: DataSet,
    trained: TrainedNetwork,
    inference_only: Evaluation | None = None,
    settings: dict[str, Any] | None = None,
    network: str | None = None,
) -> Result:
    epochs = len(trained.training_loss)
    config = RunConfig.from_dict({"training.epochs": epochs} | (settings or {}))
    others: dict[str, Any] = {"seconds": 1.5, "pack_size": 4, "device": "cpu", "provenance": PROVENANCE}
    return result_of(config, trained, inference_only, digits, network_file=network, **others)


def evaluations(*accuracies: float) -> list[Evaluation]:
    last = len(accuracies) - 1
    return [Evaluation(accuracy, 0.0, AUDIT if index == last else None) for index, accuracy in enumerate(accuracies)]


def test_accuracy_is_the_mean_of_the_last_five_epochs(digits: DataSet) -> None:
    seven_epochs = trained(*evaluations(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 1.0))
    ended = result(digits, seven_epochs)
    assert ended.accuracy == pytest.approx(0.56)
    assert ended.last_accuracies == [0.3, 0.4, 0.5, 0.6, 1.0]
    assert ended.validation_curve is None


def test_the_curve_is_recorded_if_configured(digits: DataSet) -> None:
    ended = result(digits, trained(*evaluations(0.1, 0.2, 0.3, 0.4, 0.5, 0.6)), settings={"evaluation.curve": True})
    assert ended.validation_curve == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert ended.last_accuracies == [0.2, 0.3, 0.4, 0.5, 0.6]


def test_noise_at_inference_only_is_evaluated_once(digits: DataSet) -> None:
    once = Evaluation(0.3, 0.25, {**AUDIT, "draws": [7]})
    ended = result(digits, trained(*evaluations(0.8, 0.9)), once, {"noise.in_training": False, "noise.std": 1.0})
    assert (ended.accuracy, ended.last_accuracies, ended.nonfinite) == (0.3, [0.3], 0.25)
    assert ended.audit["inference"]["draws"] == [7]


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, "trained"),
        ({"overflow_epoch": 1}, "overflow"),
        ({"diverged_epoch": 2}, "diverged"),
        ({"overflow_epoch": 1, "diverged_epoch": 1}, "overflow"),
    ],
)
def test_outcome(changes: dict[str, Any], outcome: str, digits: DataSet) -> None:
    ended = result(digits, trained(*evaluations(0.8, 0.9), **changes))
    assert ended.outcome == outcome
    assert ended.overflow_epoch == changes.get("overflow_epoch")
    assert ended.diverged_epoch == changes.get("diverged_epoch")


@pytest.mark.parametrize(
    ("nonfinite", "outcome", "epoch"),
    [
        ([0, 0, 0, 0, 0, 0], "trained", None),
        ([0, 0, 0, 0, 0, 0.01], "overflow", 6),
        ([0, 0, 0, 0.5, 1, 1], "overflow", 4),
        ([0, 0, 0, 0.5, 0, 0], "overflow", 4),
    ],
)
def test_an_overflow_in_evaluation_has_its_first_epoch(
    nonfinite: list[float], outcome: str, epoch: int | None, digits: DataSet
) -> None:
    every_epoch = [Evaluation(0.1, fraction, AUDIT) for fraction in nonfinite]
    for recorded, curve in ((every_epoch, True), (every_epoch[-5:], False)):
        network = trained(*recorded, training_loss=[1.0] * 6)
        ended = result(digits, network, settings={"evaluation.curve": curve})
        assert (ended.outcome, ended.overflow_epoch) == (outcome, epoch)


def test_nonfinite_logits_of_diverged_weights_are_no_overflow(digits: DataSet) -> None:
    ended = result(digits, trained(Evaluation(0.1, 1.0, AUDIT), diverged_epoch=1))
    assert (ended.outcome, ended.overflow_epoch) == ("diverged", None)


def test_nonfinite_losses_are_none(digits: DataSet) -> None:
    losses = [1.0, float("nan"), float("inf")]
    assert result(digits, trained(*evaluations(0.1, 0.1, 0.1), training_loss=losses)).training_loss == [1.0, None, None]


KEYS = {
    "accuracy",
    "last_accuracies",
    "training_loss",
    "mean_abs_weight",
    "outcome",
    "diverged_epoch",
    "overflow_epoch",
    "nonfinite",
    "floor",
    "points",
    "audit",
    "epochs",
    "seconds",
    "pack_size",
    "device",
    "provenance",
}


def test_a_document_has_the_fields_that_the_analysis_reads(digits: DataSet) -> None:
    document = result(digits, trained(*evaluations(0.25, 0.75), training_loss=[2.0, float("nan")])).to_document()
    assert set(document) == KEYS
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["points"] == [
        {"name": "input", "layer": None},
        {"name": "fc1", "params": 784 * 64 + 64, "macs": 784 * 64},
        {"name": "relu1"},
        {"name": "fc2", "params": 64 * 64 + 64, "macs": 64 * 64},
        {"name": "relu2"},
        {"name": "fc3", "params": 64 * 64 + 64, "macs": 64 * 64},
        {"name": "relu3"},
        {"name": "fc4", "params": 64 * 10 + 10, "macs": 64 * 10},
    ]
    assert document["audit"] == {"inference": AUDIT, "training": AUDIT}
    assert document["floor"] == digits.chance_accuracy
    assert (document["accuracy"], document["epochs"], document["pack_size"]) == (0.5, 2, 4)
    curve = result(digits, trained(*evaluations(0.25)), settings={"evaluation.curve": True}).to_document()
    assert set(curve) == KEYS | {"validation_curve"}


def test_a_document_names_a_kept_network(digits: DataSet) -> None:
    document = result(digits, trained(*evaluations(0.25)), network="key-maker.pt").to_document()
    assert set(document) == KEYS | {"network"}
    assert document["network"] == "key-maker.pt"


def test_evaluations_for_the_curve_of_another_run_change_nothing(digits: DataSet) -> None:
    """A run that shares its network with a run that records its curve uses the last five evaluations only."""
    nonfinite = [0.5, 0, 0, 0, 0, 0]
    network = trained(*(Evaluation(0.1, fraction, AUDIT) for fraction in nonfinite), training_loss=[1.0] * 6)
    ended = result(digits, network, settings={})
    assert (ended.outcome, ended.overflow_epoch) == ("trained", None)
    assert len(ended.last_accuracies) == 5

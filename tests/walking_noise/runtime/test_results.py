"""What a run ends with."""

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


def trained(*passes: Evaluation, **changes: Any) -> TrainedNetwork:
    fields: dict[str, Any] = {
        "state": {"fc1.weight": torch.zeros(2)},
        "training_loss": [1.0] * len(passes),
        "evaluations": list(passes),
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
    made: dict[str, Any] = {"seconds": 1.5, "pack_size": 4, "device": "cpu", "provenance": PROVENANCE}
    return result_of(config, trained, inference_only, digits, network_file=network, **made)


def passes(*accuracies: float) -> list[Evaluation]:
    last = len(accuracies) - 1
    return [Evaluation(accuracy, 0.0, AUDIT if at == last else None) for at, accuracy in enumerate(accuracies)]


def test_accuracy_is_the_mean_of_the_last_five_epochs(digits: DataSet) -> None:
    all_seven = trained(*passes(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 1.0))
    done = result(digits, all_seven)
    assert done.accuracy == pytest.approx(0.56)
    assert done.last_accuracies == [0.3, 0.4, 0.5, 0.6, 1.0]
    assert done.validation_curve is None


def test_the_curve_is_kept_where_asked_for(digits: DataSet) -> None:
    done = result(digits, trained(*passes(0.1, 0.2, 0.3, 0.4, 0.5, 0.6)), settings={"evaluation.curve": True})
    assert done.validation_curve == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert done.last_accuracies == [0.2, 0.3, 0.4, 0.5, 0.6]


def test_noise_at_inference_only_is_one_pass(digits: DataSet) -> None:
    once = Evaluation(0.3, 0.25, {**AUDIT, "draws": [7]})
    done = result(digits, trained(*passes(0.8, 0.9)), once, {"noise.in_training": False, "noise.std": 1.0})
    assert (done.accuracy, done.last_accuracies, done.nonfinite) == (0.3, [0.3], 0.25)
    assert done.audit["inference"]["draws"] == [7]


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
    done = result(digits, trained(*passes(0.8, 0.9), **changes))
    assert done.outcome == outcome
    assert done.overflow_epoch == changes.get("overflow_epoch")
    assert done.diverged_epoch == changes.get("diverged_epoch")


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
    seen = [Evaluation(0.1, lost, AUDIT) for lost in nonfinite]
    for kept, curve in ((seen, True), (seen[-5:], False)):
        network = trained(*kept, training_loss=[1.0] * 6)
        done = result(digits, network, settings={"evaluation.curve": curve})
        assert (done.outcome, done.overflow_epoch) == (outcome, epoch)


def test_logits_lost_to_broken_weights_are_no_overflow(digits: DataSet) -> None:
    done = result(digits, trained(Evaluation(0.1, 1.0, AUDIT), diverged_epoch=1))
    assert (done.outcome, done.overflow_epoch) == ("diverged", None)


def test_losses_that_are_no_numbers_are_left_out(digits: DataSet) -> None:
    losses = [1.0, float("nan"), float("inf")]
    assert result(digits, trained(*passes(0.1, 0.1, 0.1), training_loss=losses)).training_loss == [1.0, None, None]


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


def test_a_document_has_what_the_analysis_reads(digits: DataSet) -> None:
    document = result(digits, trained(*passes(0.25, 0.75), training_loss=[2.0, float("nan")])).to_document()
    assert set(document) == KEYS
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["points"] == ["input", "fc1", "relu1", "fc2", "relu2", "fc3", "relu3", "fc4"]
    assert document["audit"] == {"inference": AUDIT, "training": AUDIT}
    assert document["floor"] == digits.chance_accuracy
    assert (document["accuracy"], document["epochs"], document["pack_size"]) == (0.5, 2, 4)
    curve = result(digits, trained(*passes(0.25)), settings={"evaluation.curve": True}).to_document()
    assert set(curve) == KEYS | {"validation_curve"}


def test_a_document_names_a_network_that_was_kept(digits: DataSet) -> None:
    kept = result(digits, trained(*passes(0.25)), network="key-maker.pt").to_document()
    assert set(kept) == KEYS | {"network"}
    assert kept["network"] == "key-maker.pt"


def test_passes_that_another_run_asked_for_change_nothing(digits: DataSet) -> None:
    """A run that shares its network with one that keeps its curve looks at its own five passes only."""
    lost = [0.5, 0, 0, 0, 0, 0]
    network = trained(*(Evaluation(0.1, share, AUDIT) for share in lost), training_loss=[1.0] * 6)
    done = result(digits, network, settings={})
    assert (done.outcome, done.overflow_epoch) == ("trained", None)
    assert len(done.last_accuracies) == 5

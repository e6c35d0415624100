"""Effect of each setting: another value changes the numbers of a run, and no number of another run in its pack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.walking_noise.conftest import part
from tests.walking_noise.running import HERE
from walking_noise import Result, RunConfig, data, train
from walking_noise.data import DataSet
from walking_noise.training.member import LAST_EPOCHS

NOISE = {"noise.std": 0.5}
MULTIPLICATIVE = {"noise.kind": "multiplicative", "noise.std": 0.5}
AMPLITUDE = {"noise.kind": "mixed", "noise.amplitude": 0.5, "noise.ratio": 0.5}
LEVELS = {"noise.kind": "mixed", "noise.std_mul": 0.5, "noise.std_add": 0.5}
QUANTISATION = {"noise.kind": "quantisation", "noise.bits": 4}
WEIGHTS = {"noise.target": "weights", "noise.std": 0.1}
CHIP = WEIGHTS | {"noise.redraw": "chip"}
SOFT = {"distillation.soft_label_share": 0.5}
SPEECH = {"data.name": "gsc", "model.name": "cnn_s"}

EFFECTIVE: dict[str, tuple[dict[str, Any], Any]] = {
    # settings of a run, and another value of the named setting
    "data.name": ({}, "mnist"),
    "data.transform": (SPEECH, "none"),
    "data.validation": ({}, "holdout"),
    "data.keywords": (SPEECH | {"data.keywords": ["yes", "no"]}, ["no", "yes"]),
    "model.name": ({}, "lenet5"),
    "model.batch_norm": ({}, True),
    "model.hidden": ({}, [64, 32]),
    "model.points": (NOISE | {"model.name": "tests.walking_noise.own_parts:transformer"}, "modules"),
    "noise.kind": (NOISE, "multiplicative"),
    "noise.std": (NOISE, 0.6),
    "noise.amplitude": (AMPLITUDE, 0.6),
    "noise.ratio": (AMPLITUDE, 0.4),
    "noise.std_mul": (LEVELS, 0.6),
    "noise.std_add": (LEVELS, 0.6),
    "noise.executions": (NOISE, 4),
    "noise.training_std": (NOISE | {"noise.training_std": 0.5}, 0.6),
    "noise.training_std_mul": (LEVELS | {"noise.training_std_mul": 0.5, "noise.training_std_add": 0.5}, 0.6),
    "noise.training_std_add": (LEVELS | {"noise.training_std_mul": 0.5, "noise.training_std_add": 0.5}, 0.6),
    "noise.target": (NOISE, "weights"),
    "noise.unit": (WEIGHTS, "range"),
    "noise.per_channel": (WEIGHTS | {"noise.unit": "range"}, True),
    "noise.redraw": (NOISE | {"noise.training_redraw": "batch"}, "batch"),
    "noise.training_redraw": (WEIGHTS, "chip"),
    "noise.training_seed": (CHIP, 1),
    "noise.point": (NOISE, 3),
    "noise.on_batch_norm": (NOISE | {"model.batch_norm": True}, False),
    "noise.in_training": (NOISE, False),
    "noise.gradient": (MULTIPLICATIVE, "straight_through"),
    "noise.order": (LEVELS, "add_first"),
    "noise.seed": (NOISE, 1),
    "noise.level_draws": (NOISE, "independent"),
    "noise.bits": (QUANTISATION, 3),
    "noise.range": (QUANTISATION, [-1.0, 1.0]),
    "training.epochs": ({"training.epochs": 2}, 3),
    "training.batch_size": ({}, 64),
    "training.learning_rate": ({}, 2e-3),
    "training.weight_clamp": ({}, 0.03),
    "training.weight_decay": ({}, 0.01),
    "training.weight_clip_std": ({}, 1.0),
    "distillation.soft_label_share": (NOISE, 0.5),
    "distillation.temperature": (SOFT, 2.0),
    "distillation.initialise": (NOISE, True),
    "distillation.teacher_seed": (SOFT, 1),
    "evaluation.noise_draws": (NOISE | {"noise.in_training": False}, 2),
    "evaluation.recalibrate": (NOISE | {"noise.in_training": False, "model.batch_norm": True}, True),
    "seed": ({}, 1),
}
WITHOUT_NUMBERS: dict[str, Any] = {
    "training.keep_network": True,
    "evaluation.curve": True,
    "evaluation.confusion": True,
}
"""Settings that add to the result, and another value of each."""
AT_INFERENCE = (
    "noise.seed",
    "noise.level_draws",
    "noise.redraw",
    "noise.executions",
    "evaluation.noise_draws",
    "evaluation.recalibrate",
)
"""Settings that change the evaluation and not the training."""
NOT_IN_THE_PACKAGE = ("data.name", "data.transform", "data.keywords")
TRAINED = ("training_loss", "mean_abs_weight")
EVALUATED = ("accuracy", "last_accuracies", "nonfinite", "audit")


@pytest.fixture(autouse=True)
def few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten every data set to its first samples."""
    load = data.load

    def load_part(*selection: Any, root: Any = None, **settings: Any) -> DataSet:
        return part(load(*selection, root=root, **settings), 140, 130)

    monkeypatch.setattr(data, "load", load_part)


def pair(settings: dict[str, Any], change: dict[str, Any], epochs: int) -> tuple[RunConfig, RunConfig]:
    """Two runs that differ in one setting."""
    shared = {"training.epochs": epochs} | settings
    return RunConfig.from_dict(shared), RunConfig.from_dict(shared | change)


def numbers(result: Result, fields: tuple[str, ...] = TRAINED + EVALUATED) -> list[Any]:
    return [getattr(result, field) for field in fields]


def test_every_setting_has_a_case() -> None:
    assert sorted([*EFFECTIVE, *WITHOUT_NUMBERS]) == sorted(RunConfig().to_flat())


@pytest.mark.parametrize(
    "setting", [pytest.param(name, marks=[pytest.mark.data] * (name in NOT_IN_THE_PACKAGE)) for name in EFFECTIVE]
)
def test_the_setting_changes_the_numbers(setting: str, request: pytest.FixtureRequest) -> None:
    settings, value = EFFECTIVE[setting]
    root = request.getfixturevalue("data_root") if setting in NOT_IN_THE_PACKAGE else None
    configs = pair(settings, {setting: value}, epochs=1)
    one, other = (train([config], data_root=root, **HERE)[0] for config in configs)
    assert numbers(one, EVALUATED) != numbers(other, EVALUATED)
    same_training = configs[0].training_key == configs[1].training_key
    assert (numbers(one, TRAINED) == numbers(other, TRAINED)) == same_training == (setting in AT_INFERENCE)
    assert list(map(numbers, train(configs, data_root=root, **HERE))) == [numbers(one), numbers(other)]


@pytest.mark.parametrize("setting", WITHOUT_NUMBERS)
def test_the_setting_changes_no_number(setting: str, tmp_path: Path) -> None:
    """The epochs are more than those whose accuracies are averaged."""
    configs = pair(NOISE, {setting: WITHOUT_NUMBERS[setting]}, epochs=LAST_EPOCHS + 1)
    one, other = (
        train([config], networks=tmp_path / name, **HERE)[0] for config, name in zip(configs, "ab", strict=True)
    )
    assert numbers(one) == numbers(other)
    assert one.to_document().keys() < other.to_document().keys()

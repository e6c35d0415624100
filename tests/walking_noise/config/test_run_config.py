"""Settings of a run: refused values, nested and dotted settings, settings as plain values, noise levels."""

from __future__ import annotations

import reprlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from walking_noise import ConfigError, RunConfig
from walking_noise.noise import Levels

MIXED = {"noise.kind": "mixed"}
LEVELS = {**MIXED, "noise.std_mul": 0.1, "noise.std_add": 0.1}
AMPLITUDE = {**MIXED, "noise.amplitude": 1.0, "noise.ratio": 0.5}
MAPPED = {"noise.point": "mapped"}
QUANTISED = {"noise.kind": "quantisation", "noise.bits": 4}

OUT_OF_RANGE: list[tuple[dict[str, Any], str, Any, str]] = [
    # other settings, the refused setting, its value, a part of the message
    ({}, "data.name", "imagenet", "mnist5k"),
    ({}, "data.name", None, "cifar10"),
    ({}, "data.transform", "resize", "release, fresh, none"),
    ({}, "data.transform", "none", "allowed for mnist5k: release"),
    ({"data.name": "svhn"}, "data.transform", "fresh", "allowed for svhn: release, none"),
    ({}, "data.validation", "train", "test, holdout"),
    ({"data.name": "gsc"}, "data.keywords", "yes", "a list of distinct words"),
    ({"data.name": "gsc"}, "data.keywords", [], "a list of distinct words"),
    ({"data.name": "gsc"}, "data.keywords", ["yes", "no", "yes"], "a list of distinct words"),
    ({"data.name": "gsc"}, "data.keywords", ["yes", "../no"], "a list of distinct words"),
    ({"data.name": "gsc"}, "data.keywords", ["yes", "unknown"], "none of them silence or unknown"),
    ({}, "model.name", "resnet", "cnn_s, lenet5, mlp, resnet20, vgg11"),
    ({}, "model.name", ["mlp"], "cnn_s, lenet5, mlp, resnet20, vgg11"),
    ({"data.name": "gsc"}, "model.name", "lenet5", "at least 16×16, not 10×49"),
    ({}, "model.batch_norm", "true", "true, false"),
    ({}, "model.batch_norm", 1, "true, false"),
    ({"model.points": "modules"}, "model.name", "mlp", "its noise points are fixed; leave model.points at products"),
    ({}, "model.points", "", "products, modules, or a pattern"),
    ({}, "noise.kind", "uniform?", "additive, mixed, multiplicative, none"),
    ({}, "noise.std", -0.1, ">= 0"),
    ({}, "noise.std", None, "number"),
    ({}, "noise.std", True, "number"),
    ({}, "noise.std", float("nan"), "finite"),
    ({}, "noise.std", float("inf"), "finite"),
    ({}, "noise.std", 1e39, "at most 1e+37"),
    ({}, "noise.std", "high", "number"),
    ({}, "noise.std", "1e10", "1.0e+10"),
    ({}, "noise.std", "nan", "allowed: a"),
    ({}, "noise.std", 10**400, "finite"),
    ({}, "noise.std", 1e-50, "below 1.2e-38"),
    (MAPPED, "noise.std", [0.1] * 7, "8 noise points"),
    (MAPPED, "noise.std", [0.2] * 9, "8 noise points"),
    (MAPPED, "noise.std", [], "8 noise points"),
    (MAPPED, "noise.std", [-1.0] + [0.1] * 7, ">= 0, or a list of them"),
    (MAPPED, "noise.std", ["1e-3"] * 8, "1.0e-03"),
    (MAPPED, "noise.std", np.ones(8), "a list of them"),
    (MAPPED, "noise.std", [[0.1]] + [0.1] * 7, "number"),
    ({}, "noise.std", [0.1] * 8, "noise.point: mapped"),
    ({"noise.point": 3}, "noise.std", [0.1] * 8, "noise.point: mapped"),
    (AMPLITUDE, "noise.amplitude", -1.0, ">= 0"),
    (AMPLITUDE, "noise.ratio", 1.5, ">= 0 and <= 1"),
    (AMPLITUDE, "noise.ratio", -0.5, ">= 0 and <= 1"),
    (LEVELS, "noise.std_mul", -1.0, ">= 0"),
    (LEVELS, "noise.std_add", "much", "number"),
    ({}, "noise.point", 8, "0..7"),
    ({"model.batch_norm": True}, "noise.point", 11, "0..10"),
    ({"model.name": "lenet5", "model.batch_norm": True}, "noise.point", 16, "0..15"),
    ({}, "noise.point", -1, "global, mapped, or the number of a noise point"),
    ({}, "noise.point", 1.0, "global, mapped, or the number of a noise point"),
    ({}, "noise.point", True, "global, mapped, or the number of a noise point"),
    ({}, "noise.point", "everywhere", "global, mapped, or the number of a noise point"),
    ({"noise.std": 0.5}, "noise.point", "mapped", "noise.std as a list"),
    ({"model.batch_norm": True}, "noise.on_batch_norm", 0, "true, false"),
    ({}, "noise.in_training", "no", "true, false"),
    ({"noise.kind": "multiplicative"}, "noise.gradient", "none", "exact, straight_through"),
    (LEVELS, "noise.order", "add_last", "multiply_first, add_first"),
    ({}, "noise.seed", -1, "0..4294967295"),
    ({}, "noise.seed", 0.5, "whole number"),
    ({}, "noise.training_std", -1.0, ">= 0"),
    ({}, "noise.training_std", [0.1] * 8, "noise.point: mapped"),
    (MAPPED | {"noise.std": [0.1] * 8}, "noise.training_std", [0.1] * 7, "8 noise points"),
    (MIXED, "noise.training_std_mul", -1.0, ">= 0"),
    (MIXED, "noise.training_std_add", -1.0, ">= 0"),
    ({}, "noise.level_draws", "own", "shared, independent"),
    ({"noise.in_training": False}, "evaluation.noise_draws", 0, "whole number >= 1"),
    (QUANTISED, "noise.bits", 17, "0..16, or a list of them"),
    (QUANTISED, "noise.bits", 4.0, "0..16, or a list of them"),
    (QUANTISED, "noise.bits", [4] * 8, "noise.point: mapped"),
    (QUANTISED | MAPPED, "noise.bits", [4] * 7, "8 noise points"),
    (QUANTISED, "noise.range", 1.0, "a list of two numbers, the lower one first"),
    (QUANTISED, "noise.range", [1.0, 1.0], "a list of two numbers, the lower one first"),
    (QUANTISED, "noise.range", [0.0, 1.0, 2.0], "a list of two numbers, the lower one first"),
    ({}, "training.epochs", 0, ">= 1"),
    ({}, "training.epochs", 2.0, "whole number"),
    ({}, "training.batch_size", 1, ">= 2"),
    ({}, "training.batch_size", True, "whole number"),
    ({}, "training.learning_rate", 0, "> 0"),
    ({}, "training.learning_rate", -1e-3, "> 0"),
    ({}, "training.weight_clamp", 0.0, "> 0"),
    ({}, "training.weight_clamp", "off", "number"),
    ({}, "model.hidden", [], "a list of whole numbers 1..100000"),
    ({}, "model.hidden", [0], "a list of whole numbers 1..100000"),
    ({"model.name": "lenet5"}, "model.hidden", [64], "no effect on lenet5"),
    ({}, "noise.target", "biases", "activations, weights"),
    ({}, "noise.unit", "std", "absolute, rms, absmax, range"),
    ({"noise.target": "weights"}, "noise.per_channel", 1, "true, false"),
    ({}, "noise.executions", 0, "whole number 1..100000"),
    ({}, "noise.executions", [2] * 7, "8 noise points"),
    ({}, "noise.redraw", "epoch", "sample, batch, chip"),
    ({}, "noise.training_redraw", "epoch", "sample, batch, chip"),
    ({"noise.redraw": "chip"}, "noise.training_seed", -1, "0..4294967295"),
    ({}, "training.weight_clip_std", 0.0, "> 0"),
    ({}, "distillation.soft_label_share", 1.1, "<= 1"),
    ({"distillation.soft_label_share": 0.5}, "distillation.temperature", 0.0, "> 0"),
    ({}, "distillation.initialise", 1, "true, false"),
    ({"distillation.initialise": True}, "distillation.teacher_seed", -1, "0..4294967295"),
    ({}, "evaluation.confusion", 1, "true, false"),
    ({"noise.in_training": False}, "evaluation.recalibrate", "yes", "true, false"),
    ({}, "training.weight_decay", -0.1, ">= 0"),
    ({}, "training.weight_decay", None, "number"),
    ({}, "training.keep_network", 1, "true, false"),
    ({}, "training.keep_network", "true", "on the command line write True"),
    ({}, "evaluation.curve", None, "true, false"),
    ({}, "seed", -1, "0..4294967295"),
    ({}, "seed", 2**32, "0..4294967295"),
    ({}, "seed", None, "whole number"),
]

WITHOUT_EFFECT: list[tuple[dict[str, Any], str, Any]] = [
    ({"noise.kind": "none"}, "noise.std", 0.5),
    ({"noise.kind": "none"}, "noise.point", 3),
    ({"noise.kind": "none"}, "noise.in_training", False),
    ({"noise.kind": "none"}, "noise.seed", 4),
    ({"noise.kind": "none"}, "noise.gradient", "straight_through"),
    ({"noise.kind": "none"}, "noise.order", "add_first"),
    ({"noise.kind": "none", "model.batch_norm": True}, "noise.on_batch_norm", False),
    ({}, "noise.amplitude", 1.0),
    ({}, "noise.ratio", 0.5),
    ({"noise.kind": "multiplicative"}, "noise.std_mul", 0.5),
    (LEVELS, "noise.std", 0.5),
    (LEVELS, "noise.amplitude", 1.0),
    (AMPLITUDE, "noise.std_add", 1.0),
    ({}, "data.keywords", ["yes", "no"]),
    ({}, "noise.on_batch_norm", False),
    ({"model.batch_norm": True, "noise.point": 2}, "noise.on_batch_norm", False),
    ({"model.batch_norm": True, "noise.point": "mapped", "noise.std": [0.1] * 11}, "noise.on_batch_norm", False),
    ({"noise.std": 0.5}, "noise.gradient", "straight_through"),
    ({"noise.kind": "multiplicative", "noise.in_training": False}, "noise.gradient", "straight_through"),
    ({"noise.kind": "multiplicative"}, "noise.order", "add_first"),
    ({"noise.std": 0.5, "noise.in_training": False}, "evaluation.curve", True),
    ({"noise.std": 0.5}, "noise.bits", 4),
    ({"noise.kind": "none"}, "noise.bits", 0),
    ({"noise.kind": "multiplicative"}, "noise.range", [0.0, 1.0]),
    (QUANTISED, "noise.std", 0.5),
    (QUANTISED, "noise.seed", 0),
    (QUANTISED, "noise.gradient", "straight_through"),
    (QUANTISED, "noise.order", "add_first"),
]


def name_of(case: Any) -> str:
    others, name, value, *_ = case
    return f"{name}={reprlib.repr(value)} {reprlib.repr(others)}"


@pytest.mark.parametrize("case", OUT_OF_RANGE, ids=name_of)
def test_a_bad_value_is_refused_in_one_line(case: tuple[dict[str, Any], str, Any, str]) -> None:
    others, name, value, text = case
    with pytest.raises(ConfigError) as refusal:
        RunConfig.from_dict({**others, name: value})
    message = str(refusal.value)
    shown = tuple(value) if isinstance(value, list) and f"{value}" not in message else value
    assert message.startswith(f"{name}: {shown!r} is refused; ")
    assert text in message
    assert "\n" not in message


@pytest.mark.parametrize("case", WITHOUT_EFFECT, ids=name_of)
def test_a_setting_without_effect_is_refused(case: tuple[dict[str, Any], str, Any]) -> None:
    others, name, value = case
    RunConfig.from_dict(others)
    with pytest.raises(ConfigError, match=rf"^{name}: .* is refused; .*; leave it out$"):
        RunConfig.from_dict({**others, name: value})


def test_a_level_without_noise_has_no_effect() -> None:
    with pytest.raises(ConfigError) as refusal:
        RunConfig.from_dict({"noise.kind": "none", "noise.std": 0.5})
    assert str(refusal.value) == "noise.std: 0.5 is refused; it has no effect without noise; leave it out"


def test_mapped_noise_is_refused_without_noise() -> None:
    with pytest.raises(ConfigError, match=r"^noise\.point: 'mapped' is refused; .*without noise"):
        RunConfig.from_dict({"noise.kind": "none", "noise.point": "mapped"})


def test_every_setting_has_a_refused_value() -> None:
    assert {case[1] for case in OUT_OF_RANGE} == set(RunConfig().to_flat())


@pytest.mark.parametrize("incomplete", [{}, {"noise.amplitude": 1.0}, {"noise.ratio": 0.5}, {"noise.std_add": 0.5}])
def test_mixed_noise_needs_both_settings_of_a_pair(incomplete: dict[str, Any]) -> None:
    pairs = "noise.amplitude and noise.ratio, or noise.std_mul and noise.std_add"
    with pytest.raises(ConfigError, match=f"^noise.kind: 'mixed' .*needs {pairs}$"):
        RunConfig.from_dict({**MIXED, **incomplete})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"noise.sdt": 1.0}, "noise.sdt: there is no such setting; did you mean noise.std?"),
        ({"training": {"lr": 0.1}}, "training.lr: there is no such setting"),
        ({"devices": 1}, "devices: there is no such setting"),
        ({"noise": 5}, "noise: there is no such setting"),
        ({"seed": {"a": 1}}, "seed.a: there is no such setting"),
        ({3: 1}, "3: there is no such setting"),
    ],
)
def test_an_unknown_setting_is_refused_in_one_line(settings: dict[Any, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        RunConfig.from_dict(settings)
    assert str(refusal.value).startswith(message)
    assert "\n" not in str(refusal.value)


def test_a_setting_given_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"noise\.std"):
        RunConfig.from_dict({"noise.std": 1.0, "noise": {"std": 2.0}})


def test_a_config_error_is_a_value_error() -> None:
    assert issubclass(ConfigError, ValueError)


def test_defaults() -> None:
    assert RunConfig().to_flat() == {
        "data.name": "mnist5k",
        "data.transform": "release",
        "data.validation": "test",
        "data.keywords": None,
        "model.name": "mlp",
        "model.batch_norm": False,
        "model.points": "products",
        "model.hidden": None,
        "noise.kind": "additive",
        "noise.std": 0.0,
        "noise.amplitude": None,
        "noise.ratio": None,
        "noise.std_mul": None,
        "noise.std_add": None,
        "noise.target": "activations",
        "noise.unit": "absolute",
        "noise.per_channel": False,
        "noise.redraw": None,
        "noise.training_redraw": None,
        "noise.training_seed": None,
        "noise.executions": 1,
        "noise.training_std": None,
        "noise.training_std_mul": None,
        "noise.training_std_add": None,
        "noise.point": "global",
        "noise.on_batch_norm": True,
        "noise.in_training": True,
        "noise.gradient": "exact",
        "noise.order": "multiply_first",
        "noise.seed": None,
        "noise.level_draws": "shared",
        "noise.bits": None,
        "noise.range": None,
        "training.epochs": 20,
        "training.batch_size": 128,
        "training.learning_rate": 1e-3,
        "training.weight_clamp": None,
        "training.weight_clip_std": None,
        "training.weight_decay": 0.0,
        "training.keep_network": False,
        "evaluation.curve": False,
        "distillation.soft_label_share": 0.0,
        "distillation.temperature": 1.0,
        "distillation.initialise": False,
        "distillation.teacher_seed": None,
        "evaluation.confusion": False,
        "evaluation.recalibrate": False,
        "evaluation.noise_draws": 1,
        "seed": 0,
    }
    assert RunConfig.from_dict({}) == RunConfig()


def test_nested_and_dotted_settings_are_equivalent() -> None:
    nested = {"noise": {"std": 0.5, "point": 3}, "model": {"batch_norm": True}, "seed": 7}
    dotted = {"noise.std": 0.5, "noise.point": 3, "model.batch_norm": True, "seed": 7}
    mixed = {"noise": {"std": 0.5}, "noise.point": 3, "model": {"batch_norm": True}, "seed": 7}
    config = RunConfig.from_dict(nested)
    assert (config.noise.std, config.noise.point, config.model.batch_norm, config.seed) == (0.5, 3, True, 7)
    assert RunConfig.from_dict(dotted) == config == RunConfig.from_dict(mixed)


def test_settings_are_returned_as_plain_values() -> None:
    config = RunConfig.from_dict(
        {"noise.point": "mapped", "noise.std": (1, np.float64(2), *[np.int64(0)] * 6), "seed": np.int64(3)}
    )
    levels, seed = config.to_dict()["noise"]["std"], config.to_dict()["seed"]
    assert levels == [1.0, 2.0, *[0.0] * 6]
    assert {type(level) for level in levels} == {float}
    assert type(seed) is int


def test_a_run_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        RunConfig().seed = 1
    with pytest.raises(ValidationError, match="frozen"):
        RunConfig().noise.std = 1.0


LEVEL = st.just(0.0) | st.floats(1e-30, 1e16)
RATIO = st.just(0.0) | st.floats(1e-30, 1)


@st.composite
def settings(draw: st.DrawFn) -> dict[str, Any]:
    """Settings of any valid run of the MLP."""
    batch_norm = draw(st.booleans())
    points = 11 if batch_norm else 8
    chosen: dict[str, Any] = {
        "model.batch_norm": batch_norm,
        "training.epochs": draw(st.integers(1, 500)),
        "training.batch_size": draw(st.integers(2, 512)),
        "training.learning_rate": draw(st.floats(1e-6, 1.0)),
        "training.weight_clamp": draw(st.none() | st.floats(1e-3, 10.0)),
        "training.weight_decay": draw(st.just(0.0) | st.floats(1e-6, 10.0)),
        "seed": draw(st.integers(0, 2**32 - 1)),
        "noise.kind": draw(st.sampled_from(["none", "additive", "multiplicative", "mixed"])),
    }
    if chosen["noise.kind"] == "none":
        return chosen
    point = draw(st.sampled_from(["global", "mapped", *range(points)]))
    level = st.lists(LEVEL, min_size=points, max_size=points) if point == "mapped" else LEVEL
    chosen |= {
        "noise.point": point,
        "noise.in_training": draw(st.booleans()),
        "noise.seed": draw(st.none() | st.integers(0, 99)),
    }
    if chosen["noise.kind"] != "mixed":
        chosen["noise.std"] = draw(level)
    elif draw(st.booleans()):
        chosen |= {"noise.std_mul": draw(level), "noise.std_add": draw(level)}
    else:
        chosen |= {"noise.amplitude": draw(level), "noise.ratio": draw(RATIO)}
    if chosen["noise.kind"] == "mixed":
        chosen["noise.order"] = draw(st.sampled_from(["multiply_first", "add_first"]))
    if chosen["noise.kind"] != "additive" and chosen["noise.in_training"]:
        chosen["noise.gradient"] = draw(st.sampled_from(["exact", "straight_through"]))
    if batch_norm and point == "global":
        chosen["noise.on_batch_norm"] = draw(st.booleans())
    return chosen


@given(settings())
def test_settings_are_unchanged_by_a_document(chosen: dict[str, Any]) -> None:
    config = RunConfig.from_dict(chosen)
    assert RunConfig.from_dict(config.to_dict()) == config == RunConfig.from_dict(config.to_flat())
    assert {name: config.to_flat()[name] for name in chosen} == chosen
    assert RunConfig.from_dict(config.to_dict()).run_key == config.run_key


@given(
    st.dictionaries(
        st.sampled_from([*RunConfig().to_flat(), "noise", "x"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
            lambda inner: st.lists(inner, max_size=3),
        ),
    )
)
def test_arbitrary_settings_are_refused_in_one_line(chosen: dict[str, Any]) -> None:
    assert "\n" not in refusal(chosen)


def refusal(settings: dict[str, Any]) -> str:
    """The message with which a run is refused; empty if it is not."""
    try:
        RunConfig.from_dict(settings)
    except ConfigError as error:
        return str(error)
    return ""


def test_levels_of_global_noise() -> None:
    config = RunConfig.from_dict({"model.batch_norm": True, "noise.kind": "multiplicative", "noise.std": 0.5})
    assert config.levels == (Levels(0.5, 0.0),) * 11


def test_batch_norm_points_can_be_without_noise() -> None:
    config = RunConfig.from_dict({"model.batch_norm": True, "noise.std": 0.5, "noise.on_batch_norm": False})
    assert {number for number, level in enumerate(config.levels) if level == Levels(0.0, 0.0)} == {2, 5, 8}
    assert set(config.levels) == {Levels(0.0, 0.5), Levels(0.0, 0.0)}


@pytest.mark.parametrize("point", range(11))
def test_walking_noise_is_at_one_point(point: int) -> None:
    config = RunConfig.from_dict({"model.batch_norm": True, "noise.std": 0.5, "noise.point": point})
    assert config.levels == tuple(Levels(0.0, 0.5 if number == point else 0.0) for number in range(11))


def test_levels_of_mapped_noise() -> None:
    amplitudes = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    config = RunConfig.from_dict({**MAPPED, **MIXED, "noise.amplitude": amplitudes, "noise.ratio": 0.25})
    assert config.levels == tuple(Levels(0.75 * amplitude, 0.25 * amplitude) for amplitude in amplitudes)


def test_the_levels_of_a_copy_follow_its_settings() -> None:
    config = RunConfig.from_dict({"noise.std": 0.5})
    assert config.noisy
    assert not config.without_noise().noisy
    assert config.model_copy().levels == config.levels

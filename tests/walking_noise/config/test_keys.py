"""Keys of a run: equal for equivalent runs, and only for these."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from walking_noise import RunConfig
from walking_noise.config import keys
from walking_noise.config.settings import EvaluationConfig, NoiseConfig, TrainingConfig
from walking_noise.data import KEYWORDS
from walking_noise.fields.setting_groups import ADDED_LATER
from walking_noise.fields.setting_types import Flag

POINTS = 8
LEVEL = st.floats(1e-6, 1e16)
NOISE = {"noise.kind": "mixed", "noise.std_mul": 0.5, "noise.std_add": 0.25}
QUANTISED: dict[str, Any] = {"noise.kind": "quantisation", "noise.bits": 4}


def run(*settings: dict[str, Any], **more: Any) -> RunConfig:
    merged: dict[str, Any] = {}
    for part in (*settings, more):
        merged |= part
    return RunConfig.from_dict(merged)


def same(*configs: RunConfig) -> bool:
    """Whether runs are equivalent. Their keys and their canonical forms must agree on it."""
    first, *others = configs
    alike = {other.run_key == first.run_key for other in others}
    assert alike == {other.canonical() == first.canonical() for other in others}
    if alike == {True}:
        assert {(config.pack_key, config.training_key) for config in configs} == {(first.pack_key, first.training_key)}
    return alike == {True}


@pytest.mark.parametrize(
    "series",
    [
        {"noise.kind": "additive"},
        {"noise.kind": "multiplicative"},
        {"noise.kind": "multiplicative", "noise.gradient": "straight_through"},
        {"noise.kind": "mixed", "noise.amplitude": 0.0, "noise.ratio": 0.3, "noise.order": "add_first"},
        {"noise.kind": "mixed", "noise.std_mul": 0.0, "noise.std_add": 0.0},
        {"noise.point": 3},
        {"noise.point": "mapped", "noise.std": [0.0] * POINTS},
        {"noise.in_training": False},
        {"noise.seed": 99},
        {"noise.kind": "uniform"},
        {"noise.kind": "quantisation", "noise.bits": 0, "noise.range": [0.0, 1.0]},
    ],
)
def test_level_0_in_any_series_is_the_run_without_noise(series: dict[str, Any]) -> None:
    assert same(run({"noise.kind": "none"}), run(series))


@given(LEVEL, st.sampled_from(["additive", "multiplicative"]))
def test_mapped_noise_of_one_level_is_global_noise(level: float, kind: str) -> None:
    everywhere = run({"noise.kind": kind, "noise.std": level})
    assert same(everywhere, run({"noise.kind": kind, "noise.std": [level] * POINTS, "noise.point": "mapped"}))


@given(LEVEL, st.integers(0, POINTS - 1))
def test_mapped_noise_at_one_point_is_walking_noise(level: float, point: int) -> None:
    levels = [0.0] * POINTS
    levels[point] = level
    walking = run({"noise.std": level, "noise.point": point})
    assert same(walking, run({"noise.std": levels, "noise.point": "mapped"}))


def test_mapped_noise_without_the_batch_norm_points_is_global_noise_without_them() -> None:
    norm = {"model.batch_norm": True}
    levels = [0.0 if point in (2, 5, 8) else 0.5 for point in range(11)]
    without = run(norm, {"noise.std": 0.5, "noise.on_batch_norm": False})
    assert same(without, run(norm, {"noise.std": levels, "noise.point": "mapped"}))
    assert not same(without, run(norm, {"noise.std": 0.5}))


@given(LEVEL, st.just(0.0) | st.floats(1e-17, 1))
def test_amplitude_and_ratio_are_equivalent_to_two_levels(amplitude: float, ratio: float) -> None:
    one = run({"noise.kind": "mixed", "noise.amplitude": amplitude, "noise.ratio": ratio})
    levels = {"noise.std_mul": amplitude * (1 - ratio), "noise.std_add": amplitude * ratio}
    assert same(one, run({"noise.kind": "mixed", **levels}))


@pytest.mark.parametrize(("ratio", "kind"), [(0.0, "multiplicative"), (1.0, "additive")])
def test_mixed_noise_at_its_ends_is_noise_of_one_kind(ratio: float, kind: str) -> None:
    ends = [
        run({"noise.kind": "mixed", "noise.amplitude": 2.0, "noise.ratio": ratio, "noise.order": order})
        for order in ("multiply_first", "add_first")
    ]
    assert same(*ends, run({"noise.kind": kind, "noise.std": 2.0}))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"noise.std": 0.5, "seed": 7}, {"noise.std": 0.5, "seed": 7, "noise.seed": 7}),
        ({"noise.std": 1}, {"noise.std": 1.0}),
        ({"noise.std": [-0.0] * 7 + [1.0], "noise.point": "mapped"}, {"noise.std": 1.0, "noise.point": 7}),
    ],
)
def test_equivalent_settings(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert same(run(one), run(other))


def test_quantisation_is_known_by_its_levels_and_its_range() -> None:
    everywhere = run(QUANTISED)
    mapped = [4] * POINTS
    assert same(everywhere, run(QUANTISED, {"noise.bits": mapped, "noise.point": "mapped"}))
    assert same(everywhere, run(QUANTISED, {"noise.range": None}))
    others = [
        run(QUANTISED, {"noise.range": [0.0, 1.0]}),
        run(QUANTISED, {"noise.bits": 5}),
        run(QUANTISED, {"noise.point": 3}),
        run({"noise.std": 1 / 15}),
    ]
    assert len({config.run_key for config in (everywhere, *others)}) == 5
    assert len({config.training_key for config in (everywhere, *others)}) == 5


def test_the_distribution_matters() -> None:
    assert not same(run({"noise.std": 0.5}), run({"noise.std": 0.5, "noise.kind": "uniform"}))


def test_the_gradient_matters_only_with_a_multiplicative_term() -> None:
    ratio_1 = {"noise.kind": "mixed", "noise.amplitude": 1.0, "noise.ratio": 1.0}
    assert same(run(ratio_1), run(ratio_1, {"noise.gradient": "straight_through"}))
    assert not same(run(NOISE), run(NOISE, {"noise.gradient": "straight_through"}))


DIFFERENT: list[tuple[str, dict[str, Any], bool, bool]] = [
    # change of NOISE; whether the run may train in the same pack; whether it has the same weights
    ("model", {"model.name": "lenet5"}, False, False),
    ("batch norm", {"model.batch_norm": True}, False, False),
    ("data", {"data.name": "mnist"}, False, False),
    ("validation", {"data.validation": "holdout"}, False, False),
    ("epochs", {"training.epochs": 21}, False, False),
    ("batch size", {"training.batch_size": 64}, False, False),
    ("learning rate", {"training.learning_rate": 2e-3}, False, False),
    ("clamp", {"training.weight_clamp": 1.0}, True, False),
    ("weight decay", {"training.weight_decay": 0.01}, True, False),
    ("seed", {"seed": 1}, True, False),
    ("seed, noise as before", {"seed": 1, "noise.seed": 0}, True, False),
    ("level", {"noise.std_mul": 0.6}, True, False),
    ("point", {"noise.point": 2}, True, False),
    ("order", {"noise.order": "add_first"}, True, False),
    ("gradient", {"noise.gradient": "straight_through"}, True, False),
    ("inference only", {"noise.in_training": False}, True, False),
    ("noise seed", {"noise.seed": 1}, True, True),
    ("curve", {"evaluation.curve": True}, True, True),
]


@pytest.mark.parametrize("case", DIFFERENT, ids=lambda case: str(case[0]))
def test_different_runs_have_different_keys(case: tuple[str, dict[str, Any], bool, bool]) -> None:
    _, change, same_pack, same_weights = case
    one, other = run(NOISE), run(NOISE, change)
    assert one.run_key != other.run_key
    assert (one.pack_key == other.pack_key) == same_pack
    assert (one.training_key == other.training_key) == same_weights


@pytest.mark.parametrize("noise", [NOISE, {"noise.kind": "none"}])
def test_keeping_the_network_changes_no_key(noise: dict[str, Any]) -> None:
    one, other = run(noise), run(noise, {"training.keep_network": True})
    assert same(one, other)
    assert (one.network_key, one.pack_key) == (other.network_key, other.pack_key)


def test_the_transform_of_the_data_changes_the_keys() -> None:
    release, none = (run({"data.name": "cifar10", "data.transform": transform}) for transform in ("release", "none"))
    assert release.pack_key != none.pack_key
    assert release.training_key != none.training_key
    assert release.run_key != none.run_key


def test_the_keywords_of_the_papers_are_the_default() -> None:
    """Keywords in another order have other labels and result in other networks."""
    default, *others = (
        run({"data.name": "gsc", "data.keywords": words})
        for words in (list(KEYWORDS), None, list(KEYWORDS[::-1]), ["zero", "one"])
    )
    assert [same(default, other) for other in others] == [True, False, False]
    assert len({config.pack_key for config in (default, *others)}) == 3


@given(LEVEL, st.sampled_from(["global", *range(POINTS)]), st.integers(0, 9))
def test_noise_at_inference_only_changes_no_training_key(level: float, point: Any, seed: int) -> None:
    noise = {"noise.std": level, "noise.point": point, "noise.in_training": False, "noise.seed": seed}
    assert run(noise).training_key == run({"noise.kind": "none"}).training_key
    assert run(noise).run_key != run({"noise.kind": "none"}).run_key


def test_keys_are_short_hexadecimal_names() -> None:
    for key in (RunConfig().pack_key, RunConfig().training_key, RunConfig().run_key):
        assert 16 <= len(key) <= 32
        assert set(key) <= set("0123456789abcdef")


def test_keys_are_stable() -> None:
    """Stored networks and documents are found by their keys. Change them only together with the version."""
    config = run(NOISE, {"noise.order": "add_first", "seed": 3, "training.weight_clamp": 1.0})
    assert config.canonical() == {
        "data.name": "mnist5k",
        "data.transform": "release",
        "data.validation": "test",
        "data.keywords": None,
        "model.name": "mlp",
        "model.batch_norm": False,
        "training.epochs": 20,
        "training.batch_size": 128,
        "training.learning_rate": 1e-3,
        "training.weight_clamp": 1.0,
        "seed": 3,
        "training noise": {"levels": [[0.5, 0.25]] * POINTS, "order": "add_first"},
        "noise.gradient": "exact",
        "evaluation.curve": False,
        "inference noise": {"levels": [[0.5, 0.25]] * POINTS, "order": "add_first"},
        "noise.seed": 3,
    }


class LaterTraining(TrainingConfig):
    warm_up: Annotated[int, ADDED_LATER] = 0


class LaterNoise(NoiseConfig):
    redraw: Annotated[Literal["sample", "batch"], ADDED_LATER] = "sample"


class LaterEvaluation(EvaluationConfig):
    calibration: Annotated[Flag, ADDED_LATER] = False


class LaterRun(RunConfig):
    """Settings of a later version, with one more in each of three groups."""

    training: LaterTraining = LaterTraining()
    noise: LaterNoise = LaterNoise()
    evaluation: LaterEvaluation = LaterEvaluation()


def all_keys(config: RunConfig) -> dict[str, str]:
    names = ("run_key", "training_key", "network_key", "pack_key")
    return {name: getattr(config, name) for name in names}


@pytest.mark.parametrize("noise", [NOISE, {"noise.std": 0.5, "noise.in_training": False}, {"noise.kind": "none"}])
def test_a_setting_added_later_changes_no_key_at_its_default(
    noise: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "PACK_SETTINGS", (*keys.PACK_SETTINGS, "training.warm_up"))
    before = all_keys(RunConfig.from_dict(noise))
    explicit = {"training.warm_up": 0, "noise.redraw": "sample", "evaluation.calibration": False}
    assert all_keys(LaterRun.from_dict(noise)) == all_keys(LaterRun.from_dict(noise | explicit)) == before


@pytest.mark.parametrize(
    ("change", "unchanged"),
    [
        ({"training.warm_up": 1}, set()),
        ({"noise.redraw": "batch"}, {"pack_key"}),
        ({"evaluation.calibration": True}, {"training_key", "network_key", "pack_key"}),
    ],
)
def test_a_setting_added_later_changes_keys_otherwise(
    change: dict[str, Any], unchanged: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "PACK_SETTINGS", (*keys.PACK_SETTINGS, "training.warm_up"))
    before, after = all_keys(LaterRun.from_dict(NOISE)), all_keys(LaterRun.from_dict(NOISE | change))
    assert {name for name in before if before[name] == after[name]} == unchanged

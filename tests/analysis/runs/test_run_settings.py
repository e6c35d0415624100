from __future__ import annotations

import copy
import itertools
import math
from typing import Any

import pytest

from analysis.runs.known_points import Points
from analysis.runs.run_settings import RunSettings, is_storage_setting
from walking_noise import ConfigError, RunConfig
from walking_noise.config.keys import digest

LEVELS: tuple[Any, ...] = (
    0.5, 0.0, -0.0, 2.0, 1, True, "1e3", None, -1.0, math.nan, math.inf, 1e38, 1e-39,
    [0.5] * 8, {},
)  # fmt: skip
SEEDS = (0, 1, -1, 2**32, True, "1", None, 1.0)
NOISE: tuple[dict[str, Any], ...] = (
    {"kind": "additive"}, {"kind": "multiplicative", "point": 3}, {"kind": "none"}, {"point": 99}, {"point": "mapped"},
    {"kind": "mixed", "amplitude": 0.5, "ratio": 0.25}, {"kind": "mixed", "std_mul": 0.5, "std_add": 1.0},
    {"in_training": False, "seed": 1}, {"kind": "additive", "amplitude": 1.0},
)  # fmt: skip


def config(noise: dict[str, Any], level: Any, seed: Any) -> dict[str, Any]:
    settings = copy.deepcopy(RunConfig().to_dict())
    name = "amplitude" if "amplitude" in noise else "std"
    settings["noise"] |= noise | {name: level}
    return settings | {"seed": seed, "overwrite": 1}


CONFIGS = [
    *(config(noise, level, 1) for noise, level in itertools.product(NOISE, LEVELS)),
    *(config(noise, 0.5, seed) for noise, seed in itertools.product(NOISE, SEEDS)),
    {"noise.std": 0.5, "seed": 1}, {"noise": {"std": 0.5}, "noise.std": 0.5}, {"noise": None}, {},
]  # fmt: skip


def validated_alone(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings, noise, refusal and digest of a run, from its own validation."""
    try:
        run = RunConfig.from_document(settings)
    except ConfigError as error:
        return dict.fromkeys([*RunConfig().to_flat(), "noisy", "digest"]) | {"refused": str(error)}
    flat = {name: tuple(value) if isinstance(value, list) else value for name, value in run.to_flat().items()}
    content = {name: value for name, value in run.canonical().items() if not is_storage_setting(name)}
    return flat | {"noisy": run.noisy, "digest": digest(content), "refused": None}


@pytest.mark.parametrize("order", [1, -1], ids=["forwards", "backwards"])
def test_each_run_has_the_columns_and_the_refusal_of_its_own_validation(order: int) -> None:
    reader, points = RunSettings(), RunConfig().points
    refused, keys = 0, set()
    for settings in CONFIGS[::order]:
        shared, own = reader.read(settings, points)
        found = {**shared, **own}
        expected = validated_alone(settings)
        keys.add((found["run_key"], expected.pop("digest")))
        assert {name: repr(found[name]) for name in expected} == {name: repr(expected[name]) for name in expected}
        refused += found["refused"] is not None
    assert 0 < refused < len(CONFIGS)
    assert len(keys) == len({key for key, _ in keys}) == len({expected for _, expected in keys})


def test_settings_are_validated_once_for_all_levels_and_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, points, validated = RunSettings(), RunConfig().points, []
    from_document = RunConfig.from_document

    def counted(settings: dict[str, Any], known: Points | None) -> RunConfig:
        validated.append(settings)
        return from_document(settings, known)

    monkeypatch.setattr(RunConfig, "from_document", counted)
    runs = [
        reader.read(config(noise, level, seed), points)[1]
        for noise in ({"kind": "additive"}, {"kind": "mixed", "amplitude": 0.5, "ratio": 0.25})
        for level in (0.0, 0.5, 1.0)
        for seed in range(3)
    ]
    assert len(validated) == 2
    assert len({run["run_key"] for run in runs}) == 3 + 2 * 2 * 3

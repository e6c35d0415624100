"""Extension with a new noise kind and a new model: one new file each."""

from __future__ import annotations

import math
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.walking_noise.parts import AddFile
from walking_noise import ConfigError, Result, RunConfig, train
from walking_noise.data import DataSet
from walking_noise.models import architectures
from walking_noise.noise import kinds, noise_kinds
from walking_noise.noise.injection import Injection
from walking_noise.registry import discover

UNIFORM = '''
    """Uniform additive noise."""

    from walking_noise.noise.kind import Levels, NoiseKind


    def draw(out, generator):
        out.uniform_(-(3**0.5), 3**0.5, generator=generator)


    KIND = NoiseKind("box_shaped", settings=(("std",),), levels=lambda std: Levels(0.0, std), draw=draw)
'''

STRIDED = '''
    """A small network with layers that have no special packed layer."""

    from collections import OrderedDict

    from torch import nn

    from walking_noise.models.model import Model


    def build(inputs, classes, batch_norm):
        norm = [("bn1", nn.BatchNorm2d(4))] if batch_norm else []
        return nn.Sequential(OrderedDict([
            ("conv1", nn.Conv2d(inputs[0], 4, 5, stride=3)),
            *norm,
            ("gelu1", nn.GELU()),
            ("conv2", nn.Conv2d(4, 6, 3, groups=2)),
            ("norm2", nn.GroupNorm(2, 6)),
            ("gelu2", nn.GELU()),
            ("pool2", nn.AvgPool2d(3)),
            ("flatten", nn.Flatten()),
            ("fc1", nn.Linear(24, classes)),
        ]))


    MODEL = Model("strided", build)
'''


def numbers(result: Result) -> dict[str, Any]:
    return {name: value for name, value in vars(result).items() if name not in ("seconds", "pack_size")}


def test_a_noise_kind_is_one_file(add_file: AddFile, only_digits: DataSet) -> None:
    settings = {"noise.kind": "box_shaped", "noise.std": 0.5, "training.epochs": 2, "noise.point": 0}
    with pytest.raises(ConfigError, match="box_shaped"):
        RunConfig.from_dict(settings)
    add_file(kinds, "box_shaped", UNIFORM)
    config, gaussian = RunConfig.from_dict(settings), RunConfig.from_dict(settings | {"noise.kind": "additive"})
    drawn = Injection([config], "training", torch.device("cpu")).at((0,))(0, torch.zeros(1, 100, 200))
    assert float(drawn.abs().max()) == pytest.approx(0.5 * math.sqrt(3), rel=1e-3)
    assert float(drawn.std()) == pytest.approx(0.5, rel=0.02)
    assert config.run_key != gaussian.run_key
    assert config.training_key != gaussian.training_key
    assert (
        RunConfig.from_dict(settings | {"noise.std": 0.0}).run_key
        == RunConfig.from_dict({"training.epochs": 2}).run_key
    )
    weaker = RunConfig.from_dict(settings | {"noise.std": 0.2})
    results = train([config, gaussian, weaker], device="cpu", processes=1)
    assert [result.pack_size for result in results] == [2, 1, 2]
    assert results[0].training_loss != results[1].training_loss
    assert results[0].audit["training"]["std_add"][0] == pytest.approx(0.5, rel=0.02)
    assert numbers(results[0]) == numbers(train([config], device="cpu", processes=1)[0])


DEAD_ZONE = '''
    """Dead zone: values of a magnitude below a share of the largest one are 0; an example with a setting of its own."""

    from typing import Annotated

    from walking_noise.fields.setting_groups import ADDED_LATER, Group
    from walking_noise.fields.setting_types import Flag
    from walking_noise.noise import Levels, NoiseKind, Transform


    class Settings(Group):
        """Settings of the dead zone."""

        one_sided: Annotated[Flag, ADDED_LATER] = False
        """Dead zone: whether negative values pass."""


    def apply(x, level, one_sided):
        passes = (x.abs() >= level * x.abs().flatten(1).amax(1).view(-1, *[1] * (x.dim() - 1))) | (one_sided & (x < 0))
        return x * passes


    def bounds(x, y, one_sided):
        largest = x.abs().flatten(1).amax(1)
        dropped = (x - y).abs().flatten(1).amax(1)
        return (dropped / largest).amax().double(), (largest / largest).amin().double()


    KIND = NoiseKind(
        "dead_zone",
        settings=(("std",),),
        levels=lambda std: Levels(0.0, 0.0, std),
        own=Settings,
        transform=Transform(apply, bounds, "width"),
    )
'''

USE_OF_DEAD_ZONE = """
import sys
from walking_noise.noise import kinds
kinds.__path__.append(sys.argv[1])
from walking_noise import ConfigError, RunConfig, train
from walking_noise.config.settings_table import rows
settings = {"noise.kind": "dead_zone", "noise.std": 0.3, "noise.point": 1, "model.batch_norm": True}
settings["training.epochs"] = 1
configs = [RunConfig.from_dict(settings | {"noise.one_sided": one_sided}) for one_sided in (False, True)]
assert configs[0].run_key == RunConfig.from_dict(settings).run_key != configs[1].run_key
assert RunConfig.from_dict(configs[1].to_dict()) == configs[1]
assert [row.default for row in rows(RunConfig) if row.name == "noise.one_sided"] == ["false"]
results = train(configs, device="cpu", processes=1)
assert results[0].accuracy != results[1].accuracy
assert results[0].audit["training"]["lowest_level"][1] <= 0.3 < results[0].audit["training"]["highest_level"][1]
try:
    RunConfig.from_dict({"noise.std": 0.3, "noise.one_sided": True})
except ConfigError as refusal:
    print(refusal)
"""


def test_a_noise_kind_with_a_setting_of_its_own_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "dead_zone.py").write_text(textwrap.dedent(DEAD_ZONE))
    done = subprocess.run(
        [sys.executable, "-c", USE_OF_DEAD_ZONE, str(tmp_path)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "noise.one_sided: True is refused; it has no effect with noise.kind 'additive'; leave it out\n"
    )


@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_model_is_one_file(batch_norm: bool, add_file: AddFile, only_digits: DataSet) -> None:
    add_file(architectures, "strided", STRIDED)
    settings = {"model.name": "strided", "model.batch_norm": batch_norm, "training.epochs": 2}
    noises: list[dict[str, Any]] = [
        {"noise.std": 0.3},
        {"noise.kind": "multiplicative", "noise.std": 0.5, "noise.point": 4, "training.weight_clamp": 0.05},
        {"noise.std": 0.5, "noise.in_training": False},
    ]
    configs = [RunConfig.from_dict({**settings, **noise, "seed": seed}) for seed, noise in enumerate(noises)]
    names = ["input", "conv1", *["bn1"] * batch_norm, "gelu1", "conv2", "norm2", "gelu2", "pool2", "fc1"]
    assert [point.name for point in configs[0].points] == names
    together = train(configs, device="cpu", processes=1, pack_size=3)
    for config, result in zip(configs, together, strict=True):
        assert [point.name for point in result.points] == names
        assert list(result.mean_abs_weight) == ["conv1", "conv2", "fc1"]
        assert numbers(result) == numbers(train([config], device="cpu", processes=1)[0])
    assert max(weight or 1.0 for weight in together[1].mean_abs_weight.values()) < 0.05


def test_two_kinds_with_the_same_name_are_an_error(add_file: AddFile) -> None:
    add_file(kinds, "another", UNIFORM.replace('"box_shaped"', '"additive"'))
    with pytest.raises(ValueError, match="two modules define the name 'additive'"):
        noise_kinds()


def test_modules_without_a_kind_are_skipped(add_file: AddFile) -> None:
    before = set(discover(kinds, "KIND"))
    add_file(kinds, "helpers", "X = 1")
    assert set(discover(kinds, "KIND")) == before

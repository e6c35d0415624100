"""Networks and data sets of a user's own: noise points, runs in a pack and alone, midpoints, refusals."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from analysis import midpoints
from tests.walking_noise import own_parts
from walking_noise import ConfigError, DataMissing, Result, RunConfig, data, models, train
from walking_noise.checkpoints import code_digest

HERE = own_parts.__name__
RESNET: dict[str, Any] = {"model.name": f"{HERE}:resnet18", "data.name": f"{HERE}:digits", "training.epochs": 1}
TRANSFORMER: dict[str, Any] = {"model.name": f"{HERE}:transformer", "training.epochs": 3}


def names(settings: dict[str, Any]) -> list[str]:
    return [point.name for point in RunConfig.from_dict(settings).points]


def numbers(result: Result) -> dict[str, Any]:
    return result.to_document() | {"seconds": 0, "pack_size": 0}


def test_products_of_a_residual_network_are_its_convolutions_and_the_linear_layer() -> None:
    found = names(RESNET)
    assert (found[0], found[1], found[-1], len(found)) == ("input", "conv1", "fc", 1 + 20 + 1)
    assert "layer2.0.downsample.0" in found


def test_a_module_has_a_point_for_each_call_and_residual_sums_have_points() -> None:
    block = [name for name in names({**RESNET, "model.points": "modules+residual"}) if name.startswith("layer1.0.")]
    expected = ["conv1", "bn1", "relu", "conv2", "bn2", "sum", "relu#2"]
    assert block == [f"layer1.0.{name}" for name in expected]


def test_points_by_a_pattern() -> None:
    assert names({**RESNET, "model.points": "layer?.1.conv2"}) == ["input", *(f"layer{n}.1.conv2" for n in range(1, 5))]


def test_attention_is_a_product_though_its_output_layer_is_never_called() -> None:
    points = RunConfig.from_dict(TRANSFORMER).points
    assert [point.name for point in points] == [
        "input", "embed", "encoder.self_attn", "encoder.linear1", "encoder.linear2", "head",
    ]  # fmt: skip
    attention = points[2]
    tokens, width = 28, 16
    assert attention.multiply_accumulates == tokens * width * 4 * width + 2 * tokens * tokens * width
    assert attention.parameters == 4 * width * width + 4 * width


def test_points_follow_batch_norm() -> None:
    after = [p.name for p in RunConfig.from_dict({**RESNET, "model.points": "modules"}).points if p.after_batch_norm]
    assert len(after) == 20
    assert "layer4.1.bn2" in after
    without = RunConfig.from_dict({**RESNET, "model.points": "modules", "noise.std": 1.0, "noise.on_batch_norm": False})
    assert sum(max(level) == 0 for level in without.levels) == 20


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        pytest.param(RESNET, 2, id="resnet18"),
        pytest.param(RESNET, 4, id="resnet18, more runs", marks=pytest.mark.slow),
        pytest.param({**TRANSFORMER, "data.name": f"{HERE}:digits"}, 4, id="transformer"),
    ],
)
def test_runs_in_a_pack_equal_runs_alone(settings: dict[str, Any], count: int) -> None:
    last = len(RunConfig.from_dict(settings).points) - 1
    noise: list[dict[str, Any]] = [
        {"noise.std": 0.5, "noise.point": last},
        {"noise.std": 0.1},
        {"noise.std": 5.0, "noise.point": 2, "noise.in_training": False, "seed": 1},
        {"noise.kind": "multiplicative", "noise.std": 0.5, "noise.point": 1},
    ]
    runs = [RunConfig.from_dict({**settings, **one}) for one in noise[:count]]
    together = train(runs, processes=1, device="cpu")
    assert len({result.accuracy for result in together} | {result.training_loss[0] for result in together}) > count
    for run, result in zip(runs, together, strict=True):
        (alone,) = train([run], processes=1, device="cpu")
        assert numbers(result) == numbers(alone)


def test_midpoints_of_a_transformer_block() -> None:
    runs = [
        RunConfig.from_dict({**TRANSFORMER, "seed": seed, **noise, "noise.in_training": False})
        for seed in (0, 1)
        for noise in [{"noise.point": p, "noise.std": std} for p in (1, 5) for std in (0.0, 0.1, 1.0, 3.0, 10.0, 100.0)]
    ]
    table = midpoints.estimate(runs, train(runs, processes=1, device="cpu"))
    assert len(table) == 2
    assert ((table["low"] <= table["mu"]) & (table["mu"] <= table["high"])).all()
    assert (table["mu"] < 100).all()


def test_the_data_set_is_that_of_the_function() -> None:
    loaded = data.load(f"{HERE}:digits")
    assert loaded.train_samples.shape == (60, 3, 14, 14)
    assert loaded.validation_labels.shape == (40,)
    original = data.load("mnist5k")
    assert torch.equal(loaded.train_samples[:, 0], original.train_samples[:60, 0, ::2, ::2].float() / 255)
    assert loaded.checksum != data.load(f"{HERE}:digits", validation="holdout").checksum


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model.name": "no_such:build"}, "model.name: .* the module no_such cannot be imported .* PYTHONPATH"),
        ({"model.name": f"{HERE}:missing"}, "model.name: .* has no missing"),
        ({"model.name": f"{HERE}:no_module"}, "model.name: .* it returns a str, not a torch.nn.Module"),
        ({"model.name": f"{HERE}:failing_build"}, r"its function failed \(KeyError: 'width'\)"),
        ({"model.name": f"{HERE}:with_dropout"}, "model.name: .* draws random numbers .* remove dropout"),
        ({"model.name": "not a name:build"}, "model.name: .* allowed: .*my_package.module:name"),
        ({**RESNET, "model.points": "x*"}, "model.name: .* 'x\\*' selects none of its modules and sums: conv1, "),
        ({"model.points": "modules"}, "model.name: .* its noise points are fixed; leave model.points at products"),
        ({"data.name": f"{HERE}:undecorated"}, "data.name: .* no function decorated with .*own_data"),
        ({"data.name": f"{HERE}:digits", "data.transform": "none"}, "data.transform: .* allowed for .*: release"),
    ],
)
def test_refusals(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refusal:
        RunConfig.from_dict(settings)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("too_few_classes", "labels outside 0..4"),
        ("another_shape", r"samples of shape \(3, 14, 14\), not \(1, 14, 14\)"),
        ("no_samples", "0 samples and labels of shape"),
        ("failing", r"its function failed \(OSError: the disk is gone\)"),
    ],
)
def test_data_that_do_not_fit_their_description(name: str, message: str) -> None:
    with pytest.raises(DataMissing, match=message):
        data.load(f"{HERE}:{name}")


def test_the_digest_covers_the_modules_of_the_project(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "own_for_digest"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "layers.py").write_text("from torch import nn\n")
    (package / "unused.py").write_text("")
    (package / "nets.py").write_text(
        "from own_for_digest.layers import nn\n\n\ndef build(inputs, classes, batch_norm):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(784, classes))\n"
    )

    def digest() -> str:
        code_digest._digest.cache_clear()
        code_digest._imports.cache_clear()
        return code_digest.code_digest(RunConfig.from_dict({"model.name": "own_for_digest.nets:build"}))

    first = digest()
    (package / "unused.py").write_text("x = 1\n")
    assert digest() == first
    (package / "layers.py").write_text("from torch import nn\n\nx = 1\n")
    assert digest() != first


def test_the_digest_covers_a_package_without_init(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "own_without_init"
    package.mkdir()
    (package / "layers.py").write_text("x = 1\n")
    (package / "nets.py").write_text("import own_without_init.layers\n")
    first = code_digest._digest("mnist5k", "own_without_init.nets:build", None)
    (package / "layers.py").write_text("x = 2\n")
    code_digest._digest.cache_clear()
    assert code_digest._digest("mnist5k", "own_without_init.nets:build", None) != first


def test_shapes_at_the_points() -> None:
    summary = models.summary(RunConfig.from_dict(TRANSFORMER).architecture)
    assert summary.shapes == ((1, 28, 28), (28, 16), (28, 16), (28, 32), (28, 16), (10,))

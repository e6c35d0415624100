"""ResNet-20 and VGG-11: sizes, noise points, and runs in a pack and alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.walking_noise import own_parts
from walking_noise import RunConfig, models, train
from walking_noise.models import Architecture
from walking_noise.models.model_summary import summarise
from walking_noise.models.noise_points import NoisePoint, with_noise_points
from walking_noise.models.point import points_of_document

CIFAR10 = (3, 32, 32)
NORMS = [False, True]


def test_resnet20_has_the_size_of_the_article() -> None:
    """0.27 million trained values (He et al. 2015, table 6) in 20 layers; 41 million multiply-accumulates."""
    summary = models.summary(Architecture("resnet20", CIFAR10, 10, True))
    weighted = [point for point in summary.points if point.multiply_accumulates]
    assert summary.parameters == 269_722
    assert len(weighted) == 20
    assert sum(point.multiply_accumulates for point in weighted) == 40_551_040
    biases = 16 + 6 * (16 + 32 + 64)
    norms = 2 * biases
    assert (
        models.summary(Architecture("resnet20", CIFAR10, 10, False)).parameters == summary.parameters - norms + biases
    )


def test_vgg11_has_the_size_of_the_published_one() -> None:
    assert models.summary(Architecture("vgg11", CIFAR10, 10, True)).parameters == 9_231_114
    points = [point.name for point in models.points(Architecture("vgg11", CIFAR10, 10, False))]
    assert (points[:4], points[-2:], len(points)) == (["input", "conv1", "relu1", "pool1"], ["pool5", "fc1"], 23)
    with pytest.raises(ValueError, match="at least 32×32, not 28×28"):
        models.build(Architecture("vgg11", (1, 28, 28), 10, True))


@pytest.mark.parametrize("batch_norm", NORMS)
def test_noise_points_of_resnet20(batch_norm: bool) -> None:
    def names(selected: str) -> list[str]:
        return [point.name for point in models.points(Architecture("resnet20", CIFAR10, 10, batch_norm, selected))]

    blocks = [f"stage{stage}.{block}" for stage in (1, 2, 3) for block in range(3)]
    convolutions = [f"{block}.conv{number}" for block in blocks for number in (1, 2)]
    assert names("products") == ["input", "conv1", *convolutions, "fc"]
    with_sums = [name for name in names("products+residual") if name.endswith("sum")]
    assert with_sums == [f"{block}.sum" for block in blocks]
    layers = ["conv1", *["bn1"] * batch_norm, "relu1", "conv2", *["bn2"] * batch_norm, "relu2"]
    assert [name for name in names("modules") if name.startswith("stage3.2.")] == [f"stage3.2.{one}" for one in layers]


def test_residual_sums_know_where_their_path_begins() -> None:
    points = models.points(Architecture("resnet20", CIFAR10, 10, True, "products+residual"))
    sums = {point.number: point.residual_from for point in points if point.residual_from is not None}
    assert sums == {4: 1, 7: 4, 10: 7, 13: 10, 16: 13, 19: 16, 22: 19, 25: 22, 28: 25}
    assert [point.number for point in points if point.reshaped] == [13, 22]
    assert points_of_document([point.to_document() for point in points]) == points


def test_the_path_of_an_own_network_begins_at_the_last_point_before_both_terms() -> None:
    """The second path of a transformer block begins at its first sum; a sum with a parameter has no path."""
    points = models.points(
        Architecture(f"{own_parts.__name__}:transformer", (1, 28, 28), 10, False, "products+residual")
    )
    sums = {point.name: points[point.residual_from].name for point in points if point.residual_from is not None}
    assert sums == {"encoder.sum": "embed", "encoder.sum#2": "encoder.sum"}

    class Positions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last, self.positions = nn.Linear(4, 4), nn.Linear(4, 2), nn.Parameter(torch.ones(2, 4))
            self.sum_point = NoisePoint("sum")

        def forward(self, x: Tensor) -> Any:
            return self.last(self.sum_point(self.first(x) + self.positions))

    summed = summarise(with_noise_points(Positions()), (4,), 2).points[1]
    assert (summed.name, summed.layer, summed.residual_from) == ("sum", None, None)


def test_the_shortcut_of_a_downsampling_block_pads_the_channels() -> None:
    network = models.plain(Architecture("resnet20", CIFAR10, 10, True))
    block = network.get_submodule("stage2.0").eval()
    torch.nn.init.zeros_(block.get_parameter("bn2.weight"))
    x = torch.rand(2, 16, 8, 8)
    y = block(x)
    assert y.shape == (2, 32, 4, 4)
    assert torch.equal(y[:, 8:24], x[:, :, ::2, ::2])
    assert not y[:, :8].any()
    assert not y[:, 24:].any()


@pytest.mark.parametrize(
    ("name", "batch_norm"),
    [
        ("resnet20", True),
        *(
            pytest.param(*one, marks=pytest.mark.slow)
            for one in (("resnet20", False), ("vgg11", False), ("vgg11", True))
        ),
    ],
)
def test_runs_in_a_pack_equal_runs_alone(name: str, batch_norm: bool) -> None:
    shared = {
        "model.name": name, "model.batch_norm": batch_norm, "training.epochs": 1, "training.batch_size": 20,
        "data.name": f"{own_parts.__name__}:large_digits",
    }  # fmt: skip
    if name == "resnet20":
        shared["model.points"] = "products+residual"
    noise: list[dict[str, Any]] = [
        {"noise.std": 0.5, "noise.point": 4},
        {"noise.std": 0.1, "noise.point": 2},
        {"noise.kind": "multiplicative", "noise.std": 0.5, "noise.point": 13},
    ]
    runs = [RunConfig.from_dict({**shared, **one}) for one in noise]
    together = train(runs, processes=1, device="cpu", pack_size=3)
    assert [result.pack_size for result in together] == [3, 3, 3]
    assert len({result.training_loss[0] for result in together}) == 3
    for run, result in zip(runs, together, strict=True):
        (alone,) = train([run], processes=1, device="cpu")
        assert result.to_document() | {"seconds": 0, "pack_size": 1} == alone.to_document() | {"seconds": 0}
        assert result.audit["inference"] is not None

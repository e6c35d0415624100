"""Runs with the same seed share their mini-batches: results are bitwise those of a pack of one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.walking_noise.running import run
from walking_noise import RunConfig
from walking_noise.data import DataSet
from walking_noise.data.images.image_transform import ImageTransform
from walking_noise.pack.layers import pack_layer
from walking_noise.training.member import TrainedNetwork
from walking_noise.training.trainer import train_pack

CPU = torch.device("cpu")


def levels(seed: int, point: int, count: int, **settings: object) -> list[RunConfig]:
    kind = "multiplicative" if point % 2 else "additive"
    return [
        run(seed=seed, noise__kind=kind, noise__std=0.2 * level, noise__point=point, **settings)
        for level in range(1, count + 1)
    ]


def assert_same(trained: TrainedNetwork, alone: TrainedNetwork) -> None:
    assert trained.training_loss == alone.training_loss
    assert trained.evaluations == alone.evaluations
    assert trained.training_audit == alone.training_audit
    assert trained.state.keys() == alone.state.keys()
    for name, tensor in trained.state.items():
        assert torch.equal(tensor, alone.state[name]), name


@pytest.mark.parametrize("augmented", [False, True])
@pytest.mark.parametrize(
    ("model", "batch_norm"),
    [("mlp", False), ("mlp", True), pytest.param("lenet5", False, marks=pytest.mark.slow), ("lenet5", True)],
)
def test_packs_of_few_seeds_equal_packs_of_one(
    model: str, batch_norm: bool, augmented: bool, fewer_digits: DataSet
) -> None:
    data = replace(fewer_digits, transform=ImageTransform(crop_padding=2, flip=True)) if augmented else fewer_digits
    settings = {"model__name": model, "model__batch_norm": batch_norm, "training__epochs": 2 if model == "mlp" else 1}
    one_seed = levels(3, 4, 5, **settings)
    alone = {config: train_pack([config], data, CPU)[0] for config in one_seed}
    two_seeds = one_seed[:3] + levels(8, 4, 3, **settings)
    from_the_input_on = one_seed[:3] + levels(3, 0, 2, **settings)
    unequal = one_seed[:3] + levels(8, 2, 2, **settings)
    for pack in (one_seed, two_seeds, from_the_input_on, unequal):
        for config, trained in zip(pack, train_pack(pack, data, CPU), strict=True):
            if config in alone:
                assert_same(trained, alone[config])


def test_a_pack_of_128_equals_packs_of_one(fewer_digits: DataSet) -> None:
    pack = [config for seed in range(4) for config in levels(seed, 3, 32, training__epochs=1)]
    together = train_pack(pack, fewer_digits, CPU)
    for member in (0, 31, 32, 127):
        assert_same(together[member], train_pack([pack[member]], fewer_digits, CPU)[0])


@pytest.mark.parametrize(
    ("channels", "filters", "kernel", "stride", "size"),
    [(1, 6, 5, 1, 28), (3, 6, 5, 1, 32), (1, 28, (4, 10), (1, 2), (10, 49)), (3, 7, 3, 2, 17)],
)
@pytest.mark.parametrize("batch", [128, 80, 250])
def test_one_convolution_with_the_filters_of_all_equals_one_each(
    channels: int,
    filters: int,
    kernel: int | tuple[int, int],
    stride: int | tuple[int, int],
    size: int | tuple[int, int],
    batch: int,
) -> None:

    torch.manual_seed(0)
    members = [nn.Conv2d(channels, filters, kernel, stride) for _ in range(8)]
    height, width = (size, size) if isinstance(size, int) else size
    x = torch.randn(1, batch, channels, height, width)
    packed = pack_layer(members)
    y = packed(x)
    weights = torch.randn(y.shape)
    gradients = torch.autograd.grad((y * weights).sum(), list(packed.parameters()))
    for member, layer in enumerate(members):
        single = pack_layer([layer])
        alone = single(x)
        assert torch.equal(y[member], alone[0])
        own = torch.autograd.grad((alone * weights[member : member + 1]).sum(), list(single.parameters()))
        for gradient, expected in zip(gradients, own, strict=True):
            assert torch.equal(gradient[member], expected[0])

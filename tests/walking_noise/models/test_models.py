"""Models, noise points and sizes, compared with the tables of the papers."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from walking_noise import RunConfig, models
from walking_noise.models import Architecture
from walking_noise.models.noise_points import NoisePoint, points_in, with_noise_points

MNIST, CIFAR10, GSC = (1, 28, 28), (3, 32, 32), (1, 10, 49)
CLASSES: dict[tuple[int, ...], int] = {MNIST: 10, CIFAR10: 10, GSC: 12}

PARAMETERS = [
    ("mlp", MNIST, False, 59_210),
    ("mlp", MNIST, True, 59_594),
    ("mlp", CIFAR10, False, 205_642),
    ("mlp", CIFAR10, True, 206_026),
    ("mlp", GSC, False, 40_524),
    ("mlp", GSC, True, 40_908),
    ("lenet5", MNIST, False, 44_426),
    ("lenet5", MNIST, True, 44_878),
    ("lenet5", CIFAR10, False, 62_006),
    ("lenet5", CIFAR10, True, 62_458),
    ("cnn_s", GSC, False, 205_414),
    ("cnn_s", GSC, True, 205_786),
]

POINTS = {
    ("mlp", False): "input fc1 relu1 fc2 relu2 fc3 relu3 fc4",
    ("mlp", True): "input fc1 bn1 relu1 fc2 bn2 relu2 fc3 bn3 relu3 fc4",
    ("lenet5", False): "input conv1 relu1 pool1 conv2 relu2 pool2 fc1 relu3 fc2 relu4 fc3",
    ("cnn_s", False): "input conv1 relu1 conv2 relu2 fc1 relu3 fc2",
    ("cnn_s", True): "input conv1 bn1 relu1 conv2 bn2 relu2 fc1 bn3 relu3 fc2",
    ("lenet5", True): "input conv1 bn1 relu1 pool1 conv2 bn2 relu2 pool2 fc1 bn3 relu3 fc2 bn4 relu4 fc3",
}
KINDS: dict[str, type[nn.Module] | tuple[type[nn.Module], ...]] = {
    "fc": nn.Linear,
    "conv": nn.Conv2d,
    "bn": (nn.BatchNorm1d, nn.BatchNorm2d),
    "relu": nn.ReLU,
    "pool": nn.MaxPool2d,
}


@pytest.mark.parametrize(("name", "inputs", "batch_norm", "parameters"), PARAMETERS)
def test_parameter_counts(name: str, inputs: tuple[int, ...], batch_norm: bool, parameters: int) -> None:
    network = models.build(Architecture(name, inputs, CLASSES[inputs], batch_norm))
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    assert network.eval()(torch.zeros(2, *inputs)).shape == (2, CLASSES[inputs])


@pytest.mark.parametrize(("name", "batch_norm"), POINTS)
@pytest.mark.parametrize("inputs", [MNIST, CIFAR10], ids=["mnist", "cifar10"])
def test_noise_points(name: str, batch_norm: bool, inputs: tuple[int, ...]) -> None:
    points = models.points(Architecture(name, inputs, 10, batch_norm))
    names = POINTS[name, batch_norm].split()
    assert [point.name for point in points] == names
    assert [point.number for point in points] == list(range(len(names)))
    assert [point.after_batch_norm for point in points] == [name.startswith("bn") for name in names]
    assert points == tuple(
        module.point for module in points_in(models.build(Architecture(name, inputs, 10, batch_norm)))
    )


@pytest.mark.parametrize(("name", "inputs", "batch_norm", "parameters"), PARAMETERS)
def test_points_know_their_layers(name: str, inputs: tuple[int, ...], batch_norm: bool, parameters: int) -> None:
    first, *others = models.points(Architecture(name, inputs, CLASSES[inputs], batch_norm))
    assert (first.layer, first.parameters, first.multiply_accumulates) == (None, 0, 0)
    assert [point.layer for point in others] == [point.name for point in others]
    assert sum(point.parameters for point in others) == parameters
    kinds = [(point.parameters > 0, point.multiply_accumulates > 0) for point in others]
    layers = [point.name[:2] for point in others]
    assert kinds == [(kind in ("co", "fc", "bn"), kind in ("co", "fc")) for kind in layers]


def test_multiply_accumulates_of_the_layers() -> None:
    """LeNet-5 on MNIST: outputs of 24×24 and 8×8, kernels of 5×5, then the sizes of the weights."""
    points = models.points(Architecture("lenet5", MNIST, 10, True))
    assert {point.name: point.multiply_accumulates for point in points if point.multiply_accumulates} == {
        "conv1": 24 * 24 * 25 * 6,
        "conv2": 8 * 8 * 25 * 6 * 16,
        "fc1": 256 * 120,
        "fc2": 120 * 84,
        "fc3": 84 * 10,
    }


@pytest.mark.parametrize(("name", "batch_norm"), POINTS)
def test_every_point_follows_the_layer_it_is_named_after(name: str, batch_norm: bool) -> None:
    layers = list(models.build(Architecture(name, MNIST, 10, batch_norm)).named_children())
    assert isinstance(layers[0][1], NoisePoint)
    followed = [(before, after) for before, after in pairwise(layers) if isinstance(after[1], NoisePoint)]
    assert len(followed) == len(POINTS[name, batch_norm].split()) - 1
    for (layer_name, layer), (_, point) in followed:
        assert isinstance(point, NoisePoint)
        assert point.point.name == layer_name
        assert isinstance(layer, KINDS[layer_name.rstrip("0123456789")])
    unfollowed = [layer for (_, layer), (_, after) in pairwise(layers) if not isinstance(after, NoisePoint)]
    assert all(isinstance(layer, NoisePoint | nn.Flatten) for layer in unfollowed)


def test_the_convolutions_of_cnn_s() -> None:
    """Kernels of 10 frames by 4 coefficients, the first with a stride of two frames; 1,320 features."""
    layers = dict(models.build(Architecture("cnn_s", GSC, 12, False)).named_children())
    x, shapes = torch.zeros(1, *GSC), []
    for layer in layers.values():
        x = layer(x)
        if isinstance(layer, nn.Conv2d | nn.Flatten):
            shapes.append(tuple(x.shape[1:]))
    assert shapes == [(28, 7, 20), (30, 4, 11), (1320,)]


@pytest.mark.parametrize(
    ("name", "smallest", "text"), [("cnn_s", (1, 7, 28), "at least 7×28"), ("lenet5", (1, 16, 16), "at least 16×16")]
)
def test_inputs_that_are_too_small_are_an_error(name: str, smallest: tuple[int, int, int], text: str) -> None:
    channels, height, width = smallest
    models.build(Architecture(name, smallest, 10, True))
    for shape in ((channels, height - 1, width), (channels, height, width - 1)):
        with pytest.raises(ValueError, match=f"{text}, not {shape[1]}×{shape[2]}"):
            models.build(Architecture(name, shape, 10, True))


def test_noise_points_of_the_layers_in_the_paper() -> None:
    """Table II's layers 1 to 5 of LeNet-5 are its noise points 1, 5, 9, 12, 15, without BatchNorm 1, 4, 7, 9, 11."""
    for batch_norm, numbers in ((True, [1, 5, 9, 12, 15]), (False, [1, 4, 7, 9, 11])):
        points = models.points(Architecture("lenet5", CIFAR10, 10, batch_norm))
        assert [point.number for point in points if point.name[:2] in ("co", "fc")] == numbers


def test_noise_points_return_their_input() -> None:
    layers = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    x = torch.randn(5, 2, 2)
    assert torch.equal(with_noise_points(layers)(x), layers(x))


LAYERS = {
    # convolutions as (filters, kernel, stride), max-poolings, widths of the linear layers
    "mlp": ([], [], [64, 64, 64, 10]),
    "lenet5": ([(6, (5, 5), (1, 1)), (16, (5, 5), (1, 1))], [2, 2], [120, 84, 10]),
    "cnn_s": ([(28, (4, 10), (1, 2)), (30, (4, 10), (1, 1))], [], [128, 10]),
}


@pytest.mark.parametrize(("name", "batch_norm"), POINTS)
def test_layers_are_the_papers(name: str, batch_norm: bool) -> None:
    network = models.build(Architecture(name, CIFAR10, 10, batch_norm))
    convolutions = [layer for layer in network if isinstance(layer, nn.Conv2d)]
    shapes = [(layer.out_channels, layer.kernel_size, layer.stride) for layer in convolutions]
    widths = [layer.out_features for layer in network if isinstance(layer, nn.Linear)]
    pools = [layer.kernel_size for layer in network if isinstance(layer, nn.MaxPool2d)]
    assert (shapes, pools, widths) == LAYERS[name]
    assert all(layer.padding == (0, 0) for layer in convolutions)
    assert all(layer.bias is not None for layer in network if isinstance(layer, nn.Linear | nn.Conv2d))


def test_listing_noise_points_draws_no_random_numbers() -> None:
    models.summary.cache_clear()
    before = torch.random.get_rng_state()
    assert len(RunConfig.from_dict({"model.name": "lenet5"}).points) == 12
    assert torch.equal(torch.random.get_rng_state(), before)

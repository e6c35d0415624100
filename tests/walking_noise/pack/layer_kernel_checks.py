"""Checks of the alternatives for layers, for a GPU or, with TRITON_INTERPRET=1, for a CPU.

As a program, this module runs every check on the CPU and prints the failures as JSON: ``{check: traceback or null}``.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from io import StringIO
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.benchmark import layer_rates
from tests.walking_noise.noise.kernel_checks import MEMBERS, configs
from tests.walking_noise.noise.noise_reference import inject_noise
from tests.walking_noise.pack.convolution_checks import CHECKS, check, result_and_gradients
from walking_noise.noise.injection import Injection, noise_by_point
from walking_noise.noise.rng.counter_based import CounterBasedNoise
from walking_noise.noise.rng.triton_image_layers import image_layers
from walking_noise.pack.gpu.choices import ALTERNATIVES, LayerShape
from walking_noise.pack.layers import fused_gpu_layers
from walking_noise.pack.layers.forward import forward_layer
from walking_noise.pack.layers.fused_gpu_layers import find_image_layers
from walking_noise.pack.pack import Pack


def failures(device: torch.device) -> dict[str, str | None]:
    """The traceback of each check that fails, else None."""
    found: dict[str, str | None] = {}
    for name, function in CHECKS.items():
        try:
            function(device)
        except Exception:
            found[name] = traceback.format_exc()
        else:
            found[name] = None
    return found


BEFORE, AFTER, STEP = 4, 5, (300, 39)
"""Two noise points of :func:`noise`, whose members have noise at all points, and a step."""


def noise(members: slice, device: torch.device) -> CounterBasedNoise:
    """The noise of some of the :data:`MEMBERS`, injected by the reference."""
    chosen = configs(MEMBERS)[members]
    return CounterBasedNoise(noise_by_point(chosen, "training"), "training noise", len(chosen), device, inject_noise)


@dataclass(frozen=True)
class Images:
    """Images of a pack of the :data:`MEMBERS` behind a convolution, and the layers on them."""

    inputs: tuple[int, int, int, int]  # samples, channels, height, width
    norm: bool = True
    before: bool = True  # whether there is noise before the ReLU
    after: bool = True

    def tensors(self, device: torch.device) -> list[Tensor]:
        """Images side by side, as a convolution makes them, weights, biases, and the gradient of the outputs."""
        torch.manual_seed(0)
        samples, channels, height, width = self.inputs
        x = torch.randn(samples, len(MEMBERS), channels, height, width).transpose(0, 1) + 0.3
        weight, bias = 1 + 0.2 * torch.randn(2, len(MEMBERS), channels)
        gradient = torch.randn(len(MEMBERS), samples, channels, height // 2, width // 2)
        return [x.to(device), weight.to(device), bias.to(device), gradient.to(device)]

    def points(self) -> tuple[int | None, int | None]:
        return BEFORE if self.before else None, AFTER if self.after else None

    def fused(self, members: slice = slice(None)) -> Callable[..., Tensor]:
        def computed(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
            drawn = [None if point is None else noise(members, x.device).drawn_at(point) for point in self.points()]
            norm = (weight, bias, 1e-5) if self.norm else None
            y, *statistics[:] = image_layers(x, (drawn[0], drawn[1]), torch.tensor(STEP, device=x.device), norm)
            return y

        return computed

    def separate(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """The layers of torch, member by member, with the reference of the noise."""
        inject = noise(slice(None), x.device).at(STEP)
        before, after = self.points()
        if self.norm:
            norm = partial(F.batch_norm, running_mean=None, running_var=None, training=True)
            x = torch.stack([norm(one, weight=w, bias=b) for one, w, b in zip(x, weight, bias, strict=True)])
        x = x if before is None else inject(before, x, 0, None)
        x = x.relu()
        x = x if after is None else inject(after, x, 0, None)
        return torch.stack([F.max_pool2d(one, 2) for one in x])


statistics: list[Tensor | None] = []
"""Mean and variance of the last fused layers."""
IMAGES = [
    Images((3, 2, 4, 6)),
    Images((2, 3, 2, 10), norm=False),
    Images((3, 2, 4, 4), norm=False, before=False),
    Images((2, 1, 2, 2), after=False),
    Images((40, 1, 6, 2), before=False, after=False),
]
"""With and without BatchNorm and noise; rows of other lengths than multiples of four, and several programs."""


@check
def layers_on_images_equal_the_reference(device: torch.device) -> None:
    """Bitwise without BatchNorm, whose sums are computed in another order."""
    for images in IMAGES:
        x, weight, bias, gradient = images.tensors(device)
        actual = of_images(images.fused(), images.norm, x, weight, bias, gradient)
        expected = of_images(images.separate, images.norm, x, weight, bias, gradient)
        assert images.norm or torch.equal(actual[0], expected[0])
        for one, other in zip(actual, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
        assert actual[0].transpose(0, 1).is_contiguous()
        if images.norm:
            expected_statistics = [x.mean((1, 3, 4)), x.var((1, 3, 4), correction=0)]
            torch.testing.assert_close(statistics, expected_statistics)


def of_images(function: Callable[..., Tensor], norm: bool, *tensors: Tensor) -> list[Tensor]:
    """The result, and the gradients of the tensors that the layers use."""
    x, weight, bias, gradient = tensors
    if norm:
        return result_and_gradients(function, *tensors)
    return result_and_gradients(lambda x: function(x, weight, bias), x, gradient)


@check
def a_member_of_layers_on_images_has_the_same_bits_alone(device: torch.device) -> None:
    member, only = 3, slice(3, 4)
    tensors = IMAGES[0].tensors(device)
    packed = result_and_gradients(IMAGES[0].fused(), *tensors)
    alone = result_and_gradients(IMAGES[0].fused(only), *(one[only] for one in tensors))
    for one, other in zip(alone, packed, strict=True):
        assert torch.equal(one[0], other[member])


@check
def a_nan_in_an_image_reaches_its_window_only(device: torch.device) -> None:
    images = IMAGES[2]
    x, *rest = images.tensors(device)
    x[0, 0, 0, 1, 2] = float("nan")
    y, gradient = of_images(images.fused(), False, x, *rest)
    expected, expected_gradient = of_images(images.separate, False, x, *rest)
    assert y[0, 0, 0].isnan().tolist() == [[False, True], [False, False]]
    torch.testing.assert_close(y, expected, equal_nan=True)
    torch.testing.assert_close(gradient, expected_gradient, equal_nan=True)


@check
def fused_layers_of_a_pack_equal_separate_ones(device: torch.device) -> None:
    """Output, gradients and running statistics of the second block of LeNet-5, with noise at two of its points."""
    members = [{**settings, "model.name": "lenet5", "seed": seed} for seed, settings in enumerate(MEMBERS[1:4])]
    runs = configs(members)
    injection = Injection(runs, "training", device)
    injection.samplers = [CounterBasedNoise(injection.at_point, "training noise", len(runs), device, inject_noise)]
    inject = injection.at(STEP)
    torch.manual_seed(0)
    start, results = torch.randn(1, 2, 16, 8, 8, device=device), []
    for fused in (False, True):
        pack = Pack([config.initial_network() for config in runs]).to(device)
        names = list(pack.layers)
        section = [pack.layers[name] for name in names[names.index("bn2") : names.index("pool2") + 1]]
        x = start.detach().requires_grad_()
        if fused:
            with mock.patch.object(fused_gpu_layers, "chosen", return_value="fused"):
                found = find_image_layers(section)
                y = found[0].forward(x, inject, len(runs))
            assert y is not None
            assert found[0].length == len(section)
        else:
            y = x
            for layer in section:
                y = forward_layer(layer, y, inject, len(runs))
        norm = section[0]
        gradients = torch.autograd.grad(y.square().sum(), [x, *norm.parameters()])
        results.append([y, *gradients, *norm.buffers()])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@check
def bench_measures_every_alternative(device: torch.device) -> None:
    inputs = (2, 1, 4, 4)
    shapes = [
        LayerShape("image_layers", inputs, "float32", batch_norm=True),
        LayerShape("convolution", inputs, "float32", 2, (2, 2), (1, 1)),
    ]
    small = mock.patch.multiple(layer_rates, MEMBERS=2, SECONDS=0.0, REPEATS=1, ROUNDS=1)
    with small, redirect_stdout(StringIO()) as printed:
        for shape in shapes:
            measured = layer_rates._measured(shape, False, device)
            assert set(measured.seconds) == set(ALTERNATIVES[shape.operation]), printed.getvalue()


if __name__ == "__main__":
    print(json.dumps(failures(torch.device("cpu"))))

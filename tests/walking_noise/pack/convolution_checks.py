"""Checks of the alternatives for convolutions, for a GPU or, with TRITON_INTERPRET=1, for a CPU."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from walking_noise.pack.gpu.convolutions import Pair, convolve, padded_edges

CHECKS: dict[str, Callable[[torch.device], None]] = {}
"""The checks defined below, by name."""


def check(function: Callable[[torch.device], None]) -> Callable[[torch.device], None]:
    CHECKS[function.__name__] = function
    return function


@dataclass(frozen=True)
class Convolution:
    """A small convolution of a pack; ``rows`` inputs for ``members`` networks."""

    inputs: tuple[int, int, int, int]  # samples, channels, height, width
    filters: int
    kernel: Pair
    stride: Pair = (1, 1)
    padding: str | int | Pair = 0
    members: int = 2
    rows: int = 2

    def tensors(self, device: torch.device) -> list[Tensor]:
        """Inputs, weights, biases, and the gradient of the outputs."""
        torch.manual_seed(0)
        x = torch.randn(self.rows, *self.inputs)
        weight = torch.randn(self.members, self.filters, self.inputs[1], *self.kernel)
        bias = torch.randn(self.members, self.filters)
        shape = self.layer(x[0], weight[0], bias[0]).shape
        return [tensor.to(device) for tensor in (x, weight, bias, torch.randn(self.members, *shape))]

    def layer(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Using padding='same' with even kernel lengths")
            return F.conv2d(x, weight, bias, self.stride, self.padding)

    def computed(self, alternative: str, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        padding = padded_edges(self.padding, self.kernel)
        return convolve(alternative, x, weight, bias, self.stride, padding)


CONVOLUTIONS = [
    Convolution((2, 2, 8, 7), 6, (5, 5)),
    Convolution((1, 1, 5, 14), 17, (4, 10), stride=(1, 2), rows=1),
    Convolution((17, 1, 3, 4), 3, (2, 3), padding="same", members=4),
    Convolution((2, 3, 5, 6), 4, (3, 3), stride=(2, 2), padding=(1, 2)),
    Convolution((2, 5, 2, 3), 5, (1, 1), padding="valid", members=1, rows=1),
]
"""Shapes with edges of every kind: strides, paddings, odd sizes, several tiles, members that share their inputs."""


def result_and_gradients(function: Callable[..., Tensor], *tensors: Tensor) -> list[Tensor]:
    *inputs, gradient = tensors
    inputs = [one.detach().requires_grad_() for one in inputs]
    y = function(*inputs)
    return [y.detach(), *torch.autograd.grad(y, inputs, gradient)]


def assert_equals_the_reference(convolution: Convolution, alternative: str, device: torch.device) -> None:
    """Compare with torch's convolution of each member in float64."""
    tensors = convolution.tensors(device)
    actual = result_and_gradients(partial(convolution.computed, alternative), *tensors)

    def member_by_member(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        x = x.repeat_interleave(convolution.members // convolution.rows, 0)
        return torch.stack([convolution.layer(*one) for one in zip(x, weight, bias, strict=True)])

    expected = result_and_gradients(member_by_member, *(one.double() for one in tensors))
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=2e-5)
    assert actual[0].transpose(0, 1).is_contiguous()
    assert all(one.is_contiguous() for one in actual[2:])


@check
def a_convolution_equals_the_reference(device: torch.device) -> None:
    for convolution in CONVOLUTIONS:
        assert_equals_the_reference(convolution, "triton", device)


@check
def a_member_of_a_convolution_has_the_same_bits_alone(device: torch.device) -> None:
    convolution = CONVOLUTIONS[3]
    tensors = convolution.tensors(device)
    packed, alone = (
        result_and_gradients(partial(convolution.computed, "triton"), *(one[members] for one in tensors))
        for members in (slice(None), slice(1, 2))
    )
    for one, other in zip(alone, packed, strict=True):
        assert torch.equal(one[0], other[1])


@check
def members_that_share_inputs_have_the_bits_of_separate_ones(device: torch.device) -> None:
    convolution = CONVOLUTIONS[3]
    x, *rest = convolution.tensors(device)
    shared, separate = (
        result_and_gradients(partial(convolution.computed, "triton"), x[:1].repeat(rows, 1, 1, 1, 1), *rest)
        for rows in (1, convolution.members)
    )
    for one, other in zip([shared[0], *shared[2:]], [separate[0], *separate[2:]], strict=True):
        assert torch.equal(one, other)
    torch.testing.assert_close(shared[1], separate[1].sum(0, keepdim=True))


@check
def a_convolution_reads_views(device: torch.device) -> None:
    """Members side by side, weights of one member for all, and a gradient with samples in another layout."""
    convolution = CONVOLUTIONS[3]
    x, weight, bias, gradient = convolution.tensors(device)
    x = x.transpose(0, 1).contiguous().transpose(0, 1)
    weight, gradient = weight[:1].expand(2, -1, -1, -1, -1), gradient.transpose(3, 4).contiguous().transpose(3, 4)
    copies = [one.clone(memory_format=torch.contiguous_format) for one in (x, weight, bias, gradient)]
    actual, expected = (
        result_and_gradients(partial(convolution.computed, "triton"), *tensors)
        for tensors in ((x, weight, bias, gradient), copies)
    )
    for one, other in zip(actual, expected, strict=True):
        assert torch.equal(one, other)

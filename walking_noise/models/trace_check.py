"""Check that the layers of a traced network compute what the network computes, with the same gradients."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from walking_noise.models.module_points import calling_every_module
from walking_noise.models.noise_points import points_in
from walking_noise.reproducibility import stream_generator


class UntraceableError(ValueError):
    """torch.fx does not record the forward pass of a network as it is."""


def check_equal(network: nn.Module, split: Callable[[nn.Module], nn.Sequential], samples: Tensor) -> list[str]:
    """Raise :class:`UntraceableError` if the layers have other outputs or gradients than the network.

    ``split`` returns the layers of a network, which share its parameters.

    Return the names of the noise points in the order in which the layers reach them.
    """
    x = torch.rand(samples.shape, generator=stream_generator(0, "trace"))
    network, copied, reached = copy.deepcopy(network), copy.deepcopy(network), list[str]()
    layers = split(copied)
    for point in points_in(layers):
        point.register_forward_hook(lambda point, *_: reached.append(point.name))
    for training in (False, True):
        reached.clear()
        with calling_every_module():
            expected, found = network.train(training)(x), layers.train(training)(x)
        if not torch.equal(expected, found):
            raise UntraceableError("its graph computes something else")
        weights = torch.rand(found.shape, generator=stream_generator(1, "trace"))
        gradients = [_gradients(y, weights, each) for y, each in ((expected, network), (found, copied))]
        if not all(torch.allclose(one, other, 1e-4, 1e-6) for one, other in zip(*gradients, strict=True)):
            raise UntraceableError("its graph has other gradients")
    return reached


def _gradients(y: Tensor, weights: Tensor, network: nn.Module) -> list[Tensor]:
    """The gradient of each parameter; zeros where y does not depend on it."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if not (y.requires_grad and parameters):
        return list(map(torch.zeros_like, parameters))
    return list(torch.autograd.grad((y * weights).sum(), parameters, allow_unused=True, materialize_grads=True))

"""Summary of a model: noise points and size; checks that the model can be trained in a pack."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from walking_noise.models.forward_recorder import ForwardRecorder
from walking_noise.models.noise_points import points_in
from walking_noise.models.point import Point

SAMPLES = 2
"""Samples in the forward pass; BatchNorm cannot train on a single one."""


@dataclass(frozen=True)
class ModelSummary:
    """Noise points and size of a model."""

    points: tuple[Point, ...]  # in the order in which a forward pass reaches them
    shapes: tuple[tuple[int, ...], ...]  # of the values of one sample at each noise point
    activations: int  # values that the forward pass of one sample computes, the outputs of noise points included
    parameters: int  # number of trained values


def summarise(network: nn.Sequential, inputs: tuple[int, ...], classes: int) -> ModelSummary:
    """The summary of a network, from one forward pass in training mode and one in inference mode.

    Raise ValueError if the network does not accept samples of shape ``inputs``, or cannot be trained in a pack.
    """
    _check_tensors(network)
    _check_names(network)
    training, inference = (_record_forward(network.train(mode), inputs, classes) for mode in (True, False))
    _check_points(network, training)
    _check_points(network, inference)
    if list(map(_place, training.points)) != list(map(_place, inference.points)):
        raise ValueError("a forward pass reaches the noise points in different orders in training and at inference")
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return ModelSummary(tuple(training.points), tuple(training.shapes), training.activations // SAMPLES, parameters)


def _record_forward(network: nn.Sequential, inputs: tuple[int, ...], classes: int) -> ForwardRecorder:
    """Run one forward pass of zeros and record it; raise ValueError if it fails or does not return logits."""
    try:
        with torch.no_grad(), ForwardRecorder(network, SAMPLES) as recorder:
            logits = network(torch.zeros(SAMPLES, *inputs))
    except ValueError:
        raise
    except Exception as error:
        first, *_ = str(error).splitlines() or [type(error).__name__]
        raise ValueError(f"its forward pass fails for samples of {'×'.join(map(str, inputs))}: {first}") from error
    if not isinstance(logits, Tensor) or logits.shape != (SAMPLES, classes):
        raise ValueError(f"its forward pass does not return {classes} logits for each sample")
    return recorder


def _place(point: Point) -> tuple[str, bool]:
    """What must be equal in training and at inference, where torch computes attention in other operations."""
    return point.name, point.after_batch_norm


def _check_tensors(network: nn.Sequential) -> None:
    """Raise ValueError for tensors that a pack would not stack, or would stack more than once."""
    for module in network.modules():
        for name, value in vars(module).items():
            if isinstance(value, Tensor):
                tensor = f"{type(module).__name__}.{name}"
                raise ValueError(f"{tensor} is a tensor that a pack cannot stack; register it as a buffer")
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            raise ValueError(f"its parameter {name} is frozen, but a pack trains all parameters; make it a buffer")
    tensors = [{*layer.parameters(), *layer.buffers()} for layer in network]
    if sum(map(len, tensors)) > len(set().union(*tensors)):
        raise ValueError("some of its layers share weights; put these layers into one module")


def _check_names(network: nn.Sequential) -> None:
    """Raise ValueError if two noise points have the same name."""
    for name, count in Counter(point.name for point in points_in(network)).items():
        if count > 1:
            raise ValueError(f"{count} of its noise points are named {name!r}; give each a different name")


def _check_points(network: nn.Sequential, recorder: ForwardRecorder) -> None:
    """Raise ValueError unless the forward pass reached each noise point exactly once."""
    reached = Counter(point.name for point in recorder.points)
    for name in (point.name for point in points_in(network)):
        if reached[name] != 1:
            raise ValueError(f"a forward pass reaches noise point {name!r} {reached[name]} times, not once")

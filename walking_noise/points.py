"""Where noise can enter: the numbered noise points of a model.

A noise point follows the input and every layer, the output included; Flatten, which computes nothing, has none
(Walking Noise, section 3.1). Points are numbered in the order of the forward pass, 0 is the input.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


@dataclass(frozen=True)
class Point:
    """A noise point: its number, the layer it follows (``input`` for point 0), and whether that is a BatchNorm."""

    number: int
    name: str
    after_batch_norm: bool


class Inject(Protocol):
    """What happens at the noise points of a pack of K runs."""

    def __call__(self, point: int, x: Tensor, /, member: int | None = None) -> Tensor:
        """The activations that leave a noise point.

        Parameters
        ----------
        x
            What arrives there: ``(K, B, …)`` of all members, or fewer rows where members share their samples (see
            :mod:`walking_noise.layers`); ``(B, …)`` of one if ``member`` says which.

        Returns
        -------
        Tensor
            ``x`` itself where nothing is injected, else ``(K, B, …)`` or the member's ``(B, …)``.
        """


class NoisePoint(nn.Module):
    """Marks a noise point. By itself it passes its input on; a pack injects each run's noise here."""

    def __init__(self, point: Point) -> None:
        super().__init__()
        self.point = point

    def forward(self, x: Tensor) -> Tensor:
        return x


def with_noise_points(model: nn.Sequential) -> nn.Sequential:
    """The same layers, with a :class:`NoisePoint` after the input and after each layer but Flatten."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()

    def mark(name: str, after: nn.Module | None) -> None:
        number = sum(isinstance(layer, NoisePoint) for layer in layers.values())
        point = Point(number, name, isinstance(after, _BATCH_NORMS))
        layers[f"{name}_noise"] = NoisePoint(point)

    mark("input", None)
    for name, layer in model.named_children():
        layers[name] = layer
        if not isinstance(layer, nn.Flatten):
            mark(name, layer)
    return nn.Sequential(layers)


def points_of(model: nn.Module) -> tuple[Point, ...]:
    """The noise points of a model, in the order of their numbers."""
    return tuple(module.point for module in model.modules() if isinstance(module, NoisePoint))

"""Where noise can enter: the numbered noise points of a model.

A plain ``nn.Sequential`` has one after every layer, the output included; Flatten, which computes nothing, has none
(Walking Noise, section 3.1). Any other model places its own. Points are numbered in the order in which a forward pass
reaches them; 0 is the input of every model.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

BODY = "body"
"""The name of the one part of a model that is no ``nn.Sequential``."""


@dataclass(frozen=True)
class Point:
    """A noise point: its number, its name (the layer it follows, or ``input``), and whether it follows a BatchNorm."""

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
            :mod:`walking_noise.pack.layers`); ``(B, …)`` of one if ``member`` says which.

        Returns
        -------
        Tensor
            ``x`` itself where nothing is injected, else ``(K, B, …)`` or the member's ``(B, …)``.
        """


class NoisePoint(nn.Module):
    """Marks a noise point. By itself it passes its input on; a pack injects each run's noise here.

    Parameters
    ----------
    name
        Different for every point of a model: that of the layer it follows, or of what it stands in.
    after_batch_norm
        That the point follows a BatchNorm. Where it is called with the output of one, that is seen without saying.
    """

    point: Point
    """Known once the model is built (:func:`walking_noise.models.build`)."""

    def __init__(self, name: str, after_batch_norm: bool = False) -> None:
        super().__init__()
        self.name, self.after_batch_norm = name, after_batch_norm

    def forward(self, x: Tensor) -> Tensor:
        return x


def points_in(model: nn.Module) -> list[NoisePoint]:
    """The noise points that stand anywhere in a model, each once."""
    return [module for module in model.modules() if isinstance(module, NoisePoint)]


def with_noise_points(model: nn.Module) -> nn.Sequential:
    """The model as a sequence of layers, of which the first is the noise point of the input.

    A plain ``nn.Sequential`` without a noise point gets one after each of its layers but Flatten; any other model keeps
    those it has.

    Raises
    ------
    ValueError
        The model is no plain ``nn.Sequential`` and has no noise point.
    """
    placed = points_in(model)
    if type(model) is nn.Sequential:
        layers = named_layers(model)
    elif placed:
        layers = [(BODY, model)]
    else:
        raise ValueError(f"{type(model).__name__} is no nn.Sequential and has no NoisePoint")
    network = OrderedDict[str, nn.Module]({"input noise": NoisePoint("input")})
    for name, layer in layers:
        network[name] = layer
        if not placed and not isinstance(layer, nn.Flatten):
            network[f"{name} noise"] = NoisePoint(name)
    return nn.Sequential(network)


def named_layers(model: nn.Sequential) -> list[tuple[str, nn.Module]]:
    """The layers of a sequence by name; one that stands in it twice is there twice."""
    modules = model.named_modules(remove_duplicate=False)
    return [(name, layer) for name, layer in modules if name and "." not in name]


@contextmanager
def injecting(model: nn.Module, inject: Callable[[int, Tensor], Tensor]) -> Iterator[None]:
    """Let every noise point in a model give ``inject(number, x)`` for what arrives there."""

    def hook(module: NoisePoint, _: tuple[Tensor], x: Tensor) -> Tensor:
        return inject(module.point.number, x)

    hooks = [point.register_forward_hook(hook) for point in points_in(model)]
    try:
        yield
    finally:
        for one in hooks:
            one.remove()

"""Noise points of a model: the numbered positions at which noise can be injected.

A plain ``nn.Sequential`` has a noise point after every layer, the output layer included, except after Flatten, which
computes nothing (Walking Noise, section 3.1). Every other model contains noise points of its own. Noise points are
numbered in the order in which a forward pass reaches them. Number 0 is the input of the model.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from walking_noise.models.point import Point

BODY = "body"
"""Name of the single layer that contains a model that is not a plain ``nn.Sequential``."""


class Inject(Protocol):
    """Injection at the noise points of a pack of K runs."""

    def __call__(self, point: int, x: Tensor, /, member: int | None = None) -> Tensor:
        """The output of a noise point.

        Parameters
        ----------
        point
            Number of the noise point.
        x
            Input of the noise point: ``(K, B, …)`` for all members, or fewer rows if members share their samples (see
            :mod:`walking_noise.pack.layers`); ``(B, …)`` for one member.
        member
            Index of the member that ``x`` belongs to; None: all members.

        Returns
        -------
        Tensor
            ``(K, B, …)`` for all members, ``(B, …)`` for one member; ``x`` itself if nothing is injected.
        """


@runtime_checkable
class DrawingInject(Inject, Protocol):
    """Injection that can also draw the noise of a point beforehand, for layers that apply it themselves."""

    def draws(self, point: int) -> bool:
        """Whether :meth:`draw` can be used at a noise point; otherwise the injection has to be called."""

    def draw(self, point: int, member: int, shape: Sequence[int]) -> Any:
        """The noise of a member of a pack at a noise point, for its activations of ``shape`` ``(B, …)``.

        It is a :class:`walking_noise.cpu_kernels.noise_terms.NoiseTerms`; None without noise. Consecutive calls at one
        noise point draw once for members that share their draws.
        """


Normalisation = tuple[Tensor, Tensor, float]
"""Weight and bias of a BatchNorm in training, ``(K, C)``, and its epsilon."""


@runtime_checkable
class FusingInject(Inject, Protocol):
    """Injection that can also compute the layers on images between two noise points, on a GPU."""

    def image_layers(
        self, points: tuple[int | None, int | None], x: Tensor, norm: Normalisation | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None] | None:
        """[BatchNorm], noise, ReLU, noise and 2×2 max-pooling of images ``(K, B, C, height, width)`` in training.

        ``points`` are the noise points before the ReLU and after it; None where there is none. Return the output, and
        mean and variance of the channels ``(K, C)`` with BatchNorm; None if the layers have to be computed separately.
        """


class NoisePoint(nn.Module):
    """Marker of a noise point. The module returns its input unchanged; a pack injects the noise of each run here.

    Parameters
    ----------
    name
        Unique within the model.
    after_batch_norm
        Whether the noise point follows a BatchNorm. This is detected automatically if the noise point is called with
        the output of the BatchNorm.
    """

    point: Point
    """Set by :func:`walking_noise.models.build`."""

    def __init__(self, name: str, after_batch_norm: bool = False) -> None:
        super().__init__()
        self.name, self.after_batch_norm = name, after_batch_norm

    def forward(self, x: Tensor) -> Tensor:
        return x


def points_in(model: nn.Module) -> list[NoisePoint]:
    """All noise points in a model, at any depth, each once."""
    return [module for module in model.modules() if isinstance(module, NoisePoint)]


def with_noise_points(model: nn.Module) -> nn.Sequential:
    """The model as a sequence of layers that begins with the noise point of the input.

    A plain ``nn.Sequential`` without noise points gets one after each of its layers except Flatten. Every other model
    keeps the noise points it contains. Raise ValueError if the model is not a plain ``nn.Sequential`` and contains no
    noise point.
    """
    own_points = points_in(model)
    if type(model) is nn.Sequential:
        layers = named_layers(model)
    elif own_points:
        layers = [(BODY, model)]
    else:
        kind = type(model).__name__
        raise ValueError(f"{kind} is not an nn.Sequential and has no NoisePoint; add noise points to it")
    network = OrderedDict[str, nn.Module]({"input noise": NoisePoint("input")})
    for name, layer in layers:
        network[name] = layer
        if not own_points and not isinstance(layer, nn.Flatten):
            network[f"{name} noise"] = NoisePoint(name)
    return nn.Sequential(network)


def named_layers(model: nn.Sequential) -> list[tuple[str, nn.Module]]:
    """The layers of a sequence with their names; a layer that occurs twice is listed twice."""
    modules = model.named_modules(remove_duplicate=False)
    return [(name, layer) for name, layer in modules if name and "." not in name]


def path_in_model(name: str) -> str:
    """The dotted path in its model of a layer of :func:`with_noise_points`; empty for a part of several modules.

    A layer of a traced model has the name ``/NUMBER/PATH``, with slashes in the place of dots.
    """
    if name.startswith("/"):
        return name.partition("/")[2].partition("/")[2].replace("/", ".")
    return "" if name == BODY else name


@contextmanager
def injecting(model: nn.Module, inject: Callable[[int, Tensor], Tensor]) -> Iterator[None]:
    """Within the block, every noise point of the model returns ``inject(number, x)`` for its input ``x``."""

    def hook(module: NoisePoint, _: tuple[Tensor], x: Tensor) -> Tensor:
        return inject(module.point.number, x)

    hooks = [point.register_forward_hook(hook) for point in points_in(model)]
    try:
        yield
    finally:
        for handle in hooks:
            handle.remove()

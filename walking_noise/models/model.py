"""Model: a named builder of networks; building blocks of the models."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from torch import nn

Layers: TypeAlias = "OrderedDict[str, nn.Module]"


PRODUCTS = "products"
"""Value of ``model.points``: noise points at the outputs of the modules that multiply and accumulate."""


class Architecture(NamedTuple):
    """What determines the layers and noise points of a network."""

    name: str  # of the model
    inputs: tuple[int, ...]  # shape of one sample: channels, height, width
    classes: int
    batch_norm: bool
    points: str = PRODUCTS  # of a model that places none (:mod:`walking_noise.models.module_points`)
    hidden: tuple[int, ...] = ()  # widths of the hidden layers; empty: those of the model


@dataclass(frozen=True)
class Model:
    """A named model.

    Attributes
    ----------
    name
        The value of ``model.name`` that selects this model.
    build
        ``build(inputs, classes, batch_norm)`` returns a module that maps samples ``(B, *inputs)`` to logits
        ``(B, classes)``. It raises ValueError for inputs that the model does not accept. The module is either a plain
        ``nn.Sequential`` without noise points, which gets one after each of its layers, or any module. That calls noise
        points of its own (:class:`walking_noise.models.noise_points.NoisePoint`), or ``model.points`` selects them.
    hidden
        The widths of the hidden layers, if ``build(inputs, classes, batch_norm, hidden)`` takes others, too.
    """

    name: str
    build: Callable[..., nn.Module]
    hidden: tuple[int, ...] = ()


def add_block(layers: Layers, name: str, number: int, layer: nn.Module, norm: nn.Module | None) -> None:
    """Append a block: ``layer``, its BatchNorm ``norm`` if there is one, and a ReLU, as ``fc1``, ``bn1``, ``relu1``.

    BatchNorm and ReLU are numbered by block. Conv and linear layers are numbered by kind (``number``).
    """
    from torch import nn

    block = sum(isinstance(existing, nn.ReLU) for existing in layers.values()) + 1
    layers[f"{name}{number}"] = layer
    if norm is not None:
        layers[f"bn{block}"] = norm
    layers[f"relu{block}"] = nn.ReLU()

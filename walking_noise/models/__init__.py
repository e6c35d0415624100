"""Models by name, their noise points and their summaries; torch is imported when a model is built.

An architecture is given by the name of the model, the shape of one sample, the number of classes, whether the network
has BatchNorm layers, and the noise points of a model that places none (:mod:`walking_noise.models.module_points`).
"""

from __future__ import annotations

import threading
from functools import cache
from typing import TYPE_CHECKING

from walking_noise.errors import reason
from walking_noise.models import architectures
from walking_noise.models.model import Model
from walking_noise.models.point import Point
from walking_noise.registry import discover, is_own, load_own

if TYPE_CHECKING:
    from torch import nn

    from walking_noise.models.model_summary import ModelSummary
    from walking_noise.models.module_points import Call
    from walking_noise.models.traced_layers import TracedLayers

__all__ = ["Model", "build", "initialised", "models", "plain", "points", "summary"]

PRODUCTS = "products"
"""Value of ``model.points``: noise points at the outputs of the modules that multiply and accumulate."""

_initialising = threading.RLock()
"""Lock around torch's global generator, so that one thread at a time initialises a network."""


@cache
def models() -> dict[str, Model]:
    """All models of this package, by name."""
    return discover(architectures, "MODEL")


def plain(name: str, inputs: tuple[int, ...], classes: int, batch_norm: bool) -> nn.Module:
    """The network as its function builds it, without added noise points."""
    from torch import nn

    builds = load_own(name) if is_own(name) else models()[name].build
    try:
        network = builds(inputs, classes, batch_norm)
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(f"its function failed ({reason(error)})") from error
    if not isinstance(network, nn.Module):
        raise ValueError(f"it returns a {type(network).__name__}, not a torch.nn.Module")
    return network


def _with_noise_points(
    name: str, inputs: tuple[int, ...], classes: int, batch_norm: bool, selected: str, *, traced: bool
) -> nn.Sequential:
    """The network with its noise points, not numbered.

    If it is ``traced``, a network that is no sequence of layers is split into layers where that is possible.
    """
    from walking_noise.models.module_points import WithModulePoints
    from walking_noise.models.noise_points import points_in, with_noise_points

    network = plain(name, inputs, classes, batch_norm)
    places_points = bool(points_in(network))
    is_sequence = not (is_own(name) or places_points) and _is_sequence(network)
    if (places_points or is_sequence) and selected != PRODUCTS:
        raise ValueError(f"its noise points are fixed; leave model.points at {PRODUCTS}")
    if is_sequence:
        return with_noise_points(network)
    layers = _layers(name, inputs, classes, batch_norm, selected) if traced else None
    if layers is not None:
        return with_noise_points(layers.of(network))
    if places_points:
        return with_noise_points(network)
    return with_noise_points(WithModulePoints(network, _selected_calls(name, inputs, classes, batch_norm, selected)))


def _is_sequence(network: nn.Module) -> bool:
    from torch import nn

    return type(network) is nn.Sequential


@cache
def _layers(name: str, inputs: tuple[int, ...], classes: int, batch_norm: bool, selected: str) -> TracedLayers | None:
    """The layers of a network that is no sequence of layers; None if it has to be computed as a whole."""
    import torch

    from walking_noise.models.model_summary import SAMPLES
    from walking_noise.models.noise_points import points_in
    from walking_noise.models.trace_check import UntraceableError
    from walking_noise.models.traced_layers import TracedLayers

    with _initialising, torch.random.fork_rng(devices=[]), torch.device("cpu"):
        network = plain(name, inputs, classes, batch_norm)
        calls = () if points_in(network) else _selected_calls(name, inputs, classes, batch_norm, selected)
        try:
            return TracedLayers(network, calls, torch.zeros(SAMPLES, *inputs))
        except UntraceableError:
            return None


@cache
def _selected_calls(
    name: str, inputs: tuple[int, ...], classes: int, batch_norm: bool, selected: str
) -> tuple[Call, ...]:
    """The calls of modules that get noise points, of a model that places none."""
    import torch

    from walking_noise.models.model_summary import SAMPLES
    from walking_noise.models.module_points import record_calls, select_calls

    with _initialising, torch.random.fork_rng(devices=[]), torch.device("cpu"):
        network = plain(name, inputs, classes, batch_norm).train()
        return select_calls(record_calls(network, torch.zeros(SAMPLES, *inputs)), selected)


def build(
    name: str, inputs: tuple[int, ...], classes: int, batch_norm: bool, selected: str = PRODUCTS
) -> nn.Sequential:
    """The network with its noise points, initialised from torch's global random number generator.

    Parameters
    ----------
    name
        Name of the model.
    inputs
        Shape of one sample, (channels, height, width).
    classes
        Number of classes.
    batch_norm
        Whether the network has BatchNorm layers.
    selected
        The noise points of a model that places none and is no sequence of layers of this package.

    Raises
    ------
    ValueError
        The model does not accept inputs of that shape, or cannot be trained in a pack.
    """
    from walking_noise.models.noise_points import points_in

    network = _with_noise_points(name, inputs, classes, batch_norm, selected, traced=True)
    numbered = {point.name: point for point in points(name, inputs, classes, batch_norm, selected)}
    for module in points_in(network):
        module.point = numbered[module.name]
    return network


def initialised(
    name: str, inputs: tuple[int, ...], classes: int, batch_norm: bool, selected: str, seed: int
) -> nn.Sequential:
    """The network of :func:`build` with torch's default initialisation, as a function of ``seed``."""
    import torch

    from walking_noise.reproducibility import stream_key

    with _initialising, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(stream_key(seed, "initialisation"))
        return build(name, inputs, classes, batch_norm, selected)


@cache
def summary(
    name: str, inputs: tuple[int, ...], classes: int, batch_norm: bool, selected: str = PRODUCTS
) -> ModelSummary:
    """The summary of a model: its noise points and its size. torch's global generator is left as it was."""
    import torch

    from walking_noise.models.model_summary import summarise

    with _initialising, torch.random.fork_rng(devices=[]), torch.device("cpu"):
        return summarise(_with_noise_points(name, inputs, classes, batch_norm, selected, traced=False), inputs, classes)


def points(
    name: str, inputs: tuple[int, ...], classes: int, batch_norm: bool, selected: str = PRODUCTS
) -> tuple[Point, ...]:
    """The noise points of a model, in the order of their numbers."""
    return summary(name, inputs, classes, batch_norm, selected).points

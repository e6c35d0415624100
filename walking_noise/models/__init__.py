"""Models by name, their noise points and their summaries; torch is imported when a model is built."""

from __future__ import annotations

import threading
from functools import cache
from typing import TYPE_CHECKING

from walking_noise.errors import reason
from walking_noise.models import architectures
from walking_noise.models.model import PRODUCTS, Architecture, Model
from walking_noise.models.point import Point
from walking_noise.registry import discover, is_own, load_own

if TYPE_CHECKING:
    from torch import nn

    from walking_noise.models.model_summary import ModelSummary
    from walking_noise.models.module_points import Call
    from walking_noise.models.traced_layers import TracedLayers

__all__ = ["PRODUCTS", "Architecture", "Model", "build", "initialised", "models", "plain", "points", "summary"]

_initialising = threading.RLock()
"""Lock around torch's global generator, so that one thread at a time initialises a network."""


@cache
def models() -> dict[str, Model]:
    """All models of this package, by name."""
    return discover(architectures, "MODEL")


def plain(architecture: Architecture) -> nn.Module:
    """The network as its function builds it, without added noise points."""
    from torch import nn

    name, inputs, classes, batch_norm, _, hidden = architecture
    builds = load_own(name) if is_own(name) else models()[name].build
    try:
        network = builds(inputs, classes, batch_norm, hidden) if hidden else builds(inputs, classes, batch_norm)
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(f"its function failed ({reason(error)})") from error
    if not isinstance(network, nn.Module):
        raise ValueError(f"it returns a {type(network).__name__}, not a torch.nn.Module")
    return network


def _with_noise_points(architecture: Architecture, *, traced: bool) -> nn.Sequential:
    """The network with its noise points, not numbered.

    If it is ``traced``, a network that is no sequence of layers is split into layers where that is possible.
    """
    from walking_noise.models.module_points import WithModulePoints
    from walking_noise.models.noise_points import points_in, with_noise_points

    network = plain(architecture)
    places_points = bool(points_in(network))
    is_sequence = not (is_own(architecture.name) or places_points) and _is_sequence(network)
    if (places_points or is_sequence) and architecture.points != PRODUCTS:
        raise ValueError(f"its noise points are fixed; leave model.points at {PRODUCTS}")
    if is_sequence:
        return with_noise_points(network)
    layers = _layers(architecture) if traced else None
    if layers is not None:
        return with_noise_points(layers.of(network))
    if places_points:
        return with_noise_points(network)
    return with_noise_points(WithModulePoints(network, _selected_calls(architecture)))


def _is_sequence(network: nn.Module) -> bool:
    from torch import nn

    return type(network) is nn.Sequential


@cache
def _layers(architecture: Architecture) -> TracedLayers | None:
    """The layers of a network that is no sequence of layers; None if it has to be computed as a whole."""
    import torch

    from walking_noise.models.model_summary import SAMPLES
    from walking_noise.models.noise_points import points_in
    from walking_noise.models.trace_check import UntraceableError
    from walking_noise.models.traced_layers import TracedLayers

    with _initialising, torch.random.fork_rng(devices=[]), torch.device("cpu"):
        network = plain(architecture)
        calls = () if points_in(network) else _selected_calls(architecture)
        try:
            return TracedLayers(network, calls, torch.zeros(SAMPLES, *architecture.inputs))
        except UntraceableError:
            return None


@cache
def _selected_calls(architecture: Architecture) -> tuple[Call, ...]:
    """The calls of modules that get noise points, of a model that places none."""
    import torch

    from walking_noise.models.model_summary import SAMPLES
    from walking_noise.models.module_points import record_calls, select_calls

    with _initialising, torch.random.fork_rng(devices=[]), torch.device("cpu"):
        network = plain(architecture).train()
        return select_calls(record_calls(network, torch.zeros(SAMPLES, *architecture.inputs)), architecture.points)


def build(architecture: Architecture) -> nn.Sequential:
    """The network with its noise points, initialised from torch's global random number generator.

    Raises
    ------
    ValueError
        The model does not accept inputs of that shape, or cannot be trained in a pack.
    """
    from walking_noise.models.noise_points import points_in

    network = _with_noise_points(architecture, traced=True)
    numbered = {point.name: point for point in points(architecture)}
    for module in points_in(network):
        module.point = numbered[module.name]
    return network


def initialised(architecture: Architecture, seed: int) -> nn.Sequential:
    """The network of :func:`build` with torch's default initialisation, as a function of ``seed``."""
    import torch

    from walking_noise.reproducibility import stream_key

    with _initialising, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(stream_key(seed, "initialisation"))
        return build(architecture)


@cache
def summary(architecture: Architecture) -> ModelSummary:
    """The summary of a model: its noise points and its size. torch's global generator is left as it was."""
    import torch

    from walking_noise.models.model_summary import summarise

    with _initialising, torch.random.fork_rng(devices=[]), torch.device("cpu"):
        network = _with_noise_points(architecture, traced=False)
        return summarise(network, architecture.inputs, architecture.classes)


def points(architecture: Architecture) -> tuple[Point, ...]:
    """The noise points of a model, in the order of their numbers."""
    return summary(architecture).points

"""What a forward pass shows of a model without its weights: noise points, size, and what no pack can train."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from walking_noise.models.noise_points import NoisePoint, Point, points_in

SAMPLES = 2
"""In the forward pass; BatchNorm cannot train on one."""

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass(frozen=True)
class ModelSummary:
    """What is known of a model without its weights.

    Attributes
    ----------
    points
        Its noise points, in the order in which a forward pass reaches them.
    activations
        Numbers that the forward pass of one sample makes; those that leave a noise point count too.
    parameters
        Numbers that are trained.
    """

    points: tuple[Point, ...]
    activations: int
    parameters: int


def summarise(network: nn.Sequential, inputs: tuple[int, ...], classes: int) -> ModelSummary:
    """The outline of a network on the meta device, seen in a forward pass of training and in one of inference.

    Raises
    ------
    ValueError
        The network does not take samples of shape ``inputs``, or something in it does not fit a pack.
    """
    _check_tensors(network)
    _check_names(network)
    training, inference = (_watched(network.train(mode), inputs, classes) for mode in (True, False))
    _check_points(network, training)
    _check_points(network, inference)
    if training.points != inference.points:
        raise ValueError("a forward pass reaches its noise points in another order in training than at inference")
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return ModelSummary(tuple(training.points), training.numbers // SAMPLES, parameters)


class _Watch(TorchDispatchMode):
    """Sees every operation of a forward pass, and every module that :meth:`after` is a hook of."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.points: list[Point] = []
        self.numbers = 0
        self._normalised: Tensor | None = None

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if torch.Tag.nondeterministic_seeded in operation.tags:
            fault = f"its forward pass draws random numbers ({operation.overloadpacket}) that are not its run's own"
            raise ValueError(f"{fault}; leave out dropout and the like")
        result = operation(*args, **(kwargs or {}))
        if result is self._normalised:  # and now changed in place
            self._normalised = None
        if not operation.is_view:
            made = result if isinstance(result, tuple) else (result,)
            self.numbers += sum(one.numel() for one in made if isinstance(one, Tensor))
        return result

    def after(self, module: nn.Module, _: Any, y: Any) -> None:
        if isinstance(module, NoisePoint):
            if not isinstance(y, Tensor):
                raise ValueError(f"what arrives at its noise point {module.name!r} is a {type(y).__name__}, no tensor")
            after_batch_norm = module.after_batch_norm or y is self._normalised
            self.points.append(Point(len(self.points), module.name, after_batch_norm))
            self.numbers += y.numel()
        elif isinstance(module, BATCH_NORMS):
            self._normalised = y


def _watched(network: nn.Sequential, inputs: tuple[int, ...], classes: int) -> _Watch:
    watch = _Watch()
    hooks = [module.register_forward_hook(watch.after) for module in network.modules()]
    try:
        with torch.no_grad(), watch:
            logits = network(torch.zeros(SAMPLES, *inputs, device="meta"))
    except RuntimeError as error:
        reason, *_ = str(error).splitlines()
        raise ValueError(f"its forward pass fails for samples of {'×'.join(map(str, inputs))}: {reason}") from error
    finally:
        for hook in hooks:
            hook.remove()
    if not isinstance(logits, Tensor) or logits.shape != (SAMPLES, classes):
        raise ValueError(f"its forward pass does not give {classes} logits for each sample")
    return watch


def _check_tensors(network: nn.Sequential) -> None:
    """Refuse tensors that a pack would not stack, or would stack more than once."""
    for module in network.modules():
        for name, value in vars(module).items():
            if isinstance(value, Tensor):
                tensor = f"{type(module).__name__}.{name}"
                raise ValueError(f"{tensor} is a tensor that no run has as its own; make it a buffer")
    tensors = [{*part.parameters(), *part.buffers()} for part in network]
    if sum(map(len, tensors)) > len(set().union(*tensors)):
        raise ValueError("some of its layers share weights; put them into one module that calls them")


def _check_names(network: nn.Sequential) -> None:
    for name, count in Counter(point.name for point in points_in(network)).items():
        if count > 1:
            raise ValueError(f"{count} of its noise points are named {name!r}")


def _check_points(network: nn.Sequential, watch: _Watch) -> None:
    reached = Counter(point.name for point in watch.points)
    for name in (point.name for point in points_in(network)):
        if reached[name] != 1:
            raise ValueError(f"a forward pass reaches its noise point {name!r} {reached[name]} times, not once")

"""Access to a trained network: its activations at every noise point, and its accuracy with changed values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from walking_noise.config.run_config import RunConfig
from walking_noise.data import DataSet
from walking_noise.errors import WalkingNoiseError
from walking_noise.evaluation.evaluator import evaluate
from walking_noise.evaluation.shared_prefix import WrapInjection, unchanged
from walking_noise.models.noise_points import Inject
from walking_noise.pack.pack import Pack
from walking_noise.pack.stacking import load_states
from walking_noise.probes.clusters import Array
from walking_noise.training.member import TrainedNetwork

Change = Callable[[Tensor], Tensor]
"""Function from values to changed values of the same shape."""


class ProbedNetwork:
    """The trained network of a run with its validation set.

    Raise :class:`WalkingNoiseError` if the tensors of the network do not fit the model of the run.
    """

    def __init__(self, config: RunConfig, trained: TrainedNetwork, data: DataSet, device: torch.device) -> None:
        self.config, self._data = config, data.to(device)
        self._pack = Pack([config.initial_network()]).to(device)
        shapes = {name: tensor.shape for name, tensor in trained.state.items()}
        if shapes != {name: tensor.shape[1:] for name, tensor in self._pack.stacked_state().items()}:
            raise WalkingNoiseError("the network does not fit the run's model; train it again with this version")
        load_states(self._pack.stacked_state(), [trained.state])

    def accuracy(self, *, noise: bool, wrap_injection: WrapInjection = unchanged) -> float:
        """Accuracy on the validation set, in [0, 1], with the run's noise at inference or without noise."""
        config = self.config if noise else self.config.without_noise()
        (score,) = evaluate(
            self._pack, [0], [config], self._data, config.training.epochs, wrap_injection=wrap_injection
        )
        return score.accuracy

    def weights(self) -> dict[str, Array]:
        """The weights ``(n,)`` of every conv and linear layer, by name of the layer."""
        return {name: weight.detach().flatten().cpu().numpy() for name, weight in self._pack.weights().items()}

    @contextmanager
    def changed_weights(self, layer: str, change: Change) -> Iterator[None]:
        """Change the weights of one layer within the block, and restore them at its end."""
        weight = self._pack.weights()[layer].data
        original = weight.clone()
        weight.copy_(change(original))
        try:
            yield
        finally:
            weight.copy_(original)


class Recorder:
    """Recorder of the activations of the first ``samples`` samples, before and after the injection at noise points."""

    def __init__(self, samples: int) -> None:
        self.samples = samples
        self._arriving: dict[int, list[Tensor]] = {}
        self._leaving: dict[int, list[Tensor]] = {}

    def wrap_injection(self, inject: Inject) -> Inject:
        """The same injection, whose inputs and outputs are recorded."""

        def recording(point: int, x: Tensor, member: int | None = None) -> Tensor:
            y = inject(point, x, member)
            self._record(self._arriving, point, x if member is None else x.unsqueeze(0))
            if y is not x:
                self._record(self._leaving, point, y if member is None else y.unsqueeze(0))
            return y

        return recording

    def arriving(self, point: int) -> Array:
        """The recorded inputs ``(n,)`` of a noise point."""
        return torch.cat(self._arriving[point]).flatten().numpy()

    def leaving(self, point: int) -> Array:
        """The recorded outputs ``(n,)`` of a noise point with noise."""
        return torch.cat(self._leaving[point]).flatten().numpy()

    def _record(self, recorded: dict[int, list[Tensor]], point: int, x: Tensor) -> None:
        """Append the activations ``(rows, B, …)`` of the first row until ``samples`` samples are recorded."""
        blocks = recorded.setdefault(point, [])
        missing = self.samples - sum(len(block) for block in blocks)
        if missing > 0:
            blocks.append(x[0, :missing].flatten(1).cpu())


def arriving_at(point: int, change: Change, inject: Inject) -> Inject:
    """The injection that changes the input of a noise point, before noise is injected."""

    def changed(number: int, x: Tensor, member: int | None = None) -> Tensor:
        return inject(number, change(x) if number == point else x, member)

    return changed


def leaving_from(point: int, change: Change, inject: Inject) -> Inject:
    """The injection that changes the output of a noise point, after noise was injected."""

    def changed(number: int, x: Tensor, member: int | None = None) -> Tensor:
        y = inject(number, x, member)
        return change(y) if number == point else y

    return changed

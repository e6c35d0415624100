"""What a look inside a network finds: how its values are distributed, and whether it works with them quantised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from walking_noise.config.run_config import RunConfig
from walking_noise.data import DataSet
from walking_noise.errors import WalkingNoiseError
from walking_noise.evaluation.evaluator import unchanged
from walking_noise.evaluation.shared_prefix import WrapInjection
from walking_noise.models.noise_points import Point
from walking_noise.probes.activations import OpenNetwork, Recorder, arriving_at, leaving_from
from walking_noise.probes.clusters import Array, Clusters, find_clusters
from walking_noise.probes.distribution import Distribution, distribution
from walking_noise.reproducibility import deterministic
from walking_noise.training.member import TrainedNetwork


@dataclass(frozen=True)
class Values:
    """The values at one place of a network.

    Attributes
    ----------
    noise_on, noise_off
        Accuracy of the network with the values of this place alone quantised (:meth:`Clusters.quantise`): with the
        run's noise at inference, and without noise; None where it was not measured.
    """

    distribution: Distribution
    clusters: Clusters
    noise_on: float | None
    noise_off: float | None


@dataclass(frozen=True)
class PointFindings:
    """A noise point: its levels, the values that arrive there and, where noise is injected, those that leave it."""

    name: str
    std_mul: float
    std_add: float
    arriving: Values
    leaving: Values | None


@dataclass(frozen=True)
class WeightFindings:
    """The weights of a conv or linear layer."""

    layer: str
    weights: Values


@dataclass(frozen=True)
class Findings:
    """A network: its accuracy as it is, with noise (None if the run has none) and without, and what it looks like."""

    noise_on: float | None
    noise_off: float
    points: list[PointFindings]
    layers: list[WeightFindings]


def probe(
    config: RunConfig,
    trained: TrainedNetwork,
    data: DataSet,
    device: torch.device,
    samples: int,
    done: Callable[[str], None] = lambda place: None,
) -> Findings:
    """Look inside a run's trained network.

    Distributions are those of the first ``samples`` of the validation set, accuracies those of all of it. ``done`` is
    called with the name of every place that was looked at.

    Raises
    ------
    WalkingNoiseError
        The network does not fit the run, or its values at some noise point are not finite.
    """
    with deterministic():
        return _Probe(OpenNetwork(config, trained, data, device), samples, done).findings()


class _Probe:
    def __init__(self, network: OpenNetwork, samples: int, done: Callable[[str], None]) -> None:
        self.network, self.samples, self.done = network, samples, done
        self.noisy = network.config.noisy

    def findings(self) -> Findings:
        recorder = Recorder(self.samples)
        accuracy = self.network.accuracy(noise=self.noisy, wrap_injection=recorder.wrap_injection)
        return Findings(
            noise_on=accuracy if self.noisy else None,
            noise_off=self.network.accuracy(noise=False) if self.noisy else accuracy,
            points=[self._point(point, recorder) for point in self.network.config.points],
            layers=[self._layer(layer, weights) for layer, weights in self.network.weights().items()],
        )

    def _point(self, point: Point, recorder: Recorder) -> PointFindings:
        number = point.number
        level = self.network.config.levels[number]
        before, split = _found(recorder.arriving(number), point.name)
        arriving = Values(before, split, *self._accuracies(arriving_at(number, split.quantise)))
        leaving = None
        if max(level) > 0:
            after, split = _found(recorder.leaving(number), point.name)
            noise_on, _ = self._accuracies(leaving_from(number, split.quantise), noise_off=False)
            leaving = Values(after, split, noise_on, None)
        self.done(point.name)
        return PointFindings(point.name, level.mul, level.add, arriving, leaving)

    def _layer(self, layer: str, weights: Array) -> WeightFindings:
        found, split = _found(weights, f"the weights of {layer}")
        with self.network.changed_weights(layer, split.quantise):
            values = Values(found, split, *self._accuracies())
        self.done(f"weights of {layer}")
        return WeightFindings(layer, values)

    def _accuracies(
        self, wrap_injection: WrapInjection = unchanged, *, noise_off: bool = True
    ) -> tuple[float | None, float | None]:
        """The accuracy with noise, if the run has any, and without, where asked for."""
        measure = self.network.accuracy
        on = measure(noise=True, wrap_injection=wrap_injection) if self.noisy else None
        return on, measure(noise=False, wrap_injection=wrap_injection) if noise_off else None


def _found(values: Array, place: str) -> tuple[Distribution, Clusters]:
    finite = values[np.isfinite(values)]
    if not len(finite):
        raise WalkingNoiseError(f"nothing can be seen inside this network: no value at {place} is finite")
    return distribution(values), find_clusters(finite)

"""Probe of a trained network: distributions of its values, and its accuracy with quantised values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from walking_noise.config.run_config import RunConfig
from walking_noise.data import DataSet
from walking_noise.errors import WalkingNoiseError
from walking_noise.evaluation.shared_prefix import WrapInjection, unchanged
from walking_noise.models.point import Point
from walking_noise.probes.activations import ProbedNetwork, Recorder, arriving_at, leaving_from
from walking_noise.probes.clusters import Array, Clusters, find_clusters
from walking_noise.probes.distribution import Distribution, distribution
from walking_noise.reproducibility import deterministic
from walking_noise.training.member import TrainedNetwork


@dataclass(frozen=True)
class Values:
    """The values at one noise point or of one layer.

    ``noise_on`` and ``noise_off`` are the accuracy of the network with only these values quantised
    (:meth:`Clusters.quantise`), with the run's noise at inference and without noise; None if it was not measured.
    """

    distribution: Distribution
    clusters: Clusters
    noise_on: float | None
    noise_off: float | None


@dataclass(frozen=True)
class PointFindings:
    """Findings at a noise point: its levels, its input and, if noise is injected, its output (None otherwise)."""

    name: str
    std_mul: float
    std_add: float
    arriving: Values
    leaving: Values | None


@dataclass(frozen=True)
class WeightFindings:
    """Findings on the weights of a conv or linear layer."""

    layer: str
    weights: Values


@dataclass(frozen=True)
class Findings:
    """Findings on a network: accuracy without noise and, if the run has noise, with it; noise points and layers."""

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
    done: Callable[[str], None] = lambda name: None,
) -> Findings:
    """Probe the trained network of a run.

    Parameters
    ----------
    samples
        Number of samples, from the start of the validation set, for the distributions. Accuracies are measured on the
        whole validation set.
    done
        Callback, called with the name of every noise point and layer when its findings are complete.

    Raises
    ------
    WalkingNoiseError
        The network does not fit the run, or all its values at a noise point are not finite.
    """
    with deterministic():
        return _Probe(ProbedNetwork(config, trained, data, device), samples, done).findings()


class _Probe:
    """The computation of the findings on one network."""

    def __init__(self, network: ProbedNetwork, samples: int, done: Callable[[str], None]) -> None:
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
        level = self.network.config.drawn_levels[number]
        before, clusters = _analyse(recorder.arriving(number), point.name)
        arriving = Values(before, clusters, *self._accuracies(partial(arriving_at, number, clusters.quantise)))
        leaving = None
        if max(level) > 0:
            after, clusters = _analyse(recorder.leaving(number), point.name)
            noise_on, _ = self._accuracies(partial(leaving_from, number, clusters.quantise), noise_off=False)
            leaving = Values(after, clusters, noise_on, None)
        self.done(point.name)
        return PointFindings(point.name, level.mul, level.add, arriving, leaving)

    def _layer(self, layer: str, weights: Array) -> WeightFindings:
        weight_distribution, clusters = _analyse(weights, f"the weights of {layer}")
        with self.network.changed_weights(layer, clusters.quantise):
            values = Values(weight_distribution, clusters, *self._accuracies())
        self.done(f"weights of {layer}")
        return WeightFindings(layer, values)

    def _accuracies(
        self, wrap_injection: WrapInjection = unchanged, *, noise_off: bool = True
    ) -> tuple[float | None, float | None]:
        """The accuracy with noise (None if the run has none), and without noise (None unless ``noise_off``)."""
        measure = self.network.accuracy
        with_noise = measure(noise=True, wrap_injection=wrap_injection) if self.noisy else None
        return with_noise, measure(noise=False, wrap_injection=wrap_injection) if noise_off else None


def _analyse(values: Array, name: str) -> tuple[Distribution, Clusters]:
    """The distribution and the clusters of values ``(n,)``; raise an error that contains ``name`` if none is finite."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        raise WalkingNoiseError(f"cannot probe the network: no value at {name} is finite")
    return distribution(values), find_clusters(finite)

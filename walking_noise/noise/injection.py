"""The injection: each run's own noise, at its own points and levels, into the activations of a pack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from walking_noise.models.noise_points import Inject
from walking_noise.noise.kind import gaussian
from walking_noise.noise.member_noise import MemberNoise, noise_by_point
from walking_noise.noise.rng.counter_based import CounterBasedNoise
from walking_noise.noise.rng.cpu_generators import GeneratorNoise
from walking_noise.noise.sampler import NoiseSampler, StepIndex, Terms
from walking_noise.pack.stacking import expand_rows

if TYPE_CHECKING:
    from walking_noise.config.run_config import RunConfig
    from walking_noise.noise.audit import Audit


class Injection:
    """The noise of the members of a pack, in training or at inference.

    Draws are functions of the run's seed, the stream, the place in the run (step, or epoch and block of samples) and
    the noise point. A draw is an independent number for each element of each sample. They are those of torch's
    generators on a CPU, and of a counter-based generator, in one launch for all members, on a GPU.

    Parameters
    ----------
    configs
        The runs, in the order of the pack.
    stream
        ``"training"`` (keyed by ``seed``; only runs trained with noise are noisy) or ``"inference"`` (keyed by
        ``noise.seed``).

    Attributes
    ----------
    capturable
        Whether a CUDA graph of what :meth:`at_step` gave can be captured, to be replayed at other places.
    """

    def __init__(self, configs: Sequence[RunConfig], stream: str, device: torch.device) -> None:
        self.members = len(configs)
        self.at_point = noise_by_point(configs, stream)
        self._noisy = [frozenset(noise.member for noise in noises) for noises in self.at_point]
        self.samplers = samplers(self.at_point, f"{stream} noise", self.members, device)
        self.capturable = all(sampler.capturable for sampler in self.samplers)

    def at(self, *step: int, audit: Audit | None = None) -> Inject:
        """The injection at one place of the runs: a training step, or an epoch and a block of samples."""
        return self._inject(step, audit)

    def at_step(self, step: Tensor, audit: Audit | None = None) -> Inject:
        """The injection at the place that an int64 tensor ``(1,)`` or ``(2,)`` on the device holds when noise is drawn.

        It must not change between a forward pass and its backward pass.
        """
        return self._inject(step, audit)

    def terms(self, noise: MemberNoise, point: int, step: tuple[int, ...], shape: torch.Size) -> Terms:
        """``s_mul·e1`` and ``s_add·e2`` of one member for activations ``(B, …)``; None for a term at level 0."""
        (sampler,) = (sampler for sampler in self.samplers if noise in sampler.at_point[point])
        return sampler.terms(noise, point, step, shape)

    def _inject(self, step: StepIndex, audit: Audit | None) -> Inject:
        each = [sampler.at(step) for sampler in self.samplers]

        def inject(point: int, x: Tensor, member: int | None = None) -> Tensor:
            if audit is not None:
                audit.signal(point, x if member is None else x.unsqueeze(0), member)
            noisy = self._noisy[point]
            if not noisy or (member is not None and member not in noisy):
                return x
            y = expand_rows(self.members, x) if member is None else x.unsqueeze(0)
            for inject_into in each:
                y = inject_into(point, y, member or 0, audit)
            return y if member is None else y[0]

        return inject


def samplers(
    at_point: Sequence[Sequence[MemberNoise]], stream: str, members: int, device: torch.device
) -> list[NoiseSampler]:
    """Who draws what: Gaussian noise is counter-based on a GPU, all else comes from torch's generators."""

    def chosen(counted: bool) -> list[list[MemberNoise]]:
        on_gpu = device.type == "cuda"
        return [[noise for noise in noises if (on_gpu and noise.draw is gaussian) == counted] for noises in at_point]

    found: list[NoiseSampler] = []
    if any(chosen(True)):
        found.append(CounterBasedNoise(chosen(True), stream, members, device))
    if any(chosen(False)):
        found.append(GeneratorNoise(chosen(False), stream, device))
    return found

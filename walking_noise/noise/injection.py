"""Injection of noise into the activations of a pack: each run has its own noise points and levels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from walking_noise.cpu_kernels.noise_terms import NoiseTerms
from walking_noise.models.noise_points import Normalisation
from walking_noise.noise.derived_samplers import MeanOfExecutions, NoiseInUnits, NoiseOfChips
from walking_noise.noise.kind import gaussian
from walking_noise.noise.member_noise import MemberNoise, StepIndex
from walking_noise.noise.rng.counter_based import CounterBasedNoise
from walking_noise.noise.rng.cpu_generators import GeneratorNoise, KeptDraws
from walking_noise.noise.transform_sampler import TransformSampler
from walking_noise.pack.stacking import expand_rows

if TYPE_CHECKING:
    from walking_noise.config.run_config import RunConfig
    from walking_noise.noise.audit import Audit

NoiseSampler = CounterBasedNoise | GeneratorNoise | TransformSampler | NoiseInUnits | NoiseOfChips | MeanOfExecutions
"""Sampler of the noise of some members of a pack; the activations of the other members pass unchanged."""


class Injection:
    """Injection of the noise of all members of a pack, in training or at inference.

    A draw is a function of the seed of the run, the stream, the step of the run (training step, or epoch and block of
    samples) and the noise point. Each element of each sample gets an independent draw. A CPU draws from torch's
    generators. A GPU draws Gaussian noise from a counter-based generator, in one launch for all members.

    Parameters
    ----------
    configs
        The runs, in the order of the pack.
    stream
        ``"training"``: keyed by ``seed``; only runs trained with noise have noise. ``"inference"``: keyed by
        ``noise.seed``.
    kept
        Keeps draws for other injections with the same seeds and noise points; used by torch's generators.

    Attributes
    ----------
    capturable
        Whether a CUDA graph that contains the injection at a step on the device can be replayed at other steps.
    """

    def __init__(
        self, configs: Sequence[RunConfig], stream: str, device: torch.device, kept: KeptDraws | None = None
    ) -> None:
        self.members = len(configs)
        self.at_point = noise_by_point(configs, stream)
        self._noisy = [frozenset(noise.member for noise in noises) for noises in self.at_point]
        self.samplers = samplers(self.at_point, f"{stream} noise", self.members, device, kept)
        self.capturable = all(sampler.capturable for sampler in self.samplers)

    def at(self, step: StepIndex, audit: Audit | None = None) -> StepInjection:
        """The injection at one step of the runs: a training step, or an epoch and a block of samples.

        If ``step`` is a tensor, its content must not change between a forward pass and the backward pass of it.
        """
        return StepInjection(self, step, audit)

    def noisy(self, point: int) -> frozenset[int]:
        """The members with noise at a noise point."""
        return self._noisy[point]


class StepInjection:
    """Injection at one step; a :class:`DrawingInject` and a :class:`FusingInject` of the noise points."""

    def __init__(self, injection: Injection, step: StepIndex, audit: Audit | None) -> None:
        self._injection, self._step, self._audit = injection, step, audit
        self._samplers = [sampler.at(step) for sampler in injection.samplers]
        self._last: dict[int, tuple[Any, Tensor | None, Tensor | None]] = {}  # what was drawn last, by noise point

    def __call__(self, point: int, x: Tensor, member: int | None = None) -> Tensor:
        if self._audit is not None:
            self._audit.record_signal(point, x if member is None else x.unsqueeze(0), member)
        noisy = self._injection.noisy(point)
        if not noisy or (member is not None and member not in noisy):
            return x
        y = expand_rows(self._injection.members, x) if member is None else x.unsqueeze(0)
        for inject_members in self._samplers:
            y = inject_members(point, y, member or 0, self._audit)
        return y if member is None else y[0]

    def image_layers(
        self, points: tuple[int | None, int | None], x: Tensor, norm: Normalisation | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None] | None:
        samplers = self._injection.samplers
        if self._audit is not None or not all(isinstance(sampler, CounterBasedNoise) for sampler in samplers):
            return None
        from walking_noise.noise.rng import triton_image_layers

        if not samplers:
            return triton_image_layers.image_layers(x, (None, None), None, norm)
        (sampler,) = samplers
        assert isinstance(sampler, CounterBasedNoise)
        before, after = (None if point is None else sampler.drawn_at(point) for point in points)
        return triton_image_layers.image_layers(x, (before, after), sampler.on_device(self._step), norm)

    def draws(self, point: int) -> bool:
        if self._audit is not None:
            return False
        return all(isinstance(sampler, GeneratorNoise) for sampler in self._injection.samplers)

    def draw(self, point: int, member: int, shape: Sequence[int]) -> NoiseTerms | None:
        for sampler in self._injection.samplers:
            assert isinstance(sampler, GeneratorNoise)
            if found := sampler.shared_by(point, member):
                shared, noise = found
                step = self._step if isinstance(self._step, tuple) else tuple(self._step.tolist())
                drawn_for = (id(shared), step, tuple(shape))
                last = self._last.get(point)
                if last is None or last[0] != drawn_for:
                    last = self._last[point] = (drawn_for, *sampler.draw(shared, point, step, shape))
                return shared.terms(noise, *last[1:])
        return None


def samplers(
    at_point: Sequence[Sequence[MemberNoise]],
    stream: str,
    members: int,
    device: torch.device,
    kept: KeptDraws | None = None,
    of: str = "",
) -> list[NoiseSampler]:
    """The samplers of a pack: counter-based for Gaussian noise on a GPU, torch's generators for all other draws.

    ``of`` distinguishes draws at one noise point for several tensors.
    """
    needed: list[NoiseSampler] = []

    def those(chosen: Callable[[MemberNoise], object]) -> list[list[MemberNoise]]:
        return [[noise for noise in noises if chosen(noise)] for noises in at_point]

    plain = those(_is_plain)
    on_gpu = device.type == "cuda"
    counter_based = [[noise for noise in noises if on_gpu and _is_counter_based(noise)] for noises in plain]
    others = [[noise for noise in noises if not (on_gpu and _is_counter_based(noise))] for noises in plain]
    if any(counter_based):
        needed.append(CounterBasedNoise(counter_based, stream + of, members, device))
    if any(others):
        needed.append(GeneratorNoise(others, stream + of, device, kept))
    if any(transforms := those(lambda noise: noise.transform)):
        needed.append(TransformSampler(transforms))
    for number in sorted({noise.executions for noises in at_point for noise in noises} - {1}):
        repeated = [[noise for noise in noises if noise.executions == number] for noises in at_point]
        once = [[replace(noise, executions=1) for noise in noises] for noises in repeated]
        each = [f"{of}, execution {execution}" if execution else of for execution in range(number)]
        needed.append(MeanOfExecutions([samplers(once, stream, members, device, None, one) for one in each]))
    if any(in_units := those(lambda noise: noise.unit != "absolute" and noise.executions == 1)):
        absolute = [[replace(noise, unit="absolute") for noise in noises] for noises in in_units]
        needed.append(NoiseInUnits(in_units, samplers(absolute, stream, members, device, kept, of)))
    if any(of_chips := those(lambda noise: noise.for_chip and noise.unit == "absolute")):
        drawn = [[replace(noise, for_chip=False) for noise in noises] for noises in of_chips]
        needed += map(NoiseOfChips, samplers(drawn, "chip noise", members, device, kept, of))
    return needed


def _is_plain(noise: MemberNoise) -> bool:
    return not (noise.transform or noise.for_chip or noise.unit != "absolute" or noise.executions > 1)


def _is_counter_based(noise: MemberNoise) -> bool:
    return noise.draw is gaussian and not noise.for_batch


def noise_by_point(configs: Sequence[RunConfig], stream: str, target: str = "activations") -> list[list[MemberNoise]]:
    """The noise at every noise point, in the order of the members; members at level 0 are left out.

    The noise of other targets is left out, too. For ``stream`` see :class:`Injection`.
    """
    at_point: list[list[MemberNoise]] = [[] for _ in configs[0].points]
    for member, config in enumerate(configs):
        in_training = stream == "training"
        if config.noise.target != target or (in_training and not config.noisy_training):
            continue
        kind, noise = config.noise_kind, config.noise
        redraw = config.training_redraw if in_training else config.redraw
        for point, level in enumerate(config.training_levels if in_training else config.drawn_levels):
            if max(level) > 0:
                at_point[point].append(
                    MemberNoise(
                        member,
                        config.training_noise_seed if in_training else config.noise_seed,
                        level.mul,
                        level.add,
                        noise.order == "add_first",
                        noise.gradient == "exact" and target == "activations",
                        kind.draw,
                        kind.transform and kind.transform.at(level.transform, config.noise_options),
                        redraw != "sample" and target == "activations",
                        redraw == "chip",
                        noise.unit,
                        noise.per_channel,
                        1 if in_training else config.separate_executions(point),
                    )
                )
    return at_point

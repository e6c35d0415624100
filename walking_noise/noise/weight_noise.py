"""Noise on the weights of a pack: the forward pass with noisy weights, whose gradient passes to the clean weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.func import functional_call

from walking_noise.noise.injection import noise_by_point, samplers
from walking_noise.noise.member_noise import StepIndex
from walking_noise.noise.rng.cpu_generators import KeptDraws
from walking_noise.pack.pack import Pack

if TYPE_CHECKING:
    from walking_noise.config.run_config import RunConfig
    from walking_noise.noise.audit import Audit


class WeightNoise:
    """Noise on the weights of those members of a pack whose ``noise.target`` is ``weights``.

    The weights of a member are to the samplers what one sample of activations is to them at a noise point. The noise
    of a layer is numbered, audited and keyed by the noise point behind it. The noisy weights of chips are kept, except
    in training, where the clean weights change.

    Parameters
    ----------
    configs
        The runs, in the order of the pack.
    stream
        As for :class:`walking_noise.noise.injection.Injection`.
    pack
        A pack of these runs' model, of any number of members.

    Attributes
    ----------
    capturable
        Whether a CUDA graph that contains the noise at a step on the device can be replayed at other steps.
    """

    def __init__(self, configs: Sequence[RunConfig], stream: str, pack: Pack, kept: KeptDraws | None = None) -> None:
        at_point = noise_by_point(configs, stream, "weights")
        device = next(pack.parameters()).device
        layers = {
            point.number: pack.weight_names(str(point.layer)) for point in configs[0].points if at_point[point.number]
        }
        several = range(max(map(len, layers.values()), default=0))
        drawing = [
            samplers(at_point, f"{stream} noise", len(configs), device, kept, of=f", weight {number}" if number else "")
            for number in several
        ]
        self._noises = [
            (name, point, drawing[number]) for point, names in layers.items() for number, name in enumerate(names)
        ]
        self._constant = {
            point for point in layers if stream != "training" and all(one.for_chip for one in at_point[point])
        }
        self._chips: dict[str, Tensor] = {}
        self.capturable = all(sampler.capturable for some in drawing for sampler in some)

    def forward(self, pack: Pack, step: StepIndex, audit: Audit | None, *arguments: Any) -> Tensor:
        """The output of the pack for the arguments of :meth:`Pack.forward`, with the noise at one step of the runs."""
        weights: dict[str, Tensor] = {}
        for name, point, drawing in self._noises:
            if (noisy := self._chips.get(name)) is None:
                noisy = pack.get_parameter(name).unsqueeze(1)
                for sampler in drawing:
                    noisy = sampler.at(step)(point, noisy, 0, audit)
                if point in self._constant:
                    self._chips[name] = noisy
            weights[name] = noisy.squeeze(1)
        y: Tensor = functional_call(pack, weights, arguments) if weights else pack(*arguments)
        return y

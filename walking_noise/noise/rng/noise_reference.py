"""Reference of the counter-based noise in plain torch, for every device; the Triton kernels are tested against it."""

from __future__ import annotations

import torch
from torch import Tensor

from walking_noise.noise.rng.box_muller import box_muller
from walking_noise.noise.rng.philox import WORD, philox, words
from walking_noise.noise.rng.point_noise import PointNoise


def inject_noise(x: Tensor, noise: PointNoise, step: Tensor, sums: Tensor | None = None) -> Tensor:
    """``x·(1 + s_mul·e1) + s_add·e2``, or added first, with the noise of each member.

    Every operation is rounded separately. Noise is drawn and multiplied by its level in float32, for every type of x. A
    term at level 0 changes no bit of x.

    Parameters
    ----------
    x
        Activations ``(k, B, …)`` of the members.
    noise
        The noise of these members at one noise point.
    step
        Step index, ``(1,)`` or ``(2,)``, int64 on the device, each number below 2³².
    sums
        ``(3, k)``, float64: the sums of :meth:`walking_noise.noise.audit.Audit.record_sums` are added to it; None: no
        sums are computed.

    Returns
    -------
    Tensor
        In the memory layout and type of x.
    """
    deviation, added = terms(noise, x.shape, step)
    if sums is not None:
        sums[0] += ((noise.mul > 0) | (noise.add > 0)) * x[0].numel()
        sums[1:] += torch.stack([term.double().square().flatten(1).sum(1) for term in (deviation, added)])
    mul, add, add_first = (
        vector.view(-1, *(1,) * (x.dim() - 1)) > 0 for vector in (noise.mul, noise.add, noise.add_first)
    )
    y = torch.where(add & add_first, x + added, x)
    y = torch.where(mul, y * (1.0 + deviation), y)
    y = torch.where(add & ~add_first, y + added, y)
    return torch.empty_like(x).copy_(y)


def terms(noise: PointNoise, shape: torch.Size, step: Tensor) -> tuple[Tensor, Tensor]:
    """``s_mul·e1`` and ``s_add·e2`` of every member, float32 ``(k, B, …)``; 0 for a term at level 0."""
    deviation, added = (
        level.unsqueeze(1) * gaussian(noise.keys, shape[1:].numel(), 2 * noise.point + term, step)
        for term, level in enumerate((noise.mul, noise.add))
    )
    return deviation.view(shape), added.view(shape)


def gaussian(keys: Tensor, count: int, term: int, step: Tensor) -> Tensor:
    """``count`` standard normal numbers for each of k keys, float32 ``(k, count)``; ``term``: word 1 of the counter."""
    group = torch.arange(-(-count // 4), device=keys.device)
    first, *second = (step & WORD).unbind()
    counter = group, torch.full_like(group, term), first, second[0] if second else torch.zeros_like(first)
    r0, r1, r2, r3 = philox(counter, words(keys.unsqueeze(1)))
    draws = torch.stack([*box_muller(r0, r1), *box_muller(r2, r3)], -1)
    return draws.flatten(1)[:, :count]

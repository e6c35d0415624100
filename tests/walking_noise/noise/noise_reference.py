"""Reference of the counter-based noise in plain torch, for every device; the Triton kernels are tested against it."""

from __future__ import annotations

import torch
from torch import Tensor

from walking_noise.noise.rng.constants import (
    COS,
    LN2_HIGH,
    LN2_LOW,
    LOG,
    MULTIPLIERS,
    ROUNDS,
    SIN,
    TURN,
    TWO_THIRDS,
    UNIT,
    WEYL,
)  # fmt: skip
from walking_noise.noise.rng.point_noise import PointNoise

WORD = 0xFFFFFFFF

Words = tuple[Tensor, Tensor, Tensor, Tensor]


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


def philox(counter: Words, key: tuple[Tensor, Tensor]) -> Words:
    """Four random 32-bit words for each counter of four words and key of two words; int64 tensors that broadcast."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        high0, low0 = _product(c0, MULTIPLIERS[0])
        high1, low1 = _product(c2, MULTIPLIERS[1])
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + WEYL[0]) & WORD, (k1 + WEYL[1]) & WORD
    return c0, c1, c2, c3


def words(number: Tensor) -> tuple[Tensor, Tensor]:
    """The lower and the upper 32 bits of 64-bit numbers."""
    return number & WORD, (number >> 32) & WORD


def _product(word: Tensor, multiplier: int) -> tuple[Tensor, Tensor]:
    """The upper and the lower half of a product of 32-bit words; an overflow of int64 does not change its 64 bits."""
    low, high = words(word * multiplier)
    return high, low


def box_muller(u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Two standard normal float32 numbers for each pair of 32-bit words (int64 tensors): with cosine and with sine.

    Their magnitude is at most √(66 ln 2) = 6.76, which a Gaussian exceeds once in 7e10 draws.
    """
    radius = _sqrt(-2.0 * _log(u.to(torch.float32) * UNIT + UNIT / 2))
    cosine, sine = _circle(v)
    return radius * cosine, radius * sine


def polynomial(x: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    """The polynomial at ``x`` by Horner's rule; ``coefficients`` begin with the lowest power."""
    *lower, highest = coefficients
    y = torch.full_like(x, highest)
    for coefficient in reversed(lower):
        y = y * x + coefficient
    return y


def _sqrt(x: Tensor) -> Tensor:
    """The correctly rounded square root; torch's float32 square root on a CPU is not always correctly rounded."""
    return x.double().sqrt().to(torch.float32)


def _log(u: Tensor) -> Tensor:
    """``ln u`` of normal float32 numbers, from u = 2^e·(1+f) with 1+f in [2/3, 4/3)."""
    bits = u.view(torch.int32)
    exponent = (bits - TWO_THIRDS) >> 23
    f = (bits - (exponent << 23)).view(torch.float32) - 1.0
    e = exponent.to(torch.float32)
    return e * LN2_HIGH + (e * LN2_LOW + (f * f * polynomial(f, LOG) + f))


def _circle(v: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of v / 2³² turns: q quarter turns and a remainder of at most an eighth turn to either side."""
    q = ((v + (1 << 29)) >> 30) & 3
    a = (((v + (1 << 29)) & ((1 << 30) - 1)) - (1 << 29)).to(torch.float32) * UNIT * TURN
    square = a * a
    sine = a * square * polynomial(square, SIN) + a
    cosine = square * square * polynomial(square, COS) + (square * -0.5 + 1.0)
    odd = (q & 1) == 1
    x, y = torch.where(odd, sine, cosine), torch.where(odd, cosine, sine)
    return torch.where((q == 1) | (q == 2), -x, x), torch.where(q >= 2, -y, y)

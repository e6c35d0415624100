"""Box-Muller transform of uniform 32-bit words to Gaussian numbers, bitwise equal on every device; reference in torch.

Box and Muller (1958): for independent u and v, uniform on (0, 1], ``√(-2 ln u)·cos 2πv`` and ``√(-2 ln u)·sin 2πv`` are
independent and standard normal. The last bits of logarithm, sine and cosine in math libraries differ between devices
and versions. This module computes them as polynomials in float32, with additions, multiplications and a square root,
each operation rounded separately as IEEE 754 defines it. The coefficients are minimax fits (Lawson's iteration),
rounded to float32. The relative difference to draws from exact functions is less than 4e-7.
"""

from __future__ import annotations

import torch
from torch import Tensor

LOG = (
    -0.49999937415122986,
    0.33333197236061096,
    -0.2500782012939453,
    0.20011167228221893,
    -0.16415956616401672,
    0.13995827734470367,
    -0.1538855880498886,
    0.14026251435279846,
)
"""``(ln(1+f) - f) / f²`` on [-1/3, 1/3]; relative error of ln(1+f) 3e-8. Coefficients begin with the lowest power."""

SIN = (-0.16666655242443085, 0.008332177996635437, -0.00019517297914717346)
"""``(sin a - a) / a³`` as a polynomial in a², |a| <= π/4; relative error of sin a 4e-9."""

COS = (0.04166664555668831, -0.001388736767694354, 2.443845005473122e-05)
"""``(cos a - 1 + a²/2) / a⁴`` as a polynomial in a², |a| <= π/4; error of cos a 1e-10."""

TWO_THIRDS = 0x3F2AAAAB
"""The bits of the float32 nearest to 2/3."""

LN2_HIGH, LN2_LOW = 0.693145751953125, 1.428606765330187e-06
"""ln 2 as the sum of a number of 15 bits, whose product with an exponent is exact, and the remainder."""

UNIT = 2.0**-32
TURN = 6.2831854820251465
"""2π in float32."""


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

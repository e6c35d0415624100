"""Constants of the counter-based noise: of Philox4x32-10 and of a Box-Muller transform that is equal on every device.

Philox (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011) is a function of a
counter and a key. It has no state, so draws can be made in any order and on any device.

Box and Muller (1958): for independent u and v, uniform on (0, 1], ``√(-2 ln u)·cos 2πv`` and ``√(-2 ln u)·sin 2πv`` are
independent and standard normal. The last bits of logarithm, sine and cosine in math libraries differ between devices
and versions. So they are computed as polynomials in float32, with additions, multiplications and a square root, each
operation rounded separately as IEEE 754 defines it. The coefficients are minimax fits (Lawson's iteration), rounded to
float32. The relative difference to draws from exact functions is less than 4e-7.
"""

from __future__ import annotations

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
"""Constants added to the key after every round: the golden ratio and √3 - 1, in units of 2⁻³²."""

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

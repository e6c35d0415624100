"""Triton kernels of the counter-based noise: one launch for all members of a pack. Imported on a GPU only.

Draws do not depend on the level, so members with the same seed share them, each scaled by its own level: a program
draws once for a chunk of these members (:data:`walking_noise.noise.rng.point_noise.CHUNK`). If no two members share a
seed, the grid has a program for each member. What sharing gains has not been measured on a GPU.

The results are bitwise those of the reference in ``tests/walking_noise/noise/noise_reference.py``: integer operations,
and float32 operations as IEEE 754 defines them, each rounded separately. ``enable_fp_fusion=False`` prevents the
compiler from fusing a product with a sum.
"""
# mypy: disable-error-code="import-untyped, untyped-decorator, no-untyped-def"

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from walking_noise.noise.rng import constants
from walking_noise.noise.rng.point_noise import PointNoise

GROUPS = 256
"""Groups of four elements that one program computes."""

ROUNDS = tl.constexpr(constants.ROUNDS)
MULTIPLIER_0, MULTIPLIER_1 = (tl.constexpr(word) for word in constants.MULTIPLIERS)
WEYL_0, WEYL_1 = (tl.constexpr(word) for word in constants.WEYL)
LOG, SIN, COS = (tl.constexpr(c) for c in (constants.LOG, constants.SIN, constants.COS))
TWO_THIRDS = tl.constexpr(constants.TWO_THIRDS)
LN2_HIGH, LN2_LOW = tl.constexpr(constants.LN2_HIGH), tl.constexpr(constants.LN2_LOW)
UNIT, TURN = tl.constexpr(constants.UNIT), tl.constexpr(constants.TURN)


def inject_noise(x: Tensor, noise: PointNoise, step: Tensor, sums: Tensor | None = None) -> Tensor:
    """``x·(1 + s_mul·e1) + s_add·e2``, or added first, with the noise of each member, in the type of x.

    Noise is drawn and multiplied by its level in float32, for every type of x. A term at level 0 changes no bit of x.

    Parameters
    ----------
    x
        Activations ``(k, B, …)`` of the members. If the samples are not contiguous in memory, x is copied, and the
        result is contiguous.
    noise
        The noise of these members at one noise point.
    step
        Step index, ``(1,)`` or ``(2,)``, int64 on the device, each number below 2³².
    sums
        ``(3, k)``, float64: the sums of :meth:`walking_noise.noise.audit.Audit.record_sums` are added to it; None: no
        sums are computed.
    """
    x = x if x[0, 0].is_contiguous() else x.contiguous()
    y = torch.empty_like(x)
    members, elements, inner = len(x), x[0].numel(), x[0, 0].numel()
    contiguous = all(len(t[0]) == 1 or t.stride(1) == inner for t in (x, y))
    programs = triton.cdiv(elements, 4 * GROUPS)
    partial = None if sums is None else torch.empty(members, 3, programs, dtype=torch.float64, device=x.device)
    chunks, chunk = (members, 1) if noise.chunks is None else noise.chunks.shape
    with torch.cuda.device_of(x):
        _inject[programs, chunks](
            x,
            y,
            partial,
            noise.chunks,
            noise.keys,
            noise.mul,
            noise.add,
            noise.add_first,
            step,
            2 * noise.point,
            elements,
            *x.stride()[:2],
            *y.stride()[:2],
            INNER=0 if contiguous else inner,
            NUMBERS=len(step),
            CHUNK=chunk,
            GROUPS=GROUPS,
            enable_fp_fusion=False,
        )
    if sums is not None and partial is not None:
        sums += partial.sum(2).T
    return y


@triton.jit(do_not_specialize=["term"])
def _inject(
    x_ptr,
    y_ptr,
    partial_ptr,
    member_ptr,
    key_ptr,
    mul_ptr,
    add_ptr,
    add_first_ptr,
    step_ptr,
    term,
    elements,
    x_member,
    x_sample,
    y_member,
    y_sample,
    INNER: tl.constexpr,
    NUMBERS: tl.constexpr,
    CHUNK: tl.constexpr,
    GROUPS: tl.constexpr,
):
    """Draw the noise of some elements once for a chunk of members, apply it to each, and sum the squares of its terms.

    Without partial_ptr there are no sums; without member_ptr each member is a chunk.
    """
    block, slot = tl.program_id(0), tl.program_id(1) * CHUNK
    group = block * GROUPS + tl.arange(0, GROUPS)
    element = block * (4 * GROUPS) + tl.arange(0, 4 * GROUPS)
    inside = element < elements
    sharing = _member(member_ptr, slot + tl.arange(0, CHUNK))
    member = _member(member_ptr, slot)
    x = tl.load(x_ptr + _offset(member, element, x_member, x_sample, INNER), mask=inside, other=0.0)
    key = tl.load(key_ptr + member)
    c2 = tl.load(step_ptr).to(tl.uint32)
    c3 = c2 * 0
    if NUMBERS == 2:
        c3 = tl.load(step_ptr + 1).to(tl.uint32)
    e1 = tl.zeros((4 * GROUPS,), tl.float32)
    e2 = tl.zeros((4 * GROUPS,), tl.float32)
    if tl.max(tl.load(mul_ptr + sharing, mask=sharing >= 0, other=0.0)) > 0:
        e1 = _gaussian(group, term, c2, c3, key)
    if tl.max(tl.load(add_ptr + sharing, mask=sharing >= 0, other=0.0)) > 0:
        e2 = _gaussian(group, term + 1, c2, c3, key)
    for i in range(CHUNK):
        member = _member(member_ptr, slot + i)
        if member >= 0:
            if i > 0:
                x = tl.load(x_ptr + _offset(member, element, x_member, x_sample, INNER), mask=inside, other=0.0)
            mul, add, add_first = tl.load(mul_ptr + member), tl.load(add_ptr + member), tl.load(add_first_ptr + member)
            deviation, added = mul * e1, add * e2
            y = tl.where((add > 0) & (add_first > 0), x + added, x)
            y = tl.where(mul > 0, y * (1.0 + deviation), y)
            y = tl.where((add > 0) & (add_first == 0), y + added, y)
            tl.store(y_ptr + _offset(member, element, y_member, y_sample, INNER), y, mask=inside)
            if partial_ptr is not None:
                _store_sum(partial_ptr, 3 * member, tl.where(mul + add > 0, inside.to(tl.float64), 0.0))
                _store_sum(partial_ptr, 3 * member + 1, tl.where(inside, _square(deviation), 0.0))
                _store_sum(partial_ptr, 3 * member + 2, tl.where(inside, _square(added), 0.0))


@triton.jit
def _member(member_ptr, slot):
    """The member at a position in the order of the chunks."""
    if member_ptr is not None:
        slot = tl.load(member_ptr + slot)
    return slot


@triton.jit
def _offset(member, element, member_stride, sample_stride, INNER: tl.constexpr):
    """Offset of a member's elements in memory: contiguous if INNER is 0, otherwise INNER contiguous ones per sample."""
    start = member.to(tl.int64) * member_stride
    if INNER == 0:
        return start + element
    return start + (element // INNER).to(tl.int64) * sample_stride + element % INNER


@triton.jit
def _square(term):
    wide = term.to(tl.float64)
    return wide * wide


@triton.jit
def _store_sum(partial_ptr, row, values):
    """Store the partial sum of a program in ``(members · 3, programs)``."""
    tl.store(partial_ptr + row * tl.num_programs(0) + tl.program_id(0), tl.sum(values.to(tl.float64)))


@triton.jit
def _gaussian(group, c1, c2, c3, key):
    """Four standard normal numbers for each group, in the order of the elements."""
    k0, k1 = key.to(tl.uint32), (key >> 32).to(tl.uint32)
    r0, r1, r2, r3 = _philox(group.to(tl.uint32), c1.to(tl.uint32), c2, c3, k0, k1)
    g0, g1 = _box_muller(r0, r1)
    g2, g3 = _box_muller(r2, r3)
    return tl.interleave(tl.interleave(g0, g2), tl.interleave(g1, g3))


@triton.jit
def _philox(c0, c1, c2, c3, k0, k1):
    """Four random words of Philox4x32-10."""
    for _ in tl.static_range(ROUNDS):
        product0 = c0.to(tl.uint64) * MULTIPLIER_0
        product1 = c2.to(tl.uint64) * MULTIPLIER_1
        c0 = (product1 >> 32).to(tl.uint32) ^ c1 ^ k0
        c2 = (product0 >> 32).to(tl.uint32) ^ c3 ^ k1
        c1 = product1.to(tl.uint32)
        c3 = product0.to(tl.uint32)
        k0 = (k0.to(tl.uint64) + WEYL_0).to(tl.uint32)
        k1 = (k1.to(tl.uint64) + WEYL_1).to(tl.uint32)
    return c0, c1, c2, c3


@triton.jit
def _box_muller(u, v):
    """Two standard normal numbers for two 32-bit words: with cosine and with sine."""
    radius = tl.sqrt_rn(-2.0 * _log(u.to(tl.float32) * UNIT + UNIT / 2))
    cosine, sine = _circle(v)
    return radius * cosine, radius * sine


@triton.jit
def _polynomial(x, coefficients: tl.constexpr, DEGREE: tl.constexpr):
    y = tl.full(x.shape, coefficients[DEGREE], tl.float32)
    for i in tl.static_range(DEGREE):
        y = y * x + coefficients[DEGREE - 1 - i]
    return y


@triton.jit
def _log(u):
    """``ln u`` of normal float32 numbers, from u = 2^e·(1+f) with 1+f in [2/3, 4/3)."""
    bits = u.to(tl.int32, bitcast=True)
    exponent = (bits - TWO_THIRDS) >> 23
    f = (bits - (exponent << 23)).to(tl.float32, bitcast=True) - 1.0
    e = exponent.to(tl.float32)
    return e * LN2_HIGH + (e * LN2_LOW + (f * f * _polynomial(f, LOG, 7) + f))


@triton.jit
def _circle(v):
    """Cosine and sine of v / 2³² turns: q quarter turns and a remainder of at most an eighth turn to either side."""
    turned = v + (1 << 29)
    q = turned >> 30
    a = ((turned & ((1 << 30) - 1)).to(tl.int32) - (1 << 29)).to(tl.float32) * UNIT * TURN
    square = a * a
    sine = a * square * _polynomial(square, SIN, 2) + a
    cosine = square * square * _polynomial(square, COS, 2) + (square * -0.5 + 1.0)
    odd = (q & 1) == 1
    x, y = tl.where(odd, sine, cosine), tl.where(odd, cosine, sine)
    return x * tl.where((q == 1) | (q == 2), -1.0, 1.0), y * tl.where(q >= 2, -1.0, 1.0)

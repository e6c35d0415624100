"""Checks of the Triton kernels, for a GPU or, with TRITON_INTERPRET=1, for a CPU.

As a program, this module runs every check on the CPU and prints the failures as JSON: ``{check: traceback or null}``.
"""

from __future__ import annotations

import itertools
import json
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from tests.walking_noise.noise import noise_reference
from walking_noise import RunConfig
from walking_noise.noise.derived_samplers import NoiseInUnits, NoiseOfChips
from walking_noise.noise.injection import noise_by_point
from walking_noise.noise.rng import triton_kernels
from walking_noise.noise.rng.counter_based import CounterBasedNoise
from walking_noise.noise.rng.point_noise import CHUNK, PointNoise
from walking_noise.pack.stacking import split_members

Check = Callable[[torch.device], None]
CHECKS: dict[str, Check] = {}
"""The checks defined below, by name."""

MIXED: dict[str, Any] = {"noise.kind": "mixed", "noise.std_mul": 0.7, "noise.std_add": 0.3}
MEMBERS: list[dict[str, Any]] = [
    {"noise.kind": "none"},
    {"noise.std": 0.5},
    {"noise.kind": "multiplicative", "noise.std": 0.5},
    {**MIXED, "noise.order": "add_first"},
    {**MIXED, "noise.gradient": "straight_through"},
]
SHARING: list[dict[str, Any]] = [
    *({**MEMBERS[3 * i % len(MEMBERS)], "seed": (0, 0, 1)[i % 3]} for i in range(19)),
    {**MIXED, "seed": 2},
]
"""Ten noisy members of one seed, five of another and one of a third, and four without noise, in mixed order."""
QUIET = 0
PASS_GRADIENTS = (0, 1, 4)
POINT = 4


def check(function: Check) -> Check:
    CHECKS[function.__name__] = function
    return function


def configs(members: list[dict[str, Any]]) -> list[RunConfig]:
    return [
        RunConfig.from_dict({"model.batch_norm": True, "seed": seed, **settings})
        for seed, settings in enumerate(members)
    ]


def point_noise(device: torch.device, members: list[dict[str, Any]] = MEMBERS) -> PointNoise:
    noises = noise_by_point(configs(members), "training")[POINT]
    return PointNoise.of(POINT, noises, "training noise", len(members), device)


def sampler(device: torch.device, members: list[dict[str, Any]], *, fast: bool) -> CounterBasedNoise:
    kernel = triton_kernels.inject_noise if fast else noise_reference.inject_noise
    at_point = noise_by_point(configs(members), "training")
    return CounterBasedNoise(at_point, "training noise", len(members), device, kernel)


def contiguous(members: int, samples: int, sample: tuple[int, ...]) -> Tensor:
    return torch.randn(members, samples, *sample)


def side_by_side(members: int, samples: int, sample: tuple[int, ...]) -> Tensor:
    """A view of (B, K·C, …)."""
    return split_members(torch.randn(samples, members * sample[0], *sample[1:]), members)


def one_for_all(members: int, samples: int, sample: tuple[int, ...]) -> Tensor:
    """A view of one row."""
    return torch.randn(1, samples, *sample).expand(members, -1, *(-1 for _ in sample))


def scattered(members: int, samples: int, sample: tuple[int, ...]) -> Tensor:
    """Channels last."""
    return torch.randn(members, samples, *reversed(sample)).permute(0, 1, *range(len(sample) + 1, 1, -1))


Case = tuple[Callable[[int, int, tuple[int, ...]], Tensor], int, tuple[int, ...]]
CASES: list[Case] = [
    (contiguous, 1, (1,)),
    (contiguous, 7, (5, 3, 3)),
    (contiguous, 2, (700,)),
    (side_by_side, 3, (16, 5, 5)),
    (one_for_all, 7, (5, 3)),
    (scattered, 3, (5, 2, 3)),
]
"""Layout, samples and shape of a sample: odd sizes and multiples of four, within one program and across programs."""

ALL_CASES: list[Case] = [
    *itertools.product(
        (contiguous, side_by_side, one_for_all, scattered),
        (1, 7, 128),
        ((1,), (3,), (64,), (5, 3, 3), (700,), (16, 10, 10), (4, 2, 2), (6, 28, 28)),
    )
]
"""More cases, for a GPU; interpreted kernels are slow."""


def activations(
    device: torch.device, cases: list[Case] = CASES, dtype: torch.dtype = torch.float32, members: int = len(MEMBERS)
) -> Iterator[Tensor]:
    torch.manual_seed(0)
    for layout, samples, sample in ALL_CASES if device.type == "cuda" else cases:
        x = layout(members, samples, sample).to(dtype)
        if layout is one_for_all:
            yield x[:1].to(device).expand(x.shape)
        else:
            yield torch.empty_strided(x.shape, x.stride(), dtype=dtype, device=device).copy_(x)


def bits(x: Tensor) -> bytes:
    return x.detach().cpu().contiguous().numpy().tobytes()


def assert_same_bits(actual: Tensor, expected: Tensor) -> None:
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    assert bits(actual) == bits(expected), f"they differ by up to {(actual - expected).abs().max()}"


@check
def results_equal_the_reference(device: torch.device) -> None:
    noise, step = point_noise(device), torch.tensor([300, 39], device=device)
    for x in activations(device):
        assert_same_bits(triton_kernels.inject_noise(x, noise, step), noise_reference.inject_noise(x, noise, step))


@check
def results_in_other_precisions_equal_the_reference(device: torch.device) -> None:
    noise, step = point_noise(device), torch.tensor([5], device=device)
    for dtype in (torch.float64, torch.float16):
        for x in activations(device, CASES[1:2], dtype):
            assert_same_bits(triton_kernels.inject_noise(x, noise, step), noise_reference.inject_noise(x, noise, step))


@check
def results_have_the_memory_layout_of_the_input(device: torch.device) -> None:
    noise, step = point_noise(device), torch.tensor([0], device=device)
    x = side_by_side(len(MEMBERS), 7, (5, 3, 3)).to(device)
    assert triton_kernels.inject_noise(x, noise, step).stride() == x.stride()
    alike = torch.randn(1, 7, 5, 3, 3, device=device).expand(len(MEMBERS), -1, -1, -1, -1)
    assert triton_kernels.inject_noise(alike, noise, step).is_contiguous()


@check
def members_without_noise_are_copied(device: torch.device) -> None:
    noise, step = point_noise(device), torch.tensor([0], device=device)
    x = torch.randn(len(MEMBERS), 3, 5)
    x[QUIET, 0, :4] = torch.tensor([-0.0, 1e-45, 3.4e38, float("inf")])
    assert_same_bits(triton_kernels.inject_noise(x.to(device), noise, step)[QUIET].cpu(), x[QUIET])


@check
def a_member_gets_the_same_noise_in_every_pack(device: torch.device) -> None:
    noise, step = point_noise(device), torch.tensor([2], device=device)
    x = torch.randn(len(MEMBERS), 7, 5, 3, device=device)
    packed = triton_kernels.inject_noise(x, noise, step)
    for member in range(len(MEMBERS)):
        alone = triton_kernels.inject_noise(x[member : member + 1], noise.rows(member, 1), step)
        assert_same_bits(alone[0], packed[member])


@check
def sums_equal_the_reference(device: torch.device) -> None:
    noise, step = point_noise(device), torch.tensor([1], device=device)
    for x in activations(device, CASES[1:3]):
        actual, expected = torch.ones(2, 3, len(MEMBERS), dtype=torch.float64, device=device)
        y = triton_kernels.inject_noise(x, noise, step, actual)
        assert_same_bits(y, noise_reference.inject_noise(x, noise, step, expected))
        torch.testing.assert_close(actual, expected, rtol=1e-12, atol=0)
        assert (actual[0] - 1).tolist() == [0.0, *[float(x[0].numel())] * 4]


@check
def gradients_equal_the_reference(device: torch.device) -> None:
    fast, plain = (sampler(device, MEMBERS, fast=fast) for fast in (True, False))
    for x in activations(device, [CASES[1], CASES[3]]):
        x = x.detach().requires_grad_()
        cotangent = torch.randn(x.shape, device=device)
        actual, expected = (
            torch.autograd.grad(sampled.at((6,))(POINT, x, 0, None), x, cotangent)[0] for sampled in (fast, plain)
        )
        assert_same_bits(actual, expected)
        for member in PASS_GRADIENTS:
            assert_same_bits(actual[member], cotangent[member])


@check
def noise_on_weights_equals_the_reference(device: torch.device) -> None:
    """Weights are one sample of activations; the gradient passes to the clean ones, also through factors."""
    settings = [{**member, "noise.target": "weights"} for member in (MEMBERS[1], MEMBERS[2], MEMBERS[1])]
    at_point = noise_by_point(configs(settings), "training", "weights")
    weights = torch.randn(3, 1, 10, 25, device=device).requires_grad_()
    cotangent = torch.randn(weights.shape, device=device)
    in_units = [[replace(noise, unit="range") for noise in noises if noise.member == 2] for noises in at_point]
    found = []
    for kernel in (triton_kernels.inject_noise, noise_reference.inject_noise):
        drawing = CounterBasedNoise(at_point, "chip noise", 3, device, kernel)
        for noise in (drawing, NoiseInUnits(in_units, [NoiseOfChips(drawing)])):
            packed = noise.at((4,))(POINT, weights, 0, None)
            assert_same_bits(noise.at((4,))(POINT, weights[2:], 2, None)[0], packed[2])
            assert_same_bits(torch.autograd.grad(packed, weights, cotangent)[0], cotangent)
            found.append(packed)
    assert_same_bits(found[0], found[2])
    assert_same_bits(found[1], found[3])
    assert_same_bits(found[1][:2], weights[:2])


@check
def members_that_share_draws_equal_the_reference(device: torch.device) -> None:
    noise, step = point_noise(device, SHARING), torch.tensor([300, 39], device=device)
    fast, plain = (sampler(device, SHARING, fast=fast).at((6,)) for fast in (True, False))
    assert noise.chunks is not None
    for x in activations(device, CASES[1::3], members=len(SHARING)):
        actual, expected = torch.zeros(2, 3, len(SHARING), dtype=torch.float64, device=device)
        y = triton_kernels.inject_noise(x, noise, step, actual)
        assert_same_bits(y, noise_reference.inject_noise(x, noise, step, expected))
        torch.testing.assert_close(actual, expected, rtol=1e-12, atol=0)
        for first, count in ((0, 3), (4, 9), (19, 1)):
            part = slice(first, first + count)
            assert_same_bits(triton_kernels.inject_noise(x[part], noise.rows(first, count), step), y[part])
        x = x.detach().requires_grad_()
        gradients = (torch.autograd.grad(inject(POINT, x, 0, None), x, x.detach())[0] for inject in (fast, plain))
        assert_same_bits(*gradients)


@check
def members_of_a_seed_draw_once(device: torch.device) -> None:
    """Each term that a chunk of members uses is drawn once in each block of elements. For interpreted kernels only."""
    gaussian, drawn = triton_kernels._gaussian, Counter[tuple[int, ...]]()

    def counting(group: Any, term: Any, c2: Any, c3: Any, key: Any) -> Any:
        drawn[tuple(number.handle.data.item(0) for number in (group, term, key))] += 1
        return gaussian(group, term, c2, c3, key)

    def draws(members: list[dict[str, Any]]) -> tuple[PointNoise, Counter[tuple[int, ...]]]:
        drawn.clear()
        noise, x = point_noise(device, members), torch.randn(len(members), 1500, 1, device=device)
        triton_kernels.inject_noise(x, noise, torch.tensor([0], device=device))
        return noise, drawn

    blocks, terms = (0, triton_kernels.GROUPS), (2 * POINT, 2 * POINT + 1)
    with mock.patch.object(triton_kernels, "_gaussian", counting):
        noise, drawn = draws([{**settings, "seed": seed} for settings in MEMBERS for seed in (0, 1)])
        assert drawn == Counter(itertools.product(blocks, terms, set(noise.keys[2:].tolist())))
        noise, drawn = draws([{"noise.std": 0.5, "seed": 3}] * (2 * CHUNK + 1))
        assert drawn == Counter(3 * [*itertools.product(blocks, terms[1:], set(noise.keys.tolist()))])


@check
def a_step_index_on_the_device_is_read_when_noise_is_drawn(device: torch.device) -> None:
    noise = sampler(device, MEMBERS, fast=True)
    x = torch.randn(len(MEMBERS), 7, 5, device=device)
    index = torch.tensor([0], device=device)
    inject = noise.at(index)
    for step in (5, 2**31 + 1):
        index.fill_(step)
        assert_same_bits(inject(POINT, x, 0, None), noise.at((step,))(POINT, x, 0, None))


def main() -> None:
    failures: dict[str, str | None] = {}
    for name, function in CHECKS.items():
        try:
            function(torch.device("cpu"))
        except Exception:
            failures[name] = traceback.format_exc()
        else:
            failures[name] = None
    print(json.dumps(failures))


if __name__ == "__main__":
    main()

"""Quantisation: the formula, its independence of packs and blocks, its gradient, and its audit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.walking_noise.running import numbers, outcomes, run
from walking_noise import Failure, Result, RunConfig
from walking_noise.data import DataSet
from walking_noise.noise import noise_kinds
from walking_noise.noise.injection import Injection
from walking_noise.noise.kinds.quantisation import bounds, levels, quantise

CPU = torch.device("cpu")
Ends = tuple[float, float]


def quantised(**settings: Any) -> RunConfig:
    return run(noise__kind="quantisation", **settings)


@given(st.integers(1, 16), st.none() | st.just((-0.5, 0.75)), st.integers(0, 2**32 - 1), st.floats(-30, 30))
def test_the_formula(bits: int, ends: Ends | None, seed: int, shift: float) -> None:
    """Against float64 in NumPy: codes of an integer type, counted from the lower end of the range."""
    x = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(seed)) + shift
    y = quantise(x, levels(bits).transform, ends).double().numpy().reshape(3, -1)
    values = x.double().numpy().reshape(3, -1)
    low, high = (values.min(1, keepdims=True), values.max(1, keepdims=True)) if ends is None else (ends[0], ends[1])
    step, clipped = (high - low) / (2**bits - 1), np.clip(values, low, high)
    rounding = 1e-6 * np.maximum(np.abs(low), np.abs(high))
    codes = np.rint((y - low) / step).astype(np.int64)
    assert codes.min() >= 0
    assert codes.max() <= 2**bits - 1
    assert (np.abs(low + codes * step - y) <= rounding).all()
    assert (np.abs(y - clipped) <= step / 2 + rounding).all()


def test_one_bit_has_two_codes_and_two_bits_have_four() -> None:
    x = torch.linspace(0, 3, 301).view(1, -1)
    assert quantise(x, levels(1).transform).unique().tolist() == [0.0, 3.0]
    assert quantise(x, levels(2).transform).unique().tolist() == pytest.approx([0.0, 1.0, 2.0, 3.0])
    assert quantise(x, levels(2).transform, (0.0, 6.0)).unique().tolist() == pytest.approx([0.0, 2.0, 4.0])


def test_zero_and_the_ends_of_the_range_are_codes() -> None:
    x = torch.rand(4, 50).sub(0.5).relu()
    y = quantise(x, levels(3).transform)
    assert (y[x == 0] == 0).all()
    torch.testing.assert_close(y.amax(1), x.amax(1))


def test_samples_without_a_range() -> None:
    """Equal values stay as they are; a sample that is not finite becomes NaN and no other one changes."""
    x = torch.randn(4, 6)
    x[1], x[2, 0], x[3, 0] = 0.7, float("inf"), float("nan")
    y = quantise(x, levels(4).transform)
    assert torch.equal(y[1], x[1])
    assert torch.equal(y[0], quantise(x[:1], levels(4).transform)[0])
    assert y[2:].isnan().any(1).all()


@pytest.mark.parametrize("ends", [None, (-0.5, 0.5)])
def test_the_gradient_passes_the_rounding_and_not_the_clipping(ends: Ends | None) -> None:
    x, cotangent = torch.randn(5, 40, requires_grad=True), torch.randn(5, 40)
    (gradient,) = torch.autograd.grad(quantise(x, levels(3).transform, ends), x, cotangent)
    inside = torch.ones_like(x) if ends is None else ((x >= ends[0]) & (x <= ends[1])).float()
    assert torch.equal(gradient, cotangent * inside)
    assert ends is None or 0 < inside.mean() < 1


def test_members_keep_their_own_settings_layout_and_gradients() -> None:
    """In a pack with noise of other kinds, and of a view as a packed convolution returns it."""
    configs = [
        quantised(noise__bits=2),
        run(noise__std=0.5),
        quantised(noise__bits=3, noise__range=[-1.0, 1.0]),
        run(noise__kind="none"),
        quantised(noise__bits=3, noise__point=5),
    ]
    x = torch.randn(8, 5 * 4, 3, 6).unflatten(1, (5, 4)).transpose(0, 1).requires_grad_()
    inject = Injection(configs, "training", CPU).at((0,))
    y, cotangent = inject(1, x), torch.randn(x.shape)
    assert y.stride() == x.stride()
    (gradient,) = torch.autograd.grad(y, x, cotangent)
    for member, config in enumerate(configs):
        alone = x[member : member + 1].detach().requires_grad_()
        expected = Injection([config], "training", CPU).at((0,))(1, alone)
        assert torch.equal(y[member], expected[0])
        assert torch.equal(inject(1, x[member], member=member), expected[0])
        if expected is not alone:
            assert torch.equal(
                gradient[member], torch.autograd.grad(expected, alone, cotangent[member : member + 1])[0][0]
            )
    assert torch.equal(y[3:], x[3:])
    assert torch.equal(y[0], quantise(x[0], 1 / 3))
    assert torch.equal(y[2], quantise(x[2], 1 / 7, (-1.0, 1.0)))


STUDY: list[dict[str, Any]] = [
    {"noise__bits": 3},
    {"noise__bits": 3, "noise__range": [-1.0, 1.0]},
    {"noise__bits": 2, "noise__point": 2, "seed": 1},
    {"noise__bits": 2, "noise__in_training": False},
    {"noise__bits": 2, "noise__point": 2, "noise__in_training": False},
    {"noise__bits": 3, "noise__point": 2, "noise__in_training": False},
]


@pytest.mark.usefixtures("only_digits")
@pytest.mark.parametrize("model", ["mlp", pytest.param("lenet5", marks=pytest.mark.slow)])
def test_the_numbers_of_a_run_depend_on_the_run_alone(model: str) -> None:
    """In one pack, also with runs of other kinds; on both sides of blocks of samples (260 in blocks of 250)."""
    other = run(model__name=model, noise__std=0.3, noise__point=2, noise__in_training=False)
    mapped = {"noise__bits": [0, *[3] * (len(other.points) - 1)], "noise__point": "mapped"}
    configs = [quantised(model__name=model, **one) for one in [*STUDY, mapped]]
    together = outcomes([*configs, other])
    assert all(isinstance(outcome, Result) for outcome in together), together
    for config, outcome in zip([*configs, other], together, strict=True):
        assert numbers(outcomes([config])[0]) == numbers(outcome)
    assert len({outcome.accuracy for outcome in together if isinstance(outcome, Result)}) > 3


def test_samples_are_quantised_one_by_one() -> None:
    x = torch.randn(12, 3, 4)
    whole = quantise(x, levels(4).transform)
    assert torch.equal(torch.cat([quantise(part, levels(4).transform) for part in x.split(5)]), whole)


@pytest.mark.usefixtures("only_digits")
def test_the_result_has_the_bounds_of_the_level() -> None:
    bits = [0, 7, 6, 5, 4, 3, 2, 1]
    (done,) = outcomes([quantised(noise__bits=bits, noise__point="mapped")])
    assert isinstance(done, Result)
    for audit in done.audit.values():
        assert audit["lowest_level"][0] is audit["highest_level"][0] is None
        assert audit["draws"][0] == 0
        for number, lowest, highest in zip(
            bits[1:], audit["lowest_level"][1:], audit["highest_level"][1:], strict=True
        ):
            assert lowest == pytest.approx(levels(number).transform, rel=0.03)
            assert highest == pytest.approx(levels(number).transform, rel=0.03)
            assert lowest <= levels(number).transform * 1.00001
            assert highest >= levels(number).transform * 0.99999
    (plain,) = outcomes([run(noise__std=0.5)])
    assert isinstance(plain, Result)
    assert "lowest_level" not in plain.audit["inference"]


@given(st.integers(1, 16), st.integers(1, 16), st.integers(0, 2**32 - 1))
def test_bounds_exclude_every_other_number_of_bits(bits: int, other: int, seed: int) -> None:
    x = torch.randn(200, 400, generator=torch.Generator().manual_seed(seed))
    lowest, highest = bounds(x, quantise(x, levels(bits).transform))
    assert (lowest <= levels(other).transform <= highest) == (bits == other)


def rounded_down(x: Tensor, level: float, range: Ends | None = None) -> Tensor:
    low, high = x.amin(1, keepdim=True), x.amax(1, keepdim=True)
    step = (high - low) * level
    return ((x - low) / step).floor() * step + low


SABOTAGES: dict[str, Callable[..., Tensor]] = {
    "nothing": lambda x, level, range=None: x,
    "one bit more": lambda x, level, range=None: quantise(x, level / (2 + level)),
    "one bit less": lambda x, level, range=None: quantise(x, 2 * level / (1 - level)),
    "rounded down": rounded_down,
    "the range of the mini-batch": lambda x, level, range=None: quantise(x.flatten()[None], level).view(x.shape),
    "a constant": lambda x, level, range=None: x.detach() * 0 + 0.1,
}


@pytest.mark.parametrize("in_training", [True, False])
@pytest.mark.parametrize("sabotage", SABOTAGES)
def test_a_wrong_function_fails_the_run(
    sabotage: str, in_training: bool, only_digits: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = quantised(noise__bits=3, noise__point=1, noise__in_training=in_training)
    kind = noise_kinds()["quantisation"]
    assert kind.transform is not None
    spoiled = dataclasses.replace(kind, transform=dataclasses.replace(kind.transform, apply=SABOTAGES[sabotage]))
    monkeypatch.setitem(noise_kinds(), "quantisation", spoiled)
    (failure,) = outcomes([config])
    assert isinstance(failure, Failure)
    assert failure.error.startswith(
        "the injected noise differs from the configured noise: noise point 1: level 0.142857 was configured, between "
    )


def test_quantisation_at_another_point_or_nowhere_is_a_mismatch() -> None:
    from walking_noise.noise import Levels
    from walking_noise.noise.audit import Audit, mismatch

    silent, audit, level = Levels(0.0, 0.0), Audit(points=2, members=1), Levels(0.0, 0.0, 1 / 7)
    assert mismatch(audit.of(0), [silent, level]) == (
        "noise point 1: level 0.142857 was configured, nothing was applied"
    )
    x = torch.randn(20, 50)
    audit.record_bounds(1, 0, x.numel(), bounds(x, quantise(x, 1 / 7)))
    assert mismatch(audit.of(0), [silent, level]) is None
    found = mismatch(audit.of(0), [silent, silent])
    assert found is not None
    assert found.startswith("noise point 1: level 0 was configured, between ")


def test_samples_that_are_not_finite_bound_no_level() -> None:
    """So a diverged run is a result, not a failure of the audit."""
    x = torch.tensor([[0.1, 0.9, 0.4], [float("nan"), 0.2, 0.3], [float("inf"), 0.2, 0.3]])
    for limits in (None, (-1.0, 1.0)):
        lowest, highest = bounds(x, quantise(x, 1 / 15, limits), limits)
        assert lowest.isfinite()
        assert lowest <= 1 / 15 + 1e-6
        assert highest >= 1 / 15 - 1e-6

"""Injected noise: statistics at every point, order of the terms, gradients, and independence between runs."""

from __future__ import annotations

import itertools
import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.walking_noise.noise.terms import drawn_terms
from walking_noise import RunConfig
from walking_noise.models import Architecture, build
from walking_noise.noise import Levels, noise_kinds
from walking_noise.noise.injection import Injection
from walking_noise.pack.pack import Pack
from walking_noise.reproducibility import stream_generator

CPU = torch.device("cpu")
POINTS = range(11)
"""Of the MLP with BatchNorm."""
KINDS: list[dict[str, Any]] = [
    {"noise.kind": "additive", "noise.std": 0.7},
    {"noise.kind": "multiplicative", "noise.std": 0.7},
    {"noise.kind": "mixed", "noise.std_mul": 0.7, "noise.std_add": 0.3},
    {"noise.kind": "mixed", "noise.amplitude": 1.0, "noise.ratio": 0.3},
]
MIXED = KINDS[2]
QUIET = {"noise.kind": "none"}
SIGMAS = 5.0


def run(*settings: dict[str, Any], **more: Any) -> RunConfig:
    merged: dict[str, Any] = {"model.batch_norm": True}
    for some in (*settings, more):
        merged |= some
    return RunConfig.from_dict(merged)


def injected(
    config: RunConfig, x: Tensor, point: int = 0, step: tuple[int, ...] = (0,), stream: str = "training"
) -> Tensor:
    """The activations (B, …) of a single run with noise."""
    return Injection([config], stream, CPU).at(step)(point, x.unsqueeze(0))[0]


def drawn(config: RunConfig, shape: tuple[int, ...], point: int = 0) -> tuple[Tensor | None, Tensor | None]:
    """The factor's deviation from 1 and the added term, as drawn in training."""
    injection = Injection([config], "training", CPU)
    return drawn_terms(injection, injection.at_point[point][0], point, (0,), shape)


def factor(config: RunConfig, shape: tuple[int, ...], point: int = 0) -> Tensor:
    deviation, _ = drawn(config, shape, point)
    return torch.ones(shape) if deviation is None else 1 + deviation


def measured(config: RunConfig, shape: tuple[int, ...], **where: Any) -> tuple[Tensor, Tensor]:
    """The factor's deviation from 1 and the added term, computed from the outputs for inputs of 0 and 1."""
    added = injected(config, torch.zeros(shape), **where)
    return injected(config, torch.ones(shape), **where) - added - 1, added


def assert_gaussian(draws: Tensor, std: float) -> None:
    """Mean 0, the standard deviation, and skewness and kurtosis of a normal distribution, within 5 standard errors."""
    e, n = draws.double().flatten() / std, draws.numel()
    assert abs(float(e.mean())) < SIGMAS / math.sqrt(n)
    assert abs(float(e.square().mean().sqrt()) - 1) < SIGMAS / math.sqrt(2 * n)
    assert abs(float(e.pow(3).mean())) < SIGMAS * math.sqrt(15 / n)
    assert abs(float(e.pow(4).mean()) - 3) < SIGMAS * math.sqrt(96 / n)
    assert 3.5 < float(e.abs().max()) < 7


def assert_independent(draws: Tensor) -> None:
    """No correlation between the rows of (rows, n)."""
    correlation = torch.corrcoef(draws.double()) - torch.eye(len(draws), dtype=torch.float64)
    assert float(correlation.abs().max()) < SIGMAS / math.sqrt(draws.shape[1])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(map(str, kind.values())))
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("stream", ["training", "inference"])
def test_statistics_at_every_point(kind: dict[str, Any], point: int, stream: str) -> None:
    config = run(kind)
    deviation, added = measured(config, (100, 200), point=point, stream=stream)
    levels = config.levels[point]
    for term, level in ((deviation, levels.mul), (added, levels.add)):
        if level == 0:
            assert float(term.abs().max()) < 1e-6
        else:
            assert_gaussian(term, level)
    if levels.mul > 0 and levels.add > 0:
        assert_independent(torch.stack([deviation.flatten(), added.flatten()]))


@pytest.mark.parametrize("kind", ["additive", "multiplicative"])
@pytest.mark.parametrize("level", [1e-30, 1e-8, 1e-2, 1.0, 1e4, 1e10, 1e16])
def test_levels_from_tiny_to_1e16(kind: str, level: float) -> None:
    config = run({"noise.kind": kind, "noise.std": level})
    deviation, added = drawn(config, (50, 400))
    term, absent = (added, deviation) if kind == "additive" else (deviation, added)
    assert absent is None
    assert term is not None
    assert_gaussian(term, level)
    base = 0.0 if kind == "additive" else 1.0
    assert torch.equal(injected(config, torch.full((50, 400), base)), base + term)


def test_level_0_changes_no_bit() -> None:
    x = torch.tensor([[1.0, -0.0, float("nan"), 1e-45]])
    for settings in (QUIET, {"noise.std": 0.0}, {"noise.std": 1.0, "noise.point": 3}):
        assert injected(run(settings), x).numpy().tobytes() == x.numpy().tobytes()


def test_draws_are_independent_between_points_steps_blocks_and_epochs() -> None:
    config = run({"noise.std": 1.0})
    zeros = torch.zeros(4, 5000)
    training = [injected(config, zeros, point, (step,)) for point in POINTS for step in (0, 1, 2)]
    inference = [
        injected(config, zeros, point, (epoch, block), "inference")
        for point, epoch, block in itertools.product((0, 1, 10), (1, 2), (0, 1, 2))
    ]
    assert_independent(torch.stack([*training, *inference]).flatten(1))


def test_draws_are_independent_between_samples_and_between_elements() -> None:
    draws = injected(run({"noise.std": 1.0}), torch.zeros(128, 64 * 64)).view(128, 64, 64)
    assert_independent(draws.flatten(1))
    assert_independent(draws.permute(1, 0, 2).flatten(1))
    assert_independent(draws.permute(2, 0, 1).flatten(1))


@pytest.mark.parametrize("stream", ["training", "inference"])
def test_draws_are_independent_between_runs(stream: str) -> None:
    configs = [run({"noise.std": 1.0, "seed": seed}) for seed in range(20)]
    draws = Injection(configs, stream, CPU).at((3, 4))(5, torch.zeros(20, 10, 500))
    assert_independent(draws.flatten(1))


def test_training_and_inference_draws_are_independent() -> None:
    config, x = run({"noise.std": 1.0}), torch.zeros(10, 500)
    assert_independent(
        torch.stack([injected(config, x, stream=stream) for stream in ("training", "inference")]).flatten(1)
    )


def test_the_seed_of_the_noise_determines_inference_only() -> None:
    x = torch.zeros(3, 7)
    one, other = run({"noise.std": 1.0, "seed": 4}), run({"noise.std": 1.0, "seed": 4, "noise.seed": 5})
    assert torch.equal(injected(one, x), injected(other, x))
    assert not torch.equal(injected(one, x, stream="inference"), injected(other, x, stream="inference"))
    alike = run({"noise.std": 1.0, "seed": 6, "noise.seed": 5})
    assert torch.equal(injected(alike, x, stream="inference"), injected(other, x, stream="inference"))
    assert not torch.equal(injected(alike, x), injected(other, x))


def test_draws_depend_neither_on_the_pack_nor_on_what_was_drawn_before() -> None:
    configs = [run(kind, {"seed": seed}) for seed, kind in enumerate(KINDS)]
    x = torch.randn(4, 6, 3, 5)
    alone = [injected(config, x[i], 2, (9,)) for i, config in enumerate(configs)]
    for members in ((0, 1, 2, 3), (3, 1), (2, 0, 2), (1,)):
        injection = Injection([configs[i] for i in members], "training", CPU)
        injection.at((1,))(2, x[list(members)])
        packed = injection.at((9,))(2, x[list(members)])
        for position, member in enumerate(members):
            assert torch.equal(packed[position], alone[member])


@pytest.mark.parametrize("order", ["multiply_first", "add_first"])
def test_the_order_of_the_terms(order: str, float64: None) -> None:
    config = run(MIXED, {"noise.order": order})
    x = torch.randn(50, 40)
    deviation, added = drawn(config, x.shape)
    assert deviation is not None
    assert added is not None
    expected = x * (1 + deviation) + added if order == "multiply_first" else (x + added) * (1 + deviation)
    assert torch.equal(injected(config, x), expected)


def test_both_orders_draw_the_same_terms() -> None:
    x = torch.randn(50, 40)
    first, second = (run(MIXED, {"noise.order": order}) for order in ("multiply_first", "add_first"))
    deviation, added = measured(first, (50, 40))
    torch.testing.assert_close(injected(first, x) - injected(second, x), -deviation * added, rtol=0, atol=1e-5)


def test_a_single_term_is_the_same_for_every_kind() -> None:
    x = torch.randn(50, 40)
    ends = [run({"noise.kind": "mixed", "noise.amplitude": 0.5, "noise.ratio": ratio}) for ratio in (0.0, 1.0)]
    kinds = [run({"noise.kind": kind, "noise.std": 0.5}) for kind in ("multiplicative", "additive")]
    for end, kind in zip(ends, kinds, strict=True):
        assert torch.equal(injected(end, x), injected(kind, x))


ORDERS = [*KINDS, {**MIXED, "noise.order": "add_first"}]


@pytest.mark.parametrize("kind", ORDERS, ids=lambda kind: "-".join(map(str, kind.values())))
def test_the_exact_gradient_is_that_of_finite_differences(kind: dict[str, Any], float64: None) -> None:
    inject = Injection([run(kind), run(kind, {"seed": 1})], "training", CPU).at((3,))
    x = torch.randn(2, 4, 6, requires_grad=True)
    assert torch.autograd.gradcheck(partial(inject, 1), (x,))


@pytest.mark.parametrize("kind", ORDERS, ids=lambda kind: "-".join(map(str, kind.values())))
def test_the_exact_gradient_is_the_factor(kind: dict[str, Any], float64: None) -> None:
    config = run(kind)
    x = torch.randn(50, 40, requires_grad=True)
    cotangent = torch.randn(50, 40)
    (gradient,) = torch.autograd.grad(injected(config, x), x, cotangent)
    assert torch.equal(gradient, cotangent * factor(config, x.shape))


@pytest.mark.parametrize("kind", [kind for kind in ORDERS if kind["noise.kind"] != "additive"], ids=str)
def test_the_straight_through_gradient_is_the_identity(kind: dict[str, Any]) -> None:
    config = run(kind, {"noise.gradient": "straight_through"})
    x = torch.randn(50, 40, requires_grad=True)
    y = injected(config, x)
    assert torch.equal(y, injected(run(kind), x))
    cotangent = torch.randn(50, 40)
    (gradient,) = torch.autograd.grad(y, x, cotangent)
    assert torch.equal(gradient, cotangent)


def test_members_of_a_pack_are_independent() -> None:
    """The activations and gradients of a run without noise are not changed by the other runs of its pack."""
    wild = {"noise.kind": "multiplicative", "noise.std": 1e16}
    through = {**MIXED, "noise.gradient": "straight_through"}
    configs = [run(QUIET), run(wild), run(MIXED), run({"noise.std": 1.0, "noise.point": 2}), run(through)]
    x = torch.randn(5, 8, 16)
    x[0, 0, :3] = torch.tensor([-0.0, 1e-45, 3.4e38])
    x[1, 0, 0], x[1, 0, 1] = float("nan"), float("inf")
    x.requires_grad_()
    y = Injection(configs, "training", CPU).at((0,))(1, x)
    cotangent = torch.randn(5, 8, 16)
    cotangent[1, 0, 0] = float("nan")
    (gradient,) = torch.autograd.grad(y, x, cotangent)
    for quiet in (0, 3):
        assert y[quiet].detach().numpy().tobytes() == x[quiet].detach().numpy().tobytes()
        assert gradient[quiet].numpy().tobytes() == cotangent[quiet].numpy().tobytes()
    assert torch.equal(gradient[4], cotangent[4])
    assert torch.equal(gradient[2], cotangent[2] * factor(configs[2], x.shape[1:], 1))


def test_activations_are_not_changed_in_place() -> None:
    x = torch.randn(2, 8, 16)
    before = x.clone()
    Injection([run(MIXED), run(QUIET)], "training", CPU).at((0,))(0, x)
    assert torch.equal(x, before)


@pytest.mark.parametrize(
    ("settings", "training", "inference"),
    [
        (QUIET, set(), set()),
        ({"noise.std": 0.0}, set(), set()),
        ({"noise.std": 1.0}, set(POINTS), set(POINTS)),
        ({"noise.std": 1.0, "noise.in_training": False}, set(), set(POINTS)),
        ({"noise.std": 1.0, "noise.point": 10}, {10}, {10}),
        ({"noise.std": 1.0, "noise.point": 0, "noise.in_training": False}, set(), {0}),
        ({"noise.std": 1.0, "noise.on_batch_norm": False}, {0, 1, 3, 4, 6, 7, 9, 10}, {0, 1, 3, 4, 6, 7, 9, 10}),
        ({"noise.std": [0, 0, 1, *[0] * 7, 1], "noise.point": "mapped"}, {2, 10}, {2, 10}),
    ],
    ids=str,
)
def test_where_and_when_noise_is_injected(settings: dict[str, Any], training: set[int], inference: set[int]) -> None:
    zeros = torch.zeros(3, 4)
    for stream, expected in (("training", training), ("inference", inference)):
        noisy = {point for point in POINTS if injected(run(settings), zeros, point, stream=stream).any()}
        assert noisy == expected


@pytest.mark.parametrize("stream", ["training", "inference"])
def test_a_cpu_draws_from_a_generator_seeded_with_the_key_of_the_step(stream: str) -> None:
    """The draws must not change between versions."""
    config = run({"noise.std": 0.7, "seed": 3, "noise.seed": 4})
    drawn = torch.empty(50, 40)
    seed = {"training": 3, "inference": 4}[stream]
    drawn.normal_(0, 0.7, generator=stream_generator(seed, f"{stream} noise", 5, 6, 2))
    assert torch.equal(injected(config, torch.zeros(50, 40), 2, (5, 6), stream), drawn)


@pytest.fixture
def pack() -> tuple[Injection, Tensor]:
    """Six members with different noise, and their activations as from a packed convolution: a view of (B, K·C, …)."""
    configs = [run(kind, {"seed": seed}) for seed, kind in enumerate([*ORDERS, QUIET])]
    x = torch.randn(8, 6 * 4, 3, 5).unflatten(1, (6, 4)).transpose(0, 1)
    return Injection(configs, "training", CPU), x


def test_injection_into_one_member_equals_injection_into_the_pack(pack: tuple[Injection, Tensor]) -> None:
    injection, x = pack
    inject = injection.at((7,))
    packed = inject(2, x)
    for member in range(6):
        assert torch.equal(inject(2, x[member], member=member), packed[member])
    assert inject(2, x[5], member=5).data_ptr() == x[5].data_ptr()


def test_the_gradient_of_one_member_equals_that_in_the_pack(pack: tuple[Injection, Tensor]) -> None:
    injection, x = pack
    x.requires_grad_()
    inject, cotangent = injection.at((7,)), torch.randn(x.shape)
    (packed,) = torch.autograd.grad(inject(2, x), x, cotangent)
    for member in range(6):
        alone = x[member].detach().requires_grad_()
        (gradient,) = torch.autograd.grad(inject(2, alone, member=member), alone, cotangent[member])
        assert torch.equal(gradient, packed[member])


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_members_that_share_samples_have_independent_noise(rows: int, pack: tuple[Injection, Tensor]) -> None:
    injection, x = pack
    shared = torch.randn(rows, *x.shape[1:])
    y = injection.at((7,))(2, shared)
    assert torch.equal(y, injection.at((7,))(2, shared.repeat_interleave(6 // rows, 0)))
    assert injection.at((7,))(2, shared).is_contiguous()


def test_a_step_index_in_a_tensor_is_read_when_noise_is_drawn(pack: tuple[Injection, Tensor]) -> None:
    injection, x = pack
    index = torch.tensor([0])
    inject = injection.at(index)
    for step in (3, 2**33):
        index.fill_(step)
        assert torch.equal(inject(2, x), injection.at((step,))(2, x))
    assert torch.equal(injection.at(torch.tensor([4, 5]))(2, x), injection.at((4, 5))(2, x))


def test_activations_and_gradients_keep_their_layout(pack: tuple[Injection, Tensor]) -> None:
    injection, x = pack
    x.requires_grad_()
    y = injection.at((0,))(2, x)
    assert y.stride() == x.stride()
    (gradient,) = torch.autograd.grad(y, x, torch.empty_like(x).normal_())
    assert gradient.stride() == x.stride()


def test_activations_without_noise_are_not_copied(pack: tuple[Injection, Tensor]) -> None:
    _, x = pack
    injection = Injection([run({"noise.std": 1.0, "noise.point": 3})] * 6, "training", CPU)
    assert injection.at((0,))(2, x) is x
    row = x[:1]
    assert injection.at((0,))(2, row) is row


def test_injection_with_generators_is_not_capturable(pack: tuple[Injection, Tensor]) -> None:
    injection, _ = pack
    assert not injection.capturable


@pytest.mark.parametrize(("name", "batch_norm"), [("mlp", False), ("lenet5", True)])
def test_injection_without_noise_does_not_change_the_network(name: str, batch_norm: bool) -> None:
    network = build(Architecture(name, (1, 28, 28), 10, batch_norm)).eval()
    config = RunConfig.from_dict({"model.name": name, "model.batch_norm": batch_norm})
    x = torch.randn(1, 16, 1, 28, 28)
    pack = Pack([network]).eval()
    bare = pack(x, lambda point, activations: activations)
    assert torch.equal(pack(x, Injection([config], "inference", CPU).at((1, 0))), bare)
    torch.testing.assert_close(bare[0], network(x[0]), rtol=1e-5, atol=1e-6)


def test_the_kinds_of_the_papers() -> None:
    kinds = noise_kinds()
    assert {"additive", "mixed", "multiplicative", "none"} <= set(kinds)
    assert kinds["none"].levels() == Levels(0.0, 0.0)
    assert kinds["additive"].levels(std=0.3) == Levels(mul=0.0, add=0.3)
    assert kinds["multiplicative"].levels(std=0.3) == Levels(mul=0.3, add=0.0)
    assert kinds["mixed"].levels(amplitude=2.0, ratio=0.25) == Levels(mul=1.5, add=0.5)
    assert kinds["mixed"].levels(std_mul=0.1, std_add=0.2) == Levels(mul=0.1, add=0.2)
    assert {(name, kind.multiplies, kind.adds) for name, kind in kinds.items()} >= {
        ("none", False, False),
        ("additive", False, True),
        ("multiplicative", True, False),
        ("mixed", True, True),
    }

"""Counter-based noise with the reference in torch: draws of each member, gradients, audit; and on a GPU."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.walking_noise.noise import noise_reference
from tests.walking_noise.noise.kernel_checks import MEMBERS, MIXED, POINT, SHARING, configs, point_noise, side_by_side
from walking_noise.noise import noise_kinds
from walking_noise.noise.audit import Audit
from walking_noise.noise.injection import Injection, noise_by_point
from walking_noise.noise.rng.counter_based import CounterBasedNoise
from walking_noise.noise.rng.cpu_generators import GeneratorNoise

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
ORDERS: list[dict[str, Any]] = [*MEMBERS[1:4], MIXED]


def sampler(members: list[dict[str, Any]]) -> CounterBasedNoise:
    at_point = noise_by_point(configs(members), "training")
    return CounterBasedNoise(at_point, "training noise", len(members), CPU, noise_reference.inject_noise)


def injected(members: list[dict[str, Any]], x: Tensor, step: int = 0, audit: Audit | None = None) -> Tensor:
    return sampler(members).at((step,))(POINT, x, 0, audit)


@pytest.mark.parametrize("settings", ORDERS, ids=str)
def test_the_result_is_the_formula_with_the_terms(settings: dict[str, Any]) -> None:
    counter_based = sampler([settings])
    (noise,) = counter_based.at_point[POINT]
    x = torch.randn(1, 50, 40)
    deviation, added = noise_reference.terms(counter_based.forward[POINT], x.shape, torch.tensor([7]))
    assert [bool(term.any()) for term in (deviation, added)] == [noise.mul > 0, noise.add > 0]
    expected = (x + added) * (1 + deviation) if noise.add_first else x * (1 + deviation) + added
    assert torch.equal(injected([settings], x, 7), expected)


def test_draws_depend_neither_on_the_pack_nor_on_the_order_of_its_members() -> None:
    members = [{"seed": seed, **settings} for seed, settings in enumerate(MEMBERS)]
    x = torch.randn(len(members), 6, 3, 5)
    packed = injected(members, x, 9)
    for chosen in ((4, 3, 2, 1), (0, 2, 2), (3,)):
        assert torch.equal(injected([members[i] for i in chosen], x[list(chosen)], 9), packed[list(chosen)])


def test_noisy_members_of_a_seed_share_draws_in_chunks() -> None:
    noise = point_noise(CPU, SHARING)
    assert noise.chunks is not None
    chunks = [[member for member in chunk if member >= 0] for chunk in noise.chunks.tolist()]
    assert sorted(member for chunk in chunks for member in chunk) == list(range(len(SHARING)))
    keys = noise.keys.tolist()
    assert [len({keys[member] for member in chunk}) for chunk in chunks] == [1] * 8
    assert [len(chunk) for chunk in chunks] == [8, 2, 5, 1, 1, 1, 1, 1]
    assert noise.rows(0, len(SHARING)) is noise
    assert noise.rows(1, 4).chunks is None
    assert point_noise(CPU, MEMBERS).chunks is None


@pytest.mark.parametrize("settings", ORDERS, ids=str)
def test_the_exact_gradient_is_that_of_finite_differences(settings: dict[str, Any]) -> None:
    x = torch.randn(2, 4, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(partial(injected, [settings, MEMBERS[0]]), (x,))


def test_the_straight_through_gradient_is_the_identity() -> None:
    x = torch.randn(1, 50, 40, requires_grad=True)
    cotangent = torch.randn(1, 50, 40)
    (gradient,) = torch.autograd.grad(injected(MEMBERS[4:], x), x, cotangent)
    assert torch.equal(gradient, cotangent)


def test_a_step_index_that_changes_before_the_backward_pass_is_an_error() -> None:
    step = torch.tensor([3])
    x = torch.randn(1, 5, 4, requires_grad=True)
    y = sampler([MIXED]).at(step)(POINT, x, 0, None)
    step.fill_(4)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.parametrize("step", [(), (1, 2, 3)])
def test_a_step_index_has_one_number_or_two(step: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="a step index has one number or two"):
        sampler([MIXED]).at(step)


def assert_audit_measured_the_levels(audit: Audit) -> None:
    """Check the levels of :data:`MEMBERS`."""
    for member, (mul, add) in enumerate([(0, 0), (0, 0.5), (0.5, 0), (0.7, 0.3), (0.7, 0.3)]):
        measured = audit.of(member)
        for name, level in (("std_mul", mul), ("std_add", add)):
            assert measured[name][POINT] == (None if level == 0 else pytest.approx(level, rel=0.02))
        assert measured["draws"][POINT] == (0 if mul == add == 0 else 100_000)


def test_the_audit_measures_the_draws() -> None:
    audit = Audit(11, len(MEMBERS))
    for step in (0, 1):
        injected(MEMBERS, torch.zeros(len(MEMBERS), 250, 200), step, audit)
    assert_audit_measured_the_levels(audit)


@pytest.mark.gpu
def test_a_gpu_uses_the_counter_based_sampler_for_gaussian_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    def uniform(out: Tensor, generator: torch.Generator) -> None:
        out.uniform_(-(3**0.5), 3**0.5, generator=generator)

    spoiled = dataclasses.replace(noise_kinds()["additive"], draw=uniform)
    monkeypatch.setitem(noise_kinds(), "additive", spoiled)
    x = torch.zeros(len(MEMBERS), 128, 64, device=CUDA)
    injection = Injection(configs(MEMBERS), "training", CUDA)
    assert [type(sampler) for sampler in injection.samplers] == [CounterBasedNoise, GeneratorNoise]
    assert not injection.capturable
    y = injection.at((3,))(POINT, x)
    assert float(y[1].abs().max()) <= 0.5 * 3**0.5
    assert float(y[1].std()) == pytest.approx(0.5, rel=0.05)
    gaussian = Injection(configs(MEMBERS[2:]), "training", CUDA)
    assert [type(sampler) for sampler in gaussian.samplers] == [CounterBasedNoise]
    assert gaussian.capturable


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:Synchronization debug mode:UserWarning")
@pytest.mark.parametrize("members", [MEMBERS, SHARING], ids=["alone", "sharing"])
def test_injection_does_not_synchronise_with_the_gpu(members: list[dict[str, Any]]) -> None:
    injection = Injection(configs(members), "training", CUDA)
    audit = Audit(11, len(members), CUDA)
    x = side_by_side(len(members), 128, (16, 10, 10)).to(CUDA).requires_grad_()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in range(3):
            injection.at((step,), audit)(POINT, x).sum().backward()
        injection.at(torch.empty(1, dtype=torch.int64, device=CUDA).fill_(3))(POINT, x[2], member=2)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
def test_the_audit_on_a_gpu_measures_the_draws() -> None:
    audit = Audit(11, len(MEMBERS), CUDA)
    injection = Injection(configs(MEMBERS), "training", CUDA)
    for step in (0, 1):
        injection.at((step,), audit)(POINT, torch.ones(1, 250, 200, device=CUDA))
    assert_audit_measured_the_levels(audit)
    assert audit.of(0)["signal"][POINT] == 0.0


@pytest.mark.gpu
@pytest.mark.parametrize("members", [MEMBERS, SHARING], ids=["alone", "sharing"])
def test_a_captured_graph_draws_new_noise_at_every_step(members: list[dict[str, Any]]) -> None:
    injection = Injection(configs(members), "training", CUDA)
    assert injection.capturable
    index = torch.zeros(1, dtype=torch.int64, device=CUDA)
    x = torch.randn(len(members), 128, 64, device=CUDA, requires_grad=True)
    cotangent = torch.randn_like(x)

    def step() -> tuple[Tensor, Tensor]:
        y = injection.at(index)(POINT, x)
        (gradient,) = torch.autograd.grad(y, x, cotangent)
        return y, gradient

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y, gradient = step()
    for number in (0, 7, 123_456):
        index.fill_(number)
        graph.replay()
        again = x.detach().requires_grad_()
        expected = injection.at((number,))(POINT, again)
        assert torch.equal(y, expected)
        assert torch.equal(gradient, torch.autograd.grad(expected, again, cotangent)[0])

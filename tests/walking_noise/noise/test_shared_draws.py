"""Draws shared by members of one seed: one draw per seed, and the numbers of a run that trains by itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from walking_noise import RunConfig
from walking_noise.cpu_kernels import library
from walking_noise.noise.injection import Injection
from walking_noise.noise.rng import cpu_generators

CPU = torch.device("cpu")
SEEDS = (1, 1, 2, 1, 2)
KINDS: dict[str, dict[str, Any]] = {
    "additive": {"noise.kind": "additive"},
    "multiplicative": {"noise.kind": "multiplicative"},
    "straight-through": {"noise.kind": "multiplicative", "noise.gradient": "straight_through"},
    "mixed": {"noise.kind": "mixed"},
    "added first": {"noise.kind": "mixed", "noise.order": "add_first"},
}


def configs(kind: str) -> list[RunConfig]:
    """Global noise at a level of its own for each run; the last run has no noise at all."""
    runs = []
    for number, seed in enumerate(SEEDS):
        level = 0.1 * (len(SEEDS) - 1 - number)
        levels = {"noise.std": level}
        if KINDS[kind]["noise.kind"] == "mixed":
            levels = {"noise.std_mul": level, "noise.std_add": 2 * level}
        runs.append(RunConfig.from_dict({**KINDS[kind], **levels, "seed": seed}))
    return runs


def pass_through(runs: list[RunConfig], x: Tensor, upstream: Tensor) -> tuple[Tensor, Tensor]:
    """The noisy activations (K, B, …) and the gradient of the input."""
    x = x.clone().requires_grad_()
    y = Injection(runs, "training", CPU).at((7,))(3, x)
    (gradient,) = torch.autograd.grad(y, x, upstream)
    return y.detach(), gradient


@pytest.fixture(params=["kernels", "plain torch"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "plain torch":
        monkeypatch.setattr("walking_noise.cpu_kernels.noise_terms.library", lambda: None)
    elif library.library() is None:
        pytest.skip("no C compiler")
    return str(request.param)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(16, 7), (5, 3, 8, 9)])
def test_shared_draws_give_the_numbers_of_single_runs(kind: str, shape: tuple[int, ...]) -> None:
    runs = configs(kind)
    x, upstream = torch.randn(2, len(runs), *shape, generator=torch.Generator().manual_seed(0))
    together = pass_through(runs, x, upstream)
    for member, run in enumerate(runs):
        alone = pass_through([run], x[member : member + 1], upstream[member : member + 1])
        assert all(torch.equal(one[member], another[0]) for one, another in zip(together, alone, strict=True))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sliced", [False, True], ids=["contiguous", "strided"])
def test_kernels_and_plain_torch_are_bitwise_equal(kind: str, sliced: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if library.library() is None:
        pytest.skip("no C compiler")
    runs = configs(kind)
    x, upstream = torch.randn(2, 33, len(runs), 3, 11, generator=torch.Generator().manual_seed(1)).transpose(1, 2)
    if not sliced:
        x, upstream = x.contiguous(), upstream.contiguous()
    x[0, 0, 0] = torch.tensor([float("nan"), float("inf"), -float("inf"), 1e38, -0.0, 1e-45, 0, 1, 2, 3, 4])
    compiled = pass_through(runs, x, upstream)
    monkeypatch.setattr("walking_noise.cpu_kernels.noise_terms.library", lambda: None)
    plain = pass_through(runs, x, upstream)
    for one, another in zip(compiled, plain, strict=True):
        assert torch.equal(one.nan_to_num(7.0), another.nan_to_num(7.0))
        assert torch.equal(one.isnan(), another.isnan())


def test_members_of_a_seed_share_one_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    draw = cpu_generators.GeneratorNoise._draw

    def counted(sampler: Any, shared: Any, shape: Any) -> Tensor:
        drawn.append(shared.seed)
        return draw(sampler, shared, shape)

    monkeypatch.setattr(cpu_generators.GeneratorNoise, "_draw", counted)
    Injection(configs("additive"), "training", CPU).at((7,))(3, torch.zeros(len(SEEDS), 4, 5))
    assert drawn == [1, 2]

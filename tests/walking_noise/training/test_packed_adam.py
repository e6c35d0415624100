"""Adam of a pack against torch's Adam of each run, without and with weight decay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.walking_noise.training.reference_update import ReferenceUpdate
from walking_noise.pack.stacking import load_states, unstack
from walking_noise.training.adam import packed_adam
from walking_noise.training.adam.fused_cpu_update import FusedCpuUpdate
from walking_noise.training.adam.packed_adam import PackedAdam, cosine_rate

SHAPES = [(64, 5), (10, 7), (10,), (84,), (3, 2, 3, 3), (1,)]
STEPS = 6
FIRST = torch.tensor([0])
"""Number of completed steps before the first one."""


def parameters(runs: int) -> list[nn.Parameter]:
    torch.manual_seed(0)
    return [nn.Parameter(torch.randn(9, *shape)[:runs].clone()) for shape in SHAPES]


def gradients(step: int) -> list[Tensor]:
    """Gradients of nine runs, with some elements so small that Adam's epsilon matters."""
    random = torch.Generator().manual_seed(step)
    drawn = [torch.randn(9, *shape, generator=random) for shape in SHAPES]
    return [gradient * torch.where(gradient > 1, 1e-8, 1.0) for gradient in drawn]


RATES = [cosine_rate(1e-2, step, STEPS) for step in range(STEPS)]
NO_DECAY = (0.0,) * 9
DECAYS = (0.0, 0.01, 0.5, 10.0, 0.0, 1e-3, 0.01, 3.0, 250.0)
"""Weight decay of nine runs. At the last one, the first rate changes the sign of the weights."""


def packed(members: Sequence[int], decays: Sequence[float] = NO_DECAY) -> list[Tensor]:
    """The parameters of some of nine runs, trained as a pack with a rate for each step."""
    chosen = [nn.Parameter(parameter[list(members)].clone()) for parameter in parameters(9)]
    of_members = torch.tensor([decays[member] for member in members], dtype=torch.float64)
    adam = PackedAdam(chosen, decay=of_members if of_members.any() else None)
    for step, rate in enumerate(RATES):
        adam.anneal(rate)
        adam.step([gradient[list(members)] for gradient in gradients(step)], torch.tensor([step]))
    return [parameter.detach() for parameter in chosen]


def separate(run: int, decay: float = 0.0) -> list[Tensor]:
    """The parameters of one of nine runs, trained by torch's Adam, or by its AdamW with a weight decay."""
    own = [nn.Parameter(parameter.detach()[run].clone()) for parameter in parameters(9)]
    adam = torch.optim.AdamW(own, weight_decay=decay) if decay else torch.optim.Adam(own)
    for step, rate in enumerate(RATES):
        for group in adam.param_groups:
            group["lr"] = rate
        for parameter, gradient in zip(own, gradients(step), strict=True):
            parameter.grad = gradient[run].clone()
        adam.step()
    return [parameter.detach() for parameter in own]


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("decays", [NO_DECAY, DECAYS], ids=["no decay", "decay"])
@pytest.mark.parametrize("update", [FusedCpuUpdate, ReferenceUpdate])
def test_a_pack_is_updated_like_separate_runs(
    update: type[Any], decays: Sequence[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed_adam, "FusedCpuUpdate", update)
    together = packed(range(9), decays)
    for run in range(9):
        for parameter, single in zip(together, separate(run, decays[run]), strict=True):
            torch.testing.assert_close(parameter[run], single, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("decays", [NO_DECAY, DECAYS], ids=["no decay", "decay"])
@pytest.mark.parametrize("members", [(0, 1), (3, 2, 1), (8, 7, 6, 5, 4, 3, 2), range(9)], ids=len)
def test_packed_members_equal_single_runs_bitwise(members: Sequence[int], decays: Sequence[float]) -> None:
    """A member without weight decay trains alone without a factor, and with a factor of 1 in a pack."""
    together = packed(members, decays)
    for position, member in enumerate(members):
        for parameter, single in zip(together, packed([member], decays), strict=True):
            assert torch.equal(parameter[position], single[0])


def test_weight_decay_changes_the_runs_that_have_it_only() -> None:
    for decayed, free in zip(packed(range(9), DECAYS), packed(range(9)), strict=True):
        changed = [not torch.equal(one, other) for one, other in zip(decayed, free, strict=True)]
        assert changed == [decay > 0 for decay in DECAYS]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e30])
def test_a_bad_gradient_affects_its_run_only(bad: float) -> None:
    first, second = parameters(2), parameters(2)
    for one, gradient in zip((first, second), (1.0, bad), strict=True):
        adam = PackedAdam(one)
        adam.anneal(1e-3)
        of_both = [torch.ones_like(parameter) for parameter in one]
        for tensor in of_both:
            tensor[1] *= gradient
        for step in range(2):
            adam.step(of_both, torch.tensor([step]))
    for healthy, with_bad in zip(first, second, strict=True):
        assert torch.equal(healthy[0], with_bad[0])
        assert not torch.equal(healthy[1], with_bad[1])


@pytest.mark.parametrize("decay", [None, torch.tensor([0.5, 0.0]).double()], ids=["no decay", "decay"])
def test_a_parameter_without_a_gradient_is_not_changed(decay: Tensor | None) -> None:
    chosen = parameters(2)
    before = [parameter.detach().clone() for parameter in chosen]
    adam = PackedAdam(chosen, decay=decay)
    adam.anneal(1e-3)
    adam.step([None, *(torch.ones_like(parameter) for parameter in chosen[1:])], FIRST)
    changed = [not torch.equal(parameter, old) for parameter, old in zip(chosen, before, strict=True)]
    assert changed == [False, True, True, True, True, True]


def test_the_memory_layout_of_a_gradient_changes_nothing() -> None:
    first, second = parameters(2), parameters(2)
    for one, layout in ((first, Tensor.contiguous), (second, lambda gradient: gradient.mT.contiguous().mT)):
        adam = PackedAdam(one[:2])
        adam.anneal(1e-3)
        adam.step([layout(gradient[:2]) for gradient in gradients(0)[:2]], FIRST)
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize("members", [(0, 1, 2, 3, 4), (1, 4), (3, 0)], ids=str)
def test_some_members_continue_in_a_smaller_pack(members: Sequence[int]) -> None:
    expected = packed(range(9))
    chosen = [nn.Parameter(parameter[list(range(5))].clone()) for parameter in parameters(9)]
    adam = PackedAdam(chosen)
    for step, rate in enumerate(RATES):
        if step == 3:
            chosen = [nn.Parameter(parameter.detach()[list(members)]) for parameter in chosen]
            fewer = PackedAdam(chosen)
            states = unstack(adam.stacked_state())
            load_states(fewer.stacked_state(), [states[member] for member in members])
            adam = fewer
        present = list(range(5) if step < 3 else members)
        adam.anneal(rate)
        adam.step([gradient[present] for gradient in gradients(step)], torch.tensor([step]))
    for parameter, whole in zip(chosen, expected, strict=True):
        assert torch.equal(parameter, whole[list(members)])


def test_weights_with_a_bound_are_clamped() -> None:
    bounds = torch.tensor([0.3, float("inf"), 0.1, 0.3])
    free, clamped = parameters(4), parameters(4)
    first_gradients = [gradient[:4].clone() for gradient in gradients(0)]
    first_gradients[0][0, 0, 0] = float("nan")
    for chosen, per_parameter in ((free, None), (clamped, [bounds, *[None] * 5])):
        adam = PackedAdam(chosen, per_parameter)
        adam.anneal(1e-2)
        adam.step(first_gradients, FIRST)
    for member, bound in enumerate(bounds.tolist()):
        expected = free[0][member].detach().clamp(-bound, bound)
        torch.testing.assert_close(clamped[0][member].detach(), expected, rtol=0, atol=0, equal_nan=True)
        assert torch.equal(free[0][member], expected) == (bound > 1)
    assert torch.isnan(clamped[0][0, 0, 0])
    assert all(torch.equal(one, other) for one, other in zip(free[1:], clamped[1:], strict=True))


@pytest.mark.parametrize("each_step", [False, True], ids=["checked on request", "recorded by each step"])
def test_nonfinite_weights_and_moments_are_detected(each_step: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if each_step:
        monkeypatch.setattr(packed_adam, "FusedCpuUpdate", ReferenceUpdate)
    chosen = parameters(4)
    adam = PackedAdam(chosen)
    adam.anneal(1e-3)
    chosen[0].data[1, 0, 0] = float("inf")
    ones = [torch.ones_like(parameter) for parameter in chosen]
    ones[4][2] = 1e30
    ones[5][3] = float("nan")
    adam.step(ones, FIRST)
    assert adam.weights_finite().tolist() == [True, False, True, False]
    assert adam.moments_finite().tolist() == [True, True, False, False]


@pytest.mark.parametrize("epochs", [1, 2, 5, 20, 100])
def test_the_rate_anneals_like_torchs_cosine(epochs: int) -> None:
    adam = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, T_max=epochs)
    for epoch in range(epochs):
        assert cosine_rate(5e-4, epoch, epochs) == pytest.approx(schedule.get_last_lr()[0], rel=1e-9, abs=1e-18)
        adam.step()
        schedule.step()
    assert cosine_rate(5e-4, epochs, epochs) == 0


def test_the_rate_computed_by_hand() -> None:
    assert [cosine_rate(2.0, epoch, 4) for epoch in range(4)] == pytest.approx([2.0, 1 + 0.5**0.5, 1.0, 1 - 0.5**0.5])

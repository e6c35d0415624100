"""Adam for a pack, against torch's Adam for each run."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from walking_noise.pack.stacking import load_states, unstack
from walking_noise.training.adam.packed_adam import PackedAdam, cosine_rate

SHAPES = [(64, 5), (10, 7), (10,), (84,), (3, 2, 3, 3), (1,)]
STEPS = 6


def parameters(runs: int) -> list[nn.Parameter]:
    torch.manual_seed(0)
    return [nn.Parameter(torch.randn(9, *shape)[:runs].clone()) for shape in SHAPES]


def gradients(step: int) -> list[Tensor]:
    """Of nine runs; some elements small enough for Adam's epsilon to count."""
    random = torch.Generator().manual_seed(step)
    drawn = [torch.randn(9, *shape, generator=random) for shape in SHAPES]
    return [gradient * torch.where(gradient > 1, 1e-8, 1.0) for gradient in drawn]


def packed(rates: Sequence[Sequence[float]], members: Sequence[int]) -> list[Tensor]:
    """The parameters of some of nine runs after a rate for each run and step."""
    chosen = [nn.Parameter(parameter[list(members)].clone()) for parameter in parameters(9)]
    adam = PackedAdam(chosen)
    for step, now in enumerate(rates):
        adam.anneal([now[member] for member in members])
        adam.step([gradient[list(members)] for gradient in gradients(step)])
    return [parameter.detach() for parameter in chosen]


def separate(rates: Sequence[Sequence[float]], run: int) -> list[Tensor]:
    """The parameters of one run, trained by torch."""
    own = [nn.Parameter(parameter.detach()[run].clone()) for parameter in parameters(9)]
    adam = torch.optim.Adam(own)
    for step, now in enumerate(rates):
        for group in adam.param_groups:
            group["lr"] = now[run]
        for parameter, gradient in zip(own, gradients(step), strict=True):
            parameter.grad = gradient[run].clone()
        adam.step()
    return [parameter.detach() for parameter in own]


EQUAL = [[cosine_rate(1e-2, step, STEPS)] * 9 for step in range(STEPS)]
DIFFERING = [[cosine_rate(10.0 ** -(1 + run / 3), step, STEPS) for run in range(9)] for step in range(STEPS)]


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("rates", [EQUAL, DIFFERING], ids=["equal rates", "differing rates"])
def test_a_pack_is_updated_as_separate_runs(rates: list[list[float]]) -> None:
    together = packed(rates, range(9))
    for run in range(9):
        for parameter, alone in zip(together, separate(rates, run), strict=True):
            torch.testing.assert_close(parameter[run], alone, rtol=1e-12, atol=1e-14)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("rates", [EQUAL, DIFFERING], ids=["equal rates", "differing rates"])
def test_without_a_kernel_of_the_device_the_reference_is_used(
    rates: list[list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = packed(rates, range(9))
    monkeypatch.setattr("walking_noise.training.adam.packed_adam.FusedAdam", lambda stacks: None)
    for parameter, other in zip(expected, packed(rates, range(9)), strict=True):
        torch.testing.assert_close(parameter, other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("rates", [EQUAL, DIFFERING], ids=["equal rates", "differing rates"])
@pytest.mark.parametrize("members", [(0, 1), (3, 2, 1), (8, 7, 6, 5, 4, 3, 2), range(9)], ids=len)
def test_packed_equals_alone_to_the_last_bit(rates: list[list[float]], members: Sequence[int]) -> None:
    together = packed(rates, members)
    for position, member in enumerate(members):
        for parameter, alone in zip(together, packed(rates, [member]), strict=True):
            assert torch.equal(parameter[position], alone[0])


def test_a_rate_equal_to_all_others_changes_no_bit() -> None:
    """Runs of equal rate are updated in one go; beside another rate each by itself."""
    mixed = [[*now[:8], 0.5] for now in EQUAL]
    for together, apart in zip(packed(EQUAL, range(9)), packed(mixed, range(9)), strict=True):
        assert torch.equal(together[:8], apart[:8])
        assert not torch.equal(together[8], apart[8])


@pytest.mark.parametrize("sick", [float("nan"), float("inf"), 1e30])
def test_a_sick_gradient_stays_with_its_run(sick: float) -> None:
    first, second = parameters(2), parameters(2)
    for one, gradient in zip((first, second), (1.0, sick), strict=True):
        adam = PackedAdam(one)
        adam.anneal([1e-3, 1e-3])
        both = [torch.ones_like(parameter) for parameter in one]
        for slope in both:
            slope[1] *= gradient
        for _ in range(2):
            adam.step(both)
    for healthy, beside_sick in zip(first, second, strict=True):
        assert torch.equal(healthy[0], beside_sick[0])
        assert not torch.equal(healthy[1], beside_sick[1])


def test_a_parameter_without_a_gradient_stays_as_it_is() -> None:
    chosen = parameters(2)
    before = [parameter.detach().clone() for parameter in chosen]
    adam = PackedAdam(chosen)
    adam.anneal([1e-3, 1e-3])
    adam.step([None, *(torch.ones_like(parameter) for parameter in chosen[1:])])
    changed = [not torch.equal(parameter, old) for parameter, old in zip(chosen, before, strict=True)]
    assert changed == [False, True, True, True, True, True]


def test_how_a_gradient_lies_in_memory_changes_nothing() -> None:
    first, second = parameters(2), parameters(2)
    for one, lay in ((first, Tensor.contiguous), (second, lambda gradient: gradient.mT.contiguous().mT)):
        adam = PackedAdam(one[:2])
        adam.anneal([1e-3, 1e-2])
        adam.step([lay(gradient[:2]) for gradient in gradients(0)[:2]])
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize("members", [(0, 1, 2, 3, 4), (1, 4), (3, 0)], ids=str)
def test_some_members_go_on_by_themselves(members: Sequence[int]) -> None:
    expected = packed(DIFFERING, range(9))
    chosen = [nn.Parameter(parameter[list(range(5))].clone()) for parameter in parameters(9)]
    adam = PackedAdam(chosen)
    for step, now in enumerate(DIFFERING):
        if step == 3:
            chosen = [nn.Parameter(parameter.detach()[list(members)]) for parameter in chosen]
            fewer = PackedAdam(chosen)
            kept = unstack(adam.stacked_state())
            load_states(fewer.stacked_state(), [kept[member] for member in members])
            adam = fewer
        present = range(5) if step < 3 else members
        adam.anneal([now[member] for member in present])
        adam.step([gradient[list(present)] for gradient in gradients(step)])
    for parameter, whole in zip(chosen, expected, strict=True):
        assert torch.equal(parameter, whole[list(members)])


@pytest.mark.parametrize("rates", [[1e-2] * 4, [1e-2, 1e-3, 1e-2, 0.1]], ids=["equal rates", "differing rates"])
def test_weights_are_clamped_where_they_have_a_bound(rates: list[float]) -> None:
    bounds = torch.tensor([0.3, float("inf"), 0.1, 0.3])
    free, clamped = parameters(4), parameters(4)
    slopes = [gradient[:4].clone() for gradient in gradients(0)]
    slopes[0][0, 0, 0] = float("nan")
    for chosen, of_each in ((free, None), (clamped, [bounds, *[None] * 5])):
        adam = PackedAdam(chosen, of_each)
        adam.anneal(rates)
        adam.step(slopes)
    for member, bound in enumerate(bounds.tolist()):
        expected = free[0][member].detach().clamp(-bound, bound)
        torch.testing.assert_close(clamped[0][member].detach(), expected, rtol=0, atol=0, equal_nan=True)
        assert torch.equal(free[0][member], expected) == (bound > 1)
    assert torch.isnan(clamped[0][0, 0, 0])
    assert all(torch.equal(one, other) for one, other in zip(free[1:], clamped[1:], strict=True))


@pytest.mark.parametrize("noted", [False, True], ids=["looked at", "noted by each step"])
def test_what_is_no_longer_finite_is_found(noted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if noted:
        monkeypatch.setattr("walking_noise.training.adam.packed_adam.FusedAdam", lambda stacks: None)
    chosen = parameters(4)
    adam = PackedAdam(chosen)
    adam.anneal([1e-3, float("inf"), 1e-3, 1e-3])
    slopes = [torch.ones_like(parameter) for parameter in chosen]
    slopes[4][2] = 1e30
    slopes[5][3] = float("nan")
    adam.step(slopes)
    assert adam.weights_finite().tolist() == [True, False, True, False]
    assert adam.moments_finite().tolist() == [True, True, False, False]


@pytest.mark.parametrize("epochs", [1, 2, 5, 20, 100])
def test_the_rate_anneals_as_torchs_cosine(epochs: int) -> None:
    adam = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, T_max=epochs)
    for epoch in range(epochs):
        assert cosine_rate(5e-4, epoch, epochs) == pytest.approx(schedule.get_last_lr()[0], rel=1e-9, abs=1e-18)
        adam.step()
        schedule.step()
    assert cosine_rate(5e-4, epochs, epochs) == 0


def test_the_rate_by_hand() -> None:
    assert [cosine_rate(2.0, epoch, 4) for epoch in range(4)] == pytest.approx([2.0, 1 + 0.5**0.5, 1.0, 1 - 0.5**0.5])

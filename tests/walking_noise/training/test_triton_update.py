"""Update rules of Adam: the reference against torch's Adam, and the Triton kernel against the reference."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from walking_noise.training.adam.reference_update import StackedParameter, bias_corrections, reference_update

ROOT = Path(__file__).parents[3]
STARTS = (0, 3, 250)
RATES = (1e-1, 1e-3, 3e-2)
BOUNDS = (float("inf"), 0.3, 1.0)


@pytest.mark.parametrize("shape", [(5, 7), (1,), (2, 3, 3)], ids=str)
def test_the_reference_equals_torchs_adam_for_each_member(shape: tuple[int, ...]) -> None:
    """The members have different step counts and different rates."""
    random = torch.Generator().manual_seed(0)
    gradients = torch.randn(max(STARTS) + 4, 3, *shape, generator=random, dtype=torch.float64)
    own = [torch.nn.Parameter(one) for one in torch.randn(3, *shape, generator=random, dtype=torch.float64)]
    adams = [torch.optim.Adam([one], lr=rate) for one, rate in zip(own, RATES, strict=True)]
    stacked = StackedParameter.initial(torch.stack([*own]))
    for member, (adam, start) in enumerate(zip(adams, STARTS, strict=True)):
        for step in range(start):
            own[member].grad = gradients[step, member]
            adam.step()
        stacked.parameter[member] = own[member].detach()
        if start:
            stacked.first_moment[member] = adam.state[own[member]]["exp_avg"]
            stacked.second_moment[member] = adam.state[own[member]]["exp_avg_sq"]
    rates, steps = torch.tensor(RATES, dtype=torch.float64), torch.tensor(STARTS, dtype=torch.float64)
    for step in range(4):
        together = torch.stack([gradients[start + step, member] for member, start in enumerate(STARTS)])
        for member, adam in enumerate(adams):
            own[member].grad = together[member]
            adam.step()
        steps += 1
        reference_update(stacked, together, *bias_corrections(rates, steps), torch.ones(3, dtype=torch.int32))
        torch.testing.assert_close(stacked.parameter, torch.stack([*own]).detach(), rtol=1e-12, atol=1e-14)


def compare_with_reference(device: str, dtype: torch.dtype, tolerance: float) -> None:
    """Compare steps of the kernel and of the reference, for many shapes. At the last step, one gradient is NaN."""
    from walking_noise.training.adam import triton_update

    random = torch.Generator().manual_seed(1)
    rates = torch.tensor(RATES, dtype=torch.float64, device=device)
    for shape in ((3, 5, 7), (3, 1), (3, 1024), (3, 2, 1500)):
        for bound in (None, torch.tensor(BOUNDS, dtype=dtype, device=device)):
            start = torch.randn(shape, generator=random, dtype=dtype).to(device)
            one, other = (StackedParameter.initial(start.clone(), bound) for _ in range(2))
            expected_finite, finite = (torch.ones(3, dtype=torch.int32, device=device) for _ in range(2))
            steps = torch.tensor(STARTS, dtype=torch.float64, device=device)
            for with_nan in (False, False, False, True):
                gradient = torch.randn(shape, generator=random, dtype=dtype).to(device)
                if with_nan:
                    gradient[1].view(-1)[-1] = float("nan")
                steps += 1
                step_size, correction = (values.to(dtype) for values in bias_corrections(rates, steps))
                assert expected_finite.tolist() == finite.tolist() == [1, 1, 1]
                reference_update(one, gradient, step_size, correction, expected_finite)
                triton_update.triton_update(other, gradient, step_size, correction, finite)
            assert expected_finite.tolist() == finite.tolist() == [1, 0, 1]
            for expected, actual in zip(tensors_of(one), tensors_of(other), strict=True):
                torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance / 10, equal_nan=True)


def tensors_of(stacked: StackedParameter) -> tuple[Tensor, Tensor, Tensor]:
    return stacked.parameter, stacked.first_moment, stacked.second_moment


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
def test_the_interpreted_kernel_equals_the_reference(
    dtype: str, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    script = f"""
import torch
from tests.walking_noise.training.test_triton_update import compare_with_reference
compare_with_reference("cpu", torch.{dtype}, {tolerance})
"""
    finished = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr


def test_the_kernel_compiles_without_a_gpu() -> None:
    """In a process of its own, since this one may have imported the kernel to interpret it."""
    script = """
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from walking_noise.training.adam.triton_update import ELEMENTS, _update_kernel

tensors = "parameters gradients first_moments second_moments step_sizes bias_corrections2_sqrt bounds".split()
signature = {**dict.fromkeys(tensors, "*fp32"), "finite": "*i32", "elements": "i32"}
for bounded in (False, True):
    constants = {"BETA1": 0.9, "BETA2": 0.999, "EPSILON": 1e-8, "BOUNDED": bounded, "ELEMENTS": ELEMENTS}
    kinds = signature | dict.fromkeys(constants, "constexpr")
    source = ASTSource(_update_kernel, kinds, constexprs=constants)
    for capability in (80, 90):
        assert compile(source, target=GPUTarget("cuda", capability, 32)).asm["cubin"]
"""
    finished = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr


@pytest.mark.gpu
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)], ids=str)
def test_the_kernel_equals_the_reference_on_a_gpu(dtype: torch.dtype, tolerance: float) -> None:
    compare_with_reference("cuda", dtype, tolerance)


@pytest.mark.gpu
@pytest.mark.parametrize("elements", [1, 10, 784, 50_176])
def test_packed_members_equal_single_runs_bitwise_on_a_gpu(elements: int) -> None:
    from walking_noise.training.adam import triton_update

    random = torch.Generator("cuda").manual_seed(2)
    members = 7
    start = torch.randn(members, elements, generator=random, device="cuda")
    packed = StackedParameter.initial(start.clone())
    single = [StackedParameter.initial(start[member : member + 1].clone()) for member in range(members)]
    rates = torch.logspace(-4, -1, members, dtype=torch.float64, device="cuda")
    for step in range(1, 4):
        gradient = torch.randn(members, elements, generator=random, device="cuda")
        step_size, correction = (values.float() for values in bias_corrections(rates, torch.full_like(rates, step)))
        finite = torch.ones(members, dtype=torch.int32, device="cuda")
        triton_update.triton_update(packed, gradient, step_size, correction, finite)
        for member, one in enumerate(single):
            own = slice(member, member + 1)
            triton_update.triton_update(
                one, gradient[own].clone(), step_size[own].clone(), correction[own].clone(), finite[own].clone()
            )
    assert torch.equal(packed.parameter, torch.cat([one.parameter for one in single]))

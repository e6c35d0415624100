"""Adam's Triton kernel against the reference."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.walking_noise.training.reference_update import ReferenceUpdate
from walking_noise.training.adam.stacked_parameter import StackedParameter

ROOT = Path(__file__).parents[3]
BOUNDS = (float("inf"), 0.3, 1.0)
DECAY_FACTORS = (0.985, 1.0, -0.7)


def compare_with_reference(device: str, dtype: torch.dtype, tolerance: float) -> None:
    """Compare steps of the kernel and of the reference, for many shapes. At the last step, one gradient is NaN.

    The steps are the first ones, and later ones at which the corrections of the moments have nearly ended.
    """
    from walking_noise.training.adam.triton_update import TritonUpdate

    random = torch.Generator().manual_seed(1)
    rate = torch.tensor(3e-2, dtype=torch.float64, device=device)
    bounds = torch.tensor(BOUNDS, dtype=dtype, device=device)
    starts = [
        torch.randn(shape, generator=random, dtype=dtype) for shape in ((3, 5, 7), (3, 1), (3, 1024), (3, 2, 1500))
    ]
    factors = torch.tensor(DECAY_FACTORS, dtype=dtype, device=device)
    for bound, factor in product((None, bounds), (None, factors)):
        one, other = ([StackedParameter.initial(start.to(device).clone(), bound) for start in starts] for _ in range(2))
        reference, update = ReferenceUpdate(one, factor), TritonUpdate(other, factor)
        for step in (1, 2, 3, 250, 251):
            gradients = [torch.randn(start.shape, generator=random, dtype=dtype).to(device) for start in starts]
            if step == 251:
                gradients[2][1].view(-1)[-1] = float("nan")
            assert reference.finite.tolist() == update.finite.tolist() == [1, 1, 1]
            for each in (reference, update):
                each([*gradients[:3], None if step == 2 else gradients[3]], rate, torch.tensor([step], device=device))
        assert reference.finite.tolist() == update.finite.tolist() == [1, 0, 1]
        for expected, actual in zip(tensors_of(one), tensors_of(other), strict=True):
            torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance / 10, equal_nan=True)


def tensors_of(stacked: Sequence[StackedParameter]) -> list[Tensor]:
    return [tensor for one in stacked for tensor in (one.parameter, one.first_moment, one.second_moment)]


@pytest.mark.slow
def test_the_interpreted_kernel_equals_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    script = """
import torch
from tests.walking_noise.training.test_triton_update import compare_with_reference
compare_with_reference("cpu", torch.float32, 1e-5)
compare_with_reference("cpu", torch.float64, 1e-12)
"""
    finished = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr


@pytest.mark.slow
def test_the_kernel_compiles_without_a_gpu() -> None:
    """In a process of its own, since this one may have imported the kernel to interpret it."""
    script = """
from itertools import product
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from walking_noise.training.adam.triton_update import ELEMENTS, _update_kernel

tensors = "parameters gradients first_moments second_moments step_size bias_correction2_sqrt bounds decay_factors"
signature = {**dict.fromkeys(tensors.split(), "*fp32"), "finite": "*i32", "elements": "i32"}
for bounded, decayed in product((False, True), repeat=2):
    constants = {"BETA1": 0.9, "BETA2": 0.999, "EPSILON": 1e-8, "ELEMENTS": ELEMENTS}
    constants |= {"BOUNDED": bounded, "DECAYED": decayed}
    kinds = signature | dict.fromkeys(constants, "constexpr")
    source = ASTSource(_update_kernel, kinds, constexprs=constants)
    for capability in (80, 90, 100) if bounded and decayed else (90,):
        assert compile(source, target=GPUTarget("cuda", capability, 32)).asm["cubin"]
"""
    finished = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr


@pytest.mark.gpu
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)], ids=str)
def test_the_kernel_equals_the_reference_on_a_gpu(dtype: torch.dtype, tolerance: float) -> None:
    compare_with_reference("cuda", dtype, tolerance)


@pytest.mark.gpu
@pytest.mark.parametrize("factors", [None, (1.0, 0.99, 0.5, -0.7, 1.0, 1 - 1e-5, 0.0)], ids=["no decay", "decay"])
@pytest.mark.parametrize("elements", [1, 10, 784, 50_176])
def test_packed_members_equal_single_runs_bitwise_on_a_gpu(elements: int, factors: Sequence[float] | None) -> None:
    """A member without weight decay trains alone without a factor, and with a factor of 1 in a pack."""
    from walking_noise.training.adam.triton_update import TritonUpdate

    random = torch.Generator("cuda").manual_seed(2)
    members = 7
    start = torch.randn(members, elements, generator=random, device="cuda")
    packed = StackedParameter.initial(start.clone())
    single = [StackedParameter.initial(start[member : member + 1].clone()) for member in range(members)]
    update = TritonUpdate([packed], None if factors is None else torch.tensor(factors, device="cuda"))
    own = [None if factor == 1 else torch.tensor([factor], device="cuda") for factor in factors or [1] * members]
    updates = [TritonUpdate([one], factor) for one, factor in zip(single, own, strict=True)]
    rate = torch.tensor(1e-2, dtype=torch.float64, device="cuda")
    for number in range(1, 4):
        gradient, step = (
            torch.randn(members, elements, generator=random, device="cuda"),
            torch.tensor([number], device="cuda"),
        )
        update([gradient], rate, step)
        for member, each in enumerate(updates):
            each([gradient[member : member + 1].clone()], rate, step)
    assert torch.equal(packed.parameter, torch.cat([one.parameter for one in single]))

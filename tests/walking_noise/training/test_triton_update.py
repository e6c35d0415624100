"""One step of Adam in plain torch, against torch's Adam; and the kernel for GPUs, against that."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from walking_noise.training.adam.reference_update import Stack, corrections, plain_move

ROOT = Path(__file__).parents[3]
STARTS = (0, 3, 250)
RATES = (1e-1, 1e-3, 3e-2)
BOUNDS = (float("inf"), 0.3, 1.0)


@pytest.mark.parametrize("shape", [(5, 7), (1,), (2, 3, 3)], ids=str)
def test_the_reference_is_torchs_adam_for_each_member(shape: tuple[int, ...]) -> None:
    """Members go on together from other steps, at other rates."""
    random = torch.Generator().manual_seed(0)
    slopes = torch.randn(max(STARTS) + 4, 3, *shape, generator=random, dtype=torch.float64)
    own = [torch.nn.Parameter(one) for one in torch.randn(3, *shape, generator=random, dtype=torch.float64)]
    adams = [torch.optim.Adam([one], lr=rate) for one, rate in zip(own, RATES, strict=True)]
    stack = Stack.of(torch.stack([*own]))
    for member, (adam, start) in enumerate(zip(adams, STARTS, strict=True)):
        for step in range(start):
            own[member].grad = slopes[step, member]
            adam.step()
        stack.parameter[member] = own[member].detach()
        if start:
            stack.mean[member] = adam.state[own[member]]["exp_avg"]
            stack.square[member] = adam.state[own[member]]["exp_avg_sq"]
    rates, steps = torch.tensor(RATES, dtype=torch.float64), torch.tensor(STARTS, dtype=torch.float64)
    for step in range(4):
        together = torch.stack([slopes[start + step, member] for member, start in enumerate(STARTS)])
        for member, adam in enumerate(adams):
            own[member].grad = together[member]
            adam.step()
        steps += 1
        plain_move(stack, together, *corrections(rates, steps), torch.ones(3, dtype=torch.int32))
        torch.testing.assert_close(stack.parameter, torch.stack([*own]).detach(), rtol=1e-12, atol=1e-14)


def compare_with_reference(device: str, dtype: torch.dtype, tolerance: float) -> None:
    """Some steps of the kernel and of the reference, on stacks of many shapes, one member sick in the end."""
    from walking_noise.training.adam import triton_update

    random = torch.Generator().manual_seed(1)
    rates = torch.tensor(RATES, dtype=torch.float64, device=device)
    for shape in ((3, 5, 7), (3, 1), (3, 1024), (3, 2, 1500)):
        for bound in (None, torch.tensor(BOUNDS, dtype=dtype, device=device)):
            start = torch.randn(shape, generator=random, dtype=dtype).to(device)
            one, other = Stack.of(start.clone(), bound), Stack.of(start.clone(), bound)
            healthy, noted = (torch.ones(3, dtype=torch.int32, device=device) for _ in range(2))
            steps = torch.tensor(STARTS, dtype=torch.float64, device=device)
            for sick in (False, False, False, True):
                gradient = torch.randn(shape, generator=random, dtype=dtype).to(device)
                if sick:
                    gradient[1].view(-1)[-1] = float("nan")
                steps += 1
                size, root = (values.to(dtype) for values in corrections(rates, steps))
                assert healthy.tolist() == noted.tolist() == [1, 1, 1]
                plain_move(one, gradient, size, root, healthy)
                triton_update.move(other, gradient, size, root, noted)
            assert healthy.tolist() == noted.tolist() == [1, 0, 1]
            for expected, found in zip(parts(one), parts(other), strict=True):
                torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance / 10, equal_nan=True)


def parts(stack: Stack) -> tuple[Tensor, Tensor, Tensor]:
    return stack.parameter, stack.mean, stack.square


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
def test_the_kernel_is_the_reference_where_it_is_interpreted(
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


def test_the_kernel_compiles_for_a_gpu_that_is_not_here() -> None:
    """In a process of its own: what is imported there may be interpreted here."""
    script = """
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from walking_noise import adam_kernel

tensors = ("parameters", "gradients", "means", "squares", "sizes", "roots", "bounds")
signature = {**dict.fromkeys(tensors, "*fp32"), "finite": "*i32", "elements": "i32"}
for bounded in (False, True):
    constants = {"BETA1": 0.9, "BETA2": 0.999, "EPSILON": 1e-8, "BOUNDED": bounded, "ELEMENTS": adam_kernel.ELEMENTS}
    kinds = signature | dict.fromkeys(constants, "constexpr")
    source = ASTSource(adam_kernel._move, kinds, constexprs=constants)
    for capability in (80, 90):
        assert compile(source, target=GPUTarget("cuda", capability, 32)).asm["cubin"]
"""
    finished = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr


@pytest.mark.gpu
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)], ids=str)
def test_the_kernel_is_the_reference_on_a_gpu(dtype: torch.dtype, tolerance: float) -> None:
    compare_with_reference("cuda", dtype, tolerance)


@pytest.mark.gpu
@pytest.mark.parametrize("elements", [1, 10, 784, 50_176])
def test_packed_equals_alone_to_the_last_bit_on_a_gpu(elements: int) -> None:
    from walking_noise.training.adam import triton_update

    random = torch.Generator("cuda").manual_seed(2)
    members = 7
    start = torch.randn(members, elements, generator=random, device="cuda")
    packed = Stack.of(start.clone())
    alone = [Stack.of(start[member : member + 1].clone()) for member in range(members)]
    rates = torch.logspace(-4, -1, members, dtype=torch.float64, device="cuda")
    for step in range(1, 4):
        gradient = torch.randn(members, elements, generator=random, device="cuda")
        size, root = (values.float() for values in corrections(rates, torch.full_like(rates, step)))
        finite = torch.ones(members, dtype=torch.int32, device="cuda")
        triton_update.move(packed, gradient, size, root, finite)
        for member, one in enumerate(alone):
            own = slice(member, member + 1)
            triton_update.move(one, gradient[own].clone(), size[own].clone(), root[own].clone(), finite[own].clone())
    assert torch.equal(packed.parameter, torch.cat([one.parameter for one in alone]))

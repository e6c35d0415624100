"""Triton kernels: interpreted on a CPU, compiled for GPUs that do not have to exist, and run on an existing GPU."""
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.walking_noise.noise import kernel_checks, noise_reference
from tests.walking_noise.noise.kernel_checks import CHECKS, activations, assert_same_bits, point_noise
from tests.walking_noise.triton_interpreter import interpreted_checks
from walking_noise.noise.rng import triton_kernels
from walking_noise.noise.rng.point_noise import CHUNK

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
ROOT = Path(__file__).parents[3]
TYPES = {
    "x_ptr": "*fp32",
    "y_ptr": "*fp32",
    "partial_ptr": "*fp64",
    "member_ptr": "*i32",
    "key_ptr": "*i64",
    "mul_ptr": "*fp32",
    "add_ptr": "*fp32",
    "add_first_ptr": "*i32",
    "step_ptr": "*i64",
}


@pytest.fixture(scope="module")
def interpreted() -> dict[str, str | None]:
    """The failures of the checks with interpreted kernels, in a new process as Triton requires."""
    return interpreted_checks(kernel_checks)


@pytest.mark.parametrize("check", CHECKS)
def test_interpreted(check: str, interpreted: dict[str, str | None]) -> None:
    assert interpreted[check] is None, interpreted[check]


@pytest.mark.gpu
@pytest.mark.parametrize("check", [name for name in CHECKS if name != "members_of_a_seed_draw_once"])
def test_on_a_gpu(check: str) -> None:
    CHECKS[check](CUDA)


@pytest.mark.gpu
def test_results_on_a_gpu_equal_the_reference_on_a_cpu() -> None:
    step = torch.tensor([300, 39])
    for x in activations(CUDA):
        actual = triton_kernels.inject_noise(x, point_noise(CUDA), step.to(CUDA)).cpu()
        assert_same_bits(actual, noise_reference.inject_noise(x.cpu(), point_noise(CPU), step))


@pytest.mark.parametrize(
    ("capability", "inner", "chunk"),
    [
        (90, 1600, CHUNK),
        *(
            pytest.param(*kernel, marks=pytest.mark.slow)
            for kernel in [
                (90, 0, 1),
                (90, 0, CHUNK),
                (90, 1600, 1),
                (80, 0, 1),
                (80, 1600, CHUNK),
                (100, 0, CHUNK),
                (100, 1600, 1),
            ]
        ),
    ],
)
def test_compiled_code_rounds_every_operation_by_itself(capability: int, inner: int, chunk: int) -> None:
    """No fused multiply-add, no approximation, no flush of small numbers to zero; four elements read at once."""
    code = compiled(capability, inner, chunk)
    arithmetic = set(re.findall(r"\b((?:fma|mul|add|sub|sqrt|div|ex2|lg2|sin|cos)\.\S*f32)\b", code))
    assert arithmetic == {"mul.rn.f32", "add.rn.f32", "sub.rn.f32", "sqrt.rn.f32"}
    assert "ld.global.v4" in code
    assert "st.global.v4" in code


def compiled(capability: int, inner: int, chunk: int) -> str:
    """The kernel in PTX for a GPU of that compute capability."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    names = triton_kernels._inject.arg_names
    constants: dict[str, Any] = {"INNER": inner, "NUMBERS": 2, "CHUNK": chunk, "GROUPS": triton_kernels.GROUPS}
    if chunk == 1:
        constants["member_ptr"] = None
    signature = {name: "constexpr" if name in constants else TYPES.get(name, "i32") for name in names}
    aligned: dict[Any, Any] = {
        (index,): [["tt.divisibility", 16]] for index, name in enumerate(names) if name not in (*constants, "term")
    }
    source = ASTSource(triton_kernels._inject, signature=signature, constexprs=constants, attrs=aligned)
    options = {"enable_fp_fusion": False}
    code: str = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options).asm["ptx"]
    return code

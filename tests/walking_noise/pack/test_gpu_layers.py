"""Alternatives for layers on a GPU: interpreted on a CPU, compiled for GPUs that do not have to exist, and on a GPU."""
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.walking_noise.pack import layer_kernel_checks
from tests.walking_noise.pack.layer_kernel_checks import CHECKS, CONVOLUTIONS, Convolution, assert_equals_the_reference
from walking_noise.pack.gpu import triton_convolution

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def interpreted() -> dict[str, str | None]:
    """The failures of the checks with interpreted kernels, in a new process as Triton requires."""
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-m", layer_kernel_checks.__name__],
        cwd=ROOT,
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    failures: dict[str, str | None] = json.loads(finished.stdout)
    return failures


@pytest.mark.parametrize("check", CHECKS)
def test_interpreted(check: str, interpreted: dict[str, str | None]):
    assert interpreted[check] is None, interpreted[check]


@pytest.mark.gpu
@pytest.mark.parametrize("check", CHECKS)
def test_on_a_gpu(check: str):
    CHECKS[check](CUDA)


@pytest.mark.parametrize("alternative", ["grouped", "unfold"])
@pytest.mark.parametrize("convolution", CONVOLUTIONS, ids=str)
def test_convolutions_of_torch_equal_the_reference(convolution: Convolution, alternative: str):
    assert_equals_the_reference(convolution, alternative, CPU)


@pytest.mark.gpu
@pytest.mark.parametrize("alternative", ["grouped", "unfold"])
@pytest.mark.parametrize("convolution", CONVOLUTIONS, ids=str)
def test_convolutions_of_torch_equal_the_reference_on_a_gpu(convolution: Convolution, alternative: str):
    from walking_noise.reproducibility import deterministic

    with deterministic():
        assert_equals_the_reference(convolution, alternative, CUDA)


KERNELS = {"_forward": {}, "_input_gradient": {}, "_weight_gradient": {"TAP_TILE": 64}, "_add_parts": {"PARTS": 8}}
"""Kernels of a convolution, with the constants that only they have."""


@pytest.mark.parametrize("capability", [80, 90, 100])
@pytest.mark.parametrize("kernel", KERNELS)
def test_compiled_convolutions_multiply_in_float32(kernel: str, capability: int):
    """Fused multiply-add of float32 numbers, without tensor cores, which would round the factors to 10 bits."""
    x, weight = torch.empty(2, 128, 6, 14, 14, device="meta"), torch.empty(2, 16, 6, 5, 5, device="meta")
    constants = triton_convolution._constants(x, weight, (10, 10), (1, 1), (0, 0, 0, 0)) | KERNELS[kernel]
    sizes = triton_convolution.PIXELS, triton_convolution.SUMMED, triton_convolution.SAMPLES
    constants |= dict(zip(("PIXELS", "SUMMED", "SAMPLES"), sizes, strict=True))
    constants |= {"TILE": 16, "TAPS": 150, "ELEMENTS": triton_convolution.ELEMENTS}
    code = compiled(getattr(triton_convolution, kernel), constants, capability)
    assert "mma" not in code
    assert "tf32" not in code
    assert ("fma.rn.f32" in code) == (kernel != "_add_parts")


def compiled(kernel: Any, constants: dict[str, Any], capability: int) -> str:
    """The kernel in PTX for a GPU of that compute capability; ptxas has assembled it."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    constants = {name: value for name, value in constants.items() if name in kernel.arg_names}
    signature = {
        name: "constexpr" if name in constants else "*fp32" if name.endswith("_ptr") else "i32"
        for name in kernel.arg_names
    }
    source = ASTSource(kernel, signature=signature, constexprs=constants)
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32))
    assert compiled.asm["cubin"]
    code: str = compiled.asm["ptx"]
    return code

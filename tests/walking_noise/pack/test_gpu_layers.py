"""Alternatives for layers on a GPU: interpreted on a CPU, compiled for GPUs that do not have to exist, and on a GPU."""
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.walking_noise.pack import layer_kernel_checks
from tests.walking_noise.pack.convolution_checks import (
    CHECKS,
    CONVOLUTIONS,
    Convolution,
    assert_equals_the_reference,
)
from tests.walking_noise.triton_interpreter import interpreted_checks
from walking_noise import RunConfig, data
from walking_noise.noise.injection import Injection
from walking_noise.noise.rng import triton_image_layers
from walking_noise.pack.gpu import triton_convolution
from walking_noise.pack.gpu.choices import ALTERNATIVES
from walking_noise.pack.layers import PackedBatchNorm, convolution, fused_gpu_layers
from walking_noise.pack.layers.fused_gpu_layers import find_image_layers
from walking_noise.pack.layers.member_by_member import pass_on
from walking_noise.pack.pack import Pack
from walking_noise.training.trainer import train_pack

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def interpreted() -> dict[str, str | None]:
    """The failures of the checks with interpreted kernels, in a new process as Triton requires."""
    return interpreted_checks(layer_kernel_checks)


@pytest.mark.slow
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


IMAGES = {"CHANNELS": 6, "HEIGHT": 28, "WIDTH": 28, "SAMPLES": 128}
CONVOLUTION = triton_convolution._constants(
    torch.empty(2, 128, 6, 14, 14, device="meta"),
    torch.empty(2, 16, 6, 5, 5, device="meta"),
    (10, 10), (1, 1), (0, 0, 0, 0),
)  # fmt: skip
CONVOLUTION |= {"TILE": 16, "TAP_TILE": 64, "TAPS": 150, "PARTS": 8}
KERNELS: list[tuple[ModuleType, str, dict[str, int]]] = [
    *((triton_convolution, name, CONVOLUTION) for name in ("_forward", "_input_gradient", "_weight_gradient")),
    (triton_convolution, "_add_parts", CONVOLUTION),
    *((triton_image_layers, name, IMAGES) for name in ("_statistics", "_forward", "_gradient_sums", "_input_gradient")),
]
"""Modules, kernels and the constants that they are compiled for, those of LeNet-5."""
TYPES = {"key_ptr": "*i64", "first_ptr": "*i32", "step_ptr": "*i64", "position_ptr": "*u8"}


@pytest.mark.parametrize(
    ("module", "kernel", "constants", "capability"),
    [
        pytest.param(
            *kernel,
            capability,
            id=f"{kernel[0].__name__.split('.')[-1]}.{kernel[1]}-{capability}",
            marks=[pytest.mark.slow] * (capability != 90 or kernel[1] != "_forward"),
        )
        for kernel in KERNELS
        for capability in (80, 90, 100)
    ],
)
def test_compiled_kernels_compute_in_float32(
    module: ModuleType, kernel: str, constants: dict[str, Any], capability: int
):
    """Without tensor cores, which would round factors to 10 bits; layers with noise round every operation by itself."""
    code = compiled(module, kernel, constants, capability)
    assert "mma" not in code
    assert "tf32" not in code
    fuses = module is triton_convolution and kernel != "_add_parts"
    assert ("fma.rn.f32" in code) == fuses


def compiled(module: Any, name: str, constants: dict[str, Any], capability: int) -> str:
    """The kernel in PTX for a GPU of that compute capability; ptxas has assembled it."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    kernel = getattr(module, name)
    sizes = {
        name: getattr(module, name)
        for name in ("PIXELS", "SUMMED", "SAMPLES", "ELEMENTS", "WINDOWS", "NUMBERS")
        if hasattr(module, name)
    }
    constants = {
        name: value for name, value in ({"NUMBERS": 1} | sizes | constants).items() if name in kernel.arg_names
    }
    signature = {
        name: "constexpr"
        if name in constants
        else TYPES.get(name.removeprefix("later_"), "*fp32")
        if name.endswith("_ptr")
        else "i32"
        for name in kernel.arg_names
    }
    source = ASTSource(kernel, signature=signature, constexprs=constants)
    options = {"enable_fp_fusion": module is triton_convolution}
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    assert compiled.asm["cubin"]
    code: str = compiled.asm["ptx"]
    return code


class Fusing:
    """Injection of no noise that records the shapes of the images that it fuses."""

    def __init__(self) -> None:
        self.fused: list[tuple[int, ...]] = []

    def __call__(self, point: int, x: Tensor, /, member: int | None = None) -> Tensor:
        return x

    def image_layers(self, points: tuple[int | None, int | None], x: Tensor, norm: Any) -> Any:
        self.fused.append(tuple(x.shape))
        return x[..., ::2, ::2], x.mean((1, 3, 4)), x.var((1, 3, 4))


def test_layers_are_fused_in_training_on_images_of_even_size_if_the_table_says_so(monkeypatch: pytest.MonkeyPatch):
    config = RunConfig.from_dict({"model.name": "lenet5", "model.batch_norm": True})
    pack, inject, choice = Pack([config.initial_network()] * 2), Fusing(), ["fused"]
    section = list(pack.layers.values())
    found = find_image_layers(section)
    assert [(type(section[position]), layers.points) for position, layers in found.items()] == [
        (PackedBatchNorm, (2, 3)),
        (PackedBatchNorm, (6, 7)),
    ]
    monkeypatch.setattr(fused_gpu_layers, "chosen", lambda shape, device: choice[0])
    layers, even, odd = next(iter(found.values())), torch.randn(1, 3, 6, 4, 8), torch.randn(1, 3, 6, 4, 7)
    assert layers.forward(even, inject, 2) is not None
    assert bool(layers.norm and (layers.norm.running_mean != 0).all())
    assert layers.forward(odd, inject, 2) is None
    assert layers.forward(even, pass_on, 2) is None
    with torch.no_grad():
        assert layers.forward(even, inject, 2) is None
    choice[0] = "separate"
    assert layers.forward(even, inject, 2) is None
    assert inject.fused == [(2, 3, 6, 4, 8)]


def test_noise_of_other_generators_is_not_fused():
    config = RunConfig.from_dict({"model.name": "lenet5", "noise.std": 0.5})
    inject = Injection([config], "training", CPU).at((0,))
    assert inject.image_layers((1, 2), torch.randn(1, 3, 6, 4, 8), None) is None


@pytest.mark.gpu
@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_pack_with_other_choices_trains_alike_on_a_gpu(batch_norm: bool, monkeypatch: pytest.MonkeyPatch):
    settings: dict[str, Any] = {"model.name": "lenet5", "model.batch_norm": batch_norm, "training.epochs": 1}
    kinds = ("none", 0.0), ("additive", 0.3), ("multiplicative", 0.3)
    runs = [RunConfig.from_dict({**settings, "noise.kind": kind, "noise.std": std}) for kind, std in kinds]
    digits = data.load("mnist5k")
    losses = [[one.training_loss for one in train_pack(runs, digits, CUDA)]]
    for number in (1, -1):
        alternatives = {operation: names[number] for operation, names in ALTERNATIVES.items()}
        for module in (convolution, fused_gpu_layers):
            monkeypatch.setattr(module, "chosen", lambda shape, device, chosen=alternatives: chosen[shape.operation])
        losses.append([one.training_loss for one in train_pack(runs, digits, CUDA)])
        (alone,) = train_pack(runs[2:], digits, CUDA)
        assert alone.training_loss == pytest.approx(losses[-1][2], rel=1e-3)
    for one in losses[1:]:
        assert one != losses[0]
        for actual, expected in zip(one, losses[0], strict=True):
            assert actual == pytest.approx(expected, rel=1e-2)

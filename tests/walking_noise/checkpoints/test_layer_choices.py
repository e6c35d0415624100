"""Choice between alternatives for layers on a GPU: the table, and digests and provenance of runs that it affects."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from walking_noise import Failure, RunConfig, WalkingNoiseError, train_each
from walking_noise.checkpoints.checkpoint_format import header_of
from walking_noise.checkpoints.layer_choices import layer_choices, layer_shapes
from walking_noise.checkpoints.network_cache import NetworkCache
from walking_noise.checkpoints.provenance import provenance
from walking_noise.data import DataSet
from walking_noise.pack.gpu import convolutions
from walking_noise.pack.gpu.choices import LayerShape, chosen, measurements_file, read_choices, why_table_unusable
from walking_noise.pack.layers import PackedConv2d, convolution
from walking_noise.runtime.sizing import capacity
from walking_noise.training.member import Member

CPU, GPU = torch.device("cpu"), torch.device("cuda")
NAME = "NVIDIA A100"
LENET = RunConfig.from_dict({"model.name": "lenet5", "data.name": "cifar10", "model.batch_norm": True})
MLP = RunConfig()
CONV1 = LayerShape("convolution", (128, 3, 32, 32), "float32", 6, (5, 5), (1, 1), (0, 0, 0, 0))
Table = Callable[..., Path]


def entry(shape: LayerShape, name: str) -> dict[str, Any]:
    return {"shape": vars(shape), "seconds": {name: 1e-3}, "chosen": name}


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
    """Writes the table, of a GPU that this machine seems to have."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: NAME)

    def write(*layers: dict[str, Any], gpu: str = NAME) -> Path:
        measurements_file().parent.mkdir(exist_ok=True)
        measurements_file().write_text(json.dumps({gpu: {"processes": 1, "rates": [], "layers": layers}}))
        read_choices.cache_clear()
        return measurements_file()

    return write


def test_the_layers_of_a_run():
    first, second = (shape for shape in layer_shapes(LENET) if shape.operation == "convolution")
    assert first == CONV1
    assert str(second) == ("convolution of 128×6×14×14 float32, 16 filters 5×5, stride 1×1, padding 0×0×0×0")
    others = [str(shape) for shape in layer_shapes(LENET) if shape.operation != "convolution"]
    assert others == [f"image_layers of 128×{size} float32 with BatchNorm" for size in ("6×28×28", "16×10×10")]
    assert layer_shapes(MLP) == ()


def test_a_choice_holds_for_its_gpu_and_its_shape(table: Table):
    assert chosen(CONV1, GPU) == "grouped"
    table(entry(CONV1, "triton"))
    other = LayerShape("convolution", (128, 3, 32, 32), "float32", 7, (5, 5), (1, 1), (0, 0, 0, 0))
    assert [chosen(shape, GPU) for shape in (CONV1, other)] == ["triton", "grouped"]
    assert chosen(CONV1, CPU) == chosen(CONV1, torch.device("meta")) == "grouped"
    table(entry(CONV1, "triton"), gpu="NVIDIA H100")
    assert chosen(CONV1, GPU) == "grouped"


def test_a_process_reads_the_table_once(table: Table):
    file = table(entry(CONV1, "triton"))
    assert chosen(CONV1, GPU) == "triton"
    file.unlink()
    assert chosen(CONV1, GPU) == "triton"


def test_a_layer_is_computed_by_the_chosen_alternative(monkeypatch: pytest.MonkeyPatch):
    asked, used = list[LayerShape](), list[str]()

    def choose(shape: LayerShape, device: torch.device) -> str:
        asked.append(shape)
        return "unfold"

    def recorded(alternative: str, *args: Any) -> torch.Tensor:
        used.append(alternative)
        return convolutions.convolve(alternative, *args)

    monkeypatch.setattr(convolution, "chosen", choose)
    monkeypatch.setattr(convolution, "convolve", recorded)
    packed = PackedConv2d([nn.Conv2d(3, 4, (3, 2), (1, 2), padding="valid") for _ in range(3)])
    for rows in (3, 1):
        x = torch.randn(rows, 2, 3, 6, 7)
        torch.testing.assert_close(packed._on_a_gpu(x), packed(x))
    assert asked == 2 * [LayerShape("convolution", (2, 3, 6, 7), "float32", 4, (3, 2), (1, 2), (0, 0, 0, 0))]
    assert used == ["unfold", "unfold"]


def origins(config: RunConfig, data: DataSet, device: torch.device) -> list[Any]:
    """All that identifies the network of a run, and the provenance of its result."""
    member, checksum = Member(config), data.checksum
    return [
        header_of(member, device, checksum).layers,
        NetworkCache(".", device, checksum).name(config),
        provenance(config, data, device)["layers"],
    ]


def test_digests_and_provenance_name_the_choice(table: Table, digits: DataSet):
    layers, name, text = origins(LENET, digits, GPU)
    assert (layers, text) == ({}, "default")
    others = [origins(MLP, digits, GPU), origins(LENET, digits, CPU)]
    table(entry(CONV1, "grouped"))
    assert origins(LENET, digits, GPU) == [layers, name, text]
    names = {name}
    for alternative in ("unfold", "triton"):
        table(entry(CONV1, alternative))
        layers, name, text = origins(LENET, digits, GPU)
        assert layers == {str(CONV1): alternative}
        assert text == f"{CONV1}: {alternative}"
        names.add(name)
    assert len(names) == 3
    assert [origins(MLP, digits, GPU), origins(LENET, digits, CPU)] == others
    before, now = header_of(Member(LENET), CPU, ""), header_of(Member(LENET), GPU, "")
    assert str(now.difference(header_of(Member(LENET), GPU, ""))) == "None"
    table()
    default = header_of(Member(LENET), GPU, "")
    assert now.difference(default) == f"the choice of layers for the GPU was {text}, it is default now"
    assert before.layers == default.layers == {}


def test_a_choice_for_another_number_of_samples_counts(table: Table):
    """Such as that of the last mini-batch or of an evaluation."""
    table(entry(LayerShape(**vars(CONV1) | {"inputs": (250, 3, 32, 32)}), "unfold"))
    assert list(layer_choices(LENET, GPU).values()) == ["unfold"]


FAULTS = {
    "": "Invalid JSON",
    "[]": "Input should be an object",
    '{"A": {"layers": [{"chosen": "triton"}]}}': "A: layers: 0: shape: Field required",
}


@pytest.mark.parametrize("content", FAULTS)
def test_a_damaged_table_is_one_clear_line(content: str, table: Table, monkeypatch: pytest.MonkeyPatch):
    table().write_text(content)
    with pytest.raises(WalkingNoiseError) as error:
        chosen(CONV1, GPU)
    line = str(error.value)
    assert line.startswith(f"{measurements_file()}: no measurements can be read ({FAULTS[content]}")
    assert line.endswith("remove the file, and measure again with `walking-noise bench --save`")
    assert "\n" not in line
    assert why_table_unusable(CPU) is None
    monkeypatch.setattr(capacity, "device_by_name", lambda name: GPU)
    outcomes = dict(train_each([LENET, MLP], device="cuda"))
    assert outcomes == {0: Failure(line), 1: Failure(line)}


@pytest.mark.parametrize(
    ("shape", "name", "fault"),
    [
        (CONV1, "fast", "'fast' is no alternative for 'convolution'"),
        (LayerShape(**vars(CONV1) | {"operation": "attention"}), "grouped", "no alternative for 'attention'"),
    ],
)
def test_unknown_alternatives_are_refused(shape: LayerShape, name: str, fault: str, table: Table):
    table(entry(shape, name))
    assert fault in str(why_table_unusable(GPU))

"""``walking-noise bench`` on a GPU: the alternatives for layers and the table of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from experiments.benchmark import layer_rates, pack_rates
from experiments.cli.app import main
from experiments.plan.throughput import Device, default_file, read, save
from walking_noise import RunConfig
from walking_noise.checkpoints.layer_choices import layer_shapes
from walking_noise.pack.gpu import choices, convolutions
from walking_noise.pack.gpu.choices import LayerShape, MeasuredLayer, chosen, read_choices

CPU, GPU = torch.device("cpu"), torch.device("cuda")
NAME = "NVIDIA A100"
LENET = RunConfig.from_dict({"model.name": "lenet5", "training.batch_size": 2})


CONVOLUTIONS = [shape for shape in layer_shapes(LENET) if shape.operation == "convolution"]
SHAPE = CONVOLUTIONS[0]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_rates, "SECONDS", 0.001)
    monkeypatch.setattr(layer_rates, "REPEATS", 1)
    monkeypatch.setattr(layer_rates, "MEMBERS", 2)


@pytest.fixture
def of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the alternatives that a CPU can compute."""
    monkeypatch.setattr(layer_rates, "ALTERNATIVES", {"convolution": ("grouped", "unfold")})
    monkeypatch.setattr(layer_rates, "layer_shapes", lambda config: CONVOLUTIONS)


@pytest.mark.usefixtures("quick", "of_torch")
def test_each_layer_gets_its_fastest_alternative(capsys: pytest.CaptureFixture[str]):
    layers = layer_rates.measure_layers(CPU, [LENET, LENET])
    assert [layer.shape for layer in layers] == CONVOLUTIONS
    for layer in layers:
        assert set(layer.seconds) == {"grouped", "unfold"}
        assert layer.seconds[layer.chosen] == min(layer.seconds.values())
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == [str(one.shape) for one in layers]


@pytest.mark.usefixtures("quick", "of_torch")
@pytest.mark.parametrize("fault", ["numbers", "nan", "error"])
def test_a_wrong_alternative_is_not_used(
    fault: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def wrong(alternative: str, *args: Any) -> Tensor:
        y = convolutions.convolve(alternative, *args)
        if alternative == "unfold" and fault == "error":
            raise RuntimeError("no kernel\nfor this")
        return y * (1.01 if fault == "numbers" else float("nan")) if alternative == "unfold" else y

    monkeypatch.setattr(layer_rates, "convolve", wrong)
    (layer, *_) = layer_rates.measure_layers(CPU, [LENET])
    assert set(layer.seconds) == {"grouped"}
    assert layer.chosen == "grouped"
    line, *_ = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{layer.shape}: unfold is not used: ")
    assert line.endswith("no kernel") == (fault == "error")


def measured(shape: LayerShape, name: str) -> MeasuredLayer:
    return MeasuredLayer(shape, {"grouped": 1.0, name: 0.5}, name)


def test_the_file_keeps_other_layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: NAME)
    first, second = CONVOLUTIONS
    assert chosen(first, GPU) == "grouped"
    save(default_file(), Device(NAME, 1, (), (measured(first, "triton"), measured(second, "unfold"))))
    assert [chosen(shape, GPU) for shape in (first, second)] == ["triton", "unfold"]
    save(default_file(), Device(NAME, 2, (), (measured(first, "unfold"),)))
    assert [chosen(shape, GPU) for shape in (first, second)] == ["unfold", "unfold"]
    assert read(default_file())[NAME].layers == (measured(first, "unfold"), measured(second, "unfold"))


def test_layers_are_saved_before_the_packs_that_use_them_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: NAME)
    monkeypatch.setattr("walking_noise.runtime.sizing.capacity.default_device", lambda: GPU)
    monkeypatch.setattr(layer_rates, "measure_layers", lambda device, configs: (measured(SHAPE, "triton"),))
    in_force: list[str] = []

    def measure(device: torch.device, models: list[str]) -> Device:
        in_force.append(chosen(SHAPE, device))
        return Device(NAME, 1, ())

    monkeypatch.setattr(pack_rates, "measure_device", measure)
    assert main(["bench", "--models", "lenet5"]) == 0
    assert not default_file().exists()
    assert main(["bench", "--models", "lenet5", "--save"]) == 0
    assert in_force == ["grouped", "triton"]
    assert read(default_file())[NAME].layers == (measured(SHAPE, "triton"),)


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_the_table_of_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(pack_rates, "SECONDS", 0.01)
    assert main(["bench", "--models", "lenet5", "--save"]) == 0
    read_choices.cache_clear()
    layers = json.loads(default_file().read_text())[torch.cuda.get_device_name(GPU)]["layers"]
    assert {layer["shape"]["operation"] for layer in layers} == set(choices.ALTERNATIVES)
    for layer in layers:
        operation = layer["shape"]["operation"]
        assert set(layer["seconds"]) == set(choices.ALTERNATIVES[operation])

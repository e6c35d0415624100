"""``walking-noise bench``: its measurements and the file for them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.benchmark import pack_rates
from experiments.benchmark.timed_processes import run_at_the_same_time
from experiments.cli.app import main
from experiments.errors import UserError
from experiments.plan.throughput import Device, Kind, Rate, default_file, read, save
from tests.benchmarks.peers.equality_checks import changed
from tests.experiments.benchmark import process_functions
from tests.experiments.shell import choice, on_cores, write_grid
from walking_noise import RunConfig, WalkingNoiseError
from walking_noise.runtime.sizing import capacity
from walking_noise.training.member import TrainedNetwork
from walking_noise.training.trainer import train_pack

CPU = torch.device("cpu")


def rate(model: str, seconds: float) -> Rate:
    return Rate(Kind((1, 28, 28), 10, model, True, 128), 16, seconds, seconds / 100, 0.1)


def test_one_model_is_measured_and_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(pack_rates, "SECONDS", 0.01)
    monkeypatch.setattr(pack_rates, "ROUNDS", 1)
    monkeypatch.setattr(pack_rates, "STUDIED", (("mnist", "mlp"), ("cifar10", "lenet5")))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("WALKING_NOISE_DEVICE", "cpu")
    with on_cores(1):
        assert main(["bench", "--models", "mlp", "--save"]) == 0
        (device,) = read(default_file()).values()
    assert default_file() == tmp_path / "walking_noise" / "throughput.json"
    assert device.processes == 1
    assert [rate.kind for rate in device.rates] == [Kind((1, 28, 28), 10, "mlp", norm, 128) for norm in (False, True)]
    for measured in device.rates:
        assert measured.pack_size == capacity.CPU_PACK
        assert 1e-6 < measured.sample_seconds < measured.step_seconds < 1
    printed = capsys.readouterr().out
    assert "mlp with BatchNorm on 1×28×28, batches of 128" in printed
    assert printed.endswith(f"saved to {default_file()}\n")


def test_the_packs_of_a_grid_are_measured_for_its_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(pack_rates, "SECONDS", 0.001)
    monkeypatch.setattr(pack_rates, "ROUNDS", 1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("WALKING_NOISE_DEVICE", "cpu")
    own = {"model.name": "tests.walking_noise.own_parts:transformer", "training.batch_size": 8}
    grid = write_grid(tmp_path, fixed=own, grid={"noise.point": choice(1, 2)})
    with on_cores(1):
        assert main(["bench", "--save", "--grid", str(grid)]) == 0
    (device,) = read(default_file()).values()
    assert [(rate.kind.model, rate.kind.batch_size) for rate in device.rates] == [(own["model.name"], 8)]
    capsys.readouterr()
    assert main(["plan", str(grid), "--json", str(tmp_path / "plan.json")]) == 0
    (row,) = json.loads((tmp_path / "plan.json").read_text())
    assert row["hours"][device.name] > 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"{own['model.name']}: packs compute one network after another in encoder, mean();" in shown


@pytest.mark.slow
def test_all_cores_of_a_cpu_measure_at_the_same_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pack_rates, "STUDIED", (("mnist", "mlp"),))
    with on_cores(2):
        device = pack_rates.measure_device(CPU, pack_rates.studied(["mlp"]))
    assert device.processes == 2
    assert [rate.kind for rate in device.rates] == [Kind((1, 28, 28), 10, "mlp", norm, 128) for norm in (False, True)]
    assert {rate.pack_size for rate in device.rates} == {capacity.CPU_PACK}


def test_every_kind_of_the_studies_is_measured():
    assert len({Kind.of(config) for config in pack_rates.studied(["mlp", "lenet5", "cnn_s"])}) == 12


def test_a_different_run_in_a_pack_is_not_timed(monkeypatch: pytest.MonkeyPatch):
    def reseeded(configs: list[RunConfig], *rest: Any) -> list[TrainedNetwork]:
        single = len(configs) == 1
        return train_pack([changed(config, {"seed": config.seed + single}) for config in configs], *rest)

    monkeypatch.setattr(pack_rates, "train_pack", reseeded)
    with pytest.raises(UserError, match=r"bench: mlp on 1×28×28.*: the loss of a run is .* in a pack and .* by itself"):
        pack_rates.measure_device(CPU, pack_rates.studied(["mlp"]))


def test_different_noise_is_not_timed(monkeypatch: pytest.MonkeyPatch):
    def noisier(configs: list[RunConfig], *rest: Any) -> list[TrainedNetwork]:
        return train_pack([changed(config, {"noise.std_mul": 0.6}) for config in configs], *rest)

    monkeypatch.setattr(pack_rates, "train_pack", noisier)
    with pytest.raises(UserError, match=r"bench: mlp on .*: .*0\.6.*; it was not timed"):
        pack_rates.measure_device(CPU, pack_rates.studied(["mlp"]))


def test_processes_run_at_the_same_time():
    ranks, processes, words = zip(*run_at_the_same_time(3, process_functions.rank_and_process, "word"), strict=True)
    assert ranks == (0, 1, 2)
    assert len({*processes, os.getpid()}) == 4
    assert set(words) == {"word"}
    assert run_at_the_same_time(1, process_functions.rank_and_process, "word") == [(0, os.getpid(), "word")]


def test_errors_of_processes_are_raised():
    with pytest.raises(ValueError, match="not here"):
        run_at_the_same_time(2, process_functions.fail_at_one)
    with pytest.raises(UserError, match="one of 2 measuring processes died"):
        run_at_the_same_time(2, process_functions.die_at_one)


def test_a_file_keeps_other_devices_and_kinds(tmp_path: Path):
    file = tmp_path / "new" / "throughput.json"
    assert read(file) == {}
    save(file, Device("A", 1, (rate("mlp", 1.0), rate("lenet5", 2.0))))
    save(file, Device("B", 4, (rate("mlp", 3.0),)))
    save(file, Device("A", 1, (rate("mlp", 4.0),)))
    devices = read(file)
    assert set(devices) == {"A", "B"}
    assert {one.kind.model: one.step_seconds for one in devices["A"].rates} == {"mlp": 4.0, "lenet5": 2.0}
    save(file, Device("A", 2, (rate("mlp", 5.0),)))
    assert read(file)["A"] == Device("A", 2, (rate("mlp", 5.0),))
    assert [path.name for path in file.parent.iterdir()] == ["throughput.json"]


@pytest.mark.parametrize("content", ["", "[]", '{"A": {}}', '{"A": {"lanes": 1, "rates": [{}]}}', "zero"])
def test_an_unreadable_file_is_an_error_before_the_measurement(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file = tmp_path / "throughput.json"
    if content == "zero":
        save(file, Device("A", 1, (rate("mlp", 1.0),)))
        content = file.read_text().replace("1.0", "0.0")
    file.write_text(content)
    with pytest.raises(WalkingNoiseError, match="no measurements can be read"):
        read(file)
    assert main(["bench", "--save", "--file", str(file)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"walking-noise: {file}: no measurements can be read")
    assert file.read_text() == content


def test_an_unwritable_file_is_an_error_before_the_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "file").touch()
    monkeypatch.setattr(pack_rates, "measure_device", None)
    for file in (tmp_path / "file" / "below.json", tmp_path):
        assert main(["bench", "--save", "--file", str(file)]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"walking-noise: {file}: ")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_wrong_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["bench", "--models", "resnet"]) == 1
    assert capsys.readouterr().err == "walking-noise: --models: 'resnet' is refused; allowed: cnn_s, lenet5, mlp\n"
    assert main(["bench", "--models", "mlp", "--grid", "seml_configs/demo.yaml"]) == 1
    assert (
        capsys.readouterr().err == "walking-noise: --models and --grid are refused together: a grid names its models\n"
    )
    assert main(["bench", "--file", str(tmp_path / "f.json")]) == 1
    assert capsys.readouterr().err == "walking-noise: --file has no effect without --save\n"


def saved_device(file: Path, key: str) -> Device:
    """The device of a file in which ``key`` holds the number of processes."""
    save(file, Device("A", 3, (rate("mlp", 1.0),)))
    content = json.loads(file.read_text())
    content["A"][key] = content["A"].pop("processes")
    file.write_text(json.dumps(content))
    return read(file)["A"]


@pytest.mark.parametrize("key", ["processes", "lanes"])
def test_files_of_this_and_of_older_versions_are_read(key: str, tmp_path: Path):
    file = tmp_path / "f.json"
    assert saved_device(file, key) == Device("A", 3, (rate("mlp", 1.0),))
    save(file, Device("A", 3, (rate("lenet5", 2.0),)))
    assert read(file)["A"].rates == (rate("mlp", 1.0), rate("lenet5", 2.0))
    assert "lanes" not in file.read_text()


def test_the_file_is_plain_json(tmp_path: Path):
    save(tmp_path / "f.json", Device("A", 1, (rate("mlp", 1.0),)))
    (kind,) = [one["kind"] for one in json.loads((tmp_path / "f.json").read_text())["A"]["rates"]]
    assert kind == {"inputs": [1, 28, 28], "classes": 10, "model": "mlp", "batch_norm": True, "batch_size": 128}

"""Networks trained without noise, shared through a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from walking_noise import RunConfig, networks
from walking_noise.data import DataSet
from walking_noise.networks import Networks
from walking_noise.training import Trained, train_pack

CPU = torch.device("cpu")
CONFIG = RunConfig.from_dict({"noise.kind": "none", "training.epochs": 6, "model.batch_norm": True})
CURVE = RunConfig.from_dict(CONFIG.to_dict() | {"evaluation": {"curve": True}})


@pytest.fixture(scope="module")
def trained(digits: DataSet) -> Trained:
    return train_pack([CONFIG], digits, CPU)[0]


@pytest.fixture(scope="module")
def with_curve(digits: DataSet) -> Trained:
    return train_pack([CURVE], digits, CPU)[0]


def same(one: Trained | None, other: Trained) -> bool:
    assert one is not None
    states_agree = all(torch.equal(one.state[name], tensor) for name, tensor in other.state.items())
    return states_agree and vars(one) | {"state": None} == vars(other) | {"state": None}


def file_in(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


def test_a_network_is_found_again_as_it_was(trained: Trained, tmp_path: Path) -> None:
    Networks(tmp_path / "below" / "here", CPU).save(CONFIG, trained)
    assert same(Networks(str(tmp_path / "below" / "here"), CPU).load(CONFIG), trained)


def test_it_is_found_by_whoever_needs_the_same_training(trained: Trained, tmp_path: Path) -> None:
    Networks(tmp_path, CPU).save(CONFIG, trained)
    noisy = {**CONFIG.to_dict(), "noise": {"kind": "additive", "std": 3.0, "in_training": False}}
    assert same(Networks(tmp_path, CPU).load(RunConfig.from_dict(noisy)), trained)


def test_another_training_version_or_device_does_not_find_it(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Networks(tmp_path, CPU).save(CONFIG, trained)
    other = RunConfig.from_dict(CONFIG.to_dict() | {"seed": 1})
    assert Networks(tmp_path, CPU).load(other) is None
    assert Networks(tmp_path, torch.device("cuda")).load(CONFIG) is None
    monkeypatch.setattr(networks, "__version__", "0.0.0")
    assert Networks(tmp_path, CPU).load(CONFIG) is None


def test_a_network_without_a_curve_does_not_serve_a_run_that_wants_one(
    trained: Trained, with_curve: Trained, tmp_path: Path
) -> None:
    kept = Networks(tmp_path, CPU)
    kept.save(CONFIG, trained)
    assert kept.load(CURVE) is None
    kept.save(CURVE, with_curve)
    assert same(kept.load(CURVE), with_curve)
    assert same(kept.load(CONFIG), with_curve)


def test_nothing_is_found_in_an_empty_or_absent_folder(tmp_path: Path) -> None:
    assert Networks(tmp_path, CPU).load(CONFIG) is None
    assert Networks(tmp_path / "absent", CPU).load(CONFIG) is None


@pytest.mark.parametrize(
    "content", ["nothing", "text", "half", "flipped", "a number", "a list", "too little", "a tensor"]
)
def test_a_damaged_file_counts_as_absent(content: str, trained: Trained, tmp_path: Path) -> None:
    kept = Networks(tmp_path, CPU)
    kept.save(CONFIG, trained)
    file = file_in(tmp_path)
    whole = file.read_bytes()
    tensors: dict[str, Any] = {"a number": 5, "a list": [1], "too little": {"state": {}}, "a tensor": torch.zeros(2)}
    if content in tensors:
        torch.save(tensors[content], file)
    else:
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes(byte ^ 0xFF for byte in whole[middle : middle + 64]) + whole[middle + 64 :]
        file.write_bytes({"nothing": b"", "text": b"hello\n" * 99, "half": whole[:middle], "flipped": flipped}[content])
    assert kept.load(CONFIG) is None
    kept.save(CONFIG, trained)
    assert same(kept.load(CONFIG), trained)


def test_a_file_appears_whole_or_not_at_all(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(content: Any, file: Any) -> None:
        file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="no space"):
        Networks(tmp_path, CPU).save(CONFIG, trained)
    assert list(tmp_path.iterdir()) == []

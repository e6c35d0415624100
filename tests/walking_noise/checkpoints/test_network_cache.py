"""Cache of trained networks."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from walking_noise import RunConfig
from walking_noise.checkpoints import network_cache
from walking_noise.checkpoints.network_cache import (
    NetworkCache,
    NetworkUnreadable,
    cached_networks_beside,
    read_network,
    why_folder_unusable,
)
from walking_noise.data import DataSet
from walking_noise.training.member import TrainedNetwork
from walking_noise.training.trainer import train_pack

CPU = torch.device("cpu")
DATA = "checksum"
CONFIG = RunConfig.from_dict({"noise.kind": "none", "training.epochs": 6, "model.batch_norm": True})
CURVE = RunConfig.from_dict(CONFIG.to_dict() | {"evaluation": {"curve": True}})


@pytest.fixture(scope="module")
def trained(digits: DataSet) -> TrainedNetwork:
    return train_pack([CONFIG], digits, CPU)[0]


@pytest.fixture(scope="module")
def with_curve(digits: DataSet) -> TrainedNetwork:
    return train_pack([CURVE], digits, CPU)[0]


def same(one: TrainedNetwork | None, other: TrainedNetwork) -> bool:
    assert one is not None
    states_agree = all(torch.equal(one.state[name], tensor) for name, tensor in other.state.items())
    return states_agree and vars(one) | {"state": None} == vars(other) | {"state": None}


def file_in(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


def test_a_network_is_loaded_as_it_was_saved(trained: TrainedNetwork, tmp_path: Path) -> None:
    NetworkCache(tmp_path / "below" / "here", CPU, DATA).save(CONFIG, trained)
    assert same(NetworkCache(str(tmp_path / "below" / "here"), CPU, DATA).load(CONFIG), trained)


def test_a_network_is_loaded_by_every_run_with_the_same_training(trained: TrainedNetwork, tmp_path: Path) -> None:
    NetworkCache(tmp_path, CPU, DATA).save(CONFIG, trained)
    noisy = {**CONFIG.to_dict(), "noise": {"kind": "additive", "std": 3.0, "in_training": False}}
    assert same(NetworkCache(tmp_path, CPU, DATA).load(RunConfig.from_dict(noisy)), trained)


def test_another_training_version_device_or_data_set_has_another_network(
    trained: TrainedNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    NetworkCache(tmp_path, CPU, DATA).save(CONFIG, trained)
    other = RunConfig.from_dict(CONFIG.to_dict() | {"seed": 1})
    assert NetworkCache(tmp_path, CPU, DATA).load(other) is None
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    assert NetworkCache(tmp_path, torch.device("cuda"), DATA).load(CONFIG) is None
    assert NetworkCache(tmp_path, CPU, "of a part of the recordings").load(CONFIG) is None
    monkeypatch.setattr(network_cache, "__version__", "0.0.0")
    assert NetworkCache(tmp_path, CPU, DATA).load(CONFIG) is None


def test_a_network_without_a_curve_is_not_loaded_for_a_run_with_one(
    trained: TrainedNetwork, with_curve: TrainedNetwork, tmp_path: Path
) -> None:
    cache = NetworkCache(tmp_path, CPU, DATA)
    cache.save(CONFIG, trained)
    assert cache.load(CURVE) is None
    cache.save(CURVE, with_curve)
    assert same(cache.load(CURVE), with_curve)
    assert same(cache.load(CONFIG), with_curve)


def test_an_empty_or_missing_folder_has_no_networks(tmp_path: Path) -> None:
    assert NetworkCache(tmp_path, CPU, DATA).load(CONFIG) is None
    assert NetworkCache(tmp_path / "missing", CPU, DATA).load(CONFIG) is None


@pytest.mark.parametrize(
    "content", ["nothing", "text", "half", "flipped", "a number", "a list", "too little", "a tensor"]
)
def test_a_damaged_file_counts_as_missing(content: str, trained: TrainedNetwork, tmp_path: Path) -> None:
    cache = NetworkCache(tmp_path, CPU, DATA)
    cache.save(CONFIG, trained)
    file = file_in(tmp_path)
    whole = file.read_bytes()
    tensors: dict[str, Any] = {"a number": 5, "a list": [1], "too little": {"state": {}}, "a tensor": torch.zeros(2)}
    if content in tensors:
        torch.save(tensors[content], file)
    else:
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes(byte ^ 0xFF for byte in whole[middle : middle + 64]) + whole[middle + 64 :]
        file.write_bytes({"nothing": b"", "text": b"hello\n" * 99, "half": whole[:middle], "flipped": flipped}[content])
    assert cache.load(CONFIG) is None
    with pytest.raises(NetworkUnreadable, match=r"\.pt: the file is damaged$"):
        read_network(file)
    cache.save(CONFIG, trained)
    assert same(cache.load(CONFIG), trained)


def test_a_file_of_another_version_is_refused(
    trained: TrainedNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(network_cache, "asdict", lambda trained: {**asdict(trained), "a removed field": 1})
        NetworkCache(tmp_path, CPU, DATA).save(CONFIG, trained)
    with pytest.raises(NetworkUnreadable, match="written by another version"):
        read_network(file_in(tmp_path))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NetworkUnreadable, match=r"none\.pt: No such file"):
        read_network(tmp_path / "none.pt")


def test_code_in_a_file_is_not_executed(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "executed",)

    content = io.BytesIO()
    torch.save({"state": Evil()}, content)
    file = tmp_path / "evil.pt"
    file.write_bytes(hashlib.blake2b(content.getvalue(), digest_size=16).digest() + content.getvalue())
    with pytest.raises(NetworkUnreadable, match="another version"):
        read_network(file)
    assert not (tmp_path / "executed").exists()


def test_runs_trained_with_noise_have_files_of_their_own(trained: TrainedNetwork, tmp_path: Path) -> None:
    noisy = [RunConfig.from_dict({"noise.std": 1.0, "noise.seed": seed}) for seed in (1, 2)]
    cache = NetworkCache(tmp_path, CPU, DATA)
    assert len({cache.name(config) for config in (*noisy, CONFIG)}) == 3


def test_networks_in_the_folder_of_another(trained: TrainedNetwork, tmp_path: Path) -> None:
    """The network of the same origin comes first, then the newest."""
    noisy = RunConfig.from_dict(CONFIG.to_dict() | {"noise": {"std": 1.0}})
    old, same_origin, new = (NetworkCache(tmp_path, CPU, checksum) for checksum in ("old", DATA, "new"))
    for age, cache in enumerate((new, old, same_origin)):
        cache.save(CONFIG, trained)
        os.utime(tmp_path / cache.name(CONFIG), (1e9 - age,) * 2)
    networks = cached_networks_beside(tmp_path / same_origin.name(noisy), CONFIG)
    assert networks == [tmp_path / cache.name(CONFIG) for cache in (same_origin, new, old)]
    assert cached_networks_beside(networks[0], RunConfig.from_dict(CONFIG.to_dict() | {"seed": 1})) == []
    assert cached_networks_beside(tmp_path / "missing" / "none.pt", CONFIG) == []


def test_a_folder_is_created_or_the_reason_given(tmp_path: Path) -> None:
    assert why_folder_unusable(tmp_path / "below" / "here") is None
    assert list((tmp_path / "below" / "here").iterdir()) == []
    (tmp_path / "file").touch()
    assert "File exists" in (why_folder_unusable(tmp_path / "file") or "")
    for unset in (None, ""):
        assert "WALKING_NOISE_NETWORKS" in (why_folder_unusable(unset) or "")


def test_a_file_is_written_atomically(trained: TrainedNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(content: Any, file: Any) -> None:
        file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="no space"):
        NetworkCache(tmp_path, CPU, DATA).save(CONFIG, trained)
    assert list(tmp_path.iterdir()) == []

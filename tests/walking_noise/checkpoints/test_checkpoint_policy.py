"""Networks that runs keep with ``training.keep_network``."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.walking_noise.running import HERE, numbers, outcomes, run
from walking_noise import Failure, Result, RunConfig, RunsFailed, train
from walking_noise.checkpoints.network_cache import NetworkCache, read_network
from walking_noise.data import DataSet
from walking_noise.runtime import executor
from walking_noise.training.member import TrainedNetwork
from walking_noise.training.trainer import train_pack

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def few(only_digits: DataSet) -> DataSet:
    return only_digits


def keep_network(**settings: Any) -> RunConfig:
    """A run that keeps its network."""
    return run(training__keep_network=True, **settings)


NOISE: dict[str, Any] = {"noise__kind": "multiplicative", "noise__std": 2.0, "noise__point": 3}


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


@pytest.mark.parametrize("noise", [{}, NOISE])
def test_the_network_of_a_run_is_kept(noise: dict[str, Any], tmp_path: Path, digits: DataSet) -> None:
    config = keep_network(**noise)
    (result,) = train([config], networks=tmp_path, **HERE)
    assert names(tmp_path) == {result.network}
    assert result.network == NetworkCache(tmp_path, CPU, digits.checksum).name(config)
    network = read_network(tmp_path / result.network)
    single = train_pack([run(**noise)], digits, CPU)[0]
    assert all(torch.equal(network.state[name], tensor) for name, tensor in single.state.items())


def test_keeping_changes_no_number(tmp_path: Path) -> None:
    (without,) = train([run(**NOISE)], **HERE)
    (with_network,) = train([keep_network(**NOISE)], networks=tmp_path, **HERE)
    assert without.network is None
    assert numbers(with_network) | {"network": None} == numbers(without)


def test_a_shared_network_is_kept_once_and_named_in_the_results_of_the_runs_that_keep_it(tmp_path: Path) -> None:
    inference_only = {**NOISE, "noise__in_training": False}
    runs = [run(), keep_network(**inference_only), keep_network(), run(**inference_only), keep_network(**NOISE)]
    results = train(runs, networks=tmp_path, **HERE)
    shared, own = results[1].network, results[4].network
    assert [result.network for result in results] == [None, shared, shared, None, own]
    assert names(tmp_path) == {shared, own}


def test_a_network_trained_with_noise_is_not_kept_by_default(tmp_path: Path) -> None:
    train([run(**NOISE)], networks=tmp_path, **HERE)
    assert names(tmp_path) == set()


def test_a_kept_network_is_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (first,) = train([keep_network(**NOISE)], networks=tmp_path, **HERE)
    monkeypatch.setattr(executor, "train_pack", pytest.fail)
    (again,) = train([keep_network(**NOISE)], networks=tmp_path, **HERE)
    assert numbers(again) == numbers(first)


def test_the_kept_network_does_not_depend_on_the_pack(tmp_path: Path) -> None:
    runs = [keep_network(seed=seed, **NOISE) for seed in range(3)]
    packed = train(runs, networks=tmp_path / "packed", **HERE)
    single = [train([config], networks=tmp_path / "single", **HERE)[0] for config in runs]
    assert [result.network for result in packed] == [result.network for result in single]
    for name in names(tmp_path / "packed"):
        assert (tmp_path / "packed" / name).read_bytes() == (tmp_path / "single" / name).read_bytes()


def test_a_pack_that_is_split_keeps_each_network_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails_for_packs(configs: Any, *args: Any, **kwargs: Any) -> list[TrainedNetwork]:
        if len(configs) > 1 or configs[0].seed == 2:
            raise ValueError("too much")
        return train_pack(configs, *args, **kwargs)

    monkeypatch.setattr(executor, "train_pack", fails_for_packs)
    *ended, failed = outcomes([keep_network(seed=seed, **NOISE) for seed in range(3)], networks=tmp_path)
    assert isinstance(failed, Failure)
    assert names(tmp_path) == {result.network for result in ended if isinstance(result, Result)}
    assert len(ended) == len(names(tmp_path)) == 2


def test_without_a_folder_runs_that_keep_their_network_fail_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "train_pack", pytest.fail)
    with pytest.raises(RunsFailed, match=r"the first: training\.keep_network: no folder for networks is set"):
        train([keep_network(), keep_network(**NOISE)], **HERE)


def test_without_a_usable_folder_only_the_runs_that_need_it_fail(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder, fault in ((None, "no folder for networks"), (tmp_path / "file", "File exists")):
        first, other, second = outcomes([keep_network(**NOISE), run(), keep_network()], networks=folder)
        assert isinstance(other, Result)
        for refused in (first, second):
            assert isinstance(refused, Failure)
            assert refused.error.startswith("training.keep_network: ")
            assert fault in refused.error
            assert "\n" not in refused.error
            assert not refused.trace


def test_a_full_disk_fails_the_runs_that_keep_their_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: NetworkCache, config: RunConfig, trained: TrainedNetwork) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(NetworkCache, "save", full)
    shared, first, second, other = outcomes(
        [run(), keep_network(), keep_network(**NOISE), run(**NOISE)], networks=tmp_path
    )
    assert isinstance(shared, Result)
    assert isinstance(other, Result)
    for failed in (first, second):
        assert isinstance(failed, Failure)
        assert "could not be stored: [Errno 28] No space left on device" in failed.error
        assert not failed.trace


@pytest.mark.usefixtures("forked_pool")
def test_worker_processes_keep_networks(tmp_path: Path) -> None:
    runs = [RunConfig.from_dict({"training.epochs": 1, "training.keep_network": True, "seed": seed}) for seed in (1, 2)]
    results = train(runs, networks=tmp_path, device="cpu", processes=2, pack_size=1)
    assert names(tmp_path) == {result.network for result in results}
    assert len(names(tmp_path)) == 2

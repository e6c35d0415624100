"""Several GPUs, slices of a GPU, and GPUs of several types: pack sizes and types of devices."""

from __future__ import annotations

import pytest
import torch

from walking_noise import RunConfig
from walking_noise.checkpoints import provenance
from walking_noise.runtime.sizing import capacity

GIB = 2**30
A100 = "NVIDIA A100-SXM4-40GB"
SLICE = f"{A100} MIG 1g.5gb"
DEVICES = {0: (A100, 39 * GIB, 40 * GIB), 1: (SLICE, int(4.6 * GIB), int(4.75 * GIB)), 2: ("Tesla T4", GIB, 15 * GIB)}


@pytest.fixture(autouse=True)
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: DEVICES[device.index or 0][0])
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: DEVICES[device.index or 0][1:])
    for name in ("memory_reserved", "memory_allocated"):
        monkeypatch.setattr(torch.cuda, name, lambda device: 0)


def test_the_pack_size_depends_on_the_memory_of_the_device():
    config = RunConfig.from_dict({"model.name": "lenet5", "data.name": "cifar10"})
    whole, part, full = (capacity.training_pack_size(config, torch.device("cuda", index)) for index in DEVICES)
    assert whole == capacity.training_pack_size(config, torch.device("cuda"))
    each = capacity.bytes_per_run(config)
    assert 1 < part < whole
    assert part * each <= capacity.MEMORY_SHARE * 4.6 * GIB - capacity.MEMORY_RESERVE < (part + 1) * each
    assert full == 1


def test_a_slice_is_another_type_than_its_gpu():
    types = {provenance.device_kind(torch.device("cuda", index)) for index in DEVICES}
    assert types == {A100, SLICE, "Tesla T4"}

"""Checkpoint files: they are read as written, or refused with a reason; failures to write do not stop a training."""

from __future__ import annotations

import errno
import hashlib
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import pytest
import torch

from walking_noise import CheckpointStore, ConfigError, RunConfig, __version__
from walking_noise.checkpoints import checkpoint_format, checkpoint_store
from walking_noise.checkpoints.checkpoint_format import CheckpointUnusable, Header, read_header
from walking_noise.data import DataSet
from walking_noise.training.member import Member
from walking_noise.training.trainer import PackTrainer

CPU = torch.device("cpu")
DATA = "checksum"
CONFIG = RunConfig.from_dict({"noise.std": 0.5, "training.epochs": 6, "model.batch_norm": True})


def seeds(count: int) -> list[RunConfig]:
    return [RunConfig.from_dict({"noise.std": 0.5, "training.epochs": 6, "seed": seed}) for seed in range(count)]


def after_two_epochs(configs: list[RunConfig], data: DataSet) -> list[Member]:
    trainer = PackTrainer([Member(config) for config in configs], data, CPU)
    for _ in range(2):
        trainer.train_epoch(lambda: None)
        trainer.evaluate(lambda: None)
    return trainer.snapshot()()


@pytest.fixture(scope="module")
def member(fewer_digits: DataSet) -> Member:
    """A member after two of its six epochs."""
    return after_two_epochs([CONFIG], fewer_digits)[0]


@pytest.fixture(scope="module")
def pack(fewer_digits: DataSet) -> list[Member]:
    """Four members of a pack, after two epochs."""
    return after_two_epochs(seeds(4), fewer_digits)


def same(one: Member | None, other: Member) -> bool:
    assert one is not None
    assert one.state.keys() == other.state.keys()
    tensors_agree = all(torch.equal(tensor, other.state[name]) for name, tensor in one.state.items())
    return tensors_agree and vars(one) | {"state": None} == vars(other) | {"state": None}


def refusal(store: CheckpointStore, config: RunConfig = CONFIG, device: torch.device = CPU, data: str = DATA) -> str:
    with pytest.raises(CheckpointUnusable) as refused:
        store.load(config, device, data)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_member_is_loaded_as_it_was_saved(member: Member, tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "below" / "here")
    assert store.load(CONFIG, CPU, DATA) is None
    assert store.save([member], CPU, DATA) == [member]
    assert same(CheckpointStore(str(tmp_path / "below" / "here")).load(CONFIG, CPU, DATA), member)
    assert [file.name for file in store.folder.iterdir()] == [f"{CONFIG.network_key}.checkpoint"]


def test_a_member_is_saved_without_the_others(pack: list[Member], tmp_path: Path, fewer_digits: DataSet) -> None:
    """A file contains a network and the two moments of its parameters, and little else."""
    single = after_two_epochs([pack[3].config], fewer_digits)
    CheckpointStore(tmp_path / "packed").save(pack, CPU, DATA)
    CheckpointStore(tmp_path / "single").save(single, CPU, DATA)
    sizes = [CheckpointStore(tmp_path / folder).file(pack[3].config).stat().st_size for folder in ("packed", "single")]
    needed = sum(tensor.numel() * tensor.element_size() for tensor in pack[3].state.values())
    assert sizes[0] == pytest.approx(sizes[1], abs=100)
    assert needed < sizes[0] < needed + 20_000
    assert same(CheckpointStore(tmp_path / "packed").load(pack[3].config, CPU, DATA), single[0])


def test_the_header_of_a_checkpoint(member: Member, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1.5e9)
    store = CheckpointStore(tmp_path)
    store.save([member], CPU, DATA)
    monkeypatch.setattr(torch, "load", pytest.fail)
    header = read_header(store.file(CONFIG))
    assert (header.network_key, header.epoch, header.epochs) == (CONFIG.network_key, 2, 6)
    assert (header.version, header.torch) == (__version__, torch.__version__)
    assert (header.device, header.data, header.time) == ("cpu", DATA, 1.5e9)
    assert header.settings["training.epochs"] == 6
    assert "noise.seed" in header.settings


def changed(**fields: Any) -> Callable[[Header], Header]:
    return lambda header: replace(header, **fields)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda header: replace(header, settings=header.settings | {"training.learning_rate": 0.5}),
            "its training.learning_rate is 0.5, that of the run is 0.001",
        ),
        (
            lambda header: replace(header, settings=header.settings | {"training.new": 1}),
            "its training.new is 1, that of the run is None",
        ),
        (changed(version="0.0.1"), "the version of walking_noise was 0.0.1 (code "),
        (changed(code="ab12"), "(code ab12), it is "),
        (changed(torch="1.0"), f"the version of torch was 1.0, it is {torch.__version__} now"),
        (changed(device="NVIDIA H100"), "the device was NVIDIA H100, it is cpu now"),
        (changed(data="other"), "the data set's checksum was other, it is checksum now"),
    ],
)
def test_another_training_is_refused_with_the_reason(
    change: Callable[[Header], Header],
    reason: str,
    member: Member,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, header_of = CheckpointStore(tmp_path), checkpoint_format.header_of
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_format, "header_of", lambda *args: change(header_of(*args)))
        store.save([member], CPU, DATA)
    assert reason in refusal(store)
    store.save([member], CPU, DATA)
    assert same(store.load(CONFIG, CPU, DATA), member)


def test_gpus_are_distinguished_by_their_model(member: Member, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        torch.cuda, "get_device_name", lambda device: {0: "NVIDIA A100", 1: "NVIDIA H100"}[device.index]
    )
    store, first, second = CheckpointStore(tmp_path), torch.device("cuda:0"), torch.device("cuda:1")
    store.save([member], first, DATA)
    assert same(store.load(CONFIG, first, DATA), member)
    assert refusal(store, device=second) == "the device was NVIDIA A100, it is NVIDIA H100 now"
    assert refusal(store) == "the device was NVIDIA A100, it is cpu now"


def test_the_checkpoint_of_another_network_with_this_name_is_refused(pack: list[Member], tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    store.save(pack, CPU, DATA)
    store.file(pack[1].config).rename(store.file(pack[0].config))
    assert refusal(store, pack[0].config) == "its seed is 1, that of the run is 0"


@pytest.mark.parametrize("content", ["nothing", "text", "head", "half", "flipped", "header flipped", "one byte short"])
def test_a_damaged_file_is_refused(content: str, member: Member, tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    store.save([member], CPU, DATA)
    file = store.file(CONFIG)
    whole = file.read_bytes()

    def flipped(place: int) -> bytes:
        return whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :]

    file.write_bytes(
        {
            "nothing": b"",
            "text": b"hello\n" * 99,
            "head": whole[:20],
            "half": whole[: len(whole) // 2],
            "flipped": flipped(len(whole) // 2),
            "header flipped": flipped(100),
            "one byte short": whole[:-1],
        }[content]
    )
    assert refusal(store) == "it is damaged"
    if content in ("half", "flipped", "one byte short"):
        assert read_header(file).epoch == 2
    else:
        with pytest.raises(CheckpointUnusable, match="it is damaged"):
            read_header(file)


def file_with(head: bytes, content: bytes) -> bytes:
    """A file whose checksums are right."""
    return hashlib.blake2b(head, digest_size=16).hexdigest().encode() + head + b"\n" + content


def test_code_in_a_file_is_not_executed(member: Member, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "executed",)

    store = CheckpointStore(tmp_path)
    store.save([member], CPU, DATA)
    head, _, _ = store.file(CONFIG).read_bytes().partition(b"\n")
    content = io.BytesIO()
    torch.save({"training_loss": [], "evaluations": [], "state": Evil()}, content)
    fields = json.loads(head[32:]) | {"content": hashlib.blake2b(content.getvalue(), digest_size=16).hexdigest()}
    store.file(CONFIG).write_bytes(file_with(json.dumps(fields).encode(), content.getvalue()))
    assert read_header(store.file(CONFIG)).epoch == 2
    assert refusal(store) == "its content is not the state of a training"
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("head", [b"5", b"[]", b"{}", b'{"content": "", "epoch": 3}'])
def test_a_header_of_another_form_counts_as_another_version(head: bytes, tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    store.file(CONFIG).write_bytes(file_with(head, b""))
    assert refusal(store) == "it was written by another version of walking_noise"


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    store.file(CONFIG).mkdir()
    assert refusal(store) == "it cannot be read: Is a directory"
    with pytest.raises(CheckpointUnusable, match="it cannot be read: No such file or directory"):
        read_header(tmp_path / "none")


def full_after(files: int) -> Callable[[Path], Any]:
    """A disk that is full after this number of files."""
    remaining = iter(range(files))

    @contextmanager
    def atomic_write(file: Path) -> Iterator[IO[bytes]]:
        if next(remaining, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        with file.open("wb") as opened:
            yield opened

    return atomic_write


def test_a_full_disk_is_logged_in_one_line(
    pack: list[Member], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(checkpoint_store, "atomic_write", full_after(2))
    assert CheckpointStore(tmp_path).save(pack, CPU, DATA) == pack[:2]
    assert caplog.messages == [
        f"checkpoints cannot be written to {tmp_path}: No space left on device; training continues"
    ]


def test_a_folder_that_cannot_be_created_is_logged_in_one_line(
    pack: list[Member], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    assert CheckpointStore(tmp_path / "file").save(pack, CPU, DATA) == []
    (line,) = caplog.messages
    assert line.endswith("File exists; training continues")


def test_a_removed_folder_is_created_again(pack: list[Member], tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "here")
    for _ in range(2):
        assert store.save(pack[:1], CPU, DATA) == pack[:1]
        store.file(pack[0].config).unlink()
        store.folder.rmdir()


def test_the_quota_counts_all_files_of_the_folder(
    pack: list[Member], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unlimited = CheckpointStore(tmp_path / "unlimited")
    unlimited.save(pack, CPU, DATA)
    each = unlimited.file(pack[0].config).stat().st_size
    (tmp_path / "other").write_bytes(b"x" * each)
    store = CheckpointStore(tmp_path, quota=int(3.5 * each))
    (tmp_path / "unlimited").rename(tmp_path.parent / "away")
    assert store.save(pack, CPU, DATA) == pack[:2]
    (line,) = caplog.messages
    assert line.startswith(f"checkpoints not written: 2; {tmp_path} already holds ")
    assert line.endswith(f"of at most {int(3.5 * each)} bytes; training continues")


def test_a_replaced_file_counts_by_its_growth(pack: list[Member], tmp_path: Path) -> None:
    CheckpointStore(tmp_path).save(pack[1:], CPU, DATA)
    total = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert CheckpointStore(tmp_path, quota=total + 100).save(pack, CPU, DATA) == pack[1:]


def test_a_folder_is_scanned_once_for_a_whole_pack(
    pack: list[Member], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scanned: list[Path] = []
    sizes = CheckpointStore._sizes

    def counted(self: CheckpointStore) -> dict[str, int]:
        scanned.append(self.folder)
        return sizes(self)

    monkeypatch.setattr(CheckpointStore, "_sizes", counted)
    CheckpointStore(tmp_path, quota=10**9).save(pack, CPU, DATA)
    CheckpointStore(tmp_path).save(pack, CPU, DATA)
    assert scanned == [tmp_path]


def test_a_later_epoch_of_another_process_is_not_replaced(member: Member, tmp_path: Path) -> None:
    store, before = CheckpointStore(tmp_path), replace(member, epoch=1, training_loss=member.training_loss[:1])
    store.save([member], CPU, DATA)
    assert store.save([before], CPU, DATA) == [before]
    assert same(store.load(CONFIG, CPU, DATA), member)


def test_an_unusable_later_epoch_is_replaced(member: Member, tmp_path: Path) -> None:
    store, before = CheckpointStore(tmp_path), replace(member, epoch=1, training_loss=member.training_loss[:1])
    store.save([member], CPU, "of other data")
    assert store.save([before], CPU, DATA) == [before]
    assert same(store.load(CONFIG, CPU, DATA), before)
    store.save([member], CPU, DATA)
    with store.file(CONFIG).open("r+b") as file:
        file.truncate(store.file(CONFIG).stat().st_size - 1)
    store.save([before], CPU, DATA)
    assert same(store.load(CONFIG, CPU, DATA), before)


def test_discarded_checkpoints_are_removed(pack: list[Member], tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    store.save(pack, CPU, DATA)
    store.discard([pack[0].config, pack[0].config, pack[2].config])
    assert {file.name for file in tmp_path.iterdir()} == {store.file(pack[index].config).name for index in (1, 3)}
    store.discard([pack[0].config])
    CheckpointStore(tmp_path / "absent").discard([CONFIG])


def test_a_checkpoint_that_cannot_be_removed_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = CheckpointStore(tmp_path)
    store.file(CONFIG).mkdir()
    store.discard([CONFIG])
    assert caplog.messages == [
        f"the checkpoint {store.file(CONFIG)} is no longer needed but cannot be removed: Is a directory"
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seconds": -1.0}, "checkpoint_seconds: -1.0 is refused"),
        ({"seconds": float("nan")}, "checkpoint_seconds: nan is refused"),
        ({"quota": -1}, "checkpoint_quota: -1 is refused"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        CheckpointStore(tmp_path, **options)

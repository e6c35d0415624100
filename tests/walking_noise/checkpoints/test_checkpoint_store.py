"""The files of checkpoints: found again as they were, or refused with a reason; never a danger to the training."""

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
    training = PackTrainer([Member(config) for config in configs], data, CPU)
    for _ in range(2):
        training.train_epoch(lambda: None)
        training.evaluate(lambda: None)
    return training.snapshot()()


@pytest.fixture(scope="module")
def left(fewer_digits: DataSet) -> Member:
    """A training left after two of its six epochs."""
    return after_two_epochs([CONFIG], fewer_digits)[0]


@pytest.fixture(scope="module")
def pack(fewer_digits: DataSet) -> list[Member]:
    """Four of a pack, after two epochs."""
    return after_two_epochs(seeds(4), fewer_digits)


def same(one: Member | None, other: Member) -> bool:
    assert one is not None
    assert one.state.keys() == other.state.keys()
    tensors_agree = all(torch.equal(tensor, other.state[name]) for name, tensor in one.state.items())
    return tensors_agree and vars(one) | {"state": None} == vars(other) | {"state": None}


def refusal(kept: CheckpointStore, config: RunConfig = CONFIG, device: torch.device = CPU, data: str = DATA) -> str:
    with pytest.raises(CheckpointUnusable) as refused:
        kept.load(config, device, data)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_training_is_found_again_as_it_was(left: Member, tmp_path: Path) -> None:
    kept = CheckpointStore(tmp_path / "below" / "here")
    assert kept.load(CONFIG, CPU, DATA) is None
    assert kept.save([left], CPU, DATA) == [left]
    assert same(CheckpointStore(str(tmp_path / "below" / "here")).load(CONFIG, CPU, DATA), left)
    assert [file.name for file in kept.folder.iterdir()] == [f"{CONFIG.network_key}.checkpoint"]


def test_a_member_is_kept_without_the_others(pack: list[Member], tmp_path: Path, fewer_digits: DataSet) -> None:
    """A file holds a network and the two moments of its parameters, and little beside."""
    alone = after_two_epochs([pack[3].config], fewer_digits)
    CheckpointStore(tmp_path / "packed").save(pack, CPU, DATA)
    CheckpointStore(tmp_path / "alone").save(alone, CPU, DATA)
    sizes = [CheckpointStore(tmp_path / how).file(pack[3].config).stat().st_size for how in ("packed", "alone")]
    needed = sum(tensor.numel() * tensor.element_size() for tensor in pack[3].state.values())
    assert sizes[0] == pytest.approx(sizes[1], abs=100)
    assert needed < sizes[0] < needed + 20_000
    assert same(CheckpointStore(tmp_path / "packed").load(pack[3].config, CPU, DATA), alone[0])


def test_a_header_says_what_it_is_of(left: Member, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1.5e9)
    kept = CheckpointStore(tmp_path)
    kept.save([left], CPU, DATA)
    monkeypatch.setattr(torch, "load", pytest.fail)
    header = read_header(kept.file(CONFIG))
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
    left: Member,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept, header_of = CheckpointStore(tmp_path), checkpoint_format.header_of
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(checkpoint_format, "header_of", lambda *of: change(header_of(*of)))
        kept.save([left], CPU, DATA)
    assert reason in refusal(kept)
    kept.save([left], CPU, DATA)
    assert same(kept.load(CONFIG, CPU, DATA), left)


def test_a_gpu_is_told_from_others_by_its_model(left: Member, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        torch.cuda, "get_device_name", lambda device: {0: "NVIDIA A100", 1: "NVIDIA H100"}[device.index]
    )
    kept, first, second = CheckpointStore(tmp_path), torch.device("cuda:0"), torch.device("cuda:1")
    kept.save([left], first, DATA)
    assert same(kept.load(CONFIG, first, DATA), left)
    assert refusal(kept, device=second) == "the device was NVIDIA A100, it is NVIDIA H100 now"
    assert refusal(kept) == "the device was NVIDIA A100, it is cpu now"


def test_the_checkpoint_of_another_network_under_this_name_is_refused(pack: list[Member], tmp_path: Path) -> None:
    kept = CheckpointStore(tmp_path)
    kept.save(pack, CPU, DATA)
    kept.file(pack[1].config).rename(kept.file(pack[0].config))
    assert refusal(kept, pack[0].config) == "its seed is 1, that of the run is 0"


@pytest.mark.parametrize("content", ["nothing", "text", "head", "half", "flipped", "header flipped", "one byte short"])
def test_a_damaged_file_is_refused(content: str, left: Member, tmp_path: Path) -> None:
    kept = CheckpointStore(tmp_path)
    kept.save([left], CPU, DATA)
    file = kept.file(CONFIG)
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
    assert refusal(kept) == "it is damaged"
    if content in ("half", "flipped", "one byte short"):
        assert read_header(file).epoch == 2
    else:
        with pytest.raises(CheckpointUnusable, match="it is damaged"):
            read_header(file)


def file_with(head: bytes, content: bytes) -> bytes:
    """A file whose checksums are right."""
    return hashlib.blake2b(head, digest_size=16).hexdigest().encode() + head + b"\n" + content


def test_code_in_a_file_is_not_executed(left: Member, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "executed",)

    kept = CheckpointStore(tmp_path)
    kept.save([left], CPU, DATA)
    head, _, _ = kept.file(CONFIG).read_bytes().partition(b"\n")
    content = io.BytesIO()
    torch.save({"training_loss": [], "evaluations": [], "state": Evil()}, content)
    fields = json.loads(head[32:]) | {"content": hashlib.blake2b(content.getvalue(), digest_size=16).hexdigest()}
    kept.file(CONFIG).write_bytes(file_with(json.dumps(fields).encode(), content.getvalue()))
    assert read_header(kept.file(CONFIG)).epoch == 2
    assert refusal(kept) == "it does not hold a training"
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("head", [b"5", b"[]", b"{}", b'{"content": "", "epoch": 3}'])
def test_a_header_of_another_form_is_of_another_version(head: bytes, tmp_path: Path) -> None:
    kept = CheckpointStore(tmp_path)
    kept.file(CONFIG).write_bytes(file_with(head, b""))
    assert refusal(kept) == "it was written by another version of walking_noise"


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    kept = CheckpointStore(tmp_path)
    kept.file(CONFIG).mkdir()
    assert refusal(kept) == "it cannot be read: Is a directory"
    with pytest.raises(CheckpointUnusable, match="it cannot be read: No such file or directory"):
        read_header(tmp_path / "none")


def full_after(files: int) -> Callable[[Path], Any]:
    """A disk that takes so many more files."""
    left = iter(range(files))

    @contextmanager
    def atomic_write(file: Path) -> Iterator[IO[bytes]]:
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        with file.open("wb") as opened:
            yield opened

    return atomic_write


def test_a_full_disk_is_told_in_one_line(
    pack: list[Member], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(checkpoint_store, "atomic_write", full_after(2))
    assert CheckpointStore(tmp_path).save(pack, CPU, DATA) == pack[:2]
    assert caplog.messages == [
        f"checkpoints cannot be written to {tmp_path}: No space left on device; training goes on"
    ]


def test_a_folder_that_cannot_be_made_is_told_in_one_line(
    pack: list[Member], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    assert CheckpointStore(tmp_path / "file").save(pack, CPU, DATA) == []
    (line,) = caplog.messages
    assert line.endswith("File exists; training goes on")


def test_a_folder_that_was_removed_is_made_again(pack: list[Member], tmp_path: Path) -> None:
    kept = CheckpointStore(tmp_path / "here")
    for _ in range(2):
        assert kept.save(pack[:1], CPU, DATA) == pack[:1]
        kept.file(pack[0].config).unlink()
        kept.folder.rmdir()


def test_a_quota_counts_all_that_is_in_the_folder(
    pack: list[Member], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    free = CheckpointStore(tmp_path / "free")
    free.save(pack, CPU, DATA)
    each = free.file(pack[0].config).stat().st_size
    (tmp_path / "other").write_bytes(b"x" * each)
    kept = CheckpointStore(tmp_path, quota=int(3.5 * each))
    (tmp_path / "free").rename(tmp_path.parent / "away")
    assert kept.save(pack, CPU, DATA) == pack[:2]
    (line,) = caplog.messages
    assert line.startswith(f"2 checkpoints were not written to {tmp_path}, which holds ")
    assert line.endswith(f"of its quota of {int(3.5 * each)} bytes; training goes on")


def test_a_file_that_is_replaced_counts_by_what_it_grows(pack: list[Member], tmp_path: Path) -> None:
    CheckpointStore(tmp_path).save(pack[1:], CPU, DATA)
    total = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert CheckpointStore(tmp_path, quota=total + 100).save(pack, CPU, DATA) == pack[1:]


def test_a_folder_is_looked_through_once_for_a_whole_pack(
    pack: list[Member], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Path] = []
    sizes = CheckpointStore._sizes

    def counted(self: CheckpointStore) -> dict[str, int]:
        looks.append(self.folder)
        return sizes(self)

    monkeypatch.setattr(CheckpointStore, "_sizes", counted)
    CheckpointStore(tmp_path, quota=10**9).save(pack, CPU, DATA)
    CheckpointStore(tmp_path).save(pack, CPU, DATA)
    assert looks == [tmp_path]


def test_a_later_epoch_that_another_process_has_kept_stays(left: Member, tmp_path: Path) -> None:
    kept, before = CheckpointStore(tmp_path), replace(left, epoch=1, training_loss=left.training_loss[:1])
    kept.save([left], CPU, DATA)
    assert kept.save([before], CPU, DATA) == [before]
    assert same(kept.load(CONFIG, CPU, DATA), left)


def test_a_later_epoch_that_is_of_no_use_is_replaced(left: Member, tmp_path: Path) -> None:
    kept, before = CheckpointStore(tmp_path), replace(left, epoch=1, training_loss=left.training_loss[:1])
    kept.save([left], CPU, "of other data")
    assert kept.save([before], CPU, DATA) == [before]
    assert same(kept.load(CONFIG, CPU, DATA), before)
    kept.save([left], CPU, DATA)
    with kept.file(CONFIG).open("r+b") as file:
        file.truncate(kept.file(CONFIG).stat().st_size - 1)
    kept.save([before], CPU, DATA)
    assert same(kept.load(CONFIG, CPU, DATA), before)


def test_what_is_not_needed_any_more_is_removed(pack: list[Member], tmp_path: Path) -> None:
    kept = CheckpointStore(tmp_path)
    kept.save(pack, CPU, DATA)
    kept.discard([pack[0].config, pack[0].config, pack[2].config])
    assert {file.name for file in tmp_path.iterdir()} == {kept.file(pack[place].config).name for place in (1, 3)}
    kept.discard([pack[0].config])
    CheckpointStore(tmp_path / "absent").discard([CONFIG])


def test_what_cannot_be_removed_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = CheckpointStore(tmp_path)
    kept.file(CONFIG).mkdir()
    kept.discard([CONFIG])
    assert caplog.messages == [
        f"the checkpoint {kept.file(CONFIG)} is no longer needed but cannot be removed: Is a directory"
    ]


@pytest.mark.parametrize(
    ("how", "refused"),
    [
        ({"seconds": -1.0}, "checkpoint_seconds: -1.0 is refused"),
        ({"seconds": float("nan")}, "checkpoint_seconds: nan is refused"),
        ({"quota": -1}, "checkpoint_quota: -1 is refused"),
    ],
)
def test_options_that_make_no_sense_are_refused(how: dict[str, Any], refused: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=refused):
        CheckpointStore(tmp_path, **how)

"""Cache of computed tensors."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.walking_noise.data.speech import write_corpus
from walking_noise import data
from walking_noise.data.feature_cache import cached_tensors

ROOT = Path(__file__).parents[3]


def counted() -> tuple[Callable[[], dict[str, Tensor]], list[int]]:
    """A function that computes tensors, and the list of its calls."""
    calls: list[int] = []

    def compute() -> dict[str, Tensor]:
        calls.append(1)
        return {"a": torch.arange(3000, dtype=torch.int16).view(30, 100), "b": torch.linspace(0, 1, 7)}

    return compute, calls


def test_computed_tensors_are_cached(tmp_path: Path) -> None:
    compute, calls = counted()
    first, second = (cached_tensors("some", [tmp_path / "new"], compute) for _ in range(2))
    assert len(calls) == 1
    assert first[1] == second[1]
    for tensors, _ in (first, second):
        assert list(tensors) == ["a", "b"]
        assert all(torch.equal(tensors[name], tensor) for name, tensor in compute().items())


def test_changes_to_the_tensors_do_not_change_the_file(tmp_path: Path) -> None:
    compute, _ = counted()
    tensors, digest = cached_tensors("some", [tmp_path], compute)
    tensors["a"].zero_()
    assert cached_tensors("some", [tmp_path], compute)[1] == digest
    assert int(cached_tensors("some", [tmp_path], compute)[0]["a"].sum()) > 0


@pytest.mark.parametrize("damage", ["half", "text", "other tensors", *map(str, range(20))])
def test_a_damaged_file_is_replaced(tmp_path: Path, damage: str) -> None:
    compute, calls = counted()
    _, digest = cached_tensors("some", [tmp_path], compute)
    file = tmp_path / "some.pt"
    content = bytearray(file.read_bytes())
    if damage == "other tensors":
        torch.save({"tensors": {"a": torch.zeros(3)}, "checksum": digest}, file)
    elif damage == "half":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "text":
        file.write_text("no tensors")
    else:
        content[len(content) * int(damage) // 20] ^= 0x55
        file.write_bytes(content)
    tensors, again = cached_tensors("some", [tmp_path], compute)
    assert again == digest
    assert all(torch.equal(tensors[name], tensor) for name, tensor in compute().items())
    if not damage.isdigit():
        assert len(calls) == 3, "the first time, after the damage, and in this test"
    assert [path.name for path in tmp_path.glob("*.p*")] == ["some.pt"]


def test_the_file_is_written_to_the_first_writable_folder(tmp_path: Path) -> None:
    compute, calls = counted()
    (tmp_path / "file").write_text("no folder")
    folders = [tmp_path / "file" / "below", tmp_path / "second"]
    digests = {cached_tensors("some", folders, compute)[1] for _ in range(2)}
    assert (len(calls), len(digests)) == (1, 1)
    assert (tmp_path / "second" / "some.pt").is_file()
    assert cached_tensors("some", folders[:1], compute)[1] in digests
    assert len(calls) == 2, "without a writable folder the tensors are computed on every call"


def test_an_unusable_lock_is_ignored(tmp_path: Path) -> None:
    compute, calls = counted()
    (tmp_path / ".lock").mkdir()  # cannot be opened, as a lock file of another user
    assert cached_tensors("some", [tmp_path], compute)[1] == cached_tensors("some", [tmp_path], compute)[1]
    assert len(calls) == 1


def test_an_error_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail() -> dict[str, Tensor]:
        raise ValueError("no data")

    with pytest.raises(ValueError, match="no data"):
        cached_tensors("some", [tmp_path], fail)
    assert not list(tmp_path.glob("*.p*"))


def test_concurrent_processes_share_one_file(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    script = (
        "import sys; from walking_noise import data\n"
        "print(data.load('gsc', 'fresh', keywords=('yes', 'no'), root=sys.argv[1]).checksum)"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    processes = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = {process.communicate()[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0]
    assert printed == {data.load("gsc", "fresh", keywords=("yes", "no"), root=tmp_path).checksum + "\n"}
    assert len(list((tmp_path / "SpeechCommands" / "computed").glob("*.p*"))) == 1


def test_the_cache_depends_on_the_selection_and_the_recordings(tmp_path: Path) -> None:
    folder = write_corpus(tmp_path)

    def digests() -> list[str]:
        data.loading._load.cache_clear()
        return [
            data.load("gsc", transform, validation, words, root=tmp_path).checksum
            for transform, validation, words in (
                ("none", "test", ("yes", "no")),
                ("release", "test", ("yes", "no")),
                ("fresh", "test", ("yes", "no")),
                ("none", "holdout", ("yes", "no")),
                ("none", "test", ("no", "yes")),
            )
        ]

    before = digests()
    assert len(set(before)) == 5
    assert digests() == before
    (folder / "yes" / "1.wav").unlink()
    assert not set(digests()) & set(before)
